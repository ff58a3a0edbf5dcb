"""What lies where in a plan's memory during which operation: as text, and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from convgrad_embedded import _arguments, _arrays, _plan, _plots
from convgrad_embedded._c_model import Layout, MemoryPlan
from convgrad_embedded._network import Network
from convgrad_embedded._plan import Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = {"output": "tab:blue", "gradient": "tab:orange", "winners": "tab:green", "scratch": "tab:gray", "kept": "tab:purple"}
_LEGEND = {
    "output": "outputs",
    "gradient": "gradients of outputs",
    "winners": "winners of poolings",
    "scratch": "scratch of an operation",
    "kept": "parameters, gradients, velocities",
}


class Bar(NamedTuple):
    """A rectangle of the picture: operations first .. last, bytes begin .. begin + size of all memories in a row."""

    sort: str
    first: int
    last: int
    begin: int
    size: int


@_arguments.checked
def plot_memory(network_or_plan: Network | Plan, ax: Axes | None = None) -> Axes:
    """Draws what lies where in memory during a training step (a prediction, without a loss), and returns the axes.

    One rectangle a tensor: operations from left to right, bytes from below. A dashed line is what no plan can take less
    than. Of a network with memory_ranges, or a plan for several memories, these lie one above the other with a line between,
    and parameters, their gradients and velocities are drawn, too. ax: matplotlib axes to draw into; None makes some, which
    needs matplotlib (`pip install matplotlib`). plot_memory(net).figure.savefig("memory.svg") writes a file.

    ValueError if there is no plan: with memory="fast" every output is kept as a whole.

    >>> net = cge.Network((8, 8, 1), [cge.Conv2d(2, 3), cge.ReLU(), cge.Dense(10)], "mse", cge.SGD(0.1), memory="small")
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> cge.plot_memory(net).get_title()
    'memory="small": 392 bytes'
    """
    plan, costs = _of(network_or_plan)
    drawn = bars(plan, costs)
    axes = _plots.new_axes("plot_memory", (8, 4.5)) if ax is None else ax
    for sort, color in _COLORS.items():
        some = [bar for bar in drawn if bar.sort == sort]
        if some:
            axes.bar(
                [bar.first for bar in some],
                [bar.size for bar in some],
                [bar.last - bar.first + 1 for bar in some],
                [bar.begin for bar in some],
                align="edge", color=color, edgecolor="white", linewidth=0.5, label=_LEGEND[sort],
            )  # fmt: skip
    numbers = _plan.operation_numbers(plan.units)
    axes.set_xticks([operation + 0.5 for operation in range(len(numbers))], list(map(str, numbers)))
    axes.set_xlim(0, len(numbers))
    for wall in _bases(plan)[1:]:
        axes.axhline(wall, color="black", linewidth=2)
    if not plan.ranges:
        axes.axhline(plan.bound_bytes, color="black", linestyle="--", label=f"no plan takes less: {plan.bound_bytes:,} bytes")
    axes.set_xlabel("forward through units, loss L, back through units")
    axes.set_ylabel("bytes of activations" if not plan.ranges else "bytes of all memories")
    axes.set_title(_title(plan))
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.13), ncols=3, fontsize="small", frameon=False)
    return axes


def bars(plan: MemoryPlan | Layout, costs: _plan.Cost) -> list[Bar]:
    """Of all tensors; an output whose gradient takes its place is two. Of several memories also what lives for ever."""
    bases, in_arena = _bases(plan), 0
    found = []
    for block, size in zip(plan.blocks, (costs.params, costs.grads, costs.velocities)):
        number, begin = plan.place_of(plan.blocks[block])
        if number == 0:
            begin, in_arena = in_arena, in_arena + size
        if size > 0:
            found.append(Bar("kept", 0, 2 * len(plan.units), bases[number] + begin, size))
    replaced, sorts = _plan.replaced_tensors(plan.units), _plan.tensor_sorts(plan.units)
    for index, tensor in enumerate(plan.tensors):
        number, begin = plan.place_of(tensor.offset)
        begin += bases[number] + (in_arena if number == 0 else 0)
        turn = min(replaced.get(index, tensor.last + 1), tensor.last + 1)
        if turn > tensor.first:
            found.append(Bar(sorts[index], tensor.first, turn - 1, begin, 4 * tensor.elems))
        if turn <= tensor.last:
            found.append(Bar("gradient", turn, tensor.last, begin, 4 * tensor.elems))
    return found


def _bases(plan: MemoryPlan | Layout) -> list[int]:
    """Where each memory begins in the picture."""
    return [sum(plan.used[:number]) for number in range(max(1, len(plan.ranges)))]


def _title(plan: MemoryPlan | Layout) -> str:
    if not plan.ranges:
        return f'memory="{plan.level}": {plan.peak_bytes:,} bytes'
    return f'memory="{plan.level}": ' + " + ".join(f"{size:,}" for size in plan.used) + " bytes"


def _of(network_or_plan: Any) -> tuple[MemoryPlan | Layout, _plan.Cost]:
    plan: MemoryPlan | Layout | None
    if isinstance(network_or_plan, Network):
        plan = network_or_plan._memory_plan(training=network_or_plan.loss is not None)
        settings = (network_or_plan.memory, network_or_plan.frozen_in)
        costs = _plan.cost(network_or_plan._model, network_or_plan.layers, *settings)
    elif isinstance(network_or_plan, Plan):
        plan, costs = network_or_plan._layout, network_or_plan._costs
    else:
        given = _arrays.describe(network_or_plan)
        raise TypeError(f"network_or_plan: expected a Network or what Network.plan gave, got {given}")
    if plan is None:
        raise ValueError('network_or_plan: expected one with a plan, got memory="fast"; networks with memory="small" have one')
    return plan, costs
