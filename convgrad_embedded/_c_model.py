"""Networks and their plans as the C core describes them: tables of layers, what memory they take, what a file holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from convgrad_embedded import _shapes
from convgrad_embedded._core import (
    ARITHMETIC_NAMES,
    FROZEN,
    KINDS,
    LOSSES,
    MEMORY_LEVELS,
    OPTIMIZERS,
    ROW_MEMBERS,
    TIGHT,
    Precision,
    Shape,
    check,
    ffi,
    lib,
    members,
    shape_of,
    values_of,
)


class LayerInfo(NamedTuple):
    in_shape: Shape
    out_shape: Shape
    weight_shape: tuple[int, ...]  # () if the layer has no parameters
    bias_elems: int
    macs: int

    @property
    def parameter_shapes(self) -> list[tuple[int, ...]]:
        """Of weight and bias, as far as the layer has them."""
        return [shape for shape in (self.weight_shape, (self.bias_elems,)) if shape and shape != (0,)]

    @property
    def param_elems(self) -> int:
        return sum(math.prod(shape) for shape in self.parameter_shapes)


class Optimizer(NamedTuple):
    """The settings of a cge_optimizer."""

    kind: str  # cge_<kind>
    learning_rate: float
    momentum: float
    weight_decay: float
    nesterov: int
    beta2: float
    epsilon: float
    l1: float = 0.0


def optimizer_of(c: Any) -> Optimizer:
    """From a cge_optimizer of single precision."""
    return Optimizer(OPTIMIZERS[c.kind], *(getattr(c, name) for name in Optimizer._fields[1:]))


SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


def float32(value: float) -> float:
    """As the core reads a setting."""
    return float(np.float32(value))


class Clipping(NamedTuple):
    """Of the mean gradient, before each update."""

    norm: float | None
    value: float | None


class InputBytes(NamedTuple):
    """Samples are bytes, of which each stands for (byte - offset) * scale."""

    scale: float
    offset: int


class OutputRow(NamedTuple):
    """A cge_output: one of several outputs, and its loss."""

    loss: str
    loss_config: Mapping[str, float]
    elems: int
    weight: float


class LossRow(NamedTuple):
    """What a cge_model says of its loss."""

    kind: str
    config: Mapping[str, float]
    outputs: tuple[OutputRow, ...] = ()


class LayerRow(NamedTuple):
    """A cge_layer without its kind's address, and what it points to: members by name, those left out are 0."""

    kind: str
    members: dict[str, Any]
    config: str | None  # cge_<config>
    fields: dict[str, Any]  # of the config

    @classmethod
    def of(cls, kind: str, config: str | None, values: Mapping[str, Any]) -> LayerRow:
        """From members of both structs."""
        row = {name: value for name, value in values.items() if name in ROW_MEMBERS}
        return cls(kind, row, config, {name: value for name, value in values.items() if name not in row})


