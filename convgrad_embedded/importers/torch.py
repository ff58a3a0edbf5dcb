"""Networks from PyTorch: modules, which torch.fx traces, or dictionaries of arrays as state_dict() and safetensors give them.

This module imports torch only when it is given a module of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

import numpy as np

from convgrad_embedded import _arrays
from convgrad_embedded._layers import (
    AvgPool2d,
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Tanh,
)
from convgrad_embedded.importers.builder import NO_PADDING, Array, Builder, Refused, Sides, Value, normalisation, same_padding

_AXES = "CHW"  # of a picture, behind the samples' axis

Operand = Union[Value, Any]


# ---- modules ---------------------------------------------------------------------------------------------------------


def read_module(cls: Any, module: Any, input_shape: Sequence[int], options: dict[str, Any], folds: bool) -> Any:
    """The Network of class `cls` that a torch.nn.Module computes in evaluation mode; input_shape is ours, (H, W, C) or (n,)."""
    from torch import fx

    build = Builder(type(module).__name__, _AXES, folds=folds)
    was_training = module.training
    module.eval()
    try:
        traced = fx.symbolic_trace(module)
    except Exception as error:  # whatever the module's own code does while it is traced
        raise Refused(f"{build.context}: torch.fx cannot trace it: {error}") from None
    finally:
        module.train(was_training)
    return build.network(cls, _Trace(build, traced, _input(build, input_shape)).run(), options)


def _input(build: Builder, input_shape: Any) -> Value:
    shape = [
        _arrays.integer("input_shape", size, 1)
        for size in (input_shape if isinstance(input_shape, (tuple, list)) else [input_shape])
    ]
    if len(shape) not in (1, 2, 3):
        raise ValueError(f"input_shape: expected (H, W, C), (T, C) or (n,), got {_arrays.shown(input_shape)}")
    axes = {1: "C", 2: "CH", 3: _AXES}[len(shape)]
    return build.input([shape[-1], *shape[:-1]], axes)


class _Trace:
    """Walks over the nodes of a traced module."""

    def __init__(self, build: Builder, traced: Any, x: Value) -> None:
        self.build, self.traced, self.input = build, traced, x
        self.values: dict[str, Operand] = {}

    def run(self) -> Value:
        for node in self.traced.graph.nodes:
            try:
                if node.op == "output":
                    result = self._of(node.args[0])
                    if not isinstance(result, Value):
                        raise Refused("the output is no single tensor that depends on the input")
                    return result
                self.values[node.name] = self._result(node)
            except Refused as error:
                text = str(error)
                raise error if text.startswith(self.build.context) else self.build.refuse(_name(node), text) from None
            except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
                raise self.build.refuse(_name(node), f"called in a way that the reader does not know: {error}") from None
        raise Refused(f"{self.build.context}: it has no output")

    def _of(self, argument: Any) -> Any:
        """An argument of a node, its tensors replaced by what they are here."""
        if isinstance(argument, (tuple, list)):
            return [self._of(item) for item in argument]
        return self.values[argument.name] if type(argument).__name__ == "Node" else argument

    def _result(self, node: Any) -> Operand:
        if node.op == "placeholder":
            if self.values:
                raise Refused("the module takes several inputs; expected one")
            return self.input
        if node.op == "get_attr":
            return _array(_attribute(self.traced, node.target))
        arguments = [self._of(argument) for argument in node.args]
        named = {name: self._of(argument) for name, argument in node.kwargs.items()}
        if node.op == "call_module":
            module = self.traced.get_submodule(node.target)
            kind = type(module).__name__
            if kind not in _MODULES:
                raise Refused("a module that our layers cannot express")
            if len(arguments) > 1 or named:
                raise Refused("a module that is given more than its input")
            return _MODULES[kind](self.build, _name(node), module, arguments[0])
        name = node.target if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
        if name not in _FUNCTIONS:
            raise Refused("a function that our layers cannot express")
        return _FUNCTIONS[name](self.build, _name(node), arguments, named)


def _name(node: Any) -> str:
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"{node.op} {target!r}"


def _attribute(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module


def _array(tensor: Any) -> Any:
    return None if tensor is None else np.asarray(tensor.detach().cpu().numpy(), np.float64)


def _pair(value: Any) -> tuple[int, int]:
    """An int, (n,) of a series or (h, w)."""
    if isinstance(value, (tuple, list)):
        return int(value[0]), int(value[1]) if len(value) > 1 else 1
    return int(value), int(value)


def _kernel_pair(value: Any, is_series: bool) -> tuple[int, int]:
    h, w = _pair(value)
    return (h, 1) if is_series else (h, w)


def _conv(build: Builder, name: str, module: Any, x: Value) -> Value:
    weight = _array(module.weight)
    is_series = weight.ndim == 3
    weight = weight[..., None] if is_series else weight
    if x.flat or len(x.axes) != (2 if is_series else 3):
        raise Refused(f"weights of shape {tuple(module.weight.shape)} for an input of {x.dims()}")
    if module.padding_mode != "zeros":
        raise Refused(f"padding_mode {module.padding_mode!r}; expected 'zeros'")
    stride, dilation = (_kernel_pair(value, is_series) for value in (module.stride, module.dilation))
    kernel = weight.shape[2:]
    padding: Sides
    if module.padding == "same":
        padding = same_padding(x.shape[:2], kernel, (1, 1), dilation, lower=False)
    elif module.padding == "valid":
        padding = NO_PADDING
    else:
        h, w = _pair(module.padding)
        padding = (h, h), (0, 0) if is_series else (w, w)
    return build.conv(
        name,
        x,
        weight.transpose(2, 3, 1, 0),
        _array(module.bias),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=module.groups,
    )


def _conv_transpose(build: Builder, name: str, module: Any, x: Value) -> Value:
    weight = _array(module.weight)
    is_series = weight.ndim == 3
    weight = weight[..., None] if is_series else weight
    if x.flat or len(x.axes) != (2 if is_series else 3):
        raise Refused(f"weights of shape {tuple(module.weight.shape)} for an input of {x.dims()}")
    (h, w), (more_h, more_w) = _pair(module.padding), _pair(module.output_padding)
    return build.conv_transpose(
        name,
        x,
        weight.transpose(2, 3, 1, 0),
        _array(module.bias),
        stride=_kernel_pair(module.stride, is_series),
        padding=((h, h), (0, 0) if is_series else (w, w)),
        output_padding=(more_h, 0 if is_series else more_w),
        dilation=_kernel_pair(module.dilation, is_series),
        groups=module.groups,
    )


def _linear(build: Builder, name: str, module: Any, x: Value) -> Value:
    if not x.flat and len(x.dims()) != 1:
        raise Refused(f"multiplies the last axis of {x.dims()} alone; expected a flattened input")
    return build.dense(name, x, _array(module.weight).T, _array(module.bias))


def _pool(build: Builder, name: str, x: Value, window: Any, *, is_max: bool) -> Value:
    """`window`: a module, or the arguments of the function."""
    is_series = len(x.axes) == 2
    size = _kernel_pair(window.kernel_size, is_series)
    stride = size if window.stride is None else _kernel_pair(window.stride, is_series)
    if is_max and (_pair(getattr(window, "dilation", 1)) != (1, 1) or getattr(window, "return_indices", False)):
        raise Refused("a dilated window, or one that gives indices")
    h, w = _pair(window.padding)
    padding: Sides = (h, h), (0, 0) if is_series else (w, w)
    if not is_max and getattr(window, "divisor_override", None) is not None:
        raise Refused("divisor_override")
    counts = not is_max and bool(getattr(window, "count_include_pad", True))
    kind = MaxPool2d if is_max else AvgPool2d
    return build.pool(name, x, kind, size, stride, padding, ceil=bool(window.ceil_mode), counts_padding=counts)


def _adaptive(build: Builder, name: str, size: Any, x: Value) -> Value:
    wanted = size if isinstance(size, (tuple, list)) else [size] * (len(x.axes) - 1)
    out = [have if want is None else int(want) for want, have in zip(wanted, x.shape[:2])]
    if all(want == 1 for want in out):
        return build.global_average(name, x, keep=True)
    out = out + [1] * (2 - len(out))
    if x.shape[0] % out[0] or x.shape[1] % out[1]:
        raise Refused(f"adaptive pooling of {x.shape[0]}x{x.shape[1]} to {out[0]}x{out[1]}, with windows of several sizes")
    window = (x.shape[0] // out[0], x.shape[1] // out[1])
    return build.pool(name, x, AvgPool2d, window, window)


def _normalised(build: Builder, name: str, module: Any, x: Value) -> Value:
    if module.running_mean is None:
        raise Refused("a batch normalisation without running statistics")
    mean, variance = _array(module.running_mean), _array(module.running_var)
    scale = np.ones_like(mean) if module.weight is None else _array(module.weight)
    shift = np.zeros_like(mean) if module.bias is None else _array(module.bias)
    if build.folds:
        return build.affine(name, x, *normalisation(scale, shift, mean, variance, module.eps))
    if module.momentum is None or module.weight is None:
        raise Refused("a cumulative average (momentum=None) or no weights (affine=False), which BatchNorm has not")
    arguments = {"eps": module.eps, "momentum": module.momentum}
    return build.channels(name, x, BatchNorm, arguments, np.stack([scale, mean, variance]), shift)


def _group_normalised(build: Builder, name: str, module: Any, x: Value) -> Value:
    arguments = {"groups": module.num_groups, "eps": module.eps, "affine": module.weight is not None}
    return build.channels(name, x, GroupNorm, arguments, _array(module.weight), _array(module.bias))


def _instance_normalised(build: Builder, name: str, module: Any, x: Value) -> Value:
    if module.running_mean is not None:
        raise Refused("an instance normalisation with running statistics")
    arguments = {"eps": module.eps, "affine": module.weight is not None}
    return build.channels(name, x, InstanceNorm, arguments, _array(module.weight), _array(module.bias))


def _layer_normalised(build: Builder, name: str, module: Any, x: Value) -> Value:
    if list(module.normalized_shape) != x.dims():
        raise Refused(f"normalises {tuple(module.normalized_shape)} of {x.dims()}; expected all axes of a sample")
    arguments = {"eps": module.eps, "affine": module.weight is not None}
    return build.numbers(name, x, LayerNorm, arguments, _array(module.weight), _array(module.bias))


def _sloped(build: Builder, name: str, module: Any, x: Value) -> Value:
    if module.num_parameters > 1 and not x.flat and x.axes[:1] != "C":
        raise Refused(f"slopes of axis {x.axes[:1]}; expected channels")
    return build.slopes(name, x, _array(module.weight))


def _flatten(build: Builder, name: str, x: Value, start: int, end: int) -> Value:
    axes = len(x.dims()) + 1
    if start not in (1, 1 - axes) or end not in (-1, axes - 1):
        raise Refused(f"flattens axes {start} to {end}; expected 1 to -1")
    return build.flatten(name, x)


def _zero_pad(build: Builder, name: str, padding: Any, x: Value) -> Value:
    left, right, top, bottom = (padding,) * 4 if isinstance(padding, int) else padding
    return build.pad(name, x, ((top, bottom), (left, right)))


def _softmax(build: Builder, name: str, x: Value, axis: Any, *, is_logarithm: bool = False) -> Value:
    if axis not in (None, 1, -1) or axis == -1 and not x.flat and len(x.dims()) > 1:
        raise Refused(f"a softmax over axis {axis}; expected that of channels, 1")
    return build.softmax(name, x, is_logarithm=is_logarithm)


_Module = Callable[[Builder, str, Any, Value], Value]


def _simply(make: Any) -> _Module:
    return lambda build, name, module, x: build.elementwise(name, x, make)


def _named(kind: str) -> _Module:
    return lambda build, name, module, x: build.named(name, x, kind)


def _same(build: Builder, name: str, module: Any, x: Value) -> Value:
    return x


_MODULES: dict[str, _Module] = {
    "Conv2d": _conv,
    "Conv1d": _conv,
    "ConvTranspose2d": _conv_transpose,
    "ConvTranspose1d": _conv_transpose,
    "Linear": _linear,
    "MaxPool2d": lambda build, name, module, x: _pool(build, name, x, module, is_max=True),
    "MaxPool1d": lambda build, name, module, x: _pool(build, name, x, module, is_max=True),
    "AvgPool2d": lambda build, name, module, x: _pool(build, name, x, module, is_max=False),
    "AvgPool1d": lambda build, name, module, x: _pool(build, name, x, module, is_max=False),
    "AdaptiveAvgPool2d": lambda build, name, module, x: _adaptive(build, name, module.output_size, x),
    "AdaptiveAvgPool1d": lambda build, name, module, x: _adaptive(build, name, module.output_size, x),
    "BatchNorm2d": _normalised,
    "BatchNorm1d": _normalised,
    "GroupNorm": _group_normalised,
    "InstanceNorm2d": _instance_normalised,
    "InstanceNorm1d": _instance_normalised,
    "LayerNorm": _layer_normalised,
    "Flatten": lambda build, name, module, x: _flatten(build, name, x, module.start_dim, module.end_dim),
    "ZeroPad2d": lambda build, name, module, x: _zero_pad(build, name, module.padding, x),
    "Softmax": lambda build, name, module, x: _softmax(build, name, x, module.dim),
    "LogSoftmax": lambda build, name, module, x: _softmax(build, name, x, module.dim, is_logarithm=True),
    "ReLU": _simply(ReLU),
    "Sigmoid": _simply(Sigmoid),
    "Tanh": _simply(Tanh),
    "ReLU6": _named("relu6"),
    "LeakyReLU": lambda build, name, module, x: build.elementwise(name, x, LeakyReLU, alpha=module.negative_slope),
    "PReLU": _sloped,
    "Identity": _same,
    "Dropout": _same,
    "Dropout2d": _same,
}


# ---- functions and methods -------------------------------------------------------------------------------------------


class _Window:
    """The arguments of a pooling function under the names of the module's members."""

    def __init__(self, arguments: Sequence[Any], named: dict[str, Any], names: Sequence[str]) -> None:
        self.__dict__.update({"stride": None, "padding": 0, "ceil_mode": False, **dict(zip(names, arguments)), **named})


