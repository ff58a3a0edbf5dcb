"""Bytes of RAM of README's networks at each memory level, as CSV; everything but the stack, on every target alike.

    python benchmarks/memory.py [--table | --parts | --picture]

to_train and to_predict are arenas for one sample at a time; the weights are outside of the second, in flash.
frozen_in_flash is to_train with the weights of frozen layers there. bound is of the activation region while training: no plan
can take less. --table, --parts and --picture print what docs/memory.md shows.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
from collections.abc import Sequence

import convgrad_embedded as cge
from convgrad_embedded import Conv2d, Dense, MaxPool2d, ReLU, _plan

FIELDS = ["network", "parameters", "memory", "optimizer", "to_train", "frozen_in_flash", "to_predict", "bound"]
LEVELS = ["fast", "small", "smallest"]


def _convolutions(frozen: bool = False) -> list[cge.Layer]:
    return [
        Conv2d(8, 3, padding=1, frozen=frozen), ReLU(), MaxPool2d(2),
        Conv2d(16, 3, padding=1, frozen=frozen), ReLU(), MaxPool2d(2),
    ]  # fmt: skip


_LENET = [Conv2d(6, 5), ReLU(), MaxPool2d(2), Conv2d(16, 5), ReLU(), MaxPool2d(2), Dense(120), ReLU(), Dense(84), ReLU()]
NETWORKS: dict[str, tuple[tuple[int, int, int], list[cge.Layer]]] = {
    "demo": ((8, 8, 1), [*_convolutions(), Dense(10)]),
    "demo, learns Dense only": ((8, 8, 1), [*_convolutions(frozen=True), Dense(10)]),
    "the same on 28x28": ((28, 28, 1), [*_convolutions(), Dense(10)]),
    "28x28, learns Dense only": ((28, 28, 1), [*_convolutions(frozen=True), Dense(10)]),
    "LeNet-5-like": ((28, 28, 1), [*_LENET, Dense(10)]),
}
OPTIMIZERS = {"SGD": cge.SGD(0.05), "SGD, momentum": cge.SGD(0.05, momentum=0.9)}


def rows() -> list[dict[str, object]]:
    return [_row(name, level, optimizer) for name in NETWORKS for level in LEVELS for optimizer in OPTIMIZERS]


def _row(name: str, level: str, optimizer: str) -> dict[str, object]:
    shape, layers = NETWORKS[name]
    net = cge.Network(shape, layers, "softmax_cross_entropy", OPTIMIZERS[optimizer], memory=level)
    in_flash = net._model.arena_bytes(training=True, params_outside=True, memory=level)
    sizes = (net.arena_bytes, in_flash, net.inference_arena_bytes, net.bound_bytes)
    values = (name, net.param_count, level, optimizer, *sizes)
    return dict(zip(FIELDS, values))


def table(figures: Sequence[dict[str, object]]) -> str:
    """Markdown: a line a network and level, the optimizers side by side."""
    head = ["network", "memory", "to train", "with momentum", "frozen in flash", "to predict", "bound"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for plain, momentum in zip(figures[::2], figures[1::2]):
        bound = "-" if plain["bound"] is None else f"{plain['bound']:,}"
        in_flash = "-" if plain["frozen_in_flash"] == plain["to_train"] else f"{plain['frozen_in_flash']:,}"
        lines.append(
            f"| {plain['network']} | {plain['memory']} | {plain['to_train']:,} | {momentum['to_train']:,} "
            f"| {in_flash} | {plain['to_predict']:,} | {bound} |"
        )
    return "\n".join(lines) + "\n"


def parts_of(layers: Sequence[cge.Layer], which: str) -> list[cge.Layer]:
    """What learns: "biases", "biases, last layer", "last layer", "last 2 layers"."""
    own = [index for index, layer in enumerate(layers) if hasattr(layer, "trainable")]
    last = {"biases": 0, "last 2 layers": 2}.get(which, 1)
    parts = {index: True if index in own[len(own) - last :] else ("bias" if "biases" in which else False) for index in own}
    return [
        dataclasses.replace(layer, trainable=parts[index]) if index in parts else layer  # type: ignore[call-arg]
        for index, layer in enumerate(layers)
    ]


PARTS = ("biases", "last layer", "biases, last layer", "last 2 layers")


def parts_table() -> str:
    """Markdown: bytes to train where the constant parameters stay in flash, plain SGD."""
    lines = [f"| network | memory | {' | '.join(PARTS)} |", f"|---|---|{'---|' * len(PARTS)}"]
    for name in (name for name in NETWORKS if "only" not in name):
        shape, layers = NETWORKS[name]
        for level in LEVELS:
            sizes = [
                cge.Network(
                    shape, parts_of(layers, which), "softmax_cross_entropy", OPTIMIZERS["SGD"], memory=level, frozen_in="flash"
                ).arena_bytes
                for which in PARTS
            ]
            lines.append(f"| {name} | {level} | {' | '.join(f'{size:,}' for size in sizes)} |")
    return "\n".join(lines) + "\n"


def picture(name: str, level: str) -> str:
    """When each tensor of a plan is alive, four characters an operation: = as it is, - replaced by its gradient."""
    shape, layers = NETWORKS[name]
    net = cge.Network(shape, layers, "softmax_cross_entropy", OPTIMIZERS["SGD"], memory=level)
    plan = net._model.plan(level, training=True)
    assert plan is not None
    return "".join(f"    {line}\n" for line in _plan.timeline(plan))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="as Markdown")
    parser.add_argument("--parts", action="store_true", help="by what learns, with the rest in flash, as Markdown")
    parser.add_argument("--picture", action="store_true", help="of a plan's lifetimes")
    options = parser.parse_args(arguments)
    if options.parts:
        print(parts_table(), end="")
        return
    if options.table or options.picture:
        print(table(rows()) if options.table else picture("the same on 28x28", "smallest"), end="")
        return
    writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows())


if __name__ == "__main__":
    main()
