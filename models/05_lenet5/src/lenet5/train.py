"""The ``train`` command: puts an experiment together; everything else is the engine's."""

from aifs_engine.cli import train_command
from aifs_engine.experiment import Experiment
from lenet5.config import EXPERIMENTS, Config
from lenet5.constants import NAME


def build(config: Config, device: str = "cpu") -> Experiment:
    """Put data, network and figures together."""
    # Imported here, so that `train --help` answers without torch.
    from aifs_data import RandomRotation, RandomShift, create_data_loaders, load_dataset
    from lenet5.figures import draw
    from lenet5.images import NORMALIZE, prepare
    from lenet5.learner import create_learner

    original = load_dataset(config.dataset, seed=config.seed, **config.data_options)
    dataset = prepare(original, shift=config.test_shift, coloured=config.coloured)
    augmentation = [RandomRotation(config.rotation)] if config.rotation else []
    augmentation += [RandomShift(config.shift)] if config.shift else []
    loaders = create_data_loaders(
        dataset,
        config.batch_size,
        config.seed,
        normalize=NORMALIZE,
        transform=augmentation or None,
        framework="torch",
        device=device,
    )
    steps = config.epochs * -(-len(loaders.train) // config.accumulate)
    return Experiment(
        learner=create_learner(config, n_classes=dataset.n_classes, steps=steps, device=device),
        train_loader=loaders.train,
        val_loader=loaders.val,
        test_loader=loaders.test,
        data=dataset.provenance,
        class_names=dataset.class_names,
        monitor="epoch",  # the last weights are reported: the learning rate has come down to 0 with them
        draw=lambda result: draw(result, dataset, loaders.test, original),
    )


def main() -> int:
    """Run the command; return its exit code."""
    return train_command(NAME, EXPERIMENTS, build)


if __name__ == "__main__":
    raise SystemExit(main())
