"""Networks from Keras: models, or the files that they are saved to (.keras, .h5). Files need h5py, an optional extra."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from convgrad_embedded import _arrays
from convgrad_embedded._layers import AvgPool2d, LeakyReLU, MaxPool2d, ReLU, Sigmoid, Tanh
from convgrad_embedded.importers.builder import NO_PADDING, Array, Builder, Refused, Sides, Value, normalisation, same_padding

_AXES = "HWC"  # of a picture, behind the samples' axis
_MOST_BYTES = 2**30  # of a file within a .keras archive

Config = dict[str, Any]
Weights = Callable[[str], list[Array]]  # of a layer, by its name


# ---- where a model comes from ----------------------------------------------------------------------------------------


def read_model(cls: Any, model: Any, options: dict[str, Any]) -> Any:
    """The Network of class `cls` that a Keras model computes in inference."""
    arrays = {layer.name: [np.asarray(array) for array in layer.get_weights()] for layer in model.layers}
    description = {"class_name": type(model).__name__, "config": model.get_config()}
    return _build(cls, description, lambda name: arrays[name], type(model).__name__, options)


def read(cls: Any, path: Any, options: dict[str, Any]) -> Any:
    """The Network of class `cls` that a file describes: .keras (Keras 3) or HDF5 (.h5)."""
    context = str(path)
    try:
        import h5py
    except ImportError:
        raise ImportError("from_keras: Keras's files need h5py: pip install h5py; a model in memory does not") from None
    data = Path(path).read_bytes()
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                description = json.loads(_member(archive, "config.json"))
                weights = _of_keras_3(h5py.File(io.BytesIO(_member(archive, "model.weights.h5")), "r"), description)
        else:
            file = h5py.File(io.BytesIO(data), "r")
            description = json.loads(cast(str, file.attrs["model_config"]))
            weights = _of_h5(file["model_weights"])
    except Refused as error:
        raise Refused(f"{context}: {error}") from None
    except Exception as error:  # whatever h5py and zipfile say about damaged files
        raise Refused(f"{context}: no Keras model, or a damaged one: {error}") from None
    return _build(cls, description, weights, context, options)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MOST_BYTES:
        raise Refused(f"{name} would unpack to {archive.getinfo(name).file_size} bytes")
    return archive.read(name)


def _of_h5(groups: Any) -> Weights:
    def weights(name: str) -> list[Array]:
        names = groups[name].attrs["weight_names"] if name in groups else []
        return [np.asarray(groups[name][key.decode() if isinstance(key, bytes) else key]) for key in names]

    return weights


def _of_keras_3(file: Any, description: Config) -> Weights:
    """Groups bear the class's name with a number, in the order of the layers."""
    groups: dict[str, str] = {}
    used: dict[str, int] = {}
    for layer in _layers_of(description):
        kind = _snake(layer["class_name"])
        count = used[kind] = used.get(kind, -1) + 1
        groups[layer["config"]["name"]] = kind if count == 0 else f"{kind}_{count}"

    def weights(name: str) -> list[Array]:
        group = file["layers"].get(groups[name]) if "layers" in file else None
        variables = [] if group is None else _variables(group)
        return [np.asarray(variable) for variable in variables]

    return weights


def _variables(group: Any) -> list[Any]:
    """Its own, and those of layers within (SeparableConv2D has none)."""
    variables = group["vars"] if "vars" in group else {}
    return [variables[key] for key in sorted(variables, key=int)]


def _snake(name: str) -> str:
    """DepthwiseConv2D: depthwise_conv2d, as Keras names the groups of its files."""
    text = ""
    for before, letter, after in zip(" " + name, name, name[1:] + " "):
        if letter.isupper() and (
            before.islower() or before.isdigit() and after.islower() or before.isupper() and after.islower()
        ):
            text += "_"
        text += letter.lower()
    return text


# ---- the graph -------------------------------------------------------------------------------------------------------


def _layers_of(description: Config) -> list[Config]:
    layers: list[Config] = description["config"]["layers"]
    return layers


def _build(cls: Any, description: Config, weights: Weights, context: str, options: dict[str, Any]) -> Any:
    build = Builder(context, _AXES)
    try:
        output = _run(build, description, weights)
    except Refused as error:
        raise error if str(error).startswith(context) else Refused(f"{context}: {error}") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError, MemoryError) as error:
        raise Refused(f"{context}: described in a way that the reader does not know: {error!r}") from None
    return build.network(cls, output, options)


