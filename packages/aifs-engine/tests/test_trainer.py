import os
import signal
import threading

import numpy as np
import pytest

from aifs_engine import (
    BestSoFar,
    Callback,
    Checkpointing,
    EarlyStopping,
    Interrupted,
    NonFiniteError,
    Snapshots,
    Trainer,
    load_checkpoint,
)
from aifs_utils.exceptions import ConfigError, TrainingError
from aifs_utils.seeds import set_random_seed


class StopAt(Callback):
    """Sends this process a signal after so many steps."""

    def __init__(self, step, number=signal.SIGINT):
        self.target, self.number = step, number

    def on_step_end(self, trainer):
        if trainer.step == self.target:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def new_trainer(noisy_learner):
    """A function that makes a fresh trainer with everything that has a state."""

    def make(folder, *extra, epochs=4):
        set_random_seed(3)
        callbacks = [BestSoFar(), EarlyStopping(patience=50), Snapshots(), Checkpointing(folder), *extra]
        return Trainer(noisy_learner(), epochs=epochs, callbacks=callbacks)

    return make


def test_the_loop_learns(learner, batches):
    history = Trainer(learner, epochs=60).train(batches, batches)
    assert np.allclose(learner.w, [1.0, -2.0], atol=0.15)
    assert history["val_loss"][-1] < 0.05 * history["val_loss"][0]


def test_a_learner_that_does_not_update_does_not_learn(learner, batches):
    learner.learning_rate = 0.0
    history = Trainer(learner, epochs=60).train(batches, batches)
    assert history["val_loss"][-1] == history["val_loss"][0]


def test_history_counts_epochs_and_steps(learner, batches):
    history = Trainer(learner, epochs=3).train(batches)
    assert history["epoch"] == [1, 2, 3]
    assert history["step"] == [5, 10, 15]


@pytest.mark.parametrize("step", [1, 3, 5, 6, 10, 19, 20])
def test_a_run_stopped_at_any_step_and_continued_ends_in_the_same_bytes(tmp_path, new_trainer, batches, step):
    whole = new_trainer(tmp_path / "whole")
    whole.train(batches, batches)
    first = new_trainer(tmp_path / "parts", StopAt(step))
    with pytest.raises(Interrupted):
        first.train(batches, batches)
    second = new_trainer(tmp_path / "parts")
    set_random_seed(99)  # another process would not be in the same random state
    second.load_state_dict(load_checkpoint(tmp_path / "parts" / "last.safetensors").state)
    assert second.step == step
    assert second.train(batches, batches) == whole.history
    for name in ("last", "best"):
        whole_file, parts_file = (tmp_path / part / f"{name}.safetensors" for part in ("whole", "parts"))
        assert whole_file.read_bytes() == parts_file.read_bytes(), name


@pytest.mark.parametrize("left_out", ["position", "means", "history", "learner", "callbacks", "random"])
def test_each_piece_of_the_state_is_needed(tmp_path, new_trainer, batches, left_out):
    """The proof that the test above can fail: without any one piece the continued run differs."""
    whole = new_trainer(tmp_path / "whole")
    whole.train(batches, batches)
    first = new_trainer(tmp_path / "parts", StopAt(7))
    with pytest.raises(Interrupted):
        first.train(batches, batches)
    second = new_trainer(tmp_path / "parts")
    fresh = second.state_dict()
    set_random_seed(99)
    state = load_checkpoint(tmp_path / "parts" / "last.safetensors").state
    if left_out == "random":
        from aifs_utils.seeds import get_random_state

        fresh["random"] = get_random_state()
    second.load_state_dict({**state, left_out: fresh[left_out]})
    second.train(batches, batches)
    files = [(tmp_path / part / "last.safetensors").read_bytes() for part in ("whole", "parts")]
    assert files[0] != files[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_and_saves(tmp_path, new_trainer, batches, number, code):
    trainer = new_trainer(tmp_path, StopAt(2, number))
    with pytest.raises(Interrupted) as caught:
        trainer.train(batches)
    assert caught.value.exit_code == code
    assert load_checkpoint(tmp_path / "last.safetensors").header["step"] == 2


def test_signal_handlers_are_put_back(learner, batches):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    Trainer(learner, epochs=1).train(batches)
    with pytest.raises(Interrupted):
        Trainer(learner, epochs=1, callbacks=[StopAt(6)]).train([*batches, *batches])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_training_works_in_a_thread_where_no_handler_can_be_set(learner, batches):
    histories = []
    thread = threading.Thread(target=lambda: histories.append(Trainer(learner, epochs=2).train(batches)))
    thread.start()
    thread.join()
    assert len(histories[0]) == 2


def test_training_longer_goes_on_from_the_end(tmp_path, new_trainer, batches):
    whole = new_trainer(tmp_path / "whole", epochs=4)
    whole.train(batches, batches)
    short = new_trainer(tmp_path / "short", epochs=2)
    short.train(batches, batches)
    longer = new_trainer(tmp_path / "short", epochs=4)
    longer.load_state_dict(load_checkpoint(tmp_path / "short" / "last.safetensors").state)
    longer.train(batches, batches)
    assert longer.learner.w.tobytes() == whole.learner.w.tobytes()


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, learner, batches):
    checkpointing = Checkpointing(tmp_path)
    Trainer(learner, epochs=1, callbacks=[checkpointing]).train(batches)
    good = (tmp_path / "last.safetensors").read_bytes()
    steps = iter([{"loss": 0.1}] * 7 + [{"loss": float("nan")}])
    learner.train_step = lambda batch: next(steps)
    message = "loss is nan in epoch 2, step 8, at learning rate 0.1; last good checkpoint: .*last.safetensors"
    with pytest.raises(NonFiniteError, match=message):
        Trainer(learner, epochs=4, callbacks=[checkpointing]).train(batches)
    assert (tmp_path / "last.safetensors").read_bytes() == good


