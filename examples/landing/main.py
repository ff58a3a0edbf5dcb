"""A landing camera whose lens gets dirty learns again in the air: on an emulated flight controller, with the bits of the PC.

    python examples/landing/main.py

The example renders what a camera sees of a landing pad: 64x64 grey pixels, over ground that is another one in each frame. A
network tells where the pad is and how high the drone. Then the lens gets dirty and evening comes. The firmware for the
STM32F405 of a Crazyflie 2.1 goes on learning from frames whose offset it knows from its own motion, each frame once, as it
comes. Python does the same, compares the bits, and lets both networks land. docs/landing.md has the picture.
"""

from __future__ import annotations

import re
import sys
import time
import zlib
from collections.abc import Sequence
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
from demo import say  # noqa: E402

OUT = demo.ROOT / "build" / "landing"

SIDE, FOCAL = 64, 56.0  # pixels
LOWEST, HIGHEST, WIDEST = 0.6, 4.0, 0.35  # metres, and the pad's offset in metres per metre of height
FRAMES, EPOCHS, BATCH, RATE = 8_000, 10, 32, 0.02
FLIGHT_COUNT, FLIGHT_RATE = 180, 0.02  # frames of learning again, each a step
MOTION_ERROR = 0.02  # standard deviation of what the drone knows from its own motion, in metres
TEST_COUNT, BOARD_TEST_COUNT = 1_000, 20

BUDGET_BYTES = 65_536
OTHER_BYTES = 3_072  # the network's state and the stack; the firmware measures them

DRONES, SECONDS, STEP = 30, 24.0, 0.1
KNOWN, UNKNOWN, CUTOUTS = ("brick", "gravel"), ("grass",), 6  # scikit-image's: those to learn from, to test on; of each

FALL, WIND = 0.3, 0.1  # metres a second
HAND_OVER, GROUND = 1.0, 0.3  # metres: where another sensor takes over; where the legs touch

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.float32]


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    began = time.perf_counter()
    OUT.mkdir(parents=True, exist_ok=True)

    say(f"1. Python learns from {FRAMES:,} frames through a clean lens")
    photographs = of_textures()
    known, unknown = ([photographs[name] for name in names if name in photographs] for names in (KNOWN, UNKNOWN))
    lens, elsewhere = dirty(0), World(seed=2, photographs=unknown)
    network = train(World(seed=1, photographs=known))
    places = some_places(np.random.default_rng(1), TEST_COUNT)
    clean, test = (elsewhere.render(np.random.default_rng(2), places, each) for each in (CLEAN, lens))
    say(f"   {error_of(network, clean)}")

    say("2. The lens gets dirty and evening comes: Python learns again")
    flight = fly(World(seed=3, photographs=known), lens, FLIGHT_COUNT)
    learned = learn(network, flight)
    say(f"   before: {error_of(network, test)}")
    say(f"   after {FLIGHT_COUNT} frames: {error_of(learned, test)}")

    say(f"3. {DRONES} descents")
    cases = {"clean lens": (network, CLEAN), "dirty lens": (network, lens), "dirty lens, learned": (learned, lens)}
    tracks = {name: descend(each, elsewhere, through) for name, (each, through) in cases.items()}
    for name, track in tracks.items():
        say(f"   {name}: {landing_of(track)}")
    draw(clean, test, tracks)

    say(f"4. Firmware for the STM32F405, as QEMU has it ({demo.BOARD})")
    demo.require_tools()
    on_pc = run_of_python(network, learned, test)
    printed = run_firmware(write_firmware(OUT / "generated", network, flight, test))
    on_board = run_of(printed)
    say("\n".join(f"   {size:>6,} bytes {what}" for size, what in demo.sizes_of(printed)))
    for where, what in {"board": on_board, "PC   ": on_pc}.items():
        say(f"   {where}  weights {what.weights}")
    if on_board != on_pc:
        sys.exit("\nPC and board differ: this is a defect, please report it.")
    say(f"\nEqual, bit for bit, after {FLIGHT_COUNT} training steps on each. {demo.took(began)}")


# ---- what the camera sees --------------------------------------------------------------------------------------------


class Frames(NamedTuple):
    pictures: Bytes  # (N, 64, 64, 1)
    places: Numbers  # (N, 3): metres from the pad to the right and to the front, and above it