_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVG_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")

_Function = Callable[[Builder, str, list[Any], dict[str, Any]], Any]


def _argument(arguments: list[Any], named: dict[str, Any], index: int, names: str, default: Any) -> Any:
    if len(arguments) > index:
        return arguments[index]
    return next((named[name] for name in names.split() if name in named), default)


def _added(build: Builder, name: str, arguments: list[Any], named: dict[str, Any]) -> Value:
    a, b = arguments
    if named or not isinstance(a, Value) or not isinstance(b, Value):
        raise Refused("adds something else than two tensors that depend on the input")
    return build.add(name, a, b)


def _joined(build: Builder, name: str, arguments: list[Any], named: dict[str, Any]) -> Value:
    values = arguments[0] if arguments else named["tensors"]
    axis = _argument(arguments, named, 1, "dim axis", 0)
    axes = len(values[0].dims()) + 1
    if axis % axes == 0:
        raise Refused("joins along the samples' axis")
    return build.concat(name, values, axis % axes - 1)


def _mean(build: Builder, name: str, arguments: list[Any], named: dict[str, Any]) -> Value:
    x = arguments[0]
    axes = _argument(arguments, named, 1, "dim axis", None)
    count = len(x.dims()) + 1
    axes = sorted(axis % count for axis in (axes if isinstance(axes, list) else [axes]))
    if x.flat or x.axes not in (_AXES, "CH") or axes != list(range(2, count)):
        raise Refused(f"takes the mean over axes {axes}; expected height and width")
    return build.global_average(name, x, keep=bool(_argument(arguments, named, 2, "keepdim", False)))


