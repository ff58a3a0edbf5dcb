"""Which memory level and which layers fit a budget, and what takes the bytes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from convgrad_embedded import _arrays, _c_model, _core, _learning
from convgrad_embedded._c_model import LayerInfo, Layout, MemoryPlan, Model, Tensor, Unit
from convgrad_embedded._core import MemoryLevel
from convgrad_embedded._layers import Dense, Layer, Trainable, learns_by_batch
from convgrad_embedded._optimizers import Optimizer

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

# What the levels are good for, beside their bytes.
LEVELS = {
    "fast": "every layer's output is kept as a whole",
    "small": "pooled maps never exist as a whole",
    "smallest": "pooled maps never exist as a whole; no gradient buffer, so each sample is a step",
}


Place = Literal["ram", "flash"]
PLACES: tuple[Place, ...] = ("ram", "flash")  # of the parameters that do not learn, while firmware trains

# A dense layer of which less than this share of the inputs could learn makes way for the next rung.
LEAST_SHARE = 0.25


@dataclass(frozen=True)
class Plan:
    """What Network.plan found. explain() tells it layer by layer.

    >>> net = cge.Network((64,), [cge.Dense(32), cge.ReLU(), cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.1))
    >>> plan = net.plan(budget_bytes=16_000)
    >>> plan.memory, plan.trainable, plan.arena_bytes <= 16_000
    ('smallest', (0, 2), True)
    >>> print(plan.explain().splitlines()[0])
    budget               16,000 bytes; the stack comes on top
    """

    budget_bytes: int | tuple[int, ...]  #: of several memories: the arena first
    memory: MemoryLevel  #: level
    trainable: tuple[int, ...]  #: indices of the layers that learn; Network(..., plan=plan) freezes the others
    parts: tuple[Trainable, ...]  #: what of each of them: True, "bias", or n inputs
    optimizer: Optimizer  #: the network's, or the same without momentum
    frozen_in: Place  #: "ram" or "flash": where the parameters that do not learn lie
    arena_bytes: int  #: all RAM of training but the stack, in all memories
    peak_bytes: int  #: of the activation region
    bound_bytes: int | None  #: what no plan of that region can go below; None with memory="fast"
    missing_bytes: int  #: 0: it fits. Of several memories: of the first
    range_bytes: tuple[int, ...] | None  #: of arena_bytes, in each of several memories; None: it lies in the first
    _drops_momentum: bool = field(repr=False)
    _explanation: str = field(repr=False)
    _layout: Layout | None = field(repr=False, compare=False)  # None with memory="fast"
    _costs: Cost = field(repr=False)

    def explain(self) -> str:
        """As text: the parts of the arena, what is alive when most is, and what the next step up would take.

        Of several memories also what lies where.

        >>> net = cge.Network((64,), [cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.1))
        >>> print(net.plan(budget_bytes=4_000).explain().splitlines()[0])
        budget                4,000 bytes; the stack comes on top
        """
        return self._explanation

    def timeline(self) -> str:
        """As text: when each tensor is alive, operations from left to right. Empty with memory="fast", which has no plan.

        Numbers are units going forward, L is the loss, then units going back. "=" is a tensor, "-" its gradient in its place.

        >>> net = cge.Network((8, 8, 1), [cge.Conv2d(2, 3), cge.ReLU(), cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.1))
        >>> print(net.plan(budget_bytes=6_500).timeline())
                                                          bytes  0   1   L   1   0
        output of layers 0 to 1, then its gradient          288  ============--------
        output of layer 2, then its gradient                 40      ====--------
        scratch, back through layer 2                        64              ====
        """
        return "" if self._layout is None else "\n".join(timeline(self._layout))


# ---- what a network costs ----------------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """Bytes of an arena to train in (to predict in, without a loss), one sample at a time."""

    tables: int
    params: int
    grads: int
    velocities: int
    activations: int
    bound: int | None

    @property
    def arena(self) -> int:
        return self.tables + self.params + self.grads + self.velocities + self.activations


def trained(model: Model, layers: Sequence[Layer]) -> dict[int, Trainable]:
    """What learns of one sample at a time, by the index of the layer."""
    return {
        index: _learning.trainable_of(layer)
        for index, (layer, info) in enumerate(zip(layers, model.infos))
        if _learning.learned_elems(layer, info) > 0 and not learns_by_batch(layer)
    }


def cost(model: Model, layers: Sequence[Layer], memory: MemoryLevel, frozen_in: Place = "ram") -> Cost:
    training = model.trains
    outside = training and frozen_in == "flash"
    arena = model.arena_bytes(training=training, params_outside=outside, memory=memory)
    plan = model.plan(memory, training=training)
    learning = [(layer, info) for layer, info in zip(layers, model.infos) if _learning.learned_elems(layer, info) > 0]
    all_elems = sum(info.param_elems for info in model.infos)
    held = sum(_learning.held_elems(*pair, memory) for pair in learning) if outside else all_elems
    learned = 4 * sum(_learning.learned_elems(*pair) for pair in learning) if training else 0
    tables = _c_model.layer_plan_bytes(len(layers)) if plan is None else 0
    grads = 0 if memory.startswith("smallest") else learned
    velocities = model.slots * learned
    activations = arena - tables - 4 * held - grads - velocities
    return Cost(tables, 4 * held, grads, velocities, activations, None if plan is None else model.samples * plan.bound_bytes)


# ---- the ladder ----------------------------------------------------------------------------------------------------------


Budget = tuple[int, ...]  # bytes, of the arena first; one number: there is one memory


class Step(NamedTuple):
    """A way to train: what learns, by which optimizer, at which level."""

    rung: int  # 0 is the most ambitious
    model: Model
    layers: tuple[Layer, ...]
    trainable: dict[int, Trainable]
    optimizer: Optimizer
    memory: MemoryLevel
    frozen_in: Place
    cost: Cost


def find(network: Network, budget: Budget, frozen_in: Place) -> Plan:
    steps = []
    for step in _ladder(network, budget, frozen_in):
        steps.append(step)
        if fits(step, budget):
            break
    if not steps:
        raise ValueError("plan: expected a network with parameters that learn, got none")
    best = steps[-1] if fits(steps[-1], budget) else min(steps, key=lambda step: step.cost.arena)
    costs = best.cost
    spread = _spread(best, budget)
    layout = spread or best.model.plan(best.memory, training=True)
    return Plan(
        budget[0] if len(budget) == 1 else budget,
        best.memory,
        tuple(best.trainable),
        tuple(best.trainable.values()),
        best.optimizer,
        frozen_in,
        costs.arena if spread is None else sum(spread.used),
        costs.activations,
        costs.bound,
        missing(best, budget),
        None if spread is None else spread.used,
        best.optimizer != network.optimizer,
        "\n".join(_explanation(best, steps, budget)),
        None if layout is None else layout.layout(),
        costs,
    )


def fits(step: Step, budget: Budget) -> bool:
    return step.cost.arena <= budget[0] or _spread(step, budget) is not None


def _spread(step: Step, budget: Budget) -> MemoryPlan | None:
    """How it lies in several memories. None: there is one, or it has no plan and lies in the first, or it does not fit."""
    if len(budget) == 1 or _without_plan(step) or step.cost.arena > sum(budget):
        return None
    return step.model.spread(step.memory, budget, training=True, params_outside=step.frozen_in == "flash")


def _without_plan(step: Step) -> bool:
    return step.model.plan(step.memory, training=True) is None


def missing(step: Step, budget: Budget) -> int:
    """Bytes that the first memory lacks, where the others stay as they are. 0: it fits."""
    return lacks(lambda first: fits(step, (first, *budget[1:])), budget[0], step.cost.arena)


def lacks(fit: Callable[[int], bool], given: int, enough: int) -> int:
    """How much less than the least that fits `given` is, of which `enough` fits."""
    if fit(given):
        return 0
    low, high = given, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fit(middle) else (middle, high)
    return high - given


def _ladder(network: Network, budget: Budget, frozen_in: Place) -> Iterator[Step]:
    """From the most ambitious step down. Rungs say what learns; on each, first with momentum, and the quickest level first."""
    own = trained(network._model, network.layers)
    for rung, trainable in enumerate(_rungs(network, own)):
        steps = list(_steps(network, rung, trainable, frozen_in))
        yield from steps
        yield from _partial_steps(network, steps, budget)


def _rungs(network: Network, own: dict[int, Trainable]) -> Iterator[dict[int, Trainable]]:
    """All; the later ones, and the biases of those before them; the later ones alone; ... the last one; all biases alone."""
    with_bias = [index for index in own if network.layer_infos[index].bias_elems > 0]
    seen: list[dict[int, Trainable]] = []
    for first in own:
        later: dict[int, Trainable] = {index: part for index, part in own.items() if index >= first}
        biases: dict[int, Trainable] = {index: "bias" for index in with_bias if index < first}
        seen += [{**biases, **later}, later]
    seen.append({index: "bias" for index in with_bias})
    for number, rung in enumerate(seen):
        if rung and rung not in seen[:number]:
            yield rung


def _steps(network: Network, rung: int, trainable: dict[int, Trainable], frozen_in: Place) -> Iterator[Step]:
    own = network.optimizer
    assert own is not None
    lighter = own.without_momentum()
    optimizers = [own] if lighter is None else [own, lighter]
    layers = tuple(as_planned(layer, trainable.get(index, False)) for index, layer in enumerate(network.layers))
    for optimizer in optimizers:
        model = network._build(network._precision, layers, optimizer)
        for memory in _core.MEMORY_LEVELS:
            costs = cost(model, layers, memory, frozen_in)
            yield Step(rung, model, layers, trainable, optimizer, memory, frozen_in, costs)


def _partial_steps(network: Network, steps: Sequence[Step], budget: Budget) -> Iterator[Step]:
    """The same with as many inputs of the largest dense layer as fit, a quarter of them at least."""
    whole = steps[0]
    dense = {
        index: math.prod(whole.model.infos[index].weight_shape)
        for index, part in whole.trainable.items()
        if part is True and isinstance(whole.layers[index], Dense)
    }
    if not dense:
        return
    layer = max(dense, key=lambda index: dense[index])
    inputs = whole.model.infos[layer].weight_shape[0]
    least = max(1, math.ceil(LEAST_SHARE * inputs))

    @functools.lru_cache(None)
    def at(learning: int) -> list[Step]:
        return list(_steps(network, whole.rung, {**whole.trainable, layer: learning}, whole.frozen_in))

    def most(number: int) -> int:
        """Inputs that fit by steps[number]'s optimizer and level; `least` also if not even these do."""
        low, high = least, inputs
        while high - low > 1 and fits(at(least)[number], budget):
            middle = (low + high) // 2
            low, high = (middle, high) if fits(at(middle)[number], budget) else (low, middle)
        return low

    cheaper = [number for number, step in enumerate(steps) if at(least)[number].cost.arena < step.cost.arena]
    for number in sorted(cheaper, key=most, reverse=True):
        yield at(most(number))[number]