class Lens(NamedTuple):
    """What comes between the world and the bytes: a share of the light for each pixel, and what is added."""

    passes: Numbers
    adds: Numbers


CLEAN = Lens(np.ones((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.float32))


def smooth(rng: np.random.Generator, size: int, cells: int) -> Numbers:
    """Noise between 0 and 1 that repeats at its edges: random numbers at cells x cells points, and curves between them."""
    grid = rng.random((cells, cells))
    at = np.arange(size) * cells / size
    low, part = at.astype(int), at % 1
    part = part * part * (3 - 2 * part)
    rows = grid[low] * (1 - part[:, None]) + grid[(low + 1) % cells] * part[:, None]
    return (rows[:, low] * (1 - part) + rows[:, (low + 1) % cells] * part).astype(np.float32)


def dirty(seed: int) -> Lens:
    """Smears that keep light off, a haze that adds some, and evening."""
    rng = np.random.default_rng(seed)
    smears = smooth(rng, SIDE, 6) * smooth(rng, SIDE, 11)
    passes = 0.55 * (1 - 0.9 * np.clip(4 * smears - 1, 0, 1))
    return Lens(passes.astype(np.float32), 0.25 * smooth(rng, SIDE, 3))


def of_textures() -> dict[str, Numbers]:
    """scikit-image's photographs of grounds, 0 to 1; none, with a hint, where it is not installed."""
    try:
        from skimage import data
    except ImportError:
        say("   no photographs among the grounds: pip install scikit-image")
        return {}
    return {name: getattr(data, name)().astype(np.float32) / 256 for name in (*KNOWN, *UNKNOWN)}


def cut_out(rng: np.random.Generator, photograph: Numbers, side: int) -> Numbers:
    """A square of it and its mirror images, 2 * side in each direction: so it repeats at its edges."""
    top, left = (rng.integers(size - side) for size in photograph.shape)
    tile = photograph[top : top + side, left : left + side]
    row = np.concatenate([tile, tile[:, ::-1]], axis=1)
    return np.concatenate([row, row[::-1]])


class World:
    """Grounds of several kinds, and the pad: a white disk of 1 m with a black ring and a black centre."""

    SIZE, METRES = 256, 8.0

    def __init__(self, seed: int, grounds: int = 24, photographs: Sequence[Numbers] = ()) -> None:
        rng = np.random.default_rng(seed)
        self.grounds = []
        for _ in range(grounds):
            octaves = [smooth(rng, self.SIZE, cells) / strength for strength, cells in ((1, 5), (1.5, 13), (2, 31), (2.5, 90))]
            total = sum(octaves)
            low, high = np.sort(rng.uniform(0.1, 0.75, 2))
            self.grounds.append(low + (high - low) * (total - total.min()) / (total.max() - total.min()))
        for photograph in photographs:
            self.grounds += [cut_out(rng, photograph, self.SIZE // 2) for _ in range(CUTOUTS)]

    def render(self, rng: np.random.Generator, places: Numbers, lens: Lens = CLEAN) -> Frames:
        pictures = np.stack([self._frame(rng, place, lens) for place in places])
        return Frames(pictures[..., None], places)

    def _frame(self, rng: np.random.Generator, place: Numbers, lens: Lens) -> Bytes:
        right, front, height = place
        steps = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) / FOCAL * height
        x, y = steps[None, :] + right, steps[:, None] + front  # on the ground, from the pad's centre
        shift, ground = rng.random(2) * self.METRES, self.grounds[rng.integers(len(self.grounds))]
        cell = [((along + by) * (self.SIZE / self.METRES)).astype(int) % self.SIZE for along, by in zip((y, x), shift)]
        light = ground[cell[0], cell[1]]
        distance, soft = np.hypot(x, y), height / FOCAL
        for radius, shade in ((0.5, 0.95), (0.38, 0.05), (0.26, 0.95), (0.12, 0.05)):
            covers = np.clip((radius - distance) / soft + 0.5, 0, 1)
            light = light * (1 - covers) + shade * covers
        light = light * rng.uniform(0.8, 1.0) * lens.passes + lens.adds + rng.normal(0, 0.01, light.shape)
        seen: Bytes = np.clip(light * 256, 0, 255).astype(np.uint8)
        return seen


def some_places(rng: np.random.Generator, count: int) -> Numbers:
    """With the pad in sight, as often near the ground as far."""
    height = LOWEST * (HIGHEST / LOWEST) ** rng.random(count)
    offsets = rng.uniform(-WIDEST, WIDEST, (count, 2)) * height[:, None]
    return np.column_stack([offsets, height]).astype(np.float32)


# ---- the network -----------------------------------------------------------------------------------------------------


def targets_of(places: Numbers) -> Numbers:
    """What the network puts out: metres per metre of height, and the height's logarithm."""
    right, front, height = places.T
    return np.column_stack([4 * right / height, 4 * front / height, np.log2(height)]).astype(np.float32)


def places_of(outputs: Numbers) -> Numbers:
    height = np.exp2(outputs[:, 2])
    return np.column_stack([outputs[:, 0] * height / 4, outputs[:, 1] * height / 4, height]).astype(np.float32)


def layers() -> list[cge.Layer]:
    return [
        cge.Conv2d(8, 3, stride=2, padding=1), cge.ReLU(), cge.MaxPool2d(2),
        cge.Conv2d(16, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
        cge.Conv2d(16, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
        cge.Dense(32), cge.ReLU(),
        cge.Dense(3),
    ]  # fmt: skip


def train(world: World) -> cge.Network:
    rng = np.random.default_rng(0)
    frames = world.render(rng, some_places(rng, FRAMES))
    steps = EPOCHS * -(-FRAMES // BATCH)
    rate = cge.schedules.Cosine(RATE, steps=steps, warm_up=min(100, steps // 2))
    network = cge.Network((SIDE, SIDE, 1), layers(), "mse", cge.SGD(rate, momentum=0.9), seed=0, input_scale=1 / 256)
    network.fit(frames.pictures, targets_of(frames.places), epochs=EPOCHS, batch_size=BATCH, verbose=False)
    return network


# ---- learning again --------------------------------------------------------------------------------------------------


class Flight(NamedTuple):
    """Frames, and what the drone thinks that the network should tell of them."""

    pictures: Bytes
    targets: Numbers


def fly(world: World, lens: Lens, count: int) -> Flight:
    rng = np.random.default_rng(4)
    frames = world.render(rng, some_places(rng, count), lens)
    known = frames.places + rng.normal(0, MOTION_ERROR, frames.places.shape).astype(np.float32)
    return Flight(frames.pictures, targets_of(known))


def learner_of(network: cge.Network, steps: int) -> cge.Network:
    """With these weights; what learns is what the budget has room for."""
    optimizer = cge.SGD(cge.schedules.Cosine(FLIGHT_RATE, steps=steps))
    make = partial(cge.Network, (SIDE, SIDE, 1), layers(), "mse", optimizer, input_scale=1 / 256)
    plan = make().plan(budget_bytes=BUDGET_BYTES - SIDE * SIDE - OTHER_BYTES, frozen_in="flash")
    learner: cge.Network = make(plan=plan)
    learner.set_weights(network.get_weights())
    return learner


def learn(network: cge.Network, flight: Flight) -> cge.Network:
    learner = learner_of(network, len(flight.pictures))
    learner.fit(flight.pictures, flight.targets, batch_size=1, shuffle=False, verbose=False)
    return learner


def error_of(network: cge.Network, frames: Frames) -> str:
    told = places_of(network.predict(frames.pictures))
    miss = np.hypot(*(told - frames.places)[:, :2].T)
    height = np.abs(told[:, 2] / frames.places[:, 2] - 1)
    text = f"offset {100 * np.median(miss):.1f} cm, of a tenth of the frames more than {100 * np.quantile(miss, 0.9):.0f} cm"
    return f"{text}; height {demo.percent(float(np.median(height)))}"


# ---- descents --------------------------------------------------------------------------------------------------------


def descend(network: cge.Network, world: World, lens: Lens) -> Numbers:
    """(steps, drones, 3): where the drones are. Each goes by what the network tells, down to HAND_OVER."""
    rng = np.random.default_rng(5)
    place = np.column_stack([rng.uniform(-0.8, 0.8, (DRONES, 2)), np.full(DRONES, 3.5)]).astype(np.float32)
    wind = rng.normal(0, WIND, (DRONES, 2))
    flies, track = np.ones(DRONES, bool), [place]
    for _ in range(round(SECONDS / STEP)):
        pictures = [world.render(np.random.default_rng(drone), place[drone : drone + 1], lens)[0] for drone in range(DRONES)]
        told = places_of(network.predict(np.concatenate(pictures)))
        flies &= (told[:, 2] > HAND_OVER) & (place[:, 2] > GROUND)
        centred = np.hypot(told[:, 0], told[:, 1]) < 0.2 * told[:, 2]
        speed = np.column_stack([np.clip(-told[:, :2], -0.5, 0.5) + wind, np.where(centred, -FALL, -FALL / 3)])
        place = (place + STEP * speed * flies[:, None]).astype(np.float32)
        track.append(place)
    return np.stack(track)


def landing_of(track: Numbers) -> str:
    miss, height = np.hypot(track[-1, :, 0], track[-1, :, 1]), track[-1, :, 2]
    text = f"{100 * np.median(miss):.0f} cm beside the centre, at {height.min():.2f} to {height.max():.2f} m"
    return f"{text}; {int((height <= GROUND).sum())} of {len(height)} flew into the ground"


# ---- the board -------------------------------------------------------------------------------------------------------


class Run(NamedTuple):
    before: int  # CRC-32 of all outputs
    after: int
    weights: str


def run_of_python(network: cge.Network, learned: cge.Network, test: Frames) -> Run:
    before, after = (zlib.crc32(each.predict(test.pictures[:BOARD_TEST_COUNT]).tobytes()) for each in (network, learned))
    return Run(before, after, learned.weights_hash())


def run_of(printed: str) -> Run:
    """From what the firmware printed."""
    outputs = {when: int(crc, 16) for when, crc in re.findall(r"^(\w+): crc ([0-9a-f]{8})$", printed, re.MULTILINE)}
    weights = re.search(r"^weights: ([0-9a-f]{16})$", printed, re.MULTILINE)
    if set(outputs) != {"before", "after"} or weights is None:
        sys.exit(f"The firmware printed something else than expected:\n{printed}")
    return Run(**outputs, weights=weights.group(1))


def run_firmware(generated: Path) -> str:
    demo.build_firmware("landing", generated)
    return demo.run_firmware("landing")


def write_firmware(directory: Path, network: cge.Network, flight: Flight, test: Frames) -> Path:
    """The network as it is before the board learns, by its plan, and samples.h and samples.c."""
    learner_of(network, len(flight.pictures)).export(directory, name="landing")
    arrays: dict[str, NDArray[Any]] = {
        "flight_frames": flight.pictures, "flight_targets": flight.targets, "test_frames": test.pictures[:BOARD_TEST_COUNT]
    }  # fmt: skip
    constants = {"FLIGHT_COUNT": len(flight.pictures), "TEST_COUNT": BOARD_TEST_COUNT, "BUDGET_BYTES": BUDGET_BYTES}
    samples.write(directory, "examples/landing/main.py", arrays, constants)
    return directory


# ---- the picture -----------------------------------------------------------------------------------------------------


def draw(clean: Frames, test: Frames, tracks: dict[str, Numbers]) -> None:
    """build/landing/landing.png: what the camera sees, and the descents from the side."""
    pyplot = demo.pyplot()
    if pyplot is None:
        return
    figure = pyplot.figure(figsize=(9, 6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[2, 3])
    top.suptitle("What the camera sees, before and after the lens gets dirty and evening comes", fontsize=10)
    for number, frames in enumerate((clean, test)):
        for column in range(6):
            axes = top.add_subplot(2, 6, 6 * number + column + 1)
            axes.imshow(frames.pictures[column, :, :, 0], cmap="gray", vmin=0, vmax=255)
            axes.axis("off")
    for axes, (name, track) in zip(bottom.subplots(1, len(tracks), sharey=True), tracks.items()):
        axes.plot(track[:, :, 0], track[:, :, 2], linewidth=0.7)
        axes.plot(track[-1, :, 0], track[-1, :, 2], "k.", markersize=4)
        axes.plot([-0.5, 0.5], [0, 0], color="0.5", linewidth=5)
        axes.axhline(HAND_OVER, color="0.7", linestyle=":")
        axes.set(title=name, xlabel="metres from the pad's centre", xlim=(-1.6, 1.6), ylim=(0, 3.6))
    figure.axes[12].set_ylabel("height in metres")
    path = OUT / "landing.png"
    figure.savefig(path, dpi=100)
    say(f"   picture: {path.relative_to(demo.ROOT)}")


if __name__ == "__main__":
    main()
