import math

import pytest

from aifs_engine import BestSoFar, Callback, Checkpointing, EarlyStopping, History, Snapshots, Trainer, load_checkpoint
from aifs_utils.exceptions import ConfigError


class Script:
    """A learner whose validation loss is written down in advance; its weight counts the epochs."""

    def __init__(self, losses):
        self.losses = losses
        self.epoch = 0

    def train_step(self, batch):
        self.epoch += 1
        return {"loss": 0.0}

    def eval_step(self, batch):
        return {"loss": self.losses[self.epoch - 1]}

    def state_dict(self):
        return {"epoch": self.epoch}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]


def train(losses, *callbacks):
    trainer = Trainer(Script(losses), epochs=len(losses), callbacks=callbacks)
    trainer.train([[0]], [[0]])
    return trainer


def test_early_stopping_waits_for_its_patience():
    trainer = train([3.0, 2.0, 2.5, 2.1, 1.0], EarlyStopping(patience=2))
    assert trainer.epoch == 4
    assert trainer.stop_reason == "val_loss has not improved for 2 epochs"


def test_early_stopping_ignores_gains_below_min_delta():
    assert train([3.0, 2.99, 2.98, 2.97], EarlyStopping(patience=2, min_delta=0.1)).epoch == 3


def test_early_stopping_lets_an_improving_run_finish():
    assert train([5.0, 4.0, 3.0, 2.0], EarlyStopping(patience=1)).stop_reason == ""


def test_the_best_is_the_first_of_equals():
    best = BestSoFar()
    train([3.0, 1.0, 2.0, 1.0], best)
    assert (best.best_epoch, best.best_value, best.best_state) == (2, 1.0, {"epoch": 2})


def test_nan_is_never_the_best():
    best = BestSoFar()
    train([math.nan, 5.0, math.nan], best)
    assert best.best_epoch == 2


@pytest.mark.parametrize(
    ("metric", "mode"), [("val_loss", "min"), ("train_error", "min"), ("val_accuracy", "max"), ("val_bleu", "max")]
)
def test_the_direction_follows_from_the_metrics_name(metric, mode):
    assert BestSoFar(metric).mode == mode


def test_an_unknown_metric_names_those_there_are():
    with pytest.raises(ConfigError, match="no metric 'val_accuracy' to watch; this run has: epoch, step, train_loss"):
        train([1.0], BestSoFar("val_accuracy"))


def test_a_direction_that_no_name_tells_must_be_given():
    with pytest.raises(ConfigError, match="is less or more 'val_fid' better"):
        BestSoFar("val_fid")
    assert BestSoFar("val_fid", mode="min").mode == "min"


def test_the_epoch_as_a_metric_keeps_the_last_state():
    best = BestSoFar("epoch")
    train([1.0, 2.0, 3.0], best)
    assert best.best_state == {"epoch": 3}


def test_the_first_of_two_decides_what_the_best_file_holds(tmp_path):
    train([3.0, 1.0, 2.0], BestSoFar("val_loss"), BestSoFar("epoch"), Checkpointing(tmp_path))
    best = load_checkpoint(tmp_path / "best.safetensors")
    assert (best.header["epoch"], best.state["learner"]) == (2, {"epoch": 2})
    assert [row["epoch"] for row in best.state["history"]] == [1, 2]


def test_states_are_copied_whatever_they_are_made_of():
    class Tensor:  # an array without copy()
        def __init__(self):
            self.values = [0.0]

    class Learner(Script):
        tensor = Tensor()

        def train_step(self, batch):
            self.tensor.values[0] += 1
            return super().train_step(batch)

        def state_dict(self):
            return {"tensor": self.tensor}

    best = BestSoFar()
    Trainer(Learner([1.0, 2.0]), epochs=2, callbacks=[best]).train([[0]], [[0]])
    assert best.best_state["tensor"].values == [1.0]


def test_a_wrong_mode_is_refused():
    with pytest.raises(ConfigError, match="mode must be 'min' or 'max'"):
        BestSoFar(mode="lowest")


def test_snapshots_keep_the_epochs_that_were_asked_for_and_the_last():
    snapshots = Snapshots((0, 2, 9))
    train([1.0, 1.0, 1.0], snapshots)
    assert snapshots.items() == [(0, {"epoch": 0}), (2, {"epoch": 2}), (3, {"epoch": 3})]


def test_snapshots_are_copies(learner, batches):
    snapshots = Snapshots((0, 1))
    Trainer(learner, epochs=1, callbacks=[snapshots]).train(batches)
    (_, before), (_, after) = snapshots.items()
    assert not before["w"].any()
    assert after["w"].any()


def test_checkpointing_writes_last_and_best(tmp_path):
    train([3.0, 1.0, 2.0], BestSoFar(), Checkpointing(tmp_path, header={"model": "script"}))
    last, best = (load_checkpoint(tmp_path / f"{name}.safetensors") for name in ("last", "best"))
    assert (last.header["epoch"], last.state["learner"]) == (3, {"epoch": 3})
    assert (best.header["epoch"], best.state["learner"], best.header["metrics"]) == (2, {"epoch": 2}, {"val_loss": 1.0})
    assert last.header["model"] == best.header["model"] == "script"


def test_checkpointing_keeps_every_nth_epoch(tmp_path):
    train([1.0] * 5, Checkpointing(tmp_path, every_epochs=2))
    assert [path.stem for path in sorted(tmp_path.glob("epoch-*"))] == ["epoch-0002", "epoch-0004"]


def test_checkpointing_saves_in_the_middle_of_an_epoch_when_it_is_due(tmp_path, learner, batches, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    positions = []

    class Watch(Checkpointing):
        def save(self, trainer):
            super().save(trainer)
            positions.append((trainer.epoch, trainer.batch))

    Trainer(learner, epochs=10, callbacks=[Watch(tmp_path, overhead=0.1)]).train(batches)
    assert len(positions) >= 3
    assert any(batch for _, batch in positions)


@pytest.mark.parametrize("overhead", [0, -1, 1.5])
def test_the_share_of_time_for_checkpoints_must_be_possible(tmp_path, overhead):
    with pytest.raises(ConfigError, match="overhead is a share"):
        Checkpointing(tmp_path, overhead=overhead)


def test_checkpointing_comes_last_whatever_the_order(learner, tmp_path):
    trainer = Trainer(learner, epochs=1, callbacks=[Checkpointing(tmp_path), BestSoFar(), Callback()])
    assert isinstance(trainer.callbacks[-1], Checkpointing)


def test_a_run_without_validation_has_no_val_columns(learner, batches):
    history = Trainer(learner, epochs=1).train(batches)
    assert isinstance(history, History)
    assert list(history.last) == ["epoch", "step", "train_loss"]
