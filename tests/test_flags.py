"""Compiler flags of strangers: bits and guards stay, or the sources refuse to compile, or the self-test tells of the loss.

The sources that boards get are compiled with the hostile flags, all else without. On the PC too they are compiled as for a
board, which takes a tenth of the time; the kernels that only hosts have come once.
"""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import host
import pytest

PROGRAM = """
#include "check.h"
#include "models.h"
#include "suites.h"
#include <stdio.h>

static const check_suite golden = {"golden", suite_golden};
static const cge_layer layers[] = {DENSE(3, 0, CGE_INIT_HE_NORMAL), PLAIN(relu), DENSE(2, 0, CGE_INIT_HE_NORMAL)};
static const cge_model model = {.input = {1, 1, 4}, TABLE(layers), &cge_mean_squared_error, {&cge_sgd, 0.05f, 0.9f, 0, 0}};
static const cge_options training = {1, 1, NULL, NULL, NULL};
static uint64_t arena[256];

static int refuses(cge_network *net, uint32_t pixel, uint32_t target)
{
    const float x[] = {0.5f, -0.5f, float_from_bits(pixel), 1}, y[] = {1, float_from_bits(target)};
    const cge_targets targets = {.values = y};
    uint64_t before = 0, after = 1;
    float loss;
    if (cge_network_params_hash(net, &before) != CGE_OK) return 0;
    if (cge_network_train_batch(net, x, &targets, 1, &loss) != CGE_ERR_NOT_FINITE) return 0;
    return cge_network_params_hash(net, &after) == CGE_OK && before == after;
}

int main(void)
{
    static const uint32_t nan = 0x7fc00000u, infinity = 0x7f800000u, large = 0x7f61b1e6u, one = 0x3f800000u;
    cge_network net;
    cge_selftest_report report;
    const int same = check_run(&golden, 1) == 0;
    if (cge_network_init(&net, &model, &training, arena, sizeof arena) != CGE_OK) return 1;
    if (cge_network_init_params(&net, 1) != CGE_OK) return 1;
    const int samples = refuses(&net, nan, one) && refuses(&net, infinity, one) && refuses(&net, large, one);
    const int targets = refuses(&net, one, nan) && refuses(&net, one, infinity) && refuses(&net, one, large);
    if (cge_selftest(arena, sizeof arena, &report) != CGE_OK) return 2;
    printf("%s, %s; ", same ? "golden" : "other bits", samples && targets ? "guarded" : "NaN is learned");
    printf("check %d, self-test %d, ", (int)cge_check_arithmetic(), (int)report.arithmetic);
    printf("passed %d\\n", (int)report.passed);
    return 0;
}
"""

KEPT = "golden, guarded; check 0, self-test 0, passed 1"
FUSED = "golden, guarded; check 1, self-test 1, passed 1"
OTHER = "; check 2, self-test 2, passed 0"
AS_FOR_A_BOARD = ["-DCGE_HOST=0"]
REFUSED = "-DCGE_ANY_ARITHMETIC=1"  # as the compiler's message says

ASSOCIATIVE = "-fassociative-math -fno-signed-zeros -fno-trapping-math"
PX4 = "-fsingle-precision-constant -funsafe-math-optimizations -fno-math-errno -fno-strict-aliasing"
ANY = "-DCGE_ANY_ARITHMETIC=1"
FMA = "-mfma" if os.uname().machine == "x86_64" else ""

GCC = [
    (f"-std=gnu11 -O1 -ffp-contract=fast {PX4} {FMA}", KEPT),
    (f"-O1 {ASSOCIATIVE} -freciprocal-math -ffinite-math-only", KEPT),
    ("-Ofast " + FMA, KEPT),
    ("-Os -ffast-math -frounding-math -flto", KEPT),
    ("-Os -ffast-math -DCGE_FUSED=1 " + FMA, FUSED),
    (f"-O1 -funsafe-math-optimizations -ffp-contract=off {ANY}", OTHER),
    (f"-O2 -ffp-contract=fast {FMA} {ANY}", OTHER),
]
CLANG = [
    ("-std=gnu11 -O1 -fno-math-errno -fno-strict-aliasing " + FMA, KEPT),
    ("-O1 -funsafe-math-optimizations", KEPT),
    (f"-O1 {ASSOCIATIVE} -freciprocal-math", KEPT),
    ("-O1 -ffinite-math-only", REFUSED),
    ("-O1 -ffast-math", REFUSED),
    ("-Ofast -ffp-contract=off", REFUSED),
    ("-O1 -ffp-contract=fast " + FMA, OTHER if FMA else KEPT),
    (f"-O1 -ffast-math {ANY}", OTHER),
]
M4F = [
    (f"-std=gnu11 -Os {PX4}", KEPT),
    ("-Ofast", KEPT),
    ("-Os -ffast-math -DCGE_FUSED=1", FUSED),
    (f"-Os {PX4} -ffp-contract=off {ANY}", OTHER),
]


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {tool}")


def board(name):
    """The plain lines of a board's file."""
    return dict(re.findall(r"^(\w+) = (.*)$", (host.ROOT / "toolchains" / f"{name}.mk").read_text(), re.MULTILINE))


def compile_all(command, sources, directory):
    """Objects of the sources; or the first compiler's complaint."""

    def one(source):
        target = directory / f"{source.stem}.o"
        done = subprocess.run([*command, "-c", source, "-o", target], capture_output=True, text=True)
        return target, done.stderr if done.returncode else None

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(one, sources))
    return [target for target, _ in done], next((complaint for _, complaint in done if complaint), None)


