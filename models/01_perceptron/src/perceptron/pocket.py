"""The pocket algorithm with ratchet (Gallant, 1990): the perceptron's rule, and its best weights so far kept aside.

Where no line separates the classes, the rule never comes to rest, and its last weights are as good as chance left
them. So the weights go into a pocket whenever they have answered a longer run of samples without a mistake than the
pocket's had, and (the ratchet) are right about more of the whole training set. So the pocket can only get better.

Deviation from the paper
------------------------
Samples come in shuffled passes. Gallant draws each one at random, and proves for that drawing that the pocket holds,
with a probability that tends to one, weights that no others surpass. The proof does not carry over to passes.

References
----------
Gallant. "Perceptron-Based Learning Algorithms", IEEE Transactions on Neural Networks 1(2), 1990, pp. 179-191.
"""

import numpy as np

from aifs_engine.learner import require_finite
from aifs_utils.exceptions import ModelError
from perceptron.model import Perceptron, learn_one_by_one, measure


class PocketPerceptron(Perceptron):
    """A perceptron that answers with the weights in its pocket and learns with others.

    Parameters
    ----------
    training_set : tuple of ndarray
        (X, y): what the ratchet counts right answers on.

    Attributes
    ----------
    pocket_weights, pocket_bias : ndarray
        The best weights so far, in the shapes of `weights` and `bias`.
    run, pocket_run : int
        Samples answered in a row since the last mistake, and such a run of the weights in the pocket.
    pocket_right : int
        How many of the training set the pocket is right about.
    """

    def __init__(self, n_features, n_classes=2, *, training_set, **options):
        if n_classes != 2:
            raise ModelError(f"the pocket holds the weights of one output: two classes expected, got {n_classes}")
        super().__init__(n_features, n_classes, **options)
        self.training_X, self.training_targets = self._inputs(training_set[0]), training_set[1] == 1
        self.pocket_weights, self.pocket_bias = self.weights.copy(), self.bias.copy()
        self.run = self.pocket_run = self.pocket_right = 0

    @property
    def answering(self):
        """Weights (1, n_features) and bias (1,) in the pocket."""
        return self.pocket_weights, self.pocket_bias

    def train_step(self, batch):
        """Learn a batch and fill the pocket.

        The metrics are those of the weights that learn, but for "pocket_accuracy": the share of the training set that
        the pocket is right about after the batch. An epoch's mean over several batches is never above its last value.
        """
        X, y = self._inputs(batch[0]), batch[1]
        targets, before = self._targets(y), self.state_dict()
        with np.errstate(over="ignore", invalid="ignore"):
            scores = self._learn(X, targets[:, 0])
            metrics = measure(scores[:, None], targets, y)
            total = metrics["loss"] + float(self.weights.sum() + self.bias.sum())
        if not np.isfinite(total):
            self.load_state_dict(before)
        require_finite(total)
        return metrics | {
            "corrections": float(((scores >= 0) != targets[:, 0]).mean()),
            "pocket_accuracy": self.pocket_right / len(self.training_targets),
        }

    def _learn(self, X, targets):
        scores = np.empty(len(X))
        for i in range(len(X)):
            one = slice(i, i + 1)
            self.bias[0], scores[one] = learn_one_by_one(
                self.weights[0], float(self.bias[0]), X[one], targets[one], self.learning_rate
            )
            self.run = self.run + 1 if (scores[i] >= 0) == targets[i] else 0
            if self.run == self.pocket_run + 1:  # longer than the pocket's, for the first time in this run
                self._ratchet()
        return scores

    def _ratchet(self):
        """Put the weights into the pocket if they are right about more of the training set than the pocket's."""
        scores = self.training_X @ self.weights.T + self.bias  # (n_samples, 1), as the pocket will answer
        right = int(((scores[:, 0] >= 0) == self.training_targets).sum())
        if right > self.pocket_right:
            self.pocket_weights, self.pocket_bias = self.weights.copy(), self.bias.copy()
            self.pocket_run, self.pocket_right = self.run, right

    def state_dict(self):
        """Both sets of weights, and what the comparison of the two depends on."""
        pocket = {"pocket_weights": self.pocket_weights.copy(), "pocket_bias": self.pocket_bias.copy()}
        counts = {"run": self.run, "pocket_run": self.pocket_run, "pocket_right": self.pocket_right}
        return super().state_dict() | pocket | counts

    def load_state_dict(self, state):
        """Take over a state of a pocket perceptron with as many inputs, or raise ModelError."""
        self._load_arrays(state, ("weights", "bias", "pocket_weights", "pocket_bias"))
        self.run, self.pocket_run, self.pocket_right = (int(state[k]) for k in ("run", "pocket_run", "pocket_right"))
