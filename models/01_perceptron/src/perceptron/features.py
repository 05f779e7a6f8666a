"""Fewer inputs than a data set has."""

from dataclasses import replace


def select_features(dataset, names):
    """Keep some of the inputs.

    Parameters
    ----------
    dataset : aifs_data.Dataset
    names : tuple of str
        Of its features, in the order that they are to have.

    Returns
    -------
    aifs_data.Dataset
    """
    columns = [dataset.feature_names.index(name) for name in names]
    parts = {part: getattr(dataset, part) for part in ("train", "val", "test")}
    return replace(
        dataset,
        info=replace(dataset.info, n_features=len(names), feature_names=names),
        transforms=(*dataset.transforms, f"select {', '.join(names)}"),
        **{part: replace(split, X=split.X[:, columns]) for part, split in parts.items()},
    )
