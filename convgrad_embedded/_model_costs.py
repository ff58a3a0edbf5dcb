"""What the published networks cost on a board, for the command line and README."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from convgrad_embedded import models
from convgrad_embedded._network import Network

# Instructions of a slice for each of its multiply-adds at most: CGE_SLICE_INSTRUCTIONS in tenths, and what
# `benchmarks/slices.py mps2_an385` counts.
_TENTHS_WITH_FPU, _TENTHS_ON_M3 = 22, 650

_MODELS: dict[str, tuple[Callable[..., Network], dict[str, Any]]] = {
    "ResNet-8": (models.resnet8, {}),
    "DS-CNN": (models.ds_cnn, {}),
    "MobileNetV1 x0.25": (models.mobilenet_v1, {}),
    "autoencoder": (models.autoencoder, {}),
    "MobileNetV2 x0.35": (models.mobilenet_v2, {}),
    "Frontnet 160x16": (models.frontnet, {"width": 16}),
    "Frontnet 160x32": (models.frontnet, {"width": 32}),
    "LeNet-5": (models.lenet5, {}),
    "net N": (models.net_n, {}),
}


class Costs(NamedTuple):
    """RAM in bytes, everything but the stack, with what does not learn in flash; instructions of the largest slice."""

    network: str
    parameters: int
    parameters_with_batch_norm: int
    macs: int
    train_all_bytes: int
    train_last_layer_bytes: int
    predict_bytes: int
    largest_slice_macs: int
    largest_slice_with_fpu: int
    largest_slice_on_m3: int


def costs() -> list[Costs]:
    """Of networks without norms that train by plain SGD in batches of any size: memory="small"."""
    return [_costs(name, *made) for name, made in _MODELS.items()]


def _costs(name: str, make: Callable[..., Network], options: dict[str, Any]) -> Costs:
    net = make(memory="small", frozen_in="flash", **options)
    macs = make(memory="small_sliced", **options).largest_slice_macs
    return Costs(
        name,
        net.param_count,
        make("batch", loss=None, **options).param_count,
        sum(info.macs for info in net.layer_infos),
        net.arena_bytes,
        net.freeze(upto=-2).arena_bytes,
        net.inference_arena_bytes,
        macs,
        macs * _TENTHS_WITH_FPU // 10,
        macs * _TENTHS_ON_M3 // 10,
    )


_HEAD = (
    "network", "parameters", "with batch norm", "multiply-adds", "train all", "last layer", "predict", "slice, FPU", "slice, M3"
)  # fmt: skip


def table(rows: list[Costs]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(_HEAD)} |", f"|{'---|' * len(_HEAD)}"]
    for row in rows:
        shown = row._asdict()
        del shown["largest_slice_macs"]
        lines.append(f"| {' | '.join(cell if isinstance(cell, str) else f'{cell:,}' for cell in shown.values())} |")
    return "\n".join(lines)