def _run(build: Builder, description: Config, weights: Weights) -> Value:
    is_list = description["class_name"] == "Sequential"
    config = description["config"]
    layers = _layers_of(description)
    values: dict[str, Value] = {}
    before: Value | None = None
    for layer in layers:
        kind, settings = layer["class_name"], layer["config"]
        name = settings.get("name") or layer["name"]
        shape = settings.get("batch_shape") or settings.get("batch_input_shape")
        if kind == "InputLayer" or before is None and is_list:
            if not shape or values and not is_list:
                raise Refused(f"{name!r}: expected one input, of a known shape")
            before = values[name] = _input(build, shape)
            if kind == "InputLayer":
                continue
        inputs = [before] if is_list else [values[source] for source in _sources(layer)]
        if kind not in _LAYERS:
            raise Refused(f"{name!r} ({kind}): a layer that ours cannot express")
        if settings.get("data_format") == "channels_first":
            raise Refused(f"{name!r} ({kind}): channels first; expected channels last")
        node = _Layer(f"{name!r} ({kind})", settings, weights(name))
        try:
            before = values[name] = _LAYERS[kind](build, node, [value for value in inputs if value is not None])
        except Refused as error:
            text = str(error)
            raise error if node.name in text else build.refuse(node.name, text) from None
    if is_list:
        if before is None:
            raise Refused("it has no layers")
        return before
    (output,) = _names_in(config["output_layers"])
    return values[output]


def _input(build: Builder, batch_shape: Sequence[Any]) -> Value:
    dims = list(batch_shape)[1:]
    if len(dims) not in (1, 2, 3) or None in dims:
        raise Refused(f"an input of shape {dims} (behind the samples' axis); expected sizes of 1 to 3 axes")
    sizes = [_arrays.integer("input shape", size, 1) for size in dims]
    return build.input(sizes, {1: "C", 2: "HC", 3: _AXES}[len(sizes)])


def _names_in(ends: Any) -> list[str]:
    """Of ["name", 0, 0], or a list of these."""
    return [ends[0]] if ends and isinstance(ends[0], str) else [end[0] for end in ends]


def _sources(layer: Config) -> list[str]:
    """The names of the layers that it reads, in Keras 2's form or in Keras 3's."""
    nodes = layer["inbound_nodes"]
    if len(nodes) != 1:
        raise Refused(f"{layer['config'].get('name')!r}: called {len(nodes)} times; no parameters are shared")
    node = nodes[0]
    if isinstance(node, dict):
        found: list[str] = []
        _collect(node["args"], found)
        return found
    return [entry[0] for entry in node]


def _collect(value: Any, found: list[str]) -> None:
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        found.append(value["config"]["keras_history"][0])
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, found)


# ---- layers ----------------------------------------------------------------------------------------------------------


class _Layer:
    def __init__(self, name: str, settings: Config, weights: list[Array]) -> None:
        self.name, self.settings, self.weights = name, settings, weights

    def pair(self, key: str, default: int = 1) -> tuple[int, int]:
        value = self.settings.get(key)
        value = default if value is None else value
        h, w = (value, value) if isinstance(value, int) else (value[0], value[1] if len(value) > 1 else 1)
        return int(h), int(w)

    def array(self, index: int) -> Array:
        if index >= len(self.weights):
            raise Refused(f"{len(self.weights)} arrays of weights")
        return self.weights[index]

    def bias(self, index: int) -> Array | None:
        return self.array(index) if self.settings.get("use_bias", True) else None


def _activated(build: Builder, node: _Layer, x: Value, activation: Any) -> Value:
    if isinstance(activation, dict):  # an object of Keras 3: {"class_name": ..., "config": ...}
        settings = activation.get("config")
        activation = settings if isinstance(settings, str) else activation.get("class_name")
    if activation in (None, "linear"):
        return x
    name = str(activation)
    if name == "softmax":
        return build.softmax(node.name, x)
    if name in _ACTIVATIONS:
        return build.elementwise(node.name, x, _ACTIVATIONS[name])
    if name == "leaky_relu":
        return build.elementwise(node.name, x, LeakyReLU, alpha=0.2)
    if name in _NAMED:
        return build.named(node.name, x, _NAMED[name])
    raise Refused(f"the activation {name!r}")


