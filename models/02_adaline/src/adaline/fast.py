"""The LMS rule for many samples: a block of them at once, with the weights of the plain loop but for rounding.

Within a block, sample i is met by the weights that the samples before it have left. With r the errors that the block
would make with the weights from before it, and K = X Xᵀ + 1 the products of its inputs (the bias as one more input of
1),

    e_i = r_i - η Σ_{j<i} K_ij e_j            so        (I + η L) e = r,   L the part of K below its diagonal,

which is solved by substitution from the top, as the plain loop does one by one. Then w ← w + η Xᵀ e.
"""

import numpy as np

BLOCK = 48  # samples: more make the products dearer, fewer make the calls count


def learn_in_blocks(w, b, X, targets, learning_rate):
    """Do what `adaline.model.learn_one_by_one` does, with the same parameters, side effect and results."""
    from scipy.linalg import get_blas_funcs  # takes a tenth of a second to import, which only large batches pay

    (substitute,) = get_blas_funcs(("trsv",), dtype=X.dtype)
    errors = np.empty_like(targets)
    for start in range(0, len(X), BLOCK):
        block = X[start : start + BLOCK]
        residuals = targets[start : start + BLOCK] - block.dot(w)
        residuals -= b
        coupling = block.dot(block.T)
        coupling += 1
        coupling *= learning_rate
        # BLAS counts columns first, so it sees the transpose; with diag=1 it takes the diagonal for ones.
        e = substitute(coupling.T, residuals, lower=0, trans=1, diag=1)
        w += learning_rate * e.dot(block)
        b += learning_rate * float(e.sum())
        errors[start : start + BLOCK] = e
    return b, errors