def test_a_learner_hears_of_the_epochs_end_before_its_means_are_read(learner, batches):
    """So that it can make an update that is still due, or report what it has put off."""
    order = []
    learner.end_epoch = lambda: order.append("end")
    step = learner.train_step
    learner.train_step = lambda batch: order.append("step") or step(batch)
    learner.eval_step = lambda batch: order.append("eval") or {"loss": 0.0}
    Trainer(learner, epochs=2).train(batches[:2], batches[:1])
    assert order == ["step", "step", "end", "eval"] * 2


def test_an_error_that_comes_late_names_the_step_and_the_samples_it_is_about(learner, batches):
    """A learner on an accelerator finds out one step later."""

    class Numbered:
        def __len__(self):
            return 5

        def batches(self, epoch, start=0):
            return iter(batches[start:])

        def batch_indices(self, epoch, batch):
            return np.arange(3 + 4 * (batch == 2)) + 100 * epoch + 10 * batch

    losses = iter([0.1] * 8)

    def step(batch):
        for loss in losses:
            return {"loss": loss}
        raise NonFiniteError("loss is nan", details="gradient norm inf", remedy="look at these samples", steps_ago=1)

    learner.train_step = step
    with pytest.raises(NonFiniteError) as caught:
        Trainer(learner, epochs=2).train(Numbered())
    assert str(caught.value) == (
        "training diverged: loss is nan in epoch 2, step 8, at learning rate 0.1, "
        "on samples 120, 121, 122, 123, 124, … (7 in the batch); "
        "gradient norm inf; last good checkpoint: none; look at these samples"
    )


@pytest.mark.parametrize("loss", [np.float32("nan"), np.float64("inf"), np.array(np.nan)])
def test_no_kind_of_number_hides_a_loss_that_is_not_finite(learner, batches, loss):
    learner.train_step = lambda batch: {"loss": loss}
    with pytest.raises(NonFiniteError, match="training diverged"):
        Trainer(learner, epochs=1).train(batches)


def test_a_step_without_a_loss_is_an_error(learner, batches):
    learner.train_step = lambda batch: {"accuracy": 1.0}
    with pytest.raises(TrainingError, match="train_step must return a 'loss', got accuracy"):
        Trainer(learner, epochs=1).train(batches)


def test_a_loader_that_gives_fewer_batches_than_it_says_is_an_error(learner, batches):
    class Short:
        def __len__(self):
            return 9

        def batches(self, epoch, start=0):
            return batches[start:]

    with pytest.raises(TrainingError, match="epoch 1 gave 5 batches, its loader's length is 9"):
        Trainer(learner, epochs=1).train(Short())


@pytest.mark.parametrize("epochs", [0, -3, 2.0, True])
def test_epochs_must_be_possible(learner, epochs):
    with pytest.raises(ConfigError, match="epochs must be a whole number"):
        Trainer(learner, epochs=epochs)


def test_two_callbacks_of_a_class_keep_their_own_state(learner, batches):
    callbacks = [BestSoFar("train_loss"), BestSoFar("val_loss")]
    trainer = Trainer(learner, epochs=2, callbacks=callbacks)
    trainer.train(batches, batches[:1])
    state = trainer.state_dict()
    assert set(state["callbacks"]) == {"BestSoFar", "BestSoFar-1"}
    callbacks[0].best_value, callbacks[1].best_value = 0.0, 0.0
    trainer.load_state_dict(state)
    assert callbacks[0].best_value != callbacks[1].best_value


def test_hooks_that_are_not_overridden_cost_no_call(learner, batches):
    class Counting(Callback):
        calls = 0

        def on_step_end(self, trainer):
            self.calls += 1

    counting = Counting()
    Trainer(learner, epochs=2, callbacks=[Callback(), counting]).train(batches)
    assert counting.calls == 10
