"""Graphs: tensors that layers make of others, as in Keras, and the table of layers that they come to."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convgrad_embedded import _arguments, _arrays, _outputs
from convgrad_embedded._outputs import Keys

if TYPE_CHECKING:
    from convgrad_embedded._layers import Layer

Sources = tuple[tuple[int, ...], ...]  # of each layer, the numbers of those that it reads; -1: the network's input

INPUT = -1

_numbers = itertools.count()


class Tensor:
    """What a layer puts out, or a network's input, before there is a network: made by Input and by calling layers.

    It has no numbers and no shape of its own; `Network(inputs=, outputs=)` works these out.
    """

    def __init__(self, layer: Layer | None, inputs: tuple[Tensor, ...], shape: Any = None) -> None:
        self.layer = layer
        self.inputs = inputs
        self.shape = shape  # of an Input, as Network takes it
        self.number = next(_numbers)  # what a tensor is made of has smaller numbers

    def __repr__(self) -> str:
        return f"<Input {self.shape}>" if self.layer is None else f"<output of {self.layer!r}>"

    def __add__(self, other: object) -> None:
        raise TypeError("+ of tensors: use Add()(a, b), which becomes a layer of the network")


@_arguments.checked
def Input(shape: int | Sequence[int]) -> Tensor:
    """The input of a network, (H, W, C), or n for vectors: what `Network(inputs=...)` takes.

    >>> x = cge.Input((8, 8, 1))
    >>> cge.Network(inputs=x, outputs=cge.Dense(10)(cge.ReLU()(x))).output_shape
    (10,)
    """
    return Tensor(None, (), shape)


def apply(layer: Layer, arguments: Sequence[Any]) -> Tensor:
    """The layer's output for these inputs: tensors, or one list of them, as Keras has it."""
    inputs = tuple(arguments[0]) if len(arguments) == 1 and isinstance(arguments[0], (list, tuple)) else tuple(arguments)
    name = type(layer).__name__
    for tensor in inputs:
        if not isinstance(tensor, Tensor):
            hint = ""
            if hasattr(tensor, "__array__"):
                hint = "; to compute with arrays, make a Network of the layer and call predict"
            raise TypeError(f"{name}: expected what Input() or another layer gave, got {_arrays.describe(tensor)}{hint}")
    if len(inputs) != layer.input_count:
        raise ValueError(f"{name}: expected {layer.input_count} input{'s' * (layer.input_count > 1)}, got {len(inputs)}")
    return Tensor(layer, inputs)


def chain(layers: Sequence[Layer]) -> Sources:
    """Each layer reads the one before it."""
    for index, layer in enumerate(layers):
        if getattr(layer, "input_count", 1) > 1:
            raise ValueError(
                f"layers[{index}]: {layer!r} reads {layer.input_count} layers, in a list each reads the one before it; "
                "use Network(inputs=x, outputs=y), with x = Input(...) and y made by calling layers"
            )
    return tuple((index - 1,) for index in range(len(layers)))


# Of an output with one number at each place these have one, too.
_KEEP_SHAPE = {
    "relu", "leaky_relu", "sigmoid", "tanh", "relu6", "hard_sigmoid", "elu", "softplus", "softmax", "hard_swish", "silu",
    "gelu", "prelu", "dropout", "batch_norm", "layer_norm", "group_norm", "instance_norm", "scale",
}  # fmt: skip
_GIVE_VECTORS = {"dense", "flatten", "global_avgpool2d", "global_maxpool2d"}


def _is_vector(tensor: Tensor) -> bool:
    while tensor.layer is not None and tensor.layer.kind in _KEEP_SHAPE:
        tensor = tensor.inputs[0]
    return tensor.layer is not None and tensor.layer.kind in _GIVE_VECTORS


def one_output(outputs: Any) -> tuple[Any, Keys | None]:
    """The tensor of all outputs; of several, a list or a dict, how they are told apart."""
    names = _outputs.checked_names("outputs", outputs, len(outputs)) if isinstance(outputs, Mapping) else None
    if names is not None:
        outputs = list(outputs.values())
    if not isinstance(outputs, (list, tuple)) or len(outputs) == 0:
        return outputs, None
    if len(outputs) == 1:
        raise TypeError(f"outputs: expected a tensor, got a {'list' if names is None else 'dict'} of one")
    keys = Keys(len(outputs), names)
    return _side_by_side(outputs, keys.within("outputs")), keys


def _side_by_side(outputs: Sequence[object], names: Sequence[str]) -> Tensor:
    """One tensor that holds all numbers of the outputs, one output after the other."""
    from convgrad_embedded._layers import Concat, Flatten  # which know tensors

    tensors = [_checked_output(name, output) for name, output in zip(names, outputs)]
    for name, tensor in zip(names, tensors):
        same = names[tensors.index(tensor)]
        if same != name:
            raise ValueError(f"{name}: expected another tensor than {same}, got the same")
    # A Flatten of ours is told from the caller's, which has another behind it.
    flat = [tensor if _is_vector(tensor) and not isinstance(tensor.layer, Flatten) else Flatten()(tensor) for tensor in tensors]
    whole = flat[0]
    for tensor in flat[1:]:
        whole = Concat()(whole, tensor)
    return whole