def as_planned(layer: Layer, trainable: Trainable) -> Layer:
    options: dict[str, Any] = {"trainable": trainable}
    return replace(layer, **options) if hasattr(layer, "trainable") else layer


def applied(
    plan: Any, layers: Any, optimizer: Any, memory: MemoryLevel, frozen_in: Place, memory_ranges: Any
) -> tuple[list[Layer], Any, MemoryLevel, Place, tuple[int, ...] | None]:
    """The arguments of a network that follows a plan: its layers, optimizer, `memory`, `frozen_in` and `memory_ranges`."""
    if not isinstance(plan, Plan):
        raise TypeError(f"plan: expected what Network.plan gave, or None, got {_arrays.describe(plan)}")
    for name, given, default, planned in (
        ("memory", memory, "fast", plan.memory),
        ("frozen_in", frozen_in, "ram", plan.frozen_in),
    ):
        if given not in (default, planned):
            raise ValueError(f"{name}: expected {planned!r}, as the plan says, got {_arrays.shown(given)}")
    planned_ranges = plan.budget_bytes if plan.range_bytes is not None and isinstance(plan.budget_bytes, tuple) else None
    if memory_ranges is not None and (planned_ranges is None or tuple(memory_ranges) != planned_ranges):
        raise ValueError(f"memory_ranges: expected {planned_ranges}, as the plan says, got {_arrays.shown(memory_ranges)}")
    given_layers = _arrays.sequence("layers", layers, "a list of layers")
    parts = dict(zip(plan.trainable, plan.parts))
    learning = {index for index, layer in enumerate(given_layers) if _learning.trainable_of(layer) is not False}
    if not learning.issuperset(parts):
        raise ValueError(f"plan: expected one for these layers, got one in which {layers_text(plan.trainable)} learn")
    planned_layers = [as_planned(layer, parts.get(index, False)) for index, layer in enumerate(given_layers)]
    if isinstance(optimizer, Optimizer) and plan._drops_momentum:
        optimizer = optimizer.without_momentum() or optimizer
    return planned_layers, optimizer, plan.memory, plan.frozen_in, planned_ranges


