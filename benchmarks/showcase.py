"""What fits beside a flight controller: bytes of RAM of known networks against the room that there is, as CSV.

    python benchmarks/showcase.py [--table | --explain]

room is what a stock Crazyflie leaves (toolchains/crazyflie21.mk), or 64 KB, all of them or without 8 KB for everything else.
to_train is an arena at the level in `memory`, with the weights of frozen layers in flash. Where an interrupt
predicts meanwhile, to_predict is its arena, with its weights in flash or in `copies` of those that learn. Elsewhere the
network that learns predicts as well, between two steps. frame is of bytes, as a camera gives it. spare is what is left; less
than 0: what is missing. --explain prints what net.plan says where it chose what learns.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

import memory

import convgrad_embedded as cge
from convgrad_embedded import Conv2d, Dense, _boards, _plan, models

Shape = tuple[int, int, int]

SGD, MOMENTUM = cge.SGD(0.01), cge.SGD(0.01, momentum=0.9)
NETWORKS: dict[str, tuple[Shape, list[cge.Layer], str]] = {
    "demo": (*memory.NETWORKS["demo"], "softmax_cross_entropy"),
    "the same on 28x28": (*memory.NETWORKS["the same on 28x28"], "softmax_cross_entropy"),
    "DS-CNN": ((49, 10, 1), list(models.ds_cnn(loss=None).layers), "softmax_cross_entropy"),
    "Frontnet 160x16": ((96, 160, 1), list(models.frontnet(width=16, loss=None).layers), "mean_squared_error"),
}


class Case(NamedTuple):
    network: str
    room: int
    learns: str  # all, last, or what net.plan finds best
    optimizer: cge.SGD
    interrupt: bool  # predicts, with an arena of its own
    copies: int = 0  # of the weights, for it


def crazyflie_bytes() -> int:
    free = _boards.load("crazyflie21").free.ram_bytes
    assert free is not None
    return free


def cases() -> list[Case]:
    crazyflie = crazyflie_bytes()
    return [
        Case("demo", crazyflie, "all", MOMENTUM, interrupt=True, copies=2),
        Case("the same on 28x28", crazyflie, "best", SGD, interrupt=True),
        Case("the same on 28x28", 56 * 1024, "all", SGD, interrupt=True),
        Case("DS-CNN", crazyflie, "last", SGD, interrupt=False),
        Case("DS-CNN", 64 * 1024, "last", SGD, interrupt=False),
        Case("Frontnet 160x16", 64 * 1024, "last", SGD, interrupt=False),
    ]


FIELDS = [
    "network", "parameters", "room", "learns", "optimizer", "memory", "to_train", "to_predict", "copies", "frame", "spare"
]  # fmt: skip


def row(case: Case) -> dict[str, Any]:
    net = build(case)
    shape, learns, level, to_train = net.input_shape, case.learns, net.memory, net.arena_bytes
    to_predict, frame = net.inference_arena_bytes if case.interrupt else 0, prod(shape)
    copies = case.copies * 4 * net.param_count
    if case.learns == "best":
        plan = best_plan(case, net)
        to_train, level = plan.arena_bytes, plan.memory
        learns = _plan.learning_text(dict(zip(plan.trainable, plan.parts)))
    optimizer = "SGD" if case.optimizer.momentum == 0 else "momentum"
    spare = case.room - to_train - to_predict - copies - frame
    values = (
        case.network, net.param_count, case.room, learns, optimizer, level, to_train, to_predict, copies, frame, spare
    )  # fmt: skip
    return dict(zip(FIELDS, values))


def build(case: Case) -> cge.Network:
    shape, layers, loss = NETWORKS[case.network]
    if case.learns == "last":
        layers = [*(_frozen(layer) for layer in layers[:-1]), layers[-1]]
    return cge.Network(shape, layers, loss, case.optimizer, memory="smallest", frozen_in="flash")


def _frozen(layer: cge.Layer) -> cge.Layer:
    options: dict[str, Any] = {"trainable": False}
    return replace(layer, **options) if isinstance(layer, (Conv2d, Dense)) else layer


def best_plan(case: Case, net: cge.Network) -> cge.Plan:
    """What learns best beside a frame and prediction."""
    return net.plan(budget_bytes=case.room - net.inference_arena_bytes - prod(net.input_shape))


def table(figures: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(field.replace('_', ' ') for field in FIELDS)} |", f"|{'---|' * len(FIELDS)}"]
    for figure in figures:
        cells = (f"{value:,}" if isinstance(value, int) else value for value in figure.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="as Markdown")
    parser.add_argument("--explain", action="store_true", help="what net.plan found")
    options = parser.parse_args(arguments)
    if options.explain:
        for case in cases():
            if case.learns == "best":
                print(f"{case.network}, {case.room:,} bytes with a frame and prediction")
                print(best_plan(case, build(case)).explain())
        return
    figures = [row(case) for case in cases()]
    if options.table:
        print(table(figures), end="")
        return
    writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures)


if __name__ == "__main__":
    main()
