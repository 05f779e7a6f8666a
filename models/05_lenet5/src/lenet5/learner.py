"""The learner of an experiment: network, loss, optimizer and schedule."""

import torch
from torch.nn import functional as F

from aifs_engine.torch_learner import TorchLearner, accuracy
from aifs_engine.torch_optimizers import Adam
from aifs_engine.torch_schedules import warmup_cosine
from lenet5.comparison import Pair, PairLearner
from lenet5.model import LeNet5

RUBBISH = 10.0  # j of equation 9: how far from every drawing a picture of no digit is taken to be


def map_loss(scores, targets):
    """The maximum a posteriori criterion of the RBF output (equation 9), a mean over the batch.

    E = y_d + log(exp(-j) + Σ_i exp(-y_i)), where y are the squared distances and d is the right class. The first term
    pulls the right distance down, the second pushes all distances up, unless they are beyond j already; without it the
    network could answer every picture with one and the same vector.

    Parameters
    ----------
    scores : Tensor (n, n_classes)
        The negative distances, -y.
    targets : Tensor (n,)
    """
    rubbish = scores.new_full((len(scores), 1), -RUBBISH)
    pushed = torch.logsumexp(torch.cat([rubbish, scores], dim=1), dim=1)
    return (pushed - scores.gather(1, targets[:, None])[:, 0]).mean()


def create_learner(config, *, n_classes, steps, device="cpu"):
    """Return the learner of an experiment.

    Parameters
    ----------
    config : lenet5.config.Config
    n_classes : int
    steps : int
        Updates in all; the learning rate reaches 0 with the last.
    device : str
    """
    model = LeNet5(output=config.output, dropout=config.dropout, n_classes=n_classes)
    if config.compare:
        model = Pair(model, n_classes=n_classes)
    kind = PairLearner if config.compare else TorchLearner
    optimizer = Adam(model.to(device).parameters(), config.learning_rate)
    return kind(
        model,
        optimizer,
        map_loss if config.output == "rbf" else F.cross_entropy,
        scheduler=warmup_cosine(optimizer, warmup_steps=0, total_steps=steps),
        metrics={"accuracy": accuracy},
        device=device,
        accumulate=config.accumulate,
    )
