"""The command lines of a model's ``train`` and ``evaluate``: options, help and exit codes.

This module imports neither NumPy nor the model: ``--help`` and a mistyped option answer at once.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from aifs_engine.experiment import Experiment
from aifs_engine.interrupts import deferred_interrupts, raised_interrupts
from aifs_utils.exceptions import AIFromScratchError, ConfigError
from aifs_utils.names import look_up

EXIT_DONE, EXIT_ERROR, EXIT_USAGE, EXIT_DIVERGED = 0, 1, 2, 3

Experiments = Mapping[str, Any]
Build = Callable[..., Experiment]  # of a config, and of the device if the config's framework is torch


def train_command(model: str, experiments: Experiments, build: Build, argv: Sequence[str] | None = None) -> int:
    """Run a model's ``train`` command.

    Parameters
    ----------
    model
        The model's name, which is also its distribution's.
    experiments
        Configs by name: frozen dataclasses with at least ``epochs``, ``batch_size``, ``learning_rate``, ``seed``,
        ``claim`` and ``next_step``. An attribute ``framework`` says "torch" where the model computes with torch.
    build
        Makes an `Experiment`: ``build(config)``, or ``build(config, device)`` where the framework is torch.
    argv
        The command's arguments; those of the process if not given.

    Returns
    -------
    int
        The exit code: 0 done, 1 configuration, data, model or checkpoint error, 2 usage, 3 diverged, 130 and 143
        interrupted and saved.
    """
    return _interruptible(lambda: _train(model, experiments, build, argv))


def _train(model: str, experiments: Experiments, build: Build, argv: Sequence[str] | None) -> int:
    parser = train_parser(model, experiments)
    arguments = _parse(parser, argv)
    if isinstance(arguments, int):
        return arguments
    if arguments.list_experiments:
        say(_listing(experiments))
        return EXIT_DONE
    if arguments.experiment is None:
        return _parse_error(parser, "the following arguments are required: --experiment")
    try:
        config = resolve_config(experiments, arguments)
    except AIFromScratchError as error:
        return fail(str(error))
    if arguments.print_config:
        say(_config_text(config))
        return EXIT_DONE
    with deferred_interrupts() as pending:  # NumPy, cut short in its import, would blame its installation
        from aifs_engine.train_run import run_train
    pending.raise_if_any()
    return run_train(model, config, build, arguments)


def evaluate_command(model: str, experiments: Experiments, build: Build, argv: Sequence[str] | None = None) -> int:
    """Run a model's ``evaluate`` command; parameters and exit codes are those of `train_command`."""
    return _interruptible(lambda: _evaluate(model, experiments, build, argv))


def _evaluate(model: str, experiments: Experiments, build: Build, argv: Sequence[str] | None) -> int:
    arguments = _parse(evaluate_parser(model), argv)
    if isinstance(arguments, int):
        return arguments
    try:
        config = look_up(experiments, arguments.experiment, "experiment")
    except AIFromScratchError as error:
        return fail(str(error))
    with deferred_interrupts() as pending:  # NumPy, cut short in its import, would blame its installation
        from aifs_engine.evaluate_run import run_evaluate
    pending.raise_if_any()
    return run_evaluate(model, config, build, arguments)


