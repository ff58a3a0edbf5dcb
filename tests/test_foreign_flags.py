"""The core, exported networks and README's program under the warnings of the projects that firmware is part of."""

import re

import host
import pytest
from host import ROOT
from test_toolchain import need

import convgrad_embedded as cge

# Of C and C++ alike, of C, of C++. As in the build files of these projects, with every warning as an error.
PX4 = """-Wall -Wextra -Warray-bounds -Wcast-align -Wdisabled-optimization -Wdouble-promotion -Wfloat-equal
    -Wformat-security -Winit-self -Wlogical-op -Wpointer-arith -Wshadow -Wuninitialized -Wunknown-pragmas -Wunused-variable
    -Wno-missing-field-initializers -Wno-missing-include-dirs -Wno-unused-parameter -Wformat=1 -Wunused-but-set-variable
    -fno-strict-aliasing -fno-builtin-printf"""
ARDUPILOT = """-Wall -Wextra -Wpointer-arith -Wcast-align -Wno-missing-field-initializers -Wno-unused-parameter -Wshadow -Wundef
    -Wreturn-type -Wunused-result -Wunused-variable -Woverflow -Wparentheses -Wignored-qualifiers -Wformat -fsigned-char
    -fsingle-precision-constant"""
FLAGS = {
    "px4": (PX4, "-std=gnu11 -fno-common -Wbad-function-cast -Wnested-externs -Wstrict-prototypes",
            "-std=gnu++14 -Wreorder -fno-rtti"),
    "ardupilot": (ARDUPILOT, "-std=gnu11 -Wformat-extra-args",
                  "-std=gnu++11 -Warray-bounds -Wtype-limits -Wsign-compare -Wswitch"),
    "betaflight": ("-Wall -Wextra -Wunsafe-loop-optimizations -Wdouble-promotion", "-std=gnu17 -Wold-style-definition", None),
    "crazyflie": ("-Wall -Wmissing-braces -fno-strict-aliasing -Wdouble-promotion -Wno-address-of-packed-member -Os",
                  "-std=gnu11", "-std=gnu++14"),
    "zephyr": ("-Wall -Wformat -Wformat-security -Wpointer-arith -Wexpansion-to-defined -Wno-main -fno-common",
               "-std=c99 -Wno-pointer-sign -Wimplicit-int", "-std=gnu++17 -Wno-register -fno-rtti"),
    "zephyr-W1": ("-Wall -Wextra -Wcast-align -Wdisabled-optimization -Wshadow -Wlogical-op -Wmissing-field-initializers",
                  "-std=c99 -Wnested-externs", "-std=gnu++17"),
    "esp-idf": ("-Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -ggdb -D_GNU_SOURCE",
                "-std=gnu17 -Wno-old-style-declaration", "-std=gnu++17"),
    "arduino": ("-Wall -Wextra -Os -nostdlib", "-std=gnu11", "-std=gnu++11 -fno-threadsafe-statics -fpermissive"),
    "switches": ("-Wall -Wextra -Wswitch-enum -Wswitch-default", "-std=gnu11", "-std=gnu++17"),
    "misra": ("-Wall -Wextra -Wconversion -Wfloat-equal -Wshadow -Wcast-align -Wundef",
              "-std=c11 -Wstrict-prototypes -Wmissing-prototypes", "-std=gnu++17"),
}
MACHINES = {
    "host": ["gcc"],
    "m4f": ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """README's program beside the network that it includes, and exports with every kind of layer."""
    directory = tmp_path_factory.mktemp("exported")
    layers = [cge.Conv2d(3, 3, padding="same"), cge.ReLU(), cge.MaxPool2d(2), cge.Conv2d(4, 3), cge.LeakyReLU(0.1),
              cge.AvgPool2d(2), cge.Flatten(), cge.Dense(5), cge.Tanh(), cge.Dense(10)]
    optimizer = cge.SGD(0.1, momentum=0.9, nesterov=True)
    cge.Network((12, 12, 1), layers, "softmax_cross_entropy", optimizer).export(directory, "every_kind")
    cge.Network((8, 8, 1), [cge.Conv2d(2, 3), cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.1)).export(directory, "digits")
    cge.Network((8, 8, 1), [cge.GlobalAvgPool2d(), cge.Sigmoid()]).export(directory, "no_weights")
    cge.Network((12, 12, 1), layers, "softmax_cross_entropy", cge.SGD(0.1), memory="smallest").export(directory, "planned")
    cge.Network((4, 4, 1), [cge.Flatten()], memory="small").export(directory, "no_tensors")
    snippets = re.findall(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (directory / "program.c").write_text(next(code for code in snippets if "int main" in code))
    return directory


def check(machine, files, flags, directory, language="c"):
    """Compiles all files in a scratch directory, which may hold headers."""
    compiler, *options = MACHINES[machine]
    compiler = compiler.replace("gcc", {"c": "gcc", "c++": "g++"}[language])
    need(compiler)
    include = ["-I", ROOT / "csrc" / "include", "-I", directory]
    options += ["-O2", "-ffp-contract=off", *flags.split(), "-Werror"]
    host.run([compiler, *options, *include, "-x", language, "-c", *files], cwd=directory)


# The projects that compile firmware for the PC too, to simulate it; and those of no project.
ON_HOSTS = ["px4", "ardupilot", "zephyr", "switches", "misra"]


@pytest.mark.parametrize("project, machine", [*((name, "m4f") for name in FLAGS), *((name, "host") for name in ON_HOSTS)])
def test_the_core_has_no_warnings_with_the_flags_of(project, machine, tmp_path):
    both, c, _ = FLAGS[project]
    check(machine, host.library_sources(), f"{both} {c} -fsyntax-only", tmp_path)


@pytest.mark.parametrize("machine", ["host", "m4f"])
@pytest.mark.parametrize("project", FLAGS)
def test_exports_and_readmes_program_have_no_warnings_with_the_flags_of(project, machine, exported):
    both, c, cxx = FLAGS[project]
    files = sorted(exported.glob("*.c"))
    assert len(files) == 6
    check(machine, files, f"{both} {c}", exported)
    if cxx is not None:
        check(machine, files, f"{both} {cxx}", exported, language="c++")


@pytest.mark.parametrize("standard", ["gnu++11", "gnu++14", "gnu++17", "c++20"])
def test_exports_are_cxx(standard, exported):
    pedantic = "-Wpedantic" if standard == "c++20" else ""
    check("host", sorted(exported.glob("*.c")), f"-std={standard} -Wall -Wextra {pedantic}", exported, language="c++")
