"""TensorFlow Lite files, written field by field and compared with float64 NumPy."""

import numpy as np
import pytest
from oracles import only_value_errors
from tflite_files import Model

import convgrad_embedded as cge

RNG = np.random.default_rng(9)
SAME, VALID, RELU, TANH = 0, 1, 1, 4


def loaded(tmp_path, model, **options):
    return cge.Network.from_tflite(model.write(tmp_path / "m.tflite"), **options)


def convolved(x, w):
    """x (N, H, W, C), w (filters, KH, KW, C), without padding."""
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), w.shape[1:3], (1, 2))
    return np.einsum("nhwcij,kijc->nhwk", windows, w.astype(np.float64))


def conv_options(padding=VALID, stride=1, activation=0, dilation=1):
    """(stride_w, stride_h): Conv2DOptions has the width first."""
    h, w = stride if isinstance(stride, tuple) else (stride, stride)
    return {0: ("b", padding), 1: ("i", w), 2: ("i", h), 3: ("b", activation), 4: ("i", dilation), 5: ("i", dilation)}


def test_convolution_with_its_activation_and_a_dense_layer(tmp_path):
    w, b = RNG.normal(size=(4, 3, 2, 2)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
    d = RNG.normal(size=(5, 3 * 3 * 4)).astype(np.float32)
    m = Model(x=(1, 7, 6, 2))
    m.constant("w", w), m.constant("b", b), m.constant("d", d)
    m.constant("v", RNG.normal(size=(4, 2, 1, 4)).astype(np.float32))
    m.op("CONV_2D", ["x", "w", "b"], "c", (1, 4, 3, 4), conv_options(SAME, (2, 2), RELU))
    m.op("CONV_2D", ["c", "v"], "e", (1, 3, 3, 4), conv_options())
    m.op("FULLY_CONNECTED", ["e", "d"], "y", (1, 5), {0: ("b", TANH)})
    net = loaded(tmp_path, m)
    x = RNG.normal(size=(3, 7, 6, 2)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))  # rows 4 x 2 of 3 need 9, columns 3 x 2 of 2 need 6
    first = np.maximum(convolved(padded, w)[:, ::2, ::2] + b, 0)
    second = convolved(first, net.get_weights()[2].transpose(3, 0, 1, 2))
    want = np.tanh(second.reshape(3, -1) @ d.T.astype(np.float64))
    np.testing.assert_allclose(net.predict(x), want, atol=1e-5)
    assert [type(layer).__name__ for layer in net.layers] == ["Conv2d", "ReLU", "Conv2d", "Dense", "Tanh"]


