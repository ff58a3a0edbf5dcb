"""Memory plans as C constants that an exported network carries: tables with a comment on each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from convgrad_embedded import _c_model, _core, _plan
from convgrad_embedded._c_model import MemoryPlan

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

_SOURCE = """\
/* ---- how to {use}: {title} ---- */
{memories}
/* {layer_members} */
static const cge_layer_plan {prefix}_layers[{NAME}_LAYER_COUNT] = {{
{layers}
}};

/* {unit_members} */
static const cge_unit {prefix}_units[{unit_count}] = {{
{units}
}};

/* In elements and in operations: forward of unit u is u, the loss {unit_count}, backward of unit u is {last} - u.
 * {tensor_members} */
static const cge_tensor {prefix}_tensors[{tensor_rows}] = {{
{tensors}
}};

const cge_plan {prefix}_plan = {{
{plan}
}};
"""


def plans(network: Network) -> dict[str, MemoryPlan]:
    """By use, "training" and "inference"; none with memory="fast"."""
    uses = {"training": True, "inference": False} if network.loss is not None else {"inference": False}
    found = {use: network._memory_plan(training=training) for use, training in uses.items()}
    return {use: plan for use, plan in found.items() if plan is not None}


def declarations(network: Network, name: str) -> str:
    return "".join(f"extern const cge_plan {name}_{use}_plan;\n" for use in plans(network))


def definitions(network: Network, name: str, sealed: bool) -> str:
    return "".join(f"\n{_definition(network, name, use, plan, sealed)}" for use, plan in plans(network).items())


def _definition(network: Network, name: str, use: str, plan: MemoryPlan, sealed: bool) -> str:
    units, tensors, prefix = plan.units, plan.tensors, f"{name}_{use}"
    return _SOURCE.format(
        use="train" if plan.training else "predict",
        title=_title(plan),
        memories=_memories(plan, prefix),
        prefix=prefix,
        NAME=name.upper(),
        layers=_rows(plan.layers, [f"{index}: {layer.kind}" for index, layer in enumerate(network.layers)]),
        layer_members=", ".join(_core.members("cge_layer_plan")),
        unit_members=", ".join(_core.members("cge_unit")),
        unit_count=len(units),
        units=_rows(units, [f"{index}: {_kinds(network, unit)}" for index, unit in enumerate(units)]),
        last=2 * len(units),
        tensor_members=", ".join(_core.members("cge_tensor")),
        tensor_rows=max(1, len(tensors)),  # C has no empty arrays
        tensors=_rows([(_offset(plan, t.offset), *t[1:]) for t in tensors] or [(0, 0, 0, 0)], _tensor_comments(plan)),
        plan=",\n".join(f"    .{member} = {value}" for member, value in _plan_members(network, plan, prefix, sealed).items()),
    )


_MEMORY = """\

/* Memory {number}, beside the arena: define {NAME}_RANGE_{number}_SECTION as the name of a section to have it there. */
#ifdef {NAME}_RANGE_{number}_SECTION
__attribute__((section({NAME}_RANGE_{number}_SECTION)))
#endif
static uint64_t {prefix}_range_{number}[({bytes} + 7) / 8];
"""
_SPREAD = """\

static const cge_memory_range {prefix}_ranges[{count}] = {{
{rows}
}};

/* Offsets of blocks in a range; 0: in the arena. */
static const cge_spread {prefix}_spread = {{
{members}
}};
"""


def _offset(plan: MemoryPlan, offset: int) -> str:
    number, begin = plan.place_of(offset)
    return f"{number} * CGE_RANGE_ELEMS + {begin // 4}" if number > 0 else str(offset)


def _title(plan: MemoryPlan) -> str:
    what = f"{len(plan.ranges)} memories, activations" if plan.ranges else f"a plan of {plan.peak_bytes:,} bytes"
    return f"{what}, of which no plan can take less than {plan.bound_bytes:,}"


def _memories(plan: MemoryPlan, prefix: str) -> str:
    """Arrays, and what lies in them."""
    if not plan.ranges:
        return ""
    name = prefix.rsplit("_", 1)[0].upper()
    sizes = list(enumerate(plan.used))[1:]
    arrays = [_MEMORY.format(number=number, NAME=name, prefix=prefix, bytes=size) for number, size in sizes if size > 0]
    rows = [
        f"    {{{prefix}_range_{number}, sizeof {prefix}_range_{number}}}" if size > 0 else "    {0, 0}"
        for number, size in sizes
    ]
    given = {"ranges": f"{prefix}_ranges", "kind": "&cge_spread_over_ranges"}
    given.update({block: _offset(plan, offset) for block, offset in plan.blocks.items()})
    values = {member: given.get(member) or _braced_or_number(value) for member, value in plan.spread_members.items()}
    members = ",\n".join(f"    .{member} = {value}" for member, value in values.items())
    return "".join(arrays) + _SPREAD.format(prefix=prefix, count=len(sizes), rows=",\n".join(rows), members=members)


def _kinds(network: Network, unit: _c_model.Unit) -> str:
    layers = network.layers[unit.begin : unit.end]
    return f"{_plan.unit_name(unit)}, {' + '.join(layer.kind for layer in layers)}"


def _tensor_comments(plan: MemoryPlan) -> list[str]:
    texts = _plan.purposes(plan.units, plan.tensors) or ["none"]
    return [f"{index}: {text}" for index, text in enumerate(texts)]


def _plan_members(network: Network, plan: MemoryPlan, prefix: str, sealed: bool) -> dict[str, str]:
    outside = not plan.training or network.frozen_in == "flash"
    given = {
        "level": f"&cge_memory_{plan.level_name(network._model)}{'_sealed' if sealed else ''}",
        "seal": f"0x{plan.seal(network._model, outside):08x}" if sealed else "0",
        "layers": f"{prefix}_layers",
        "units": f"{prefix}_units",
        "tensors": f"{prefix}_tensors",
        "spread": f"&{prefix}_spread" if plan.ranges else "NULL",
    }
    return {member: given.get(member) or str(int(getattr(plan.c, member))) for member in _core.members("cge_plan")}


def _rows(rows: Sequence[Sequence[Any]], comments: Sequence[str]) -> str:
    return ",\n".join(f"    /* {comment} */ {_braced(row)}" for row, comment in zip(rows, comments))


def _braced(values: Sequence[Any]) -> str:
    return "{" + ", ".join(_items(values)) + "}"


def _items(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        yield _braced_or_number(value)


def _braced_or_number(value: Any) -> str:
    return _braced(value) if isinstance(value, tuple) else str(value)
