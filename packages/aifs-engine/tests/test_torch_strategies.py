"""Trainings by several processes, against one that has all of each batch."""

import hashlib
import os
import runpy
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine import Callback, Evaluator, NonFiniteError, Trainer  # noqa: E402  # only where torch is
from aifs_engine.torch_learner import TorchLearner  # noqa: E402
from aifs_engine.torch_processes import TorchProcesses  # noqa: E402
from aifs_utils.exceptions import ConfigError  # noqa: E402

HERE = Path(__file__)
run_on = runpy.run_path(str(HERE.with_name("torch_workers.py")))["run_on"]
program = runpy.run_path(str(HERE.with_name("torch_trainings.py")))
new_learner, Points, connected = program["new_learner"], program["Points"], program["connected"]
largest_difference, whole_state = program["largest_difference"], program["whole_state"]

STRATEGIES = ("ddp", "fsdp")
UPDATES = 50
CASES = {  # five batches of twelve, the last one of ten, unless n says otherwise
    "our Adam": {},
    "our SGD": {"kind": "our SGD"},
    "torch's AdamW": {"kind": "AdamW"},
    "a last batch of one sample": {"n": 49, "kind": "our SGD"},
    "a last batch of three samples": {"n": 51, "kind": "our SGD"},
    "a window of three": {"accumulate": 3},
    "a window of three, a last batch of three samples": {"n": 51, "accumulate": 3, "kind": "our SGD"},
    "clipped": {"max_grad_norm": 0.05, "kind": "our SGD"},
    "averaged": {"ema_decay": 0.9},
    "everything": {
        "n": 51, "accumulate": 3, "kind": "our SGD", "max_grad_norm": 0.05, "ema_decay": 0.9, "rate": "cosine",
    },
    "unguarded": {"guard": False, "kind": "AdamW", "max_grad_norm": 0.05},
    "part by part": {"learner": program["ByParts"]},
    "part by part, a window of three": {"learner": program["ByParts"], "accumulate": 3},
    "a criterion that learns": {"criterion": program["Scaled"], "max_grad_norm": 0.05, "n": 51, "accumulate": 3},
    "a part that the loss does not use": {"net": {"spare": True}, "accumulate": 3, "n": 51},
    "two optimizers": {"learner": program["Adversaries"]},
    "two optimizers, a window of three": {"learner": program["Adversaries"], "accumulate": 3, "n": 51},
}  # fmt: skip
DDP_ONLY = {name for name in CASES if name.startswith("two optimizers")}
PAIRS = [(strategy, case) for strategy in STRATEGIES for case in CASES if strategy == "ddp" or case not in DDP_ONLY]
ON_MORE = ("our SGD", "everything", "a criterion that learns")


def learner_of(strategy, case=None, **changes):
    """A fresh learner of a case, and its batches."""
    options = {**CASES.get(case, {}), **changes}
    points, criterion = Points(options.pop("n", 58)), options.pop("criterion", None)
    return new_learner(strategy, criterion=criterion and criterion(), **options), points


