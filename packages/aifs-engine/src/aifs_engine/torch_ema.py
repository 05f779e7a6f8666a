"""An exponential moving average of a model's weights."""

from collections.abc import Mapping
from typing import Any

import torch

from aifs_engine.torch_state import to_arrays, to_tensors
from aifs_utils.exceptions import ConfigError


class WeightAverage:
    """Averages of parameters: after each update, average <- decay * average + (1 - decay) * weight.

    Buffers, such as a batch norm's running statistics, are averages by themselves: the module's own serve both.

    Parameters
    ----------
    weights : mapping of str to Tensor
        The parameters by name. The averages begin where they are.
    decay : float
        In (0, 1); 0.999 averages over about the last thousand updates.

    Raises
    ------
    ConfigError
        If `decay` is out of range.

    References
    ----------
    Polyak, Juditsky. "Acceleration of Stochastic Approximation by Averaging", SIAM Journal on Control and Optimization
        30 (4), 1992, pp. 838-855 (averaged evenly; here the newest counts most).
    """

    def __init__(self, weights: Mapping[str, Any], decay: float) -> None:
        if not 0 < decay < 1:
            raise ConfigError(f"ema_decay is between 0 and 1, got {decay!r}: take 0.999, or None for no average")
        self.decay = decay
        self.names = list(weights)
        self.weights = list(weights.values())
        self.averages = [weight.detach().clone() for weight in self.weights]

    def update(self) -> None:
        """Move the averages towards the weights."""
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.weights, 1 - self.decay)

    def swap(self) -> None:
        """Exchange weights and averages, by their content: whoever holds a parameter sees the average in it."""
        with torch.no_grad():
            kept = [weight.clone() for weight in self.weights]
            torch._foreach_copy_(self.weights, self.averages)
            torch._foreach_copy_(self.averages, kept)

    def state_dict(self) -> dict[str, Any]:
        """The averages by name, in arrays."""
        return {name: to_arrays(average) for name, average in zip(self.names, self.averages, strict=True)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over averages, or weights to begin at; of those in `state` only the ones that are averaged here."""
        with torch.no_grad():
            for name, average in zip(self.names, self.averages, strict=True):
                average.copy_(to_tensors(state[name]))
