"""Networks from ONNX files (https://onnx.ai/onnx/repo-docs/IR.html), read without the onnx package.

Samples are taken one at a time: an axis of samples has size 1. Tensors that depend on no input are computed while reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

from convgrad_embedded._layers import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, LeakyReLU, MaxPool2d, ReLU, Sigmoid, Tanh
from convgrad_embedded.importers import protobuf as pb
from convgrad_embedded.importers.builder import NO_PADDING, Array, Builder, Refused, Sides, Value, normalisation, same_padding

Operand = Union[Value, Array, None]

_AXES = "CHW"  # of a picture, behind the samples' axis

# TensorProto: numbers of fields, and the types that weights and shapes have.
_DIMS, _DATA_TYPE, _FLOAT_DATA, _INT32_DATA, _INT64_DATA, _NAME, _RAW_DATA, _DOUBLE_DATA, _LOCATION = (
    1,
    2,
    4,
    5,
    7,
    8,
    9,
    10,
    14,
)
_TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
_MOST_ELEMS = 2**28


class _Node:
    """One operation of the graph: NodeProto."""

    def __init__(self, fields: pb.Message) -> None:
        self.inputs, self.outputs = pb.texts(fields, 1), pb.texts(fields, 2)
        self.kind = pb.text(fields, 4)
        self.domain = pb.text(fields, 7)
        self.name = f"node {pb.text(fields, 3) or next(iter(self.outputs), '')!r} ({self.kind})"
        self._attributes = {pb.text(a, 1): a for a in pb.messages(fields, 5)}

    def has(self, name: str) -> bool:
        return name in self._attributes

    def integer(self, name: str, default: int) -> int:
        return pb.integer(self._attributes.get(name, {}), 3, default)

    def number(self, name: str, default: float) -> float:
        found = pb.floats(self._attributes.get(name, {}), 2)
        return found[-1] if found else default

    def integers(self, name: str) -> list[int] | None:
        return pb.integers(self._attributes[name], 8) if name in self._attributes else None

    def text(self, name: str, default: str) -> str:
        return pb.text(self._attributes[name], 4) if name in self._attributes else default

    def tensor(self, name: str) -> Array:
        return _tensor(pb.message(self._attributes[name], 5))

    def constant(self) -> Array:
        """Of a Constant node, in any of its forms."""
        if self.has("value"):
            return self.tensor("value")
        for name, number in (("value_int", 3), ("value_ints", 8)):
            if self.has(name):
                values = np.array(pb.integers(self._attributes[name], number), np.int64)
                return values if name.endswith("s") else values[0]
        for name, number in (("value_float", 2), ("value_floats", 7)):
            if self.has(name):
                reals = np.array(pb.floats(self._attributes[name], number), np.float32)
                return reals if name.endswith("s") else reals[0]
        raise Refused("a constant that is no tensor of numbers")


def _tensor(fields: pb.Message) -> Array:
    dims = pb.integers(fields, _DIMS)
    kind = pb.integer(fields, _DATA_TYPE)
    if pb.integer(fields, _LOCATION):
        raise Refused("its data lie in another file; save the model with its weights inside")
    if kind not in _TYPES:
        raise Refused(f"a tensor of type {kind}; expected float32, float64, float16 or integers")
    elems = math.prod(dims)
    if min(dims, default=1) < 0 or elems > _MOST_ELEMS:
        raise Refused(f"a tensor of {dims}")
    dtype = np.dtype(_TYPES[kind])
    if _RAW_DATA in fields:
        raw = fields[_RAW_DATA][-1]
        if isinstance(raw, int) or len(raw) != elems * dtype.itemsize:
            raise Refused(f"a tensor of {dims} whose data have another length")
        return np.frombuffer(raw, dtype).reshape(dims)
    if kind == 1:
        values: Any = pb.floats(fields, _FLOAT_DATA)
    elif kind == 11:
        data = b"".join(bytes(value) for value in fields.get(_DOUBLE_DATA, []) if not isinstance(value, int))
        values = np.frombuffer(data[: len(data) // 8 * 8], "<f8")
    else:
        values = pb.integers(fields, _INT64_DATA if kind == 7 else _INT32_DATA)
    if len(values) != elems:
        raise Refused(f"a tensor of {dims} with {len(values)} values")
    if kind == 10:
        return np.array(values, "<u2").view("<f2").reshape(dims)
    return np.array(values).astype(dtype).reshape(dims)


# ---- the graph -------------------------------------------------------------------------------------------------------


def read(cls: Any, data: bytes, context: str, options: dict[str, Any]) -> Any:
    """The Network of class `cls` that the file's bytes describe."""
    reader = _Reader(Builder(context, _AXES))
    try:
        output = reader.run(pb.message(pb.parse(memoryview(data)), 7))
    except Refused as error:
        raise error if str(error).startswith(context) else Refused(f"{context}: {error}") from None
    except (ValueError, OverflowError, IndexError, TypeError, KeyError, MemoryError) as error:
        raise Refused(f"{context}: no ONNX model, or a damaged one: {error}") from None
    return reader.build.network(cls, output, options)


