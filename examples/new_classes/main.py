"""Learn two classes on an emulated flight controller that the network has never seen, and keep the other eight.

    python examples/new_classes/main.py

Python trains a network on eight of the ten classes of Fashion-MNIST. The firmware for the STM32F405 of a Crazyflie 2.1 learns
the two others from 50 pictures each, in 64 KB of RAM and in what the drone's own firmware leaves; Python does the same, and the
bits are compared. Five pairs of classes take their turn. The data are Debian's package dataset-fashion-mnist. What comes out
is told in docs/new_classes.md, which has the picture.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import convgrad_embedded as cge

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import demo  # noqa: E402
import samples  # noqa: E402
from demo import percent, say  # noqa: E402

OUT = demo.ROOT / "build" / "new_classes"

CLASSES, SIDE = 10, 28
PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))  # what is new; each class once
CHOICES = 5  # of the pictures, for each pair
THREADS = min(4, os.cpu_count() or 1)
EPOCHS, PRETRAINING_BATCH, PRETRAINING_RATE = 8, 64, 0.05
NEW_COUNT, TEST_COUNT = 50, 10  # pictures of each new class; pictures of each class to test with on the board
PASSES, LEARNING_RATE = 10, 0.02  # over what the replay memory holds, each sample a step

FEATURE_SCALE = 1 / 32  # of a byte; the front's outputs are 0 .. 6
BUDGETS = {"64 KB": 65_536, "Crazyflie": demo.drone_budget()[0]}
PLAN_CURVE = (32_768, BUDGETS["Crazyflie"], 49_152, BUDGETS["64 KB"], 98_304, 131_072)
CURVE = (24_576, 28_672, 32_768, BUDGETS["Crazyflie"], 49_152, BUDGETS["64 KB"], 98_304, 131_072)
FRAME_BYTES = SIDE * SIDE * (1 + 4)  # as the camera writes it, and as numbers
TICKS = (24, 32, 48, 64, 96, 128)  # 1,024 bytes
OTHER_BYTES = 3_968  # states of two networks, the front's outputs as numbers, the stack; the firmware measures them

Pictures = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Labels = NDArray[np.int32]
Samples = tuple[Pictures, Labels]


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    began = time.perf_counter()
    OUT.mkdir(parents=True, exist_ok=True)
    training, test = cge.datasets.load_fashion_mnist()
    say(f"1. Python learns eight classes, five times, in {EPOCHS} epochs")
    studies = []
    for seed, pair in enumerate(PAIRS):
        network = pretrain(training, pair, seed)
        studies.append(Study(network, pair, training, test))
        say(f"   without {pair}: reads {percent(studies[-1].before.old)} of the eight others")

    say("2. The two others, from 50 pictures each: medians of all pairs and choices of pictures")
    say(f"   before: {medians([study.before for study in studies])}")
    curves = {budget: curve_point(studies, budget) for budget in CURVE}
    for budget, results in curves.items():
        say(f"   {budget:>7,} bytes, {slots_in(budget, studies[0]):>3} slots: {medians(results)}")
    alone = [study.learn(BUDGETS["64 KB"], seed, replays=False).result for study in studies for seed in range(CHOICES)]
    say(f"   without replay: {medians(alone)}")
    say("   Pictures in place of features, and the layers that Network.plan lets learn:")
    planned = {budget: [study.learn_by_plan(budget, 0) for study in studies] for budget in PLAN_CURVE}
    for budget, points in planned.items():
        say(f"   {budget:>7,} bytes, {learns(points[0][0])}: {medians([result for _, result in points])}")
    draw(curves, alone, {budget: [result for _, result in points] for budget, points in planned.items()})

    say(f"3. Firmware for the STM32F405, as QEMU has it ({demo.BOARD})")
    demo.require_tools()
    for name, budget in BUDGETS.items():
        for study in studies:
            compare(study, name, budget)
    say(f"\nEqual, bit for bit, on board and PC. {demo.took(began)}")


# ---- the network -----------------------------------------------------------------------------------------------------


def layers() -> list[cge.Layer]:
    return [
        cge.Conv2d(8, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
        cge.Conv2d(24, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
        cge.Conv2d(16, 3, padding=1), cge.ReLU6(), cge.MaxPool2d(2),
        cge.Dense(CLASSES),
    ]  # fmt: skip


def pretrain(data: Samples, pair: Sequence[int], seed: int) -> cge.Network:
    """On all classes but two, whose outputs are there already."""
    x, y = without(data, pair)
    steps = EPOCHS * -(-len(x) // PRETRAINING_BATCH)
    rate = cge.schedules.Cosine(PRETRAINING_RATE, steps=steps, warm_up=min(200, steps // 2))
    network = cge.Network(
        (SIDE, SIDE, 1), layers(), "softmax_cross_entropy", cge.SGD(rate, momentum=0.9), seed=seed, threads=THREADS
    )
    augment = cge.data.Augmentation(shift=1, flip_horizontal=0.5)
    for epoch in range(EPOCHS):
        pictures = augment(x, seed, epoch * len(x))
        network.fit(pictures, y, batch_size=PRETRAINING_BATCH, track_accuracy=False, verbose=False)
    return network


def without(data: Samples, pair: Sequence[int]) -> Samples:
    kept = ~np.isin(data[1], pair)
    return data[0][kept], data[1][kept]


def front_of(network: cge.Network) -> cge.Network:
    """All but the last layer; it predicts."""
    front = cge.Network((SIDE, SIDE, 1), layers()[:-1], memory="smallest")
    front.set_weights(network.get_weights()[:-2])
    return front


def tail_of(network: cge.Network, steps: int) -> cge.Network:
    """The last layer, which learns from bytes, in the least memory: there each sample is a step."""
    features = network.get_weights()[-2].shape[0]
    optimizer = cge.SGD(cge.schedules.Cosine(LEARNING_RATE, steps=steps))
    tail = cge.Network(
        (features,), [cge.Dense(CLASSES)], "softmax_cross_entropy", optimizer, input_scale=FEATURE_SCALE, memory="smallest"
    )
    tail.set_weights(network.get_weights()[-2:])
    return tail


def features_of(network: cge.Network, pictures: Pictures) -> Bytes:
    """What the firmware keeps of a picture."""
    outputs = network.predict(pictures, upto=-2).reshape(len(pictures), -1)
    scaled: Bytes = (outputs * np.float32(1 / FEATURE_SCALE) + np.float32(0.5)).astype(np.uint8)
    return scaled


# ---- learning --------------------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """Shares of test pictures that are read right."""

    all: float
    old: float
    new: float

    def __str__(self) -> str:
        return f"{percent(self.all)} of all ten classes, old {percent(self.old)}, new {percent(self.new)}"


class Choice(NamedTuple):
    """What a run learns from: numbers of pictures of the new classes, and of old ones for the replay memory to begin with."""

    seed: int
    slots: int
    new: NDArray[np.int64]
    old: NDArray[np.int64]


class Learned(NamedTuple):
    choice: Choice
    tail: cge.Network
    result: Result


class Study:
    """A network that knows eight classes, and the data."""

    def __init__(self, network: cge.Network, pair: Sequence[int], training: Samples, test: Samples) -> None:
        self.network, self.pair, self.training, self.test = network, pair, training, test
        self.test_features = features_of(network, test[0])
        self.before = self.result_of(tail_of(network, steps=1))

    def learn(self, budget: int, seed: int, replays: bool = True) -> Learned:
        """What the firmware does."""
        choice = self.choose(seed, slots_in(budget, self), replays)
        memory = self.remember(choice, partial(features_of, self.network))
        tail = tail_of(self.network, PASSES * len(memory))
        go_over(memory, tail, seed)
        return Learned(choice, tail, self.result_of(tail))

    def learn_by_plan(self, budget: int, seed: int) -> tuple[cge.Plan, Result]:
        """With pictures in place of features, in a third of the bytes. Network.plan says which layers learn in the rest."""
        slots = budget // 3 // (SIDE * SIDE + 4)
        memory = self.remember(self.choose(seed, slots), lambda pictures: pictures)
        optimizer = cge.SGD(cge.schedules.Cosine(LEARNING_RATE, steps=PASSES * slots))
        whole = partial(cge.Network, (SIDE, SIDE, 1), layers(), "softmax_cross_entropy", optimizer)
        room = budget - slots * (SIDE * SIDE + 4) - FRAME_BYTES - OTHER_BYTES
        plan = whole().plan(budget_bytes=room, frozen_in="flash")
        network = whole(plan=plan)
        network.set_weights(self.network.get_weights())
        go_over(memory, network, seed)
        quick = whole()
        quick.set_weights(network.get_weights())
        return plan, self.result_from(quick.predict(self.test[0]))

    def choose(self, seed: int, slots: int, replays: bool = True) -> Choice:
        rng = np.random.default_rng(seed)
        draw = partial(draw_class, rng, self.training[1])
        new = rng.permutation(np.concatenate([draw(label, NEW_COUNT) for label in self.pair]))
        known = [label for label in range(CLASSES) if label not in self.pair]
        each = -(-slots // len(known))
        old = np.stack([draw(label, each) for label in known], axis=1).ravel()
        return Choice(seed, slots, new, old[: slots if replays else 0])

    def remember(self, choice: Choice, view: Callable[[Pictures], NDArray[Any]]) -> cge.data.ReplayBuffer:
        """First the old ones, then the new ones as they come."""
        numbers = np.concatenate([choice.old, choice.new])
        views = view(self.training[0][numbers])
        memory = cge.data.ReplayBuffer(choice.slots, views.shape[1:], views.dtype, classes=CLASSES, seed=choice.seed)
        for x, y in zip(views, self.training[1][numbers]):
            memory.add(x, y)
        return memory

    def result_of(self, tail: cge.Network) -> Result:
        return self.result_from(tail.predict(self.test_features))

    def result_from(self, outputs: NDArray[np.float32]) -> Result:
        right = outputs.argmax(axis=1) == self.test[1]
        shares = np.array([right[self.test[1] == label].mean() for label in range(CLASSES)])
        is_new = np.isin(np.arange(CLASSES), self.pair)
        return Result(float(shares.mean()), float(shares[~is_new].mean()), float(shares[is_new].mean()))


def go_over(memory: cge.data.ReplayBuffer, network: cge.Network, seed: int) -> None:
    """PASSES times over all that is held, each sample a step."""
    for epoch in range(PASSES):
        order = cge.data.permutation(len(memory), seed, epoch)
        x, y = memory.samples[order], memory.labels[order]
        network.fit(x, y, batch_size=1, shuffle=False, track_accuracy=False, verbose=False)


def draw_class(rng: np.random.Generator, labels: Labels, label: int, count: int) -> NDArray[np.int64]:
    return rng.choice(np.flatnonzero(labels == label), count, replace=False)


def slots_in(budget: int, study: Study) -> int:
    """Of the replay memory: as many as the rest leaves room for, each with its label."""
    front, tail = front_of(study.network), tail_of(study.network, steps=1)
    features = tail.input_shape[0]
    taken = front.inference_arena_bytes + tail.arena_bytes + FRAME_BYTES + OTHER_BYTES
    return (budget - taken) // (features + 4)


def curve_point(studies: Sequence[Study], budget: int) -> list[Result]:
    return [study.learn(budget, seed).result for study in studies for seed in range(CHOICES)]


def learns(plan: cge.Plan) -> str:
    parts = {True: "all", "bias": "biases"}
    return ", ".join(f"layer {layer} {parts.get(part, part)}" for layer, part in zip(plan.trainable, plan.parts))


def medians(results: Sequence[Result]) -> Result:
    return Result(*(statistics.median(values) for values in zip(*results)))


# ---- the board -------------------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """Of the board's test pictures: a CRC-32 of all outputs, and how many of each class were read right."""

    crc: int
    correct: tuple[int, ...]


