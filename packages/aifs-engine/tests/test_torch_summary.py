"""The summary of a model, against numbers computed by hand and by autograd."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra torch is not installed")
nn = torch.nn

from aifs_engine import torch_summary  # noqa: E402  # only where torch is there
from aifs_engine.torch_summary import summarize_model  # noqa: E402


@pytest.fixture
def cnn():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10))


def test_a_small_cnn_is_what_pencil_and_paper_say(cnn):
    """Shapes, parameters and operations: 2 × images × outputs × weights of each output."""
    summary = summarize_model(cnn, torch.randn(2, 1, 8, 8))
    rows = [(row.name, row.type, row.output_shape, row.parameters, row.flops) for row in summary.rows]
    assert rows == [
        ("0", "Conv2d", (2, 4, 6, 6), 4 * (9 + 1), 2 * 2 * (4 * 6 * 6) * 9),
        ("1", "ReLU", (2, 4, 6, 6), 0, 0),
        ("2", "MaxPool2d", (2, 4, 3, 3), 0, 0),
        ("3", "Flatten", (2, 36), 0, 0),
        ("4", "Linear", (2, 10), 36 * 10 + 10, 2 * 2 * 10 * 36),
    ]
    assert summary.parameters == summary.trainable == 410
    assert summary.flops == 5184 + 1440


def test_the_memory_of_a_small_cnn_is_what_pencil_and_paper_say(cnn):
    """float32 weights; of the activations, what the backward pass needs, each memory once."""
    summary = summarize_model(cnn, torch.randn(2, 1, 8, 8))
    assert summary.weight_bytes == summary.gradient_bytes == 4 * 410
    assert summary.optimizer_bytes == 2 * 4 * 410
    batch, rectified, places, pooled = 4 * 2 * 64, 4 * 2 * 4 * 36, 8 * 2 * 4 * 9, 4 * 2 * 4 * 9
    assert summary.activation_bytes == batch + rectified + places + pooled
    assert summarize_model(cnn, torch.randn(2, 1, 8, 8), optimizer_vectors=0).optimizer_bytes == 0


def test_the_table_is_read_at_a_hundred_columns(cnn):
    """Long names lose their beginning, long types their end."""
    deep = nn.Sequential()
    deep.add_module("the_first_part_of_a_model_with_long_names", nn.Sequential(cnn))
    encoder = nn.TransformerEncoderLayer(8, 2, 16)
    lines = str(summarize_model(deep, torch.randn(2, 1, 8, 8))).splitlines()
    assert max(map(len, [*lines, *str(summarize_model(encoder, torch.randn(5, 2, 8))).splitlines()])) <= 100
    assert lines[0].split() == ["name", "type", "output", "shape", "parameters", "FLOPs"]
    assert lines[2].startswith("…model_with_long_names.0.0 Conv2d")
    assert lines[-3].split() == ["total", "410", "6,624"]
    assert lines[-2] == "memory in training: 8.875 KiB"
    assert "gradients 1.602 KiB, optimizer 3.203 KiB, activations 2.469 KiB" in lines[-1]


def test_shared_parameters_are_counted_once():
    """A tied output layer has no parameters of its own, and all of its operations."""
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    summary = summarize_model(model, torch.randn(3, 4))
    assert [row.parameters for row in summary.rows] == [16, 0]
    assert [row.flops for row in summary.rows] == [96, 96]
    assert (summary.parameters, summary.weight_bytes) == (16, 64)


def test_a_module_that_is_called_twice_has_the_operations_of_both_calls():
    """One row, since it has one name."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, X):
            return self.layer(self.layer(X))

    (row,) = summarize_model(Twice(), torch.randn(3, 4)).rows
    assert (row.name, row.parameters, row.flops) == ("layer", 20, 2 * 96)


def test_what_a_module_computes_beside_its_parts_is_its_own():
    """A product in the model's own forward; and a part that is never called is a row without a shape."""

    class Gram(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 5), nn.Linear(1, 1)

        def forward(self, X):
            hidden = self.used(X)
            return {"gram": hidden @ hidden.T}

    summary = summarize_model(Gram(), torch.randn(3, 4))
    rows = [(row.name, row.output_shape, row.parameters, row.flops) for row in summary.rows]
    assert rows == [("(model)", (3, 3), 0, 90), ("used", (3, 5), 25, 120), ("unused", None, 2, 0)]
    assert " - " in str(summary).splitlines()[4]


@pytest.mark.parametrize("training", [True, False])
def test_attention_is_counted_in_either_mode(training):
    """Its kernels differ; scores and means take 2 × heads × samples × 5 × 5 × 4 each."""
    layer = nn.TransformerEncoderLayer(8, 2, 16).train(training)
    summary = summarize_model(layer, torch.randn(5, 2, 8))
    linear = 2 * 10 * (8 * 24 + 8 * 8 + 8 * 16 + 16 * 8)
    assert summary.flops == linear + 2 * (2 * 2 * 2 * 5 * 5 * 4)
    assert summary.parameters == sum(parameter.numel() for parameter in layer.parameters())