def check_bytes(plan: Plan, arena_bytes: int) -> None:
    """A plan of other shapes, or another optimizer, promises bytes that are not this network's."""
    if arena_bytes != plan.arena_bytes:
        raise ValueError(
            f"plan: expected one of this network, which takes {arena_bytes:,} bytes so, got one of {plan.arena_bytes:,} bytes"
        )


# ---- as text -------------------------------------------------------------------------------------------------------------


def _explanation(best: Step, steps: Sequence[Step], budget: Budget) -> list[str]:
    spread = _spread(best, budget)
    arena, room = (best.cost.arena, budget[0]) if spread is None else (sum(spread.used), sum(budget))
    lack = missing(best, budget)
    verdict = f"{lack:,} more than the budget: nothing fits" if lack > 0 else f"{room - arena:,} to spare"
    in_memories = "" if len(budget) == 1 else f" in {len(budget)} memories: {', '.join(f'{size:,}' for size in budget)}"
    return [
        f"budget          {sum(budget):>11,} bytes{in_memories}; the stack comes on top",
        f"arena           {arena:>11,} bytes, {verdict}",
        f"memory level    {best.memory!r}: {LEVELS[best.memory]}",
        *_learning_lines(best, steps),
        "",
        *_parts(best),
        "",
        *_alive(best),
        *([] if spread is None else ["", *places(spread, best.cost)]),
        *_next_steps(best, steps, budget),
    ]


