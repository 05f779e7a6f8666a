"""The guard against a loss or gradients that are not finite, and the search for the first bad tensor."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from aifs_engine.learner import NonFiniteError

# Dropout draws anew in a replay, and after a deferred check momentum has moved the weights.
NOT_AGAIN = "none in a replay, with the weights and random numbers of now"
# A loss that was written for one pass may fail in a second one: a graph that is gone, a cache that is used up.
_OF_A_REPLAY = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

Loss = Callable[[Any], tuple[Any, dict[str, Any]]]
Source = tuple[Loss, Any]  # a function and the batch that it was given


class Guard(Protocol):
    """Stands between the gradients and the update."""

    def check(self, loss: Any, gradients: Sequence[Any], norm: Any, source: Source) -> None:
        """Raise `NonFiniteError` unless a loss (0-d) and its gradients are finite.

        `norm` is the gradients', a number or 0-d, where it is known, otherwise None. `source` is what the loss was
        computed from, to find out where it went wrong.
        """

    def flush(self) -> None:
        """Raise `NonFiniteError` if a check that was put off finds something."""

    def forget(self) -> None:
        """Drop what was put off: the weights it was about are gone."""


class ImmediateGuard:
    """Raises before the update: for the CPU, where a number is there as soon as it is computed."""

    def __init__(self, explain: Callable[[Source], "Explanation"]) -> None:
        self.explain = explain

    def check(self, loss: Any, gradients: Sequence[Any], norm: Any, source: Source) -> None:
        """Raise `NonFiniteError` if the loss or a gradient is not finite."""
        total = loss.item()
        if norm is not None:
            total += norm
        else:
            for gradient in gradients:
                total += gradient.sum().item()
        if math.isfinite(abs(total)):  # so all its terms are
            return
        if not math.isfinite(loss.item()):
            raise self.explain(source).error(f"loss is {loss.item()}")
        if not all_finite(gradients):  # if they are, the sum has overflowed, and the step is as good as any
            raise self.explain(source).error(f"a gradient is not finite at loss {loss.item():.4g}")

    def flush(self) -> None:
        """Nothing was put off."""

    def forget(self) -> None:
        """Nothing was put off."""


class DeferredGuard:
    """Sets bad gradients to zero and raises one step later: for accelerators, which a check would make wait.

    Loss and norm travel to the host while the next step is computed. A norm that overflows counts as not finite. The
    update is one without gradients, which momentum still makes; the replay is with the weights after it.
    """

    def __init__(self, explain: Callable[[Source], "Explanation"]) -> None:
        self.explain = explain
        self._pending: tuple[_Readable, Source] | None = None

    def check(self, loss: Any, gradients: Sequence[Any], norm: Any, source: Source) -> None:
        """Silence the gradients if anything is not finite, and raise if that was so one check ago."""
        norms = [] if not gradients else [total_norm(gradients) if norm is None else norm]
        values = torch.stack([torch.as_tensor(each, device=loss.device).float() for each in (loss.detach(), *norms)])
        bad = torch.isfinite(values).all().logical_not()
        for gradient in gradients:
            gradient.masked_fill_(bad, 0.0)
        previous, self._pending = self._pending, (_Readable(values), source)
        self._read(previous)

    def flush(self) -> None:
        """Raise if the newest check found something."""
        pending, self._pending = self._pending, None
        self._read(pending)

    def forget(self) -> None:
        """Drop the newest check."""
        self._pending = None

    def _read(self, verdict: "tuple[_Readable, Source] | None") -> None:
        if verdict is not None:
            loss, *norms = verdict[0].read()
            if not math.isfinite(loss):
                raise self.explain(verdict[1]).error(f"loss is {loss}", steps_ago=1)
            if not all(map(math.isfinite, norms)):
                explanation = replace(self.explain(verdict[1]), norm=norms[0])
                raise explanation.error(f"a gradient is not finite at loss {loss:.4g}", steps_ago=1)


class _Readable:
    """A small tensor on its way to the host: reading it waits for its own computation and not for what came after."""

    def __init__(self, values: Any) -> None:
        self._arrived = torch.cuda.Event() if values.is_cuda else None
        self._values = values.to("cpu", non_blocking=True) if values.is_cuda else values
        if self._arrived is not None:
            self._arrived.record()

    def read(self) -> list[float]:
        if self._arrived is not None:
            self._arrived.synchronize()
        numbers: list[float] = self._values.tolist()
        return numbers


def all_finite(tensors: Iterable[Any]) -> bool:
    """Whether no value of any tensor is NaN or infinite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def total_norm(tensors: Sequence[Any]) -> Any:
    """Euclidean norm of all values of the tensors together, 0-d."""
    if len(tensors) == 1:
        return torch.linalg.vector_norm(tensors[0])
    return torch.nn.utils.get_total_norm(tensors)


