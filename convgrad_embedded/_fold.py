"""BatchNorm and Scale folded into the convolution, transposed or not, or dense layer before them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convgrad_embedded import _graph
from convgrad_embedded._layers import BatchNorm, Conv2d, ConvTranspose2d, Dense, Layer, Scale, scaled_transposed

if TYPE_CHECKING:
    from convgrad_embedded._core import Real
    from convgrad_embedded._network import Network

Ends = tuple[_graph.Tensor, _graph.Tensor]


def folded(network: Network) -> tuple[list[Layer], Ends | None, list[Real]]:
    """Layers, the ends of their graph (None: they are a chain), and weights as set_weights takes them.

    With y = c + (x - mean) * a, a = weight / sqrt(variance + eps), of y = W x + b: (W a) x + ((b - mean) * a + c), in float64.
    """
    left = iter(network.get_weights())
    layers = list(network.layers)
    params = [[np.asarray(next(left), np.float64) for _ in info.parameter_shapes] for info in network.layer_infos]
    stands_for = {index: index for index in range(-1, len(layers))}
    for index, layer in enumerate(network.layers):
        if not isinstance(layer, (BatchNorm, Scale)):
            continue
        before = stands_for[network.sources[index][0]]
        _check(network, index, before)
        factor, mean, shift = _of_channels(layer, params[index])
        weight, bias = params[before][0], params[before][1] if len(params[before]) > 1 else np.zeros_like(mean)
        params[before] = [_scaled(layers[before], weight, factor), (bias - mean) * factor + shift]
        options: dict[str, Any] = {"use_bias": True}
        layers[before] = replace(layers[before], **options)
        stands_for[index] = before
    kept = [index for index in range(len(layers)) if stands_for[index] == index]
    weights = [array.astype(np.float32) for index in kept for array in params[index]]
    if not _graph.is_graph(network.sources):
        return [layers[index] for index in kept], None, weights
    first = _graph.Input(network.input_shape)
    tensors = {-1: first}
    for index in kept:
        own = replace(layers[index])  # called once in this graph, whoever else has it
        tensors[index] = own(*(tensors[stands_for[source]] for source in network.sources[index]))
    return [layers[index] for index in kept], (first, tensors[stands_for[len(layers) - 1]]), weights


def _scaled(layer: Layer, weight: Real, factor: Real) -> Real:
    """Its weights with each output times its factor."""
    return scaled_transposed(weight, factor, layer.groups) if isinstance(layer, ConvTranspose2d) else weight * factor


def _check(network: Network, index: int, before: int) -> None:
    """Whether layer `index` may go into layer `before`, -1: the input."""
    layer, source = network.layers[index], network.sources[index][0]
    if before < 0 or not isinstance(network.layers[before], (Conv2d, ConvTranspose2d, Dense)):
        read = "the input" if before < 0 else f"layers[{before}] {network.layers[before]!r}"
        expected = "expected behind a Conv2d, ConvTranspose2d or Dense"
        raise ValueError(f"fold: layers[{index}] {layer!r}: {expected}, got it behind {read}")
    readers = [number for number, sources in enumerate(network.sources) if source in sources]
    if len(readers) > 1 or source == len(network.layers) - 1:
        others = " and ".join(f"layers[{number}]" for number in readers if number != index) or "the output"
        raise ValueError(f"fold: layers[{index}] {layer!r}: expected alone in reading layers[{source}], {others} reads it, too")


def _of_channels(layer: BatchNorm | Scale, params: list[Real]) -> tuple[Real, Real, Real]:
    """(factor, mean, shift) of y = (x - mean) * factor + shift."""
    shift = params[1] if len(params) > 1 else np.zeros(params[0].shape[-1])
    if isinstance(layer, Scale):
        return params[0], np.zeros_like(params[0]), shift
    weight, mean, variance = params[0]
    return weight / np.sqrt(variance + np.float64(np.float32(layer.eps))), mean, shift