class Run(NamedTuple):
    before: Reading
    after: Reading
    weights: str


def compare(study: Study, name: str, budget: int) -> None:
    learned = study.learn(budget, seed=0)
    generated = write_firmware(OUT / "generated", study, learned, budget)
    printed = run_firmware(generated)
    on_pc, on_board = run_of_python(study, learned), run_of(printed)
    *_, (total, _) = demo.sizes_of(printed)
    say(f"   {name}, {study.pair}: {total:,} bytes, {learned.result}, weights {on_board.weights}")
    if on_board != on_pc:
        sys.exit(f"\nPC and board differ: this is a defect, please report it.\n{on_pc}\n{on_board}")


def board_test(study: Study) -> Samples:
    """The first test pictures of each class."""
    x, y = study.test
    chosen = np.concatenate([np.flatnonzero(y == label)[:TEST_COUNT] for label in range(CLASSES)])
    return x[chosen], y[chosen]


def run_of_python(study: Study, learned: Learned) -> Run:
    tails = tail_of(study.network, steps=1), learned.tail
    before, after = (reading_of(study, tail) for tail in tails)
    return Run(before, after, learned.tail.weights_hash())


def reading_of(study: Study, tail: cge.Network) -> Reading:
    pictures, labels = board_test(study)
    outputs = tail.predict(features_of(study.network, pictures))
    right = labels[outputs.argmax(axis=1) == labels]
    return Reading(zlib.crc32(outputs.tobytes()), tuple(np.bincount(right, minlength=CLASSES).tolist()))


