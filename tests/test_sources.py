"""The C sources that the package names; test_packaging.py builds firmware from those of a wheel."""

import subprocess
from pathlib import Path

import host
import numpy as np
import pytest

import convgrad_embedded as cge


def test_the_sources_are_those_of_the_core():
    assert cge.include_dir() == host.ROOT / "csrc" / "include"
    assert cge.source_files() == host.library_sources()


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


APP = """
#include "net.h"
#include <stdio.h>
#include <string.h>
static uint64_t arena[(NET_TRAINING_ARENA_BYTES + 7) / 8];
int main(void)
{
    static const cge_options training = {.training = 1};
    static const float x[4] = {1, 1, 1, 1}, y[2] = {1, 1};
    const cge_targets targets = {.values = y};
    static cge_network net;
    uint64_t hash;
    float loss;
    if (cge_network_init(&net, &net_model, &training, arena, sizeof arena) != CGE_OK) return 1;
    memcpy(net.params, net_params, sizeof net_params);
    for (int i = 0; i < 3; i++)
        if (cge_network_train_batch(&net, x, &targets, 1, &loss) != CGE_OK) return 1;
    if (cge_network_params_hash(&net, &hash) != CGE_OK) return 1;
    printf("%08lx%08lx\\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
    return 0;
}
"""


@pytest.mark.parametrize("arithmetic", ["exact", "fused"])
def test_an_export_with_the_core_is_all_that_a_compiler_needs(arithmetic, tmp_path):
    """Of a fused network too, whose core is built so."""
    net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.1), seed=1, arithmetic=arithmetic)
    paths = net.export(tmp_path / "fw", "net", with_core=True)
    assert [path.name for path in paths] == ["net.h", "net.c", "cge_core.c"]
    (tmp_path / "app.c").write_text(APP)
    flags = ["-std=c99", "-O0", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
    sources = [*(tmp_path / "fw").glob("*.c"), tmp_path / "app.c"]
    host.run([host.compiler(), *flags, "-I", tmp_path / "fw", *sources, "-lm", "-pthread", "-o", tmp_path / "app"])
    net.fit(np.ones((1, 4)), np.ones((1, 2)), epochs=3, verbose=False)
    assert host.run([tmp_path / "app"]).strip() == net.weights_hash()
