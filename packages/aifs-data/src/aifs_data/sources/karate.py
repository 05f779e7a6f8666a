"""The karate club that split in two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aifs_data.checks import require_count
from aifs_data.dataset import Dataset, DatasetInfo, Graph, Source, Split
from aifs_data.sources._graphs import THE_GRAPH, neighbours, node_arrays, sparse_ones
from aifs_data.streams import random_stream
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from numpy.typing import NDArray

    Nodes = NDArray[np.int64]

ORIGIN = "networkx"
_N_MEMBERS = 34

INFO = DatasetInfo(
    name="karate",
    title="Zachary's karate club",
    task="node classification",
    n_features=_N_MEMBERS,
    class_names=("Mr. Hi", "Officer"),
    arrays=node_arrays(_N_MEMBERS, 2),
    licence="data of a publication; networkx, which ships it, is BSD-3-Clause",
    citation="""\
@article{zachary1977information,
  author  = {Zachary, Wayne W.},
  title   = {An Information Flow Model for Conflict and Fission in Small Groups},
  journal = {Journal of Anthropological Research},
  volume  = {33},
  number  = {4},
  pages   = {452--473},
  year    = {1977},
  doi     = {10.1086/jar.33.4.3629752}
}""",
    homepage="https://networkx.org/documentation/stable/reference/generated/networkx.generators.social.karate_club_graph.html",
    description="34 members of a karate club and the 78 friendships between them, unweighted. The club split, and the "
    "task is to tell whom each member followed. Training has the two leaders only, nodes 0 and 33; validation `n_val` "
    "others, half from each side; test the rest. Features are the identity: a member is known by its friends alone. "
    f"{THE_GRAPH}",
)


def load(seed: int, *, n_val: int = 8) -> Dataset:
    """Read the graph that networkx ships."""
    n_val = require_count("n_val", n_val, at_least=0)
    if n_val > 30:
        raise DataError(f"n_val is at most 30, so that test keeps members of the other 32, got {n_val}")
    from networkx import karate_club_graph

    club = karate_club_graph()
    labels = np.array([INFO.class_names.index(club.nodes[node]["club"]) for node in range(_N_MEMBERS)], dtype=np.int64)
    members = np.arange(_N_MEMBERS, dtype=np.int32)
    graph = Graph(
        features=sparse_ones(members, np.arange(_N_MEMBERS + 1, dtype=np.int32), _N_MEMBERS),
        adjacency=sparse_ones(*neighbours(np.array(club.edges, dtype=np.int64), _N_MEMBERS), _N_MEMBERS),
        labels=labels,
    )
    train, val, test = (Split(nodes, labels[nodes]) for nodes in _parts(labels, seed, n_val))
    return Dataset(INFO, train, val, test, source=ORIGIN, seed=seed, graph=graph)


def _parts(labels: Nodes, seed: int, n_val: int) -> tuple[Nodes, Nodes, Nodes]:
    leaders = np.array([0, _N_MEMBERS - 1], dtype=np.int64)
    others = random_stream(seed, "karate").permutation(np.arange(1, _N_MEMBERS - 1, dtype=np.int64))
    sides = [others[labels[others] == k] for k in range(2)]
    n_first = n_val // 2
    val = np.concatenate([sides[0][:n_first], sides[1][: n_val - n_first]])
    return leaders, np.sort(val), np.setdiff1d(others, val)


SETS = {INFO.name: Source(INFO, load, (ORIGIN,))}
