"""Bytes of RAM of known networks beside what they are to reach, as CSV.

    python benchmarks/memory_goals.py [--table | --sparse | --peak NETWORK [--learns COLUMN]]

Everything but the stack and the input, on every target alike. Where only some layers learn, and while predicting, the weights
that do not learn are in flash. --table prints what docs/memory.md shows. --peak lists what is alive at the operation where most
is: no plan with these tensors can go below that. --sparse is MobileNetV2 as MCUNetV3 trains it, with its frame of bytes.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import memory

import convgrad_embedded as cge
from convgrad_embedded import _plan, models

NETWORKS = {  # norms are folded into the convolutions before them
    "demo": cge.Network(*memory.NETWORKS["demo"]),
    "the same on 28x28": cge.Network(*memory.NETWORKS["the same on 28x28"]),
    "LeNet-5-like": cge.Network(*memory.NETWORKS["LeNet-5-like"]),
    "ResNet-8": models.resnet8(loss=None),
    "DS-CNN": models.ds_cnn(loss=None),
    "MobileNetV1 x0.25": models.mobilenet_v1(loss=None),
    "MobileNetV2 x0.35": models.mobilenet_v2(loss=None),
    "Frontnet 160x16": models.frontnet(width=16, loss=None),
    "Frontnet 160x32": models.frontnet(width=32, loss=None),
}


class Case(NamedTuple):
    """A column: what learns, by which optimizer, at which level."""

    learns: str  # "all", "nothing", or one of memory.PARTS
    optimizer: str
    level: str


CASES = {
    "all": Case("all", "SGD", "smallest"),
    "momentum": Case("all", "SGD, momentum", "smallest"),
    "batch > 1": Case("all", "SGD", "small"),
    "last layer": Case("last layer", "SGD", "smallest"),
    "last 2 layers": Case("last 2 layers", "SGD", "smallest"),
    "biases": Case("biases", "SGD", "smallest"),
    "predict": Case("nothing", "SGD", "smallest"),
}

# By network, in the order of CASES. None: no goal was set.
GOALS: dict[str, tuple[int | None, ...]] = {
    "demo": (9_728, 17_408, 16_640, 3_840, 8_500, 1_600, 1_024),
    "the same on 28x28": (49_152, 86_016, 82_000, 38_912, 46_720, 12_288, 7_680),
    "LeNet-5-like": (188_416, 365_600, 362_000, 7_800, 48_500, 7_600, 4_200),
    "ResNet-8": (488_000, 797_000, 719_000, 58_700, 208_200, 140_500, 55_600),
    "DS-CNN": (194_000, 284_000, 280_000, 25_700, 87_400, 77_000, 22_100),
    "MobileNetV1 x0.25": (1_058_000, 1_902_000, 1_894_000, 60_300, 323_500, 251_000, 56_900),
    "MobileNetV2 x0.35": (1_177_500, 2_160_000, None, 101_300, 252_300, 249_000, 94_300),
    "Frontnet 160x16": (372_000, None, None, 44_000, None, 84_500, 28_200),
    "Frontnet 160x32": (1_333_500, None, None, 82_400, None, 168_600, 51_200),
}


def build(name: str, case: Case) -> cge.Network:
    like = NETWORKS[name]
    layers = like.layers if case.learns in ("all", "nothing") else memory.parts_of(like.layers, case.learns)
    loss = "mean_squared_error" if "Frontnet" in name else "softmax_cross_entropy"
    return with_layers(like, layers, loss, memory.OPTIMIZERS[case.optimizer], memory=case.level, frozen_in="flash")


def with_layers(like: cge.Network, layers: Sequence[cge.Layer], loss: str, optimizer: cge.SGD, **options: Any) -> cge.Network:
    """A network with these layers where `like` has its own."""
    tensors = [cge.Input(like.input_shape)]
    for layer, sources in zip(layers, like.sources):
        tensors.append(layer(*(tensors[source + 1] for source in sources)))
    return cge.Network(inputs=tensors[0], outputs=tensors[-1], loss=loss, optimizer=optimizer, **options)


# Published for MobileNetV2 as "138kb" (Lin et al., On-Device Training Under 256KB Memory, and its code): which of the network's
# convolutions learn their weights, and how many of the last learn their biases. The classifier learns, the rest is in flash.
SPARSE_WEIGHTS, SPARSE_BIASES, SPARSE_GOAL = (27, 30, 33, 36, 39, 42, 45, 48), 34, 498_000


def sparse_network(like: cge.Network, **options: Any) -> cge.Network:
    """MobileNetV2 that learns by that scheme."""
    convolutions = [index for index, layer in enumerate(like.layers) if isinstance(layer, cge.Conv2d)]
    parts: dict[int, Any] = {index: False for index in convolutions}
    parts.update({index: "bias" for index in convolutions[-SPARSE_BIASES:]})
    parts.update({convolutions[number]: True for number in SPARSE_WEIGHTS})
    layers = [
        dataclasses.replace(layer, trainable=parts[index]) if index in parts else layer  # type: ignore[call-arg]
        for index, layer in enumerate(like.layers)
    ]
    return with_layers(like, layers, "softmax_cross_entropy", cge.SGD(0.01), input_scale=1 / 256, **options)


def sparse_bytes() -> int:
    """Of RAM, the frame included."""
    net = sparse_network(NETWORKS["MobileNetV2 x0.35"], memory="smallest", frozen_in="flash")
    return net.arena_bytes + math.prod(net.input_shape)


def arena_bytes(name: str, case: Case) -> int:
    net = build(name, case)
    return net.inference_arena_bytes if case.learns == "nothing" else net.arena_bytes


FIELDS = ["network", "parameters", "learns", "optimizer", "memory", "goal", "bytes"]


def rows() -> list[dict[str, Any]]:
    return [row(name, column) for name in NETWORKS for column in CASES]


def row(name: str, column: str) -> dict[str, Any]:
    case, goal = CASES[column], GOALS[name][list(CASES).index(column)]
    parameters = build(name, case).param_count
    return dict(zip(FIELDS, (name, parameters, case.learns, case.optimizer, case.level, goal, arena_bytes(name, case))))


def table(figures: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line a network, bytes / goal."""
    lines = [f"| network | {' | '.join(CASES)} |", f"|---|{'---|' * len(CASES)}"]
    for begin in range(0, len(figures), len(CASES)):
        cells = [_cell(figure) for figure in figures[begin : begin + len(CASES)]]
        lines.append(f"| {figures[begin]['network']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(figure: dict[str, Any]) -> str:
    goal, reached = figure["goal"], figure["bytes"]
    if goal is None:
        return f"{reached:,}"
    return f"{reached:,} / {goal:,}" if reached <= goal else f"**{reached:,}** / {goal:,}"


def peak(name: str, column: str) -> str:
    """The tensors that are alive when most is, the largest first."""
    net, training = build(name, CASES[column]), CASES[column].learns != "nothing"
    plan = net._model.plan(CASES[column].level, training=training)
    assert plan is not None
    alive = {
        operation: [number for number, tensor in enumerate(plan.tensors) if tensor.first <= operation <= tensor.last]
        for operation in range(2 * len(plan.units) + 1)
    }
    elems = {operation: sum(plan.tensors[number].elems for number in numbers) for operation, numbers in alive.items()}
    most = max(elems, key=lambda operation: elems[operation])
    purposes = _plan.purposes(plan.units, plan.tensors)
    lines = [f"{name}, {column}: {4 * elems[most]:,} bytes are alive at {_operation(most, plan.units)}"]
    for number in sorted(alive[most], key=lambda number: -plan.tensors[number].elems):
        lines.append(f"    {4 * plan.tensors[number].elems:>9,}  {purposes[number]}")
    return "\n".join(lines) + "\n"


def _operation(number: int, units: Sequence[Any]) -> str:
    if number == len(units):
        return "the loss"
    back = number > len(units)
    unit = units[2 * len(units) - number if back else number]
    return f"{'backward' if back else 'forward'} of layers {unit.begin} to {unit.end - 1}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="as Markdown, bytes / goal; bold where the goal is missed")
    parser.add_argument("--sparse", action="store_true", help="bytes of MobileNetV2 as MCUNetV3 trains it, and the goal")
    parser.add_argument("--peak", choices=NETWORKS, metavar="NETWORK", help="what is alive when most is")
    parser.add_argument("--learns", choices=CASES, default="all", metavar="COLUMN", help="with --peak: the column, default all")
    options = parser.parse_args(arguments)
    if options.peak:
        print(peak(options.peak, options.learns), end="")
        return
    if options.sparse:
        print(f"{sparse_bytes()},{SPARSE_GOAL}")
        return
    if options.table:
        print(table(rows()), end="")
        return
    writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows())


if __name__ == "__main__":
    main()
