"""What a network is and what it costs, as text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from convgrad_embedded import _arrays, _boards, _c_model, _core, _export_configs, _export_plan, _graph, _learning, _plan

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

# Code and constants of the library with training, in the largest of the builds that `make stack` measures: README's recipe
# at -O2, on a Cortex-M with FPU. An upper bound that the project's tests keep.
CODE_BYTES = 24 * 1024
# What training in a plan takes more, likewise.
PLAN_CODE_BYTES = 30 * 1024
PLAN_STACK_BYTES = 1472

_MOST_COLUMNS = 128  # of a timeline

_MOST_OF_A_LAYER = 46  # columns of its text: a longer one goes on below

_HEADER = ("layer", "output", "parameters", "MACs forward", "MACs backward")
_BYTES_HEADER = ("bytes to train", "parameters", "gradients and optimizer", "output", "freeze(upto=it) saves")


class LayerBytes(NamedTuple):
    """RAM of a layer while firmware trains (predicts, without a loss); of one sample."""

    parameters: int  # they lie in flash where it only predicts
    learning: int  # gradients and the optimizer's numbers
    output: int  # outputs share their memory; 0: it never exists as a whole
    freezing_saves: int | None  # of RAM to train, by freeze(upto=layer). None: it does not learn, or nothing else would


def text(network: Network, board: str | None) -> str:
    rows = [*_layer_rows(network), _total_row(network)]
    target = None if board is None else _boards.load(board)
    levels = _table(_level_rows(network, target), 1)
    memory = [*_memory(network), *_places(network), *_timeline(network)]
    layers = [*_table([_HEADER, *rows]), "", *_table(_bytes_rows(network), 1)]
    lines = [_title(network), "", *layers, "", *memory, "", *levels]
    if target is not None:
        lines += ["", *_fit(network, target)]
    return "\n".join(lines)


def flash_bytes(network: Network) -> int:
    """Weights and tables of the exported network, with its plans, without code."""
    plans = sum(plan.table_bytes for plan in _export_plan.plans(network).values())
    structs = [config.struct for config in _export_configs.configs(network).values()]
    outputs = 0 if network._loss is None else len(network._loss.row().outputs)
    return network.param_count * 4 + _c_model.table_bytes(len(network.layers), structs, outputs) + plans


def code_bytes(network: Network) -> int:
    """At most."""
    return CODE_BYTES + (0 if network.memory == "fast" else PLAN_CODE_BYTES)


def stack_bytes(core: str, level: str) -> int:
    """Of a training step at most; 0 for a core whose stack nobody has measured."""
    measured = _boards.stack_bytes().get(core, 0)
    return measured + (PLAN_STACK_BYTES if measured > 0 and level != "fast" else 0)


def backward_macs(network: Network) -> list[int]:
    """Multiply-adds of each layer's gradients: of the weights that learn, of its input if a layer before it learns."""
    first = network._runtime.first_trainable
    return [
        _learning.backward_macs(layer, info, index, first)
        for index, (layer, info) in enumerate(zip(network.layers, network.layer_infos))
    ]


def layer_bytes(network: Network) -> list[LayerBytes]:
    model, trains = network._model, network.loss is not None
    outside = network.frozen_in == "flash"
    found = []
    for index, (layer, info, output) in enumerate(zip(network.layers, network.layer_infos, _output_bytes(network))):
        held = _learning.held_elems(layer, info, network.memory) if trains and outside else info.param_elems
        copies = model.slots + (not network.memory.startswith("smallest"))
        learning = copies * _learning.learned_elems(layer, info) if trains else 0
        found.append(LayerBytes(4 * held, 4 * learning, output, _freezing_saves(network, index)))
    return found


def _output_bytes(network: Network) -> list[int]:
    """Of each layer, as a whole; with a plan, of those that have one of their own."""
    plan = network._memory_plan(training=network.loss is not None)
    if plan is None:
        return [4 * math.prod(info.out_shape) for info in network.layer_infos]
    found = [0] * len(network.layers)
    for unit in plan.units:
        found[unit.end - 1] = 4 * plan.tensors[unit.y].elems if unit.y >= 0 else 0
    return found


