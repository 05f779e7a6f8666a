"""The common case of a learner in torch: a module, an optimizer and a criterion."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from aifs_engine.checkpoint import check_shapes
from aifs_engine.distributed import ALONE, Processes, choose_strategy
from aifs_engine.experiment import require_choice, require_positive, require_positive_int
from aifs_engine.launch import current_launch, local_device
from aifs_engine.learner import Metrics, NonFiniteError
from aifs_engine.torch_ema import WeightAverage
from aifs_engine.torch_guard import DeferredGuard, Explanation, ImmediateGuard, Loss, Source, explain
from aifs_engine.torch_metrics import accuracy as accuracy  # offered here too
from aifs_engine.torch_state import on_device, to_arrays, to_tensors
from aifs_engine.torch_updates import Updater
from aifs_utils.exceptions import CheckpointError, ConfigError
from aifs_utils.seeds import preserve_random_state

if TYPE_CHECKING:
    from aifs_engine.torch_strategies import Strategy

_HALVES = (torch.bfloat16, torch.float16)
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
_OF_AN_OPTIMIZER = ("optimizer", "scheduler", "scaler", "accumulated")  # parts of the state


class TorchLearner:
    """A module with its optimizer and criterion, as a `aifs_engine.learner.Learner`.

    What a paper changes is written by overriding `loss`, or `train_step` where a step is more than one loss.

    Parameters
    ----------
    model : torch.nn.Module
        Moved to `device`.
    optimizer : torch.optim.Optimizer, or dict of str to one
        See `aifs_engine.torch_optimizers`; torch's own are as welcome. Several are told apart by their names, and
        updated by `train_step` as it is overridden.
    criterion : callable
        ``criterion(outputs, targets)`` returns the loss, 0-d, a mean over the samples. Not needed where `loss` is
        overridden.
    scheduler : torch.optim.lr_scheduler.LRScheduler, or dict of str to one
        Stepped once per update of its optimizer, see `aifs_engine.torch_schedules`.
    metrics : mapping of str to callable
        What is reported beside the loss: ``metric(outputs, targets)`` returns a mean over the samples, 0-d.
    device : str
        Where the model is trained.
    precision : {"fp32", "bf16", "fp16"}
        Of the model's computations, by torch.autocast; weights are float32 throughout. fp16 scales the loss.
    max_grad_norm : float, optional
        Gradients with a larger norm are scaled down to it.
    accumulate : int
        Batches per update, which then is that of one large batch. The last update of an epoch may have fewer.
    compile : bool
        Whether to call the model through torch.compile. Checkpoints are the same.
    ema_decay : float, optional
        Keep an exponential moving average of the weights, and evaluate and predict with it: 0.999 for example.
    strategy : {"single", "ddp", "fsdp"}, optional
        How several processes train the model, see `aifs_engine.torch_strategies`. If it is not given, the environment
        decides: "ddp" where torchrun has started several processes, otherwise "single".
    guard : bool
        Whether to check that loss and gradients are finite, before each update; see `aifs_engine.torch_guard`.

    Examples
    --------
    >>> import torch
    >>> from aifs_engine import Trainer
    >>> from aifs_engine.torch_optimizers import SGD
    >>> model = torch.nn.Linear(1, 1)
    >>> learner = TorchLearner(model, SGD(model.parameters(), lr=0.1), torch.nn.MSELoss())
    >>> X = torch.linspace(-1, 1, 8)[:, None]
    >>> Trainer(learner, epochs=50).train([(X, 2 * X)])["train_loss"][-1] < 0.01
    True

    A generative adversarial network makes two updates per step::

        def train_step(self, batch):
            metrics = self.minimize(self.discriminator_loss, batch, "discriminator")
            return {**metrics, "generator_loss": self.minimize(self.generator_loss, batch, "generator")["loss"]}
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        criterion: Callable[[Any, Any], Any] | None = None,
        *,
        scheduler: Any = None,
        metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
        device: Any = "cpu",
        precision: str = "fp32",
        max_grad_norm: float | None = None,
        accumulate: int = 1,
        compile: bool = False,  # torch's word for it
        ema_decay: float | None = None,
        guard: bool = True,
        strategy: str | None = None,
    ) -> None:
        require_choice("precision", precision, PRECISIONS)
        require_positive_int("accumulate", accumulate)
        if max_grad_norm is not None:
            require_positive("max_grad_norm", max_grad_norm)
        device = local_device(device) if isinstance(device, str) else device
        self.model = model.to(device)
        self.criterion = criterion.to(device) if isinstance(criterion, torch.nn.Module) else criterion
        self.metrics = dict(metrics or {})
        self.device = torch.device(device)
        self._is_remote = self.device.type != "cpu"  # then batches of the CPU are moved
        self.optimizer = optimizer
        self._check_parameters(shared_is_wrong=ema_decay is not None)
        self.processes, self._strategy = self._join(strategy, optimizer, precision)
        self._autocast: Any = None
        if precision != "fp32":
            self._autocast = torch.autocast(self.device.type, PRECISIONS[precision])
        self._updaters = {
            name: Updater(
                each,
                own_scheduler,
                scaler=torch.amp.GradScaler(self.device.type) if precision == "fp16" else None,
                guard=self._new_guard() if guard else None,
                average=None if ema_decay is None else WeightAverage(self._weights_of(each), ema_decay),
                max_grad_norm=max_grad_norm,
                accumulate=accumulate,
                alone=self._shards is not None or (not isinstance(optimizer, Mapping) and self._has_all(each)),
                strategy=self._strategy,
            )
            for name, each, own_scheduler in _pairs(optimizer, scheduler)
        }
        self._first: Updater = next(iter(self._updaters.values()))
        self._averages = [updater.average for updater in self._updaters.values() if updater.average is not None]
        self._evaluating = False
        self._is_compiled = compile
        if compile:
            self.model.compile()

    def loss(self, batch: Any) -> tuple[Any, dict[str, Any]]:
        """Compute the loss of a batch; override this for a model that is not a function from X to y.

        Parameters
        ----------
        batch
            As the loader gives it, its tensors on `device`: ``X, y`` here.

        Returns
        -------
        loss : Tensor, 0-d
            A mean over the samples, to be minimized.
        metrics : dict of str to Tensor, 0-d
            What is reported beside it, without graph.
        """
        X, y = batch
        outputs = self.model(X)
        if self.criterion is None:
            raise ConfigError("there is no criterion: give TorchLearner one, such as torch.nn.CrossEntropyLoss()")
        value = self.criterion(outputs, y)
        if not self.metrics:
            return value, {}
        outputs = outputs.detach() if isinstance(outputs, torch.Tensor) else outputs
        return value, {name: metric(outputs, y) for name, metric in self.metrics.items()}

    def train_step(self, batch: Any) -> Metrics:
        """Make one update; return the loss and the metrics of the batch, 0-d tensors on the device.

        Raises
        ------
        NonFiniteError
            If the loss or a gradient is not finite: on the CPU before the update, elsewhere one step later.
        """
        return self.minimize(self.loss, batch)

    def minimize(self, loss: Loss, batch: Any, optimizer: str | None = None) -> Metrics:
        """Make one update of an optimizer's parameters, against the gradient of a loss.

        Parameters
        ----------
        loss
            Returns the loss of the batch and a dict of metrics, as `loss` does.
        batch
            What `loss` is given.
        optimizer
            The optimizer's name, if there are several. Each is updated at most once per step.

        Returns
        -------
        dict of str to Tensor, 0-d
            "loss" and the metrics, without graphs.
        """
        try:
            updater = self._updaters[optimizer]
        except KeyError:
            names = ", ".join(map(repr, self._updaters))
            raise ConfigError(f"optimizer must be one of {names}, got {optimizer!r}") from None
        if self._is_remote:
            batch = on_device(batch, self.device)
        if self._strategy is not None:
            value, metrics = self._compute_together(loss, batch, updater)
        else:
            value, metrics = loss(batch) if self._autocast is None else self._compute(loss, batch)
        updater.update(value, (loss, batch))
        return {"loss": value.detach(), **{name: _without_graph(metric) for name, metric in metrics.items()}}

    def eval_step(self, batch: Any) -> Metrics:
        """Return the loss and the metrics of a batch, 0-d tensors on the device; change nothing."""
        if not self._evaluating:
            with self.evaluating():
                return self.eval_step(batch)
        if self._is_remote:
            batch = on_device(batch, self.device)
        value, metrics = self._compute(self.loss, batch)
        return {"loss": value, **metrics}

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Within the block the model predicts: evaluation mode, averaged weights, no graphs.

        Afterwards each submodule is in the mode that it was in, and the random states are what they were.
        """
        if self._evaluating:
            yield
            return
        modes = [(module, module.training) for module in self.model.modules()]
        if self._strategy is not None:
            self._strategy.share_buffers()
        self._evaluating = True
        self._swap_averages()
        try:
            self.model.eval()
            with preserve_random_state(), torch.inference_mode():
                yield
        finally:
            for module, mode in modes:
                module.training = mode
            self._swap_averages()
            self._evaluating = False

    def end_epoch(self) -> None:
        """Make the update of a window of accumulation that is not full, and have the guard's last word.

        Raises
        ------
        NonFiniteError
            If the newest step went wrong.
        """
        try:
            for updater in self._updaters.values():
                updater.finish()
        except NonFiniteError as error:
            error.steps_ago = 1
            raise

    @contextmanager
    def plain_steps(self) -> Iterator[None]:
        """Within the block each step is one update and no schedule moves the rate: for trials, which are put back."""
        plans = [(updater, updater.scheduler, updater.accumulate) for updater in self._updaters.values()]
        for updater, _, _ in plans:
            updater.scheduler, updater.accumulate = None, 1
            updater.drop_window()
        try:
            yield
        finally:
            for updater, scheduler, accumulate in plans:
                updater.scheduler, updater.accumulate = scheduler, accumulate

    def predict(self, X: Any) -> Any:
        """Labels, ndarray (n,): the class with the largest output, or 1 where a single logit is positive.

        Parameters
        ----------
        X : Tensor or ndarray, shape (n, …)
            As in a batch.
        """
        scores = self.decision_function(X)
        return scores.argmax(axis=1) if scores.ndim > 1 else (scores > 0).astype("int64")

    def decision_function(self, X: Any) -> Any:
        """The model's outputs, ndarray (n, n_classes), or (n,) if there is one.

        Parameters
        ----------
        X : Tensor or ndarray, shape (n, …)
            As in a batch.
        """
        with self.evaluating(), self._autocast or nullcontext():
            inputs = torch.as_tensor(X, device=self.device)
            outputs = self.model(inputs) if self._strategy is None else self._strategy.predict(self.model, inputs)
            outputs = outputs.cpu()
        scores = (outputs.float() if outputs.dtype in _HALVES else outputs).numpy()
        return scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores

    def work_alone(self) -> None:
        """Do without the other processes from here on, where each has the whole model and one of them goes on."""
        self.processes, self._strategy = ALONE, None

    @property
    def mesh(self) -> Any:
        """The DeviceMesh of processes that have a part of the weights each, else None."""
        return None if self._shards is None else self._shards.mesh

    @property
    def _shards(self) -> Any:
        """The `aifs_engine.torch_fsdp.Shards` of a process that has a part of the weights, else None."""
        return None if self._strategy is None else self._strategy.shards

    @property
    def between_updates(self) -> bool:
        """Whether no gradients wait for the rest of their window of accumulation."""
        return all(updater.between_updates for updater in self._updaters.values())

    @property
    def updates(self) -> int:
        """Updates so far; those of the first optimizer, if there are several."""
        return self._first.updates

    @property
    def learning_rate(self) -> float:
        """The rate of the first parameter group. Setting it scales those of all groups alike."""
        return float(self._first.optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        before = self.learning_rate
        groups = [group for updater in self._updaters.values() for group in updater.optimizer.param_groups]
        rates = [group["lr"] if before else group.get("initial_lr", 1.0) for group in groups]  # at 0 a schedule is over
        for group, own in zip(groups, rates, strict=True):
            group["lr"] = rate * (own / rates[0]) if rates[0] else rate

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, in NumPy arrays, which share the memory of tensors on the CPU.

        Raises
        ------
        NonFiniteError
            If the newest step went wrong: such a state is not to be kept.
        """
        for updater in self._updaters.values():
            if updater.guard is not None:
                updater.guard.flush()
        states = {name: updater.state_dict() for name, updater in self._updaters.items()}
        several = isinstance(self.optimizer, Mapping)
        parts = {
            part: {name: state[part] for name, state in states.items()} if several else states[None][part]
            for part in _OF_AN_OPTIMIZER
        }
        weights = {"model": self._model_state(), "criterion": self._criterion_state(), "ema": self._average_state()}
        return {**weights, **parts, "updates": self.updates}

    def _model_state(self) -> dict[str, Any]:
        if self._shards is None:
            arrays: dict[str, Any] = to_arrays(self.model.state_dict())
            return arrays
        return self._strategy.model_state(self.model)  # type: ignore[union-attr]

    def _average_state(self) -> dict[str, Any] | None:
        if self._shards is None:
            return {name: array for each in self._averages for name, array in each.state_dict().items()} or None
        pairs = [pair for each in self._averages for pair in zip(each.names, each.averages, strict=True)]
        return self._strategy.parameter_state(dict(pairs)) or None  # type: ignore[union-attr]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state that `state_dict` returned.

        Raises
        ------
        CheckpointError
            If it is of another model or other optimizers.
        """
        if self._shards is None:
            check_shapes({"model": to_arrays(self.model.state_dict())}, {"model": state["model"]}, "the state")
        several = isinstance(self.optimizer, Mapping)
        try:
            for name, updater in self._updaters.items():
                parts = {part: state[part][name] if several else state[part] for part in _OF_AN_OPTIMIZER}
                updater.load_state_dict(parts)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the state is of other optimizers than this learner's ({error!r})") from error
        self.load_weights(state)  # last: weights that are not to be kept are not touched
        self._first.updates = state["updates"]

    def load_weights(self, state: dict[str, Any]) -> None:
        """Take over the weights of such a state and nothing else, to go on from them as a new training.

        Raises
        ------
        CheckpointError
            If they are of another model.
        """
        weights, average = state["model"], state["ema"] or state["model"]
        try:
            if self._shards is None:
                self.model.load_state_dict(to_tensors(weights))
            else:
                average = self._strategy.load(self.model, weights, average)  # type: ignore[union-attr]
            if state["criterion"] is not None:
                self.criterion.load_state_dict(to_tensors(state["criterion"]))  # type: ignore[union-attr]
        except (AttributeError, KeyError, RuntimeError, TypeError) as error:
            raise CheckpointError(f"the weights are of another model or variant ({error})") from error
        for average_of_weights in self._averages:
            average_of_weights.load_state_dict(average)

    def _join(self, strategy: str | None, optimizer: Any, precision: str) -> tuple[Processes, "Strategy | None"]:
        """The processes that train this model, and how; one process needs nothing of what several do."""
        launch = current_launch()
        chosen = choose_strategy(strategy, 1 if launch is None else launch.size)
        if launch is None or launch.size == 1 or chosen == "single":
            return ALONE, None
        from aifs_engine.torch_strategies import make_strategy

        return make_strategy(chosen, launch, self.model, optimizer, precision=precision)

    def _compute(self, loss: Loss, batch: Any) -> tuple[Any, dict[str, Any]]:
        with self._autocast or nullcontext():
            result: tuple[Any, dict[str, Any]] = (
                loss(batch) if self._strategy is None else self._strategy.predict(loss, batch)
            )
        return result

    def _compute_together(self, loss: Loss, batch: Any, updater: Updater) -> tuple[Any, dict[str, Any]]:
        """The same, with what several processes need in order to have one gradient."""
        strategy: Any = self._strategy
        with self._autocast or nullcontext():
            computed: tuple[Any, dict[str, Any]] = strategy.call(
                updater.optimizer, loss, batch, reduces=updater.ends_window()
            )
        return computed

    def _criterion_state(self) -> Any:
        """What a criterion knows by itself: weights that are learned, or of the classes."""
        state = self.criterion.state_dict() if isinstance(self.criterion, torch.nn.Module) else None
        return to_arrays(state) if state else None

    def _check_parameters(self, *, shared_is_wrong: bool) -> None:
        """Refuse parameters that no checkpoint would hold, and several averages of one."""
        optimizers = list(self.optimizer.values()) if isinstance(self.optimizer, Mapping) else [self.optimizer]
        moved = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        modules = [module for module in (self.model, self.criterion) if isinstance(module, torch.nn.Module)]
        known = {id(parameter) for module in modules for parameter in module.parameters()}
        if not known >= set(moved):
            raise ConfigError(
                "an optimizer has parameters that are neither the model's nor the criterion's, so no checkpoint would "
                "hold them: make them parts of the model"
            )
        if shared_is_wrong and len(set(moved)) < len(moved):
            raise ConfigError("ema_decay needs each parameter in one optimizer only; some are in several")

    def _swap_averages(self) -> None:
        if self._strategy is not None and self._averages:
            self._strategy.release_weights()
        for average in self._averages:
            average.swap()

    def _weights_of(self, optimizer: Any) -> dict[str, Any]:
        if self._shards is not None:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            return {name: parameter for parameter in parameters if (name := self._shards.name(parameter))}
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        return {name: parameter for name, parameter in self.model.named_parameters() if id(parameter) in own}

    def _has_all(self, optimizer: Any) -> bool:
        trainable = [name for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        return self._weights_of(optimizer).keys() >= set(trainable)

    def _new_guard(self) -> ImmediateGuard | DeferredGuard:
        return (DeferredGuard if self._is_remote else ImmediateGuard)(self._explain)

    def _explain(self, source: Source) -> Explanation:
        if self._shards is not None:
            return Explanation(math.nan, "not looked for, since each process has a part of the weights", in_batch=False)
        with torch.compiler.set_stance("force_eager") if self._is_compiled else nullcontext():
            return explain(self.model, lambda: self._compute(*source)[0], source[1])


def _without_graph(metric: Any) -> Any:
    return metric.detach() if getattr(metric, "requires_grad", False) else metric


def _pairs(optimizer: Any, scheduler: Any) -> list[tuple[str | None, Any, Any]]:
    """(name, optimizer, its scheduler), with None as the name of an only one."""
    if not isinstance(optimizer, Mapping):
        return [(None, optimizer, scheduler)]
    schedulers = dict(scheduler or {})
    unknown = [name for name in schedulers if name not in optimizer]
    if unknown or not optimizer:
        got = ", ".join(map(repr, unknown))
        raise ConfigError(f"schedulers are named after optimizers, {', '.join(optimizer) or 'none'}; got {got}")
    return [(name, each, schedulers.get(name)) for name, each in optimizer.items()]
