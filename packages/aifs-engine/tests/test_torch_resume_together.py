"""Runs of several processes that are stopped, and go on on as many or on others."""

import runpy
import shutil
import signal
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")

from aifs_engine import Interrupted  # noqa: E402  # only where torch is
from aifs_engine.distributed import Agreement  # noqa: E402

HERE = Path(__file__)
run_on = runpy.run_path(str(HERE.with_name("torch_workers.py")))["run_on"]
program = runpy.run_path(str(HERE.with_name("torch_trainings.py")))
Points, connected, go_on = program["Points"], program["connected"], program["go_on"]

SIZES = (1, 2, 4)
STRATEGIES = ("ddp", "fsdp")
EPOCHS = 4  # of five batches, so of two windows of two and one of one
STOP = 7


def new_trainer(strategy, folder, *callbacks, epochs=EPOCHS, **options):
    """A fresh trainer with everything that has a state."""
    options = {"accumulate": 2, "ema_decay": 0.9, "max_grad_norm": 0.1, "rate": "cosine", **options}
    return program["new_trainer"](program["new_learner"](strategy, **options), folder, *callbacks, epochs=epochs)


def train(trainer):
    """To the end, or to a signal."""
    points = Points(53, noise=0.1)  # pieces of three and two samples in the last batch: one alone has no variance
    trainer.train(points, list(points.batches(0)))


def ways():
    """How this number of processes trains."""
    return STRATEGIES if torch.distributed.get_world_size() > 1 else ("single",)


def save(folder):
    """In the middle of an epoch, and at the end of one, by each way; what lies there is the newest checkpoint."""
    n, rank, folder = torch.distributed.get_world_size(), torch.distributed.get_rank(), Path(folder)
    ended_at = []
    for strategy in ways():
        ended_at.append(stopped(strategy, folder / f"{n}-{strategy}-stopped", STOP, of_rank=n - 1)[1])
        with connected():
            trainer = new_trainer(strategy, folder / f"{n}-{strategy}-done", epochs=2)
            train(trainer)
            if rank == 0:
                saving(trainer).files.last.rename(folder / f"{n}-{strategy}-done" / "expected.safetensors")
            saving(trainer).save(trainer)  # as in the middle of a run
    return ended_at


def stopped(strategy, folder, step, of_rank, **options):
    """Exit code and step of a run in which one process is sent a signal after a step."""
    Agreement.SECONDS = 0.0  # or a signal would be obeyed some steps later
    with connected() as processes:
        stops = [program["StopAt"](step, signal.SIGTERM)] if processes.rank == of_rank else []
        trainer = new_trainer(strategy, folder, *stops, **options)
        with pytest.raises(Interrupted) as caught:
            train(trainer)
    return [caught.value.exit_code, trainer.step]


def saving(trainer):
    """The callback that writes its checkpoints."""
    return trainer.callbacks[-1]


def load(folder, of):
    """By origin and way how far a run that goes on ends from one without a stop, or whether bytes are equal."""
    folder = Path(folder)
    whole = new_trainer("single", folder / "nowhere")
    whole.callbacks.pop()
    train(whole)
    expected = program["whole_state"](whole.learner), whole.history.rows
    found = {}
    for strategy in ways():
        with connected() as processes:
            for origin in sorted(folder.glob(f"{of}-*-stopped")):
                trainer = new_trainer(strategy, copied(origin, strategy, processes))
                go_on(trainer)
                begun = trainer.step
                train(trainer)
                ends = program["whole_state"](trainer.learner), trainer.history.rows
                differences = [program["largest_difference"](*pair) for pair in zip(expected, ends, strict=True)]
                found[f"{origin.name} to {strategy}"] = [begun, *differences, files_of(trainer)]
            for origin in sorted(folder.glob(f"{of}-*-done")):
                trainer = new_trainer(strategy, copied(origin, strategy, processes), epochs=2)
                go_on(trainer)
                train(trainer)
                found[f"{origin.name} to {strategy}"] = same_files(origin, saving(trainer).files.folder)
    return found


def copied(origin, strategy, processes):
    """A copy of a run's checkpoints, for these processes to go on with."""
    copy = origin.parent / f"from-{origin.name}-to-{processes.size}-{strategy}"
    processes.from_first(lambda: shutil.copytree(origin, copy) and None)
    return copy


def files_of(trainer):
    """The names of what a run has left."""
    return sorted(path.name for path in saving(trainer).files.folder.iterdir())


