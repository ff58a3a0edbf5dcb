"""The build, its figures and the boards: what `make` promises, asked of `make` itself."""

import re
import shutil
import subprocess
import sys

import pytest
from board import make, need, output, run
from host import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import size  # noqa: E402

NAMED_BOARDS = sorted(path.stem for path in (ROOT / "toolchains").glob("*.mk") if path.stem != "host")
EMULATED_BOARDS = [board for board in NAMED_BOARDS if "BOARD_QEMU = " in (ROOT / "toolchains" / f"{board}.mk").read_text()]
BARE_METAL_EMULATED = ["netduinoplus2", "mps2_an385", "mps2_an386", "mps2_an500", "mps2_an505", "mps3_an547", "microbit"]

# Code and constants that training the demo's network links on a Cortex-M4F at -O2: with the fast kernels, and with
# SMALL=1; and the stack of a training step.
NET_LIMIT_BYTES, SMALL_NET_LIMIT_BYTES = 18 * 1024 - 168, 9 * 1024 + 756
STACK_LIMIT_BYTES = 1024
CRC32 = "csrc/src/base/crc32.c"  # a library of this alone is there at once


@pytest.fixture(scope="module")
def m4f(tmp_path_factory, board_library):
    """Build directory of the Crazyflie's library."""
    return board_library("crazyflie21", tmp_path_factory.mktemp("m4f"))


@pytest.fixture(scope="module")
def m4f_size(m4f):
    """The same directory, with size.csv and the program that it measures."""
    make(m4f / "size.csv", BOARD="crazyflie21", BUILD=m4f, WERROR=1)
    return m4f


@pytest.fixture(scope="module")
def boards_build(tmp_path_factory):
    return tmp_path_factory.mktemp("boards")


def build_firmware(directory, board, source, build, **variables):
    """A program from C text; its path."""
    app, program = directory / "app", directory / f"{board}.elf"
    (app / "deeper").mkdir(parents=True, exist_ok=True)
    (app / "deeper" / "main.c").write_text(source)
    make("firmware", "-j2", BOARD=board, BUILD=build, APP=app, OUT=program, WERROR=1, **variables)
    return program


@pytest.fixture
def firmware(tmp_path, boards_build, board_library):
    """Builds a program for a board from C text, gives the path of the program."""

    def build(board, source):
        need("arm-none-eabi-gcc", "qemu-system-arm")
        if not (boards_build / board).exists():
            board_library(board, boards_build / board)
        return build_firmware(tmp_path, board, source, boards_build / board)

    return build


@pytest.fixture
def bare_firmware(tmp_path, boards_build):
    """The same for programs that call nothing of the library but cge_crc32. On every board the C tests call the rest."""

    def build(board, source):
        need("arm-none-eabi-gcc", "qemu-system-arm")
        return build_firmware(tmp_path, board, source, boards_build / f"{board}-bare", LIBRARY_SOURCES=CRC32)

    return build


# ---- the library's promises --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"FUSED": 1}, {"SMALL": 1}], ids=["fused", "small"])
def test_library_has_no_warnings_on_the_host(options, tmp_path):
    """Builds that are none of those in which the C tests run, where a warning is an error too. Clang warns before it
    optimises."""
    need("clang")
    assert "warning:" not in make("lib", "-j2", CC="clang", OPT="-O0", BUILD=tmp_path, WERROR=1, **options)


def test_strict_warnings_are_on(tmp_path):
    compiled = make("-n", "lib", BUILD=tmp_path, WERROR=1, V=1)
    for flag in ("-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wdouble-promotion -Wshadow -Wvla -Wundef -Wstrict-prototypes "
                 "-Wmissing-prototypes -Werror -ffp-contract=off").split():
        assert f" {flag} " in compiled


def symbols(archive):
    """[(type, binding, section or UND or COM, name)] of the machine code; nm shows what is there for optimising the whole."""
    found = re.findall(
        r"^ *\d+: \w+ +\w+ (\w+) +(\w+) +\w+ +(\w+) (\S+)", output("arm-none-eabi-readelf", "-sW", archive), re.MULTILINE
    )
    assert len(found) > 100
    return found


