"""Cora: papers on machine learning that cite each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aifs_data.dataset import Dataset, DatasetInfo, Source
from aifs_data.downloads import ArrayFacts, Download
from aifs_data.sources._graphs import THE_GRAPH, node_arrays
from aifs_data.sources._planetoid import (
    CITATION,
    HOMEPAGE,
    LICENCE,
    THE_SPLIT,
    decode_graph,
    graph_files,
    karate_instead,
    load_graph,
)

if TYPE_CHECKING:  # it takes milliseconds to import
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

INFO = DatasetInfo(
    name="cora",
    title="Cora, papers that cite each other",
    task="node classification",
    n_features=1433,
    class_names=(
        "Theory",
        "Reinforcement Learning",
        "Genetic Algorithms",
        "Neural Networks",
        "Probabilistic Methods",
        "Case Based",
        "Rule Learning",
    ),
    arrays=node_arrays(2708, 7),
    licence=LICENCE,
    citation=CITATION,
    homepage=HOMEPAGE,
    description="2,708 papers on machine learning, 5,278 pairs of which one cites the other, and 1,433 words. "
    f"{THE_SPLIT} {THE_GRAPH}",
)

_CHECKSUMS = {
    "tx": (148025, "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a"),
    "allx": (257305, "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543"),
    "y": (4054, "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1"),
    "ty": (28135, "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad"),
    "ally": (47959, "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71"),
    "graph": (59847, "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d"),
    "test.index": (5000, "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875"),
}

_FACTS = {
    "feature_indices": ArrayFacts(
        dtype="int32", shape=(49216,), low=0, high=1432, digest="039aa5b370597bf38d6c5d43df2ffecd"
    ),
    "feature_indptr": ArrayFacts(
        dtype="int32", shape=(2709,), low=0, high=49216, digest="303d931811ddc79a1e3f7b75cc3fb969"
    ),
    "adjacency_indices": ArrayFacts(
        dtype="int32", shape=(10556,), low=0, high=2707, digest="dd5cd566b9e1b8214241d887415c9047"
    ),
    "adjacency_indptr": ArrayFacts(
        dtype="int32", shape=(2709,), low=0, high=10556, digest="0fea5100b337c2a8b6a61b6e2d8bf08e"
    ),
    "labels": ArrayFacts(
        dtype="int64",
        shape=(2708,),
        low=0,
        high=6,
        counts=(351, 217, 418, 818, 426, 298, 180),
        digest="85d568abbef3cf7e0599b6590a2dff03",
    ),
    "train": ArrayFacts(dtype="int64", shape=(140,), low=0, high=139, digest="422a71c78fb12ffdef74f00003a1c275"),
    "val": ArrayFacts(dtype="int64", shape=(500,), low=140, high=639, digest="897a069b634df0b7b00da7077daa9d9d"),
    "test": ArrayFacts(dtype="int64", shape=(1000,), low=1708, high=2707, digest="56119ee19a2af94505667834d4970438"),
}


def decode(files: Mapping[str, Path]) -> Blocks:
    """Read Planetoid's files."""
    return decode_graph(files, INFO.name)


def load(arrays: Mapping[str, NDArray[Any]], seed: int) -> Dataset:
    """Put the graph together."""
    return load_graph(INFO, arrays, seed)


def standin(seed: int) -> Dataset:
    """Return the karate club instead."""
    return karate_instead(INFO, seed)


DOWNLOAD = Download(files=graph_files(INFO.name, _CHECKSUMS), decode=decode, arrays=_FACTS)

SETS = {INFO.name: Source(INFO, load, download=DOWNLOAD, standin=standin)}