@pytest.mark.parametrize(("kind", "n_gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_layers_are_counted(kind, n_gates):
    """Two layers over four times of two samples, each with an input matrix and a hidden one for each gate."""
    model = getattr(nn, kind)(3, 5, num_layers=2)
    (row,) = summarize_model(model, torch.randn(4, 2, 3)).rows
    assert row.output_shape == (4, 2, 5)
    assert row.flops == 2 * 4 * 2 * n_gates * (3 * 5 + 5 * 5 + 5 * 5 + 5 * 5)
    assert row.parameters == n_gates * (3 * 5 + 5 * 5 + 10 + 5 * 5 + 5 * 5 + 10)


def test_the_recurrent_kernels_of_a_gpu_are_counted_alike():
    """The library cuDNN gets all weights of a layer in one list, biases among them."""
    lstm = torch_summary._FURTHER_FLOPS[torch.ops.aten._cudnn_rnn]
    assert lstm((4, 2, 3), [(20, 3), (20, 5), (20,), (20,)], 4) == 2 * 4 * 2 * (20 * 3 + 20 * 5)


def test_several_arguments_come_as_a_tuple_or_by_name():
    """As a model with two inputs needs them."""
    model, first, second = nn.Bilinear(2, 3, 4), torch.randn(5, 2), torch.randn(5, 3)
    by_place = summarize_model(model, (first, second))
    assert by_place == summarize_model(model, {"input1": first, "input2": second})
    assert by_place.rows[0].output_shape == (5, 4)


def test_frozen_parameters_have_no_gradients(cnn):
    """Neither they nor their moments take memory."""
    cnn[0].requires_grad_(False)
    summary = summarize_model(cnn, torch.randn(2, 1, 8, 8))
    assert (summary.trainable, summary.gradient_bytes, summary.optimizer_bytes) == (370, 1480, 2960)
    assert "of the parameters, 40 are frozen" in str(summary)


def test_a_model_without_memory_is_summarized_too():
    """On the device "meta", for one that is too large for this machine."""
    large = nn.Linear(100_000, 100_000, device="meta")
    summary = summarize_model(large, torch.empty(8, 100_000, device="meta"))
    assert summary.flops == 2 * 8 * 10**10
    assert summary.activation_bytes == 4 * 8 * 10**5
    assert "37.25 GiB" in str(summary)


def test_the_model_and_the_random_states_are_as_they_were():
    """Modes of single modules, buffers, gradients, hooks, and what dropout would draw next."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))
    model(torch.randn(8, 4)).sum().backward()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    content = [tensor.clone() for tensor in model.state_dict().values()]
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    states = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()  # noqa: NPY002
    summarize_model(model, torch.ones(2, 4))
    assert [module.training for module in model.modules()] == modes
    assert all(map(torch.equal, content, model.state_dict().values()))
    assert all(map(torch.equal, gradients, [parameter.grad for parameter in model.parameters()]))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    after = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert after == states


def test_a_model_that_draws_and_counts_in_evaluation_is_put_back():
    """Noise at the input, and a buffer that counts the calls."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, X):
            self.calls += 1
            return X + torch.randn_like(X)

    model, X = Counting(), torch.zeros(2)
    torch.manual_seed(0)
    expected = torch.randn(2)
    torch.manual_seed(0)
    summarize_model(model, X)
    assert torch.equal(model(X), expected)
    assert model.calls == 1


def test_an_input_that_does_not_fit_is_torchs_own_error_and_leaves_no_hooks(cnn):
    """The mode is put back as well."""
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        summarize_model(cnn, torch.randn(2, 1, 9, 12))
    assert cnn.training
    assert not any(module._forward_hooks for module in cnn.modules())


def test_frozen_attention_has_the_flops_of_attention_that_is_trained():
    """Frozen, torch would take a fast path in evaluation, which is one operation that nobody counts."""
    model, X = nn.MultiheadAttention(8, 2, batch_first=True), (torch.zeros(3, 5, 8),) * 3
    trained = summarize_model(model, X).flops
    assert summarize_model(model.requires_grad_(False), X).flops == trained > 0
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_bilinear_layer_has_three_flops_per_weight_and_sample():
    """Two multiplications and an addition."""
    assert summarize_model(nn.Bilinear(4, 5, 6), (torch.zeros(3, 4), torch.zeros(3, 5))).flops == 3 * 3 * 4 * 5 * 6


def test_a_packed_sequence_is_one_input():
    """It is a named tuple, and not the arguments of a call."""
    X = nn.utils.rnn.pack_sequence([torch.zeros(3, 4), torch.zeros(2, 4)])
    assert summarize_model(nn.LSTM(4, 8), X).parameters == 4 * 8 * (4 + 8 + 2)


def test_a_lazy_norm_is_summarized():
    """Its buffers have no content before the first batch."""
    model = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    assert summarize_model(model, torch.zeros(5, 2)).parameters == 3 * 2 + 3 + 3 + 3
