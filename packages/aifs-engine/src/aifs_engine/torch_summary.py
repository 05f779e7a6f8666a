"""What a module is made of and what it costs: shapes, parameters, operations, memory."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import FlopCounterMode

from aifs_utils.seeds import get_random_state, restore_random_state

_Shape = Sequence[int]
_NAME, _TYPE, _SHAPE, _NUMBER = 26, 20, 20, 15  # characters; with a space between the columns, 100


@dataclass(frozen=True)
class SummaryRow:
    """A module that has parameters of its own, computes something, or has no modules in it.

    Parameters
    ----------
    name, type
        Where it stands in the model, ``"features.0"``, and its class.
    output_shape
        Of the last call's output, the first tensor of several; None if it was not called or returned no tensor.
    parameters
        Of its own, without those that an earlier row has already counted.
    flops
        Of all its calls, without the modules in it.
    """

    name: str
    type: str
    output_shape: tuple[int, ...] | None
    parameters: int
    flops: int


@dataclass(frozen=True)
class ModelSummary:
    """The rows of a model, from the input on, and what it takes in all; as a string, a table of 100 columns at most.

    Parameters
    ----------
    rows : tuple of SummaryRow
        In the order in which the modules were first called; then those that were not.
    parameters, trainable
        Numbers of all parameters, and of those that have gradients; shared ones are counted once.
    flops
        Floating-point operations of one forward pass: a multiplication and an addition are two.
    weight_bytes, gradient_bytes, optimizer_bytes
        Memory of parameters and buffers, of the gradients, and of what the optimizer remembers.
    activation_bytes
        What one forward pass keeps for the backward pass, the batch included where it is kept.
    """

    rows: tuple[SummaryRow, ...]
    parameters: int
    trainable: int
    flops: int
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int

    def __str__(self) -> str:
        lines = [_line("name", "type", "output shape", "parameters", "FLOPs")]
        lines += [
            _line(row.name, row.type, _shape(row.output_shape), f"{row.parameters:,}", f"{row.flops:,}")
            for row in self.rows
        ]
        total = _line("total", "", "", f"{self.parameters:,}", f"{self.flops:,}")
        rule = "-" * max(len(line) for line in [*lines, total])
        memory = {
            "weights": self.weight_bytes,
            "gradients": self.gradient_bytes,
            "optimizer": self.optimizer_bytes,
            "activations": self.activation_bytes,
        }
        parts = ", ".join(f"{name} {_bytes(size)}" for name, size in memory.items())
        frozen = self.parameters - self.trainable
        return "\n".join(
            [lines[0], rule, *lines[1:], rule, total]
            + ([f"of the parameters, {frozen:,} are frozen"] if frozen else [])
            + [f"memory in training: {_bytes(sum(memory.values()))}", f"    {parts}"]
        )


def summarize_model(model: Any, X: Any, *, optimizer_vectors: int = 2) -> ModelSummary:
    """Run a model once and say what it is made of and what it costs.

    Parameters
    ----------
    model : torch.nn.Module
        It runs in evaluation mode. Its mode, its gradients and the random states are afterwards what they were.
    X : Tensor, or tuple or mapping of arguments
        A batch, on the model's device: what ``model(X)``, ``model(*X)`` or ``model(**X)`` is called with.
    optimizer_vectors
        How many numbers the optimizer remembers for each parameter: 2 for Adam, 1 for SGD with momentum, 0 without.

    Returns
    -------
    ModelSummary
        Print it.

    Notes
    -----
    Operations are those of matrix products, convolutions, attention and recurrent layers, where the time goes. What
    works on each element (activations, norms, pooling) is not counted. A backward pass takes about twice as many.

    What dropout keeps for the backward pass is missing among the activations, as is the memory that a kernel needs
    while it runs. The first call imports PyTorch's compiler, which takes about two seconds.

    Examples
    --------
    >>> summary = summarize_model(torch.nn.Linear(3, 2), torch.zeros(5, 3))
    >>> summary.parameters, summary.flops, summary.activation_bytes
    (8, 60, 60)
    """
    recorder = _Recorder()
    with _undisturbed(model), recorder.recording(model):
        if isinstance(X, Mapping):
            model(**X)
        elif type(X) is tuple:  # a packed sequence is one, too, and a single input
            model(*X)
        else:
            model(X)
    rows = tuple(_rows(model, recorder))
    parameters = list(model.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    gradient_bytes = _n_bytes(trained)
    return ModelSummary(
        rows=rows,
        parameters=_n_values(parameters),
        trainable=_n_values(trained),
        flops=sum(recorder.flops.values()),
        weight_bytes=_n_bytes([*parameters, *model.buffers()]),
        gradient_bytes=gradient_bytes,
        optimizer_bytes=optimizer_vectors * gradient_bytes,
        activation_bytes=recorder.kept_bytes([*parameters, *model.buffers()]),
    )


class _Recorder:
    """What happens in a forward pass: the modules in the order of their calls, their outputs' shapes, operations."""

    def __init__(self) -> None:
        self.shapes: dict[Any, tuple[int, ...] | None] = {}
        self.flops: Counter[Any] = Counter()
        self._counter = FlopCounterMode(display=False, custom_mapping=_FURTHER_FLOPS)
        self._counted = 0
        self._running: list[Any] = [None]  # the modules that have been entered and not left, the innermost last
        self._kept: dict[int, Any] = {}  # the memories that the backward pass needs

    @contextmanager
    def recording(self, model: Any) -> Iterator[None]:
        """Watch the forward passes within the block."""
        hooks = [
            hook
            for module in model.modules()
            for hook in (module.register_forward_pre_hook(self._enter), module.register_forward_hook(self._leave))
        ]
        saved = torch.autograd.graph.saved_tensors_hooks(self._keep, lambda kept: kept)
        try:
            with torch.enable_grad(), saved, self._counter:
                yield
            self._charge()
        finally:
            for hook in hooks:
                hook.remove()

    def kept_bytes(self, other_than: Iterable[Any]) -> int:
        """Memory that is kept for the backward pass, besides that of these tensors."""
        others = {tensor.untyped_storage()._cdata for tensor in other_than}
        return sum(storage.nbytes() for address, storage in self._kept.items() if address not in others)

    def _keep(self, tensor: Any) -> None:
        # The storage stays alive here, so that its place is not taken by another; nobody will run a backward pass.
        storage = tensor.untyped_storage()
        self._kept[storage._cdata] = storage

    def _enter(self, module: Any, arguments: Any) -> None:
        self._charge()
        self._running.append(module)
        self.shapes.setdefault(module, None)

    def _leave(self, module: Any, arguments: Any, output: Any) -> None:
        self._charge()
        self._running.pop()
        self.shapes[module] = _first_shape(output)

    def _charge(self) -> None:
        """Put what was computed since the last time down to the innermost module."""
        total = self._counter.get_total_flops()
        self.flops[self._running[-1]] += total - self._counted
        self._counted = total