def test_library_calls_only_the_compilers_own_helpers(m4f):
    """Those, and the four functions that GCC asks of every environment, with or without a C library."""
    found = symbols(m4f / "libcge.a")
    defined = {name for _, binding, section, name in found if binding != "LOCAL" and section.isdigit()}
    undefined = {name for _, _, section, name in found if section == "UND"} - defined
    assert {name for name in undefined if not re.fullmatch(r"memcpy|memset|memmove|memcmp|__aeabi_\w+", name)} == set()
    assert undefined >= {"memset"} and "cge_network_train_batch" in defined


def test_library_has_no_writable_static_data(m4f):
    assert [
        symbol for symbol in symbols(m4f / "libcge.a") if symbol[2] == "COM" and not symbol[3].startswith("__gnu_lto_")
    ] == []
    sections = output("arm-none-eabi-objdump", "-h", m4f / "libcge.a")
    sizes = re.findall(r"^ +\d+ (\.(?:data|bss)\S*) +(\w+)", sections, re.MULTILINE)
    assert sizes and all(int(bytes_, 16) == 0 for _, bytes_ in sizes), sizes


def net_bytes(build):
    """What training the demo's net takes: code and constants, stack."""
    total = next(row for row in size.read(build / "size.csv") if row["symbol"] == size.TOTAL_NET)
    return int(total["code_bytes"]) + int(total["rodata_bytes"]), int(total["stack_bytes"])


def test_training_of_the_demos_net_fits_its_limits_on_cortex_m4f(m4f_size, tmp_path, root):
    need("arm-none-eabi-gcc")
    make(tmp_path / "small" / "size.csv", "-j2", BOARD="crazyflie21", BUILD=tmp_path / "small", SMALL=1)
    make(tmp_path / "apart" / "size.csv", "-j2", BOARD="crazyflie21", BUILD=tmp_path / "apart", WHOLE="")
    (fast, fast_stack), (small, small_stack), (apart, apart_stack) = map(
        net_bytes, (m4f_size, tmp_path / "small", tmp_path / "apart")
    )
    assert 4096 < fast <= NET_LIMIT_BYTES and 256 < fast_stack <= STACK_LIMIT_BYTES
    assert 4096 < small <= SMALL_NET_LIMIT_BYTES and 256 < small_stack <= STACK_LIMIT_BYTES
    text = " ".join((root / "README.md").read_text().split())
    assert f"`SMALL=1` takes {small:,} bytes in place of {fast:,}" in text
    assert f"Without `-flto` it takes {apart:,} bytes and {apart_stack:,} of stack on the M4F" in text


def test_hosts_kernels_keep_to_the_stack_that_the_header_names(tmp_path):
    need("aarch64-linux-gnu-gcc")
    make(tmp_path / "size.csv", "-j2", BOARD="aarch64", BUILD=tmp_path)
    header = (ROOT / "csrc" / "include" / "cge_host.h").read_text()
    limit = int(re.search(r"#define CGE_HOST_STACK_BYTES (\d+)", header)[1])
    total = next(row for row in size.read(tmp_path / "size.csv") if row["symbol"] == size.TOTAL_LIBRARY)
    assert limit / 2 < int(total["stack_bytes"]) <= limit


def test_stack_measured_on_the_board_is_within_the_computed_bound(m4f_size):
    need("qemu-system-arm")
    status, printed = run(m4f_size / "size.elf", "netduinoplus2")
    assert status == 0, printed
    measured = int(re.search(r"stack bytes (\d+)", printed)[1])
    bound = int(next(row["stack_bytes"] for row in size.read(m4f_size / "size.csv") if row["symbol"] == size.TOTAL_NET))
    assert bound / 2 < measured <= bound + 64  # 64: the frame of the program's own function in between


