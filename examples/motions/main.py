"""A motion sensor is mounted another way round: its network learns that on an emulated nRF52840, with the bits of the PC.

    python examples/motions/main.py

A network tells from 5 seconds of accelerometer and gyroscope whether somebody stands, walks, runs or plays badminton. Then the
sensor sits turned: by a quarter and a tilt. The firmware for an nRF52840 learns from a few windows with labels that come in on
the board, and goes over old ones, which it has in flash. Python does the same, compares the bits, and does it for five seeds.
The data are BasicMotions, which the package aeon brings. docs/motions.md has the picture.
"""

from __future__ import annotations

import importlib.util
import re
import statistics
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

import convgrad_embedded as cge

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import demo  # noqa: E402
import samples  # noqa: E402
from demo import percent, say  # noqa: E402

OUT = demo.ROOT / "build" / "motions"

MOTIONS = ("Standing", "Walking", "Running", "Badminton")
LENGTH, STEP, CHANNELS = 50, 25, 6  # samples of a window, and from one to the next; 10 samples are a second
COUNTS = 512  # of the 16-bit numbers that the sensor gives, for 1 m/s2 and for 1 rad/s
SCALE = np.repeat(np.float32([1 / 2048, 1 / 1024]), 3)  # from counts to what the network reads

SEEDS = range(5)  # each a network, a mounting and a choice of windows
EPOCHS, PRETRAINING_BATCH, PRETRAINING_RATE, TURNED_EPOCHS = 30, 16, 0.005, 60
TILT = np.deg2rad(20)  # beside the quarter turn
RECORDINGS = 4  # of each motion that the board learns from, the other six test
NEW, OLD = 6, 6  # windows of each motion: with labels on the board, and in flash
CURVE = (1, 2, 4, NEW, 10)
PASSES, LEARNING_RATE, MOMENTUM = 20, 0.003, 0.9  # over old and new windows, each a step
BOARD_TEST = 10  # windows of each motion that the board reads, in either orientation

BOARD, EMULATED_ON = "nrf52840dk", "mps2_an386"  # QEMU's M4F with flash and RAM at the same addresses

Windows = NDArray[np.int16]
Labels = NDArray[np.int32]
Samples = tuple[Windows, Labels]
Series = tuple[NDArray[np.float64], Labels]


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    began = time.perf_counter()
    OUT.mkdir(parents=True, exist_ok=True)
    recordings, others = load()
    say(f"1. Python learns {len(MOTIONS)} motions from {len(recordings[0])} recordings, with {len(SEEDS)} seeds")
    studies = [Study(seed, recordings, others) for seed in SEEDS]
    say(f"   the sensor as it was, and turned: {medians([study.before for study in studies])}")
    say(f"   had it been trained with windows turned at random: {medians([study.foreseen() for study in studies])}")

    say(f"2. It learns on from {NEW} turned windows of each motion")
    curves = {name: {new: results_of(studies, new, **way) for new in CURVE} for name, way in WAYS.items()}
    for name, curve in curves.items():
        say(f"   {name}: {medians(curve[NEW])}")
    for new in CURVE:
        say(f"   {new:>2} of each: " + ", ".join(percent(medians(curve[new]).turned) for curve in curves.values()))
    draw(studies[0], curves, medians([study.before for study in studies]))

    say(f"3. Firmware for the nRF52840, run by QEMU's {EMULATED_ON}")
    demo.require_tools()
    for study in studies:
        compare(study)
    say(f"\nEqual, bit for bit, on board and PC. {demo.took(began)}")


# ---- what the sensor gives -------------------------------------------------------------------------------------------


def load() -> tuple[Series, Series]:
    """Recordings to train with, and others."""
    spec = importlib.util.find_spec("aeon")
    if spec is None or spec.origin is None:
        sys.exit("This example needs the data of aeon: pip install --no-deps aeon")
    folder = Path(spec.origin).parent / "datasets" / "data" / "BasicMotions"
    return read(folder / "BasicMotions_TRAIN.ts"), read(folder / "BasicMotions_TEST.ts")