def boards_sources():
    return [path for path in host.library_sources() if path.parent.name not in ("lanes", "host")]


@functools.lru_cache(maxsize=None)
def linked_sources():
    """What the program takes of the boards' sources; the rest would be compiled to be dropped."""
    with tempfile.TemporaryDirectory() as folder:
        directory, tests = Path(folder), host.ROOT / "tests" / "c"
        command = ["gcc", "-O0", "-std=c99", *AS_FOR_A_BOARD, "-I", host.ROOT / "csrc" / "include", "-I", tests]
        core = boards_sources()
        (directory / "program.c").write_text(PROGRAM)
        own = [directory / "program.c", tests / "check.c", tests / "test_golden.c", tests / "models.c"]
        objects, complaint = compile_all(command, [*core, *own], directory)
        assert complaint is None
        host.run(["ar", "rcs", directory / "libcge.a", *objects[: len(core)]])
        link = ["gcc", *objects[len(core) :], directory / "libcge.a", "-lm", f"-Wl,-Map={directory / 'map'}"]
        host.run([*link, "-o", directory / "program"])
        taken = set(re.findall(r"libcge\.a\((\w+)\.o\)", (directory / "map").read_text()))
    assert len(taken) > 20
    return [path for path in core if path.stem in taken]


def outcome(compiler, flags, directory, machine=(), innocent=(), link=(), runner=(), own=()):
    """The program's last line, or the compiler's complaint about the core."""
    tests, include = host.ROOT / "tests" / "c", ["-I", host.ROOT / "csrc" / "include"]
    if machine:  # a board of 32 bits has kernels that the PC leaves out
        tiled = [path for path in boards_sources() if path.parent.name == "tiled"]
        core = linked_sources() if machine == AS_FOR_A_BOARD else sorted({*linked_sources(), *tiled})
    else:  # the kernels that only hosts have; `link` has the rest
        core = [path for path in host.library_sources() if path.parent.name in ("lanes", "host")]
    objects, complaint = compile_all([compiler, *machine, *flags, *include], core, directory)
    if complaint:
        return complaint
    (directory / "program.c").write_text(PROGRAM)
    words = [flag for flag in flags if flag.startswith(("-DCGE", "-flto"))]
    program = [directory / "program.c", tests / "check.c", tests / "test_golden.c", tests / "models.c", *own]
    command = [compiler, *machine, "-O1", "-std=c99", "-ffp-contract=off", *words, *innocent, *include, "-I", tests]
    host.run([*command, *program, *objects, *link, "-o", directory / "program"])
    done = subprocess.run([*runner, directory / "program"], stdout=subprocess.PIPE, text=True, timeout=120)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("flags, expected", GCC)
def test_gcc(flags, expected, tmp_path):
    need("gcc")
    assert expected in outcome("gcc", flags.split(), tmp_path, machine=AS_FOR_A_BOARD, link=["-lm"])


@pytest.mark.parametrize("flags, expected", CLANG)
def test_clang(flags, expected, tmp_path):
    need("clang")
    assert expected in outcome("clang", flags.split(), tmp_path, machine=AS_FOR_A_BOARD, link=["-lm"])


@pytest.mark.parametrize(
    "compiler, flags", [("gcc", "-O1 -ffast-math -std=gnu11"), ("clang", "-O1 -funsafe-math-optimizations")]
)
def test_kernels_of_hosts(compiler, flags, tmp_path, core_archive):
    need(compiler)
    assert KEPT in outcome(compiler, flags.split(), tmp_path, link=[core_archive, "-pthread", "-lm"])


@pytest.mark.parametrize("flags, expected", M4F)
def test_gcc_for_the_emulated_cortex_m4f(flags, expected, tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    b, common = board("netduinoplus2"), host.ROOT / "toolchains" / "common"
    memory = [f"-Wl,--defsym={name}={b['BOARD_' + name]}" for name in ("FLASH_ORIGIN", "FLASH_KB", "RAM_ORIGIN", "RAM_KB")]
    libraries = ["-nostartfiles", "--specs=nano.specs", "--specs=rdimon.specs"]
    link = [*libraries, "-T", common / "linker.ld", "-Wl,--gc-sections", *memory]
    innocent = ["-I", common, f"-DCGE_TEST_RAM_BYTES={b['BOARD_RAM_KB']}*1024", "-DCGE_BARE_METAL=1"]
    machine = [*b["BOARD_CFLAGS"].split(), f"-mfloat-abi={b['BOARD_FLOAT_ABI']}", "-ffunction-sections"]
    runner = [common / "run.sh", b["BOARD_QEMU"]]
    runtime = [common / "runtime.c"]
    assert expected in outcome("arm-none-eabi-gcc", flags.split(), tmp_path, machine, innocent, link, runner, runtime)


@pytest.mark.parametrize("flags, refused", [("-mfpmath=387 -O1", True), ("-mfpmath=sse -O1", False)])
def test_wider_arithmetic_is_refused(flags, refused, tmp_path):
    """x87 computes in 80 bits."""
    if os.uname().machine != "x86_64":
        wider = "-D__FLT_EVAL_METHOD__=2 -Wno-builtin-macro-redefined"
        flags = flags.replace("-mfpmath=387", wider).replace("-mfpmath=sse", "")
    command = ["gcc", "-std=c99", *flags.split(), "-I", host.ROOT / "csrc" / "include"]
    _, complaint = compile_all(command, [host.ROOT / "csrc" / "src" / "base" / "math.c"], tmp_path)
    assert ("float is computed in a wider type" in complaint) if refused else complaint is None
