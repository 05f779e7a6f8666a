"""Graphs are those of the papers, and read right: a network learns from them what it should."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from aifs_data import load_dataset, python2_pickles
from aifs_data.cache import array_digest, check_array
from aifs_data.sources import citeseer, cora, karate
from aifs_data.sources._graphs import neighbours
from aifs_data.sources._planetoid import decode_graph, load_graph
from aifs_data.validation import check_dataset
from aifs_utils import DataError

FOLDER = Path(os.environ.get("AIFS_TEST_DATA", "/nowhere")) / "planetoid"

real_files = pytest.mark.skipif(not FOLDER.is_dir(), reason="AIFS_TEST_DATA names no folder with Planetoid's files")


def decoded(module):
    """Return the arrays of the original files."""
    files = {file.name: FOLDER / file.name for file in module.DOWNLOAD.files}
    return dict(module.decode(files))


def edges(graph):
    """Return the pairs of neighbours, the lower number first."""
    rows, columns = graph.adjacency.nonzero()
    return sorted((int(i), int(j)) for i, j in zip(rows, columns, strict=True) if i < j)


def test_pairs_become_neighbours_both_ways_once_and_without_loops():
    """By a set of pairs."""
    pairs = np.random.default_rng(0).integers(0, 12, (60, 2))
    indices, indptr = neighbours(pairs, n_nodes=14)
    expected = {(i, j) for a, b in pairs.tolist() for i, j in ((a, b), (b, a)) if i != j}
    found = [(i, j) for i in range(14) for j in indices[indptr[i] : indptr[i + 1]].tolist()]
    assert found == sorted(expected)


# --- the karate club --------------------------------------------------------------------------------------------------


def test_the_club_is_that_of_networkx():
    """Members, friendships and sides."""
    import networkx

    club, dataset = networkx.karate_club_graph(), load_dataset("karate")
    assert edges(dataset.graph) == sorted(map(tuple, map(sorted, club.edges)))
    assert len(edges(dataset.graph)) == 78
    assert [dataset.class_names[k] for k in dataset.graph.labels] == [club.nodes[i]["club"] for i in range(34)]
    np.testing.assert_array_equal(dataset.graph.adjacency.toarray(), dataset.graph.adjacency.toarray().T)
    np.testing.assert_array_equal(dataset.graph.features.toarray(), np.eye(34))
    assert {dataset.graph.features.dtype, dataset.graph.adjacency.dtype} == {np.dtype("float32")}


@pytest.mark.parametrize(("n_val", "sides"), [(0, [0, 0]), (1, [0, 1]), (8, [4, 4]), (30, [15, 15])])
def test_the_leaders_are_all_there_is_to_learn_from(n_val, sides):
    """The rest is divided by seed."""
    dataset = load_dataset("karate", seed=2, n_val=n_val)
    check_dataset(dataset)
    assert dataset.train.X.tolist() == [0, 33]
    assert dataset.train.y.tolist() == [0, 1]
    assert np.bincount(dataset.val.y, minlength=2).tolist() == sides
    nodes = np.concatenate([part.X for part in (dataset.train, dataset.val, dataset.test)])
    assert sorted(nodes) == list(range(34))
    assert (load_dataset("karate", seed=3).val.X.tolist() != load_dataset("karate", seed=2).val.X.tolist()) or not n_val
    for part in (dataset.train, dataset.val, dataset.test):
        np.testing.assert_array_equal(part.y, dataset.graph.labels[part.X])


def test_test_keeps_members():
    """30 of the 32 are the most that validation can have."""
    with pytest.raises(DataError, match=r"n_val is at most 30, .* got 31"):
        load_dataset("karate", n_val=31)


@pytest.mark.parametrize("module", [cora, citeseer])
def test_the_stand_in_is_the_club_and_says_so(module):
    """With its own classes and licence."""
    dataset = module.standin(1)
    check_dataset(dataset)
    assert (dataset.name, dataset.standin) == (module.INFO.name, "Zachary's karate club, 34 nodes")
    assert (dataset.n_features, dataset.class_names) == (34, ("Mr. Hi", "Officer"))
    assert dataset.info.licence == karate.INFO.licence
    assert dataset.digest == load_dataset("karate", seed=1).digest


# --- Planetoid --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_graph(tmp_path, monkeypatch):
    """Files of a made-up graph: 3 nodes to learn from, 501 more, and test nodes 507, 504 and 505; 506 is unknown."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2, (508, 6))
    words[506] = 0
    classes = rng.integers(0, 2, 508)
    one_hot, test = np.eye(2, dtype=np.int32)[classes], [507, 504, 505]
    contents = {
        "y": one_hot[:3],
        "allx": csr_array(words[:504].astype(np.float32)),
        "ally": one_hot[:504],
        "tx": csr_array(words[test].astype(np.float32)),
        "ty": one_hot[test],
        "graph": {0: [507, 507, 1], 1: [0], 2: [2], 507: [0, 505], 505: [507], **{i: [] for i in range(3, 505)}},
    }
    (tmp_path / "ind.small.test.index").write_text("".join(f"{i}\n" for i in test))
    monkeypatch.setattr(python2_pickles, "read_pickle", lambda path: contents[path.name.rpartition(".")[2]])
    files = {f"ind.small.{suffix}": tmp_path / f"ind.small.{suffix}" for suffix in (*contents, "test.index")}
    return files, words, np.where(np.arange(508) == 506, -1, classes)


