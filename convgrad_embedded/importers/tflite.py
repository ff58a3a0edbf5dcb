"""Networks from TensorFlow Lite files (LiteRT's schema.fbs), read without TensorFlow.

Activations are float32; weights may be stored as float16 or as integers with scales, which are expanded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

from convgrad_embedded._layers import AvgPool2d, LeakyReLU, MaxPool2d, ReLU, Sigmoid, Tanh
from convgrad_embedded.importers import flatbuffer as fb
from convgrad_embedded.importers.builder import NO_PADDING, Array, Builder, Refused, Sides, Value, same_padding

Operand = Union[Value, Array, None]

_AXES = "HWC"  # of a picture, behind the samples' axis
_TYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 6: "?", 7: "<i2", 9: "i1", 10: "<f8"}
_FLOAT32 = 0
_INTEGERS_WITH_SCALES = (3, 7, 9)


class _Operator:
    """One operation: its name, its operands and its options."""

    def __init__(self, kind: str, name: str, options: fb.Table | None) -> None:
        self.kind = kind
        self.name = f"{name!r} ({kind})"
        self._options = options

    def number(self, index: int, code: str, default: Any = 0) -> Any:
        return default if self._options is None else self._options.number(index, code, default)

    def numbers(self, index: int) -> tuple[Any, ...]:
        return () if self._options is None else self._options.numbers(index, "i")


def read(cls: Any, data: bytes, context: str, options: dict[str, Any]) -> Any:
    """The Network of class `cls` that the file's bytes describe."""
    reader = _Reader(Builder(context, _AXES), memoryview(data))
    try:
        output = reader.run()
    except Refused as error:
        raise error if str(error).startswith(context) else Refused(f"{context}: {error}") from None
    except (ValueError, OverflowError, IndexError, TypeError, KeyError, MemoryError) as error:
        raise Refused(f"{context}: no TensorFlow Lite model, or a damaged one: {error}") from None
    return reader.build.network(cls, output, options)


