"""The multi-layer perceptron in PyTorch, which finds the gradients by itself.

What `mlp.backpropagation` computes line by line: the same first weights, and from the same batches the same steps, but
for rounding. Equations and references are there; the numbers in brackets are those of its equations.

    X        inputs                          (n_samples, n_features)
    x        total inputs of output units    (n_samples, n_classes)
    targets  class numbers                   (n_samples,)
"""

import torch
from torch import nn

from aifs_engine.torch_learner import TorchLearner, accuracy
from aifs_engine.torch_optimizers import SGD
from mlp.initial import draw_layers

ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}


class MLP(nn.Module):
    """A multi-layer perceptron; what it returns are the total inputs of its output units.

    Parameters
    ----------
    layers : list of (ndarray (n_units, n_below), ndarray (n_units,))
        Weights and biases to start from; copied.
    activation : {"sigmoid", "tanh"}
        Of the hidden units.
    """

    def __init__(self, layers, *, activation="sigmoid"):
        super().__init__()
        *hidden, output = (_linear(W, b) for W, b in layers)
        self.hidden, self.output = nn.ModuleList(hidden), output
        self.activation = ACTIVATIONS[activation]

    def forward(self, X):
        y = X
        for layer in self.hidden:
            y = self.activation(layer(y))  # (1), (2)
        return self.output(y)  # (n_samples, n_classes)


def squared_error(x, targets):
    """E of sigmoid units, a mean over the samples."""
    d = nn.functional.one_hot(targets, x.shape[1])  # (n_samples, n_classes)
    return 0.5 * (torch.sigmoid(x) - d).square().sum() / len(x)  # (3)


CRITERIA = {"squared-error": squared_error, "cross-entropy": nn.functional.cross_entropy}


def create_model(config, *, n_features, n_classes, device="cpu"):
    """Return the learner of an experiment."""
    sizes = (n_features, *config.hidden_sizes, n_classes)
    model = MLP(draw_layers(sizes, config.seed, config.gain), activation=config.activation).to(device)
    optimizer = SGD(model.parameters(), lr=config.learning_rate, momentum=config.momentum)  # (8), (9)
    return TorchLearner(model, optimizer, CRITERIA[config.criterion], metrics={"accuracy": accuracy}, device=device)


def _linear(W, b):
    """A layer with these weights and biases."""
    layer = nn.Linear(W.shape[1], W.shape[0], dtype=torch.from_numpy(W).dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(W))
        layer.bias.copy_(torch.from_numpy(b))
    return layer