def train(strategy, case=None, *, updates=UPDATES, **changes):
    """The state after so many updates, and the history, of one way of training."""
    learner, points = learner_of(strategy, case, **changes)  # five batches
    per_epoch = -(-len(points) // learner._first.accumulate)
    trainer = Trainer(learner, epochs=updates // per_epoch)
    trainer.train(points, list(points.batches(0)))
    assert learner.updates == updates or changes.get("precision") == "fp16"
    return whole_state(learner), trainer.history.rows


@cache
def by_one(case, **options):
    """State and history of one process, and how far its weights have moved."""
    state, history = train("single", case, **options)
    options.pop("updates")
    at_first = learner_of("single", case, **options)[0].state_dict()
    return state, history, largest_difference(at_first["model"], state["model"])


def distances(strategy, case, *, updates=UPDATES, **options):
    """How far several processes end from one, in state and history, and how far one has moved."""
    state, history = train(strategy, case, updates=updates, **options)
    its_state, its_history, moved = by_one(case, updates=updates, **options)
    return [largest_difference(its_state, state), largest_difference(its_history, history), moved]


def all_distances(cases, **options):
    """By strategy and case."""
    with connected():
        return {f"{strategy}, {case}": distances(strategy, case, **options) for strategy, case in cases}


def on_more():
    """The same for twenty updates, with a last batch of two samples."""
    return all_distances([(strategy, case) for strategy in STRATEGIES for case in ON_MORE], updates=20, n=50)


@pytest.fixture(scope="module")
def of_two():
    """What two processes found in every case."""
    return run_on(2, all_distances, PAIRS)


@pytest.mark.parametrize(("strategy", "case"), PAIRS)
def test_two_processes_with_half_the_batch_each_train_as_one_with_the_whole(of_two, strategy, case):
    """Weights, moments, averages and history to 1e-6 after 50 updates."""
    for found in of_two:
        state, history, learned = found[f"{strategy}, {case}"]
        assert state < 1e-6
        assert history < 1e-6
        assert learned > 0.01


@pytest.mark.parametrize("n", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_so_do_more_of_them_than_samples_in_the_last_batch(n):
    """Where some have a stand-in that does not count, and nothing of a small parameter."""
    for found in run_on(n, on_more):
        assert len(found) == len(STRATEGIES) * len(ON_MORE)
        assert max(max(state, history) for state, history, _ in found.values()) < 1e-6, found


def without_weights():
    """How far they end from one process where each one's loss counts alike, whatever the samples of its piece."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchProcesses, "weight", 1.0)
        return [distances(strategy, "a last batch of three samples", updates=10)[0] for strategy in STRATEGIES]


def in_half():
    """By strategy and precision how far the weights end from those of one process."""
    found = {}
    for strategy, precision in [(strategy, precision) for strategy in STRATEGIES for precision in ("bf16", "fp16")]:
        state, by_one = (train(way, "clipped", precision=precision)[0] for way in (strategy, "single"))
        found[f"{strategy}, {precision}"] = largest_difference(by_one["model"], state["model"])
    return found


def overflow():
    """Loss scales, updates and a digest of the weights where the gradients of one process overflow in float16."""
    found = {}
    for strategy in STRATEGIES:
        learner, points = learner_of(strategy, precision="fp16")
        batches = list(points.batches(0))
        batches[2][0][-1] = 300.0  # of the last process's piece
        trainer = Trainer(learner, epochs=1)
        trainer.train(batches)
        state = whole_state(learner)
        found[strategy] = [state["scaler"]["scale"], learner.updates, digest(state["model"])]
    return found


def digest(arrays):
    """Of the bytes of a nest."""
    found = hashlib.sha256()
    for array in arrays.values():
        found.update(digest(array).encode() if isinstance(array, dict) else np.asarray(array).tobytes())
    return found.hexdigest()


def statistics():
    """Digests of model and history where each process draws masks and normalizes for itself."""
    found = {}
    for strategy in STRATEGIES:
        for accumulate in (1, 3):
            state, history = train(strategy, net={"norm": True, "dropout": 0.3}, accumulate=accumulate)
            assert state["model"]["blocks.0.norm.running_mean"].any()
            found[f"{strategy}, {accumulate}"] = [digest(state["model"]), history]
    return found


def reductions():
    """By strategy and window how often gradients were averaged, or cut up, in three batches."""
    found = {}
    for strategy in STRATEGIES:
        for accumulate in (1, 3):
            learner, points = learner_of(strategy, max_grad_norm=0.1, accumulate=accumulate)
            pieces = [(X[:4], y[:4]) for X, y in points.batches(0)][:3]
            for piece in pieces:  # after the first backward pass DDP makes its buckets anew
                learner.train_step(piece)
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                for piece in pieces:
                    learner.train_step(piece)
            counts = {event.key: event.count for event in profile.key_averages()}
            names = ("c10d::allreduce_", "c10d::_reduce_scatter_base_")
            found[f"{strategy}, {accumulate}"] = [counts.get(name, 0) for name in names]
    return found


def own_loop():
    """How far a loop without a `Trainer` ends from one process, where the last window is not full; and a refusal."""
    ends = []
    for strategy in ("ddp", "single"):
        learner, points = learner_of(strategy, accumulate=3, max_grad_norm=0.05)
        rank, size = learner.processes.rank, learner.processes.size
        for X, y in list(points.batches(0))[:4] * 3:
            learner.train_step((X[rank::size], y[rank::size]))
        learner.end_epoch()
        ends.append(whole_state(learner))
    learner, points = learner_of("fsdp", accumulate=3)
    learner.train_step(next(iter(points.batches(0))))
    with pytest.raises(ConfigError, match=r"only aifs_engine\.Trainer can end an epoch with a window"):
        learner.end_epoch()
    return largest_difference(*ends)


def refusals():
    """What a strategy cannot do is said before anything is trained."""
    with pytest.raises(ConfigError, match="strategy 'fsdp' is for one optimizer, this learner has several: take 'ddp'"):
        learner_of("fsdp", "two optimizers")
    with pytest.raises(ConfigError, match="strategy must be"):
        learner_of("dpp")
    model = torch.nn.Linear(2, 2)
    with pytest.raises(ConfigError, match="2 processes would train the same model 2 times"):
        TorchLearner(model, torch.optim.SGD(model.parameters()), strategy="single")
    return True


def alone_again():
    """After a training by two the first goes on by itself: the others have gone."""
    learner, points = learner_of("ddp")
    Trainer(learner, epochs=1).train(points)
    batches = list(points.batches(0))
    together = Evaluator(learner).evaluate(batches)
    learner.work_alone()
    return (
        learner.processes.size == 1 and learner.processes.is_first and Evaluator(learner).evaluate(batches) == together
    )


def divergence():
    """Which error each process raises where the samples of one are not finite, and whether the weights stayed."""
    found = {}
    for strategy in STRATEGIES:
        learner, points = learner_of(strategy)
        batches = list(points.batches(0))
        batches[3][0][-1] = torch.nan  # of the last process's piece
        before = []
        trainer = Trainer(learner, epochs=1, callbacks=[Noting(before)])
        with pytest.raises(NonFiniteError) as caught:
            trainer.train(batches)
        with pytest.raises(NonFiniteError):
            learner.train_step(batches[3])
        found[strategy] = [str(caught.value), digest(whole_state(learner)["model"]) == before[-1], len(before)]
    return found


class Noting(Callback):
    """Notes a digest of the weights after each step."""

    def __init__(self, digests):
        self.digests = digests

    def on_step_end(self, trainer):
        self.digests.append(digest(whole_state(trainer.learner)["model"]))


def many_things():
    """All of these on processes that are started once."""
    checks = (without_weights, in_half, overflow, statistics, reductions, own_loop, refusals, alone_again, divergence)
    with connected():
        return {check.__name__: check() for check in checks}


@pytest.fixture(scope="module")
def two():
    """What each of two processes found."""
    return run_on(2, many_things)


def test_pieces_that_were_not_weighed_would_train_something_else(two):
    """The proof that the first test can fail: of a last batch of three samples one process has two."""
    for found in two:
        assert min(found["without_weights"]) > 1e-4


def test_in_half_precision_they_end_near_one_another(two):
    """In float16 as far as a step that one skips, since its loss scale is still too large, leads them apart."""
    for found in two:
        assert len(found["in_half"]) == 4
        for name, difference in found["in_half"].items():
            assert difference < (1e-3 if name.endswith("bf16") else 0.02), name


def test_gradients_that_overflow_in_one_process_skip_the_update_in_all(two):
    """And halve the loss scale, once."""
    assert two[0]["overflow"] == two[1]["overflow"]
    for scale, updates, _ in two[0]["overflow"].values():
        assert (scale, updates) == (2.0**15, 4)


def test_with_dropout_and_batch_statistics_all_end_with_the_same_weights(two):
    """Though each draws its own masks, and normalizes with its own piece: the statistics kept are the first one's."""
    assert two[0]["statistics"] == two[1]["statistics"]
    assert len({state for state, _ in two[0]["statistics"].values()}) > 1


def test_gradients_are_averaged_once_for_each_window(two):
    """By FSDP for each block and the rest, and the norm for clipping once more; not after each batch."""
    assert two[0]["reductions"] == {"ddp, 1": [3, 0], "ddp, 3": [1, 0], "fsdp, 1": [3, 9], "fsdp, 3": [1, 3]}


def test_a_loop_of_ones_own_trains_alike(two):
    """With pieces of equal size; FSDP wants to know of the end of an epoch before it comes."""
    assert all(found["own_loop"] < 1e-6 for found in two)


def test_what_a_strategy_cannot_do_is_refused(two):
    """In all processes."""
    assert all(found["refusals"] for found in two)


def test_after_ddp_a_process_can_go_on_alone(two):
    """As the first one does when it draws."""
    assert all(found["alone_again"] for found in two)


def test_a_batch_that_is_not_finite_in_one_process_stops_all_before_the_update(two):
    """Each says so, with the samples of its piece; the weights are those of the step before."""
    for found in two:
        for message, stayed, n_steps in found["divergence"].values():
            assert "training diverged" in message
            assert "in epoch 1, step 4" in message
            assert (stayed, n_steps) == (True, 3)


def divergence_of_one():
    """A batch that is not finite in the second process, in the middle of a window: the first one waits at its end."""
    with connected() as processes:
        learner, points = learner_of("ddp", accumulate=3)
        batches = list(points.batches(0))
        if processes.rank == 1:
            batches[1][0][-1] = torch.nan
        Trainer(learner, epochs=1).train(batches)


def test_within_a_window_the_process_that_diverges_says_so_and_leaves():
    """The other one does not wait for ever."""
    with pytest.raises(RuntimeError) as caught:
        run_on(2, divergence_of_one, seconds=60)
    assert "rank 1 ended with 1" in str(caught.value)
    assert "training diverged: loss is nan in epoch 1, step 2" in str(caught.value)
    assert "rank 0 ended with 1" in str(caught.value)


RUN_OF_ONE = """
import sys, threading, torch
before = set(sys.modules)
from aifs_engine import BestSoFar, Checkpointing, Evaluator, Trainer
from aifs_engine.torch_learner import TorchLearner
from aifs_engine.torch_optimizers import Adam
model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
learner = TorchLearner(
    model, Adam(model.parameters()), torch.nn.CrossEntropyLoss(), max_grad_norm=1.0, accumulate=2, ema_decay=0.9
)
batches = [(torch.randn(4, 2), torch.randint(0, 2, (4,))) for _ in range(3)]
Trainer(learner, epochs=2, callbacks=[BestSoFar(), Checkpointing("run")]).train(batches, batches)
Evaluator(learner).predict(batches)
assert threading.active_count() == 1, threading.enumerate()
assert not torch.distributed.is_initialized()
print(*sorted(name for name in set(sys.modules) - before if name.startswith(("torch", "aifs_engine"))))
"""
OF_SEVERAL = {"torch_strategies", "torch_processes", "torch_fsdp", "torch_sharded_state", "torch_sharded_checkpoint"}


@pytest.mark.parametrize("launched", [{}, {"RANK": "0", "WORLD_SIZE": "1"}], ids=["by a person", "by torchrun"])
def test_one_process_loads_and_starts_nothing_of_what_several_need(tmp_path, launched):
    """No part of torch.distributed that torch does not load itself, no connection and no thread."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    command = [sys.executable, "-W", "error", "-c", RUN_OF_ONE]
    finished = subprocess.run(
        command, cwd=tmp_path, env={**environment, **launched}, capture_output=True, text=True, check=False
    )
    assert finished.stderr == ""
    loaded = finished.stdout.split()
    assert "aifs_engine.torch_learner" in loaded
    assert not {name for name in loaded if name.startswith("torch.distributed")}
    assert not set(loaded) & {f"aifs_engine.{name}" for name in (*OF_SEVERAL, "watch")}


DATA = [(21, 4), (21, 100), (64, 6), (64, 64), (1797, 100), (1797, 256)]  # samples in batches of so many


class DealtPoints(Points):
    """Points that deal out their own batches, as the loaders of a data package do."""

    def deal(self, rank, size):
        """Every `size`-th batch from number `rank` on."""
        return list_of(list(self.batches(0))[rank::size])


def list_of(batches):
    """A loader that may be empty."""
    from aifs_engine.learner import IterableLoader

    return IterableLoader(batches)


def evaluations():
    """By strategy, data set and batches whether metrics and predictions are those of one process to the bit."""
    state, _ = train("single", "averaged", updates=10)
    found = {}
    with connected() as processes:
        for strategy in STRATEGIES:
            learner, one = (learner_of(way, "averaged")[0] for way in (strategy, "single"))
            for each in (learner, one):
                each.load_weights(state)
            for n, size in DATA:
                loaders = {"plain": Points(n, size), "dealt": DealtPoints(n, size)}
                for kind, loader in {**loaders, "list": list(loaders["plain"].batches(0))}.items():
                    found[f"{strategy}, {n} in {size}, {kind}"] = [*identical(learner, one, loader), processes.rank]
    return found


def identical(learner, one, loader):
    """Whether two learners measure and predict the same; and how many samples there were."""
    before = torch.get_rng_state()
    metrics = [Evaluator(each).evaluate(loader) for each in (learner, one)]
    found, expected = (Evaluator(each).predict(loader) for each in (learner, one))
    same = [np.array_equal(getattr(found, name), getattr(expected, name)) for name in ("targets", "labels", "scores")]
    assert metrics[0].keys() == {"loss", "accuracy"}
    assert torch.equal(torch.get_rng_state(), before)
    return [metrics[0] == metrics[1], all(same), len(found.labels)]


@pytest.mark.parametrize("size", [1, 2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_evaluation_gives_the_same_bits_on_any_number_of_processes(size):
    """Also of batches that do not divide among them, and where some have none; predictions come in order."""
    found = run_on(size, evaluations)
    assert len(found[0]) == 2 * len(DATA) * 3
    for rank, of_one in enumerate(found):
        for name, (metrics, predictions, n, its_rank) in of_one.items():
            assert (metrics, predictions, its_rank) == (True, True, rank), name
            assert n == int(name.split(", ")[1].split()[0])


def compiled():
    """How far a compiled model ends from one that is not."""
    warnings.simplefilter("ignore")  # of torch's compiler about itself
    with connected():
        found = []
        for strategy in STRATEGIES:
            states = [
                train(way, "a window of three", updates=10, **options)[0]["model"]
                for way, options in ((strategy, {"compile": True}), ("single", {}))
            ]
            found.append(largest_difference(*states))
        return found


@pytest.mark.slow
def test_a_compiled_model_trains_alike():
    """Blocks by FSDP, or the whole by DDP; the names in the state are the model's own."""
    for differences in run_on(2, compiled, seconds=400):
        assert max(differences) < 1e-5
