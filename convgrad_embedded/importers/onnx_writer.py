"""The other way: a network as an ONNX model (IR version 8, operators of version 13), written without the onnx package."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convgrad_embedded.importers import protobuf as pb
from convgrad_embedded.importers.builder import Array

_IR_VERSION, _OPERATORS_VERSION = 8, 13
_FLOAT, _UINT8, _INT64 = 1, 2, 7
_INTEGER_ATTRIBUTE, _FLOAT_ATTRIBUTE, _INTEGERS_ATTRIBUTE = 2, 1, 7

Shape = Sequence[int]


class _Writer:
    """Nodes and constants of the graph so far. A value is the name of a tensor and whether it is (N, n) or (N, C, H, W)."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        fields = b"".join(pb.bytes_field(1, name) for name in inputs) + pb.bytes_field(2, output)
        fields += pb.bytes_field(3, output) + pb.bytes_field(4, kind)
        fields += b"".join(pb.bytes_field(5, _attribute(name, value)) for name, value in attributes.items())
        self.nodes.append(pb.bytes_field(1, fields))
        return output

    def constant(self, name: str, array: Array) -> str:
        kind, dtype = (_FLOAT, "<f4") if array.dtype.kind == "f" else (_INT64, "<i8")
        fields = pb.packed(1, array.shape) + pb.number_field(2, kind) + pb.bytes_field(8, name)
        self.constants.append(pb.bytes_field(5, fields + pb.bytes_field(9, np.ascontiguousarray(array, dtype).tobytes())))
        return name


def _attribute(name: str, value: Any) -> bytes:
    if isinstance(value, float):
        return pb.bytes_field(1, name) + pb.float_field(2, value) + pb.number_field(20, _FLOAT_ATTRIBUTE)
    if isinstance(value, int):
        return pb.bytes_field(1, name) + pb.number_field(3, value) + pb.number_field(20, _INTEGER_ATTRIBUTE)
    values = b"".join(pb.number_field(8, item) for item in value)
    return pb.bytes_field(1, name) + values + pb.number_field(20, _INTEGERS_ATTRIBUTE)


def _info(name: str, shape: Shape, kind: int) -> bytes:
    """ValueInfoProto: any number of samples, then height, width and channels as ONNX has them."""
    dims = pb.bytes_field(1, pb.bytes_field(2, "N")) + b"".join(pb.bytes_field(1, pb.number_field(1, size)) for size in shape)
    tensor = pb.number_field(1, kind) + pb.bytes_field(2, dims)
    return pb.bytes_field(1, name) + pb.bytes_field(2, pb.bytes_field(1, tensor))


class _Value:
    def __init__(self, name: str, shape: tuple[int, int, int], is_vector: bool) -> None:
        self.name, self.shape, self.is_vector = name, shape, is_vector

    def dims(self) -> list[int]:
        h, w, c = self.shape
        return [h * w * c] if self.is_vector else [c, h, w]


def model_bytes(network: Any, version: str) -> bytes:
    """The file's bytes. Dense layers behind a picture get their rows in the order C, H, W."""
    writer = _Writer()
    infos = network.layer_infos
    weights = iter(network.get_weights())
    first: Any = infos[0].in_shape if network.sources[0] == (-1,) else (1, 1, *network.input_shape)[-3:]
    is_vector = len(network.input_shape) == 1
    values = {-1: _input(writer, network, first, is_vector)}
    input_dims = values[-1].dims()
    for index, (layer, info, sources) in enumerate(zip(network.layers, infos, network.sources)):
        if layer.kind not in _LAYERS:
            raise ValueError(f"layers[{index}] {layer!r}: ONNX has no operation that does the same")
        own = [next(weights) for _ in info.parameter_shapes]
        inputs = [values[source] for source in sources]
        name, is_vector = _LAYERS[layer.kind](writer, f"y{index}", layer, inputs, own)
        values[index] = _Value(name, info.out_shape, is_vector)
    output = values[len(infos) - 1]
    graph = b"".join(writer.nodes) + pb.bytes_field(2, "network") + b"".join(writer.constants)
    kind = _FLOAT if network.input_scale is None else _UINT8
    graph += pb.bytes_field(11, _info("x", input_dims, kind)) + pb.bytes_field(12, _info(output.name, output.dims(), _FLOAT))
    operators = pb.bytes_field(8, pb.bytes_field(1, "") + pb.number_field(2, _OPERATORS_VERSION))
    maker = pb.bytes_field(2, "convgrad_embedded") + pb.bytes_field(3, version)
    return pb.number_field(1, _IR_VERSION) + maker + pb.bytes_field(7, graph) + operators