def run_of(printed: str) -> Run:
    """From what the firmware printed."""
    lines = re.findall(r"^(\w+): crc ([0-9a-f]{8}), correct ([\d ]+)$", printed, re.MULTILINE)
    readings = {when: Reading(int(crc, 16), tuple(map(int, correct.split()))) for when, crc, correct in lines}
    weights = re.search(r"^weights: ([0-9a-f]{16})$", printed, re.MULTILINE)
    if set(readings) != {"before", "after"} or weights is None:
        sys.exit(f"The firmware printed something else than expected:\n{printed}")
    return Run(**readings, weights=weights.group(1))


def run_firmware(generated: Path) -> str:
    demo.build_firmware("new_classes", generated)
    return demo.run_firmware("new_classes")


def write_firmware(directory: Path, study: Study, learned: Learned, budget: int) -> Path:
    """Both networks as they are before the board learns, pictures and features, and constants for the program."""
    choice, steps = learned.choice, learned.tail.step_count
    (new, new_labels), (old, old_labels) = ((study.training[0][each], study.training[1][each]) for each in choice[2:])
    front_of(study.network).export(directory, name="front")
    tail_of(study.network, steps).export(directory, name="tail")
    test = board_test(study)
    arrays: dict[str, NDArray[Any]] = {
        "new_pictures": pixels_of(new), "new_labels": new_labels,
        "old_features": features_of(study.network, old), "old_labels": old_labels,
        "test_pictures": pixels_of(test[0]), "test_labels": test[1],
    }  # fmt: skip
    constants = {
        "SLOTS": choice.slots, "SEED": choice.seed, "PASSES": PASSES, "BUDGET_BYTES": budget,
        "NEW_COUNT": len(new), "OLD_COUNT": len(old), "TEST_COUNT": len(test[1]),
    }  # fmt: skip
    samples.write(directory, "examples/new_classes/main.py", arrays, constants)
    return directory