def test_test_nodes_are_put_where_their_index_says(small_graph):
    """Words and labels alike; one that no line names stays without."""
    files, words, labels = small_graph
    arrays = dict(decode_graph(files, "small"))
    info = cora.INFO
    dataset = load_graph(info, arrays, seed=0)
    np.testing.assert_array_equal(dataset.graph.features.toarray()[:, :6], words)
    np.testing.assert_array_equal(dataset.graph.labels, labels)
    assert dataset.train.X.tolist() == [0, 1, 2]
    assert dataset.val.X.tolist() == list(range(3, 503))
    assert dataset.test.X.tolist() == [504, 505, 507]
    assert edges(dataset.graph) == [(0, 1), (0, 507), (505, 507)]
    for part in (dataset.train, dataset.val, dataset.test):
        np.testing.assert_array_equal(part.y, labels[part.X])


@real_files
@pytest.mark.parametrize("module", [cora, citeseer])
def test_the_original_files_decode_to_what_the_registry_says(module):
    """Types, shapes, classes and digests."""
    arrays = decoded(module)
    assert sorted(arrays) == sorted(module.DOWNLOAD.arrays)
    for name, array in arrays.items():
        facts = module.DOWNLOAD.arrays[name]
        check_array(name, array, facts, array_digest(array))
        assert (facts.low, facts.high) == (array.min(), array.max())


@real_files
@pytest.mark.parametrize(
    ("module", "n_nodes", "n_edges", "n_features", "n_classes"),
    [(cora, 2708, 5278, 1433, 7), (citeseer, 3327, 4552, 3703, 6)],
)
def test_a_graph_has_the_published_size(module, n_nodes, n_edges, n_features, n_classes):
    """Nodes, edges, words and classes; symmetric, without self-loops, every word 0 or 1."""
    dataset = module.load(decoded(module), 0)
    check_dataset(dataset)
    graph = dataset.graph
    assert (graph.n_nodes, len(edges(graph)), dataset.n_classes) == (n_nodes, n_edges, n_classes)
    assert graph.features.shape == (n_nodes, n_features)
    assert graph.adjacency.shape == (n_nodes, n_nodes)
    assert (graph.adjacency != graph.adjacency.T).nnz == 0
    assert graph.adjacency.diagonal().sum() == 0
    assert graph.features.has_canonical_format
    assert graph.adjacency.has_canonical_format
    assert set(graph.features.data) == set(graph.adjacency.data) == {1}