def _input(writer: _Writer, network: Any, shape: tuple[int, int, int], is_vector: bool) -> _Value:
    """Bytes become the numbers that they stand for."""
    name = "x"
    if network.input_scale is not None:
        name = writer.node("Cast", [name], "x_float", to=_FLOAT)
        offset = writer.constant("input_offset", np.float32(network.input_offset).reshape(1))
        scale = writer.constant("input_scale", np.float32(network.input_scale).reshape(1))
        name = writer.node("Mul", [writer.node("Sub", [name, offset], "x_shifted"), scale], "x_scaled")
    return _Value(name, shape, is_vector)


# ---- layers ----------------------------------------------------------------------------------------------------------

_Result = tuple[str, bool]


def _picture(writer: _Writer, x: _Value, y: str) -> str:
    if not x.is_vector:
        return x.name
    axes = writer.constant(f"{y}_axes", np.array([2, 3]))
    return writer.node("Unsqueeze", [x.name, axes], f"{y}_picture")


def _vector(writer: _Writer, x: _Value, y: str) -> str:
    return x.name if x.is_vector else writer.node("Flatten", [x.name], f"{y}_vector", axis=1)


def _parameters(writer: _Writer, y: str, arrays: Sequence[Array]) -> list[str]:
    return [writer.constant(f"{y}_{kind}", array) for kind, array in zip(("weight", "bias"), arrays)]


def _window(members: Any, name: str, default: Any = None) -> list[int]:
    return [members[f"{name}_{axis}"] or (default or members)[f"kernel_{axis}"] for axis in "hw"]


def _pads(members: Any) -> list[int]:
    return [members[f"pad_{side}"] for side in ("top", "left", "bottom", "right")]


