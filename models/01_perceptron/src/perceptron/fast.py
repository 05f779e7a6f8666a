"""The perceptron's rule for many samples: the weights of the plain loop, to the last bit, in a fraction of its time.

While the perceptron is right nothing changes, so the samples up to its next mistake can be scored together, by one
product of a block of samples with the weights. That product adds in another order than the dot product of one sample,
so its scores may differ from the plain loop's in their last digits. Summed in any order, the dot product of d numbers
is off by at most d·u·|x||w|, with u half the machine epsilon eps (Higham, "Accuracy and Stability of Numerical
Algorithms", section 3.1). So the two agree on the sign wherever

    |score| > (d + 2)·eps·|x||w|        with the bias as one more weight, whose input is always 1,

and only there the block's score decides. Samples that this leaves open, the mistakes among them, are decided by their
own dot product, as in the plain loop. A score that is not finite is always left open.

Where mistakes come thick and fast there is nothing to look ahead to, and a tight loop takes over.
"""

from math import sqrt

import numpy as np

CHUNK = 256  # samples: so few of them stay in the processor's cache
LEAST_BLOCK = 12  # samples scored together
RARE = 12  # looking ahead pays as long as mistakes are rarer than one in so many samples


def learn_in_blocks(weights, bias, X, targets, learning_rate):
    """Do what `perceptron.model.learn_one_by_one` does, with the same parameters, side effect and results.

    Weights, bias and the sign of every score are the same bit by bit; a score may differ from the plain loop's by
    rounding.
    """
    scores = np.empty(len(X))
    bounded = CHUNK * X.shape[1] * np.finfo(X.dtype).eps < 1  # with more features, rounding could be anything
    learn = _learn_tightly  # from zero weights, mistakes are frequent at first
    for start in range(0, len(X), CHUNK):
        part = slice(start, start + CHUNK)
        bias, n_mistakes = learn(weights, bias, X[part], targets[part], learning_rate, scores[part])
        learn = _look_ahead if bounded and n_mistakes * RARE < CHUNK else _learn_tightly
    return bias, scores


def _look_ahead(weights, bias, X, targets, learning_rate, scores):
    """Score blocks of samples, each up to its first mistake. Return the bias and the number of mistakes."""
    signs = np.where(targets, 1.0, -1.0)
    doubt_per_unit = _doubt_per_unit(X)
    tiny = X.shape[1] * float(np.finfo(X.dtype).tiny)  # more than all squares together that vanish by underflow
    start, size, n_mistakes = 0, len(X), 0
    while start < len(X):
        stop = start + size
        block, ahead = X[start:stop], scores[start:stop]
        np.add(block.dot(weights), bias, out=ahead)
        doubt = doubt_per_unit * sqrt(float(weights.dot(weights)) + bias * bias + tiny)
        size *= 2
        for k in (~(ahead * signs[start:stop] > doubt)).nonzero()[0].tolist():  # not <=, which NaN would pass
            ahead[k] = score = float(block[k].dot(weights)) + bias
            if (score >= 0) != targets[start + k]:
                bias = _correct(weights, bias, block[k], targets[start + k], learning_rate)
                n_mistakes += 1
                stop, size = start + k + 1, max(k, LEAST_BLOCK)
                break
        start = stop
    return bias, n_mistakes


def _learn_tightly(weights, bias, X, targets, learning_rate, scores):
    """The plain loop with little around it. Return the bias and the number of mistakes."""
    found, n_mistakes = [], 0
    for x, target in zip(X, targets.tolist(), strict=True):
        score = float(x.dot(weights)) + bias
        found.append(score)
        if (score >= 0) != target:
            bias = _correct(weights, bias, x, target, learning_rate)
            n_mistakes += 1
    scores[:] = found
    return bias, n_mistakes


def _correct(weights, bias, x, target, learning_rate):
    """Add learning_rate·(t - o)·x after a mistake, where t - o is 1 or -1; return the new bias."""
    step = x if learning_rate == 1 else learning_rate * x  # a product with 1 or -1 rounds nothing
    if target:
        weights += step
        return bias + learning_rate
    weights -= step
    return bias - learning_rate


def _doubt_per_unit(X):
    """The bound of the module's docstring for any of these samples, per unit of |w|."""
    n_features, eps = X.shape[1], float(np.finfo(X.dtype).eps)
    values = X.reshape(-1)
    norm = sqrt(float(values.dot(values)) + len(X))  # of all samples: above each one's, and one dot product in all
    return (n_features + 2) * eps * norm * (1 + X.size * eps) ** 2  # squared: for the rounding of the norms as well
