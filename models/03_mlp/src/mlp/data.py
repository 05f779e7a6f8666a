"""The data of an experiment: loaded, framed or standardized, and in the precision that is computed in."""

from dataclasses import replace

import numpy as np

from aifs_data import load_dataset, standardize
from mlp.shifted import framed


def load_data(config):
    """Return the `aifs_data.Dataset` of an experiment, with inputs float32 (n_samples, n_features)."""
    dataset = load_dataset(config.dataset, seed=config.seed, **config.data_options)
    if config.frame:
        dataset = framed(dataset, shift_test=config.frame == "shifted")
    if config.standardize:
        dataset = standardize(dataset)
    return replace(dataset, **{part: _as_float32(getattr(dataset, part)) for part in ("train", "val", "test")})


def _as_float32(split):
    return replace(split, X=split.X.astype(np.float32))
