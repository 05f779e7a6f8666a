"""LeNet-5, and beside it a network that knows nothing of images, trained on the same batches."""

from torch import nn
from torch.nn import functional as F

from aifs_engine.torch_learner import TorchLearner, accuracy
from lenet5.model import SIDE


class Pair(nn.Module):
    """LeNet-5 and a multi-layer perceptron with twice as many weights; it answers with LeNet-5's scores.

    Parameters
    ----------
    lenet5 : LeNet5
    n_classes : int
    hidden_size : int
        Hidden units of the perceptron.
    """

    def __init__(self, lenet5, *, n_classes=10, hidden_size=128):
        super().__init__()
        self.lenet5 = lenet5
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(SIDE * SIDE, hidden_size), nn.Tanh(), nn.Linear(hidden_size, n_classes)
        )

    def forward(self, X):
        """(n, 1, 32, 32) → (n, n_classes)."""
        return self.lenet5(X)


class PairLearner(TorchLearner):
    """Trains both by the sum of their cross-entropies: they share no weight, so neither feels the other.

    "accuracy" is LeNet-5's, "mlp_accuracy" the other's, and "advantage" their difference.
    """

    def loss(self, batch):
        """The sum of both losses, and the metrics."""
        X, y = batch
        scores, others = self.model.lenet5(X), self.model.mlp(X)
        metrics = {"accuracy": accuracy(scores.detach(), y), "mlp_accuracy": accuracy(others.detach(), y)}
        metrics["advantage"] = metrics["accuracy"] - metrics["mlp_accuracy"]
        return F.cross_entropy(scores, y) + F.cross_entropy(others, y), metrics