def _learning_lines(step: Step, steps: Sequence[Step]) -> list[str]:
    lines = []
    if step.optimizer != steps[0].optimizer:
        lines.append(f"optimizer       {step.optimizer!r}, since momentum does not fit")
    for index, (layer, info) in enumerate(zip(step.layers, step.model.infos)):
        if info.param_elems > 0:
            what = _what_learns(step.trainable.get(index, False), info)
            lines.append(f"  layer {index:<3} {what:<6}  {replace(layer, trainable=True)!r}")  # type: ignore[call-arg]
    return lines


def _what_learns(part: Trainable, info: LayerInfo) -> str:
    if isinstance(part, bool):
        return "learns" if part else "stays"
    return "biases" if part == "bias" else f"first {part:,} of {info.weight_shape[-2]:,} inputs"


def _parts(step: Step) -> list[str]:
    costs = step.cost
    names = {
        "tables": "of what lies where",
        "params": "parameters" + ("" if step.frozen_in == "ram" else " that learn; the others are read from flash"),
        "grads": "gradients of parameters",
        "velocities": step.optimizer.keeps,
        "activations": "activations, their gradients, scratch",
    }
    lines = [f"{getattr(costs, part):>11,} {name}" for part, name in names.items() if getattr(costs, part) > 0]
    if costs.bound is not None:
        lines[-1] += f"; no plan can take less than {costs.bound:,}"
    return lines


