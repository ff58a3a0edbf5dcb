"""What a network is made of: the arguments of its constructor, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from convgrad_embedded import _arrays, _core, _graph
from convgrad_embedded._graph import Sources, Tensor
from convgrad_embedded._layers import Layer, learns_by_batch
from convgrad_embedded._outputs import Keys


def table(
    input_shape: int | Sequence[int] | None,
    layers: Iterable[Layer] | None,
    inputs: Tensor | None,
    outputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None,
) -> tuple[Any, tuple[Layer, ...], Sources, Keys | None]:
    """Of either way to say what the network consists of; and what tells several outputs apart."""
    if inputs is not None or outputs is not None:
        if input_shape is not None or layers is not None:
            raise ValueError("Network: expected input_shape and layers, or inputs and outputs, got some of both")
        output, keys = _graph.one_output(outputs)
        shape, found, sources = _graph.table(inputs, output)
        return shape, tuple(found), sources, keys
    if isinstance(input_shape, (list, tuple)) and any(isinstance(each, Layer) for each in input_shape):
        hint = "the shape comes before them: Network((28, 28, 1), [...])"
        raise TypeError(f"input_shape: expected (H, W, C) or (n,), got layers; {hint}")
    for name, given, what in (("input_shape", input_shape, "(H, W, C) or (n,)"), ("layers", layers, "a list of layers")):
        if given is None:
            raise TypeError(f"{name}: expected {what}, got None; a graph is given by inputs= and outputs=")
    layers = _arrays.sequence("layers", layers, "a list of layers")
    if not layers:
        raise ValueError("layers: expected at least one layer, got none")
    for index, layer in enumerate(layers):
        if isinstance(layer, type) and issubclass(layer, Layer):
            name = layer.__name__
            raise TypeError(f"layers[{index}]: expected a layer such as {name}(...), got the class {name}")
        if not isinstance(layer, Layer):
            raise TypeError(f"layers[{index}]: expected a layer such as Dense(10), got {_arrays.describe(layer)}")
    return input_shape, layers, _graph.chain(layers), None


def input_shape(value: int | Sequence[int]) -> tuple[int, ...]:
    axes = value if isinstance(value, (tuple, list)) else [value]
    shape = tuple(_arrays.integer("input_shape", size, 1) for size in axes)
    if len(shape) not in (1, 2, 3):
        raise ValueError(f"input_shape: expected (H, W, C), (T, C) or (n,), got {_arrays.shown(value)}")
    if len(shape) == 2:
        shape = (shape[0], 1, shape[1])
    return shape[2:] if shape[:2] == (1, 1) else shape


def ranges(name: str, sizes: Iterable[int]) -> tuple[int, ...]:
    """Bytes of memories, the arena first."""
    given = _arrays.sequence(name, sizes, "bytes of two to four memories")
    if not 2 <= len(given) <= _core.MOST_RANGES:
        raise ValueError(f"{name}: expected bytes of two to {_core.MOST_RANGES} memories, got {len(given)} numbers")
    return tuple(_arrays.integer(f"{name}[{number}]", size, 1, 2**31 - 1) for number, size in enumerate(given))


def reads_input(layers: Sequence[Layer], sources: Sequence[Sequence[int]], index: int) -> bool:
    """What that layer reads is the network's input, perhaps renamed."""
    source = sources[index][0]
    while source >= 0 and layers[source].kind == "flatten":
        source = sources[source][0]
    return source < 0


def check_one_at_a_time(memory: str, name: str, value: int | None) -> None:
    if value not in (None, 1):
        raise ValueError(f'{name}: expected 1 with memory="{memory}", which holds one sample at a time, got {value}')


def check_batch_statistics(layers: Sequence[Layer], memory: str, capacity: int | None, memory_ranges: object) -> None:
    """Where a layer that learns by the statistics of a batch can have them, besides chains at "fast"."""
    index = [learns_by_batch(layer) for layer in layers].index(True)
    instead = "BatchNorm(frozen=True), or take GroupNorm, which looks at one sample"
    if memory not in ("fast", "small"):
        why, what = f'and memory="{memory}" holds one sample at a time', f'memory="small" with capacity=8, say; or {instead}'
    elif memory_ranges is not None:
        why, what = "which lie in one memory", f"memory_ranges=None; or {instead}"
    elif memory == "small" and capacity is None:
        why, what = 'and memory="small" holds `capacity` of them at once', f"capacity=8, say; or {instead}"
    else:
        return
    raise ValueError(f"layers[{index}] {layers[index]!r}: learns by the samples of a batch together, {why}; pass {what}")