def _checked_output(name: str, value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a tensor that a layer gave, got {_arrays.describe(value)}")
    if value.layer is None:
        raise ValueError(f"{name}: expected what a layer gave, got the input itself")
    return value


def output_rows(layers: Sequence[Layer], sources: Sources, count: int) -> list[int] | None:
    """The rows that compute `count` outputs which one_output has put together; None: these layers are no such thing."""
    row = len(layers) - 1
    found: list[int] = []
    while len(found) < count - 1:
        if layers[row].kind != "concat":
            return None
        row, other = sources[row]
        found.append(other)
        if min(row, other) < 0:
            return None
    return [sources[r][0] if layers[r].kind == "flatten" and sources[r][0] >= 0 else r for r in (row, *reversed(found))]


def table(inputs: object, outputs: object) -> tuple[Any, list[Layer], Sources]:
    """Input shape, layers in the order in which they were called, and what each reads."""
    _check_ends(inputs, outputs)
    tensors = _behind(outputs)  # type: ignore[arg-type]
    found = [tensor for tensor in tensors if tensor.layer is None]
    for tensor in found:
        if tensor is not inputs:
            raise ValueError(f"outputs: depends on {tensor!r}, which is not the network's input; a network has one")
    if not found:
        raise ValueError("outputs: expected what depends on inputs, got a tensor that does not")
    rows = [tensor for tensor in tensors if tensor.layer is not None]
    if not rows:
        raise ValueError("outputs: expected what a layer gave, got the input itself")
    _check_called_once(rows)
    number = {id(tensor): index for index, tensor in enumerate(rows)}
    number[id(inputs)] = INPUT
    sources = tuple(tuple(number[id(tensor)] for tensor in row.inputs) for row in rows)
    return inputs.shape, [row.layer for row in rows if row.layer], sources  # type: ignore[attr-defined]


def _check_ends(inputs: object, outputs: object) -> None:
    for name, value in (("inputs", inputs), ("outputs", outputs)):
        if isinstance(value, (list, tuple)) and len(value) == 1:
            raise TypeError(f"{name}: expected a tensor, got a list of one")
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: expected a tensor that Input() or a layer gave, got {_arrays.describe(value)}")
    if inputs.layer is not None:  # type: ignore[attr-defined]
        raise ValueError(f"inputs: expected what Input() gave, got {inputs!r}")


def _check_called_once(rows: Sequence[Tensor]) -> None:
    called: set[int] = set()
    for row in rows:
        if row.layer is None or row.layer.weight_rank == 0:
            continue
        if id(row.layer) in called:
            raise ValueError(f"outputs: {row.layer!r} is called twice; no parameters are shared, make a layer for each place")
        called.add(id(row.layer))


def _behind(output: Tensor) -> list[Tensor]:
    """The tensor and all that it depends on, in the order in which they were made."""
    found = {id(output): output}
    waiting = [output]
    while waiting:
        for tensor in waiting.pop().inputs:
            if id(tensor) not in found:
                found[id(tensor)] = tensor
                waiting.append(tensor)
    return sorted(found.values(), key=lambda tensor: tensor.number)


def check_one_reader(layers: Sequence[Layer], sources: Sources) -> None:
    """Of a network that reads bytes. Layers that only rename are looked through."""
    renamed, readers = {INPUT}, []
    for index, (layer, read) in enumerate(zip(layers, sources)):
        if layer.kind != "flatten":
            readers += [f"layers[{index}]" for source in read if source in renamed]
        elif read[0] in renamed:
            renamed.add(index)
    if len(layers) - 1 in renamed:
        readers.append("the output")
    if readers == ["the output"]:
        raise ValueError("input_scale: expected layers of which one computes, got Flatten alone")
    if len(readers) > 1:
        raise ValueError(f"input_scale: expected one layer that reads the network's input, got {' and '.join(readers)}")


def behind(sources: Sources, last: int) -> list[int]:
    """That layer and all that it depends on, in their order."""
    found, waiting = {last}, [last]
    while waiting:
        new = {source for source in sources[waiting.pop()] if source >= 0} - found
        found |= new
        waiting += new
    return sorted(found)


def is_graph(sources: Sources) -> bool:
    return sources != tuple((index - 1,) for index in range(len(sources)))


def to_c(sources: Sequence[int], index: int) -> list[int]:
    """cge_layer.from of layer `index`: 0 the layer before, n > 0 layer n - 1, -1 the input."""
    named = [0 if source == index - 1 else INPUT if source == INPUT else source + 1 for source in sources]
    return named + [0] * (2 - len(named))


def from_c(named: Sequence[int], index: int, input_count: int) -> tuple[int, ...]:
    return tuple(index - 1 if n == 0 else INPUT if n == INPUT else n - 1 for n in named[:input_count])