def read(path: Path) -> Series:
    """(N, T, 6) in m/s2 and rad/s, and the motions."""
    lines = path.read_text().splitlines()
    rows = [line.rsplit(":", 1) for line in lines[lines.index("@data") + 1 :]]
    series = [[channel.split(",") for channel in text.split(":")] for text, _ in rows]
    return np.array(series, float).transpose(0, 2, 1), np.array([MOTIONS.index(name) for _, name in rows], np.int32)


def windows(recordings: Series) -> Samples:
    """As the sensor's 16-bit numbers."""
    series, labels = recordings
    begins = range(0, series.shape[1] - LENGTH + 1, STEP)
    cut = np.concatenate([series[:, begin : begin + LENGTH] for begin in begins])
    return as_counts(cut * COUNTS), np.tile(labels, len(begins))


def as_counts(numbers: NDArray[np.float64]) -> Windows:
    return np.clip(np.rint(numbers), -32768, 32767).astype(np.int16)


def numbers_of(counts: Windows) -> NDArray[np.float32]:
    """What the network reads. The firmware computes it in the same way."""
    return counts * SCALE


# ---- how it is mounted -----------------------------------------------------------------------------------------------


def rotation(axis: ArrayLike, angle: float) -> NDArray[np.float64]:
    """A matrix of 3 x 3, by Rodrigues' formula."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def mounting(rng: np.random.Generator) -> NDArray[np.float64]:
    """A quarter turn round one of the axes, and a tilt in any direction."""
    quarter = rotation(np.eye(3)[rng.integers(3)], np.pi / 2 * rng.choice([-1, 1]))
    return rotation(rng.normal(size=3), TILT) @ quarter


def turned(counts: Windows, turns: NDArray[np.float64]) -> Windows:
    """What the sensor gives when it is turned: both of its parts are. `turns` is one matrix, or one for each window."""
    both = counts.reshape(*counts.shape[:2], 2, 3).astype(float)
    return as_counts(np.einsum("...ij,...tpj->...tpi", turns, both).reshape(counts.shape))


# ---- the network -----------------------------------------------------------------------------------------------------


def layers() -> list[cge.Layer]:
    return [
        cge.Conv1d(8, 5, padding="same"), cge.GroupNorm(4), cge.ReLU(), cge.MaxPool1d(2),
        cge.Conv1d(16, 5, padding="same"), cge.GroupNorm(4), cge.ReLU(), cge.MaxPool1d(2),
        cge.GlobalAvgPool2d(), cge.Dense(len(MOTIONS)),
    ]  # fmt: skip


def pretrain(seed: int, data: Samples, turns: np.random.Generator | None = None) -> cge.Network:
    """With `turns`, each window is turned at random in each epoch."""
    network = cge.Network((LENGTH, CHANNELS), layers(), "softmax_cross_entropy", cge.Adam(PRETRAINING_RATE), seed=seed)
    counts, labels = data
    for epoch in range(EPOCHS if turns is None else TURNED_EPOCHS):
        seen = counts if turns is None else turned(counts, any_rotations(turns, len(counts)))
        network.fit(numbers_of(seen), labels, batch_size=PRETRAINING_BATCH, track_accuracy=False, verbose=False)
    return network


def any_rotations(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Uniform over all rotations, as the directions of four normal numbers are over all quaternions."""
    quaternions = rng.normal(size=(count, 4))
    return np.stack([rotation(axis, 2 * np.arctan2(np.linalg.norm(axis), real)) for real, *axis in quaternions])


def learner_of(network: cge.Network, upto: int | None = None, rate: float = LEARNING_RATE) -> cge.Network:
    """With these weights, in the least memory: there each window is a step. `upto`: the last layer that does not learn."""
    optimizer = cge.SGD(rate, momentum=MOMENTUM)
    learner = cge.Network((LENGTH, CHANNELS), layers(), "softmax_cross_entropy", optimizer, memory="smallest")
    learner.set_weights(network.get_weights())
    return learner if upto is None else learner.freeze(upto=upto)


# ---- learning --------------------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """Shares of test windows that are read right."""

    usual: float
    turned: float

    def __str__(self) -> str:
        return f"{percent(self.usual)} as it was, {percent(self.turned)} turned"


class Learned(NamedTuple):
    old: Samples
    new: Samples
    learner: cge.Network
    result: Result


