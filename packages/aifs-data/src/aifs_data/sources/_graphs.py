"""What the sets that are graphs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.dataset import ArraySpec, class_indices

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Neighbours = tuple[NDArray[np.int32], NDArray[np.int32]]

THE_GRAPH = (
    "X holds the numbers of the nodes that a part consists of, and y their classes; features, neighbours and labels "
    "of all nodes are in the field `graph`."
)


def node_arrays(n_nodes: int, n_classes: int) -> Mapping[str, ArraySpec]:
    """Describe the arrays of a part."""
    nodes = ArraySpec(dtype="int64", shape=("n_samples",), low=0, high=n_nodes - 1, meaning="nodes of the graph")
    return {"X": nodes, "y": class_indices(n_classes)}


def neighbours(pairs: NDArray[np.int64], n_nodes: int) -> Neighbours:
    """Return the indices and indptr of the adjacency: symmetric, each pair once, without self-loops.

    Parameters
    ----------
    pairs : ndarray of int64, shape (n_pairs, 2)
        Nodes that are connected, in either order and as often as they like.
    n_nodes : int
        How many there are.

    Examples
    --------
    >>> import numpy as np
    >>> indices, indptr = neighbours(np.array([[0, 2], [2, 0], [1, 1], [2, 1]]), n_nodes=3)
    >>> indices.tolist(), indptr.tolist()
    ([2, 2, 0, 1], [0, 1, 2, 4])
    """
    between = pairs[pairs[:, 0] != pairs[:, 1]]
    both_ways = np.concatenate([between, between[:, ::-1]])
    rows, columns = np.divmod(np.unique(both_ways[:, 0] * n_nodes + both_ways[:, 1]), n_nodes)
    indptr = np.zeros(n_nodes + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=n_nodes), out=indptr[1:])
    return columns.astype(np.int32), indptr


def sparse_ones(indices: NDArray[np.int32], indptr: NDArray[np.int32], n_columns: int) -> Any:
    """Return the scipy.sparse.csr_array of float32 that is 1 at these places."""
    from scipy.sparse import csr_array

    ones = np.ones(len(indices), dtype=np.float32)
    return csr_array((ones, indices, indptr), shape=(len(indptr) - 1, n_columns))
