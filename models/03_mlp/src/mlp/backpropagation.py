"""Back-propagation by hand (Rumelhart, Hinton & Williams, 1986): a multi-layer perceptron in NumPy.

    y    outputs of the units of a layer; those of layer 0 are the inputs X    (n_samples, n_units)
    x    total inputs of the units                                             (n_samples, n_units)
    W    weights, w_ji from unit i of the layer below to unit j                (n_units, n_below)
    b    biases: the weights of an input that is always 1                      (n_units,)
    d    desired outputs, 1 for the sample's class, 0 for the others           (n_samples, n_classes)
    E    error, ε learning rate, α momentum

    forward     x_j = Σ_i y_i w_ji                           (1)
                y_j = 1 / (1 + exp(-x_j))                    (2)
    error       E = ½ Σ_j (y_j - d_j)²                       (3)
    backward    ∂E/∂y_j = y_j - d_j                          (4)   last layer
                ∂E/∂x_j = ∂E/∂y_j y_j (1 - y_j)              (5)
                ∂E/∂w_ji = ∂E/∂x_j y_i                       (6)
                ∂E/∂y_i = Σ_j ∂E/∂x_j w_ji                   (7)   layer below, and again from (5)
    update      Δw = -ε ∂E/∂w                                (8)
                Δw(t) = -ε ∂E/∂w(t) + α Δw(t-1)              (9)

One multiplication per weight forward and two backward give the derivative for *all* weights. `mlp.model` is the same in
PyTorch, which finds (4) to (7) by itself.

Deviations from the paper
-------------------------
- E is the mean over the samples of a batch, not the sum over all cases, so that ε does not depend on their number.
- There is one output unit per class, for two classes as well.
- tanh may take the sigmoid's place in hidden layers, and softmax with cross-entropy that of (2) and (3) in the last.

References
----------
Rumelhart, Hinton, Williams. "Learning representations by back-propagating errors", Nature 323, 1986, pp. 533-536.
Rumelhart, Hinton, Williams. "Learning internal representations by error propagation", in Parallel Distributed
    Processing, vol. 1, chapter 8, MIT Press, 1986.
"""

import numpy as np

from aifs_engine.learner import require_finite
from aifs_utils.exceptions import ModelError
from mlp.initial import draw_layers


