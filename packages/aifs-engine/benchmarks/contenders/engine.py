"""The engine, with all that a run of ours has: progress, history, guard, best weights, checkpoints, record."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contenders.tasks import RATE, SEED

EVAL_BATCH_SIZE = 256  # nothing is kept for a backward pass, so a batch may be larger


def ours(task, epochs):
    """What a user of the Python API writes."""
    from aifs_engine import BestSoFar, Checkpointing, LocalTracker, Tracking, Trainer
    from aifs_engine.progress import progress

    folder = Path.cwd()
    record = Tracking([LocalTracker(folder / "metrics.jsonl")])
    callbacks = [BestSoFar("train_loss"), record, progress(), Checkpointing(folder)]
    Trainer(learner(task), epochs=epochs, callbacks=callbacks).train(task.loader())
    record.trackers[0].finish({}, checkpoint=None, figures=())


def train_command(task, epochs):
    """What a user of a model types: with seeds, log, manifest and summary as well."""
    from aifs_engine import Experiment
    from aifs_engine import train_command as command

    def build(config, device):
        return Experiment(learner=learner(task), train_loader=task.loader(), data={"name": "xor"})

    status = command("aifs-engine", {"xor": Config(epochs=epochs)}, build, ["--experiment", "xor", "--no-wandb"])
    assert status == 0, f"the command ended with {status}"


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the command reads of an experiment."""

    epochs: int
    batch_size: int = 32
    learning_rate: float = RATE
    seed: int = SEED
    framework: str = "torch"
    claim: None = None
    next_step: str = ""


def learner(task):
    from aifs_engine.torch_learner import TorchLearner
    from aifs_engine.torch_optimizers import SGD

    return TorchLearner(task.model, task.optimizer(SGD), task.criterion)


def evaluator(task):
    """Return a function that evaluates as a run does after each epoch; it returns the mean loss."""
    from aifs_engine import Evaluator

    batches = list(zip(task.X.split(EVAL_BATCH_SIZE), task.y.split(EVAL_BATCH_SIZE), strict=True))
    evaluate = partial(Evaluator(learner(task)).evaluate, batches)
    return lambda: evaluate()["loss"]