@contextmanager
def _undisturbed(model: Any) -> Iterator[None]:
    """Evaluation mode within the block; modes, buffers and random states are put back.

    Attention takes the way that it takes in training: its fast path is one operation that nobody counts.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers() if not is_lazy(buffer)]
    random_state, fastpath = get_random_state(), torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, content in buffers:
                buffer.copy_(content)
        restore_random_state(random_state)


def _rows(model: Any, recorder: _Recorder) -> Iterator[SummaryRow]:
    names = {module: name for name, module in model.named_modules()}
    counted: set[Any] = set()
    for module in [*recorder.shapes, *(module for module in names if module not in recorder.shapes)]:
        own = [parameter for parameter in module.parameters(recurse=False) if parameter not in counted]
        counted |= set(own)
        flops = recorder.flops[module]
        if any(True for _ in module.parameters(recurse=False)) or flops or not any(True for _ in module.children()):
            shape = recorder.shapes.get(module)
            yield SummaryRow(names[module] or "(model)", type(module).__name__, shape, _n_values(own), flops)


def _first_shape(output: Any) -> tuple[int, ...] | None:
    """The shape of the first tensor in a module's output."""
    if isinstance(output, torch.Tensor):
        return tuple(output.shape)
    items = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return next((shape for item in items if (shape := _first_shape(item)) is not None), None)


def _n_values(tensors: Iterable[Any]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _n_bytes(tensors: Iterable[Any]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _lstm_flops(x: _Shape, input_weight: _Shape, hidden_weight: _Shape, *others: Any, **options: Any) -> int:
    return _recurrent_flops(x, [input_weight, hidden_weight])


def _recurrent_flops(x: _Shape, weights: Sequence[_Shape], *others: Any, **options: Any) -> int:
    """Each matrix is applied at each time to each sample; biases are vectors."""
    return 2 * x[0] * x[1] * sum(shape[0] * shape[1] for shape in weights if len(shape) == 2)


def _attention_flops(query: _Shape, key: _Shape, value: _Shape, *others: Any, **options: Any) -> int:
    """Scores, and means of the values."""
    *batch, n_queries, width = query
    return 2 * math.prod(batch) * n_queries * key[-2] * (width + value[-1])


def _trilinear_flops(left: _Shape, weight: _Shape, right: _Shape, *others: Any, **options: Any) -> int:
    """Of a bilinear layer: for each sample and each weight two multiplications and an addition."""
    return 3 * left[0] * math.prod(weight)


# Kernels that torch's own counter leaves out.
_FURTHER_FLOPS: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mkldnn_rnn_layer: _lstm_flops,
    torch.ops.aten._cudnn_rnn: _recurrent_flops,
    torch.ops.aten._trilinear: _trilinear_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
}


def _line(name: str, kind: str, shape: str, parameters: str, flops: str) -> str:
    if len(name) > _NAME:  # its end tells it from others
        name = "…" + name[1 - _NAME :]
    columns = (
        name.ljust(_NAME),
        _cut(kind, _TYPE),
        _cut(shape, _SHAPE),
        parameters.rjust(_NUMBER),
        flops.rjust(_NUMBER),
    )
    return " ".join(columns)


def _cut(text: str, width: int) -> str:
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "-" if shape is None else " × ".join(map(str, shape))


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