def same_files(origin, copy):
    """Whether both checkpoints of a run are those of the run that was loaded."""
    pairs = [("expected", "last"), ("best", "best")]
    return [(origin / f"{a}.safetensors").read_bytes() == (copy / f"{b}.safetensors").read_bytes() for a, b in pairs]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A function that returns the folder in which so many processes have saved."""
    folder = tmp_path_factory.mktemp("saved")

    @cache
    def by(n):
        for ended_at in run_on(n, save, folder):
            assert all(STOP <= step <= STOP + 2 for step in ended_at)
        return folder

    return by


@pytest.fixture(scope="module")
def loaded(saved):
    """A function that returns what `n` processes found who went on with what others had saved."""
    return cache(lambda of, n: run_on(n, load, saved(of), of))


MATRIX = [
    pytest.param(of, n, marks=pytest.mark.slow if 4 in (of, n) else [], id=f"{of} to {n}")
    for of in SIZES
    for n in SIZES
]


def n_ways(of, n):
    """In how many ways so many go on with what so many have saved."""
    return (1 if of == 1 else 2) * (1 if n == 1 else 2)


@pytest.mark.parametrize(("of", "n"), MATRIX)
def test_what_some_have_saved_in_the_middle_of_an_epoch_any_number_goes_on_with(loaded, of, n):
    """By any strategy; weights, moments, averages and history end as without a stop, to 1e-6."""
    for found in loaded(of, n):
        ends = {name: end for name, end in found.items() if "-stopped to " in name}
        assert len(ends) == n_ways(of, n)
        for name, (begun, state, history, files) in ends.items():
            assert begun >= STOP, name
            assert state < 1e-6, name
            assert history < 1e-6, name
            assert set(files) - {"previous.safetensors"} == {"best.safetensors", "last.safetensors"}, name


@pytest.mark.parametrize(("of", "n"), MATRIX)
def test_a_state_that_is_loaded_and_saved_is_the_same_file_whoever_has_it(loaded, of, n):
    """To the byte, whether it was in shards before, or is now, and of how many."""
    for found in loaded(of, n):
        files = [same for name, same in found.items() if "-done to " in name]
        assert files == [[True, True]] * n_ways(of, n)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_numpy_alone_reads_what_several_processes_have_left(saved, strategy):
    """Under the names that one process gives, in the same shapes, and the weights are those."""
    load_file = pytest.importorskip("safetensors.numpy", reason="the library is not installed").load_file
    found, expected = (
        load_file(saved(n) / f"{n}-{way}-done" / "expected.safetensors") for n, way in ((2, strategy), (1, "single"))
    )
    shapes = [{name: array.shape for name, array in arrays.items()} for arrays in (found, expected)]
    assert shapes[0] == shapes[1]
    assert shapes[0]["learner.model.blocks.0.inner.weight"] == (5, 6)
    for name in (name for name in found if name.startswith("learner.")):
        assert np.allclose(found[name], expected[name], rtol=1e-5, atol=1e-6), name


STOPS = [(1, 1), (5, 0), (8, 1), (19, 1)]  # after which step, and which process hears of it


def stopped_and_continued(folder):
    """By strategy and stop whether both files are those of a run without one; and where the runs stopped."""
    folder, found = Path(folder), {}
    options = {"net": {"dropout": 0.3, "norm": True}, "accumulate": 3}
    for strategy in STRATEGIES:
        with connected() as processes:
            whole = new_trainer(strategy, folder / strategy, **options)
            train(whole)
            if processes.is_first:
                saving(whole).files.last.rename(folder / strategy / "expected.safetensors")
        for step, rank in STOPS:
            place = folder / f"{strategy}-{step}"
            ended = stopped(strategy, place, step, rank, **options)
            found[f"{strategy}, {step}"] = [*ended, *continued(strategy, place, whole, **options)]
    place = folder / "other masks"
    stopped("fsdp", place, 7, 1, **options)
    found["other masks"] = continued("fsdp", place, whole, other_seed=1, **options)
    return found


def continued(strategy, folder, whole, *, other_seed=0, **options):
    """Where a run goes on, and whether it ends with the history and the files of a run without a stop."""
    with connected() as processes:
        trainer = new_trainer(strategy, folder, **options)
        torch.manual_seed(99)
        processes.seed += other_seed
        go_on(trainer)
        begun = trainer.step
        train(trainer)
    return [begun, trainer.history == whole.history, *same_files(folder.with_name(strategy), folder)]


def test_a_run_that_is_stopped_by_a_signal_to_one_process_ends_in_the_same_bytes(tmp_path):
    """With dropout, running statistics, augmentation and windows; all stop after the same step, between two updates."""
    found = run_on(2, stopped_and_continued, tmp_path)
    assert found[0] == found[1]
    assert found[0].pop("other masks")[1:3] == [False, False]  # the proof that this can fail: the model does draw
    assert len(found[0]) == len(STRATEGIES) * len(STOPS)
    for name, (code, stopped, begun, same_history, same_last, same_best) in found[0].items():
        assert code == 143, name
        assert stopped == begun >= int(name.split(", ")[1]), name
        assert stopped % 5 in (0, 3), name  # a window of three, or the epoch's last one of two
        assert (same_history, same_last, same_best) == (True, True, True), name
