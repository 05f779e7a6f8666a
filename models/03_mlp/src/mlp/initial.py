"""The weights that training starts from: drawn once, by NumPy, for both implementations."""

from itertools import pairwise

import numpy as np


def draw_layers(sizes, seed, gain=1.0, dtype=np.float32):
    """Draw the weights of all layers; equal ones would stay equal, so symmetry has to be broken by chance.

    Uniform in ± gain √(6 / (n_below + n_units)), which keeps signals and errors in scale from layer to layer
    (Glorot & Bengio, 2010, equation 16); biases are 0. The paper says "small random weights" and no more.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, the inputs first.
    seed : int
    gain : float
        By how much larger than Glorot's they are, who thought of tanh. The sigmoid's slope is a quarter of that: its
        signals and errors fade from layer to layer, unless its weights are larger.
    dtype : dtype

    Returns
    -------
    list of (ndarray (n_units, n_below), ndarray (n_units,))
        Weights and biases of each layer.

    References
    ----------
    Glorot, Bengio. "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
    """
    generator = np.random.default_rng((seed, 1))  # apart from what else is drawn with the seed
    layers = []
    for n_below, n_units in pairwise(sizes):
        limit = gain * np.sqrt(6 / (n_below + n_units))
        W = generator.uniform(-limit, limit, (n_units, n_below))
        layers.append((W.astype(dtype), np.zeros(n_units, dtype)))
    return layers
