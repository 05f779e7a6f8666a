"""The network against the paper: its table of parameters, table I, the squashing function, the RBF output."""

import math

import pytest
import torch
from torch.nn import functional as F

from aifs_engine.torch_optimizers import Adam
from aifs_utils.exceptions import ModelError
from lenet5.codes import digit_codes
from lenet5.learner import map_loss
from lenet5.model import C3_TABLE, RBF, LeNet5, Subsampling, TableConvolution, squash

PAPER = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}  # section II.B
TABLE_I = """
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X
"""


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@pytest.fixture
def batch():
    """Eight pictures of noise and their labels."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 1, 32, 32, generator=generator), torch.arange(8)


@pytest.mark.parametrize(("layer", "expected"), PAPER.items())
def test_a_layer_has_as_many_parameters_as_the_paper_says(layer, expected):
    assert n_parameters(getattr(LeNet5(), layer)) == expected


def test_the_network_of_the_paper_has_60000_parameters_and_ten_logits_add_850():
    assert n_parameters(LeNet5(output="rbf")) == sum(PAPER.values()) == 60_000
    assert n_parameters(LeNet5()) == 60_850


def test_the_paper_counts_340908_connections():
    """A weight is counted wherever it is used, a bias likewise; a unit of S2 has four inputs and a bias."""
    paper = {"c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000, "c5": 48_120}
    network = LeNet5()
    sides = {name: maps.shape[-1] for name, maps in network.maps(torch.zeros(1, 1, 32, 32)).items()}
    counted = {name: n_parameters(getattr(network, name)) * sides[name] ** 2 for name in ("c1", "c3", "c5")}
    counted |= {name: 5 * n_maps * sides[name] ** 2 for name, n_maps in (("s2", 6), ("s4", 16))}
    assert counted == paper
    assert sum(counted.values()) + n_parameters(network.f6) + 84 * 10 == 340_908


def test_table_i_is_that_of_the_paper():
    rows = [line.split() for line in TABLE_I.strip().splitlines()]
    columns = [tuple(s2 for s2 in range(6) if rows[s2][c3] == "X") for c3 in range(16)]
    assert tuple(columns) == C3_TABLE


def test_a_map_of_c3_sees_the_maps_of_its_row_and_no_other():
    layer = LeNet5().c3
    x = torch.randn(1, 6, 14, 14)
    before = layer(x)
    for s2 in range(6):
        disturbed = x.clone()
        disturbed[0, s2] += 1.0
        changed = (layer(disturbed) != before).flatten(2).any(2)[0]
        assert changed.tolist() == [s2 in inputs for inputs in C3_TABLE]


def test_the_table_convolution_is_a_sum_of_convolutions_of_single_maps():
    table = ((0, 2), (1,))
    layer = TableConvolution(table, 3).double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    kernels = iter(layer.weight)
    for output, inputs in enumerate(table):
        expected = layer.bias[output] + sum(F.conv2d(x[:, i : i + 1], next(kernels)[None, None]) for i in inputs)
        torch.testing.assert_close(layer(x)[:, output : output + 1], expected)


def test_the_gradients_of_the_table_convolution_are_those_of_finite_differences():
    layer = TableConvolution(((0, 1), (1,)), 2).double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, layer.weight, layer.bias))


def test_the_layers_have_the_shapes_of_figure_2(batch):
    shapes = {name: tuple(maps.shape[1:]) for name, maps in LeNet5().maps(batch[0]).items()}
    assert shapes == {"c1": (6, 28, 28), "s2": (6, 14, 14), "c3": (16, 10, 10), "s4": (16, 5, 5), "c5": (120, 1, 1)}
    assert LeNet5().last_features(batch[0]).shape == (8, 84)
    assert LeNet5(output="rbf")(batch[0]).shape == LeNet5()(batch[0]).shape == (8, 10)


def test_the_squashing_function_is_that_of_appendix_a():
    a = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    assert squash(a).tolist() == pytest.approx([-1, 0, 1], abs=1e-4)
    assert squash(torch.tensor(100.0)).item() == pytest.approx(1.7159)


def test_subsampling_adds_four_inputs_and_scales_the_sum():
    layer = Subsampling(2)
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([2.0, 3.0])[:, None, None])
        layer.bias.copy_(torch.tensor([0.5, -0.5])[:, None, None])
    x = torch.arange(16.0).reshape(1, 1, 4, 4).repeat(1, 2, 1, 1)
    sums = torch.tensor([[10.0, 18.0], [42.0, 50.0]])
    assert torch.equal(layer(x)[0], torch.stack([2 * sums + 0.5, 3 * sums - 0.5]))


def test_the_rbf_output_is_the_squared_distance_from_each_drawing():
    x = torch.randn(5, 84, dtype=torch.float64)
    codes = digit_codes().double()
    distances = ((x[:, None] - codes) ** 2).sum(2)
    torch.testing.assert_close(RBF(codes)(x), -distances)
    assert torch.equal(RBF(codes)(codes).argmax(1), torch.arange(10))


def test_the_drawings_are_ten_different_ones_of_7_by_12():
    codes = digit_codes()
    assert codes.shape == (10, 84)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    differing = (codes[:, None] != codes).sum(2) + 84 * torch.eye(10, dtype=torch.int64)
    assert differing.min() >= 8


def test_the_drawings_are_not_learned(batch):
    network = LeNet5(output="rbf")
    optimizer = Adam(network.parameters(), 0.01)
    map_loss(network(batch[0]), batch[1]).backward()
    optimizer.step()
    assert torch.equal(network.output.codes, digit_codes())


def test_the_map_criterion_is_equation_9():
    distances = [[3.0, 1.0, 8.0], [20.0, 30.0, 25.0]]
    targets = [1, 0]
    expected = sum(
        y[d] + math.log(math.exp(-10) + sum(math.exp(-each) for each in y))
        for y, d in zip(distances, targets, strict=True)
    )
    scores = -torch.tensor(distances, dtype=torch.float64)
    assert map_loss(scores, torch.tensor(targets)).item() == pytest.approx(expected / 2)


def test_the_map_criterion_does_not_overflow_far_from_all_drawings():
    assert map_loss(torch.full((1, 10), -2000.0), torch.tensor([3])).item() == pytest.approx(1990.0)


def test_weights_are_drawn_within_the_bound_of_their_fan_in():
    network = LeNet5()
    for kernels, inputs in ((network.c1.weight, 25), (network.c5.weight, 400), (network.f6.weight, 120)):
        assert 0.9 * 2.4 / inputs < kernels.abs().max() <= 2.4 / inputs
    seen = [inputs for inputs in C3_TABLE for _ in inputs]
    for kernel, inputs in zip(network.c3.weight, seen, strict=True):
        assert kernel.abs().max() <= 2.4 / (25 * len(inputs))


@pytest.mark.parametrize(("output", "loss"), [("softmax", F.cross_entropy), ("rbf", map_loss)])
def test_every_parameter_gets_a_gradient(batch, output, loss):
    network = LeNet5(output=output)
    loss(network(batch[0]), batch[1]).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


def overfitted(batch, output, loss, learning_rate):
    torch.manual_seed(0)
    network = LeNet5(output=output)
    optimizer = Adam(network.parameters(), learning_rate)
    for _ in range(80):
        for parameter in network.parameters():
            parameter.grad = None
        loss(network(batch[0]), batch[1]).backward()
        optimizer.step()
    return (network(batch[0]).argmax(1) == batch[1]).float().mean().item()


@pytest.mark.parametrize(("output", "loss"), [("softmax", F.cross_entropy), ("rbf", map_loss)])
def test_a_batch_can_be_overfitted(batch, output, loss):
    assert overfitted(batch, output, loss, 0.003) == 1.0


def test_without_updates_a_batch_is_not_overfitted(batch):
    assert overfitted(batch, "softmax", F.cross_entropy, 1e-12) < 0.5


def test_dropout_is_at_work_in_training_alone(batch):
    network = LeNet5(dropout=0.5)
    assert not torch.equal(network(batch[0]), network(batch[0]))
    network.eval()
    assert torch.equal(network(batch[0]), network(batch[0]))


@pytest.mark.parametrize("shape", [(4, 1, 28, 28), (4, 3, 32, 32), (4, 1024)])
def test_pictures_of_another_shape_are_refused(shape):
    with pytest.raises(ModelError, match=r"\(n, 1, 32, 32\) expected, got"):
        LeNet5()(torch.zeros(shape))


def test_the_rbf_output_is_for_ten_digits():
    with pytest.raises(ModelError, match="drawings of ten digits, got 3 classes"):
        LeNet5(output="rbf", n_classes=3)