def sigmoid(x):
    """1 / (1 + exp(-x)), written so that exp cannot overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


# Each hidden function, and its slope dy/dx as a function of y.
ACTIVATIONS = {
    "sigmoid": (sigmoid, lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y * y),
}


def squared_error(x, d):
    """E of sigmoid units, a mean over the samples, and ∂E/∂x (n_samples, n_classes)."""
    y = sigmoid(x)  # (2)
    E = 0.5 * np.square(y - d).sum() / len(x)  # (3)
    dE_dy = (y - d) / len(x)  # (4)
    return E, dE_dy * y * (1 - y)  # (5)


def cross_entropy(x, d):
    """E of softmax units, -Σ_j d_j log y_j, a mean over the samples, and ∂E/∂x (n_samples, n_classes)."""
    x = x - x.max(axis=1, keepdims=True)  # which changes no y and lets exp not overflow
    log_y = x - np.log(np.exp(x).sum(axis=1, keepdims=True))  # y_j = exp(x_j) / Σ_k exp(x_k)
    E = -(d * log_y).sum() / len(x)
    return E, (np.exp(log_y) - d) / len(x)  # the slope of softmax and that of the logarithm cancel


CRITERIA = {"squared-error": squared_error, "cross-entropy": cross_entropy}


class MLP:
    """A multi-layer perceptron and its learning rule.

    Parameters
    ----------
    layers : list of (ndarray (n_units, n_below), ndarray (n_units,))
        Weights and biases to start from; copied. Their dtype is what is computed in.
    activation : {"sigmoid", "tanh"}
        Of the hidden units.
    criterion : {"squared-error", "cross-entropy"}
        Of the last layer.
    learning_rate : float
        ε.
    momentum : float
        α, in [0, 1).

    Attributes
    ----------
    parameters : list of ndarray
        W and b of each layer in turn.
    changes : list of ndarray
        Their newest changes Δw.
    """

    def __init__(self, layers, *, activation="sigmoid", criterion="squared-error", learning_rate, momentum=0.0):
        self.parameters = [array.copy() for layer in layers for array in layer]
        self.changes = [np.zeros_like(parameter) for parameter in self.parameters]
        self.activation, self.slope = ACTIVATIONS[activation]
        self.criterion = CRITERIA[criterion]
        self.learning_rate, self.momentum = learning_rate, momentum

    @property
    def layers(self):
        """Weights and biases of each layer."""
        return list(zip(self.parameters[::2], self.parameters[1::2], strict=True))

    def forward(self, X):
        """Return the outputs of each layer, the inputs first, and in the last place x of the last layer."""
        *hidden, (W, b) = self.layers
        outputs = [X]
        for W_hidden, b_hidden in hidden:
            outputs.append(self.activation(outputs[-1] @ W_hidden.T + b_hidden))  # (1), (2)
        return [*outputs, outputs[-1] @ W.T + b]  # (1)

    def backward(self, outputs, dE_dx):
        """Return ∂E/∂w for all `parameters`, from what `forward` returned and ∂E/∂x of the last layer."""
        gradients = []
        for layer in reversed(range(len(self.layers))):
            W, y = self.parameters[2 * layer], outputs[layer]
            gradients = [dE_dx.T @ y, dE_dx.sum(axis=0), *gradients]  # (6); the bias has y = 1
            if layer > 0:  # nothing is to be learned below the inputs
                dE_dy = dE_dx @ W  # (7)
                dE_dx = dE_dy * self.slope(y)  # (5)
        return gradients

    def gradients(self, batch):
        """Return the batch's metrics and ∂E/∂w for all `parameters`."""
        X, y = self._inputs(batch[0]), np.asarray(batch[1])
        outputs = self.forward(X)
        metrics, dE_dx = self._measure(outputs[-1], y)
        return metrics, self.backward(outputs, dE_dx)

    def train_step(self, batch):
        """Make one update; return "loss" (E) and "accuracy" of the batch from before it."""
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is caught by require_finite
            metrics, gradients = self.gradients(batch)
            changes = [
                self.momentum * change - self.learning_rate * gradient  # (9); without momentum (8)
                for change, gradient in zip(self.changes, gradients, strict=True)
            ]
            require_finite(metrics["loss"] + sum(float(change.sum()) for change in changes))
        for w, change in zip(self.parameters, changes, strict=True):
            w += change
        self.changes = changes
        return metrics

    def eval_step(self, batch):
        """Return "loss" and "accuracy" of a batch."""
        return self._measure(self.decision_function(batch[0]), np.asarray(batch[1]))[0]

    def decision_function(self, X):
        """Total inputs of the output units (n_samples, n_classes)."""
        return self.forward(self._inputs(X))[-1]

    def predict(self, X):
        """Labels (n_samples,)."""
        return self.decision_function(X).argmax(axis=1)

    def state_dict(self):
        """Weights and biases, and their newest changes."""
        return {name: [array.copy() for array in getattr(self, name)] for name in ("parameters", "changes")}

    def load_state_dict(self, state):
        """Take over the state of a network with the same layers, or raise ModelError."""
        self.load_weights(state)
        self.changes = [np.array(change) for change in state["changes"]]

    def load_weights(self, state):
        """Take over the weights and biases of such a state alone, and start from rest."""
        expected, got = ([array.shape for array in arrays] for arrays in (self.parameters, state["parameters"]))
        if got != expected:
            raise ModelError(f"weights and biases of shapes {expected} expected, got {got}")
        self.parameters = [np.array(w, self.parameters[0].dtype) for w in state["parameters"]]
        self.changes = [np.zeros_like(w) for w in self.parameters]

    def _measure(self, x, y):
        d = np.eye(x.shape[1], dtype=x.dtype)[y]  # (n_samples, n_classes)
        E, dE_dx = self.criterion(x, d)
        return {"loss": float(E), "accuracy": float(np.mean(x.argmax(axis=1) == y))}, dE_dx

    def _inputs(self, X):
        W = self.parameters[0]
        X = np.asarray(X, W.dtype)
        if X.ndim != 2 or X.shape[1] != W.shape[1]:
            raise ModelError(f"inputs of shape (n_samples, {W.shape[1]}) expected, got {X.shape}")
        return X


def create_model(config, *, n_features, n_classes):
    """Return the learner of an experiment."""
    sizes = (n_features, *config.hidden_sizes, n_classes)
    return MLP(
        draw_layers(sizes, config.seed, config.gain),
        activation=config.activation,
        criterion=config.criterion,
        learning_rate=config.learning_rate,
        momentum=config.momentum,
    )
