"""Layers against PyTorch's numbers, which tests/torch_numbers.py made once and torch_numbers.json holds, in float64."""

import json

import numpy as np
import pytest
from graphs import one_layer
from torch_numbers import PATH

import convgrad_embedded as cge

CASES = json.loads(PATH.read_text(encoding="utf-8"))
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


CONV1D = [case for case in CASES if case["layer"][0] == "Conv1d"]
IMAGES = [case for case in CASES if isinstance(case["layer"][1], dict) and case not in CONV1D]
ACTIVATIONS = [case for case in CASES if isinstance(case["layer"][1], list)]


@pytest.mark.parametrize("case", ACTIVATIONS, ids=lambda case: f"{case['layer'][0]}-{case['layer'][1]}")
def test_activation_is_pytorchs(case):
    """At the edges too: x holds -3, 3, 6 and 0."""
    (name, arguments), x, dy = case["layer"], np.array(case["x"]), np.array(case["dy"])
    kind = getattr(cge, name).kind
    pixels = (-1, x.shape[-1]) if name == "Softmax" else x.shape
    y = getattr(cge, f"{kind}_forward")(x.reshape(pixels), *arguments)
    told = x.reshape(pixels) if name in ("HardSwish", "SiLU", "GELU") else y
    dx = getattr(cge, f"{kind}_input_grad")(told, dy.reshape(pixels), *arguments)
    np.testing.assert_allclose(y.reshape(x.shape), case["y"], **CLOSE)
    sixth_of_a_float = {"rtol": 1e-7} if name == "HardSigmoid" else {}  # PyTorch multiplies by a float32's 1/6 there
    np.testing.assert_allclose(dx.reshape(x.shape), case["dx"], **{**CLOSE, **sixth_of_a_float})


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("case", IMAGES, ids=lambda case: f"{case['layer'][0]}-{case['layer'][1]}")
def test_image_is_pytorchs(case):
    (name, arguments), x, dy = case["layer"], np.array(case["x"]), np.array(case["dy"])
    layer = getattr(cge, name)(**{key: _tuples(value) for key, value in arguments.items()})
    y, dx = one_layer(layer, x, dy)
    np.testing.assert_allclose(y.reshape(dy.shape), case["y"], **CLOSE)
    np.testing.assert_allclose(dx, case["dx"], **CLOSE)


@pytest.mark.parametrize("case", CONV1D, ids=lambda case: case["layer"][0])
def test_series_is_pytorchs(case):
    layer = cge.Conv1d(6, 3, **case["layer"][1])
    x, w, b, dy = (np.array(case[name]) for name in ("x", "w", "b", "dy"))
    x, dy = x[:, None], dy[:, None]
    options = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation, "groups": layer.groups}
    np.testing.assert_allclose(cge.conv2d_forward(x, w, b, **options)[:, 0], case["y"], **CLOSE)
    np.testing.assert_allclose(cge.conv2d_weight_grad(x, dy, layer.kernel_size, **options), case["dw"], **CLOSE)
    np.testing.assert_allclose(cge.conv2d_input_grad(w, dy, x.shape[:2], **options)[:, 0], case["dx"], **CLOSE)
    np.testing.assert_allclose(cge.conv2d_bias_grad(dy), case["db"], **CLOSE)