def _viewed(build: Builder, name: str, arguments: list[Any], named: dict[str, Any]) -> Value:
    x, *dims = arguments
    dims = dims[0] if len(dims) == 1 and isinstance(dims[0], list) else dims
    if dims[0] not in (1, -1):
        raise Refused(f"reshapes the samples' axis: to {dims}")
    return build.reshape(name, x, dims[1:])


def _size(build: Builder, name: str, arguments: list[Any], named: dict[str, Any]) -> Any:
    sizes = [1, *arguments[0].dims()]
    return sizes[arguments[1]] if len(arguments) > 1 else sizes


def _attribute_of(build: Builder, name: str, arguments: list[Any], named: dict[str, Any]) -> Any:
    if arguments[1] != "shape":
        raise Refused(f"reads .{arguments[1]} of a tensor")
    return _size(build, name, arguments[:1], {})


def _padded(build: Builder, name: str, arguments: list[Any], named: dict[str, Any]) -> Value:
    sides = _argument(arguments, named, 1, "pad", [])
    mode, value = _argument(arguments, named, 2, "mode", "constant"), _argument(arguments, named, 3, "value", 0)
    if mode != "constant" or value not in (None, 0) or len(sides) != 4:
        raise Refused("pads with something else than zeros, or other axes than height and width")
    return _zero_pad(build, name, sides, arguments[0])