def _freezing_saves(network: Network, index: int) -> int | None:
    if network.optimizer is None or not _learns(network, index):
        return None
    frozen = set(_graph.behind(network.sources, index))
    if not any(_learns(network, other) for other in range(len(network.layers)) if other not in frozen):
        return None
    layers = [_plan.as_planned(layer, False) if number in frozen else layer for number, layer in enumerate(network.layers)]
    then = _plan.cost(network._build(_core.FLOAT32, layers), layers, network.memory, network.frozen_in)
    return _plan.cost(network._model, network.layers, network.memory, network.frozen_in).arena - then.arena


def _learns(network: Network, index: int) -> bool:
    return _learning.learned_elems(network.layers[index], network.layer_infos[index]) > 0


def _title(network: Network) -> str:
    loss = None if network.loss is None else f"loss {network.loss}"
    optimizer = None if network.optimizer is None else f"{network.optimizer!r}"
    return ", ".join(filter(None, [f"Network on {_by(network.input_shape)}", _input(network), loss, optimizer]))


def _input(network: Network) -> str | None:
    """What a byte of its input stands for."""
    if network.input_scale is None:
        return None
    steps = f"(byte{_arrays.shift(-network.input_offset)})" if network.input_offset else "byte"
    return f"reads bytes as {steps} * {_arrays.power_of_two(network.input_scale)}"


def _layer_rows(network: Network) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for layer, info, backward in zip(network.layers, network.layer_infos, backward_macs(network)):
        text, *more = textwrap.wrap(f"{layer!r}", _MOST_OF_A_LAYER, subsequent_indent="  ", break_on_hyphens=False)
        rows.append((text, _by(info.out_shape), f"{info.param_elems:,}", f"{info.macs:,}", f"{backward:,}"))
        rows += [(line, "", "", "", "") for line in more]
    return rows


def _bytes_rows(network: Network) -> list[tuple[str, ...]]:
    """A line a layer, with the number that freeze takes. What is 0 is left out."""
    layers = layer_bytes(network)
    digits = len(str(len(layers) - 1))
    rows: list[tuple[str, ...]] = [
        (f"{index:{digits}} {type(layer).__name__}", *(f"{size:,}" if size else "" for size in sizes))
        for index, (layer, sizes) in enumerate(zip(network.layers, layers))
    ]
    totals = (sum(sizes.parameters for sizes in layers), sum(sizes.learning for sizes in layers))
    total = ("total", *(f"{size:,}" for size in totals), "", "")
    if network.loss is not None:
        return [_BYTES_HEADER, *rows, total]
    columns = (0, 1, 3)  # nothing learns
    return [tuple(row[column] for column in columns) for row in (("bytes", *_BYTES_HEADER[1:]), *rows, total)]


def _total_row(network: Network) -> tuple[str, ...]:
    forward = sum(info.macs for info in network.layer_infos)
    return ("total", "", f"{network.param_count:,}", f"{forward:,}", f"{sum(backward_macs(network)):,}")


