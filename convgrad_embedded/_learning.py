"""What of each layer learns, in numbers of parameters."""

from __future__ import annotations

import math

from convgrad_embedded._c_model import LayerInfo
from convgrad_embedded._layers import Layer, Trainable


def trainable_of(layer: Layer) -> Trainable:
    """False also for layers without parameters."""
    value: Trainable = getattr(layer, "trainable", False) if getattr(layer, "affine", True) else False
    return value


def learned_weights(layer: Layer, info: LayerInfo) -> int:
    """Of a layer's weights."""
    trainable = trainable_of(layer)
    if trainable is False or trainable == "bias" or not info.weight_shape:
        return 0
    weights = math.prod(info.weight_shape)
    if layer.kind == "batch_norm":
        return weights // 3  # running statistics follow
    return weights if trainable is True else weights // info.weight_shape[-2] * int(trainable)


def learned_elems(layer: Layer, info: LayerInfo) -> int:
    """Of a layer's parameters: as many gradients, and as many velocities."""
    return 0 if trainable_of(layer) is False else learned_weights(layer, info) + info.bias_elems


def held_elems(layer: Layer, info: LayerInfo, memory: str) -> int:
    """That lie in RAM if the others are read from flash. Kernels read a layer's weights in one piece; but at the levels that
    have a plan a dense layer goes some inputs at a time."""
    if learned_weights(layer, info) > 0 and (len(info.weight_shape) == 4 or memory == "fast"):
        return info.param_elems
    return learned_elems(layer, info)


def learned_indices(layer: Layer, info: LayerInfo) -> list[int]:
    """Which of a layer's parameters, weight then bias, learn: in the order of their gradients."""
    trainable, weights = trainable_of(layer), info.param_elems - info.bias_elems
    if trainable is False:
        return []
    if trainable is True:
        return [*range(learned_weights(layer, info)), *range(weights, info.param_elems)]
    if trainable == "bias":
        return list(range(weights, info.param_elems))
    inputs, outputs = info.weight_shape[-2:]
    chosen = [index for index in range(weights) if index // outputs % inputs < int(trainable)]
    return [*chosen, *range(weights, info.param_elems)]


def backward_macs(layer: Layer, info: LayerInfo, index: int, first: int) -> int:
    """Multiply-adds of a layer's gradients: of what learns of its weights, and of its input if a layer before it learns."""
    weights = math.prod(info.weight_shape) if info.weight_shape else 1
    of_weights = info.macs * learned_weights(layer, info) // weights if index >= first else 0
    return of_weights + (info.macs if index > first else 0)