def _elementwise(make: Any) -> _Function:
    return lambda build, name, arguments, named: build.elementwise(name, arguments[0], make)


_FUNCTIONS: dict[str, _Function] = {
    "add": _added,
    "iadd": _added,
    "add_": _added,
    "cat": _joined,
    "concat": _joined,
    "relu": _elementwise(ReLU),
    "relu_": _elementwise(ReLU),
    "sigmoid": _elementwise(Sigmoid),
    "tanh": _elementwise(Tanh),
    "relu6": lambda build, name, arguments, named: build.named(name, arguments[0], "relu6"),
    "leaky_relu": lambda build, name, arguments, named: build.elementwise(
        name, arguments[0], LeakyReLU, alpha=_argument(arguments, named, 1, "negative_slope", 0.01)
    ),
    "max_pool2d": lambda build, name, arguments, named: _pool(
        build, name, arguments[0], _Window(arguments[1:], named, _MAX_POOL), is_max=True
    ),
    "avg_pool2d": lambda build, name, arguments, named: _pool(
        build, name, arguments[0], _Window(arguments[1:], named, _AVG_POOL), is_max=False
    ),
    "adaptive_avg_pool2d": lambda build, name, arguments, named: _adaptive(
        build, name, _argument(arguments, named, 1, "output_size", None), arguments[0]
    ),
    "flatten": lambda build, name, arguments, named: _flatten(
        build,
        name,
        arguments[0],
        _argument(arguments, named, 1, "start_dim", 0),
        _argument(arguments, named, 2, "end_dim", -1),
    ),
    "view": _viewed,
    "reshape": _viewed,
    "mean": _mean,
    "size": _size,
    "getattr": _attribute_of,
    "getitem": lambda build, name, arguments, named: arguments[0][arguments[1]],
    "contiguous": lambda build, name, arguments, named: arguments[0],
    "dropout": lambda build, name, arguments, named: arguments[0],
    "pad": _padded,
    "softmax": lambda build, name, arguments, named: _softmax(
        build, name, arguments[0], _argument(arguments, named, 1, "dim", None)
    ),
    "log_softmax": lambda build, name, arguments, named: _softmax(
        build, name, arguments[0], _argument(arguments, named, 1, "dim", None), is_logarithm=True
    ),
}


