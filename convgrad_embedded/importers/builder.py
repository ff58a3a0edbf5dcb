"""What readers of other frameworks' models have in common: from their nodes to a Network with its weights.

A Value is what a node of the model puts out. Its array in that framework may have other axes than ours (H, W, C): `axes`
says which of ours each axis behind the samples' one is, "CHW" in PyTorch and ONNX. Once flattened, the elements stay in
that order, and a dense layer behind it gets the rows of its weights in ours.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convgrad_embedded import _graph
from convgrad_embedded._layers import (
    LAYERS,
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    MaxPool2d,
    PReLU,
    ReLU,
    ceil_padding,
    scaled_transposed,
)

Shape = tuple[int, int, int]
Sides = tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)
Array = NDArray[Any]

_MOST_CHANNELS = 2**20

NO_PADDING: Sides = ((0, 0), (0, 0))


class Refused(ValueError):
    """A model that our layers cannot express, or bytes that are no model."""


@dataclass(eq=False)
class Node:
    """A layer to be, with its weights in float64 and our order of axes."""

    name: str
    make: Callable[..., Layer]
    arguments: dict[str, Any]
    inputs: tuple[Value, ...]
    weight: Array | None = None  # as the layer has it
    bias: Array | None = None
    is_softmax: bool = False
    is_affine: bool = False  # a scale and a shift for each channel, as a depthwise convolution 1x1


@dataclass(frozen=True, eq=False)
class Value:
    node: Node | None  # None: the network's input
    shape: Shape
    axes: str
    flat: bool = False
    padding: Sides = NO_PADDING  # zeros around it that no layer has put there yet
    origin: str = ""  # of the input alone: the axes of the array that the model is given

    def dims(self) -> list[int]:
        """Of the framework's array, without the samples' axis."""
        sizes = dict(zip("HWC", self.shape))
        return [math.prod(self.shape)] if self.flat else [sizes[axis] for axis in self.axes]


@dataclass
class Builder:
    """Collects the layers of one model. `context` begins the messages: the file's name."""

    context: str
    axes: str  # in which order that framework has the axes of a picture
    notes: list[str] = field(default_factory=list)
    input_shape: Shape = (1, 1, 1)
    origin: str = ""
    folds: bool = True  # batch normalisation goes into the layer before it

    def refuse(self, node: str, reason: str) -> Refused:
        return Refused(f"{self.context}: {node}: {reason}")

    def input(self, dims: Sequence[int], axes: str) -> Value:
        """The network's input, with axes as the framework has them."""
        sizes = {"H": 1, "W": 1, **dict(zip(axes, dims))}
        self.input_shape, self.origin = (sizes["H"], sizes["W"], sizes["C"]), axes
        return Value(None, self.input_shape, axes, flat=axes == "C", origin=axes)

    def first_picture(self, x: Value) -> Value:
        """The input, which may have been transposed, under the names of axes that the first convolution or pooling means."""
        if x.node is not None or x.flat or len(x.axes) != 3 or x.axes == self.axes:
            return x
        means = dict(zip(x.axes, self.axes))
        sizes = {means[axis]: size for axis, size in zip("HWC", x.shape)}
        self.input_shape = (sizes["H"], sizes["W"], sizes["C"])
        self.origin = "".join(means[axis] for axis in x.origin)
        return Value(None, self.input_shape, self.axes, padding=x.padding, origin=self.origin)

    # ---- layers ------------------------------------------------------------------------------------------------------

    def conv(
        self,
        name: str,
        x: Value,
        weight: Array,
        bias: Array | None,
        *,
        stride: tuple[int, int] = (1, 1),
        padding: Sides = NO_PADDING,
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> Value:
        """weight is (KH, KW, C / groups, filters)."""
        self._is_picture(name, x)
        kernel_h, kernel_w, group_in, filters = weight.shape
        if groups < 1 or group_in * groups != x.shape[2] or filters % groups:
            channels = group_in * groups
            last = f"; channels come last: {(*x.shape[1:], x.shape[0])}" if x.shape[0] == channels else ""
            text = f"weights for {channels} channels in {groups} groups do not fit an input of {x.shape[2]} channels{last}"
            raise self.refuse(name, text)
        padding = _sum_of(padding, x.padding)
        out_h, out_w = self._out(name, x.shape, (kernel_h, kernel_w), stride, padding, dilation)
        arguments = _given(stride=(stride, (1, 1)), dilation=(dilation, (1, 1)), groups=(groups, 1))
        if padding != NO_PADDING:
            arguments["padding"] = padding
        arguments.update(filters=filters, kernel_size=(kernel_h, kernel_w))
        node = Node(name, Conv2d, arguments, (x,), _real(weight), self._bias(name, bias, filters))
        return Value(node, (out_h, out_w, filters), x.axes)

    def conv_transpose(
        self,
        name: str,
        x: Value,
        weight: Array,
        bias: Array | None,
        *,
        stride: tuple[int, int] = (1, 1),
        padding: Sides = NO_PADDING,
        output_padding: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> Value:
        """weight is (KH, KW, filters / groups, C); padding is what the output leaves out."""
        self._is_picture(name, x)
        self._has_no_padding(name, x)
        kernel_h, kernel_w, per_group, in_c = weight.shape
        if groups < 1 or in_c != x.shape[2] or in_c % groups:
            raise self.refuse(
                name, f"weights for {in_c} channels in {groups} groups do not fit an input of {x.shape[2]} channels"
            )
        sizes = [
            (x.shape[axis] - 1) * stride[axis] + dilation[axis] * (size - 1) + 1 + output_padding[axis] - sum(padding[axis])
            for axis, size in enumerate((kernel_h, kernel_w))
        ]
        if min(sizes) < 1:
            raise self.refuse(name, f"padding {padding} leaves nothing of an output")
        arguments = _given(
            stride=(stride, (1, 1)),
            padding=(padding, NO_PADDING),
            output_padding=(output_padding, (0, 0)),
            dilation=(dilation, (1, 1)),
            groups=(groups, 1),
        )
        filters = per_group * groups
        arguments.update(filters=filters, kernel_size=(kernel_h, kernel_w))
        node = Node(name, ConvTranspose2d, arguments, (x,), _real(weight), self._bias(name, bias, filters))
        return Value(node, (sizes[0], sizes[1], filters), x.axes)

    def dense(self, name: str, x: Value, weight: Array, bias: Array | None) -> Value:
        """weight is (in, units), its rows in the order in which the framework flattens x."""
        self._has_no_padding(name, x)
        h, w, c = x.shape
        if not x.flat and h * w > 1:
            raise self.refuse(name, f"multiplies the last axis of {x.dims()} alone; expected a flattened input")
        if weight.ndim != 2 or weight.shape[0] != h * w * c:
            raise self.refuse(name, f"weights of shape {weight.shape} do not fit an input of {h * w * c} elements")
        units = weight.shape[1]
        sizes = dict(zip("HWC", x.shape))
        order = [x.axes.index(axis) for axis in "HWC" if axis in x.axes]
        weight = weight.reshape([sizes[axis] for axis in x.axes] + [units]).transpose([*order, len(x.axes)])
        weight = _real(weight.reshape(h * w * c, units))
        node = Node(name, Dense, {"units": units}, (x,), weight, self._bias(name, bias, units))
        return Value(node, (1, 1, units), "C", flat=True)

    def affine(self, name: str, x: Value, scale: Array | float, shift: Array | float) -> Value:
        """x * scale + shift for each channel: batch normalisation that does not learn any more.

        It goes into the layer before it if nothing else reads that one; see network().
        """
        self._has_no_padding(name, x)
        x = self._vector(name, x)
        h, w, c = x.shape
        if c > _MOST_CHANNELS:
            raise self.refuse(name, f"{c} channels; expected at most {_MOST_CHANNELS}")
        factor, offset = (_real(np.broadcast_to(np.asarray(value).reshape(-1), c)) for value in (scale, shift))
        arguments = {"filters": c, "kernel_size": 1, **_given(groups=(c, 1))}
        node = Node(name, Conv2d, arguments, (x,), factor.reshape(1, 1, 1, c), offset, is_affine=True)
        return Value(node, x.shape, x.axes, x.flat)

    def channels(
        self,
        name: str,
        x: Value,
        make: Callable[..., Layer],
        arguments: dict[str, Any],
        weight: Array | None,
        bias: Array | None,
    ) -> Value:
        """A normalisation whose weights have one number for each channel, in their last axis."""
        self._has_no_padding(name, x)
        x = self._vector(name, x)
        if not x.flat and x.axes[:1] != "C":
            raise self.refuse(name, f"normalises axis {x.axes[:1]}; expected channels")
        if weight is not None and weight.shape[-1] != x.shape[2]:
            raise self.refuse(name, f"{weight.shape[-1]} weights do not fit an input of {x.shape[2]} channels")
        return Value(Node(name, make, arguments, (x,), weight, bias), x.shape, x.axes, x.flat)

    def slopes(self, name: str, x: Value, slopes: Array) -> Value:
        """PReLU, with one slope or one for each channel."""
        slopes = _real(slopes).reshape(-1)
        self._has_no_padding(name, x)
        x = self._vector(name, x) if slopes.size > 1 else x
        if slopes.size not in (1, x.shape[2]):
            raise self.refuse(name, f"{slopes.size} slopes do not fit an input of {x.shape[2]} channels")
        node = Node(name, PReLU, _given(num_parameters=(slopes.size, 1)), (x,), slopes)
        return Value(node, x.shape, x.axes, x.flat)

    def numbers(
        self,
        name: str,
        x: Value,
        make: Callable[..., Layer],
        arguments: dict[str, Any],
        weight: Array | None,
        bias: Array | None,
    ) -> Value:
        """The same with one number for each number of a sample, in the framework's order."""
        self._has_no_padding(name, x)
        sizes = dict(zip("HWC", x.shape))
        order = [x.axes.index(axis) for axis in "HWC" if axis in x.axes]

        def ours(array: Array) -> Array:
            return array.reshape([sizes[axis] for axis in x.axes]).transpose(order).reshape(x.shape)

        weight, bias = (None if array is None else ours(array) for array in (weight, bias))
        bias = None if bias is None else bias.reshape(-1)
        return Value(Node(name, make, arguments, (x,), weight, bias), x.shape, x.axes, x.flat)

    def pool(
        self,
        name: str,
        x: Value,
        kind: type[MaxPool2d] | type[AvgPool2d],
        size: tuple[int, int],
        stride: tuple[int, int],
        padding: Sides = NO_PADDING,
        *,
        ceil: bool = False,
        counts_padding: bool = False,
    ) -> Value:
        """ceil: last windows may hang over the edge, which is padding there. counts_padding: a mean is over all of a window."""
        self._is_picture(name, x)
        self._has_no_padding(name, x)
        self._out(name, x.shape, size, stride, padding, (1, 1))
        counts_padding = counts_padding and padding != NO_PADDING
        if ceil:
            wider = [
                (before, ceil_padding(x.shape[axis], size[axis], stride[axis], before, after))
                for axis, (before, after) in enumerate(padding)
            ]
            if counts_padding and (wider[0], wider[1]) != padding:
                raise self.refuse(
                    name, "counts padding, of which windows that hang over the edge (ceil_mode) have another sort"
                )
            padding = wider[0], wider[1]
        out_h, out_w = self._out(name, x.shape, size, stride, padding, (1, 1))
        if any(side >= size[axis] for axis in (0, 1) for side in padding[axis]):
            raise self.refuse(name, f"padding {padding} is as wide as its window {size}")
        arguments = {"pool_size": _simplest(size), **_given(stride=(_simplest(stride), _simplest(size)))}
        arguments.update(_given(count_include_pad=(counts_padding, False)))
        if padding != NO_PADDING:
            arguments["padding"] = padding
        return Value(Node(name, kind, arguments, (x,)), (out_h, out_w, x.shape[2]), x.axes)

    def global_average(self, name: str, x: Value, *, keep: bool) -> Value:
        return self.global_pool(name, x, GlobalAvgPool2d, keep=keep)

    def global_pool(self, name: str, x: Value, make: Callable[..., Layer], *, keep: bool) -> Value:
        """keep: the axes of height and width stay, with size 1."""
        self._is_picture(name, x)
        self._has_no_padding(name, x)
        node = Node(name, make, {}, (x,))
        return Value(node, (1, 1, x.shape[2]), x.axes if keep else "C", flat=not keep)

    def elementwise(self, name: str, x: Value, make: Callable[..., Layer], **arguments: Any) -> Value:
        self._has_no_padding(name, x)
        return Value(Node(name, make, arguments, (x,)), x.shape, x.axes, x.flat)

    def clip(self, name: str, x: Value, low: float, high: float) -> Value:
        if (low, high) == (-math.inf, math.inf):
            return x
        if (low, high) == (0, math.inf):
            return self.elementwise(name, x, ReLU)
        if (low, high) == (0, 6):
            return self.named(name, x, "relu6")
        raise self.refuse(name, f"clips to {low} .. {high}")

    def named(self, name: str, x: Value, kind: str, **arguments: Any) -> Value:
        """An activation that this version may have or not."""
        if kind not in LAYERS:
            raise self.refuse(name, f"there is no layer {kind}")
        return self.elementwise(name, x, LAYERS[kind], **arguments)

    def softmax(self, name: str, x: Value, *, is_logarithm: bool = False) -> Value:
        """As a network's end: the loss has its own. See network()."""
        if x.shape[:2] != (1, 1):
            raise self.refuse(name, f"a softmax over an input of {x.dims()}; expected a vector")
        make = None if is_logarithm else LAYERS.get("softmax")
        return Value(Node(name, make or _no_softmax, {}, (x,), is_softmax=True), x.shape, x.axes, x.flat)

    def add(self, name: str, a: Value, b: Value) -> Value:
        self._has_no_padding(name, a, b)
        if a.shape != b.shape or (a.axes, a.flat) != (b.axes, b.flat) and math.prod(a.shape) != a.shape[2]:
            raise self.refuse(name, f"adds tensors of other shapes or axes, {a.dims()} and {b.dims()}")
        return Value(Node(name, Add, {}, (a, b)), a.shape, a.axes, a.flat)

    def concat(self, name: str, values: Sequence[Value], axis: int) -> Value:
        """axis counts without the samples' one, from 0."""
        self._has_no_padding(name, *values)
        values = [self._vector(name, value) for value in values]
        first = values[0]
        for value in values:
            if value.shape[:2] != first.shape[:2] or value.axes != first.axes or value.flat != first.flat:
                raise self.refuse(name, f"joins tensors of other shapes or axes, {first.dims()} and {value.dims()}")
        is_vector = first.flat and first.shape[:2] == (1, 1)
        if not (is_vector if first.flat else first.axes[axis : axis + 1] == "C"):
            raise self.refuse(name, f"joins along axis {axis} of {first.dims()}; expected channels")
        result = first
        for value in values[1:]:
            shape = (*first.shape[:2], result.shape[2] + value.shape[2])
            result = Value(Node(name, Concat, {}, (result, value)), shape, first.axes, first.flat)
        return result

    def pad(self, name: str, x: Value, sides: Sides) -> Value:
        """Zeros around x, which the convolution behind it takes as its own padding."""
        self._is_picture(name, x)
        if any(side < 0 for pair in sides for side in pair):
            raise self.refuse(name, f"padding {sides} crops")
        return dataclasses.replace(x, padding=_sum_of(sides, x.padding))

    # ---- shapes ------------------------------------------------------------------------------------------------------

    def flatten(self, name: str, x: Value) -> Value:
        self._has_no_padding(name, x)
        return dataclasses.replace(x, flat=True)

    def transpose(self, name: str, x: Value, order: Sequence[int]) -> Value:
        """`order` as NumPy's transpose takes it, without the samples' axis, from 0."""
        if x.flat and list(order) == [0]:
            return x
        if x.flat or sorted(order) != list(range(len(x.axes))):
            raise self.refuse(name, f"transposes axes {list(order)} of {x.dims()}")
        return dataclasses.replace(x, axes="".join(x.axes[axis] for axis in order))

    def reshape(self, name: str, x: Value, dims: Sequence[int]) -> Value:
        """To `dims`, without the samples' axis: flattened, or axes of size 1 more or less. The input may become a picture."""
        self._has_no_padding(name, x)
        elems = math.prod(x.shape)
        dims = _resolved(dims, elems)
        if dims == x.dims():
            return x
        if dims == [elems]:
            return self.flatten(name, x)
        whole = dataclasses.replace(x, flat=False)
        if x.flat and dims == whole.dims():
            return whole
        if math.prod(dims) == elems and 2 <= len(dims) <= 3:
            if x.node is None and x.shape[:2] == (1, 1):
                return self._picture_of_input(dims)
            x = self._vector(name, x) if elems in dims else x
            axes = self._axes_of(x, dims)
            if axes is not None:
                return dataclasses.replace(x, axes=axes, flat=False)
        raise self.refuse(name, f"reshapes {x.dims()} to {dims}; expected it flattened")

    def _axes_of(self, x: Value, dims: Sequence[int]) -> str | None:
        """Names for axes of sizes `dims`, if only axes of size 1 have come or gone."""
        sizes = dict(zip("HWC", x.shape))
        order = [axis for axis in x.axes if sizes[axis] > 1]
        if x.flat and len(order) > 1:
            return None
        for axes in itertools.permutations(self.axes, len(dims)):
            fits = [sizes[axis] for axis in axes] == list(dims)
            if fits and [axis for axis in axes if sizes[axis] > 1] == order:
                return "".join(axes)
        return None

    def _picture_of_input(self, dims: Sequence[int]) -> Value:
        """The input is a vector that the model makes a picture of: ours takes the picture."""
        value = self.input(dims, self.axes if len(dims) == 3 else self.axes.replace("W", ""))
        self.input_shape = value.shape
        self.notes.append(f"input: expected as {value.shape} rather than flattened")
        return value

    # ---- the network -------------------------------------------------------------------------------------------------

    def network(self, cls: Any, output: Value, options: dict[str, Any]) -> Any:
        """The Network of all that leads to `output`, with its weights."""
        self._has_no_padding("the output", output)
        if output.node is None:
            raise self.refuse("the output", "is the input itself; expected layers between them")
        output = self._vector("the output", output)
        node = output.node
        if (
            node is not None
            and node.is_softmax
            and (node.make is _no_softmax or options.get("loss") == "softmax_cross_entropy")
        ):
            self.notes.append(f'{node.name}: left out, the network puts out logits; loss="softmax_cross_entropy" has it')
            output = node.inputs[0]
        nodes, last = self._fold(_behind(output), output)
        if not nodes:
            raise self.refuse("the output", "comes from no layer")
        for node in nodes:
            if any(value.node is None and value.origin != self.origin for value in node.inputs):
                raise self.refuse(node.name, "reads the input with other axes than the first layer does")
        layers = [self._layer(node) for node in nodes]
        if _is_chain(nodes):
            network = cls(_input_shape(self.input_shape), layers, **options)
        else:
            first = _graph.Input(_input_shape(self.input_shape))
            tensors = {id(None): first}
            for node, layer in zip(nodes, layers):
                tensors[id(node)] = layer(*(tensors[id(value.node)] for value in node.inputs))
            network = cls(inputs=first, outputs=tensors[id(last)], **options)
        network.set_weights([array for node in nodes for array in (node.weight, node.bias) if array is not None])
        network._import_notes = tuple(self.notes)
        return network

    def _layer(self, node: Node) -> Layer:
        arguments = dict(node.arguments)
        for name in ("kernel_size", "stride", "dilation", "output_padding"):
            if name in arguments:
                arguments[name] = _simplest(arguments[name])
        if node.weight is not None and node.bias is None and node.make is not PReLU:
            arguments["use_bias"] = False
        try:
            return node.make(**arguments)
        except (TypeError, ValueError) as error:
            raise self.refuse(node.name, str(error)) from None

    def _fold(self, nodes: list[Node], output: Value) -> tuple[list[Node], Node | None]:
        """Scales and shifts into the convolution or dense layer before them, where nothing else reads that."""
        readers: dict[int, int] = {id(output.node): 1}
        for node in nodes:
            for value in node.inputs:
                readers[id(value.node)] = readers.get(id(value.node), 0) + 1
        stands_for: dict[int, Node] = {}
        kept: list[Node] = []
        for node in nodes:
            node.inputs = tuple(_instead(value, stands_for) for value in node.inputs)
            before = node.inputs[0].node
            takes = before is not None and before.make in (Conv2d, ConvTranspose2d, Dense) and readers[id(before)] == 1
            if node.is_affine and before is not None and takes:
                _fold_into(before, node)
                stands_for[id(node)] = before
                readers[id(before)] = readers.get(id(node), 0)
                self.notes.append(f"{node.name}: folded into {before.name}")
            else:
                if node.is_affine:
                    self.notes.append(f"{node.name}: kept as a depthwise convolution 1x1")
                kept.append(node)
        return kept, stands_for.get(id(output.node), output.node)

    def _vector(self, name: str, x: Value) -> Value:
        """A flattened picture as a tensor of channels alone, if its elements have our order; all else as it is."""
        if not x.flat or sum(size > 1 for size in x.shape) <= 1:
            return x
        if _without(x.axes, x.shape) != _without("HWC", x.shape):
            raise self.refuse(name, f"takes a picture flattened in the order {x.axes} for a vector; ours is HWC")
        return Value(Node(name, Flatten, {}, (x,)), (1, 1, math.prod(x.shape)), "C", flat=True)

    # ---- checks ------------------------------------------------------------------------------------------------------

    def _bias(self, name: str, bias: Array | None, count: int) -> Array | None:
        if bias is None:
            return None
        if bias.size not in (1, count):
            raise self.refuse(name, f"a bias of shape {bias.shape} does not fit {count} outputs")
        return _real(np.broadcast_to(bias.reshape(-1), count))

    def _is_picture(self, name: str, x: Value) -> None:
        if x.flat:
            raise self.refuse(name, f"expected height, width and channels, got a flattened input of {x.dims()}")

    def _has_no_padding(self, name: str, *values: Value) -> None:
        for value in values:
            if value.padding != NO_PADDING:
                raise self.refuse(name, f"reads padding {value.padding} that stands alone; expected a convolution behind it")

    def _out(
        self, name: str, shape: Shape, kernel: Sequence[int], stride: Sequence[int], padding: Sides, dilation: Sequence[int]
    ) -> tuple[int, int]:
        sizes = []
        for axis in (0, 1):
            span = dilation[axis] * (kernel[axis] - 1) + 1
            room = shape[axis] + sum(padding[axis]) - span
            if min(kernel[axis], stride[axis], dilation[axis]) < 1 or min(padding[axis]) < 0 or room < 0:
                raise self.refuse(
                    name,
                    f"kernel {tuple(kernel)}, stride {tuple(stride)}, padding {padding} and dilation {tuple(dilation)} "
                    f"do not fit an input of {shape[0]}x{shape[1]}",
                )
            sizes.append(room // stride[axis] + 1)
        return sizes[0], sizes[1]


def _no_softmax() -> Layer:
    raise ValueError("a softmax within the network")


def same_padding(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], *, lower: bool
) -> Sides:
    """For ceil(size / stride) outputs; an odd rest goes to the bottom and right, with `lower` to the top and left."""
    sides = []
    for n, k, s, d in zip(size, kernel, stride, dilation):
        rest = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        sides.append((rest - rest // 2, rest // 2) if lower else (rest // 2, rest - rest // 2))
    return sides[0], sides[1]


def normalisation(scale: Array, shift: Array, mean: Array, variance: Array, epsilon: float) -> tuple[Array, Array]:
    """Batch normalisation with its running statistics, as a scale and a shift."""
    factor = _real(scale) / np.sqrt(_real(variance) + epsilon)
    return factor, _real(shift) - _real(mean) * factor


def _behind(output: Value) -> list[Node]:
    """All nodes that it depends on, each after what it reads."""
    order: list[Node] = []
    seen: set[int] = set()
    waiting: list[tuple[Node, bool]] = [(output.node, False)] if output.node is not None else []
    while waiting:
        node, is_done = waiting.pop()
        if is_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((node, True))
            waiting.extend((value.node, False) for value in reversed(node.inputs) if value.node is not None)
    return order


def _fold_into(before: Node, affine: Node) -> None:
    assert before.weight is not None and affine.weight is not None and affine.bias is not None
    scale = affine.weight.reshape(-1)
    if before.make is ConvTranspose2d:
        before.weight = scaled_transposed(before.weight, scale, before.arguments.get("groups", 1))
    else:
        before.weight = before.weight * scale
    before.bias = affine.bias if before.bias is None else before.bias * scale + affine.bias


def _instead(value: Value, stands_for: dict[int, Node]) -> Value:
    node = stands_for.get(id(value.node))
    return value if node is None else dataclasses.replace(value, node=node)


def _resolved(dims: Sequence[int], elems: int) -> list[int]:
    """One -1 stands for what the others leave."""
    known = math.prod(size for size in dims if size != -1)
    if list(dims).count(-1) != 1 or known <= 0 or elems % known:
        return list(dims)
    return [elems // known if size == -1 else size for size in dims]


def _is_chain(nodes: Sequence[Node]) -> bool:
    before: Node | None = None
    for node in nodes:
        if len(node.inputs) != 1 or node.inputs[0].node is not before:
            return False
        before = node
    return True


def _input_shape(shape: Shape) -> Any:
    return shape if shape[:2] != (1, 1) else shape[2]


def _real(array: Array) -> Array:
    return np.asarray(array, np.float64)


def _given(**values: tuple[Any, Any]) -> dict[str, Any]:
    """Those that are not their default."""
    return {name: value for name, (value, default) in values.items() if value != default}


def _simplest(pair: Any) -> Any:
    return pair[0] if isinstance(pair, tuple) and pair[0] == pair[1] else pair


def _sum_of(a: Sides, b: Sides) -> Sides:
    return (a[0][0] + b[0][0], a[0][1] + b[0][1]), (a[1][0] + b[1][0], a[1][1] + b[1][1])


def _without(axes: str, shape: Shape) -> str:
    sizes = dict(zip("HWC", shape))
    return "".join(axis for axis in axes if sizes[axis] > 1)