def exact_norm(tensors: Iterable[Any]) -> float:
    """Euclidean norm of all values of the tensors together, which overflows only if a value has."""
    return math.sqrt(sum(tensor.detach().cpu().abs().double().square().sum().item() for tensor in tensors))


@dataclass(frozen=True)
class Explanation:
    """What a replay of a bad step showed: the gradients' norm, and the first tensor that is not finite."""

    norm: float
    first_bad: str
    in_batch: bool

    def error(self, what: str, steps_ago: int = 0) -> NonFiniteError:
        """The error to raise."""
        details = f"gradient norm {self.norm:.4g}; first bad tensor: {self.first_bad}"
        remedy = "look at these samples" if self.in_batch else "try a smaller learning rate"
        return NonFiniteError(what, details=details, remedy=remedy, steps_ago=steps_ago)


def explain(model: Any, loss: Callable[[], Any], batch: Any) -> Explanation:
    """Compute a loss and its gradients once more, and look at each tensor in the order in which it is used.

    Parameters
    ----------
    model : torch.nn.Module
        Its buffers, such as the running statistics of a norm, are put back afterwards.
    loss
        Computes the loss (0-d) of the batch again, with `model`.
    batch
        What the step was given.
    """
    in_batch = first_bad(_named_tensors(batch, "the batch"))
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        first, norm = _replay(model, loss)
    except _OF_A_REPLAY as error:  # it must not hide what it is to explain
        first, norm = f"not found, for the batch could not be computed again ({error})", math.nan
    for buffer, before in buffers:
        buffer.copy_(before)
    return Explanation(norm, in_batch or first, in_batch is not None)


def _replay(model: Any, loss: Callable[[], Any]) -> tuple[str, float]:
    """The first bad tensor of a forward and a backward pass, and the norm of the gradients."""
    with _watched(model) as found:
        value = loss()
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(value, [parameter for _, parameter in named], allow_unused=True)
    with_gradient = [(name, grad) for (name, _), grad in zip(named, gradients, strict=True) if grad is not None]
    # Backpropagation runs from the last layer to the first.
    in_gradients = first_bad((f"gradient of {name}", gradient) for name, gradient in reversed(with_gradient))
    in_loss = None if all_finite([value]) else "the loss itself, of finite outputs"
    norm = exact_norm(gradient for _, gradient in with_gradient)
    return next(iter(found), None) or in_loss or in_gradients or NOT_AGAIN, norm


@contextmanager
def _watched(model: Any) -> Iterator[list[str]]:
    """Within the block the names of bad inputs, weights and outputs of the model's modules are collected, in order."""
    found: list[str] = []

    def watch(name: str, module: Any) -> list[Any]:
        title = f"{name or 'the model'} ({type(module).__name__})"

        def before(module: Any, inputs: Any) -> None:
            note(_named_tensors(inputs, f"input of {title}"))
            note((f"weight {name}.{own}".replace(" .", " "), p) for own, p in module.named_parameters(recurse=False))

        def after(module: Any, inputs: Any, outputs: Any) -> None:
            note(_named_tensors(outputs, f"output of {title}"))

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def note(tensors: Iterable[tuple[str, Any]]) -> None:
        bad = first_bad(tensors)
        if bad is not None:
            found.append(bad)

    handles = [handle for name, module in model.named_modules() for handle in watch(name, module)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def first_bad(tensors: Iterable[tuple[str, Any]]) -> str | None:
    """The name of the first tensor that is not finite, if there is one."""
    return next((name for name, tensor in tensors if not all_finite([tensor])), None)


def _named_tensors(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Each tensor of floating-point numbers in a nest of tuples, lists and dicts, with a name that says where it is."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _named_tensors(item, f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _named_tensors(item, name if len(value) == 1 else f"{name}[{index}]")