# ---- dictionaries of arrays ------------------------------------------------------------------------------------------


class _Layout:
    """How PyTorch has a layer's parameters.

    `picture` is the (H, W, C) that the layer reads, or that what it reads was flattened from: PyTorch flattens C, H, W.
    """

    def __init__(self, layer: Any, info: Any, picture: tuple[int, ...]) -> None:
        self.is_batch_norm = is_batch_norm = layer.kind == "batch_norm"
        self.groups = layer.groups if layer.kind == "conv_transpose2d" else 0  # of a transposed convolution, else 0
        self.ours = info.weight_shape[1:] if is_batch_norm else info.weight_shape
        h, w, c = picture
        order = np.arange(h * w * c).reshape(h, w, c).transpose(2, 0, 1).reshape(-1)  # ours of each of theirs
        self.order = order if len(self.ours) in (2, 3) else None
        self.weight: tuple[int, ...] = self.ours
        self.bias: tuple[int, ...] = (info.bias_elems,) if info.bias_elems else ()
        if len(self.ours) == 4:
            self.weight = (self.ours[3], self.ours[2], *self.ours[:2])
        elif len(self.ours) == 2:
            self.weight = (self.ours[1], self.ours[0])
        elif len(self.ours) == 3:  # LayerNorm: a weight and a bias for each number
            self.weight = (c, h, w) if tuple(info.in_shape) == (h, w, c) and (h, w) != (1, 1) else (h * w * c,)
            self.bias = self.weight if info.bias_elems else ()

    def to_theirs(self, weight: Array, bias: Array | None) -> tuple[Array, Array | None]:
        """Of BatchNorm all rows stay in the weight."""
        if len(self.ours) == 4:
            return weight.transpose(3, 2, 0, 1), bias
        if len(self.ours) == 2:
            return weight[self.order].T, bias
        if len(self.ours) == 3:
            weight = weight.reshape(-1)[self.order].reshape(self.weight)
            return weight, None if bias is None else bias[self.order].reshape(self.bias)
        return weight, bias

    def to_ours(self, weight: Array, bias: Array | None) -> list[Array]:
        """Of arrays of these shapes."""
        if len(self.ours) == 4:
            weight = weight.transpose(2, 3, 1, 0)
        elif len(self.ours) == 2:
            weight = self._sorted(weight.T)
        elif len(self.ours) == 3:
            weight = self._sorted(weight.reshape(-1)).reshape(self.ours)
            bias = None if bias is None else self._sorted(bias.reshape(-1))
        return [weight] if bias is None else [weight, bias]

    def _sorted(self, theirs: Array) -> Array:
        ours = np.empty_like(theirs)
        ours[self.order] = theirs
        return ours