def _conv(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    x = inputs[0]
    members = layer.c_row(x.shape[:2]).fields
    one = {"kernel_h": 1, "kernel_w": 1}
    names = [_picture(writer, x, y), *_parameters(writer, y, [own[0].transpose(3, 2, 0, 1), *own[1:]])]
    operator, more = "Conv", {}
    if layer.kind == "conv_transpose2d":
        operator = "ConvTranspose"
        more["output_padding"] = [members["output_pad_h"], members["output_pad_w"]]
    name = writer.node(
        operator,
        names,
        y,
        kernel_shape=list(own[0].shape[:2]),
        strides=_window(members, "stride", one),
        dilations=_window(members, "dilation", one),
        pads=_pads(members),
        group=members["groups"] or 1,
        **more,
    )
    return name, False


def _dense(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    x = inputs[0]
    weight = own[0]
    if not x.is_vector:
        weight = weight.reshape(*x.shape, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
    return writer.node("Gemm", [_vector(writer, x, y), *_parameters(writer, y, [weight, *own[1:]])], y), True


def _pool(kind: str) -> Callable[..., _Result]:
    def write(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
        x = inputs[0]
        members = layer.c_row(x.shape[:2]).fields
        size = _window(members, "kernel")
        window: dict[str, Any] = {"kernel_shape": size, "strides": _window(members, "stride"), "pads": _pads(members)}
        if members.get("count_padding"):
            window["count_include_pad"] = 1
        return writer.node(kind, [_picture(writer, x, y)], y, **window), False

    return write


def _global_average(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    pooled = writer.node("GlobalAveragePool", [_picture(writer, inputs[0], y)], f"{y}_picture_out")
    return writer.node("Flatten", [pooled], y, axis=1), True


def _flatten(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    """In our order: H, W, C."""
    x = inputs[0]
    if x.is_vector:
        return writer.node("Identity", [x.name], y), True
    turned = writer.node("Transpose", [x.name], f"{y}_hwc", perm=[0, 2, 3, 1]) if math.prod(x.shape) > x.shape[2] else x.name
    return writer.node("Flatten", [turned], y, axis=1), True


def _of_one_form(writer: _Writer, y: str, inputs: list[_Value]) -> tuple[list[str], bool]:
    """Two inputs, either both vectors or both pictures."""
    is_vector = all(x.is_vector for x in inputs)
    names = [x.name if is_vector else _picture(writer, x, f"{y}_{i}") for i, x in enumerate(inputs)]
    return names, is_vector


def _add(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    names, is_vector = _of_one_form(writer, y, inputs)
    return writer.node("Add", names, y), is_vector


def _concat(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    names, is_vector = _of_one_form(writer, y, inputs)
    return writer.node("Concat", names, y, axis=1), is_vector


def _elementwise(kind: str, *attributes: tuple[str, str]) -> Callable[..., _Result]:
    def write(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
        given = {theirs: float(getattr(layer, ours)) for theirs, ours in attributes}
        return writer.node(kind, [inputs[0].name], y, **given), inputs[0].is_vector

    return write


def _norm(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    """Groups as the channels of an InstanceNormalization; then weight and bias, in the order C, H, W."""
    x, (h, w, c) = inputs[0], inputs[0].shape
    whole = layer.kind == "layer_norm"
    groups = {"group_norm": getattr(layer, "groups", 1), "instance_norm": c}.get(layer.kind, 1)
    rows = writer.node("Reshape", [x.name, writer.constant(f"{y}_groups", np.array([0, groups, -1]))], f"{y}_rows")
    ones, zeros = (
        writer.constant(f"{y}_{name}", np.full(groups, value, np.float32)) for name, value in (("ones", 1), ("zeros", 0))
    )
    unit = writer.node("InstanceNormalization", [rows, ones, zeros], f"{y}_unit", epsilon=float(layer.eps))
    name = writer.node("Reshape", [unit, writer.constant(f"{y}_shape", np.array([0, *x.dims()]))], f"{y}_normed" if own else y)
    for kind, what, array in zip(("Mul", "Add"), ("weight", "bias"), own):
        picture = array.reshape(h, w, c).transpose(2, 0, 1) if whole else array.reshape(c, 1, 1)
        shaped = picture.reshape(-1) if x.is_vector and (whole or h * w == 1) else picture
        last = what == ("weight", "bias")[len(own) - 1]
        name = writer.node(kind, [name, writer.constant(f"{y}_{what}", shaped)], y if last else f"{y}_{kind}")
    return name, x.is_vector


def _batch_norm(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    """Scale, shift, running mean and variance, each (C,)."""
    x, (weight, mean, variance) = inputs[0], own[0]
    shift = own[1] if len(own) > 1 else np.zeros_like(weight)
    given = {"weight": weight, "bias": shift, "mean": mean, "variance": variance}
    constants = [writer.constant(f"{y}_{name}", array) for name, array in given.items()]
    return writer.node("BatchNormalization", [x.name, *constants], y, epsilon=float(layer.eps)), x.is_vector


def _scale(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    x, name = inputs[0], inputs[0].name
    for index, (kind, what, array) in enumerate(zip(("Mul", "Add"), ("weight", "bias"), own)):
        shaped = array if x.is_vector else array.reshape(-1, 1, 1)
        name = writer.node(kind, [name, writer.constant(f"{y}_{what}", shaped)], y if index == len(own) - 1 else f"{y}_{kind}")
    return name, x.is_vector


def _prelu(writer: _Writer, y: str, layer: Any, inputs: list[_Value], own: list[Array]) -> _Result:
    x, slopes = inputs[0], own[0]
    shaped = slopes if x.is_vector or slopes.size == 1 else slopes.reshape(-1, 1, 1)
    return writer.node("PRelu", [x.name, writer.constant(f"{y}_slope", shaped)], y), x.is_vector


_LAYERS: dict[str, Callable[..., _Result]] = {
    "conv2d": _conv,
    "conv_transpose2d": _conv,
    "dense": _dense,
    "maxpool2d": _pool("MaxPool"),
    "avgpool2d": _pool("AveragePool"),
    "global_avgpool2d": _global_average,
    "relu": _elementwise("Relu"),
    "leaky_relu": _elementwise("LeakyRelu", ("alpha", "alpha")),
    "sigmoid": _elementwise("Sigmoid"),
    "tanh": _elementwise("Tanh"),
    "flatten": _flatten,
    "group_norm": _norm,
    "instance_norm": _norm,
    "layer_norm": _norm,
    "batch_norm": _batch_norm,
    "scale": _scale,
    "prelu": _prelu,
    "dropout": _elementwise("Identity"),
    "add": _add,
    "concat": _concat,
}