WAYS: dict[str, dict[str, Any]] = {
    "all layers, with old windows": {},
    "all layers, without old windows": {"old": 0},
    "the last layer alone": {"upto": 8, "rate": 0.01},  # the best of 0.003, 0.01, 0.03 and 0.1
}


class Study:
    """A network, how its sensor is turned, and the recordings: of each motion, some of the others are for learning again."""

    def __init__(self, seed: int, recordings: Series, others: Series) -> None:
        rng = np.random.default_rng(seed)
        self.seed, self.turns, self.training = seed, mounting(rng), windows(recordings)
        order = by_motion(rng, others[1])
        on_board, test = order[:, :RECORDINGS].ravel(), order[:, RECORDINGS:].ravel()
        self.on_board, self.test = (windows((others[0][part], others[1][part])) for part in (on_board, test))
        self.new, self.old = by_motion(rng, self.on_board[1]), by_motion(rng, self.training[1])
        self.network = pretrain(seed, self.training)
        self.before = self.result_of(self.network)

    def foreseen(self) -> Result:
        return self.result_of(pretrain(self.seed, self.training, turns=np.random.default_rng(self.seed)))

    def learn(self, new: int = NEW, old: int = OLD, **what: Any) -> Learned:
        """What the firmware does. `what` learns, as learner_of takes it."""
        before, came = part_of(self.training, self.old[:, :old]), part_of(self.on_board, self.new[:, :new])
        came = turned(came[0], self.turns), came[1]
        learner = learner_of(self.network, **what)
        counts, labels = (np.concatenate(both) for both in zip(before, came))
        for epoch in range(PASSES):
            order = cge.data.permutation(len(labels), self.seed, epoch)
            x, y = numbers_of(counts[order]), labels[order]
            learner.fit(x, y, batch_size=1, shuffle=False, track_accuracy=False, verbose=False)
        return Learned(before, came, learner, self.result_of(learner))

    def result_of(self, network: cge.Network) -> Result:
        counts, labels = self.test
        shares = [network.evaluate(numbers_of(each), labels).accuracy for each in (counts, turned(counts, self.turns))]
        assert shares[0] is not None and shares[1] is not None
        return Result(shares[0], shares[1])


def results_of(studies: Sequence[Study], new: int, **way: Any) -> list[Result]:
    return [study.learn(new, **way).result for study in studies]


def by_motion(rng: np.random.Generator, labels: Labels) -> NDArray[np.int64]:
    """A row for each motion: numbers of its samples in random order."""
    return np.stack([rng.permutation(np.flatnonzero(labels == motion)) for motion in range(len(MOTIONS))])


def part_of(data: Samples, rows: NDArray[np.int64]) -> Samples:
    """These samples, motion after motion in turn."""
    numbers = rows.T.ravel()
    return data[0][numbers], data[1][numbers]


def medians(results: Sequence[Result]) -> Result:
    return Result(*(statistics.median(values) for values in zip(*results)))


# ---- the board -------------------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """Of the board's test windows: a CRC-32 of all outputs, and how many were read right, as it was and turned."""

    crc: int
    usual: int
    turned: int


class Run(NamedTuple):
    before: Reading
    after: Reading
    weights: str


def compare(study: Study) -> None:
    learned = study.learn()
    printed = run_firmware(write_firmware(OUT / "generated", study, learned))
    on_pc, on_board = run_of_python(study, learned), run_of(printed)
    *_, (total, _) = demo.sizes_of(printed)
    say(f"   seed {study.seed}: {total:,} bytes, {learned.result}, weights {on_board.weights}")
    if on_board != on_pc:
        sys.exit(f"\nPC and board differ: this is a defect, please report it.\n{on_pc}\n{on_board}")


def board_test(study: Study) -> tuple[Samples, Samples]:
    """Windows of each motion as it was, and the same turned."""
    counts, labels = part_of(study.test, np.stack([np.flatnonzero(study.test[1] == each) for each in range(4)])[:, :BOARD_TEST])
    return (counts, labels), (turned(counts, study.turns), labels)


def run_of_python(study: Study, learned: Learned) -> Run:
    before, after = (reading_of(study, network) for network in (study.network, learned.learner))
    return Run(before, after, learned.learner.weights_hash())


