"""Networks made of another one, with its weights: some of its layers, or all of them otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convgrad_embedded import _fold, _graph, _plan
from convgrad_embedded._core import Real
from convgrad_embedded._graph import Sources
from convgrad_embedded._layers import Layer, at_place, learns_by_batch
from convgrad_embedded._losses import Loss
from convgrad_embedded._optimizers import Optimizer

if TYPE_CHECKING:
    from convgrad_embedded._network import Network


def frozen(network: Network, upto: int) -> Network:
    """That layer and all that it depends on do not learn."""
    behind = set(_graph.behind(network.sources, upto))
    layers = [_plan.as_planned(layer, False) if number in behind else layer for number, layer in enumerate(network.layers)]
    optimizer, settings = _new_optimizer(network), _settings_for(network, layers)
    return _remade(network, layers, network.sources, network._loss, optimizer, network.get_weights(), **settings)


def folded(network: Network) -> Network:
    """Without BatchNorm and Scale."""
    layers, tensors, weights = _fold.folded(network)
    settings = dict(_settings_for(network, layers), loss=network._loss, optimizer=network._optimizer)
    settings.update(input_scale=network.input_scale, input_offset=network.input_offset)
    if tensors is None:
        made = type(network)(network.input_shape, layers, **settings)
    else:
        made = type(network)(inputs=tensors[0], outputs=tensors[1], **settings)
    made.set_weights(weights)
    if network._optimizer is not None:
        made._runtime.set_optimizer("learning_rate", network._runtime.optimizer.learning_rate)
    return made


def _new_optimizer(network: Network) -> Optimizer | None:
    """As this network's is now, without its memory."""
    own = network.optimizer
    return None if own is None else replace(own, learning_rate=network._schedule or own.learning_rate)  # type: ignore[type-var]


def tail(network: Network, last: int) -> Network:
    """Of the layers behind that one. None of them reads one before it."""
    sources = tuple(tuple(source - last - 1 for source in row) for row in network.sources[last + 1 :])
    before = sum(len(info.parameter_shapes) for info in network.layer_infos[: last + 1])
    layers = [at_place(layer, number) for number, layer in enumerate(network.layers)][last + 1 :]
    settings = dict(_settings_for(network, layers), memory_ranges=None)
    if not network._runtime.learns_by_batch:
        settings["capacity"] = None  # no bit depends on it, and features are small
    weights, shape = network.get_weights()[before:], network.layer_infos[last].out_shape
    return _remade(network, layers, sources, network._loss, _new_optimizer(network), weights, input_shape=shape, **settings)


def part(network: Network, numbers: Sequence[int], memory: str = "fast") -> Network:
    """Of these layers, which read nothing of others, and predict."""
    sources = tuple(tuple(_graph.INPUT if i < 0 else numbers.index(i) for i in network.sources[n]) for n in numbers)
    weights, given = [], iter(network.get_weights())
    for number, info in enumerate(network.layer_infos):
        own = [next(given) for _ in info.parameter_shapes]
        weights += own if number in numbers else []
    options = {"capacity": None, "threads": network._settings["threads"], "memory": memory, "frozen_in": "ram"}
    return _remade(network, [network.layers[n] for n in numbers], sources, None, None, weights, **options, memory_ranges=None)


def _settings_for(network: Network, layers: Sequence[Layer]) -> dict[str, Any]:
    """With a plan several samples are held where some layer needs them."""
    one = network.memory != "fast" and not any(map(learns_by_batch, layers))
    return dict(network._settings, capacity=None) if one else network._settings


def _remade(
    network: Network,
    layers: Sequence[Layer],
    sources: Sources,
    loss: Loss | None,
    optimizer: Optimizer | None,
    weights: Sequence[Real],
    *,
    input_shape: Sequence[int] | None = None,  # None: this network's samples
    **settings: Any,
) -> Network:
    made = type(network).__new__(type(network))
    made._set_arithmetic(network.arithmetic)
    if input_shape is None:
        made._set_input(network.input_scale, network.input_offset)
    else:
        made._set_input(None, 0)
    made._set_up(input_shape or network.input_shape, layers, sources, loss, optimizer, **settings)
    made.initialize(0)
    made.set_weights(weights)
    return made