def pixels_of(pictures: Pictures) -> Bytes:
    """As the camera has them; the network takes 1/256 of that."""
    pixels: Bytes = (pictures * 256).astype(np.uint8).reshape(len(pictures), -1)
    return pixels


# ---- the picture -----------------------------------------------------------------------------------------------------


def draw(curves: dict[int, list[Result]], alone: Sequence[Result], planned: dict[int, list[Result]]) -> None:
    """build/new_classes/new_classes.png: accuracy over bytes."""
    pyplot = demo.pyplot()
    if pyplot is None:
        return
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    budgets = [budget / 1024 for budget in curves]
    for number, (name, label) in enumerate({"all": "all ten", "old": "the eight old", "new": "the two new"}.items()):
        values = [[getattr(result, name) for result in results] for results in curves.values()]
        axes.plot(budgets, [statistics.median(each) for each in values], "o-", color=f"C{number}", label=label)
        quartiles = np.quantile(values, [0.25, 0.75], axis=1)
        axes.fill_between(budgets, *quartiles, color=f"C{number}", alpha=0.15)
        axes.axhline(getattr(medians(alone), name), color=f"C{number}", linestyle=":")
    pictures = [medians(results).all for results in planned.values()]
    axes.plot([budget / 1024 for budget in planned], pictures, "kx--", label="all ten, with pictures in place of features")
    for name, budget in BUDGETS.items():
        axes.axvline(budget / 1024, color="0.7", zorder=0)
        axes.annotate(f" {name}", (budget / 1024, 0.42), color="0.4")
    axes.set(title="Two new classes, 50 pictures each. Dotted: without replay", xscale="log")
    axes.set(xlabel="KB of RAM, everything counted", ylabel="test accuracy, median and quartiles", ylim=(0.4, 1))
    axes.set_xticks(TICKS, labels=map(str, TICKS))
    axes.minorticks_off()
    figure.legend(loc="outside lower center", ncols=2)
    path = OUT / "new_classes.png"
    figure.savefig(path, dpi=120)
    say(f"   picture: {path.relative_to(demo.ROOT)}")


if __name__ == "__main__":
    main()
