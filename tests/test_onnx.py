"""ONNX files, in and out; the onnx package's own cases are the oracle in test_onnx_cases.py."""

import numpy as np
import pytest
from graphs import random_graph
from oracles import only_value_errors

import convgrad_embedded as cge
from convgrad_embedded.importers import protobuf as pb


def again(net, path, **options):
    net.to_onnx(path)
    return cge.Network.from_onnx(path, **options)


def same_predictions(net, path):
    x = np.random.default_rng(1).normal(size=(3, *net.input_shape)).astype(np.float32)
    back = again(net, path)
    np.testing.assert_array_equal(back.predict(x).reshape(3, -1), net.predict(x).reshape(3, -1))
    return back


@pytest.mark.parametrize(
    "shape, layers",
    [
        (
            (6, 7, 2),
            [cge.Conv2d(4, (3, 2), stride=(2, 1), padding=((0, 1), (1, 0)), groups=2), cge.LeakyReLU(0.25), cge.Dense(3)],
        ),
        ((9, 9, 1), [cge.Conv2d(3, 3, dilation=2, use_bias=False), cge.Sigmoid(), cge.MaxPool2d(3, stride=2, padding=1)]),
        ((8, 6, 2), [cge.AvgPool2d(3, padding=1, count_include_pad=True), cge.MaxPool2d(2, stride=2, ceil_mode=True)]),
        ((8, 6, 2), [cge.AvgPool2d(3, padding=1), cge.Tanh(), cge.Flatten(), cge.Dense(4, use_bias=False)]),
        ((5, 5, 3), [cge.ReLU(), cge.GlobalAvgPool2d(), cge.Conv2d(4, 1), cge.Flatten()]),
        ((7,), [cge.Dense(4), cge.ReLU(), cge.Dense(2)]),
        ((5, 4, 3), [cge.PReLU(3), cge.Conv2d(4, 2), cge.PReLU(), cge.Flatten(), cge.PReLU(48), cge.Dense(3), cge.PReLU(3)]),
    ],
)
def test_what_we_write_we_read(tmp_path, shape, layers):
    same_predictions(cge.Network(shape, layers, seed=3), tmp_path / "net.onnx")


@pytest.mark.parametrize("seed", range(20))
def test_graphs_come_back(tmp_path, seed):
    arguments, _, _ = random_graph(seed, usual_alone=True)
    ends = {name: arguments[name] for name in ("inputs", "outputs")}
    same_predictions(cge.Network(**ends, seed=seed), tmp_path / "net.onnx")


def test_a_file_of_bytes_says_what_they_mean(tmp_path):
    net = cge.Network((4, 4, 1), [cge.Conv2d(2, 3)], input_scale=1 / 64, input_offset=7, seed=1)
    x = np.arange(32, dtype=np.uint8).reshape(2, 4, 4, 1)
    net.to_onnx(tmp_path / "net.onnx")
    with pytest.raises(ValueError, match="Cast"):  # our reader wants numbers
        cge.Network.from_onnx(tmp_path / "net.onnx")
    assert net.predict(x).shape == (2, 2, 2, 2)


def test_a_file_asks_for_no_later_operators_than_it_needs(tmp_path):
    """Runtimes that know none behind version 13 read it."""
    cge.Network((4,), [cge.Dense(2)]).to_onnx(tmp_path / "net.onnx")
    file = pb.parse(memoryview((tmp_path / "net.onnx").read_bytes()))
    assert pb.integer(file, 1) == 8
    assert [(pb.text(row, 1), pb.integer(row, 2)) for row in pb.messages(file, 8)] == [("", 13)]


def test_options_reach_the_network(tmp_path):
    net = cge.Network((8, 8, 1), [cge.Conv2d(4, 3), cge.ReLU(), cge.Dense(3)], seed=1)
    back = again(net, tmp_path / "net.onnx", loss="softmax_cross_entropy", optimizer=cge.SGD(0.1), memory="small")
    assert (back.loss, back.memory, back.learning_rate) == ("softmax_cross_entropy", "small", pytest.approx(0.1))
    x, y = np.ones((4, 8, 8, 1), np.float32), np.array([0, 1, 2, 0])
    assert np.isfinite(back.fit(x, y, epochs=1, verbose=0)["loss"][0])
    assert back.import_notes == ()


def test_a_layer_that_onnx_does_not_have_is_named(tmp_path):
    class Odd(cge.ReLU):
        kind = "odd"

    from convgrad_embedded import _layers

    net = cge.Network((4,), [cge.Dense(2), cge.ReLU()])
    net.__dict__["layers"] = (net.layers[0], Odd())
    try:
        with pytest.raises(ValueError, match=r"layers\[1\] Odd\(\): ONNX has no operation"):
            net.to_onnx(tmp_path / "net.onnx")
    finally:
        del _layers.LAYERS["odd"]
    assert not (tmp_path / "net.onnx").exists()


