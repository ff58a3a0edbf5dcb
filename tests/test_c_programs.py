"""C programs on the host beside the C tests proper (`make c-tests`): the fuzzer of the file loader, and coverage."""

import subprocess
import sys

import host
import pytest

SANITIZE = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    directory = tmp_path_factory.mktemp("fuzz")
    archive = host.build_library(directory, *SANITIZE)
    folder = host.ROOT / "tests" / "c"
    host.run([host.compiler(), *host.STRICT, "-O2", *SANITIZE, "-I", host.ROOT / "csrc" / "include",
              folder / "fuzz" / "fuzz_model.c", folder / "models.c", archive, "-o", directory / "fuzz_model"])
    return directory / "fuzz_model"


def test_loader_survives_a_minute_of_fuzzing(fuzzer):
    assert " mutants: " in host.run([fuzzer, "seconds", "60"])


def test_fuzzer_repeats_itself(fuzzer):
    """A mutant that fails must be found again by its number."""
    first, second, other = (host.run([fuzzer, "count", "5000", seed]) for seed in ("3", "3", "4"))
    assert first == second != other


def test_every_line_and_branch_of_the_core_is_covered_or_explained():
    done = subprocess.run([sys.executable, host.ROOT / "tests" / "coverage.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
