"""``train`` of LeNet-5, whose processes make themselves known; the environment's DOES says what else they do."""

import logging
import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

NOTES, DOES = Path(os.environ["NOTES"]), set(os.environ["DOES"].split())
RANK = int(os.environ["RANK"])


def note(name, text=str(RANK)):
    """Tell the test, in a file, that something happens."""
    NOTES.joinpath(f"{name}-{os.getpid()}").write_text(text)


def before(owner, name, action):
    """Have a function do something else first."""
    function = getattr(owner, name)

    def changed(*arguments, **options):
        action()
        return function(*arguments, **options)

    setattr(owner, name, changed)


def change():
    """Do what the test wants."""
    import aifs_data
    from aifs_engine import callbacks, evaluator, torch_learner, train_run
    from lenet5 import config

    if "hard" in DOES:
        harder = replace(config.EXPERIMENTS["debug"], dropout=0.5, rotation=10.0, shift=1, accumulate=3)
        config.EXPERIMENTS["debug"] = harder
    if "numpy" in DOES:
        config.Config.framework = "numpy"
    if "warn" in DOES:
        before(aifs_data, "load_dataset", warn)
    before(torch_learner.TorchLearner, "train_step", step)
    before(evaluator.Evaluator, "evaluate", lambda: note("evaluates"))
    before(train_run, "measure", lambda: note("ends"))
    before(callbacks.Checkpointing, "save", saves)
    if "linger" in DOES:
        before(train_run, "say", lambda: time.sleep(1))  # what is said last comes when all is written


steps = 0
saved = []


def step():
    """Step, slowly perhaps; in step 40 the second process may raise, or sleep, while the others go on."""
    global steps
    steps += 1
    if steps == 1:
        note("trains")
    if "slow" in DOES:
        time.sleep(0.1)
    if steps == 40 and RANK == 1 and not {"raise", "sleep"}.isdisjoint(DOES):
        note("missteps")
        if "raise" in DOES:
            raise ZeroDivisionError("a step of rank 1")
        time.sleep(300)


def saves():
    """Note after which steps of this process a checkpoint was made."""
    saved.append(str(steps))
    note("saves", " ".join(saved))


def warn():
    """One process warns of something, and all warn of something else."""
    logging.getLogger("lenet5").warning("all say this")
    if RANK == 1:
        logging.getLogger("lenet5").warning("one says this")


def report():
    """Do the same in a process of its own, and write down how that ends: after a signal torchrun does not say so."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # the other process gets it as well, and answers
    os.environ["DOES"] = " ".join(DOES - {"report"})
    code = subprocess.call([sys.executable, *sys.argv])
    NOTES.joinpath(f"code-{RANK}").write_text(str(code))
    return code


if __name__ == "__main__":
    if "report" in DOES:
        raise SystemExit(report())
    note("started")
    change()
    runpy.run_module("lenet5.train", run_name="__main__", alter_sys=True)  # as -m does: commands name it
