"""The ``train`` command: puts an experiment together; everything else is the engine's."""

from dataclasses import replace
from pathlib import Path

from aifs_engine.callbacks import Callback, Snapshots
from aifs_engine.cli import train_command
from aifs_engine.experiment import Experiment, RunResult
from perceptron.config import EXPERIMENTS, Config
from perceptron.constants import NAME

_DRAWN_EPOCHS = (0, 1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50, 100)  # after which the line is kept for a figure


def build(config: Config) -> Experiment:
    """Load the data, make the learner, and say what to draw."""
    # Here, so that --help and a mistyped option need not wait for NumPy.
    from aifs_data import create_data_loaders, load_dataset, standardize
    from perceptron.model import create_model

    dataset = load_dataset(config.dataset, seed=config.seed)
    if config.features:
        dataset = _select(dataset, config.features)
    if config.standardize:
        dataset = standardize(dataset)
    loaders = create_data_loaders(dataset, config.batch_size, config.seed)
    train = dataset.train

    def create():
        return create_model(
            config, n_features=dataset.n_features, n_classes=dataset.n_classes, training_set=(train.X, train.y)
        )

    return Experiment(
        learner=create(),
        train_loader=loaders.train,
        val_loader=loaders.val,
        test_loader=loaders.test,
        data=dataset.provenance,
        # The pocket itself decides what is best: its right answers on the training set never become fewer.
        monitor="train_pocket_accuracy" if config.pocket else "val_accuracy",
        callbacks=[Settled(), *([Snapshots(_DRAWN_EPOCHS)] if dataset.n_features == 2 else [])],
        draw=lambda result: _draw(result, dataset, create),
    )


class Settled(Callback):
    """Stops after a pass without a mistake: the rule would change nothing any more."""

    def on_epoch_end(self, trainer, row):
        """Stop if nothing was corrected."""
        if row["train_corrections"] == 0:
            trainer.stop("a whole pass without a mistake")


def _select(dataset, names):
    """The data set with these features only."""
    columns = [dataset.feature_names.index(name) for name in names]
    parts = {part: getattr(dataset, part) for part in ("train", "val", "test")}
    return replace(
        dataset,
        info=replace(dataset.info, n_features=len(names), feature_names=names),
        transforms=(*dataset.transforms, f"select {', '.join(names)}"),
        **{part: replace(split, X=split.X[:, columns]) for part, split in parts.items()},
    )


def _draw(result: RunResult, dataset, create) -> list[Path]:
    from aifs_plotting import Provenance, generate_visualizations

    def predictor(state):
        learner = create()
        learner.load_state_dict(state)
        return learner.predict

    learner, test, scaled = result.learner, dataset.test, "standardize" in dataset.transforms
    provenance = Provenance.from_data(result.data, model=result.model, experiment=result.experiment, seed=result.seed)
    return generate_visualizations(
        "foundational",
        output_dir=result.figures_dir,
        provenance=provenance,
        history=result.history.columns() or None,
        X=test.X,
        y=test.y,
        y_pred=learner.predict(test.X),
        scores=learner.decision_function(test.X),
        predict=learner.predict,
        snapshots=[(epoch, predictor(state)) for epoch, state in result.snapshots],
        weights=learner.weights,
        image_shape=dataset.info.image_shape,
        class_names=dataset.class_names,
        feature_names=[f"{name}, standardized" if scaled else name for name in dataset.feature_names],
    )


def main() -> int:
    """Run the command; return its exit code."""
    return train_command(NAME, EXPERIMENTS, build)
