"""What a network is and what it costs, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convgrad_embedded import _boards, _core

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

# The library with training, at -O2 on a Cortex-M with FPU: an upper bound that the project's tests keep. `make size` measures it.
CODE_BYTES = 17 * 1024

_HEADER = ("layer", "output", "parameters", "MACs forward", "MACs backward")


def text(network: Network, board: str | None) -> str:
    rows = [*_layer_rows(network), _total_row(network)]
    lines = [_title(network), "", *_table([_HEADER, *rows]), "", *_memory(network)]
    if board is not None:
        lines += _fit(network, _boards.load(board))
    return "\n".join(lines)


def flash_bytes(network: Network) -> int:
    """Weights and tables of the exported network, without code."""
    return network.param_count * 4 + _core.table_bytes(len(network.layers))


def backward_macs(network: Network) -> list[int]:
    """Multiply-adds of each layer's gradients: of its weights unless frozen, of its input if a layer before it learns."""
    first = network._runtime.first_trainable
    return [
        info.macs * ((index >= first and not getattr(layer, "frozen", False)) + (index > first))
        for index, (layer, info) in enumerate(zip(network.layers, network.layer_infos))
    ]


def _title(network: Network) -> str:
    parts = [f"Network on {_by(network.input_shape)}", f"loss {network.loss}", f"{network.optimizer!r}"]
    return ", ".join(parts[: 1 + (network.loss is not None) + (network.optimizer is not None)])


def _layer_rows(network: Network) -> list[tuple[str, ...]]:
    return [
        (f"{layer!r}", _by(info.out_shape), f"{info.param_elems:,}", f"{info.macs:,}", f"{backward:,}")
        for layer, info, backward in zip(network.layers, network.layer_infos, backward_macs(network))
    ]


def _total_row(network: Network) -> tuple[str, ...]:
    forward = sum(info.macs for info in network.layer_infos)
    return ("total", "", f"{network.param_count:,}", f"{forward:,}", f"{sum(backward_macs(network)):,}")


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    return [
        f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[2:], widths[2:]))
        for row in rows
    ]


def _memory(network: Network) -> list[str]:
    training = [f"RAM to train       {network.arena_bytes:>11,} bytes"] if network.loss is not None else []
    return [
        *training,
        f"RAM to predict     {network.inference_arena_bytes:>11,} bytes (weights in flash)",
        f"flash              {flash_bytes(network):>11,} bytes (weights and tables), and at most {CODE_BYTES:,} of code",
    ]


def _fit(network: Network, board: _boards.Board) -> list[str]:
    uses = {"training": network.arena_bytes} if network.loss is not None else {}
    uses["prediction"] = network.inference_arena_bytes
    if board.ram_bytes is None:
        return [f"{board.name} ({board.description}): fits"]
    flash = flash_bytes(network) + CODE_BYTES
    flash_fits = board.flash_bytes is None or flash <= board.flash_bytes
    lines = [
        f"  {use:10} {_verdict(size <= board.ram_bytes and flash_fits)}: {_share(size, board.ram_bytes)} of RAM"
        + ("" if board.flash_bytes is None else f", {_share(flash, board.flash_bytes)} of flash")
        for use, size in uses.items()
    ]
    return ["", f"{board.name} ({board.description}), before what its own firmware takes:", *lines]


def _verdict(fits: bool) -> str:
    return "fits" if fits else "does not fit"


def _share(size: int, capacity: int) -> str:
    return f"{size:,} of {capacity:,} bytes ({100 * size / capacity:.1f} %)"


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape[2:] if tuple(shape[:2]) == (1, 1) else shape))