def layouts(network: Any) -> list[_Layout | None]:
    """Of each layer; None where it has no parameters. Through layers that keep a flattened picture its axes are remembered."""
    infos = network.layer_infos
    pictures: dict[int, tuple[int, ...]] = {-1: infos[0].in_shape}
    found: list[_Layout | None] = []
    for index, (layer, info, sources) in enumerate(zip(network.layers, infos, network.sources)):
        read = pictures[sources[0]]
        found.append(_Layout(layer, info, read) if info.weight_shape else None)
        computes = layer.kind in ("conv2d", "conv_transpose2d", "dense")
        keeps = layer.kind == "flatten" or info.out_shape == info.in_shape and not computes
        pictures[index] = read if keeps else info.out_shape
    return found


def weights_of(state: Mapping[str, Any], network: Any, names: Sequence[str] | None, context: str) -> list[Array]:
    """Arrays in our layout, as set_weights takes them: PyTorch's, in the order of the dictionary or of `names`.

    Batch normalisation, told by its running statistics, goes into the layer before it, or into the network's BatchNorm there.
    """
    groups: dict[str, dict[str, Array]] = {}
    for key, tensor in state.items():
        prefix, _, kind = str(key).rpartition(".")
        if kind != "num_batches_tracked":
            array = tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else np.asarray(tensor)
            groups.setdefault(prefix, {})[kind] = array.astype(np.float64)
    if names is not None:
        for name in names:
            if name not in groups:
                raise Refused(f"{context}: names: there are no arrays of {name!r}; there are {', '.join(groups) or 'none'}")
        groups = {name: groups[name] for name in names}
    expected = [layout for layout in layouts(network) if layout is not None]
    found = _folded(groups, expected, context)
    if len(found) != len(expected):
        raise Refused(f"{context}: {len(found)} layers with weights, the network has {len(expected)}")
    weights: list[Array] = []
    for (name, arrays), layout in zip(found, expected):
        weights.extend(_in_our_layout(arrays, layout, f"{context}: {name}"))
    return weights


def _folded(
    groups: Mapping[str, dict[str, Array]], layouts: Sequence[_Layout], context: str
) -> list[tuple[str, dict[str, Array]]]:
    """Weight and bias of each layer by its name, batch normalisation in the one before where the network has none."""
    found: list[tuple[str, dict[str, Array]]] = []
    for prefix, arrays in groups.items():
        if any(layout.is_batch_norm for layout in layouts[len(found) : len(found) + 1]):
            if not {"weight", "running_mean", "running_var"} <= set(arrays):
                raise Refused(f"{context}: {prefix}: expected weight, running_mean and running_var, got {', '.join(arrays)}")
            found.append((prefix, dict(arrays)))
        elif "running_mean" in arrays:
            before = layouts[len(found) - 1].groups if 0 < len(found) <= len(layouts) else 0
            weight = found[-1][1]["weight"] if found else np.zeros(0)
            if weight.ndim < 2 or _filters(weight, before) != arrays["running_mean"].size:
                raise Refused(f"{context}: {prefix}: a batch normalisation without a layer before it")
            _fold(found[-1][1], arrays, before)
        elif "weight" in arrays and set(arrays) <= {"weight", "bias"}:
            found.append((prefix, dict(arrays)))
        else:
            raise Refused(f"{context}: {prefix}: expected weight and bias, got {', '.join(arrays)}")
    return found