def reading_of(study: Study, network: cge.Network) -> Reading:
    outputs = [(network.predict(numbers_of(counts)), labels) for counts, labels in board_test(study)]
    usual, turned = (int((each.argmax(axis=1) == labels).sum()) for each, labels in outputs)
    return Reading(zlib.crc32(b"".join(each.tobytes() for each, _ in outputs)), usual, turned)


def run_of(printed: str) -> Run:
    """From what the firmware printed."""
    lines = re.findall(r"^(\w+): crc ([0-9a-f]{8}), correct (\d+) (\d+)$", printed, re.MULTILINE)
    readings = {when: Reading(int(crc, 16), int(usual), int(turned)) for when, crc, usual, turned in lines}
    weights = re.search(r"^weights: ([0-9a-f]{16})$", printed, re.MULTILINE)
    if set(readings) != {"before", "after"} or weights is None:
        sys.exit(f"The firmware printed something else than expected:\n{printed}")
    return Run(**readings, weights=weights.group(1))


def run_firmware(generated: Path) -> str:
    demo.build_firmware("motions", generated, board=BOARD)
    return demo.run_firmware("motions", board=EMULATED_ON)


def write_firmware(directory: Path, study: Study, learned: Learned) -> Path:
    """The network as it is before the board learns, windows, and constants for the program."""
    learner_of(study.network).export(directory, name="motions")
    usual, turned = board_test(study)
    parts = {"old": learned.old, "new": learned.new, "usual": usual, "turned": turned}
    arrays = {"scale": SCALE}
    for name, (counts, labels) in parts.items():
        arrays |= {f"{name}_windows": counts.reshape(len(counts), -1), f"{name}_labels": labels}
    counts_of = {f"{name.upper()}_COUNT": len(labels) for name, (_, labels) in parts.items()}
    constants = {**counts_of, "SEED": study.seed, "PASSES": PASSES, "BUDGET_BYTES": budget()}
    samples.write(directory, "examples/motions/main.py", arrays, constants)
    return directory


def budget() -> int:
    """All RAM of the microcontroller, in bytes."""
    text = (demo.ROOT / "toolchains" / f"{BOARD}.mk").read_text(encoding="utf-8")
    return 1024 * int(re.findall(r"^BOARD_RAM_TOTAL_KB = (\d+)$", text, re.MULTILINE)[0])


# ---- the picture -----------------------------------------------------------------------------------------------------


def draw(study: Study, curves: dict[str, dict[int, list[Result]]], before: Result) -> None:
    """build/motions/motions.png: a window before and after the sensor is turned, and accuracy over windows with labels."""
    pyplot = demo.pyplot()
    if pyplot is None:
        return
    figure = pyplot.figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[2, 3])
    counts = study.test[0][study.test[1] == MOTIONS.index("Running")][:1]
    seconds = np.arange(LENGTH) / 10
    views = {"a window of running, sensor as it was": counts, "the same, sensor turned": turned(counts, study.turns)}
    for axes, (title, view) in zip(left.subplots(2, 1, sharex=True, sharey=True), views.items()):
        for channel, name in enumerate("xyz"):
            axes.plot(seconds, view[0, :, channel] / COUNTS, label=name)
        axes.set_title(title, fontsize=10)
        axes.set_ylabel("acceleration, m/s\u00b2")
    axes.set_xlabel("seconds")
    left.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    axes = right.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        for style, which in {"o-": "turned", ":": "usual"}.items():
            values = [statistics.median(getattr(result, which) for result in results) for results in curve.values()]
            axes.plot(list(curve), values, style, color=f"C{number}", label=name if which == "turned" else None)
    axes.axhline(before.turned, color="0.6", label="without learning")
    axes.set(title="Lines: sensor turned. Dotted: as it was", ylim=(0.4, 1.01), xticks=list(CURVE))
    axes.set(xlabel="windows of each motion that the board learns from", ylabel="test accuracy, median of five seeds")
    axes.legend(loc="lower right")
    path = OUT / "motions.png"
    figure.savefig(path, dpi=110)
    say(f"   picture: {path.relative_to(demo.ROOT)}")


if __name__ == "__main__":
    main()