class _Reader:
    def __init__(self, build: Builder) -> None:
        self.build = build
        self.values: dict[str, Operand] = {"": None}

    def run(self, graph: pb.Message) -> Value:
        if not graph:
            raise Refused("no ONNX model: it has no graph")
        for tensor in pb.messages(graph, 5):
            self.values[pb.text(tensor, _NAME)] = _tensor(tensor)
        inputs = [info for info in pb.messages(graph, 11) if pb.text(info, 1) not in self.values]
        outputs = [pb.text(info, 1) for info in pb.messages(graph, 12)]
        if len(inputs) != 1 or len(outputs) != 1:
            raise Refused(f"{len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
        self.values[pb.text(inputs[0], 1)] = self._input(inputs[0])
        for fields in pb.messages(graph, 1):
            self._run(_Node(fields))
        output = self.values.get(outputs[0])
        if not isinstance(output, Value):
            raise Refused(f"the output {outputs[0]!r} depends on no input")
        return output

    def _input(self, info: pb.Message) -> Value:
        """ValueInfoProto: type.tensor_type.shape.dim; the first is the samples' axis."""
        shape = pb.message(pb.message(pb.message(info, 2), 1), 2)
        dims = [pb.integer(dim, 1, -1) for dim in pb.messages(shape, 1)][1:]
        names = {1: "C", 2: "CH", 3: _AXES}
        if len(dims) not in names or min(dims) < 1:
            text = [size if size > 0 else "?" for size in dims]
            raise Refused(f"an input of shape {text} (behind the samples' axis); expected sizes of 1 to 3 axes")
        return self.build.input(dims, names[len(dims)])

    def _run(self, node: _Node) -> None:
        operands = []
        for name in node.inputs:
            if name not in self.values:
                raise Refused(f"{node.name} reads {name!r}, which nothing before it puts out")
            operands.append(self.values[name])
        try:
            result = self._result(node, operands)
        except Refused as error:
            text = str(error)
            raise error if node.name in text else Refused(f"{self.build.context}: {node.name}: {text}") from None
        if node.outputs:
            self.values[node.outputs[0]] = result
        for name in node.outputs[1:]:  # masks, running statistics: what a trained network has no use for
            self.values.pop(name, None)

    def _result(self, node: _Node, operands: list[Operand]) -> Operand:
        if node.kind == "Constant":
            return node.constant()
        if node.kind == "Shape" and isinstance(operands[0], Value):
            return np.array([1, *operands[0].dims()], np.int64)
        if node.domain not in ("", "ai.onnx") or node.kind not in _CONVERTERS and node.kind not in _FOLDED:
            raise Refused("an operation that our layers cannot express")
        if not any(isinstance(operand, Value) for operand in operands):
            if node.kind not in _FOLDED:
                raise Refused("an operation on constants that the reader does not compute")
            return _FOLDED[node.kind](node, [np.asarray(operand) for operand in operands if operand is not None])
        if node.kind not in _CONVERTERS:
            raise Refused("an operation that our layers cannot express")
        return _CONVERTERS[node.kind](self.build, node, operands)


# ---- what is computed while reading ----------------------------------------------------------------------------------


def _folded_gather(node: _Node, operands: list[Array]) -> Array:
    return np.take(operands[0], operands[1].astype(np.int64), axis=node.integer("axis", 0))


def _axes_of(node: _Node, operands: Sequence[Operand], index: int) -> list[int] | None:
    """Axes were an attribute once and are an operand since."""
    if len(operands) > index and operands[index] is not None:
        return [int(axis) for axis in _constant(operands[index], "axes").reshape(-1)]
    return node.integers("axes")


def _folded_unsqueeze(node: _Node, operands: list[Array]) -> Array:
    return np.expand_dims(operands[0], tuple(_axes_of(node, operands, 1) or ()))


def _folded_squeeze(node: _Node, operands: list[Array]) -> Array:
    axes = _axes_of(node, operands, 1)
    return np.squeeze(operands[0], None if axes is None else tuple(axes))


def _folded_transpose(node: _Node, operands: list[Array]) -> Array:
    return np.transpose(operands[0], node.integers("perm"))


def _folded_reshape(node: _Node, operands: list[Array]) -> Array:
    dims = [int(size) for size in operands[1]]
    return operands[0].reshape([operands[0].shape[i] if size == 0 else size for i, size in enumerate(dims)])


def _folded_dequantised(node: _Node, operands: list[Array]) -> Array:
    data, scale = operands[0].astype(np.float64), operands[1].astype(np.float64)
    zero = operands[2].astype(np.float64) if len(operands) > 2 else np.zeros_like(scale)
    if scale.ndim:
        axes = [1] * data.ndim
        axes[node.integer("axis", 1)] = scale.size
        scale, zero = scale.reshape(axes), zero.reshape(axes)
    return (data - zero) * scale


_FOLDED: dict[str, Callable[[_Node, list[Array]], Array]] = {
    "Identity": lambda node, x: x[0],
    "Cast": lambda node, x: x[0].astype(np.int64) if node.integer("to", 1) in (6, 7) else x[0],
    "Gather": _folded_gather,
    "Unsqueeze": _folded_unsqueeze,
    "Squeeze": _folded_squeeze,
    "Transpose": _folded_transpose,
    "Reshape": _folded_reshape,
    "Concat": lambda node, x: np.concatenate(x, axis=node.integer("axis", 0)),
    "Add": lambda node, x: x[0] + x[1],
    "Sub": lambda node, x: x[0] - x[1],
    "Mul": lambda node, x: x[0] * x[1],
    "Div": lambda node, x: x[0] // x[1] if x[0].dtype.kind == "i" else x[0] / x[1],
    "DequantizeLinear": _folded_dequantised,
}


# ---- what becomes layers ---------------------------------------------------------------------------------------------


def _constant(operand: Operand, what: str) -> Array:
    if operand is None or isinstance(operand, Value):
        raise Refused(f"{what} is no constant")
    return np.asarray(operand)


def _value(operand: Operand, what: str = "its input") -> Value:
    if not isinstance(operand, Value):
        raise Refused(f"{what} is a constant; expected what depends on the network's input")
    return operand


def _optional(operands: Sequence[Operand], index: int, what: str) -> Array | None:
    return None if len(operands) <= index or operands[index] is None else _constant(operands[index], what)


def _picture(build: Builder, operand: Operand) -> Value:
    x = build.first_picture(_value(operand))
    if x.flat or x.axes not in (_AXES, "CH"):
        raise Refused(f"expected an input of channels first, got axes {x.axes} of sizes {x.dims()}")
    return x


def _pair(values: Sequence[int] | None, default: int) -> tuple[int, int]:
    """Of one or two axes; the second of a series is as if it were not there."""
    values = [default] * 2 if values is None else list(values)
    if len(values) not in (1, 2):
        raise Refused(f"{len(values)} axes of a window; expected 1 or 2")
    return values[0], values[1] if len(values) == 2 else 1


def _sides(node: _Node, x: Value, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> Sides:
    auto = node.text("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return same_padding(x.shape[:2], kernel, stride, dilation, lower=auto == "SAME_LOWER")
    pads = node.integers("pads")
    if auto == "VALID" or pads is None:
        return NO_PADDING
    if auto != "NOTSET" or len(pads) not in (2, 4):
        raise Refused(f"auto_pad {auto!r} and pads {pads}")
    half = len(pads) // 2
    return (pads[0], pads[half]), (pads[1], pads[3]) if half == 2 else (0, 0)


def _weight_of(operands: list[Operand], x: Value) -> tuple[Array, tuple[int, int]]:
    """Of a convolution of pictures or series, in ONNX's layout with two axes of the kernel, and the kernel's size."""
    weight = _constant(operands[1], "its weight")
    if weight.ndim != len(x.axes) + 1:
        raise Refused(f"weights of shape {weight.shape} for an input of {x.dims()}")
    if weight.ndim == 3:
        weight = weight[..., None]
    return weight, (weight.shape[2], weight.shape[3])


def _conv(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _picture(build, operands[0])
    weight, kernel = _weight_of(operands, x)
    stride, dilation = _pair(node.integers("strides"), 1), _pair(node.integers("dilations"), 1)
    return build.conv(
        node.name,
        x,
        weight.transpose(2, 3, 1, 0),
        _optional(operands, 2, "its bias"),
        stride=stride,
        padding=_sides(node, x, kernel, stride, dilation),
        dilation=dilation,
        groups=node.integer("group", 1),
    )


def _transposed_sides(node: _Node, total: Sequence[int], more: tuple[int, int]) -> tuple[Sides, tuple[int, int]]:
    """Padding and output padding where the output's size is given: of `total` rows and columns beside it, the odd one is at the
    beginning unless it is SAME_UPPER. Less than none is output padding."""
    upper = node.text("auto_pad", "NOTSET") == "SAME_UPPER"
    halves = [(max(rows, 0) // 2, max(rows, 0) - max(rows, 0) // 2) for rows in total]
    sides = [(less, other) if upper else (other, less) for less, other in halves]
    return (sides[0], sides[1]), (more[0] + max(-total[0], 0), more[1] + max(-total[1], 0))


def _conv_transposed(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _picture(build, operands[0])
    weight, kernel = _weight_of(operands, x)
    stride, dilation = _pair(node.integers("strides"), 1), _pair(node.integers("dilations"), 1)
    more = _pair(node.integers("output_padding"), 0)
    more = more if len(x.axes) == 3 else (more[0], 0)
    wanted, auto = node.integers("output_shape"), node.text("auto_pad", "NOTSET")
    if auto.startswith("SAME") and wanted is None:
        wanted = [size * step for size, step in zip(x.shape, stride)][: len(x.axes) - 1]
    if wanted is None:
        sides = _sides(node, x, kernel, stride, dilation)
    else:
        sizes = [*wanted[1 - len(x.axes) :], 1][:2]
        rows = [
            (x.shape[axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1 + more[axis] - sizes[axis]
            for axis in (0, 1)
        ]
        sides, more = _transposed_sides(node, rows, more)
    return build.conv_transpose(
        node.name,
        x,
        weight.transpose(2, 3, 1, 0),
        _optional(operands, 2, "its bias"),
        stride=stride,
        padding=sides,
        output_padding=more,
        dilation=dilation,
        groups=node.integer("group", 1),
    )


def _pooled(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _picture(build, operands[0])
    kernel = node.integers("kernel_shape")
    if kernel is None:
        raise Refused("no kernel_shape")
    size, stride = _pair(kernel, 1), _pair(node.integers("strides"), 1)
    if _pair(node.integers("dilations"), 1) != (1, 1):
        raise Refused("a dilated window")
    sides = _sides(node, x, size, stride, (1, 1))
    is_max = node.kind == "MaxPool"
    counts = not is_max and bool(node.integer("count_include_pad", 0))
    ceil = bool(node.integer("ceil_mode", 0))
    kind = MaxPool2d if is_max else AvgPool2d
    return build.pool(node.name, x, kind, size, stride, sides, ceil=ceil, counts_padding=counts)


def _gemm(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if node.integer("transA", 0):
        raise Refused("transposes its input (transA)")
    weight = _constant(operands[1], "its weight")
    bias = _optional(operands, 2, "its bias")
    weight = weight.T if node.integer("transB", 0) else weight
    return build.dense(node.name, _vector(operands[0]), alpha * weight, None if bias is None else beta * bias)


def _vector(operand: Operand) -> Value:
    x = _value(operand)
    if not x.flat and len(x.dims()) != 1:
        raise Refused(f"multiplies the last axis of {x.dims()} alone; expected a flattened input")
    return x


def _matmul(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    return build.dense(node.name, _vector(operands[0]), _constant(operands[1], "its second factor"), None)


def _per_channel(x: Value, operand: Operand, what: str) -> Array:
    """A constant that has one number, or one for each channel."""
    array = _constant(operand, what)
    axes = ("N", "F") if x.flat else ("N", *x.axes)
    shape = (1,) * (len(axes) - array.ndim) + array.shape
    channel = "F" if x.flat else "C"
    if len(shape) != len(axes) or any(size != 1 and axis != channel for axis, size in zip(axes, shape)):
        raise Refused(f"{what} of shape {array.shape} for an input of {x.dims()}; expected one number for each channel")
    return array.reshape(-1)


def _split(operands: list[Operand]) -> tuple[Value, Operand]:
    """The one that depends on the input, and the other."""
    a, b = operands
    return (a, b) if isinstance(a, Value) else (_value(b), a)


def _added(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    if not operands:
        raise Refused("has no input")
    if len(operands) != 2:  # a Sum
        sum_of = _value(operands[0])
        for operand in operands[1:]:
            sum_of = _added(build, node, [sum_of, operand])
        return sum_of
    a, b = operands
    if isinstance(a, Value) and isinstance(b, Value):
        if node.kind == "Sub":
            raise Refused("subtracts one branch from another")
        return build.add(node.name, a, b)
    x, other = _split(operands)
    shift = _per_channel(x, other, "what it adds")
    if node.kind == "Sub":
        return build.affine(node.name, x, 1.0, -shift) if x is a else build.affine(node.name, x, -1.0, shift)
    return build.affine(node.name, x, 1.0, shift)


def _scaled(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x, other = _split(operands)
    if isinstance(other, Value):
        raise Refused("multiplies two branches")
    factor = _per_channel(x, other, "what it multiplies by").astype(np.float64)
    if node.kind == "Div":
        if x is not operands[0] or not np.all(factor):
            raise Refused("divides by what depends on the input, or by zero")
        factor = 1 / factor
    return build.affine(node.name, x, factor, 0.0)


def _normalised(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    if node.integer("training_mode", 0):
        raise Refused("a batch normalisation in training mode; export the model in evaluation mode")
    names = ("scale", "bias", "mean", "variance")
    if len(operands) < 5:
        raise Refused("expected scale, bias, mean and variance")
    scale, shift, mean, variance = (_constant(operand, f"its {name}") for operand, name in zip(operands[1:], names))
    factors = normalisation(scale, shift, mean, variance, node.number("epsilon", 1e-5))
    return build.affine(node.name, _value(operands[0]), *factors)


def _flattened(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    axis = node.integer("axis", 1)
    if axis not in (1, -len(x.dims())):
        raise Refused(f"flattens from axis {axis} on; expected 1")
    return build.flatten(node.name, x)


def _reshaped(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    now = [1, *x.dims()]
    dims = [int(size) for size in _constant(operands[1], "its shape").reshape(-1)]
    if not node.integer("allowzero", 0):
        dims = [now[i] if size == 0 and i < len(now) else size for i, size in enumerate(dims)]
    if len(dims) < 2 or dims[0] not in (1, -1):
        raise Refused(f"reshapes the samples' axis: {now} to {dims}")
    rest = dims[1:]
    if dims[0] == -1 and -1 not in rest and math.prod(rest) != math.prod(x.shape):
        raise Refused(f"reshapes the samples' axis: {now} to {dims}")
    return build.reshape(node.name, x, rest)


def _squeezed(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    axes = _axes_of(node, operands, 1)
    dims = [1, *x.dims()]
    if axes is None:
        raise Refused("takes away all axes of size 1, the samples' too; expected axes")
    axes = [axis % len(dims) for axis in axes]
    if 0 in axes or any(dims[axis] != 1 for axis in axes):
        raise Refused(f"takes away axes {axes} of {dims}")
    return build.reshape(node.name, x, [size for axis, size in enumerate(dims) if axis not in axes][1:])


def _unsqueezed(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    dims = np.expand_dims(np.empty([1, *x.dims()], np.bool_), tuple(_axes_of(node, operands, 1) or ())).shape
    return build.reshape(node.name, x, dims[1:])


def _transposed(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    order = node.integers("perm") or list(range(len(x.dims()), -1, -1))
    if order[0] != 0:
        raise Refused(f"transposes the samples' axis: {order}")
    return build.transpose(node.name, x, [axis - 1 for axis in order[1:]])


def _padded(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _picture(build, operands[0])
    pads = _optional(operands, 1, "its pads")
    pads = np.array(node.integers("pads") or []) if pads is None else pads
    value = _optional(operands, 2, "its value")
    axes = len(x.axes) + 1
    if len(operands) > 3 and operands[3] is not None or pads.size != 2 * axes:
        raise Refused("pads some axes; expected begin and end of all")
    if node.text("mode", "constant") != "constant" or (node.number("value", 0.0) if value is None else np.any(value != 0)):
        raise Refused("pads with something else than zeros")
    begin, end = pads[:axes].tolist(), pads[axes:].tolist()
    if any((*begin[:2], *end[:2])):
        raise Refused("pads samples or channels")
    return build.pad(node.name, x, ((begin[2], end[2]), (begin[3], end[3]) if axes == 4 else (0, 0)))


def _reduced(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _picture(build, operands[0])
    axes = sorted(axis % (len(x.axes) + 1) for axis in _axes_of(node, operands, 1) or ())
    if axes != list(range(2, len(x.axes) + 1)):
        raise Refused(f"takes the mean over axes {axes}; expected height and width")
    return build.global_average(node.name, x, keep=bool(node.integer("keepdims", 1)))


def _joined(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    values = [_value(operand, "one of its inputs") for operand in operands]
    axis = node.integer("axis", 1)
    return build.concat(node.name, values, (axis % (len(values[0].dims()) + 1)) - 1)


def _softmaxed(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    return build.softmax(node.name, x, is_logarithm=node.kind == "LogSoftmax")


def _clipped(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    bounds = []
    for index, (name, default) in enumerate((("min", -math.inf), ("max", math.inf)), 1):
        operand = _optional(operands, index, f"its {name}")
        bounds.append(node.number(name, default) if operand is None else float(operand.reshape(-1)[0]))
    return build.clip(node.name, _value(operands[0]), *bounds)


def _leaky(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    return build.elementwise(node.name, _value(operands[0]), LeakyReLU, alpha=float(np.float32(node.number("alpha", 0.01))))


def _prelu(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    x, slopes = _value(operands[0]), _constant(operands[1], "its slopes")
    return build.slopes(node.name, x, _per_channel(x, slopes, "its slopes"))


def _elu(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    return build.named(node.name, _value(operands[0]), "elu", alpha=float(np.float32(node.number("alpha", 1.0))))


def _gelu(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    if node.text("approximate", "none") != "none":
        raise Refused("an approximate GELU, which is not ours")
    return build.named(node.name, _value(operands[0]), "gelu")


def _hard_sigmoid(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    slope, middle = (np.float32(node.number(*attribute)) for attribute in (("alpha", 0.2), ("beta", 0.5)))
    if abs(slope - 1 / 6) > 1e-6 or middle != 0.5:
        raise Refused(f"a hard sigmoid of alpha {slope:g} and beta {middle:g}; ours has 1/6 and 1/2")
    return build.named(node.name, _value(operands[0]), "hard_sigmoid")


def _named(kind: str) -> Callable[[Builder, _Node, list[Operand]], Value]:
    return lambda build, node, operands: build.named(node.name, _value(operands[0]), kind)


def _global(build: Builder, node: _Node, operands: list[Operand]) -> Value:
    make = GlobalAvgPool2d if node.kind == "GlobalAveragePool" else GlobalMaxPool2d
    return build.global_pool(node.name, _picture(build, operands[0]), make, keep=True)


def _simply(make: Any) -> Callable[[Builder, _Node, list[Operand]], Value]:
    return lambda build, node, operands: build.elementwise(node.name, _value(operands[0]), make)


_CONVERTERS: dict[str, Callable[[Builder, _Node, list[Operand]], Value]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transposed,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MaxPool": _pooled,
    "AveragePool": _pooled,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
    "ReduceMean": _reduced,
    "BatchNormalization": _normalised,
    "Add": _added,
    "Sub": _added,
    "Sum": _added,
    "Mul": _scaled,
    "Div": _scaled,
    "Concat": _joined,
    "Relu": _simply(ReLU),
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    "Sigmoid": _simply(Sigmoid),
    "Tanh": _simply(Tanh),
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _named("hard_swish"),
    "Softplus": _named("softplus"),
    "Clip": _clipped,
    "Softmax": _softmaxed,
    "LogSoftmax": _softmaxed,
    "Flatten": _flattened,
    "Reshape": _reshaped,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Transpose": _transposed,
    "Pad": _padded,
    "Identity": lambda build, node, operands: _value(operands[0]),
    "Dropout": lambda build, node, operands: _value(operands[0]),
}