def test_every_function_of_the_library_has_a_size_and_a_stack(m4f_size):
    listed = size.read(m4f_size / "size.csv")
    rows = {re.sub(r"\.(constprop|lto_priv)\.\d+$", "", row["symbol"]): row for row in listed}  # copies for one way of calling
    public = {name for type_, binding, _, name in symbols(m4f_size / "libcge.a") if (type_, binding) == ("FUNC", "GLOBAL")}
    assert "cge_network_forward" in public
    headers = "\n".join(path.read_text() for path in (ROOT / "csrc" / "src").rglob("*.h"))
    inlined = public - set(rows)  # everywhere, in the program as a whole
    assert inlined <= set(re.findall(r"CGE_INTERNAL[^;(]*?\b(cge_\w+)\(", headers))
    for function in public - inlined:
        assert int(rows[function]["code_bytes"]) > 0 and int(rows[function]["stack_bytes"]) >= int(
            rows[function]["frame_bytes"]
        )
    assert int(rows["cge_network_train_batch"]["stack_bytes"]) > int(rows["cge_conv2d_weight_grad_f32_tiled"]["stack_bytes"])
    assert rows["cge_network_train_batch"]["in_net"] == "1" and rows["cge_network_save"]["in_net"] == "0"


# ---- the figures themselves -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source, complaint",
    [
        ("int f(int n) { return n < 2 ? n : f(n - 1) * n + f(n - 2); }", "recursion"),
        ("void g(char *); void f(int n) { char a[n]; g(a); }", "stack of unknown size"),
        (
            "struct t { int (*strange)(int); }; int f(const struct t *t) { return t->strange(1) + 1; }",
            "calls through a pointer",
        ),
        ("static int g(int n) { return n; } int (*const table[1])(int) = {g};", "is called through a pointer"),
        ("int counter = 3; int f(void) { return ++counter; }", "writable static data"),
    ],
)
def test_size_refuses_what_it_cannot_measure(source, complaint, tmp_path):
    need("arm-none-eabi-gcc")
    (tmp_path / "lib").mkdir()
    (tmp_path / "x.c").write_text(source)
    (tmp_path / "size.map").write_text("Linker script and memory map")
    subprocess.run(["arm-none-eabi-gcc", "-O1", "-ffunction-sections", "-fdata-sections", "-fcallgraph-info=su", "-c",
                    tmp_path / "x.c", "-o", tmp_path / "lib" / "x.o"], check=True)
    with pytest.raises(SystemExit, match=complaint):
        size.measure(tmp_path, "lib/*.o", "lib/*.o")


def test_size_compare_names_what_changed(m4f_size, tmp_path):
    rows = size.read(m4f_size / "size.csv")
    changed = next(row for row in rows if row["symbol"] == "cge_crc32")
    before = int(changed["code_bytes"])
    changed["code_bytes"] = before - 10
    size.write(tmp_path / "baseline.csv", size.FIELDS, rows)
    printed = output(sys.executable, ROOT / "benchmarks/size.py", "compare", m4f_size / "size.csv", tmp_path / "baseline.csv")
    assert re.match(rf"cge_crc32 +code_bytes {before - 10} -> {before} \(\+10\)\n1 of \d+ rows differ", printed)


@pytest.mark.parametrize(
    "name, fields", [("size_crazyflie21", size.FIELDS[:6]), ("boards", ["board", "core", "net_code_bytes"])]
)
def test_baselines_are_committed(name, fields):
    rows = size.read(ROOT / "benchmarks" / "baselines" / f"{name}.csv")
    assert len(rows) >= 20 and set(fields) <= set(rows[0])


# ---- boards -----------------------------------------------------------------------------------------------------------------


def test_the_boards_that_users_name_are_there():
    expected = """crazyflie21 pixhawk4 pixhawk6x matekh743 stm32f4disco blackpill_f411 nucleo_h743zi nucleo_l476rg nrf52840dk
        rp2040 rp2350 teensy41 pi_zero2w pi4 pi5 bbblue microbit""".split()
    assert set(expected) <= set(NAMED_BOARDS) and set(BARE_METAL_EMULATED) < set(EMULATED_BOARDS)


