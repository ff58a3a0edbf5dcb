"""Code sizes that README names for a build system of the reader's own, and the options that it may take over."""

import re
import shlex
import subprocess

import host
from host import ROOT
from test_toolchain import make, need, output, size

RECIPE = ["-std=c99", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections"]


def net_figures(build):
    """Code and stack of what training the demo's net takes."""
    total = next(row for row in size.read(build / "size.csv") if row["symbol"] == size.TOTAL_NET)
    return [int(total["code_bytes"]), int(total["stack_bytes"])]


def test_readme_names_what_its_recipe_takes(tmp_path, board_library):
    need("arm-none-eabi-gcc")
    figures = []
    for level in ("-O2", "-Os"):
        build = board_library("crazyflie21", tmp_path / level, PLAIN=1, OPT=level)
        make(build / "size.csv", BOARD="crazyflie21", BUILD=build, WERROR=1, PLAIN=1, OPT=level)
        figures += net_figures(build)
    text = " ".join((ROOT / "README.md").read_text().split())
    assert " ".join(RECIPE) in text
    sentence = "gives on the M4F N bytes of code and N of stack with `-O2`. With `-Os` these are N and N for"
    said = re.search(sentence.replace(" N ", r" ([\d,]+) "), text)
    assert [int(figure.replace(",", "")) for figure in said.groups()] == figures


def test_plain_is_the_recipe(tmp_path):
    printed = make("-n", "lib", BOARD="crazyflie21", BUILD=tmp_path, PLAIN=1, V=1).splitlines()
    commands = [line.split(" -MMD ")[0].split()[1:] for line in printed if " -c csrc/" in line]
    assert len(commands) == len(host.library_sources())
    options = {" ".join(word for word in command if not word.startswith(("-W", "-m"))) for command in commands}
    assert options == {"-std=c99 -O2 -ffp-contract=off -ffunction-sections -fdata-sections -Icsrc/include -fcallgraph-info=su"}


def test_the_options_that_make_prints_give_its_objects(tmp_path):
    need("arm-none-eabi-gcc")
    listed = dict(line.split(": ", 1) for line in make("flags", BOARD="crazyflie21").splitlines())
    assert sorted(ROOT / source for source in listed) == host.library_sources()
    make("lib", "-j2", BOARD="crazyflie21", BUILD=tmp_path, WHOLE="")
    for name in ("kernels/ref/sgd_ref", "net/train", "kernels/tiled/conv2d_tiled"):
        object_file = tmp_path / "own.o"
        source = f"csrc/src/{name}.c"
        command = ["arm-none-eabi-gcc", *shlex.split(listed[source]), "-c", source, "-o", object_file]
        subprocess.run(command, cwd=ROOT, check=True)
        ours = tmp_path / "lib" / f"{name.split('/')[-1]}.o"
        own_code, our_code = (output("arm-none-eabi-objdump", "-d", path).splitlines()[3:] for path in (object_file, ours))
        assert own_code == our_code