# ---- models by hand --------------------------------------------------------------------------------------------------


def attribute(name, value):
    from convgrad_embedded.importers.onnx_writer import _attribute

    if isinstance(value, str):
        return pb.bytes_field(1, name) + pb.bytes_field(4, value) + pb.number_field(20, 3)
    return _attribute(name, value)


def node(kind, inputs, output, **attributes):
    fields = b"".join(pb.bytes_field(1, name) for name in inputs) + pb.bytes_field(2, output) + pb.bytes_field(4, kind)
    return pb.bytes_field(1, fields + b"".join(pb.bytes_field(5, attribute(*item)) for item in attributes.items()))


def constant(name, array, raw=True):
    array = np.asarray(array)
    kind = {"f": 1, "i": 7}[array.dtype.kind]
    data = array.astype("<f4" if kind == 1 else "<i8").tobytes()
    fields = pb.packed(1, array.shape) + pb.number_field(2, kind) + pb.bytes_field(8, name)
    if raw:
        return pb.bytes_field(5, fields + pb.bytes_field(9, data))
    values = pb.bytes_field(4, data) if kind == 1 else pb.packed(7, array.ravel().tolist())
    return pb.bytes_field(5, fields + values)


def info(number, name, dims):
    shape = b"".join(pb.bytes_field(1, pb.bytes_field(2, d) if isinstance(d, str) else pb.number_field(1, d)) for d in dims)
    tensor = pb.number_field(1, 1) + pb.bytes_field(2, shape)
    return pb.bytes_field(number, pb.bytes_field(1, name) + pb.bytes_field(2, pb.bytes_field(1, tensor)))


def model(path, dims, *parts, output="y"):
    graph = b"".join(parts) + info(11, "x", ["N", *dims]) + info(12, output, ["N", 1])
    path.write_bytes(pb.number_field(1, 8) + pb.bytes_field(7, graph))
    return path


def loaded(tmp_path, dims, *parts, **options):
    return cge.Network.from_onnx(model(tmp_path / "m.onnx", dims, *parts), **options)


W = np.random.default_rng(5).normal(size=(4, 2, 3, 3)).astype(np.float32)


def convolved(x, w, b=0.0):
    """x (N, C, H, W), without padding, in float64."""
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), w.shape[2:], (2, 3))
    return np.einsum("nchwij,kcij->nkhw", windows, w.astype(np.float64)) + np.reshape(b, (1, -1, 1, 1))


def test_batch_normalisation_is_folded_and_said_so(tmp_path, rng):
    scale, shift, mean = rng.normal(size=(3, 4)).astype(np.float32)
    variance = (rng.random(4) + 0.5).astype(np.float32)
    names = ("s", "b", "m", "v")
    net = loaded(
        tmp_path,
        [2, 6, 5],
        *(constant(name, array, raw=False) for name, array in zip(names, (scale, shift, mean, variance))),
        constant("w", W),
        node("Conv", ["x", "w"], "c"),
        node("BatchNormalization", ["c", *names], "n", epsilon=0.01),
        node("Relu", ["n"], "y"),
    )
    assert [type(layer).__name__ for layer in net.layers] == ["Conv2d", "ReLU"]
    assert net.import_notes == ("node 'n' (BatchNormalization): folded into node 'c' (Conv)",)
    x = rng.normal(size=(2, 2, 6, 5)).astype(np.float32)
    each = (1, 4, 1, 1)
    want = (convolved(x, W) - mean.reshape(each)) / np.sqrt(variance.reshape(each) + np.float32(0.01))
    want = np.maximum(want * scale.reshape(each) + shift.reshape(each), 0)
    np.testing.assert_allclose(net.predict(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), want, atol=1e-5)


def test_a_normalisation_whose_input_others_read_stays(tmp_path, rng):
    net = loaded(
        tmp_path,
        [2, 3, 3],
        constant("w", W[:, :, :1, :1]),
        constant("f", np.array([2.0, 3.0, 4.0, 5.0], np.float32).reshape(4, 1, 1)),
        node("Conv", ["x", "w"], "c"),
        node("Mul", ["c", "f"], "m"),
        node("Add", ["c", "m"], "y"),
    )
    assert net.import_notes == ("node 'm' (Mul): kept as a depthwise convolution 1x1",)
    x = rng.normal(size=(2, 2, 3, 3)).astype(np.float32)
    want = convolved(x, W[:, :, :1, :1]) * np.array([3.0, 4.0, 5.0, 6.0]).reshape(1, 4, 1, 1)
    np.testing.assert_allclose(net.predict(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), want, atol=1e-5)


