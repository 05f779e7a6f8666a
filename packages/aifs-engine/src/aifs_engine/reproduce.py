"""Measure every claim of a model again, over several seeds, and write down what came out.

``python -m aifs_engine.reproduce perceptron --seeds 10 --write models/01_perceptron`` trains each experiment that has a
claim, writes ``results.json`` there and renews the table between the result markers of its README.
"""

import argparse
import importlib
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aifs_engine.experiment import Claim
from aifs_engine.run import make_trainer, measure, prepare
from aifs_engine.tracking import installed_versions
from aifs_utils.files import write_json, write_text

START, END = "<!-- results:start -->", "<!-- results:end -->"


def reproduce(experiments: dict[str, Any], build: Any, seeds: Sequence[int]) -> dict[str, Any]:
    """Train each experiment with a claim on each seed.

    Returns
    -------
    dict
        By experiment: the claim, the metric's value by seed, whether all seeds hold it, and the seconds a run took.
    """
    results = {}
    for name, config in experiments.items():
        if config.claim is None:
            continue
        started = time.perf_counter()
        values = [_measure_once(config, build, seed) for seed in seeds]
        seconds = (time.perf_counter() - started) / len(seeds)
        results[name] = summarize(config.claim, dict(zip(seeds, values, strict=True)), seconds)
        print(f"{name:<24} {_verdict(results[name])}", flush=True)  # noqa: T201
    return results


def summarize(claim: Claim, values: dict[int, float], seconds: float) -> dict[str, Any]:
    """One experiment's entry of ``results.json``."""
    return {
        "claim": claim.bound,
        "metric": claim.metric,
        "kind": claim.kind,
        "reason": claim.reason,
        "held": all(claim.holds(value) for value in values.values()),
        "median": statistics.median(values.values()),
        "min": min(values.values()),
        "max": max(values.values()),
        "by_seed": {str(seed): value for seed, value in values.items()},
        "seconds_per_run": round(seconds, 2),
    }


def results_table(results: dict[str, Any]) -> str:
    """The results as a Markdown table, ready for a README."""
    seeds = {tuple(entry["by_seed"]) for entry in results["experiments"].values()}
    n_seeds = len(next(iter(seeds)))
    lines = [
        f"Median [lowest, highest] of {n_seeds} seeds; {results['machine']}; Python {results['versions']['python']}, "
        f"NumPy {results['versions']['numpy']}.",
        "",
        "| experiment | shows | claim | measured | held | seconds | why |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in results["experiments"].items():
        measured = f"{entry['median']:.3g} [{entry['min']:.3g}, {entry['max']:.3g}]"
        held = "yes" if entry["held"] else "**no**"
        seconds = entry["seconds_per_run"]
        took = f"{seconds:.2g}" if seconds < 100 else f"{seconds:.0f}"
        what = f"`{name}` | {entry['kind']} | {entry['claim']} | {measured} | {held} | {took}"
        lines.append(f"| {what} | {entry['reason']} |")
    return "\n".join(lines)


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """Write ``results.json`` and renew the README's table.

    Raises
    ------
    ValueError
        If the README has no place for the table.
    """
    write_json(folder / "results.json", results)
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8")
    if START not in text or END not in text:
        raise ValueError(f"{readme} lacks the markers {START} and {END}")
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    write_text(readme, f"{before}{START}\n{results_table(results)}\n{END}{after}")


def main(argv: Sequence[str] | None = None) -> int:
    """Reproduce one model's claims; exit code 1 if one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m aifs_engine.reproduce", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="import name of the model")
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="train on the seeds 0 to N-1 (default: 10)")
    parser.add_argument("--write", type=Path, metavar="DIR", help="the model's folder, for results.json and the README")
    arguments = parser.parse_args(argv)
    experiments = importlib.import_module(f"{arguments.model}.config").EXPERIMENTS
    build = importlib.import_module(f"{arguments.model}.train").build
    results = {
        "model": arguments.model,
        "machine": f"{os.cpu_count()} CPU cores, {platform.system()} {platform.machine()}",
        "versions": {name: version for name, version in installed_versions().items() if _is_reported(name)},
        "experiments": reproduce(experiments, build, range(arguments.seeds)),
    }
    if arguments.write:
        write_results(arguments.write, results)
    return 0 if all(entry["held"] for entry in results["experiments"].values()) else 1


def _measure_once(config: Any, build: Any, seed: int) -> float:
    from dataclasses import replace

    config = replace(config, seed=seed)
    experiment = prepare(config, build)
    trainer, best = make_trainer(experiment, config.epochs)
    trainer.train(experiment.train_loader, experiment.val_loader)
    row = trainer.history.rows[best.best_epoch - 1] if best.best_epoch else trainer.history.last
    metrics = {**row, **measure(experiment, best)}
    return float(metrics[config.claim.metric])


def _verdict(entry: dict[str, Any]) -> str:
    held = "held" if entry["held"] else "NOT HELD"
    return f"{held:<8} {entry['claim']:<28} median {entry['median']:.4g} in [{entry['min']:.4g}, {entry['max']:.4g}]"


def _is_reported(name: str) -> bool:
    return name in ("python", "numpy", "scikit-learn", "torch") or name.startswith("aifs-")


if __name__ == "__main__":
    sys.exit(main())
