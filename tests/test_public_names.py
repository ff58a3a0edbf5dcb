"""What `from convgrad_embedded import *` gives is used by some test, and is what its documentation says."""

import ast
from pathlib import Path

import numpy as np
import pytest
from nets import SPECS
from test_operators import CASES

import convgrad_embedded as cge
from convgrad_embedded import _layers


def names_in_tests():
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                yield node.attr


def test_every_public_name_is_used_by_a_test():
    """Operators by the table of test_operators.py, the rest as an attribute: cge.<name>."""
    used = {*names_in_tests(), *(case.function.__name__ for case in CASES)}
    assert [name for name in cge.__all__ if name not in used] == []


def test_every_public_name_is_there_once():
    assert len(set(cge.__all__)) == len(cge.__all__)
    assert [name for name in cge.__all__ if not hasattr(cge, name)] == []


def test_evaluate_gives_an_evaluation():
    net = cge.Network((4,), [cge.Dense(3)], "softmax_cross_entropy")
    x, y = np.eye(4, dtype=np.float32), [0, 1, 2, 0]
    result = net.evaluate(x, y)
    assert isinstance(result, cge.Evaluation)
    assert result == cge.Evaluation(loss=result[0], accuracy=result[1])
    assert result.accuracy == np.mean(net.predict(x).argmax(1) == y)


def test_gradcheck_gives_a_gradient_check(rng):
    spec = next(iter(SPECS.values()))
    net = spec.network()
    result = net.gradcheck(*spec.data(2, rng))
    assert isinstance(result, cge.GradientCheck)
    assert result.checked == net.param_count
    assert 0 <= result.max_error <= 1e-6


def test_layers_are_layers_and_layer_is_none():
    kinds = [
        cge.Conv2d(1, 1),
        cge.Dense(1),
        cge.MaxPool2d(1),
        cge.AvgPool2d(1),
        cge.GlobalAvgPool2d(),
        cge.ReLU(),
        cge.LeakyReLU(),
        cge.Sigmoid(),
        cge.Tanh(),
        cge.Flatten(),
        cge.GlobalMaxPool2d(),
        cge.ZeroPad2d(1),
        cge.Crop2d(1),
        cge.ChannelSlice(0, 1),
        cge.Upsample2d(),
        cge.ReLU6(),
        cge.HardSigmoid(),
        cge.ELU(),
        cge.Softplus(),
        cge.Softmax(),
        cge.HardSwish(),
        cge.SiLU(),
        cge.GELU(),
        cge.Add(),
        cge.Concat(),
        cge.GroupNorm(1),
        cge.InstanceNorm(),
        cge.LayerNorm(),
        cge.BatchNorm(),
        cge.ConvTranspose2d(1, 1),
        cge.Scale(),
        cge.PReLU(),
        cge.Dropout(),
    ]
    assert all(isinstance(layer, cge.Layer) for layer in kinds)
    assert {type(layer).__name__ for layer in kinds} == {kind.__name__ for kind in _layers.LAYERS.values()}
    with pytest.raises(TypeError, match=r"^layers\[0\]: expected a layer"):
        cge.Network((4,), [cge.Layer])
