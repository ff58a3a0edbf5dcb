"""Train in Python, go on training on an emulated flight controller, and compare the weights: the same bits?

A small CNN learns handwritten digits. Then the camera gets mounted on its side: every digit arrives turned by 90
degrees. The firmware for the STM32F405 of a Crazyflie 2.1 learns to read them from a few hundred pictures, under QEMU,
and Python does the same. Then it learns again in the RAM that the drone's own firmware leaves, one picture a step, while an
interrupt predicts. Run by `make demo`; the picture and the generated C are in build/demo.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

import convgrad_embedded as cge

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "demo"
GENERATED = OUT / "generated"
DRONE_GENERATED = OUT / "crazyflie"
BOARD = "netduinoplus2"  # what QEMU has of an STM32F405

EPOCHS = 30
TRAIN_COUNT, PASSES, BATCH, LEARNING_RATE = 400, 5, 4, 0.01  # of learning again

DRONE = "crazyflie21"  # the board's file says what the stock firmware leaves
DRONE_RATE, DRONE_STEPS = 0.002, 100  # one picture a step; after so many the interrupt gets the weights
DRONE_CLOCK = "-icount shift=4"  # the emulator's: 16 ns an instruction, so that interrupts come at the same ones in each run

Images = NDArray[np.float32]
Labels = NDArray[np.int32]
Samples = tuple[Images, Labels]
History = dict[str, list[float]]


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in order with fit's lines on stderr
    began = time.perf_counter()
    OUT.mkdir(parents=True, exist_ok=True)
    training, test = cge.datasets.load_digits()
    field = on_its_side(training[0][:TRAIN_COUNT]), training[1][:TRAIN_COUNT]
    field_test = on_its_side(test[0]), test[1]

    say(f"1. Python learns {len(training[0]):,} digits in {EPOCHS} epochs")
    network, history = train(training, test)
    say(f"   reads {percent(history['val_accuracy'][-1])} of the test digits; weights {network.weights_hash()}")

    say("2. The camera gets mounted on its side: Python learns again")
    adapted, accuracies = adapt(network, field, field_test)
    on_pc = Result(accuracies[0], accuracies[-1], adapted.weights_hash())
    say(f"   {TRAIN_COUNT} pictures, {PASSES} passes: {on_pc}")
    draw(network, adapted, history, accuracies, field_test)

    say(f"3. Firmware for the STM32F405, as QEMU has it ({BOARD})")
    network.export(GENERATED, name="digits")
    write_samples(GENERATED, field, field_test, PASSES=PASSES, BATCH=BATCH)
    require_tools()
    build_firmware("firmware", GENERATED)
    say(f"   built: the same network and pictures as constants, {network.arena_bytes:,} bytes of RAM to train it")

    say("4. The board learns again, from the same weights and pictures")
    on_board = result_of(run_firmware("firmware"))
    compare(on_pc, on_board)
    say(f"   equal, bit for bit, after {TRAIN_COUNT // BATCH * PASSES} training steps on each")

    budget, release = drone_budget()
    say(f"5. It learns while it flies: {release} leaves {budget:,} bytes of RAM")
    aboard = drone_network(network)
    aboard.export(DRONE_GENERATED, name="digits")
    write_drone_samples(DRONE_GENERATED, field, field_test, budget)
    build_firmware("crazyflie", DRONE_GENERATED)
    printed = run_firmware("crazyflie", QEMU_ARGS=DRONE_CLOCK)
    say("\n".join(f"   {size:>6,} bytes {what}" for size, what in sizes_of(printed)))
    flight = flight_of(printed)
    compare(drone_adapt(aboard, field, field_test, [used.predictions for used in flight.generations]), flight)
    say(f"   all layers learned, with momentum, and meanwhile an interrupt predicted {flight}")
    say(f"\nEqual, bit for bit, after {aboard.step_count:,} steps, and so are all outputs of all predictions. {took(began)}")


class Result(NamedTuple):
    before: float
    after: float
    weights: str

    def __str__(self) -> str:
        return f"{percent(self.before)} before, {percent(self.after)} after"


class Generation(NamedTuple):
    """What the interrupt predicted with one copy of the weights: how often, how often right, a CRC-32 of all outputs."""

    predictions: int
    correct: int
    crc: int


class Flight(NamedTuple):
    result: Result
    generations: list[Generation]

    def __str__(self) -> str:
        used = [generation for generation in self.generations if generation.predictions > 0]
        first, last = (percent(generation.correct / generation.predictions) for generation in (used[0], used[-1]))
        return f"{sum(each.predictions for each in used):,} times: {first} right at first, {last} in the end"


def compare(on_pc: Result | Flight, on_board: Result | Flight) -> None:
    for where, what in {"board": on_board, "PC   ": on_pc}.items():
        result = what.result if isinstance(what, Flight) else what
        say(f"   {where}  {result}   weights {result.weights}")
    if on_board != on_pc:
        sys.exit("\nPC and board differ: this is a defect, please report it.")


# ---- Python's part ---------------------------------------------------------------------------------------------------


def new_network(optimizer: cge.SGD, memory: str = "fast") -> cge.Network:
    return cge.Network(
        input_shape=(8, 8, 1),
        layers=[
            cge.Conv2d(8, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
            cge.Conv2d(16, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
            cge.Dense(10),
        ],
        loss="softmax_cross_entropy",
        optimizer=optimizer,
        seed=0,
        memory=memory,
    )  # fmt: skip


def train(data: Samples, test: Samples) -> tuple[cge.Network, History]:
    network = new_network(cge.SGD(0.05, momentum=0.9))
    history = network.fit(*data, epochs=EPOCHS, batch_size=32, validation_data=test)
    network.learning_rate = LEARNING_RATE  # from here on it changes what it knows: gently
    return network, history


def adapt(network: cge.Network, data: Samples, test: Samples) -> tuple[cge.Network, list[float]]:
    """What the firmware does: from the exported weights, without momentum from before, in the order of the table."""
    assert network.optimizer is not None
    adapted = new_network(network.optimizer)
    adapted.set_weights(network.get_weights())
    before = accuracy(adapted, test)
    history = adapted.fit(*data, epochs=PASSES, batch_size=BATCH, shuffle=False, validation_data=test, verbose=False)
    return adapted, [before, *history["val_accuracy"]]


def drone_network(network: cge.Network) -> cge.Network:
    """With the same weights, but trained in the least memory: there each picture is a step, a smaller one than of four."""
    aboard = new_network(cge.SGD(DRONE_RATE, momentum=0.9), memory="smallest")
    aboard.set_weights(network.get_weights())
    return aboard


def drone_adapt(network: cge.Network, data: Samples, test: Samples, frames: Sequence[int]) -> Flight:
    """What the drone does: generation g of the weights predicts frames[g] test pictures, one after the other."""
    before, generations, frame = accuracy(network, test), [], 0
    for number, count in enumerate(frames):
        if number > 0:
            network.fit(*drone_samples(data, number - 1), batch_size=1, shuffle=False, verbose=False)
        pictures = np.arange(frame, frame + count) % len(test[0])
        generations.append(drone_predict(network, test[0][pictures], test[1][pictures]))
        frame += count
    return Flight(Result(before, accuracy(network, test), network.weights_hash()), generations)


def drone_samples(data: Samples, part: int) -> Samples:
    """Of the steps between two generations; pass follows pass."""
    steps = np.arange(part * DRONE_STEPS, (part + 1) * DRONE_STEPS) % len(data[0])
    return data[0][steps], data[1][steps]


def drone_predict(network: cge.Network, images: Images, labels: Labels) -> Generation:
    if len(images) == 0:
        return Generation(0, 0, 0)
    outputs = network.predict(images)
    return Generation(len(images), int((outputs.argmax(axis=1) == labels).sum()), zlib.crc32(outputs.tobytes()))


def accuracy(network: cge.Network, test: Samples) -> float:
    share = network.evaluate(*test).accuracy
    assert share is not None
    return share


def on_its_side(images: Images) -> Images:
    return np.ascontiguousarray(np.rot90(images, axes=(1, 2)))


# ---- the board's part ------------------------------------------------------------------------------------------------


def write_samples(directory: Path, training: Samples, test: Samples, **constants: int) -> None:
    """samples.h and samples.c: pictures as pixels 0 .. 16, and constants for the program."""
    sets = {"train": training, "test": test}
    counts = "".join(f"#define SAMPLES_{name.upper()}_COUNT {len(y)}\n" for name, (_, y) in sets.items())
    defines = "".join(f"#define SAMPLES_{name} {value}\n" for name, value in constants.items())
    (directory / "samples.h").write_text(
        "/* Pictures for the demo's firmware, written by examples/demo.py. */\n"
        "#ifndef SAMPLES_H\n#define SAMPLES_H\n\n#include <stdint.h>\n\n"
        f"{counts}{defines}\n"
        + "".join(f"{declaration};\n" for name in sets for declaration in ("extern " + text for text in sample_arrays(name)))
        + "\n#endif\n"
    )
    definitions = (
        f"{declaration} = {{\n{rows}\n}};\n"
        for name, (x, y) in sets.items()
        for declaration, rows in zip(sample_arrays(name), (pixel_rows(x), number_row(y)))
    )
    (directory / "samples.c").write_text('#include "samples.h"\n\n' + "\n".join(definitions))


def sample_arrays(name: str) -> tuple[str, str]:
    count = f"SAMPLES_{name.upper()}_COUNT"
    return f"const unsigned char samples_{name}_images[{count}][64]", f"const int32_t samples_{name}_labels[{count}]"


def pixel_rows(images: Images) -> str:
    pixels = np.rint(images * 16).astype(int).reshape(len(images), -1)
    return ",\n".join("    {" + ",".join(map(str, row)) + "}" for row in pixels)


def number_row(values: Labels) -> str:
    return "    " + ", ".join(map(str, values))


def require_tools() -> None:
    missing = [tool for tool in ("make", "arm-none-eabi-gcc", "qemu-system-arm") if shutil.which(tool) is None]
    if missing:
        stop(f"No board without {' and '.join(missing)}: `make setup` installs what is missing. Python's part is done.")


def stop(message: str) -> NoReturn:
    """Fine on a desk that has no emulator; a failure where the whole demo is meant to run."""
    say(f"   {message}")
    sys.exit(1 if os.environ.get("CI") == "true" else 0)


def build_firmware(name: str, generated: Path, board: str = BOARD) -> None:
    app = f"APP=examples/{name} {generated.relative_to(ROOT)}"
    make("firmware", f"-j{os.cpu_count() or 1}", app, f"OUT={program(name)}", f"BOARD={board}")


def run_firmware(name: str, board: str = BOARD, **environment: str) -> str:
    return make("run", f"ELF={program(name)}", f"BOARD={board}", **environment)


def program(name: str) -> Path:
    return (OUT / f"{name}.elf").relative_to(ROOT)


def result_of(text: str) -> Result:
    """From what a firmware printed."""
    counts = {when: int(right) / int(total) for when, right, total in re.findall(r"correct (\w+): (\d+) of (\d+)", text)}
    weights = re.search(r"weights: ([0-9a-f]{16})", text)
    if set(counts) != {"before", "after"} or weights is None:
        sys.exit(f"The firmware printed something else than expected:\n{text}")
    return Result(counts["before"], counts["after"], weights.group(1))


def flight_of(text: str) -> Flight:
    lines = re.findall(r"^generation \d+: (\d+) predictions, (\d+) correct, crc ([0-9a-f]{8})$", text, re.MULTILINE)
    generations = [Generation(int(predictions), int(correct), int(crc, 16)) for predictions, correct, crc in lines]
    return Flight(result_of(text), generations)


def sizes_of(text: str) -> list[tuple[int, str]]:
    return [(int(size), what) for size, what in re.findall(r"^bytes: (\d+) (.*)$", text, re.MULTILINE)]


def drone_budget() -> tuple[int, str]:
    """Bytes of RAM, and the release that leaves them."""
    text = (ROOT / "toolchains" / f"{DRONE}.mk").read_text(encoding="utf-8")
    values = dict(re.findall(r"^BOARD_FREE_(RAM_BYTES|RELEASE) = (.*)$", text, re.MULTILINE))
    return int(values["RAM_BYTES"]), values["RELEASE"]


def write_drone_samples(directory: Path, training: Samples, test: Samples, budget: int) -> None:
    constants = {"PASSES": PASSES, "STEPS_A_GENERATION": DRONE_STEPS, "BUDGET_BYTES": budget}
    write_samples(directory, training, test, **constants)


def make(*arguments: str, **environment: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\nfailed with status {done.returncode}")
    return done.stdout


# ---- to read and to look at ------------------------------------------------------------------------------------------


def pyplot() -> Any:
    """matplotlib's, which draws into files; None, with a hint, where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        say("   no picture: pip install matplotlib")
        return None
    matplotlib.use("Agg")
    return importlib.import_module("matplotlib.pyplot")


