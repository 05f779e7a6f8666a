"""LeNet-5 (LeCun, Bottou, Bengio, Haffner, 1998, section II.B): convolutions, subsampling, and a layer of pictures.

    X    images, background -0.1 and ink 1.175    (n, 1, 32, 32)

    C1   convolution 5 × 5                        (n, 6, 28, 28)          156 parameters
    S2   subsampling 2 × 2                        (n, 6, 14, 14)           12
    C3   convolution 5 × 5, by table I            (n, 16, 10, 10)       1,516
    S4   subsampling 2 × 2                        (n, 16, 5, 5)            32
    C5   convolution 5 × 5                        (n, 120, 1, 1)       48,120
    F6   full connection                          (n, 84)              10,164
                                                                       60,000
    RBF  squared distance from a drawing of each digit, fixed          (n, 10)

    squashing    f(a) = A tanh(S a), after every layer up to F6, so that f(1) = 1 and f(-1) = -1
    subsampling  f(β · (sum of the 2 × 2 inputs) + b), with one β and one b for each map

A convolution looks for the same pattern everywhere, so a map has 25 weights for each map it sees however large the
image is; subsampling then blurs where exactly the pattern was.

Deviations from the paper
-------------------------
- Adam with a schedule takes the place of the stochastic diagonal Levenberg-Marquardt method.
- The usual output today, a full connection of ten logits and the cross-entropy (850 more parameters), is the default;
  ``output="rbf"`` is the paper's. Scores are then negative distances, so that the largest is the best.
- Dropout before F6 is offered, and off: it was found fourteen years later.

References
----------
LeCun, Bottou, Bengio, Haffner. "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE
    86 (11), 1998, pp. 2278-2324.
"""

import torch
from torch import nn
from torch.nn import functional as F

from aifs_utils.exceptions import ModelError
from lenet5.codes import digit_codes

A, S = 1.7159, 2 / 3
SIDE = 32

# Table I: the maps of S2 that each map of C3 sees. Different ones, so that the maps have to learn different things.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


def squash(a):
    """A tanh(S a), element by element."""
    return A * torch.tanh(S * a)


class Subsampling(nn.Module):
    """The sum of each 2 × 2 square, times a coefficient of the map, plus its bias; not yet squashed."""

    def __init__(self, n_maps):
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(n_maps, 1, 1))
        self.bias = nn.Parameter(torch.empty(n_maps, 1, 1))

    def forward(self, x):
        """(n, n_maps, 2 height, 2 width) → (n, n_maps, height, width)."""
        return self.coefficient * F.avg_pool2d(x, 2, divisor_override=1) + self.bias


class TableConvolution(nn.Module):
    """A convolution 5 × 5 whose maps each see some of the input maps.

    Parameters
    ----------
    table : sequence of sequence of int
        For each output map the input maps that it sees.
    n_inputs : int
        Input maps.

    Attributes
    ----------
    weight : Parameter (n_connections, 5, 5)
        A kernel for each entry of the table, in its order: what is not connected has no weight at all.
    bias : Parameter (n_outputs,)
    """

    def __init__(self, table, n_inputs):
        super().__init__()
        places = [n_inputs * output + seen for output, inputs in enumerate(table) for seen in inputs]
        self.shape = (len(table), n_inputs, 5, 5)
        self.weight = nn.Parameter(torch.empty(len(places), 5, 5))
        self.bias = nn.Parameter(torch.empty(len(table)))
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def forward(self, x):
        """(n, n_inputs, height, width) → (n, n_outputs, height - 4, width - 4)."""
        return F.conv2d(x, self.dense_weight(), self.bias)

    def dense_weight(self):
        """The kernels of all pairs of maps (n_outputs, n_inputs, 5, 5), 0 where the table has no connection.

        One dense convolution is faster than sixteen small ones or a grouped one.
        """
        n_outputs, n_inputs, *kernel = self.shape
        nothing = self.weight.new_zeros(n_outputs * n_inputs, *kernel)
        return nothing.index_copy(0, self.places, self.weight).view(self.shape)


class RBF(nn.Module):
    """Euclidean radial basis functions with fixed centres (equation 7), as scores: the negative squared distances."""

    def __init__(self, codes):
        super().__init__()
        self.register_buffer("codes", codes)

    def forward(self, x):
        """(n, 84) → (n, n_classes)."""
        # -|x - w|² = 2 x·w - |x|² - |w|²
        return 2 * x @ self.codes.T - x.square().sum(1, keepdim=True) - self.codes.square().sum(1)


class LeNet5(nn.Module):
    """The network, from images to scores, of which the largest tells the class.

    Parameters
    ----------
    output : {"softmax", "rbf"}
        What follows F6: logits of a full connection, or negative distances from the drawings of `lenet5.codes`.
    dropout : float
        Share of C5's outputs that F6 does not see while training.
    n_classes : int
        The drawings are of ten.

    Raises
    ------
    ModelError
        If the output is "rbf" and there are not ten classes.
    """

    def __init__(self, *, output="softmax", dropout=0.0, n_classes=10):
        super().__init__()
        if output == "rbf" and n_classes != 10:
            raise ModelError(f"the RBF output has drawings of ten digits, got {n_classes} classes: take 'softmax'")
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = TableConvolution(C3_TABLE, 6)
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = RBF(digit_codes()) if output == "rbf" else nn.Linear(84, n_classes)
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        """Draw all weights from -2.4 / F to 2.4 / F, F the inputs of the unit (the paper, section III.B)."""
        fan_in = {"c1": 25, "s2": 4, "s4": 4, "c5": 400, "f6": 120, "output": 84}
        for name, inputs in fan_in.items():
            for parameter in getattr(self, name).parameters():
                parameter.uniform_(-2.4 / inputs, 2.4 / inputs)
        kernels = iter(self.c3.weight)
        for map_bias, inputs in zip(self.c3.bias, C3_TABLE, strict=True):
            bound = 2.4 / (25 * len(inputs))
            map_bias.uniform_(-bound, bound)
            for _ in inputs:
                next(kernels).uniform_(-bound, bound)

    def forward(self, X):
        """(n, 1, 32, 32) → (n, n_classes)."""
        return self.output(self.last_features(X))

    def last_features(self, X):
        """What F6 makes of the images (n, 84)."""
        x = self.maps(X)["c5"].flatten(1)
        return squash(self.f6(self.dropout(x)))

    def maps(self, X):
        """The outputs of the layers C1 to C5 by name, each (n, maps, height, width)."""
        if X.shape[1:] != (1, SIDE, SIDE):
            raise ModelError(f"images of shape (n, 1, {SIDE}, {SIDE}) expected, got {tuple(X.shape)}")
        maps, x = {}, X
        for name in ("c1", "s2", "c3", "s4", "c5"):
            maps[name] = x = squash(getattr(self, name)(x))
        return maps