def test_unknown_board_lists_the_known_ones():
    printed = make("lib", BOARD="nosuch", ok=False)
    assert "no board 'nosuch'" in printed
    assert set(NAMED_BOARDS + ["host"]) <= set(printed.split("known: ")[1].rstrip(".\n").replace(".  Stop", "").split())


@pytest.mark.parametrize("board", NAMED_BOARDS)
def test_board_file_has_what_builds_and_people_need(board):
    values = dict(re.findall(r"^(\w+) = ?(.*)$", (ROOT / "toolchains" / f"{board}.mk").read_text(), re.MULTILINE))
    assert {"BOARD_DESCRIPTION", "BOARD_CORE", "BOARD_PREFIX", "BOARD_CFLAGS"} <= set(values)
    if values["BOARD_PREFIX"] == "arm-none-eabi-":
        assert int(values["BOARD_RAM_KB"]) <= int(values["BOARD_RAM_TOTAL_KB"])
        assert int(values["BOARD_FLASH_KB"]) > 0 and values["BOARD_FLOAT_ABI"] in ("hard", "softfp", "soft")
        assert int(values["BOARD_FLASH_ORIGIN"], 16) != int(values["BOARD_RAM_ORIGIN"], 16)
    flags = make("-n", "lib", BOARD=board, BUILD="build/never", V=1)
    assert values["BOARD_CFLAGS"] in flags and "-ffp-contract=off" in flags and "f64.c" not in flags


def test_a_new_board_is_one_file(tmp_path):
    for name in ("Makefile", "csrc", "toolchains"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "toolchains/crazyflie21.mk", tmp_path / "toolchains/mydrone.mk")
    assert "mydrone" in make("help", root=tmp_path)
    assert "mydrone/libcge.a" in make("-n", "lib", BOARD="mydrone", root=tmp_path)


@pytest.mark.parametrize("abi, registers", [("hard", True), ("softfp", False)])
def test_abi_decides_where_floats_are_passed(abi, registers, tmp_path):
    need("arm-none-eabi-gcc")
    make(tmp_path / "lib/random.o", BOARD="crazyflie21", BUILD=tmp_path, ABI=abi)
    assert ("Tag_ABI_VFP_args: VFP registers" in output("arm-none-eabi-readelf", "-A", tmp_path / "lib/random.o")) == registers


def test_softfp_is_refused_where_there_is_no_fpu():
    assert "ABI=softfp is not possible on rp2040" in make("lib", BOARD="rp2040", ABI="softfp", ok=False)


def test_objects_follow_the_flags(tmp_path):
    target = tmp_path / "lib/crc32.o"
    assert "csrc/src/base/crc32.c" in make(target, BUILD=tmp_path)
    assert "crc32" not in make(target, BUILD=tmp_path)
    assert "csrc/src/base/crc32.c" in make(target, BUILD=tmp_path, OPT="-O1")


def test_a_program_is_linked_again_when_only_the_memory_is_another(tmp_path):
    """So boards that are compiled for in the same way share a library."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.c").write_text("int main(void) { return 0; }\n")
    need("arm-none-eabi-gcc")
    variables = {"APP": tmp_path / "app", "BUILD": tmp_path, "OUT": tmp_path / "a.elf", "LIBRARY_SOURCES": CRC32}
    steps = [re.findall(r"^  (CC|LD) ", make("firmware", BOARD=board, **variables), re.MULTILINE) for board in
             ("netduinoplus2", "netduinoplus2", "nrf52840dk")]
    assert steps == [["CC", "CC", "CC", "LD"], [], ["LD"]]


# ---- programs on emulated boards -------------------------------------------------------------------------------------

PROGRAM = """
#include <stdio.h>
#include "cge.h"
#include "runtime.h"

