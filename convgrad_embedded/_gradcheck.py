"""Signed central differences against the gradients of the C core, in double precision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Callable, NamedTuple

import numpy as np

from convgrad_embedded import _core, _learning, _runtime
from convgrad_embedded._core import Real
from convgrad_embedded._layers import learns_by_batch
from convgrad_embedded._runtime import Targets

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

_Loss = Callable[[Real, Targets], float]

# A unit that passes its kink (ReLU, max pooling) inside a step spoils that difference, and rounding spoils a step that
# is too short. A wrong gradient is wrong at every step, so the best of several counts.
STEPS = (1e-5, 1e-6, 1e-7)
# Differences of a loss near 1 carry about 1e-16 / step of rounding: gradients far below this are compared absolutely.
FLOOR = 1e-3


class GradientCheck(NamedTuple):
    """What Network.gradcheck found: how many parameters it checked, and the one with the largest error.

    >>> net = cge.Network((2,), [cge.Dense(1)], "mse", cge.SGD(0.1))
    >>> result = net.gradcheck(np.ones((1, 2)), [[0.0]])
    >>> result.checked, result.max_error < 1e-6
    (3, True)
    """

    max_error: float  #: |gradient - difference| / (|gradient| + |difference| + 1e-3), the largest
    layer: int  #: where: index of the layer
    parameter: int  #: index into its parameters (weight, then bias)
    gradient: float  #: what the core computed
    difference: float  #: what the central difference is
    checked: int  #: parameters; those that do not learn have no gradient


class GradientCheckError(ArithmeticError):
    """A gradient differs from its central difference; `result` says which.

    >>> net = cge.Network((2,), [cge.Dense(1), cge.Tanh()], "mse", cge.SGD(0.1), seed=1)
    >>> try:
    ...     net.gradcheck(np.ones((1, 2)), [[0.0]], tolerance=0.0)
    ... except cge.GradientCheckError as error:
    ...     print(error.result.checked)
    3
    """

    def __init__(self, result: GradientCheck, tolerance: float) -> None:
        super().__init__(
            f"layer {result.layer}, parameter {result.parameter}: gradient {result.gradient:.9g}, central difference "
            f"{result.difference:.9g}, relative error {result.max_error:.3g} > {tolerance:.3g}"
        )
        self.result = result


def run(network: Network, x: Real, targets: Targets, tolerance: float) -> GradientCheck:
    model = network._build(_core.FLOAT64)
    by_batch = any(learns_by_batch(layer) for layer in network.layers)
    twin = _runtime.Runtime(model, training=True, capacity=len(x) if by_batch else 1)
    with network._runtime.lock:
        twin.params[...] = network._runtime.params
    x64 = x if network.input_scale is not None else x.astype(np.float64)  # bytes stand for the same numbers
    values, weights = (None if array is None else array.astype(np.float64) for array in (targets.values, targets.weights))
    targets64 = targets._replace(values=values, weights=weights)
    twin.accumulate(x64, targets64)
    gradients: list[float] = (twin.grads / len(x)).tolist()
    drops = any(layer.kind == "dropout" for layer in network.layers)
    loss = twin.step_loss if drops or by_batch else lambda x, targets: twin.evaluate(x, targets).mean
    where = _trainable(network)
    if len(where) == 0:
        raise ValueError("gradcheck: expected a network with trainable parameters, got none")
    worst = GradientCheck(-1.0, 0, 0, 0.0, 0.0, len(where))
    for gradient, (layer, index, param) in zip(gradients, where):
        error, difference = min(_difference(twin, loss, x64, targets64, param, step, gradient) for step in STEPS)
        if error > worst.max_error:
            worst = worst._replace(max_error=error, layer=layer, parameter=index, gradient=gradient, difference=difference)
    if worst.max_error > tolerance:
        raise GradientCheckError(worst, tolerance)
    return worst


def _difference(
    twin: _runtime.Runtime, loss: _Loss, x: Real, targets: Targets, param: int, step: float, gradient: float
) -> tuple[float, float]:
    """(relative error, central difference) for one parameter."""
    value = float(twin.params[param])
    twin.params[param] = value + step
    above = loss(x, targets)
    twin.params[param] = value - step
    below = loss(x, targets)
    twin.params[param] = value
    difference = (above - below) / (2 * step)
    error = abs(gradient - difference) / (abs(gradient) + abs(difference) + FLOOR)
    return (error if math.isfinite(error) else math.inf), difference


def _trainable(network: Network) -> list[tuple[int, int, int]]:
    """(layer, index in the layer, index in all parameters) of each parameter that has a gradient, in order."""
    where, begin = [], 0
    for layer, info in enumerate(network.layer_infos):
        where += [(layer, index, begin + index) for index in _learning.learned_indices(network.layers[layer], info)]
        begin += info.param_elems
    return where