class Model:
    """A cge_model, the table of layers that it points to, and their configs."""

    def __init__(
        self,
        kind: Precision,
        input_shape: Shape,
        layer_count: int,
        loss: LossRow | None,
        optimizer: Optimizer | None,
        input_bytes: InputBytes | None = None,
        slots: int = 0,
    ) -> None:
        self.kind = kind
        self.slots = slots  # numbers that the optimizer keeps for each parameter that learns
        self.trains = loss is not None
        self.infos: list[LayerInfo] = []
        self.is_graph = False
        self.learns_by_batch = False
        self.samples = 1  # that a pass of firmware holds
        self._plans: dict[tuple[str, bool, bool], MemoryPlan] = {}
        self.table = ffi.new(f"cge_layer{kind.suffix}[]", layer_count)
        self._configs: list[Any] = []
        self.c = kind.new(
            "model", {"input": input_shape, "layers": self.table, "layer_count": layer_count, "fused": kind.is_fused}
        )
        if loss is not None:
            self.c.loss, self.c.loss_config = kind.constant(loss.kind), loss.config
            self._point_to_outputs(loss.outputs)
        if optimizer is not None:
            self.c.optimizer = dict(optimizer._asdict(), kind=kind.constant(optimizer.kind))
        if input_bytes is not None:
            self.c.input_kind = kind.constant("input_u8")
            self.c.input_scale, self.c.input_offset = input_bytes

    def _point_to_outputs(self, outputs: Sequence[OutputRow]) -> None:
        if outputs:
            rows = [dict(output._asdict(), loss=self.kind.constant(output.loss)) for output in outputs]
            self._outputs = ffi.new(f"cge_output{self.kind.suffix}[]", rows)
            self.c.outputs, self.c.output_count = self._outputs, len(rows)

    def add_layer(
        self, row: LayerRow, sources: Sequence[int], in_shapes: Sequence[Shape], weight_rank: int, context: str
    ) -> LayerInfo:
        """Fills in the next row of the table, which reads tensors of these shapes, and tells what becomes of it."""
        index = len(self.infos)
        members = dict(row.members, kind=self.kind.constant(f"kind_{row.kind}"), **{"from": sources})
        if row.config is not None:
            self._configs.append(ffi.new(f"cge_{row.config} *", row.fields))
            members["config"] = self._configs[-1]
        self.table[index] = members
        self.is_graph |= len(in_shapes) > 1 or any(sources)
        self.learns_by_batch |= row.kind == "batch_norm" and not row.members.get("flags", 0) & FROZEN
        info = ffi.new("cge_layer_info *")
        status = self._layer_info(index, in_shapes, info)
        reason = _shapes.why_impossible(row.kind, row.fields, in_shapes) if status == lib.CGE_ERR_SHAPE else None
        if reason is not None:
            raise ValueError(f"{context}: {reason}")
        check(status, context)
        self.infos.append(
            LayerInfo(
                in_shape=shape_of(getattr(info, "in")),
                out_shape=shape_of(info.out),
                weight_shape=tuple(info.weight_shape)[:weight_rank] if info.weight_elems else (),
                bias_elems=info.bias_elems,
                macs=info.macs,
            )
        )
        return self.infos[-1]

    def _layer_info(self, index: int, in_shapes: Sequence[Shape], info: Any) -> int:
        """From the shapes, since the core would begin at the first layer each time. The first layer checks all the rest."""
        if index == 0 and not self.is_graph:
            return int(self.kind.function("model_layer_info")(self.c, index, info))
        return int(self.kind.function("layer_infer")(self.table + index, ffi.new("cge_shape[]", in_shapes), info))

    def arena_bytes(self, *, training: bool, params_outside: bool = False, memory: str = "fast") -> int:
        """For one sample at a time, as firmware runs it; or for those whose statistics batch normalisation takes."""
        samples = self.samples if training else 1
        return arena_bytes_of(
            self, options_of(self.kind, training, samples, params_outside, self.plan(memory, training=training))
        )

    def plan(self, memory: str, *, training: bool) -> MemoryPlan | None:
        """What firmware follows. None for "fast", but for graphs, which always need one.

        Prediction takes no gradients: there "small" is "smallest". "batch" is "small" for several samples at once.
        """
        if memory == "fast" and not self.is_graph:
            return None
        level = memory if training and memory != "fast" else "small"
        if level == "small" and training and self.learns_by_batch:
            level = "batch"
        return self._plan_of(level, training, _is_tight(memory, training))

    def plan_here(self, memory: str, *, training: bool) -> MemoryPlan | None:
        """What a network on this computer follows: a graph at "fast" runs as a chain does, several samples at once."""
        if memory == "fast" and self.is_graph:
            return self._plan_of("fast", training, False)
        return self.plan(memory, training=training)

    def _plan_of(self, *key: Any) -> MemoryPlan:
        """Of this level, training or not, tight or not."""
        found = self._plans.get(key)
        if found is None:  # of two threads that get here, both take the plan of the first
            found = self._plans.setdefault(key, MemoryPlan(self, *key))
        return found

    def spread(self, memory: str, ranges: Sequence[int], *, training: bool, params_outside: bool = False) -> MemoryPlan | None:
        """A plan over memories of so many bytes each, the arena first. None: no way was found. Not for a chain at "fast"."""
        level = memory if training and memory != "fast" else "small"
        plan = MemoryPlan(self, level, training, _is_tight(memory, training))
        return plan if plan.spread_over(self, tuple(ranges), params_outside) else None

    def capacity_within(self, limit_bytes: int, most: int, *, training: bool) -> int:
        """How many samples at once: `most`, or as often its half as brings the arena within the limit; 1 in any case."""
        size, plan = ffi.new("size_t *"), self.plan_here("fast", training=training)
        while most > 1:
            status = _arena_status(self, options_of(self.kind, training, most, plan=plan), size)
            if status == lib.CGE_OK and size[0] <= limit_bytes:
                break
            most //= 2  # too large, or more than any arena may have
        return most