def test_dense_behind_a_flattened_picture(tmp_path, rng):
    """PyTorch's x.view(x.size(0), -1), as older exporters write it."""
    weight = rng.normal(size=(5, 2 * 3 * 4)).astype(np.float32)
    net = loaded(
        tmp_path,
        [2, 3, 4],
        constant("w", weight),
        constant("b", np.arange(5.0)),
        constant("zero", np.array(0)),
        constant("rest", np.array([-1])),
        constant("axes", np.array([0])),
        node("Shape", ["x"], "shape"),
        node("Gather", ["shape", "zero"], "n", axis=0),
        node("Unsqueeze", ["n", "axes"], "n1"),
        node("Concat", ["n1", "rest"], "to", axis=0),
        node("Reshape", ["x", "to"], "flat"),
        node("Gemm", ["flat", "w", "b"], "y", transB=1, alpha=0.5, beta=2.0),
    )
    x = rng.normal(size=(3, 2, 3, 4)).astype(np.float32)
    want = 0.5 * x.reshape(3, -1) @ weight.T.astype(np.float64) + 2 * np.arange(5)
    np.testing.assert_allclose(net.predict(x.transpose(0, 2, 3, 1)), want, atol=1e-5)


def test_padding_goes_into_the_convolution(tmp_path, rng):
    net = loaded(
        tmp_path,
        [2, 6, 5],
        constant("w", W),
        constant("pads", np.array([0, 0, 1, 2, 0, 0, 3, 0])),
        node("Pad", ["x", "pads"], "p"),
        node("Conv", ["p", "w"], "y"),
    )
    x = rng.normal(size=(2, 2, 6, 5)).astype(np.float32)
    want = convolved(np.pad(x, ((0, 0), (0, 0), (1, 3), (2, 0))), W)
    np.testing.assert_allclose(net.predict(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), want, atol=1e-5)


@pytest.mark.parametrize("lower", [False, True])
def test_same_upper_and_lower(tmp_path, rng, lower):
    net = loaded(
        tmp_path,
        [2, 6, 4],
        constant("w", W[:, :, :2, :2]),
        node("Conv", ["x", "w"], "y", auto_pad="SAME_LOWER" if lower else "SAME_UPPER"),
    )
    x = rng.normal(size=(1, 2, 6, 4)).astype(np.float32)
    sides = (1, 0) if lower else (0, 1)
    want = convolved(np.pad(x, ((0, 0), (0, 0), sides, sides)), W[:, :, :2, :2])
    np.testing.assert_allclose(net.predict(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), want, atol=1e-5)


def test_channels_last_in_between(tmp_path, rng):
    """What TensorFlow's exporter writes: transposed at the door."""
    net = loaded(
        tmp_path,
        [6, 5, 2],
        constant("w", W),
        node("Transpose", ["x"], "t", perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], "c"),
        node("Transpose", ["c"], "y", perm=[0, 2, 3, 1]),
    )
    assert net.input_shape == (6, 5, 2)
    x = rng.normal(size=(2, 6, 5, 2)).astype(np.float32)
    want = convolved(x.transpose(0, 3, 1, 2), W).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(net.predict(x), want, atol=1e-5)


@pytest.mark.parametrize(
    "kind, attributes, layer",
    [
        ("Elu", {"alpha": 0.5}, cge.ELU(0.5)),
        ("Gelu", {}, cge.GELU()),
        ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, cge.HardSigmoid()),
        ("HardSwish", {}, cge.HardSwish()),
        ("Softplus", {}, cge.Softplus()),
        ("GlobalMaxPool", {}, cge.GlobalMaxPool2d()),
    ],
)
def test_a_node_is_our_layer(tmp_path, rng, kind, attributes, layer):
    net = loaded(tmp_path, [2, 6, 5], node(kind, ["x"], "y", **attributes))
    x = rng.normal(size=(2, 6, 5, 2)).astype(np.float32)
    assert np.array_equal(net.predict(x), cge.Network((6, 5, 2), [layer]).predict(x))


def test_slopes_are_those_of_channels(tmp_path, rng):
    slopes = np.float32([0.5, -2.0])
    parts = [constant("s", slopes.reshape(2, 1, 1)), node("PRelu", ["x", "s"], "y")]
    net = loaded(tmp_path, [2, 6, 5], *parts)
    x = rng.normal(size=(2, 6, 5, 2)).astype(np.float32)
    assert net.layers == (cge.PReLU(2),) and np.array_equal(net.predict(x), np.where(x < 0, slopes * x, x))
    with pytest.raises(ValueError, match=r"its slopes of shape \(2,\)"):
        loaded(tmp_path, [2, 6, 5], constant("s", slopes), node("PRelu", ["x", "s"], "y"))


