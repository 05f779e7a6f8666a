"""The ``train`` command: puts an experiment together; everything else is the engine's."""

from adaline.config import EXPERIMENTS, Config
from adaline.constants import NAME
from aifs_engine.cli import train_command
from aifs_engine.experiment import Experiment


def build(config: Config) -> Experiment:
    """Put data, model and figures together."""
    # Imported here, so that `train --help` answers without NumPy.
    from adaline.figures import draw
    from adaline.model import create_model
    from adaline.outliers import with_outliers
    from aifs_data import create_data_loaders, load_dataset, standardize
    from aifs_engine.callbacks import Snapshots

    dataset = load_dataset(config.dataset, seed=config.seed, **config.data_options)
    if config.outliers:
        dataset = with_outliers(dataset, config.outliers)
    if config.standardize:
        dataset = standardize(dataset)
    loaders = create_data_loaders(dataset, config.batch_size, config.seed)
    snapshots = [Snapshots((0, 1, 2, 5, 10, 20))] if dataset.n_features == 2 else []
    return Experiment(
        learner=create_model(config, n_features=dataset.n_features, n_classes=dataset.n_classes),
        train_loader=loaders.train,
        val_loader=loaders.val,
        test_loader=loaders.test,
        data=dataset.provenance,
        class_names=dataset.class_names,
        monitor="epoch",  # the last weights are reported: two rules are compared at the same moment
        callbacks=snapshots,
        draw=lambda result: draw(result, dataset),
    )


def main() -> int:
    """Run the command; return its exit code."""
    return train_command(NAME, EXPERIMENTS, build)


if __name__ == "__main__":
    raise SystemExit(main())
