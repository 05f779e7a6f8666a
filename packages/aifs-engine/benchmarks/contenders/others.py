"""The same task in other trainers, each as its own documentation has it, on the CPU."""

from pathlib import Path

import torch

from contenders.tasks import RATE


def skorch(task, epochs):
    from skorch import NeuralNet

    NeuralNet(
        task.model, task.criterion, optimizer=torch.optim.SGD, lr=RATE, max_epochs=epochs, train_split=None,
        batch_size=task.batch_size, iterator_train__sampler=task.order,
    ).fit(task.X, task.y)  # fmt: skip


def ignite(task, epochs):
    from ignite.engine import create_supervised_trainer

    trainer = create_supervised_trainer(task.model, task.optimizer(), task.criterion)
    trainer.run(task.data_loader(), max_epochs=epochs)


def accelerate(task, epochs):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, optimizer, loader = accelerator.prepare(task.model, task.optimizer(), task.data_loader())
    _loop(task, epochs, model, optimizer, loader, accelerator.backward)


def fabric(task, epochs):
    from lightning.fabric import Fabric

    launched = Fabric(accelerator="cpu", devices=1)
    model, optimizer = launched.setup(task.model, task.optimizer())
    _loop(task, epochs, model, optimizer, launched.setup_dataloaders(task.data_loader()), launched.backward)


def _loop(task, epochs, model, optimizer, loader, backward):
    history = []
    for _ in range(epochs):
        total = 0.0
        for X, y in loader:
            optimizer.zero_grad()
            loss = task.criterion(model(X), y)
            backward(loss)
            optimizer.step()
            total += loss.item() * len(X)
        history.append(total / len(task.X))


def lightning(task, epochs, **options):
    from lightning.pytorch import LightningModule, Trainer

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.criterion = task.model, task.criterion

        def training_step(self, batch, _):
            X, y = batch
            loss = self.criterion(self.model(X), y)
            self.log("loss", loss, on_step=False, on_epoch=True, prog_bar=True)
            return loss

        def configure_optimizers(self):
            return task.optimizer()

    trainer = Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=Path.cwd(), **options)
    trainer.fit(Module(), task.data_loader())


def bare_lightning(task, epochs):
    """With everything off that can be."""
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    lightning(task, epochs, **off)


def keras(task, epochs):
    import keras as k

    k.config.set_image_data_format("channels_first")
    model = k.Sequential([k.layers.Input(task.X.shape[1:]), *_keras_layers(k, task.model)])
    model.set_weights([_as_keras(parameter) for parameter in task.model.parameters()])
    binary = isinstance(task.criterion, torch.nn.BCEWithLogitsLoss)
    losses = k.losses.BinaryCrossentropy if binary else k.losses.SparseCategoricalCrossentropy
    model.compile(k.optimizers.SGD(RATE), losses(from_logits=True))
    # It looks at a batch before it begins, to build what is not built yet.
    begin_again = k.callbacks.LambdaCallback(on_train_begin=lambda logs: task.order.restart())
    model.fit(task.data_loader(), epochs=epochs, callbacks=[begin_again])
    with torch.no_grad():
        for parameter, value in zip(task.model.parameters(), model.get_weights(), strict=True):
            parameter.copy_(torch.from_numpy(_as_torch(value)))


def _keras_layers(k, model):
    """Return the layers of Keras that do what the modules do."""
    makers = {
        torch.nn.Linear: lambda module: k.layers.Dense(module.out_features),
        torch.nn.Conv2d: lambda module: k.layers.Conv2D(module.out_channels, module.kernel_size),
        torch.nn.AvgPool2d: lambda module: k.layers.AveragePooling2D(module.kernel_size),
        torch.nn.Flatten: lambda module: k.layers.Flatten(),
        torch.nn.Tanh: lambda module: k.layers.Activation("tanh"),
        torch.nn.ReLU: lambda module: k.layers.ReLU(),
    }
    return [makers[type(module)](module) for module in model]


def _as_keras(parameter):
    """Return a weight in Keras' order of axes: the kernel's height and width, inputs, outputs."""
    axes = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}[parameter.ndim]
    return parameter.detach().permute(axes).numpy()


def _as_torch(value):
    return value.transpose({1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}[value.ndim])