def test_a_softmax_at_the_end_goes_into_the_loss(tmp_path):
    parts = (constant("w", np.eye(3, dtype=np.float32)), node("MatMul", ["x", "w"], "l"), node("Softmax", ["l"], "y"))
    net = loaded(tmp_path, [3], *parts, loss="softmax_cross_entropy")
    assert [type(layer).__name__ for layer in net.layers] == ["Dense"]
    assert "left out" in net.import_notes[0]


@pytest.mark.parametrize(
    "dims, parts, message",
    [
        ([2, 6, 6], [node("Foo", ["x"], "y")], r"node 'y' \(Foo\): an operation that our layers cannot express"),
        ([2, 6, 6], [node("Relu", ["q"], "y")], "reads 'q', which nothing before it puts out"),
        ([2, 6, 6], [constant("w", W), node("Conv", ["x", "w"], "y", group=2)], "4 channels in 2 groups"),
        ([2, 2, 2], [constant("w", W), node("Conv", ["x", "w"], "y")], "do not fit"),
        (
            [2, 6, 6],
            [
                node(
                    *("AveragePool", ["x"], "y"),
                    **dict(kernel_shape=[3, 3], strides=[3, 3], pads=[1, 1, 0, 0], count_include_pad=1, ceil_mode=1),
                )
            ],
            "counts padding",
        ),
        ([2, 6, 6], [node("MaxPool", ["x"], "y", kernel_shape=[2, 2], dilations=[2, 2])], "dilated"),
        ([2, 6, 6], [node("HardSigmoid", ["x"], "y")], "a hard sigmoid of alpha 0.2"),
        ([2, 6, 6], [node("Flatten", ["x"], "y", axis=2)], "flattens from axis 2"),
        ([2, 6, 6], [node("Clip", ["x"], "y", min=-1.0, max=1.0)], "clips to -1.0 .. 1.0"),
        ([2, 6, 6], [node("Softmax", ["x"], "s"), node("Relu", ["s"], "y")], "expected a vector"),
        ([2, 6, 6], [node("Pad", ["x"], "p", pads=[0, 0, 1, 1, 0, 0, 1, 1]), node("Relu", ["p"], "y")], "stands alone"),
        ([2, 6, 6], [node("Identity", ["x"], "y")], "is the input itself"),
        ([2, 6, 6, 6], [node("Relu", ["x"], "y")], "expected sizes of 1 to 3 axes"),
        (["H", 6, 6], [node("Relu", ["x"], "y")], r"\['\?', 6, 6\]"),
        ([2, 6, 6], [constant("w", np.ones((6, 3))), node("MatMul", ["x", "w"], "y")], "expected a flattened input"),
        ([4], [constant("w", np.ones((6, 3))), node("MatMul", ["x", "w"], "y")], "do not fit an input of 4 elements"),
        ([2, 6, 6], [constant("w", np.ones((2, 6, 6))), node("Add", ["x", "w"], "y")], "one number for each channel"),
        ([2, 6, 6], [node("Sub", ["x", "x"], "y")], "subtracts one branch"),
        ([2, 6, 6], [node("Concat", ["x", "x"], "y", axis=2)], "expected channels"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(tmp_path, dims, parts, message):
    with pytest.raises(ValueError, match=message) as error:
        loaded(tmp_path, dims, *parts)
    assert str(error.value).startswith(str(tmp_path / "m.onnx"))


@pytest.mark.parametrize("data", [b"", b"no model at all", bytes(100), b"\x3a\xff\xff\xff\xff\x0f", b"\x3a\x02\x0a\x7f"])
def test_other_bytes_are_refused(tmp_path, data):
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="m.onnx: "):
        cge.Network.from_onnx(path)


def test_damaged_files_are_refused_or_read(tmp_path, rng):
    arguments, _, _ = random_graph(2, usual_alone=True)
    net = cge.Network(inputs=arguments["inputs"], outputs=arguments["outputs"])
    net.to_onnx(tmp_path / "net.onnx")

    def read(data):
        (tmp_path / "bad.onnx").write_bytes(data)
        cge.Network.from_onnx(tmp_path / "bad.onnx")

    only_value_errors(read, (tmp_path / "net.onnx").read_bytes(), rng, 400)


def test_wrong_names_of_arguments_are_answered(tmp_path):
    with pytest.raises(TypeError, match="there is no argument optimiser; did you mean optimizer"):
        cge.Network.from_onnx(tmp_path / "m.onnx", optimiser=None)