def _alive(step: Step) -> list[str]:
    plan = step.model.plan(step.memory, training=True)
    if plan is None:
        shapes = [info.out_shape for info in step.model.infos]
        rows = [f"{4 * h * w * c:>11,} layer {index}, {step.layers[index]!r}" for index, (h, w, c) in enumerate(shapes)]
        return ["outputs as a whole (activations lie over what they read):", *rows]
    tensors, units = plan.tensors, plan.units
    operation, most = busiest(tensors)
    rows = [
        f"{4 * tensor.elems:>11,} {purpose}"
        for tensor, purpose in zip(tensors, purposes(units, tensors))
        if tensor.first <= operation <= tensor.last
    ]
    return [f"alive when most is, {4 * most:,} bytes, {operation_name(operation, units)}:", *rows]


def _next_steps(best: Step, steps: Sequence[Step], budget: Budget) -> list[str]:
    """What more is to be had: a quicker level, momentum, and more that learns."""
    if not fits(best, budget):
        return []
    alike = [step for step in steps[:-1] if step.trainable == best.trainable]
    quicker = [step for step in alike if step.optimizer == best.optimizer]
    momentum = [step for step in alike if step.optimizer != best.optimizer]
    wider = [step for step in steps if step.rung == best.rung and step.trainable != best.trainable]
    wider = wider or [step for step in steps if step.rung == best.rung - 1]
    chosen = [*quicker[-1:], *_least(momentum), *_least(wider)]
    if not chosen:
        return []
    return ["", "next steps up:", *(_next_step(step, best, budget) for step in chosen)]


def _least(steps: Sequence[Step]) -> list[Step]:
    return [min(steps, key=lambda step: step.cost.arena)] if steps else []


def _next_step(step: Step, best: Step, budget: Budget) -> str:
    momentum = "" if step.optimizer == best.optimizer else f", momentum {getattr(step.optimizer, 'momentum', 0)}"
    learning = learning_text(step.trainable)
    more = missing(step, budget)
    return f"{step.cost.arena:>11,} memory={step.memory!r}{momentum}, {learning}: {more:,} more than the budget"


def learning_text(trainable: Mapping[int, Trainable]) -> str:
    """ "layers 3, 6 learn, of layer 0 the biases"."""
    whole = [index for index, part in trainable.items() if part is True]
    biases = [index for index, part in trainable.items() if part == "bias"]
    some = {index: part for index, part in trainable.items() if not isinstance(part, (bool, str))}
    texts = [f"{layers_text(whole)} learn{'s' if len(whole) == 1 else ''}"] if whole else []
    texts += [f"of {layers_text([index])} the first {part:,} inputs" for index, part in some.items()]
    texts += [f"of {layers_text(biases)} the biases"] if biases else []
    return ", ".join(texts)


def places(plan: MemoryPlan | Layout, costs: Cost) -> list[str]:
    """What lies where in several memories: bytes from the start of each, bytes, what it is."""
    rows: list[list[tuple[int, int, str]]] = [[] for _ in plan.ranges]
    blocks = {"params": costs.params, "grads": costs.grads, "velocity": costs.velocities}
    names = {"params": "parameters", "grads": "gradients of parameters", "velocity": "velocities"}
    in_arena = 0
    for block, size in blocks.items():
        number, begin = plan.place_of(plan.blocks[block])
        begin, in_arena = (in_arena, in_arena + size) if number == 0 else (begin, in_arena)
        rows[number] += [(begin, size, names[block])] if size > 0 else []
    for tensor, purpose in zip(plan.tensors, purposes(plan.units, plan.tensors)):
        number, begin = plan.place_of(tensor.offset)
        rows[number].append((begin + (in_arena if number == 0 else 0), 4 * tensor.elems, purpose))
    lines = ["what lies where, in bytes from its start:"]
    for number, (used, room) in enumerate(zip(plan.used, plan.ranges)):
        lines.append(f"{memory_name(number)}, {used:,} of {room:,} bytes")
        lines += [f"{begin:>11,} {size:>9,} {what}" for begin, size, what in sorted(rows[number])]
    return lines


def memory_name(number: int) -> str:
    return "the arena" if number == 0 else f"range {number}"


