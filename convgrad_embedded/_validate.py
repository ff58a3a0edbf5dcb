"""Does a board compute the same bits? Builds a program that trains there, runs it, and trains here likewise."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from convgrad_embedded import _boards, _runtime, _sources

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

_PROGRAM = Path(__file__).resolve().with_name("_validate.c")
_MAKEFILE = """\
include toolchains/common/options.mk
MAKEFLAGS += --no-builtin-rules --no-print-directory
include toolchains/common/board.mk
include toolchains/common/build.mk
.DEFAULT_GOAL := firmware
.PHONY: firmware run
firmware: $(OUT)
run:
\t@$(RUN) $(ELF)
"""
_LINE = re.compile(r"^step \d+: loss ([0-9a-f]{8}), gradients ([0-9a-f]{8}), weights ([0-9a-f]{8})$", re.MULTILINE)


class Step(NamedTuple):
    """One training step: the loss's bits, and CRC-32 of all gradients ("00000000" where none are kept) and weights."""

    loss: str
    gradients: str
    weights: str


class Validation(NamedTuple):
    board: str
    here: list[Step]
    there: list[Step]

    @property
    def is_equal(self) -> bool:
        return self.here == self.there


def run(network: Network, board: str, x: Any, targets: Any, steps: int, batch_size: int, runner: str | None) -> Validation:
    """x holds steps * batch_size samples. `runner`: a command that runs a program on a real board, given its file."""
    where = _boards.load(board)
    if runner is None and not where.is_emulated:
        raise ValueError(f"board: {board} is not emulated; give a runner for the real one, or take {where.tests_on}")
    twin = type(network).from_bytes(network.to_bytes(), memory=network.memory, capacity=1)  # as the program has it
    if shutil.which("make") is None:
        raise OSError("validate: needs make, the board's compiler and its emulator")
    with tempfile.TemporaryDirectory(prefix="validate-") as name:
        place = Path(name)
        (place / "csrc").symlink_to(_sources.include_dir().parent)
        (place / "toolchains").symlink_to(_boards.directory())
        (place / "Makefile").write_text(_MAKEFILE)
        _write_program(twin, place / "app", x, targets, steps, batch_size)
        _make(place, "firmware", board, "APP=app", "OUT=validate.elf", *(["FUSED=1"] if twin.arithmetic == "fused" else []))
        if runner is None:
            text = _make(place, "run", board, "ELF=validate.elf")
        else:
            text = _run([*shlex.split(runner), str(place / "validate.elf")], place)
    there = [Step(*match) for match in _LINE.findall(text)]
    if len(there) != steps:
        raise OSError(f"validate: {board} printed something else than expected:\n{text}")
    return Validation(board, _here(twin, x, targets, steps, batch_size), there)


def _here(network: Network, x: Any, targets: Any, steps: int, batch_size: int) -> list[Step]:
    """On `network`, as firmware starts: from the exported weights, without what the optimizer remembers."""
    runtime = network._runtime
    runtime.forget_steps()
    found = []
    for step in range(steps):
        part = slice(step * batch_size, (step + 1) * batch_size)
        labels = None if targets.labels is None else targets.labels[part]
        values = None if targets.values is None else targets.values[part]
        loss, gradients = runtime.step_with_gradients(x[part], _runtime.Targets(labels, values))
        crc = 0 if gradients is None else zlib.crc32(gradients.tobytes())
        weights = zlib.crc32(runtime.params.tobytes())
        found.append(Step(f"{np.float32(loss).view(np.uint32):08x}", f"{crc:08x}", f"{weights:08x}"))
    return found


def _make(place: Path, target: str, board: str, *arguments: str) -> str:
    return _run(["make", target, f"BOARD={board}", "QUIET=1", *arguments], place)


def _run(command: list[str], place: Path) -> str:
    done = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise OSError(f"validate: {shlex.join(command)} failed with status {done.returncode}:\n{done.stdout}")
    return done.stdout


# ---- the program -----------------------------------------------------------------------------------------------------


def _write_program(network: Network, directory: Path, x: Any, targets: Any, steps: int, batch_size: int) -> None:
    network.export(directory, "validated")
    shutil.copy(_PROGRAM, directory / "main.c")
    element = "uint8_t" if x.dtype == np.uint8 else "cge_real"
    outputs = int(np.prod(network.output_shape))
    members = {"labels": ("int32_t", targets.labels, 1), "values": ("cge_real", targets.values, outputs)}
    read = {name: member for name, member in members.items() if member[1] is not None}
    lines = [
        f"#define SAMPLES_STEPS {steps}",
        f"#define SAMPLES_BATCH {batch_size}",
        *(["#define SAMPLES_PLAN 1"] if network._has_plan else []),
        f"typedef {element} samples_element;",
        f"static const {element} samples_x[] = {{{_numbers(x)}}};",
        *(f"static const {kind} samples_{name}[] = {{{_numbers(array)}}};" for name, (kind, array, _) in read.items()),
        "static void samples_point(cge_targets *targets, int32_t first)",
        "{",
        *(f"    targets->{name} = samples_{name} + (size_t)first * {each};" for name, (_, _, each) in read.items()),
        "}",
    ]
    (directory / "validated_samples.h").write_text("\n".join(lines) + "\n")


def _numbers(array: Any) -> str:
    """Exact: floats in hexadecimal."""
    if array.dtype.kind == "f":
        return ",\n".join(f"{float(value).hex()}f" for value in array.ravel())
    return ",\n".join(str(int(value)) for value in array.ravel())