def _table(rows: Sequence[tuple[str, ...]], left: int = 2) -> list[str]:
    """The first `left` columns begin below each other, the others end so."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            f"{cell:{'<' if column < left else '>'}{width}}" for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def _memory(network: Network) -> list[str]:
    where = " (weights that do not learn in flash)" if network.frozen_in == "flash" else ""
    training = [f"RAM to train       {network.arena_bytes:>11,} bytes{where}"] if network.loss is not None else []
    stack = max(stack_bytes(core, network.memory) for core in _boards.stack_bytes())
    flash, code = flash_bytes(network), code_bytes(network)
    return [
        *training,
        f"RAM to predict     {network.inference_arena_bytes:>11,} bytes (weights in flash)",
        f"stack              {stack:>11,} bytes at most, on a Cortex-M",
        f"flash              {flash:>11,} bytes (weights and tables), and at most {code:,} of code",
    ]


def _places(network: Network) -> list[str]:
    """What lies where, if there are several memories."""
    if network._spread is None:
        return []
    costs = _plan.cost(network._model, network.layers, network.memory, network.frozen_in)
    return ["", *_plan.places(network._spread, costs)]


def _timeline(network: Network) -> list[str]:
    """When each tensor of the plan is alive, where that is not too wide to read."""
    plan = network._memory_plan(training=network.loss is not None)
    lines = [] if plan is None else _plan.timeline(plan)
    return ["", *lines] if lines and max(map(len, lines)) <= _MOST_COLUMNS else []


def _level_rows(network: Network, board: _boards.Board | None) -> list[tuple[str, ...]]:
    """What each memory level takes, and what of it fits where on the board, the stack counted."""
    rooms = _ram_rooms(board)
    rows: list[tuple[str, ...]] = [("memory level", "to train", "to predict", *rooms)]
    for level in _core.MEMORY_LEVELS:
        needs = level_bytes(network, level)
        stack = 0 if board is None else stack_bytes(board.core, level)
        fits = [
            " and ".join(use for use, size in needs.items() if size is not None and size + stack <= ram) or "nothing fits"
            for ram in rooms.values()
        ]
        mark = " (this network)" if level == network.memory else ""
        sizes = ("-" if size is None else f"{size:,}" for size in needs.values())
        rows.append((f"{level}{mark}", *sizes, *fits))
    return rows


def _ram_rooms(board: _boards.Board | None) -> dict[str, int]:
    """Bytes of RAM, by what is on the board already; those that are known."""
    if board is None:
        return {}
    rooms = {"the empty chip": board.chip.ram_bytes, f"beside {board.release}": board.free.ram_bytes}
    return {name: size for name, size in rooms.items() if size is not None}


def level_bytes(network: Network, level: str) -> dict[str, int | None]:
    """RAM to "train" and to "predict" at that level. None: no loss, too many layers for a plan, or statistics of a batch."""

    def needed(training: bool, outside: bool) -> int | None:
        try:
            return network._model.arena_bytes(training=training, params_outside=outside, memory=level)
        except ValueError:
            return None

    train = None if network.loss is None else needed(True, network.frozen_in == "flash")
    return {"train": train, "predict": needed(False, True)}


def _fit(network: Network, board: _boards.Board) -> list[str]:
    if board.chip.ram_bytes is None:
        return [f"{board.name} ({board.description}): fits"]
    stack = stack_bytes(board.core, network.memory)
    chip = board.chip if network.memory_ranges is not None else board.chip._replace(ccm_bytes=None)
    lines = [f"{board.name} ({board.description}), the empty chip:", *_verdicts(network, chip, stack)]
    if board.release is not None:
        lines += [f"{board.name}, what {board.release} leaves:", *_verdicts(network, board.free, stack)]
    return lines


def _verdicts(network: Network, room: _boards.Room, stack: int) -> list[str]:
    """The arena and the stack in RAM, or the arena in the CCM; and the flash. Of two memories the second is the CCM."""
    uses = {"training": (network.range_bytes or (network.arena_bytes,))} if network.loss is not None else {}
    uses["prediction"] = (network.inference_arena_bytes,)
    flash = flash_bytes(network) + code_bytes(network)
    lines = []
    for use, (arena, *others) in uses.items():
        ccm = [(others[0], room.ccm_bytes, "CCM")] if len(others) == 1 else []
        needs = ((arena + stack, room.ram_bytes, "RAM"), *ccm, (flash, room.flash_bytes, "flash"))
        lines.append(f"  {use:10} {_verdict(*needs)}")
        if room.ccm_bytes is not None and not others:
            lines.append(f"  {use:10} {_verdict((arena, room.ccm_bytes, 'CCM'))}")
    return lines


def _verdict(*needs: tuple[int, int | None, str]) -> str:
    """Of (size, capacity, memory); a capacity that nobody knows says nothing."""
    known = [(size, capacity, memory) for size, capacity, memory in needs if capacity is not None]
    fits = all(size <= capacity for size, capacity, _ in known)
    shares = ", ".join(f"{_share(size, capacity)} of {memory}" for size, capacity, memory in known)
    return f"{'fits' if fits else 'does not fit'}: {shares}"


def _share(size: int, capacity: int) -> str:
    return f"{size:,} of {capacity:,} bytes ({100 * size / capacity:.1f} %)"


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape[2:] if tuple(shape[:2]) == (1, 1) else shape))