# ---- names of units, tensors, operations -----------------------------------------------------------------------------------


def layers_text(indices: Sequence[int]) -> str:
    """ "layer 3", "layers 0 to 2" or "layers 0, 3, 6"."""
    if len(indices) == 1:
        return f"layer {indices[0]}"
    if list(indices) == list(range(indices[0], indices[-1] + 1)):
        return f"layers {indices[0]} to {indices[-1]}"
    return f"layers {', '.join(map(str, indices))}"


def unit_name(unit: Unit) -> str:
    return layers_text(range(unit.begin, unit.end))


def _run_name(units: Sequence[Unit], number: int) -> str:
    """Layers that run as unit `number`: with those before it that have no output of their own."""
    first = number
    while first > 0 and units[first - 1].y < 0:
        first -= 1
    return layers_text(range(units[first].begin, units[number].end))


def operation_name(operation: int, units: Sequence[Unit]) -> str:
    if operation == len(units):
        return "in the loss"
    if operation < len(units):
        return f"forward through {_run_name(units, operation)}"
    return f"back through {_run_name(units, 2 * len(units) - operation)}"


def purposes(units: Sequence[Unit], tensors: Sequence[Tensor]) -> list[str]:
    """What each tensor of a plan is for."""
    found = [""] * len(tensors)
    roles = {
        "dy": "gradient of the output of {}",
        "y": "output of {}",  # after dy, which may be the same tensor
        "winners": "winners of the pooling in {}",
        "forward": "scratch, forward through {}",
        "backward": "scratch, back through {}",
    }
    for number, unit in enumerate(units):
        for role, text in roles.items():
            tensor = getattr(unit, role)
            if tensor >= 0:
                found[tensor] = text.format(_run_name(units, number))
        if 0 <= unit.y == unit.dy and tensors[unit.y].last > len(units):
            found[unit.y] += ", then its gradient"
    return found


def operation_numbers(units: Sequence[Unit]) -> list[int | str]:
    """Of units going forward, the loss, and of units going back."""
    return [*range(len(units)), "L", *reversed(range(len(units)))]


def replaced_tensors(units: Sequence[Unit]) -> dict[int, int]:
    """From which operation on an output's place is its gradient's, by the number of the tensor."""
    return {unit.y: 2 * len(units) - number - 1 for number, unit in enumerate(units) if 0 <= unit.y == unit.dy}


def tensor_sorts(units: Sequence[Unit]) -> dict[int, str]:
    """ "output", "gradient", "winners" or "scratch", by the number of the tensor."""
    sorts = {"dy": "gradient", "y": "output", "winners": "winners", "forward": "scratch", "backward": "scratch"}
    return {getattr(unit, role): sort for role, sort in sorts.items() for unit in units if getattr(unit, role) >= 0}


def timeline(plan: MemoryPlan | Layout) -> list[str]:
    """A line a tensor, four characters an operation: = as it is, - replaced by its gradient."""
    units, tensors = plan.units, plan.tensors
    replaced = replaced_tensors(units)
    names = purposes(units, tensors)
    width = max([48, *map(len, names)])
    digits = max([7, *(len(f"{4 * tensor.elems:,}") + 1 for tensor in tensors)])
    lines = [f"{'':{width}}{'bytes':>{digits}}  {''.join(f'{number:<4}' for number in operation_numbers(units))}".rstrip()]
    for number, (tensor, name) in enumerate(zip(tensors, names)):
        turn = replaced.get(number, 2 * len(units) + 1)
        alive = "".join("----" if operation >= turn else "====" for operation in range(tensor.first, tensor.last + 1))
        lines.append(f"{name:{width}}{4 * tensor.elems:>{digits},}  {'    ' * tensor.first}{alive}")
    return lines


def busiest(tensors: Sequence[Tensor]) -> tuple[int, int]:
    """(operation, elements alive during it), of the most."""

    def alive(operation: int) -> int:
        return sum(tensor.elems for tensor in tensors if tensor.first <= operation <= tensor.last)

    operation = max((tensor.first for tensor in tensors), key=alive, default=0)
    return operation, alive(operation)