def draw(before: cge.Network, after: cge.Network, history: History, accuracies: list[float], field_test: Samples) -> None:
    """build/demo/demo.png: learning curves, what the turned camera sends, the first layer's filters."""
    plots = pyplot()
    if plots is None:
        return
    figure = plots.figure(figsize=(11, 7), layout="constrained")
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[3, 1, 2])
    left, right = top.subplots(1, 2)
    epochs = range(1, len(history["loss"]) + 1)
    left.plot(epochs, history["accuracy"], label="training")
    left.plot(epochs, history["val_accuracy"], label="test")
    left.set(title="Learning digits", xlabel="epoch", ylabel="accuracy", ylim=(0.8, 1.005))
    left.legend(loc="lower right")
    right.plot(range(len(accuracies)), accuracies, "o-", color="tab:green")
    right.set(title="The camera on its side: learning again", ylim=(0, 1.005))
    right.set(xlabel=f"pass over {TRAIN_COUNT} pictures", ylabel="test accuracy")
    show_row(middle, "What the turned camera sends", field_test[0][:16, :, :, 0], "gray_r", (0, 1))
    filters = [network.get_weights()[0][:, :, 0, :].transpose(2, 0, 1) for network in (before, after)]
    limit = np.abs(filters).max()
    for row, title, kernels in zip(bottom.subfigures(2, 1), ("First layer", "after learning again"), filters):
        show_row(row, title, kernels, "RdBu", (-limit, limit))
    path = OUT / "demo.png"
    figure.savefig(path, dpi=120)
    say(f"   picture: {path.relative_to(ROOT)}")


def show_row(figure: Any, title: str, images: Images, colors: str, limits: tuple[float, float]) -> None:
    figure.suptitle(title, fontsize=10)
    for axes, image in zip(figure.subplots(1, len(images)), images):
        axes.imshow(image, cmap=colors, vmin=limits[0], vmax=limits[1])
        axes.axis("off")


def say(text: str) -> None:
    print(f"\n{text}" if text[0].isdigit() else text)  # a free line before each step


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def took(began: float) -> str:
    return f"{time.perf_counter() - began:.0f} s in all."


if __name__ == "__main__":
    main()