class _Reader:
    def __init__(self, build: Builder, data: memoryview) -> None:
        self.build, self.data = build, data
        self.values: dict[int, Operand] = {-1: None}

    def run(self) -> Value:
        model = fb.root(self.data, b"TFL3")
        graphs = model.tables(2)
        if len(graphs) != 1:
            raise Refused(f"{len(graphs)} graphs; expected one")
        self.buffers = model.tables(4)
        self.tensors = graphs[0].tables(0)
        inputs, outputs = graphs[0].numbers(1, "i"), graphs[0].numbers(2, "i")
        if len(inputs) != 1 or len(outputs) != 1:
            raise Refused(f"{len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
        self.values[inputs[0]] = self._input(self.tensors[inputs[0]])
        codes = [max(code.number(0, "b"), code.number(3, "i")) for code in model.tables(1)]
        for operator in graphs[0].tables(3):
            self._run(operator, codes)
        output = self.values.get(outputs[0])
        if not isinstance(output, Value):
            raise Refused("the output depends on no input")
        return output

    def _input(self, tensor: fb.Table) -> Value:
        if tensor.number(1, "b") != _FLOAT32:
            raise Refused("a quantised model; expected float32 activations")
        dims = tensor.numbers(0, "i")[1:]
        names = {1: "C", 2: "HC", 3: _AXES}
        if len(dims) not in names or min(dims) < 1:
            raise Refused(f"an input of shape {list(dims)} (behind the samples' axis); expected sizes of 1 to 3 axes")
        return self.build.input(dims, names[len(dims)])

    def _run(self, operator: fb.Table, codes: Sequence[int]) -> None:
        reads, writes = operator.numbers(1, "i"), operator.numbers(2, "i")
        code = codes[operator.number(0, "I")]
        kind, convert = _OPERATORS.get(code, (f"operator {code}", None))
        if not writes or not 0 <= writes[0] < len(self.tensors):
            raise Refused(f"{kind} without an output")
        node = _Operator(kind, self.tensors[writes[0]].text(3), operator.table(4))
        if convert is None:
            raise Refused(f"{node.name}: an operation that our layers cannot express")
        try:
            self.values[writes[0]] = convert(self.build, node, [self._operand(index) for index in reads])
        except Refused as error:
            text = str(error)
            raise error if node.name in text else Refused(f"{self.build.context}: {node.name}: {text}") from None

    def _operand(self, index: int) -> Operand:
        """What an operation has put out, or a constant."""
        if index in self.values:
            return self.values[index]
        if not 0 <= index < len(self.tensors):
            raise Refused(f"there is no tensor {index}")
        self.values[index] = self._constant(self.tensors[index])
        return self.values[index]

    def _constant(self, tensor: fb.Table) -> Array:
        name, kind, dims = tensor.text(3), tensor.number(1, "b"), tensor.numbers(0, "i")
        if kind not in _TYPES:
            raise Refused(f"tensor {name!r} of type {kind}; expected numbers")
        dtype = np.dtype(_TYPES[kind])
        data = self.buffers[tensor.number(2, "I")].bytes(0)
        if len(data) == 0 and math.prod(dims) != 0:
            raise Refused(f"reads tensor {name!r}, which nothing before it puts out")
        if min(dims, default=1) < 0 or len(data) != math.prod(dims) * dtype.itemsize:
            raise Refused(f"tensor {name!r} of shape {list(dims)} has {len(data)} bytes")
        array: Array = np.frombuffer(data, dtype).reshape(dims)
        quantisation = tensor.table(4)
        scale = () if quantisation is None else quantisation.numbers(2, "f")
        if quantisation is None or not scale or kind not in (*_INTEGERS_WITH_SCALES, 2):
            return array
        self.build.notes.append(f"{name}: {dtype.name} weights, expanded with their scales")
        zero = quantisation.numbers(3, "q") or (0,) * len(scale)
        axes = [1] * array.ndim
        if len(scale) > 1:
            axes[quantisation.number(6, "i")] = len(scale)
        expanded: Array = (array.astype(np.float64) - np.reshape(zero, axes)) * np.reshape(scale, axes).astype(np.float64)
        return expanded


# ---- what becomes layers ---------------------------------------------------------------------------------------------


def _constant(operand: Operand, what: str) -> Array:
    if operand is None or isinstance(operand, Value):
        raise Refused(f"{what} is no constant")
    return operand


def _value(operand: Operand) -> Value:
    if not isinstance(operand, Value):
        raise Refused("its input is a constant; expected what depends on the network's input")
    return operand


def _picture(operand: Operand) -> Value:
    x = _value(operand)
    if x.flat or x.axes != _AXES:
        raise Refused(f"expected an input of height, width and channels, got {x.dims()}")
    return x


def _optional(operands: list[Operand], index: int, what: str) -> Array | None:
    return None if len(operands) <= index or operands[index] is None else _constant(operands[index], what)


def _activated(build: Builder, node: _Operator, x: Value, index: int) -> Value:
    """With the activation that the options name in field `index`."""
    kind = node.number(index, "b")
    if kind == 0:
        return x
    if kind == 1:
        return build.elementwise(node.name, x, ReLU)
    if kind == 3:
        return build.named(node.name, x, "relu6")
    if kind == 4:
        return build.elementwise(node.name, x, Tanh)
    raise Refused(f"a fused activation of kind {kind}")


def _sides(node: _Operator, x: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Sides:
    padding = node.number(0, "b")
    if padding not in (0, 1):
        raise Refused(f"padding of kind {padding}")
    return NO_PADDING if padding == 1 else same_padding(x.shape[:2], kernel, stride, dilation, lower=False)


def _conv(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x = _picture(operands[0])
    weight = _constant(operands[1], "its weight")
    bias = _optional(operands, 2, "its bias")
    if weight.ndim != 4:
        raise Refused(f"weights of shape {weight.shape}")
    is_depthwise = node.kind == "DEPTHWISE_CONV_2D"
    first = 5 if is_depthwise else 4  # of the options: dilation
    stride = (node.number(2, "i"), node.number(1, "i"))
    dilation = (node.number(first + 1, "i", 1), node.number(first, "i", 1))
    kernel = weight.shape[1:3]
    if min(stride) < 1 or min(dilation) < 1:
        raise Refused(f"stride {stride} and dilation {dilation}")
    if is_depthwise:  # [1, KH, KW, filters]
        weight, groups = weight.transpose(1, 2, 0, 3), x.shape[2]
    else:  # [filters, KH, KW, C / groups]
        groups = x.shape[2] // weight.shape[3] if weight.shape[3] else 0
        weight = weight.transpose(1, 2, 3, 0)
    sides = _sides(node, x, kernel, stride, dilation)
    y = build.conv(node.name, x, weight, bias, stride=stride, padding=sides, dilation=dilation, groups=groups)
    return _activated(build, node, y, 4 if is_depthwise else 3)


def _pooled(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x = _picture(operands[0])
    stride, size = ((node.number(i, "i"), node.number(i - 1, "i")) for i in (2, 4))
    if min(*stride, *size) < 1:
        raise Refused(f"stride {stride} and window {size}")
    kind = MaxPool2d if node.kind == "MAX_POOL_2D" else AvgPool2d
    y = build.pool(node.name, x, kind, size, stride, _sides(node, x, size, stride, (1, 1)))
    return _activated(build, node, y, 5)


def _dense(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    weight = _constant(operands[1], "its weight")
    if weight.ndim != 2 or node.number(1, "b") != 0:
        raise Refused(f"weights of shape {weight.shape} in format {node.number(1, 'b')}")
    if not x.flat and not node.number(2, "b"):
        x = build.flatten(node.name, x)
    return _activated(build, node, build.dense(node.name, x, weight.T, _optional(operands, 2, "its bias")), 0)


def _per_channel(x: Value, operand: Operand, what: str) -> Array:
    array = _constant(operand, what)
    channels = x.dims()[-1]
    if any(size != 1 for size in array.shape[:-1]) or array.ndim > len(x.dims()) + 1 or array.size not in (1, channels):
        raise Refused(f"{what} of shape {array.shape} for an input of {x.dims()}; expected one number for each channel")
    return array.reshape(-1)


def _added(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    a, b = operands
    if isinstance(a, Value) and isinstance(b, Value):
        if node.kind == "SUB":
            raise Refused("subtracts one branch from another")
        return _activated(build, node, build.add(node.name, a, b), 0)
    x, other = (a, b) if isinstance(a, Value) else (_value(b), a)
    shift = _per_channel(x, other, "what it adds")
    if node.kind == "SUB":
        y = build.affine(node.name, x, 1.0, -shift) if x is a else build.affine(node.name, x, -1.0, shift)
    else:
        y = build.affine(node.name, x, 1.0, shift)
    return _activated(build, node, y, 0)


def _scaled(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    a, b = operands
    x, other = (a, b) if isinstance(a, Value) else (_value(b), a)
    if isinstance(other, Value):
        raise Refused("multiplies two branches")
    factor = _per_channel(x, other, "what it multiplies by")
    return _activated(build, node, build.affine(node.name, x, factor, 0.0), 0)


def _joined(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    values = [_value(operand) for operand in operands]
    axis = node.number(0, "i")
    y = build.concat(node.name, values, axis % (len(values[0].dims()) + 1) - 1)
    return _activated(build, node, y, 1)


def _reshaped(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    shape = _optional(operands, 1, "its shape")
    dims = list(node.numbers(0)) if shape is None else [int(size) for size in shape.reshape(-1)]
    if len(dims) == 1 and dims[0] in (-1, math.prod(x.shape)):  # of one sample, the samples' axis left out
        return build.flatten(node.name, x)
    if len(dims) < 2 or dims[0] not in (1, -1):
        raise Refused(f"reshapes the samples' axis: {[1, *x.dims()]} to {dims}")
    return build.reshape(node.name, x, dims[1:])


def _squeezed(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    dims = [1, *x.dims()]
    axes = [axis % len(dims) for axis in node.numbers(0)]
    axes = axes or [axis for axis, size in enumerate(dims) if size == 1 and axis > 0]
    if 0 in axes or any(dims[axis] != 1 for axis in axes):
        raise Refused(f"takes away axes {axes} of {dims}")
    return build.reshape(node.name, x, [size for axis, size in enumerate(dims) if axis not in axes][1:])


def _expanded(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    axis = int(_constant(operands[1], "its axis").reshape(-1)[0])
    return build.reshape(node.name, x, np.expand_dims(np.empty([1, *x.dims()], np.bool_), axis).shape[1:])


def _transposed(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x = _value(operands[0])
    order = [int(axis) for axis in _constant(operands[1], "its axes").reshape(-1)]
    if order[:1] != [0]:
        raise Refused(f"transposes the samples' axis: {order}")
    return build.transpose(node.name, x, [axis - 1 for axis in order[1:]])


def _padded(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x = _picture(operands[0])
    pads = _constant(operands[1], "its padding")
    value = _optional(operands, 2, "its value")
    if pads.shape != (4, 2) or pads[0].any() or pads[3].any() or value is not None and value.any():
        raise Refused("pads samples or channels, or with something else than zeros")
    (top, bottom), (left, right) = pads[1:3].tolist()
    return build.pad(node.name, x, ((top, bottom), (left, right)))


def _reduced(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x = _picture(operands[0])
    axes = sorted(int(axis) % 4 for axis in _constant(operands[1], "its axes").reshape(-1))
    if axes != [1, 2]:
        raise Refused(f"takes the mean over axes {axes}; expected height and width")
    return build.global_average(node.name, x, keep=bool(node.number(0, "b")))


def _softmaxed(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    beta = node.number(0, "f", 1.0)
    if node.kind == "SOFTMAX" and beta != 1:
        raise Refused(f"a softmax of beta {beta}")
    return build.softmax(node.name, _value(operands[0]), is_logarithm=node.kind == "LOG_SOFTMAX")


def _expanded_weights(build: Builder, node: _Operator, operands: list[Operand]) -> Operand:
    """DEQUANTIZE of a constant, which was expanded when it was read."""
    return _constant(operands[0], "what it dequantises").astype(np.float64)


def _leaky(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    return build.elementwise(node.name, _value(operands[0]), LeakyReLU, alpha=node.number(0, "f"))


def _prelu(build: Builder, node: _Operator, operands: list[Operand]) -> Value:
    x, slopes = _value(operands[0]), _constant(operands[1], "its slopes")
    return build.slopes(node.name, x, _per_channel(x, slopes, "its slopes"))


def _simply(make: Any) -> Callable[[Builder, _Operator, list[Operand]], Value]:
    return lambda build, node, operands: build.elementwise(node.name, _value(operands[0]), make)


def _named(kind: str) -> Callable[[Builder, _Operator, list[Operand]], Value]:
    return lambda build, node, operands: build.named(node.name, _value(operands[0]), kind)


_Converter = Callable[[Builder, _Operator, list[Operand]], Operand]
_OPERATORS: dict[int, tuple[str, _Converter]] = {
    0: ("ADD", _added),
    1: ("AVERAGE_POOL_2D", _pooled),
    2: ("CONCATENATION", _joined),
    3: ("CONV_2D", _conv),
    4: ("DEPTHWISE_CONV_2D", _conv),
    6: ("DEQUANTIZE", _expanded_weights),
    9: ("FULLY_CONNECTED", _dense),
    14: ("LOGISTIC", _simply(Sigmoid)),
    17: ("MAX_POOL_2D", _pooled),
    18: ("MUL", _scaled),
    19: ("RELU", _simply(ReLU)),
    21: ("RELU6", _named("relu6")),
    22: ("RESHAPE", _reshaped),
    25: ("SOFTMAX", _softmaxed),
    28: ("TANH", _simply(Tanh)),
    34: ("PAD", _padded),
    39: ("TRANSPOSE", _transposed),
    40: ("MEAN", _reduced),
    41: ("SUB", _added),
    43: ("SQUEEZE", _squeezed),
    50: ("LOG_SOFTMAX", _softmaxed),
    54: ("PRELU", _prelu),
    60: ("PADV2", _padded),
    70: ("EXPAND_DIMS", _expanded),
    98: ("LEAKY_RELU", _leaky),
}
