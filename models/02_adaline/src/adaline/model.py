"""ADALINE, the adaptive linear neuron (Widrow & Hoff, 1960), trained by least mean squares.

    X   inputs                           (n_samples, n_features)
    y   labels, 0 or 1                   (n_samples,)
    t   targets, -1 or 1                 (n_samples,)
    w   weights                          (n_features,)
    b   bias: the weight of an input that is always 1
    η   learning rate

    sum          s = w·x + b
    output       o = 1 if s ≥ 0 else -1
    error        e = t - s               of the sum; the perceptron takes t - o, that of its sign
    LMS rule     w ← w + η e x           one step down the gradient of e²/2
                 b ← b + η e

The perceptron is content with any line that makes no mistake. ADALINE goes on moving its line until the squared
distances balance, so the line settles between the classes; but samples far on the right side pull on it too.

Deviations from the paper
-------------------------
- The memistor's analogue adjustment is a floating-point number, and η is free. The paper corrects the whole error of a
  sample at once, which for inputs of -1 and 1 is η = 1/(n_features + 1).
- The batch rule takes the mean of a batch's gradients before it moves; with batches of one it is the 1960 rule.

References
----------
Widrow, Hoff. "Adaptive Switching Circuits", IRE WESCON Convention Record 4, 1960, pp. 96-104.
Widrow, Lehr. "30 Years of Adaptive Neural Networks", Proceedings of the IEEE 78(9), 1990, pp. 1415-1442.
"""

import numpy as np

from adaline.fast import BLOCK, learn_in_blocks
from aifs_engine.learner import require_finite
from aifs_utils.exceptions import ModelError

WORTH_A_BLOCK = 1_000_000  # numbers in a batch; with fewer the plain loop is over before the fast one is imported


def learn_one_by_one(w, b, X, targets, learning_rate):
    """Learn a batch sample by sample, in order: the 1960 rule, and the reference that the fast one is tested against.

    Parameters
    ----------
    w : ndarray (n_features,)
        Changed in place.
    b : float
    X : ndarray (n_samples, n_features)
    targets : ndarray (n_samples,)
        -1 or 1, in the type of `X`.
    learning_rate : float

    Returns
    -------
    b : float
        The new one.
    errors : ndarray (n_samples,)
        t - s of each sample, before the sample was learned.
    """
    errors = np.empty_like(targets)
    for i, (x, t) in enumerate(zip(X, targets, strict=True)):
        errors[i] = error = t - (x @ w + b)  # on the weighted sum, not on its sign
        w += learning_rate * error * x
        b += learning_rate * float(error)
    return b, errors


def learn_batch(w, b, X, targets, learning_rate):
    """Take one step along the mean gradient of the batch; parameters and results as in `learn_one_by_one`."""
    errors = targets - (X @ w + b)  # (n_samples,)
    w += learning_rate * (errors @ X) / len(X)
    return b + learning_rate * float(errors.mean()), errors