def _is_tight(memory: str, training: bool) -> bool:
    """A graph at "fast" does not compute anything twice to take fewer bytes."""
    return memory != "fast" or not training


class Tensor(NamedTuple):
    """cge_tensor: numbers of elements and of operations."""

    offset: int
    elems: int
    first: int
    last: int


class Unit(NamedTuple):
    """cge_unit: numbers of layers, then of tensors; -1: none."""

    begin: int
    end: int
    main: int
    activation: int
    pool: int
    pool_first: int
    y: int
    dy: int
    winners: int
    forward: int
    backward: int
    x: tuple[int, int]
    learns: int
    shared: int
    adds: int
    style: int


class Layout(NamedTuple):
    """What a MemoryPlan says, without the memory that it points to: to keep, copy and pickle."""

    level: str
    units: list[Unit]
    tensors: list[Tensor]
    ranges: tuple[int, ...]
    used: tuple[int, ...]
    blocks: dict[str, int]
    peak_bytes: int
    bound_bytes: int
    elem_bytes: int

    def place_of(self, offset: int) -> tuple[int, int]:
        """As MemoryPlan's."""
        return _place_of(offset, self.elem_bytes)


def _place_of(offset: int, elem_bytes: int) -> tuple[int, int]:
    number, elems = divmod(offset, int(lib.CGE_RANGE_ELEMS))
    return number, elems * elem_bytes


