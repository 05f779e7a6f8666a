"""What a run says at its end: results, the claim's verdict, and where everything is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aifs_engine.experiment import Claim
from aifs_utils.exceptions import TrainingError


def judge(claim: Claim | None, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """The verdict on a claim: what was measured, and whether it holds."""
    if claim is None:
        return None
    if claim.metric not in metrics:
        raise TrainingError(f"the claim is about {claim.metric!r}; this run measured: {', '.join(metrics)}")
    value = metrics[claim.metric]
    return {
        "bound": claim.bound,
        "kind": claim.kind,
        "reason": claim.reason,
        "value": value,
        "held": claim.holds(value),
    }


def describe_verdict(claim: Claim | None, verdict: Mapping[str, Any] | None, changed: str = "") -> str:
    """The verdict in words."""
    if claim is None or verdict is None:
        return "none: this experiment only shows that everything runs"
    sign = "≥" if claim.at_least is not None else "≤"
    bound = claim.at_least if claim.at_least is not None else claim.at_most
    held = "held" if verdict["held"] else "NOT HELD"
    text = f"{held}: {claim.metric} {verdict['value']:.4g}, claimed {sign} {bound:g} ({claim.kind}): {claim.reason}"
    return f"{text} (the claim is about the experiment without {changed})" if changed else text


def describe_data(data: Mapping[str, Any]) -> str:
    """Name and origin of the data in one line; a stand-in is called one."""
    if not data:
        return "not recorded"
    name, source = data.get("name", "unnamed"), data.get("standin") or data.get("source", "unknown source")
    return f"{name} (STAND-IN from {source})" if data.get("is_standin") else f"{name} ({source})"


def shown(path: Path) -> str:
    """A path as a person would type it here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def table(lines: Mapping[str, str]) -> str:
    """Name and text of each line, in two columns."""
    width = max(map(len, lines)) + 2
    return "\n".join(f"  {name:<{width}}" + text.replace("\n", f"\n  {'':<{width}}") for name, text in lines.items())


def matrix(counts: Sequence[Sequence[int]], class_names: Sequence[str] = ()) -> str:
    """A confusion matrix with aligned columns; with two classes, class 1 is the positive one."""
    width = max(len(str(count)) for row in counts for count in row)
    names = [str(name) for name in class_names] or [str(label) for label in range(len(counts))]
    left = max(map(len, names))
    rows = [
        f"{name:<{left}}  " + " ".join(f"{count:>{width}}" for count in row)
        for name, row in zip(names, counts, strict=True)
    ]
    return "\n".join([*rows, "(row: true class, column: predicted)"])