class Adaline:
    """One adaptive linear neuron for two classes.

    Parameters
    ----------
    n_features : int
    learning_rate : float
        η. The batch rule diverges beyond 2 / λ, λ the largest eigenvalue of the mean of x xᵀ, where x has the bias's
        constant input 1 as well. The per-sample rule is stricter: a correction leaves 1 - η |x|² of a sample's error,
        so beyond 2 / |x|² each sample makes its own error larger.
    rule : {"per-sample", "batch"}
        Whether a batch is learned one by one or as one step along its mean gradient.
    dtype : dtype
        Of the weights; inputs are converted to it.

    Attributes
    ----------
    w : ndarray (n_features,)
    b : float
    """

    def __init__(self, n_features, *, learning_rate=0.01, rule="per-sample", dtype=np.float64):
        self.n_features, self.learning_rate, self.rule = n_features, learning_rate, rule
        self.w = np.zeros(n_features, dtype)
        self.b = 0.0

    def decision_function(self, X):
        """Weighted sums s (n_samples,)."""
        return self._inputs(X) @ self.w + self.b

    def predict(self, X):
        """Labels 0 or 1 (n_samples,)."""
        return (self.decision_function(X) >= 0).astype(np.int64)

    def train_step(self, batch):
        """Learn a batch; "loss" (mean e²) and "accuracy" are of the sums from before each sample was learned."""
        X, targets = self._inputs(batch[0]), self._targets(batch[1])
        w = self.w.copy()  # the old weights stay if the new ones are not finite
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is caught by require_finite
            b, errors = self._learn(len(X))(w, self.b, X, targets, self.learning_rate)
            metrics = _measure(errors, targets)
            require_finite(metrics["loss"] + float(w.sum()) + b)
        self.w, self.b = w, b
        return metrics

    def eval_step(self, batch):
        """Measure a batch: "loss" (mean e²) and "accuracy"."""
        targets = self._targets(batch[1])
        return _measure(targets - self.decision_function(batch[0]), targets)

    def state_dict(self):
        """Weights and bias."""
        return {"w": self.w.copy(), "b": self.b}

    def load_state_dict(self, state):
        """Take over a state of an ADALINE with as many inputs, or raise ModelError."""
        w = np.asarray(state["w"])
        if w.shape != self.w.shape:
            raise ModelError(f"weights of shape {self.w.shape} expected, got {w.shape}")
        self.w, self.b = w.astype(self.w.dtype), float(state["b"])

    def _learn(self, n_samples):
        if self.rule == "batch":
            return learn_batch
        large = n_samples >= BLOCK and n_samples * self.n_features >= WORTH_A_BLOCK
        return learn_in_blocks if large and self.w.dtype in (np.float32, np.float64) else learn_one_by_one

    def _inputs(self, X):
        X = np.asarray(X, self.w.dtype)
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ModelError(f"inputs of shape (n_samples, {self.n_features}) expected, got {X.shape}")
        return X

    def _targets(self, y):
        return np.where(np.asarray(y) == 1, 1, -1).astype(self.w.dtype)


class RulePair(Adaline):
    """ADALINE, and beside it the perceptron's rule on the same samples in the same order.

    Everything is ADALINE's, but for what is called ``perceptron_…``. The two rules differ in one line.

    Attributes
    ----------
    perceptron_w : ndarray (n_features,)
    perceptron_b : float
    """

    def __init__(self, n_features, **options):
        super().__init__(n_features, **options)
        self.perceptron_w, self.perceptron_b = np.zeros_like(self.w), 0.0

    def perceptron_predict(self, X):
        """Labels that the perceptron's weights give (n_samples,)."""
        return (self._inputs(X) @ self.perceptron_w + self.perceptron_b >= 0).astype(np.int64)

    def train_step(self, batch):
        """Learn a batch by both rules; the metrics are ADALINE's."""
        metrics = super().train_step(batch)
        for x, t in zip(self._inputs(batch[0]), self._targets(batch[1]), strict=True):
            output = 1 if x @ self.perceptron_w + self.perceptron_b >= 0 else -1
            error = (t - output) / 2  # on the sign: 1, 0 or -1
            self.perceptron_w = self.perceptron_w + error * x
            self.perceptron_b += float(error)
        return metrics

    def eval_step(self, batch):
        """Measure both; "advantage" is ADALINE's accuracy less the perceptron's."""
        metrics = super().eval_step(batch)
        perceptron = float(np.mean(self.perceptron_predict(batch[0]) == batch[1]))
        advantage = metrics["accuracy"] - perceptron
        return metrics | {"perceptron_accuracy": perceptron, "advantage": advantage}

    def state_dict(self):
        """Weights and biases of both."""
        perceptron = {"perceptron_w": self.perceptron_w.copy(), "perceptron_b": self.perceptron_b}
        return super().state_dict() | perceptron

    def load_state_dict(self, state):
        """Take over the state of a pair with as many inputs, or raise ModelError."""
        super().load_state_dict(state)
        self.perceptron_w = np.array(state["perceptron_w"], self.w.dtype)
        self.perceptron_b = float(state["perceptron_b"])


def _measure(errors, targets):
    """Mean squared error, and the share of sums on the right side of zero; s = t - e."""
    labels = targets - errors >= 0
    return {"loss": float(np.mean(np.square(errors))), "accuracy": float(np.mean(labels == (targets > 0)))}


def create_model(config, *, n_features, n_classes):
    """Return the learner of an experiment, or raise ModelError if there are more than two classes."""
    if n_classes != 2:
        raise ModelError(f"ADALINE tells two classes apart, got {n_classes}")
    kind = RulePair if config.compare else Adaline
    return kind(n_features, learning_rate=config.learning_rate, rule=config.rule)