class MemoryPlan:
    """A cge_plan and the memory that it points to."""

    def __init__(self, model: Model, level: str, training: bool, tight: bool = True) -> None:
        kind, size = model.kind, ffi.new("size_t *")
        context = f"a plan for memory={level!r}"
        check(kind.function("plan_bytes")(model.c, size), context)
        self._memory = ffi.new("uint64_t[]", (size[0] + 7) // 8)
        self.c = kind.new("plan")
        make = kind.function("plan_make")
        in_c = kind.constant(f"memory_{level}{TIGHT}" if tight and level in MEMORY_LEVELS else f"memory_{level}")
        check(make(model.c, in_c, training, self._memory, size[0], self.c), context)
        self.level, self.training = level, training
        self._elem_bytes = kind.dtype.itemsize
        self._layer_count = len(model.infos)
        self.ranges: tuple[int, ...] = ()  # bytes that there are; the arena first, if there are other memories
        self.used: tuple[int, ...] = ()  # and that are used of them
        self.blocks: dict[str, int] = {}  # offsets of params, grads and velocity

    def spread_over(self, model: Model, ranges: tuple[int, ...], params_outside: bool) -> bool:
        """Whether there is a way. The addresses stay open, so no network can run by such a plan."""
        kind = model.kind
        self._ranges = ffi.new(f"cge_memory_range{kind.suffix}[]", [(ffi.NULL, size) for size in ranges[1:]])
        self._spread = kind.new("spread", {"ranges": self._ranges, "range_count": len(ranges) - 1})
        options = options_of(kind, self.training, 1, params_outside, self)
        status = kind.function("plan_spread")(model.c, options.params, ranges[0], self._spread, self.c)
        if status == lib.CGE_ERR_ARENA:
            return False
        check(status, "memory_ranges")
        elsewhere = (self._elem_bytes * int(elems) for elems in self._spread.elems[0 : len(ranges) - 1])
        self.ranges, self.used = ranges, (arena_bytes_of(model, options), *elsewhere)
        self.blocks = {name: int(getattr(self._spread, name)) for name in ("params", "grads", "velocity")}
        return True

    def seal(self, model: Model, params_outside: bool) -> int:
        """What cge_network_init may compare, in place of working the plan out again: of the level that is exported."""
        value, own = ffi.new("uint32_t *"), self.c.level
        options = options_of(model.kind, self.training, 1, params_outside)
        self.c.level = model.kind.constant(f"memory_{self.level_name(model)}")
        status = model.kind.function("plan_seal")(model.c, options.params, self.c, value)
        self.c.level = own
        check(status, "sealed")
        return int(value[0])

    @property
    def spread_members(self) -> dict[str, Any]:
        """Of cge_spread, arrays as tuples."""
        return dict(zip(members("cge_spread"), values_of(self._spread[0])))

    def place_of(self, offset: int) -> tuple[int, int]:
        """(number of the memory, bytes into it; of the arena, into its activations)."""
        return _place_of(offset, self._elem_bytes)

    def layout(self) -> Layout:
        memories = (self.ranges, self.used, self.blocks)
        return Layout(
            self.level, self.units, self.tensors, *memories, self.peak_bytes, self.bound_bytes, elem_bytes=self._elem_bytes
        )

    def level_name(self, model: Model) -> str:
        """cge_memory_<that> is the smallest in code of those that can follow the plan."""
        plain = MemoryPlan(model, self.level, self.training, tight=False)
        lives = [[tensor[1:] for tensor in plan.tensors] for plan in (plain, self)]  # offsets differ where memories are several
        return self.level if plain.units == self.units and lives[0] == lives[1] else self.level + TIGHT

    @property
    def units(self) -> list[Unit]:
        return [Unit(*values_of(unit)) for unit in self.c.units[0 : self.c.unit_count]]

    @property
    def tensors(self) -> list[Tensor]:
        return [Tensor(*values_of(tensor)) for tensor in self.c.tensors[0 : self.c.tensor_count]]

    @property
    def layers(self) -> list[tuple[Any, ...]]:
        """cge_layer_plan: shapes as tuples, and integers."""
        return [values_of(row) for row in self.c.layers[0 : self._layer_count]]

    @property
    def peak_bytes(self) -> int:
        """Of the arena's activation region."""
        return int(self.c.peak_elems) * self._elem_bytes

    @property
    def bound_bytes(self) -> int:
        return int(self.c.bound_elems) * self._elem_bytes

    @property
    def table_bytes(self) -> int:
        """Of its constants on a board."""
        counts = {"plan": 1, "layer_plan": self._layer_count, "unit": self.c.unit_count, "tensor": self.c.tensor_count}
        if self.ranges:
            counts.update(spread=1, memory_range=len(self.ranges) - 1)
        return sum(count * _board_bytes(ffi.typeof(f"cge_{struct}")) for struct, count in counts.items())


def options_of(
    kind: Precision, training: bool, capacity: int, params_outside: bool = False, plan: MemoryPlan | None = None
) -> Any:
    options = kind.new("options", {"training": training, "capacity": capacity})
    if plan is not None:
        options.plan = plan.c
    if params_outside:
        options.params = ffi.cast(ffi.typeof(options.params), options)  # a size query asks only whether it is NULL
    return options


def arena_bytes_of(model: Model, options: Any) -> int:
    size = ffi.new("size_t *")
    check(_arena_status(model, options, size), "network")
    return int(size[0])


def _arena_status(model: Model, options: Any, size: Any) -> int:
    return int(model.kind.function("network_arena_bytes")(model.c, options, size))


class ParsedModel(NamedTuple):
    input_shape: Shape
    layers: list[tuple[str, dict[str, Any]]]  # kind, members of the row and of its config
    loss: LossRow | None
    optimizer: Optimizer | None
    input_bytes: InputBytes | None
    arithmetic: str


def table_bytes(layer_count: int, configs: Iterable[str], output_count: int = 0) -> int:
    """Of the constants that describe a network on a board; configs: their structs, cge_<config>."""
    structs = ["model", *["layer"] * layer_count, *configs, *["output"] * output_count]
    return sum(_board_bytes(ffi.typeof(f"cge_{struct}")) for struct in structs)


def layer_plan_bytes(layer_count: int) -> int:
    """Of the table in the arena of a network without a plan."""
    return layer_count * _board_bytes(ffi.typeof("cge_layer_plan"))


def _board_bytes(c_type: Any) -> int:
    """Where a pointer takes 4 bytes."""
    if c_type.kind == "struct":
        size = sum(_board_bytes(member.type) for _, member in c_type.fields)
        return -(-size // _board_alignment(c_type)) * _board_alignment(c_type)
    return 4 if c_type.kind == "pointer" or c_type.cname == "size_t" else int(ffi.sizeof(c_type))


def _board_alignment(c_type: Any) -> int:
    if c_type.kind == "struct":
        return max(_board_alignment(member.type) for _, member in c_type.fields)
    return _board_alignment(c_type.item) if c_type.kind == "array" else min(4, int(ffi.sizeof(c_type)))


_BYTES_OF_A_RECORD = 28  # of a layer in a file, at least
_LAYER_COUNT_AT = 12  # where a file says how many there are
_LOSS_WORDS_AT, _WORDS_OF_AN_OUTPUT = 29, 7  # how many words the loss has, three bytes


def _most_layers(data: bytes) -> int:
    """As many as a file of that size can hold, or as it says."""
    said = int.from_bytes(data[_LAYER_COUNT_AT : _LAYER_COUNT_AT + 4], "little")
    return min(said, len(data) // _BYTES_OF_A_RECORD) + 1


def parse_model(data: bytes, context: str, configs: Mapping[str, str | None]) -> ParsedModel:
    """The model part of what cge_network_save wrote; configs: by kind, the struct that its rows point to."""
    max_layers = _most_layers(data)
    layers, memory = ffi.new("cge_layer[]", max_layers), ffi.new("cge_layer_config[]", max_layers)
    model = ffi.new("cge_model *")
    most_outputs = (
        min(int.from_bytes(data[_LOSS_WORDS_AT : _LOSS_WORDS_AT + 3], "little"), len(data) // 4) // _WORDS_OF_AN_OUTPUT
    )
    outputs = ffi.new("cge_output[]", most_outputs + 1)
    catalog = ffi.new("cge_catalog *", lib.cge_catalog_all_address[0])
    catalog.outputs, catalog.max_outputs = outputs, most_outputs + 1
    check(lib.cge_model_parse(data, len(data), catalog, layers, memory, max_layers, model), context)
    optimizer = model.optimizer
    return ParsedModel(
        input_shape=shape_of(model.input),
        layers=[_parsed_layer(layer, configs) for layer in layers[0 : model.layer_count]],
        loss=None if model.loss == ffi.NULL else _parsed_loss(model),
        optimizer=None if optimizer.kind == ffi.NULL else optimizer_of(optimizer),
        input_bytes=None if model.input_kind == ffi.NULL else InputBytes(model.input_scale, model.input_offset),
        arithmetic=ARITHMETIC_NAMES[model.fused],
    )


def _parsed_loss(model: Any) -> LossRow:
    outputs = tuple(
        OutputRow(LOSSES[output.loss], _loss_config(output), output.elems, output.weight)
        for output in model.outputs[0 : model.output_count]
    )
    return LossRow(LOSSES[model.loss], _loss_config(model), outputs)


def _loss_config(owner: Any) -> dict[str, float]:
    return {name: getattr(owner.loss_config, name) for name in members("cge_loss_config")}


def _parsed_layer(layer: Any, configs: Mapping[str, str | None]) -> tuple[str, dict[str, Any]]:
    kind = KINDS[layer.kind]
    values = {name: value for name, value in zip(members("cge_layer"), values_of(layer)) if name in ROW_MEMBERS}
    struct = configs[kind]
    if struct is not None:
        fields = ffi.cast(f"cge_{struct} *", layer.config)
        values.update((name, getattr(fields, name)) for name in members(f"cge_{struct}"))
    return kind, values
