"""Compiling C on the host, as strictly as the core itself is compiled."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# fmt: off
STRICT = ["-std=c99", "-ffp-contract=off", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow",
          "-Wvla", "-Wundef", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wno-missing-field-initializers", "-Werror"]
# fmt: on


def compiler():
    found = shutil.which(os.environ.get("CC", "cc"))
    if not found:
        pytest.fail("these tests compile C: install a C compiler, or name it in CC")
    return found


def library_sources(root=ROOT):
    return sorted(path for path in (root / "csrc" / "src").rglob("*.c") if path.name != "f64.c")


def build_library(directory, *flags, root=ROOT):
    """The core as an archive in `directory`."""
    objects = []
    for index, source in enumerate(library_sources(root)):
        objects.append(directory / f"{index}_{source.stem}.o")
        run([compiler(), *STRICT, "-O2", *flags, "-I", root / "csrc" / "include", "-c", source, "-o", objects[-1]])
    archive = directory / "libcge.a"
    archive.unlink(missing_ok=True)
    run(["ar", "rcs", archive, *objects])
    return archive


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def compile_c(directory, source, archive, *flags):
    """An executable from C text, linked with the core."""
    (directory / "program.c").write_text(source)
    run(
        [
            compiler(),
            *STRICT,
            "-O2",
            *flags,
            "-I",
            ROOT / "csrc" / "include",
            directory / "program.c",
            archive,
            "-o",
            directory / "program",
        ]
    )
    return directory / "program"
