"""The perceptron (Rosenblatt, 1958), trained by error correction (Rosenblatt, 1962).

    X   inputs                              (n_samples, n_features)
    y   labels 0, 1, ...                    (n_samples,)
    t   targets, one column per output      (n_samples, n_outputs), 0 or 1
    w   weights of one output               (n_features,)
    b   bias of one output: minus the threshold of the paper

    output       o = 1 if w·x + b ≥ 0 else 0
    correction   w ← w + η (t - o) x        nothing changes while the output is right
                 b ← b + η (t - o)

If some line (plane, hyperplane) separates the classes, this makes at most (R/γ)² corrections in all from zero weights,
R the largest norm of an input and γ the margin of the best such line, both with the bias as one more input (Novikoff,
1962). If there is none, it goes on for ever.

Deviations from the paper
-------------------------
- x is what the association units send; the random projections between the retina and these units are left out.
- Inputs are real numbers; the paper's units are active (1) or silent (0), and only active connections change.
- The threshold is learned. A sum of exactly zero, where Rosenblatt's response unit is silent, counts as 1.
- More than two classes: one output for each, "this class or not"; the largest sum wins.

References
----------
Rosenblatt. "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
    Psychological Review 65(6), 1958, pp. 386-408.
Rosenblatt. "Principles of Neurodynamics", Spartan Books, 1962, chapter 5.
Novikoff. "On Convergence Proofs on Perceptrons", Symposium on the Mathematical Theory of Automata 12, 1962,
    pp. 615-622.
"""

import numpy as np

from aifs_engine.learner import require_finite
from aifs_utils.exceptions import ModelError
from perceptron.fast import CHUNK, learn_in_blocks


def learn_one_by_one(weights, bias, X, targets, learning_rate):
    """Learn a batch with one output, sample by sample, in order.

    Parameters
    ----------
    weights : ndarray (n_features,)
        Changed in place.
    bias : float
    X : ndarray (n_samples, n_features)
        Of the type of the weights.
    targets : ndarray of bool (n_samples,)
    learning_rate : float

    Returns
    -------
    bias : float
        The new one.
    scores : ndarray of float64 (n_samples,)
        w·x + b of each sample, before the sample was learned.
    """
    scores = np.empty(len(X))
    for i, (x, target) in enumerate(zip(X, targets.tolist(), strict=True)):
        scores[i] = score = float(x.dot(weights)) + bias
        error = target - (score >= 0)  # t - o: 1, 0 or -1
        if error:
            weights += learning_rate * error * x
            bias += learning_rate * error
    return bias, scores


class Perceptron:
    """One layer of threshold units, each with weights of its own.

    Batches are learned sample by sample, so their size changes nothing: it only says how much is learned in one step.

    Parameters
    ----------
    n_features : int
        Inputs.
    n_classes : int
        Two classes need one output, more need one each.
    learning_rate : float
        η. Weights begin at zero, so it scales the weights and changes no answer, save for rounding.
    dtype : dtype
        Of the weights; inputs are converted to it.

    Attributes
    ----------
    weights : ndarray (n_outputs, n_features)
    bias : ndarray of float64 (n_outputs,)
    """

    def __init__(self, n_features, n_classes=2, *, learning_rate=1.0, dtype=np.float64):
        self.n_features, self.n_classes, self.learning_rate = n_features, n_classes, learning_rate
        n_outputs = 1 if n_classes == 2 else n_classes
        self.weights = np.zeros((n_outputs, n_features), dtype)
        self.bias = np.zeros(n_outputs)

    @property
    def answering(self):
        """Weights (n_outputs, n_features) and bias (n_outputs,) that samples are answered with."""
        return self.weights, self.bias

    def decision_function(self, X):
        """Weighted sums: (n_samples,) for two classes, one column for each class otherwise."""
        weights, bias = self.answering
        sums = self._inputs(X) @ weights.T + bias  # (n_samples, n_outputs)
        return sums[:, 0] if self.n_classes == 2 else sums

    def predict(self, X):
        """Labels (n_samples,)."""
        return _decide(self.decision_function(X))

    def train_step(self, batch):
        """Learn a batch sample by sample; return what `measure` says of the sums from before each sample's turn.

        "corrections" is their number per sample: once a whole epoch has none, learning is over.
        """
        X, y = self._inputs(batch[0]), batch[1]
        targets = self._targets(y)
        weights, bias = self.weights.copy(), self.bias.tolist()  # the old ones stay if anything goes wrong
        scores = np.empty(targets.shape)
        learn = learn_in_blocks if len(X) > CHUNK else learn_one_by_one  # the same weights; see fast.py
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is caught below
            for k in range(len(weights)):
                bias[k], scores[:, k] = learn(weights[k], bias[k], X, targets[:, k], self.learning_rate)
            metrics = measure(scores, targets, y)
            require_finite(metrics["loss"] + float(weights.sum()) + sum(bias))
        self.weights, self.bias = weights, np.array(bias)
        return metrics | {"corrections": float(((scores >= 0) != targets).sum()) / len(y)}

    def eval_step(self, batch):
        """Measure a batch; see `measure`."""
        X, y = batch
        return measure(self.decision_function(X).reshape(len(y), -1), self._targets(y), y)

    def state_dict(self):
        """Weights and bias."""
        return {"weights": self.weights.copy(), "bias": self.bias.copy()}

    def load_state_dict(self, state):
        """Take over a state of a perceptron with as many inputs and outputs, or raise ModelError."""
        self._load_arrays(state, ("weights", "bias"))

    def _load_arrays(self, state, names):
        missing = [name for name in names if name not in state]
        if missing:
            raise ModelError(f"no {missing[0]} in this state, which has {', '.join(state) or 'nothing'}")
        for name in names:
            ours, theirs = getattr(self, name), np.asarray(state[name])
            if theirs.shape != ours.shape:
                raise ModelError(f"{name} of shape {ours.shape} expected, got {theirs.shape}")
        for name in names:  # all of them or none
            setattr(self, name, np.array(state[name], getattr(self, name).dtype))

    def _inputs(self, X):
        X = np.ascontiguousarray(X, self.weights.dtype)
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ModelError(f"inputs of shape (n_samples, {self.n_features}) expected, got {X.shape}")
        return X

    def _targets(self, y):
        classes = [1] if self.n_classes == 2 else np.arange(self.n_classes)
        return np.asarray(y)[:, None] == classes  # (n_samples, n_outputs)


def _decide(scores):
    return (scores >= 0).astype(np.int64) if scores.ndim == 1 else scores.argmax(axis=1)


def measure(scores, targets, y):
    """Mean loss and accuracy; the loss is the perceptron criterion: how far the wrong outputs' sums are beyond zero."""
    wrong_by = np.where(targets, -scores, scores).clip(min=0)  # (n_samples, n_outputs)
    labels = _decide(scores[:, 0] if scores.shape[1] == 1 else scores)
    return {"loss": float(wrong_by.sum()) / len(y), "accuracy": float((labels == y).sum()) / len(y)}


def create_model(config, *, n_features, n_classes, training_set=None):
    """Return the learner of an experiment; the pocket algorithm needs the training set (X, y) to count on."""
    if not config.pocket:
        return Perceptron(n_features, n_classes, learning_rate=config.learning_rate)
    from perceptron.pocket import PocketPerceptron

    return PocketPerceptron(n_features, n_classes, learning_rate=config.learning_rate, training_set=training_set)
