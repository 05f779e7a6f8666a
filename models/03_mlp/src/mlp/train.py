"""The ``train`` command: puts an experiment together; everything else is the engine's."""

from aifs_engine.cli import train_command
from aifs_engine.experiment import Experiment
from mlp.config import EXPERIMENTS, Config
from mlp.constants import NAME


def build(config: Config, device: str = "cpu") -> Experiment:
    """Put data, model and figures together; the device is for PyTorch alone."""
    # Imported here, so that `train --help` answers without NumPy.
    from aifs_data import create_data_loaders
    from aifs_engine.callbacks import Snapshots
    from mlp.data import load_data
    from mlp.figures import draw

    dataset = load_data(config)
    sizes = {"n_features": dataset.n_features, "n_classes": dataset.n_classes}
    if config.framework == "numpy":
        from mlp.backpropagation import create_model

        learner = create_model(config, **sizes)
        loaders = create_data_loaders(dataset, config.batch_size, config.seed)
    else:
        from mlp.model import create_model

        learner = create_model(config, **sizes, device=device)
        loaders = create_data_loaders(dataset, config.batch_size, config.seed, framework="torch", device=device)
    return Experiment(
        learner=learner,
        train_loader=loaders.train,
        val_loader=loaders.val,
        test_loader=loaders.test,
        data=dataset.provenance,
        class_names=dataset.class_names,
        callbacks=[Snapshots((0, 1, 2, 5, 10, 20, 50, 100, 200))] if dataset.n_features == 2 else [],
        draw=lambda result: draw(result, dataset),
    )


def main() -> int:
    """Run the command; return its exit code."""
    return train_command(NAME, EXPERIMENTS, build)


if __name__ == "__main__":
    raise SystemExit(main())
