"""Citeseer: papers on computer science that cite each other."""

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
    name="citeseer",
    title="Citeseer, papers that cite each other",
    task="node classification",
    n_features=3703,
    class_names=(
        "AI",
        "Machine Learning",
        "Information Retrieval",
        "Databases",
        "Agents",
        "Human-Computer Interaction",
    ),
    arrays=node_arrays(3327, 6),
    licence=LICENCE,
    citation=CITATION,
    homepage=HOMEPAGE,
    description="3,327 papers on computer science, 4,552 pairs of which one cites the other, and 3,703 words. 15 "
    "papers that were meant for test have no words and no label: graph.labels is -1 there, and they are in no part. "
    f"48 papers have no neighbour. {THE_SPLIT} {THE_GRAPH}",
)

_CHECKSUMS = {
    "tx": (260321, "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21"),
    "allx": (595021, "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668"),
    "y": (3014, "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924"),
    "ty": (24135, "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce"),
    "ally": (55623, "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95"),
    "graph": (61987, "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7"),
    "test.index": (5000, "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4"),
}

_FACTS = {
    "feature_indices": ArrayFacts(
        dtype="int32", shape=(105165,), low=0, high=3702, digest="6c3e28a92a8078eb107080b7f7bee4fb"
    ),
    "feature_indptr": ArrayFacts(
        dtype="int32", shape=(3328,), low=0, high=105165, digest="7a1957caecfdb5008a970aa8e0e58d54"
    ),
    "adjacency_indices": ArrayFacts(
        dtype="int32", shape=(9104,), low=0, high=3326, digest="99055fd07c3a9629b262364de4392ecf"
    ),
    "adjacency_indptr": ArrayFacts(
        dtype="int32", shape=(3328,), low=0, high=9104, digest="a2ad9f2c106bb86bf27a9d584cba1ccb"
    ),
    "labels": ArrayFacts(dtype="int64", shape=(3327,), low=-1, high=5, digest="98685c98707d1b347f4fb9170b75760e"),
    "train": ArrayFacts(dtype="int64", shape=(120,), low=0, high=119, digest="d763ad6ff71263da8e7ca12d78adcde0"),
    "val": ArrayFacts(dtype="int64", shape=(500,), low=120, high=619, digest="e52bc88626a3e7a789872f729e171f4f"),
    "test": ArrayFacts(dtype="int64", shape=(1000,), low=2312, high=3326, digest="94466fe65573bc8fa60a067b9e99e9b9"),
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
