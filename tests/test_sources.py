"""The C sources that the package names, as a build of firmware uses them: here, and from a wheel."""

import subprocess
import sys
from pathlib import Path

import host
import pytest
from test_packaging import python, source_archive, unpacked, wheel  # noqa: F401

import convgrad_embedded as cge

BUILD = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
import convgrad_embedded as cge
assert all(str(path).startswith(sys.argv[1]) for path in [cge.include_dir(), *cge.source_files()])
net = cge.Network((4, 4, 1), [cge.Conv2d(2, 3), cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.1), seed=1)
net.export(sys.argv[2], "trained")
open(sys.argv[2] + "/main.c", "w").write('''
#include "trained.h"
#include <stdio.h>
static uint64_t arena[(TRAINED_INFERENCE_ARENA_BYTES + 7) / 8];
int main(void)
{
    cge_options options = {.params = trained_params};
    cge_network net;
    uint64_t hash = 0;
    if (cge_network_init(&net, &trained_model, &options, arena, sizeof arena) != CGE_OK) return 1;
    if (cge_network_params_hash(&net, &hash) != CGE_OK) return 1;
    printf("%d\\\\n", hash == TRAINED_PARAMS_HASH);
    return 0;
}
''')
sources = [*cge.source_files(), sys.argv[2] + "/trained.c", sys.argv[2] + "/main.c"]
flags = ["-std=c99", "-O1", "-ffp-contract=off", "-I", cge.include_dir(), "-I", sys.argv[2], "-pthread"]
subprocess.run(["cc", *flags, *sources, "-o", sys.argv[2] + "/program"], check=True)
"""


def test_the_sources_are_those_of_the_core():
    assert cge.include_dir() == host.ROOT / "csrc" / "include"
    assert cge.source_files() == host.library_sources()


def test_firmware_builds_from_the_sources_of_an_installed_wheel(wheel, tmp_path):  # noqa: F811
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", tmp_path / "site", wheel, cwd=tmp_path)
    app = tmp_path / "app"
    app.mkdir()
    done = subprocess.run([sys.executable, "-c", BUILD, tmp_path / "site", app], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert host.run([app / "program"]) == "1\n"


@pytest.mark.parametrize("name", ["stdint", "Time", "signal", "sched", "VECTOR", "con"])
def test_an_export_is_not_named_like_a_standard_header(name, tmp_path):
    net = cge.Network((4,), [cge.Dense(2)])
    with pytest.raises(ValueError, match=f"name: expected none of a standard header or of a source of the core, got '{name}'"):
        net.export(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_an_export_is_not_named_like_a_source_of_the_core(tmp_path):
    net = cge.Network((4,), [cge.Dense(2)])
    for name in {path.stem for path in cge.source_files()}:
        for spelling in (name, name.upper()):
            with pytest.raises(ValueError, match=f"name: expected none .* of a source of the core, got '{spelling}'"):
                net.export(tmp_path, spelling)
    assert not list(tmp_path.iterdir())
    assert [path.name for path in net.export(tmp_path)] == ["network.h", "network.c"]


def test_no_standard_header_breaks_the_build_of_an_export(tmp_path):
    """Every header that the compiler finds for C, in or above a folder of them, and that is a name for export."""
    searched = subprocess.run([host.compiler(), "-xc", "-E", "-v", "/dev/null"], capture_output=True, text=True).stderr
    folders = [line.strip() for line in searched.split("search starts here:\n")[-1].splitlines() if line.startswith(" /")]
    assert folders
    included = host.run([host.compiler(), "-M", "-I", cge.include_dir(), *cge.source_files()])
    headers = [Path(word) for word in included.split() if word.startswith(tuple(folders)) and word.endswith(".h")]
    names = {header.stem for header in headers}
    top = {name for name in names if any((Path(folder) / f"{name}.h").is_file() for folder in folders)}
    net = cge.Network((4,), [cge.Dense(2)])
    assert {"stdint", "string", "pthread"} <= top
    for name in top:
        with pytest.raises(ValueError, match="name: expected"):
            net.export(tmp_path, name)
