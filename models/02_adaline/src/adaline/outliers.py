"""Training samples that are right, and too far right for least squares."""

from dataclasses import replace

import numpy as np

DISTANCE = 10.0  # in units of the data's axes, whose samples lie within about 1 of zero
ANGLE = np.pi / 4  # from the direction in which the classes lie apart, so that the line is turned, not only shifted


def with_outliers(dataset, share):
    """Move a share of class 1's training samples far out on their own side; validation and test stay as they are.

    Parameters
    ----------
    dataset : aifs_data.Dataset
        Two features, two classes.
    share : float
        Of class 1's training samples, in [0, 1].

    Returns
    -------
    aifs_data.Dataset
    """
    X, y = dataset.train.X.copy(), dataset.train.y
    apart = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
    cos, sin = np.cos(ANGLE), np.sin(ANGLE)
    direction = np.array([[cos, -sin], [sin, cos]]) @ apart / np.linalg.norm(apart)
    moved = np.flatnonzero(y == 1)[: int(share * (y == 1).sum())]
    X[moved] += DISTANCE * direction
    return replace(dataset, train=replace(dataset.train, X=X), transforms=(*dataset.transforms, f"outliers({share:g})"))
