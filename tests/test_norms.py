"""Normalisation as layers: PyTorch's numbers, the layers' arguments, initial weights, and the rules of a board."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch_norms

import convgrad_embedded as cge

TORCH = json.loads((Path(__file__).parent / "torch_norms.json").read_text())


def close(name, what, result):
    expected = np.reshape(TORCH["operators"][name][what], np.shape(result))
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-13, err_msg=f"{name} {what}")


@pytest.mark.parametrize("name, groups", [("group 1", 1), ("group 2", 2), ("group 3", 3), ("group 6", 6), ("instance", 6)])
def test_groups_are_those_of_pytorch(name, groups):
    x, dy, w, b, _, _ = torch_norms.drawn()
    eps = torch_norms.EPS
    close(name, "y", cge.group_norm_forward(x, groups, w, b, eps=eps))
    close(name, "dw", cge.group_norm_weight_grad(x, dy, groups, eps=eps))
    close(name, "db", cge.group_norm_bias_grad(dy))
    close(name, "dx", cge.group_norm_input_grad(x, dy, groups, w, eps=eps))


def test_a_layer_norm_is_that_of_pytorch():
    x, dy, _, _, w, b = torch_norms.drawn()
    eps, rows = torch_norms.EPS, (len(x), 1, 1, -1)
    x, dy, w, b = x.reshape(rows), dy.reshape(rows), w.ravel(), b.ravel()
    close("layer", "y", cge.group_norm_forward(x, 1, w, b, eps=eps))
    close("layer", "dw", cge.group_norm_weight_grad(x, dy, 1, eps=eps))
    close("layer", "db", cge.group_norm_bias_grad(dy))
    close("layer", "dx", cge.group_norm_input_grad(x, dy, 1, w, eps=eps))


@pytest.mark.parametrize("memory", ["fast", "small"])
def test_training_follows_pytorch(memory):
    weights, x, labels = torch_norms.trained()
    layers = [cge.Conv2d(4, 3, use_bias=False), cge.GroupNorm(2), cge.ReLU(), cge.LayerNorm(), cge.Dense(3)]
    net = cge.Network((5, 4, 2), layers, "softmax_cross_entropy", cge.SGD(0.05, momentum=0.9), memory=memory)
    given = [weights[0], *weights[1:3], weights[3], weights[4].ravel(), *weights[5:]]
    net.set_weights([w.astype(np.float32) for w in given])
    losses = [net.train_on_batch(x[step].astype(np.float32), labels[step]) for step in range(torch_norms.STEPS)]
    np.testing.assert_allclose(losses, TORCH["losses"], rtol=1e-4)


def test_weights_begin_as_ones_and_biases_as_zeros():
    layers = [cge.GroupNorm(2), cge.InstanceNorm(affine=True), cge.LayerNorm(), cge.GroupNorm(1, use_bias=False), cge.Dense(2)]
    net = cge.Network((2, 3, 4), layers, seed=5)
    shapes = [(4,), (4,), (4,), (4,), (2, 3, 4), (24,), (4,)]
    assert [w.shape for w in net.get_weights()] == [*shapes, (24, 2), (2,)]
    for number, w in enumerate(net.get_weights()[:7]):
        assert (w == (number in (0, 2, 4, 6))).all()
    without = cge.Network((2, 3, 4), [cge.Dense(2)], seed=5)  # a norm draws no random number
    assert (without.get_weights()[0] == net.get_weights()[7]).all()


def test_what_is_normalised_has_mean_zero_and_variance_one(rng):
    x = rng.normal(3.0, 5.0, (4, 6, 5, 8)).astype(np.float32)
    axes = {cge.GroupNorm(2): (1, 2, 4), cge.InstanceNorm(): (1, 2), cge.LayerNorm(): (1, 2, 3)}
    for layer, over in axes.items():
        y = cge.Network((6, 5, 8), [layer]).predict(x).reshape(x.shape)
        y = y.reshape(4, 6, 5, 2, 4) if len(over) == 3 and over[-1] == 4 else y
        np.testing.assert_allclose(y.mean(over), 0, atol=1e-5)
        np.testing.assert_allclose(y.var(over), 1, rtol=1e-3)


def test_samples_do_not_know_of_each_other(rng):
    """Batch statistics that leak between samples."""
    x = rng.normal(size=(5, 4, 4, 4)).astype(np.float32)
    net = cge.Network((4, 4, 4), [cge.GroupNorm(2), cge.LayerNorm()], capacity=3)
    together = net.predict(x)
    assert all((net.predict(x[i : i + 1])[0] == together[i]).all() for i in range(5))


def test_a_large_mean_costs_few_digits(rng):
    x = rng.normal(1000.0, 1.0, (1, 8, 8, 4))
    y = cge.group_norm_forward(x.astype(np.float32), 2)
    exact = cge.group_norm_forward(x.astype(np.float32).astype(np.float64), 2)
    np.testing.assert_allclose(y, exact, atol=1e-3)


@pytest.mark.parametrize("layer", [cge.GroupNorm(2), cge.InstanceNorm(affine=True), cge.LayerNorm()])
def test_constant_inputs_have_finite_gradients(layer):
    """Variance 0: rstd is 1 / sqrt(eps)."""
    net = cge.Network((4, 4, 4), [cge.Conv2d(4, 1, use_bias=False), layer, cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.1))
    assert np.isfinite(net.train_on_batch(np.ones((2, 4, 4, 4), np.float32), [0, 1]))


@pytest.mark.parametrize("memory", ["fast", "small", "smallest"])
def test_an_overflow_is_refused_and_changes_nothing(memory):
    layers = [cge.Conv2d(4, 1), cge.GroupNorm(2), cge.Dense(2)]
    net = cge.Network((2, 2, 1), layers, "softmax_cross_entropy", cge.SGD(0.1), memory=memory, seed=3)
    before = net.weights_hash()
    x = np.float32([1e30, -1e30, 2e30, 0]).reshape(1, 2, 2, 1)
    try:
        net.train_on_batch(x, [0])
    except cge.NotFiniteError:
        assert net.weights_hash() == before
    assert all(np.isfinite(w).all() for w in net.get_weights())


def test_learning_at_once_is_a_batch_of_one(rng):
    layers = [cge.Conv2d(6, 3), cge.GroupNorm(3), cge.ReLU(), cge.InstanceNorm(affine=True), cge.LayerNorm(), cge.Dense(3)]
    nets = [
        cge.Network((7, 6, 2), layers, "softmax_cross_entropy", cge.SGD(0.02, 0.9), memory=memory, seed=1)
        for memory in ("fast", "small", "smallest")
    ]
    x, y = rng.normal(size=(30, 7, 6, 2)).astype(np.float32), rng.integers(0, 3, 30)
    for net in nets:
        net.fit(x, y, epochs=2, batch_size=1, verbose=False)
    assert len({net.weights_hash() for net in nets}) == 1
    assert nets[2].arena_bytes < nets[1].arena_bytes < nets[0].arena_bytes


def test_the_largest_slice_bounds_a_norm():
    net = cge.Network(
        (8, 8, 8), [cge.Conv2d(8, 1), cge.LayerNorm(), cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.1), memory="small"
    )
    assert net.largest_slice_macs >= 8 * 8 * 8 * 6


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: cge.Network((2, 2, 4), [cge.GroupNorm(3)]), ["groups", "divisor of 4", "got 3"]),
        (lambda: cge.GroupNorm(0), ["groups", "at least 1", "0"]),
        (lambda: cge.GroupNorm(2.0), ["groups", "integer", "2.0"]),
        (lambda: cge.GroupNorm(num_groups=2), ["num_groups", "groups"]),
        (lambda: cge.GroupNorm(2, 1e-3), ["GroupNorm(2, 0.001)", "name"]),
        (lambda: cge.GroupNorm(2, eps=0), ["eps", "> 0", "0"]),
        (lambda: cge.LayerNorm(eps=1e-60), ["eps", "> 0"]),
        (lambda: cge.LayerNorm(eps=-1), ["eps", "-1"]),
        (lambda: cge.LayerNorm(affine=1), ["affine", "True or False", "1"]),
        (lambda: cge.LayerNorm(trainable=3), ["trainable", '"bias"', "3"]),
        (lambda: cge.InstanceNorm(trainable="bias"), ["trainable", "affine=False"]),
        (lambda: cge.GroupNorm(2, use_bias=False, trainable="bias"), ["trainable", "use_bias=False"]),
        (lambda: cge.Network((2, 2, 4), [cge.LayerNorm(), cge.Dense(2)], input_scale=1 / 256), ["LayerNorm", "bytes"]),
        (lambda: cge.group_norm_forward(np.ones((2, 2, 4)), 3), ["groups", "divisor of 4", "3"]),
        (lambda: cge.group_norm_forward(np.ones((2, 2, 4)), 2, np.ones(3)), ["w", "(4,)", "(3,)"]),
        (lambda: cge.group_norm_input_grad(np.ones((2, 2, 4)), np.ones((2, 2, 3)), 2), ["dy", "2, 2, 4", "(2, 2, 3)"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    "layer",
    [
        cge.GroupNorm(2, eps=0.125),
        cge.GroupNorm(4, affine=False),
        cge.InstanceNorm(affine=True, frozen=True),
        cge.LayerNorm(use_bias=False),
        cge.LayerNorm(trainable="bias"),
    ],
    ids=repr,
)
def test_files_keep_the_arguments(layer, tmp_path):
    net = cge.Network((2, 2, 4), [layer, cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.1))
    net.save(tmp_path / "net.cge")
    assert cge.Network.load(tmp_path / "net.cge").layers == net.layers
    assert eval(repr(layer), vars(cge)) == layer


def test_an_onnx_file_holds_them(tmp_path, rng):
    """Run by ONNX's own evaluator where it is installed."""
    layers = [
        cge.Conv2d(8, 3), cge.GroupNorm(4, eps=0.125), cge.Dropout(0.5), cge.InstanceNorm(), cge.Conv2d(4, 2),
        cge.InstanceNorm(affine=True), cge.LayerNorm(use_bias=False), cge.Dense(6), cge.LayerNorm(),
        cge.GroupNorm(2, affine=False), cge.Dense(3),
    ]  # fmt: skip
    net = cge.Network((6, 5, 2), layers)
    net.set_weights([w + 0.3 * rng.normal(size=w.shape).astype(np.float32) for w in net.get_weights()])
    path, x = tmp_path / "net.onnx", rng.normal(size=(3, 6, 5, 2)).astype(np.float32)
    net.to_onnx(path)
    assert path.read_bytes().count(b"InstanceNormalization") >= 6
    if importlib.util.find_spec("onnx") is None:
        return
    run = importlib.import_module("onnx.reference").ReferenceEvaluator(str(path)).run
    np.testing.assert_allclose(run(None, {"x": x.transpose(0, 3, 1, 2)})[0], net.predict(x), rtol=1e-4, atol=1e-5)


def test_defaults_are_pytorchs():
    assert cge.GroupNorm(2) == cge.GroupNorm(2, eps=1e-5, affine=True, use_bias=True, trainable=True)
    assert cge.LayerNorm() == cge.LayerNorm(eps=1e-5, affine=True, use_bias=True)
    assert cge.InstanceNorm() == cge.InstanceNorm(eps=1e-5, affine=False)
