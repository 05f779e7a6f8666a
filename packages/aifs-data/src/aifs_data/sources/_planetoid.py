"""Read the citation graphs of Planetoid, with its public split.

The files of a graph that are read, Python 2 pickles but for the last::

    y           one-hot labels of the training nodes, which are the first
    allx, ally  words and labels of all nodes that are not for test
    tx, ty      those of the test nodes, in the order of test.index
    graph       the neighbours of each node
    test.index  the test nodes, one in each line of text
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.dataset import Dataset, DatasetInfo, Graph, Split
from aifs_data.downloads import RemoteFile, remote_files
from aifs_data.sources._graphs import neighbours, sparse_ones

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

_URLS = (
    "https://raw.githubusercontent.com/kimiyoung/planetoid/af6abf468a772cc055bec88c52e4d6f51b7c37e3/data/",
    "https://raw.githubusercontent.com/tkipf/gcn/master/gcn/data/",
)
_N_VAL = 500

HOMEPAGE = "https://github.com/kimiyoung/planetoid"
LICENCE = "MIT for the files; none is stated for the papers' words and citations"
CITATION = """\
@article{sen2008collective,
  author  = {Sen, Prithviraj and Namata, Galileo and Bilgic, Mustafa and Getoor, Lise and Gallagher, Brian and others},
  title   = {Collective Classification in Network Data},
  journal = {AI Magazine},
  volume  = {29},
  number  = {3},
  pages   = {93--106},
  year    = {2008},
  doi     = {10.1609/aimag.v29i3.2157}
}

@inproceedings{yang2016revisiting,
  author    = {Yang, Zhilin and Cohen, William W. and Salakhutdinov, Ruslan},
  title     = {Revisiting Semi-Supervised Learning with Graph Embeddings},
  booktitle = {International Conference on Machine Learning},
  pages     = {40--48},
  year      = {2016}
}"""
THE_SPLIT = (
    "The public split: 20 nodes of each class to learn from, the next 500 for validation, 1,000 for test. Features are "
    "0 or 1, whether a word occurs; dividing each row by its sum, as most models do, is left to the model."
)


def graph_files(name: str, checksums: Mapping[str, tuple[int, str]]) -> tuple[RemoteFile, ...]:
    """Return the files of a graph, from the sizes and checksums of "y", "allx", …"""
    facts = {f"ind.{name}.{suffix}": of_file for suffix, of_file in checksums.items()}
    return tuple(remote_files("planetoid", urls=_URLS, facts=facts).values())


def decode_graph(files: Mapping[str, Path], name: str) -> Blocks:
    """Read the files of a graph.

    A number that test.index skips is a node without words and without a label (-1), which is in no part: the graph has
    it, and the numbers of the others depend on it. The GCN reference fills in rows of zeros likewise.
    """
    from aifs_data.python2_pickles import read_pickle

    paths = {suffix: files[f"ind.{name}.{suffix}"] for suffix in ("y", "allx", "ally", "tx", "ty", "graph")}
    y, allx, ally, tx, ty, graph = (read_pickle(path) for path in paths.values())
    test = np.loadtxt(files[f"ind.{name}.test.index"], dtype=np.int64)
    n_nodes = int(test.max()) + 1

    labels = np.full(n_nodes, -1, dtype=np.int64)
    labels[: len(ally)], labels[test] = ally.argmax(axis=1), ty.argmax(axis=1)
    known, asked = allx.tocoo(), tx.tocoo()  # 1 where a word occurs, and nothing else
    node = np.concatenate([known.row, test[asked.row]]).astype(np.int64)
    word = np.concatenate([known.col, asked.col])
    order = np.lexsort([word, node])
    counts = np.bincount(node, minlength=n_nodes)
    yield "feature_indices", word[order].astype(np.int32)
    yield "feature_indptr", np.concatenate([[0], counts.cumsum()]).astype(np.int32)

    pairs = [(one, other) for one, others in graph.items() for other in others]
    indices, indptr = neighbours(np.array(pairs, dtype=np.int64), n_nodes)
    yield "adjacency_indices", indices
    yield "adjacency_indptr", indptr
    yield "labels", labels
    yield "train", np.arange(len(y), dtype=np.int64)
    yield "val", np.arange(len(y), len(y) + _N_VAL, dtype=np.int64)
    yield "test", np.sort(test)


def load_graph(info: DatasetInfo, arrays: Mapping[str, NDArray[Any]], seed: int) -> Dataset:
    """Put the decoded arrays together; the split is the public one, whatever the seed."""
    labels = arrays["labels"]
    graph = Graph(
        features=sparse_ones(arrays["feature_indices"], arrays["feature_indptr"], info.n_features),
        adjacency=sparse_ones(arrays["adjacency_indices"], arrays["adjacency_indptr"], len(labels)),
        labels=labels,
    )
    train, val, test = (Split(arrays[part], labels[arrays[part]]) for part in ("train", "val", "test"))
    return Dataset(info, train, val, test, source="", seed=seed, graph=graph)


def karate_instead(info: DatasetInfo, seed: int) -> Dataset:
    """Return the karate club under the name of another graph."""
    from aifs_data.sources import karate

    club = karate.load(seed)
    return replace(
        club, info=replace(club.info, name=info.name), source="standin", standin="Zachary's karate club, 34 nodes"
    )