@real_files
@pytest.mark.parametrize(("module", "n_classes"), [(cora, 7), (citeseer, 6)])
def test_the_split_is_the_public_one(module, n_classes):
    """20 of each class, 500 and 1,000, with nothing in common."""
    dataset = module.load(decoded(module), 0)
    assert np.bincount(dataset.train.y).tolist() == [20] * n_classes
    assert (len(dataset.val), len(dataset.test)) == (500, 1000)
    nodes = np.concatenate([part.X for part in (dataset.train, dataset.val, dataset.test)])
    assert len(set(nodes)) == 20 * n_classes + 1500


@real_files
def test_citeseers_unknown_papers_are_in_no_part():
    """15 of them, without words. They are called isolated, but each has a neighbour; others have none."""
    dataset = citeseer.load(decoded(citeseer), 0)
    unknown = np.flatnonzero(dataset.graph.labels < 0)
    assert len(unknown) == 15
    assert dataset.graph.features[unknown].nnz == 0
    assert dataset.graph.adjacency[unknown].sum(axis=1).min() == 1
    assert (dataset.graph.features.sum(axis=1) == 0).sum() == 15
    nodes = np.concatenate([part.X for part in (dataset.train, dataset.val, dataset.test)])
    assert not set(unknown) & set(nodes)
    assert (dataset.graph.adjacency.sum(axis=1) == 0).sum() == 48


@real_files
@pytest.mark.slow
@pytest.mark.parametrize(("module", "published"), [(cora, 0.815), (citeseer, 0.703)])
def test_a_graph_convolutional_network_is_as_good_as_published(module, published):
    """Kipf and Welling's two layers: it takes the right words, edges, labels and split."""
    dataset = module.load(decoded(module), 0)
    accuracies = [gcn_accuracy(dataset, seed) for seed in range(2)]
    assert np.mean(accuracies) > published - 0.025


def gcn_accuracy(dataset, seed, n_hidden=16, n_epochs=200, dropout=0.5, learning_rate=0.01, decay=5e-4):
    """Return the test accuracy of softmax(A relu(A X W0) W1) after training."""
    rng = np.random.default_rng(seed)
    A, X = normalised(dataset.graph.adjacency), dataset.graph.features
    X = csr_array(X / np.maximum(X.sum(axis=1), 1)[:, np.newaxis])
    nodes, targets = dataset.train.X, np.eye(dataset.n_classes)[dataset.train.y]
    sizes = (X.shape[1], n_hidden, dataset.n_classes)
    weights = [rng.uniform(-1, 1, pair) * np.sqrt(6 / sum(pair)) for pair in pairwise(sizes)]
    means, squares = ([np.zeros_like(W) for W in weights] for _ in range(2))

    def kept(shape):
        return (rng.random(shape) >= dropout) / (1 - dropout)

    for step in range(1, n_epochs + 1):
        X_kept = X.copy()
        X_kept.data = X.data * kept(len(X.data))
        hidden = np.maximum(A @ (X_kept @ weights[0]), 0)
        mask = kept(hidden.shape)
        difference = np.zeros((X.shape[0], dataset.n_classes))
        difference[nodes] = (softmax(A @ ((hidden * mask) @ weights[1]))[nodes] - targets) / len(nodes)
        back = A @ difference
        into_hidden = A @ ((back @ weights[1].T) * mask * (hidden > 0))
        gradients = [X_kept.T @ into_hidden + decay * weights[0], (hidden * mask).T @ back]
        for W, gradient, m, v in zip(weights, gradients, means, squares, strict=True):  # Adam
            m += 0.1 * (gradient - m)
            v += 0.001 * (gradient**2 - v)
            W -= learning_rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    logits = A @ (np.maximum(A @ (X @ weights[0]), 0) @ weights[1])
    return (logits[dataset.test.X].argmax(axis=1) == dataset.test.y).mean()


def normalised(adjacency):
    """Return D^(-1/2) (A + I) D^(-1/2)."""
    n_nodes = adjacency.shape[0]
    looped = adjacency + csr_array((np.ones(n_nodes), (np.arange(n_nodes), np.arange(n_nodes))))
    scale = 1 / np.sqrt(looped.sum(axis=1))
    return csr_array(looped * scale[:, np.newaxis] * scale)


def softmax(logits):
    """Return probabilities, row by row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