def train_parser(model: str, experiments: Experiments) -> argparse.ArgumentParser:
    """The options of ``train``; every model has the same ones."""
    parser = _Parser(
        prog="train",
        description=f"Train {model} on one of its experiments.",
        epilog=f"experiments: {', '.join(experiments)}",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--experiment", metavar="NAME", help="what to train (required); --list-experiments shows the choices")
    add("--epochs", type=int, metavar="N", help="passes over the training data, instead of the experiment's")
    add("--batch-size", type=int, metavar="N", help="samples handed over at once, instead of the experiment's")
    add("--learning-rate", type=float, metavar="X", help="instead of the experiment's")
    add(
        "--load-checkpoint",
        metavar="FILE",
        help="begin a new run with the weights of a checkpoint: a file, or entity/project/name:v3",
    )
    add("--no-save-checkpoint", action="store_true", help="keep no weights")
    add("--no-wandb", action="store_true", help="local record only; wandb is not even imported")
    add("--seed", type=int, metavar="N", help="of data, weights and order, instead of the experiment's")
    add("--tags", nargs="+", default=[], metavar="TAG", help="words to find the run by")
    add("--visualize", action="store_true", help="draw the figures when done")
    _add_device(parser)
    add(
        "--strategy",
        choices=("auto", "single", "ddp", "fsdp"),
        default="auto",
        help="how the processes that torchrun starts share the work (default: auto, which is ddp for several)",
    )
    add(
        "--resume",
        action="store_true",
        help="continue the newest run of this experiment where it was stopped or killed",
    )
    _add_output_dir(parser)
    add("--list-experiments", action="store_true", help="show the experiments with their claims, and stop")
    add(
        "--print-config",
        action="store_true",
        help="show the experiment's settings with these options applied, and stop",
    )
    return parser


def evaluate_parser(model: str) -> argparse.ArgumentParser:
    """The options of ``evaluate``; every model has the same ones."""
    parser = _Parser(
        prog="evaluate",
        description=f"Measure trained weights of {model} on an experiment's test data.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--checkpoint",
        required=True,
        metavar="FILE",
        help="a checkpoint that train has written, or entity/project/name:v3",
    )
    add("--experiment", required=True, metavar="NAME", help="the experiment whose test data is used")
    add("--visualize", action="store_true", help="draw the figures")
    _add_device(parser)
    _add_output_dir(parser)
    return parser


def resolve_config(experiments: Experiments, arguments: argparse.Namespace) -> Any:
    """The experiment's config with the options that were given in place of its own values.

    Raises
    ------
    ConfigError
        If the experiment is unknown or a value is not possible.
    """
    config = look_up(experiments, arguments.experiment, "experiment")
    given = {name: getattr(arguments, name) for name in ("epochs", "batch_size", "learning_rate", "seed")}
    if given["seed"] is not None and not 0 <= given["seed"] < 2**32:
        raise ConfigError(f"seed must be a whole number from 0 to {2**32 - 1}, got {given['seed']}")
    if arguments.resume and arguments.load_checkpoint:
        raise ConfigError("--resume continues a run, --load-checkpoint begins a new one: give one of them")
    if arguments.resume and arguments.no_save_checkpoint:
        raise ConfigError("--resume goes on saving where the run stopped: it cannot be used with --no-save-checkpoint")
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def _interruptible(command: Callable[[], int]) -> int:
    """Run `command` with Ctrl-C and SIGTERM ending in one line, wherever they strike."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # a console that lacks a sign shows "?" in its place
                stream.reconfigure(errors="replace")
        with raised_interrupts():
            return command()
    except KeyboardInterrupt as interrupt:  # Interrupted, or a plain one from a library that sets its own handlers
        exit_code: int = getattr(interrupt, "exit_code", 130)
        return exit_code if rank_of_process() else fail(str(interrupt) or "interrupted by SIGINT", exit_code)


def rank_of_process() -> int:
    """The number of this process among those of a launch, 0 without one; what is malformed is found elsewhere."""
    rank = os.environ.get("RANK", "") if os.environ.get("WORLD_SIZE") else ""
    return int(rank) if rank.isdecimal() else 0


def say(text: str) -> None:
    """Print, in the first process of a launch; if the reader has gone (``| head``), go on without one."""
    if rank_of_process() > 0:
        return
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, exit_code: int = EXIT_ERROR) -> int:
    """Print one line on stderr, and tell it to torchrun; return the exit code."""
    rank, text = rank_of_process(), " ".join(message.split())
    print(f"error: [rank {rank}] {text}" if rank else f"error: {text}", file=sys.stderr)  # noqa: T201
    if file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        report = {"message": {"message": text, "extraInfo": {"timestamp": str(int(time.time()))}}}
        with suppress(OSError):  # torchrun, which made the folder, may be gone
            Path(file).write_text(json.dumps(report), encoding="utf-8")
    return exit_code


class _UsageError(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; argparse would print the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def _parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace | int:
    given = sys.argv[1:] if argv is None else argv
    if any("\udc80" <= sign <= "\udcff" for word in given for sign in word):  # a byte that was not UTF-8
        return _parse_error(parser, "an argument is not valid UTF-8")
    try:
        return parser.parse_args(argv)
    except _UsageError as error:
        return _parse_error(parser, str(error))


def _parse_error(parser: argparse.ArgumentParser, message: str) -> int:
    return EXIT_USAGE if rank_of_process() else fail(f"{message} (see {parser.prog} --help)", EXIT_USAGE)


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="what to compute on (default: auto)"
    )


def _add_output_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output-dir",
        type=_folder,
        metavar="DIR",
        help="where logs, models and figures go (default: the model's outputs/)",
    )


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the name of a folder is empty")
    return Path(text)


def _listing(experiments: Experiments) -> str:
    width = max(map(len, experiments))
    lines = []
    for name, config in experiments.items():
        claim = config.claim
        lines.append(
            f"{name:<{width}}  " + (f"{claim.kind:<8}  {claim.bound}: {claim.reason}" if claim else "no claim")
        )
    return "\n".join(lines)


def _config_text(config: Any) -> str:
    width = max(len(field.name) for field in fields(config))
    return "\n".join(f"{field.name:<{width}} = {getattr(config, field.name)!r}" for field in fields(config))