_ACTIVATIONS: dict[str, Any] = {"relu": ReLU, "sigmoid": Sigmoid, "tanh": Tanh}
_NAMED = {"relu6": "relu6", "elu": "elu", "gelu": "gelu", "silu": "silu", "swish": "silu", "softplus": "softplus"}


def _sides(node: _Layer, x: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Sides:
    padding = node.settings.get("padding", "valid")
    if padding == "same":
        return same_padding(x.shape[:2], kernel, stride, dilation, lower=False)
    if padding == "causal":
        return (dilation[0] * (kernel[0] - 1), 0), (0, 0)
    if padding != "valid":
        raise Refused(f"padding {padding!r}")
    return NO_PADDING


def _picture(node: _Layer, x: Value, axes: int) -> None:
    if x.flat or len(x.axes) != axes or x.axes not in (_AXES, "HC"):
        raise Refused(f"expected an input of {axes} axes, got {x.dims()}")


def _conv(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    x = inputs[0]
    weight = node.array(0)
    _picture(node, x, weight.ndim - 1)
    weight = weight[:, None] if weight.ndim == 3 else weight  # (K, C, filters) of a series
    groups = int(node.settings.get("groups", 1))
    y = _convolved(build, node, x, weight, node.bias(1), groups)
    return _activated(build, node, y, node.settings.get("activation"))


def _convolved(build: Builder, node: _Layer, x: Value, weight: Array, bias: Array | None, groups: int) -> Value:
    is_series = len(x.axes) == 2
    stride, dilation = node.pair("strides"), node.pair("dilation_rate")
    if is_series:
        stride, dilation = (stride[0], 1), (dilation[0], 1)
    sides = _sides(node, x, weight.shape[:2], stride, dilation)
    return build.conv(node.name, x, weight, bias, stride=stride, padding=sides, dilation=dilation, groups=groups)


def _conv_transposed(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    """Of size * stride outputs, with "valid" as many more as the kernel is larger than the stride."""
    x, weight = inputs[0], node.array(0)
    _picture(node, x, weight.ndim - 1)
    stride, dilation = node.pair("strides"), node.pair("dilation_rate")
    if weight.ndim == 3:
        weight, stride, dilation = weight[:, None], (stride[0], 1), (dilation[0], 1)
    if node.settings.get("output_padding") is not None:
        raise Refused("output_padding, which Keras's backends understand in several ways")
    surplus = [dilation[axis] * (weight.shape[axis] - 1) + 1 - stride[axis] for axis in (0, 1)]
    more = (max(-surplus[0], 0), max(-surplus[1], 0))
    sides = NO_PADDING
    if node.settings.get("padding") == "same":
        before, after = ([max(rows, 0) // 2 for rows in surplus], [max(rows, 0) - max(rows, 0) // 2 for rows in surplus])
        sides = (before[0], after[0]), (before[1], after[1])
    y = build.conv_transpose(
        node.name, x, weight, node.bias(1), stride=stride, padding=sides, output_padding=more, dilation=dilation
    )
    return _activated(build, node, y, node.settings.get("activation"))


def _of_channels(weight: Array) -> Array:
    """(KH, KW, C, multiplier) as filters of one channel each."""
    return weight.reshape(*weight.shape[:2], 1, -1)


def _depthwise(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    x = inputs[0]
    _picture(node, x, 3)
    y = _convolved(build, node, x, _of_channels(node.array(0)), node.bias(1), x.shape[2])
    return _activated(build, node, y, node.settings.get("activation"))


def _separable(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    x = inputs[0]
    _picture(node, x, 3)
    y = _convolved(build, node, x, _of_channels(node.array(0)), None, x.shape[2])
    y = build.conv(node.name, y, node.array(1), node.bias(2))
    return _activated(build, node, y, node.settings.get("activation"))


def _dense(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    x = inputs[0]
    weight = node.array(0)
    if x.flat or x.shape[:2] == (1, 1):
        y = build.dense(node.name, x, weight, node.bias(1))
    else:  # of the channels of each place
        y = build.conv(node.name, x, weight[None, None], node.bias(1))
    return _activated(build, node, y, node.settings.get("activation"))


def _pool(kind: type[MaxPool2d] | type[AvgPool2d], axes: int) -> Callable[[Builder, _Layer, list[Value]], Value]:
    def convert(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
        x = inputs[0]
        _picture(node, x, axes)
        size = node.pair("pool_size", 2)
        stride = size if node.settings.get("strides") is None else node.pair("strides")
        if axes == 2:
            size, stride = (size[0], 1), (stride[0], 1)
        return build.pool(node.name, x, kind, size, stride, _sides(node, x, size, stride, (1, 1)))

    return convert


def _global_average(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    return build.global_average(node.name, inputs[0], keep=bool(node.settings.get("keepdims", False)))


def _normalised(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    x = inputs[0]
    axis = node.settings.get("axis", -1)
    axis = axis[0] if isinstance(axis, (list, tuple)) else axis
    if axis not in (-1, len(x.dims())):
        raise Refused(f"normalises axis {axis}; expected channels, -1")
    left = iter(node.weights)
    count = x.shape[2]
    scale = next(left) if node.settings.get("scale", True) else np.ones(count)
    shift = next(left) if node.settings.get("center", True) else np.zeros(count)
    mean, variance = left
    return build.affine(node.name, x, *normalisation(scale, shift, mean, variance, float(node.settings.get("epsilon", 1e-3))))


def _relu(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    settings = node.settings
    slope, most = float(settings.get("negative_slope") or 0), settings.get("max_value")
    if settings.get("threshold") or most is not None and slope:
        raise Refused(f"threshold {settings.get('threshold')}, max_value {most} and negative_slope {slope}")
    if slope:
        return build.elementwise(node.name, inputs[0], LeakyReLU, alpha=slope)
    return build.clip(node.name, inputs[0], 0, np.inf if most is None else float(most))


def _leaky(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    alpha = node.settings.get("negative_slope", node.settings.get("alpha", 0.3))
    return build.elementwise(node.name, inputs[0], LeakyReLU, alpha=float(np.asarray(alpha)))


def _prelu(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    (slopes,), channels = node.weights, inputs[0].shape[2]
    if slopes.size != 1 and slopes.shape != (*[1] * (slopes.ndim - 1), channels):
        raise Refused(f"slopes of shape {slopes.shape}; expected one for each channel: shared_axes=[1, 2]")
    return build.slopes(node.name, inputs[0], slopes)


def _zero_padding(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    _picture(node, inputs[0], 3)
    padding = node.settings["padding"]
    h, w = (padding, padding) if isinstance(padding, int) else padding
    sides = tuple((side, side) if isinstance(side, int) else tuple(side) for side in (h, w))
    return build.pad(node.name, inputs[0], (sides[0], sides[1]))


def _added(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    total = inputs[0]
    for value in inputs[1:]:
        total = build.add(node.name, total, value)
    return total


def _joined(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    axes = len(inputs[0].dims()) + 1
    return build.concat(node.name, inputs, int(node.settings.get("axis", -1)) % axes - 1)


def _rescaled(build: Builder, node: _Layer, inputs: list[Value]) -> Value:
    scale, offset = (np.asarray(node.settings.get(key, default)) for key, default in (("scale", 1.0), ("offset", 0.0)))
    return build.affine(node.name, inputs[0], scale, offset)


_LAYERS: dict[str, Callable[[Builder, _Layer, list[Value]], Value]] = {
    "Conv2D": _conv,
    "Conv1D": _conv,
    "Conv2DTranspose": _conv_transposed,
    "Conv1DTranspose": _conv_transposed,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
    "MaxPooling2D": _pool(MaxPool2d, 3),
    "AveragePooling2D": _pool(AvgPool2d, 3),
    "MaxPooling1D": _pool(MaxPool2d, 2),
    "AveragePooling1D": _pool(AvgPool2d, 2),
    "GlobalAveragePooling2D": _global_average,
    "GlobalAveragePooling1D": _global_average,
    "BatchNormalization": _normalised,
    "Activation": lambda build, node, inputs: _activated(build, node, inputs[0], node.settings["activation"]),
    "ReLU": _relu,
    "LeakyReLU": _leaky,
    "PReLU": _prelu,
    "Softmax": lambda build, node, inputs: build.softmax(node.name, inputs[0]),
    "Flatten": lambda build, node, inputs: build.flatten(node.name, inputs[0]),
    "Reshape": lambda build, node, inputs: build.reshape(node.name, inputs[0], node.settings["target_shape"]),
    "ZeroPadding2D": _zero_padding,
    "Add": _added,
    "Concatenate": _joined,
    "Rescaling": _rescaled,
    "Dropout": lambda build, node, inputs: inputs[0],
    "SpatialDropout2D": lambda build, node, inputs: inputs[0],
    "GaussianNoise": lambda build, node, inputs: inputs[0],
}
