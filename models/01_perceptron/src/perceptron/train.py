"""The ``train`` command: puts an experiment together; everything else is the engine's."""

from aifs_engine.cli import train_command
from aifs_engine.experiment import Experiment
from perceptron.config import EXPERIMENTS, Config
from perceptron.constants import NAME


def build(config: Config) -> Experiment:
    """Put data, model and figures together."""
    # Imported here, so that `train --help` answers without NumPy.
    from aifs_data import create_data_loaders, load_dataset, standardize
    from aifs_engine.callbacks import Snapshots
    from perceptron.features import select_features
    from perceptron.figures import draw
    from perceptron.model import create_model
    from perceptron.stopping import Settled

    dataset = load_dataset(config.dataset, seed=config.seed, **config.data_options)
    if config.features:
        dataset = select_features(dataset, config.features)
    if config.standardize:
        dataset = standardize(dataset)
    loaders = create_data_loaders(dataset, config.batch_size, config.seed)
    training_set = (dataset.train.X, dataset.train.y)
    snapshots = [Snapshots((0, 1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50, 100))] if dataset.n_features == 2 else []
    return Experiment(
        learner=create_model(
            config, n_features=dataset.n_features, n_classes=dataset.n_classes, training_set=training_set
        ),
        train_loader=loaders.train,
        val_loader=loaders.val,
        test_loader=loaders.test,
        data=dataset.provenance,
        class_names=dataset.class_names,
        monitor="epoch",  # the last weights are reported; of a pocket, what is then in it
        callbacks=[Settled(), *snapshots],
        draw=lambda result: draw(result, dataset),
    )


def main() -> int:
    """Run the command; return its exit code."""
    return train_command(NAME, EXPERIMENTS, build)


if __name__ == "__main__":
    raise SystemExit(main())