def _filters(weight: Array, transposed: int) -> int:
    return int(weight.shape[1] * transposed if transposed and weight.ndim > 1 else weight.shape[0])


def _fold(before: dict[str, Array], arrays: dict[str, Array], transposed: int) -> None:
    """transposed: the groups of a transposed convolution, whose weights are (C, filters / groups, ...); else 0."""
    mean = arrays["running_mean"]
    scale, shift = arrays.get("weight", np.ones_like(mean)), arrays.get("bias", np.zeros_like(mean))
    factor, offset = normalisation(scale, shift, mean, arrays["running_var"], 1e-5)
    weight = before["weight"]
    if transposed:
        apart = weight.reshape(transposed, -1, *weight.shape[1:])
        weight = (apart * factor.reshape(transposed, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)
    else:
        weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    before["weight"] = weight
    before["bias"] = before.get("bias", 0) * factor + offset


def _in_our_layout(arrays: dict[str, Array], layout: _Layout, context: str) -> list[Array]:
    weight, bias = arrays["weight"], arrays.get("bias")
    if len(layout.weight) == 4 and weight.ndim == 3:  # of a series
        weight = weight[..., None]
    if weight.shape != layout.weight or (() if bias is None else bias.shape) != layout.bias:
        got = ", ".join(f"{kind} {arrays[kind].shape}" for kind in ("weight", "bias") if kind in arrays)
        text = f"weight {layout.weight}" + (f", bias {layout.bias}" if layout.bias else ", no bias")
        raise Refused(f"{context}: expected {text}, got {got}")
    if layout.is_batch_norm:
        rows = [weight, arrays["running_mean"], arrays["running_var"]]
        if any(row.shape != weight.shape for row in rows):
            raise Refused(f"{context}: expected running statistics {weight.shape}, got {rows[1].shape} and {rows[2].shape}")
        weight = np.stack(rows)
    return layout.to_ours(weight, bias)


def state_dict(network: Any) -> dict[str, Array]:
    """The other way: arrays by "<index of the layer>.weight" and ".bias", in PyTorch's layout."""
    left = iter(network.get_weights())
    state = {}
    for index, layout in enumerate(layouts(network)):
        if layout is None:
            continue
        weight, bias = layout.to_theirs(next(left), next(left) if layout.bias else None)
        buffers: dict[str, Array] = {}
        if layout.is_batch_norm:
            weight, *statistics = weight
            buffers = dict(zip(("running_mean", "running_var"), map(np.array, statistics)))
            buffers["num_batches_tracked"] = np.array(network._runtime.step_count, np.int64)
        state[f"{index}.weight"] = np.ascontiguousarray(weight)
        if bias is not None:
            state[f"{index}.bias"] = np.array(bias)
        state.update({f"{index}.{name}": array for name, array in buffers.items()})
    return state


# ---- safetensors -----------------------------------------------------------------------------------------------------

_SAFE_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "u1",
    "I8": "i1",
    "BOOL": "?",
}


def read_safetensors(data: bytes, context: str) -> dict[str, Array]:
    """All arrays of a safetensors file (https://huggingface.co/docs/safetensors), by name, numbers in names as numbers."""
    try:
        size = int.from_bytes(data[:8], "little")
        if len(data) < 8 or size > len(data) - 8:
            raise ValueError("its header is longer than the file")
        header = json.loads(data[8 : 8 + size])
        arrays = {name: _safe_array(data, 8 + size, entry) for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise Refused(f"{context}: no safetensors file, or a damaged one: {error}") from None
    return dict(sorted(arrays.items(), key=lambda item: _natural(item[0])))


def _natural(name: str) -> list[tuple[int, str]]:
    """layer.2 before layer.10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _safe_array(data: bytes, start: int, entry: dict[str, Any]) -> Array:
    begin, end = entry["data_offsets"]
    shape = [int(size) for size in entry["shape"]]
    dtype = np.dtype(_SAFE_TYPES[entry["dtype"]])
    if (
        not 0 <= begin <= end <= len(data) - start
        or min(shape, default=0) < 0
        or math.prod(shape) * dtype.itemsize != end - begin
    ):
        raise ValueError(f"offsets {begin}, {end} of an array of {shape}")
    array: Array = np.frombuffer(data[start + begin : start + end], dtype).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if entry["dtype"] == "BF16" else array
