"""The LMS rule for many samples: one call for a block of them, and the weights of the plain loop but for rounding.

One step of the rule, w ← w + η (t - w·x) x, is what LAPACK calls applying an elementary reflector,
c ← c - τ v (v·c), if

    c = (-t_1 … -t_n, 0 … 0, b, w)        v_i = (i-th unit vector, i-th unit vector, 1, x_i)        τ = η

for then v_i·c = w·x_i + b - t_i, the error of sample i with the sign turned. The first unit vectors see to it that each
sample meets its own target, the second ones that η times its error is left where there were zeros. So the routine that
applies n reflectors one after the other learns n samples in their order, with the plain loop's products and sums.
"""

import numpy as np

from aifs_utils.exceptions import ModelError

BLOCK = 32  # samples in a call; LAPACK would take more than this many reflectors by another, slower way


def learn_in_blocks(w, b, X, targets, learning_rate):
    """Do what `adaline.model.learn_one_by_one` does, with the same parameters, side effect and results.

    For float32 and float64: LAPACK has no routine for other types.
    """
    from scipy.linalg import get_lapack_funcs  # takes a tenth of a second to import, which only large batches pay

    (apply_reflectors,) = get_lapack_funcs(("ormqr",), dtype=X.dtype)
    n_features = X.shape[1]
    reflectors = np.zeros((BLOCK, 2 * BLOCK + 1 + n_features), X.dtype)  # one per row, which LAPACK takes for a column
    reflectors[:, BLOCK : 2 * BLOCK] = np.eye(BLOCK)  # the unit vectors before these are understood
    reflectors[:, 2 * BLOCK] = 1
    eta = np.full(BLOCK, learning_rate, X.dtype)
    c = np.zeros((reflectors.shape[1], 1), X.dtype, order="F")
    minus_targets, moves, bias, weights = np.split(c[:, 0], [BLOCK, 2 * BLOCK, 2 * BLOCK + 1])
    bias[:], weights[:] = b, w
    errors = np.empty_like(targets)
    for start in range(0, len(X), BLOCK):
        stop = min(start + BLOCK, len(X))
        n = stop - start
        reflectors[:n, 2 * BLOCK + 1 :] = X[start:stop]
        minus_targets[:n] = -targets[start:stop]
        moves[:] = 0
        learned, _, info = apply_reflectors("L", "T", reflectors[:n].T, eta[:n], c, 1, overwrite_c=1)
        if info != 0:
            raise ModelError(f"a block was not learned: LAPACK's {apply_reflectors.typecode}ormqr returned {info}")
        if learned is not c:  # to overwrite is a permission, which the routine need not make use of
            c[:] = learned
        errors[start:stop] = moves[:n]
    w[:] = weights
    errors /= learning_rate
    return float(bias[0]), errors