def test_depthwise_with_a_multiplier(tmp_path):
    w = RNG.normal(size=(1, 3, 3, 4)).astype(np.float32)  # two filters for each of two channels
    m = Model(x=(1, 5, 6, 2))
    m.constant("w", w)
    options = {0: ("b", VALID), 1: ("i", 1), 2: ("i", 1), 3: ("i", 2), 4: ("b", 0), 5: ("i", 1), 6: ("i", 1)}
    m.op("DEPTHWISE_CONV_2D", ["x", "w"], "y", (1, 3, 4, 4), options)
    net = loaded(tmp_path, m)
    x = RNG.normal(size=(2, 5, 6, 2)).astype(np.float32)
    each = [convolved(x[..., k // 2 : k // 2 + 1], w[..., k : k + 1]) for k in range(4)]
    np.testing.assert_allclose(net.predict(x), np.concatenate(each, axis=3), atol=1e-5)


def test_integer_weights_are_expanded_with_their_scales(tmp_path):
    q = RNG.integers(-127, 128, (4, 1, 1, 2)).astype(np.int8)
    scale = tuple(float(s) for s in (RNG.random(4) + 0.5).astype(np.float32))
    m = Model(x=(1, 2, 2, 2))
    m.constant("w", q, scale=scale, zero=(0, 1, 2, 3), axis=0)
    m.op("CONV_2D", ["x", "w"], "y", (1, 2, 2, 4), conv_options())
    net = loaded(tmp_path, m)
    assert net.import_notes == ("w: int8 weights, expanded with their scales",)
    want = (q - np.arange(4).reshape(4, 1, 1, 1)) * np.reshape(scale, (4, 1, 1, 1))
    np.testing.assert_allclose(net.get_weights()[0], want.transpose(1, 2, 3, 0), rtol=1e-6)


def test_half_precision_weights(tmp_path):
    w = RNG.normal(size=(3, 1, 1, 2)).astype(np.float16)
    m = Model(x=(1, 2, 2, 2))
    m.constant("w", w)
    m.op("DEQUANTIZE", ["w"], "wide", w.shape)
    m.op("CONV_2D", ["x", "wide"], "y", (1, 2, 2, 3), conv_options())
    np.testing.assert_array_equal(loaded(tmp_path, m).get_weights()[0], w.transpose(1, 2, 3, 0).astype(np.float32))


def test_a_residual_network_with_pools_and_scales(tmp_path):
    w = RNG.normal(size=(2, 3, 3, 2)).astype(np.float32)
    m = Model(x=(1, 6, 6, 2))
    (
        m.constant("w", w),
        m.constant("f", np.array([2.0, 3.0], np.float32)),
        m.constant("pads", np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)),
    )
    m.op("PAD", ["x", "pads"], "p", (1, 8, 8, 2))
    m.op("CONV_2D", ["p", "w"], "c", (1, 6, 6, 2), conv_options())
    m.op("ADD", ["c", "x"], "a", (1, 6, 6, 2), {0: ("b", RELU)})
    m.op("MUL", ["a", "f"], "s", (1, 6, 6, 2), {0: ("b", 0)})
    pool = {0: ("b", VALID), 1: ("i", 2), 2: ("i", 2), 3: ("i", 2), 4: ("i", 2), 5: ("b", 0)}
    m.op("MAX_POOL_2D", ["s"], "q", (1, 3, 3, 2), pool)
    m.op("CONCATENATION", ["q", "q"], "k", (1, 3, 3, 4), {0: ("i", -1), 1: ("b", 0)})
    m.constant("axes", np.array([1, 2], np.int32))
    m.op("MEAN", ["k", "axes"], "g", (1, 4), {0: ("b", 0)})
    m.op("SOFTMAX", ["g"], "y", (1, 4), {0: ("f", 1.0)})
    net = loaded(tmp_path, m, loss="softmax_cross_entropy")
    assert any("kept as a depthwise" in note for note in net.import_notes) and any(
        "left out" in note for note in net.import_notes
    )
    x = RNG.normal(size=(2, 6, 6, 2)).astype(np.float32)
    a = np.maximum(convolved(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), w) + x, 0) * [2.0, 3.0]
    q = a.reshape(2, 3, 2, 3, 2, 2).max((2, 4))
    np.testing.assert_allclose(net.predict(x), np.concatenate([q, q], 3).mean((1, 2)), atol=1e-5)


def test_slopes_are_those_of_channels(tmp_path):
    m, slopes = Model(x=(1, 3, 4, 2)), np.float32([0.5, -2.0])
    m.constant("s", slopes.reshape(1, 1, 2))
    m.op("PRELU", ["x", "s"], "y", (1, 3, 4, 2))
    net, x = loaded(tmp_path, m), RNG.normal(size=(2, 3, 4, 2)).astype(np.float32)
    assert net.layers == (cge.PReLU(2),) and np.array_equal(net.predict(x), np.where(x < 0, slopes * x, x))


def test_differences_from_numbers_of_channels_and_to_them(tmp_path, rng):
    m = Model(x=(1, 3, 3, 2))
    m.constant("c", np.float32([0.5, -2.0]))
    m.op("SUB", ["x", "c"], "a", (1, 3, 3, 2), {0: ("b", RELU)})
    m.op("SUB", ["c", "a"], "y", (1, 3, 3, 2))
    x = rng.normal(size=(4, 3, 3, 2)).astype(np.float32)
    expected = np.float32([0.5, -2.0]) - np.maximum(x - np.float32([0.5, -2.0]), 0)
    np.testing.assert_allclose(loaded(tmp_path, m).predict(x).reshape(expected.shape), expected, atol=1e-6)


def test_a_flat_input_that_becomes_a_picture(tmp_path):
    m = Model(x=(1, 12))
    m.constant("to", np.array([-1, 3, 4, 1], np.int32)), m.constant("w", np.ones((1, 2, 2, 1), np.float32))
    m.op("RESHAPE", ["x", "to"], "r", (1, 3, 4, 1))
    m.op("CONV_2D", ["r", "w"], "y", (1, 2, 3, 1), conv_options())
    net = loaded(tmp_path, m)
    assert net.input_shape == (3, 4, 1)
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    np.testing.assert_allclose(net.predict(x), convolved(x, np.ones((1, 2, 2, 1))), atol=1e-5)


def bad_models():
    w = np.ones((2, 3, 3, 1), np.float32)
    m = Model(x=(1, 5, 5, 1))
    m.op("CUMSUM", ["x"], "y", (1, 5, 5, 1))
    yield m, "operator 128"
    m = Model(x=(1, 5, 5, 1))
    m.constant("w", w)
    m.op("CONV_2D", ["x", "w"], "y", (1, 3, 3, 2), conv_options(activation=2))
    yield m, r"'y' \(CONV_2D\): a fused activation of kind 2"
    m = Model(x=(1, 2, 2, 1))
    m.constant("w", w)
    m.op("CONV_2D", ["x", "w"], "y", (1, 3, 3, 2), conv_options())
    yield m, "do not fit"
    m = Model(x=(1, 5, 5, 1))
    m.tensors[0][1] = ("b", 9)
    m.op("RELU", ["x"], "y", (1, 5, 5, 1))
    yield m, "a quantised model"
    m = Model(x=(1, 2, 2, 1))
    m.op("RELU", ["x"], "r", (1, 2, 2, 1))
    m.op("SUB", ["x", "r"], "y", (1, 2, 2, 1))
    yield m, "subtracts one branch from another"
    m = Model(a=(1, 5), b=(1, 5))
    m.op("ADD", ["a", "b"], "y", (1, 5))
    yield m, "2 inputs and 1 outputs"


@pytest.mark.parametrize("model, message", bad_models())
def test_what_cannot_be_expressed_is_refused_by_name(tmp_path, model, message):
    with pytest.raises(ValueError, match=message) as error:
        loaded(tmp_path, model)
    assert str(error.value).startswith(str(tmp_path / "m.tflite"))


def test_damaged_files_are_refused_or_read(tmp_path, rng):
    m = Model(x=(1, 5, 5, 1))
    m.constant("w", np.ones((2, 3, 3, 1), np.float32)), m.constant("d", np.ones((3, 18), np.float32))
    m.op("CONV_2D", ["x", "w"], "c", (1, 3, 3, 2), conv_options())
    m.op("FULLY_CONNECTED", ["c", "d"], "y", (1, 3), {0: ("b", 0)})
    data = m.write(tmp_path / "m.tflite").read_bytes()
    assert cge.Network.from_tflite(tmp_path / "m.tflite").output_shape == (3,)

    def read(bad):
        (tmp_path / "bad").write_bytes(bad)
        cge.Network.from_tflite(tmp_path / "bad")

    only_value_errors(read, data, rng, 600)
    for bad in (b"", bytes(20), b"\0\0\0\0TFL3", b"\xff\xff\xff\x7fTFL3" + bytes(30)):
        with pytest.raises(ValueError, match="no TensorFlow Lite model|0 graphs"):
            read(bad)