static int initialised = 41, zero;
static volatile float half = 0.5f;

int main(void)
{
    printf("%d %d %ld %08lx\\n", initialised++, zero, (long)(half * 10.0f), (unsigned long)cge_crc32(0, "123456789", 9));
    return initialised == 42 ? 7 : 1;
}
"""


@pytest.mark.parametrize("board", BARE_METAL_EMULATED)
def test_exit_status_and_output_cross_the_emulator(board, bare_firmware):
    assert run(bare_firmware(board, PROGRAM), board) == (7, "41 0 5 cbf43926\n")


@pytest.mark.parametrize("board", BARE_METAL_EMULATED)
def test_fault_ends_with_a_failure_and_says_where(board, bare_firmware):
    status, printed = run(bare_firmware(board, "int main(void)\n{\n    __builtin_trap();\n}\n"), board)
    assert status == 1 and re.search(r"fault at pc 0x[0-9a-f]{8} lr 0x[0-9a-f]{8}", printed)


def test_program_that_hangs_is_ended(bare_firmware):
    status, printed = run(
        bare_firmware("netduinoplus2", "int main(void)\n{\n    for (;;) {\n    }\n}\n"), "netduinoplus2", seconds=1
    )
    assert status == 124 and "did not end within 1 seconds" in printed


def stack_program(frame):
    return """
#include <stdio.h>
#include "runtime.h"

__attribute__((noinline)) static int touch(int n)
{
    volatile unsigned char bytes[%d];
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = 1;
    return bytes[n];
}

int main(void)
{
    stack_paint();
    int sum = touch(0);
    printf("%%lu\\n", (unsigned long)stack_peak());
    return sum - 1;
}
""" % frame


@pytest.mark.parametrize("frame", [300, 1500])
def test_stack_peak_sees_a_frame(frame, bare_firmware):
    status, printed = run(bare_firmware("microbit", stack_program(frame)), "microbit")
    assert status == 0 and frame <= int(printed) <= frame + 32


def test_stack_that_outgrows_its_room_is_a_failure(bare_firmware):
    """Of 16 KB, which linker.ld keeps where there is RAM enough."""
    status, printed = run(bare_firmware("netduinoplus2", stack_program(17000)), "netduinoplus2")
    assert status == 1 and "the stack and the heap met" in printed


def test_make_run_fails_with_the_program(bare_firmware):
    make("run", BOARD="netduinoplus2", ELF=bare_firmware("netduinoplus2", "int main(void) { return 0; }\n"))
    assert "Error 3" in make(
        "run", BOARD="netduinoplus2", ELF=bare_firmware("netduinoplus2", "int main(void) { return 3; }\n"), ok=False
    )


# ---- the front door --------------------------------------------------------------------------------------------------


def test_help_lists_every_target():
    printed = make("help")
    for target in "help setup demo test lib firmware run size boards bench clean".split():
        assert re.search(rf"^  {target} +\w", printed, re.MULTILINE), target


def test_everything_ends_with_pytest_and_runs_every_build():
    plan = make("-n", "everything", CI="true", JOBS=1)
    builds = """gcc-O2 gcc-fused-native gcc-native-unity clang-native clang-sanitize clang-thread-sanitize
        netduinoplus2-small netduinoplus2-fused netduinoplus2-unity""".split()
    for build in EMULATED_BOARDS + builds:
        assert f"== C tests: {build} (" in plan
    assert plan.rindex("-m pytest") > plan.rindex("== C tests: ")


def test_missing_tool_fails_or_is_told(tmp_path):
    variables = {"BOARD": "armhf", "COMPILER": "no-such-gcc", "NOT_RUN": tmp_path / "not-run", "BUILD": tmp_path}
    assert "NOT RUN: C tests on armhf, for want of no-such-gcc" in make("c-tests", ok=False, **variables)
    make("c-tests", MAY_SKIP=1, **variables)
    assert "no-such-gcc" in (tmp_path / "not-run").read_text()
