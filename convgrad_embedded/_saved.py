"""Networks from the core's file format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convgrad_embedded import _arrays, _c_model, _graph, _losses, _optimizers, _outputs
from convgrad_embedded._core import MemoryLevel
from convgrad_embedded._graph import Sources
from convgrad_embedded._layers import CONFIGS, Layer, decode_layer
from convgrad_embedded._losses import Loss, MultiOutput
from convgrad_embedded._outputs import Keys
from convgrad_embedded._plan import Place

if TYPE_CHECKING:
    from convgrad_embedded._network import Network


def restored(
    cls: type[Network],
    data: bytes,
    context: str,
    output_names: Sequence[str] | None,
    capacity: int | None,
    threads: int,
    memory: MemoryLevel,
    frozen_in: Place,
    memory_ranges: Sequence[int] | None,
) -> Network:
    parsed = _c_model.parse_model(data, context, CONFIGS)
    layers = [decode_layer(kind, members) for kind, members in parsed.layers]
    sources = tuple(
        _graph.from_c(members["from"], index, layer.input_count)
        for index, (layer, (_, members)) in enumerate(zip(layers, parsed.layers))
    )
    optimizer = None if parsed.optimizer is None else _optimizers.decode(parsed.optimizer)
    network = cls.__new__(cls)
    network._set_input(*(parsed.input_bytes or (None, 0)))
    try:
        network._set_arithmetic(parsed.arithmetic)
    except ValueError as error:
        raise ValueError(f"{context}: {error}") from None
    loss = None if parsed.loss is None else _losses.decode(parsed.loss)
    outputs = None if output_names is None else _outputs_of_file(output_names, loss, layers, sources)
    if isinstance(loss, MultiOutput) and outputs is not None:
        loss, outputs = replace(loss, names=outputs.names), None
    settings = (capacity, threads, memory, frozen_in, memory_ranges)
    network._set_up(parsed.input_shape, layers, sources, loss, optimizer, *settings, outputs=outputs)
    for index, (info, (_, members)) in enumerate(zip(network.layer_infos, parsed.layers)):
        said = tuple(members.get(name) or size for name, size in zip(("in_h", "in_w", "in_c"), info.in_shape))
        if said != info.in_shape:
            raise ValueError(f"{context}: layers[{index}] says its input is {said}, what comes in is {info.in_shape}")
    network.initialize(0)
    network._runtime.restore(data, context)
    return network


def _outputs_of_file(given: Any, loss: Loss | None, layers: Sequence[Layer], sources: Sources) -> Keys:
    """With the names that are given: a file has none."""
    count = len(_arrays.sequence("output_names", given, "a list of names"))
    several = len(loss.losses) if isinstance(loss, MultiOutput) else count if loss is None else 0
    if several < 2 or (loss is None and _graph.output_rows(layers, sources, several) is None):
        raise ValueError(f"output_names: expected None for a network of one output, got {_arrays.shown(given)}")
    return Keys(several, _outputs.checked_names("output_names", given, several))
