import fcntl
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # reference, ordered, capi and the other helpers

import board  # noqa: E402
import host  # noqa: E402

# A shell that starts the tests in the background has Ctrl-C ignored, which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files that take longest, the longest first: if they begin first, processes that share the tests end at about the same time.
LONG = ["flags", "c_programs", "mutants", "toolchain", "house", "packaging", "cli", "defects", "recipes", "benchmarks"]
LONG += ["public_types", "foreign_flags", "trainable", "board_instructions", "memory", "interruptions", "boards"]


def pytest_collection_modifyitems(items):
    place = {f"test_{name}.py": number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))


@pytest.fixture
def rng():
    return np.random.default_rng(20260101)


@pytest.fixture
def root():
    return host.ROOT


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """A directory by its name, filled by a function that runs once for all processes in which tests run."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def directory(name, fill):
        folder, filled = root / f"once-{name}", root / f"once-{name}-filled"
        with open(root / f"once-{name}-lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not filled.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                filled.touch()
        return folder

    return directory


@pytest.fixture(scope="session")
def core_archive(once):
    """The core, compiled for the host as a firmware project would compile it."""
    return once("core", host.build_library) / "libcge.a"


@pytest.fixture(scope="session")
def board_library(once):
    """Puts a board's library into a build directory, where `make` with the same variables finds it. Boards whose compiler gets
    the same flags have the same; it is compiled once."""

    def put(name, build, **variables):
        board.need("arm-none-eabi-gcc")
        compiled_for = board.first_of_its_kind(name)
        key = "-".join([compiled_for, *(f"{key}{value}" for key, value in sorted(variables.items()))])  # no =, for make
        made = once(key, lambda folder: board.make("lib", "-j2", BOARD=compiled_for, BUILD=folder, WERROR=1, **variables))
        shutil.copytree(made, build, dirs_exist_ok=True)  # with its times
        return build

    return put
