"""What is said to make is understood, or ends in one line before anything is built."""

import subprocess

import pytest
from test_toolchain import make, need, run


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("FUSED=2", "FUSED=2 is not possible: 1 is on; 0 or nothing is off"),
        ("SMALL=yes", "SMALL=yes is not possible"),
        ("V=", None),
        ("BORAD=pi4", "there is no variable BORAD"),
        ("FUSE=1", "there is no variable FUSE"),
        ("OPT=-Ofast", "OPT=-Ofast is not possible: it changes the bits"),
        ("OPT=-O2 -ffast-math", "OPT=-ffast-math is not possible"),
        ("CFLAGS=-ffp-contract=fast", "CFLAGS=-ffp-contract=fast is not possible"),
        ("CFLAGS=-g -funsafe-math-optimizations", "CFLAGS=-funsafe-math-optimizations is not possible"),
        ("CC=gcc -Ofast", "CC=-Ofast is not possible"),
        ("OPT=-O3 -march=native", None),
        ("APP=missing-folder", "there is no directory missing-folder"),
        ("APP=docs", "there is no .c, .cpp, .cc or .cxx file"),
    ],
)
def test_make_says_in_one_line_what_it_does_not_take(arguments, message, tmp_path):
    done = make("-n", "firmware" if "APP" in arguments else "lib", arguments, BUILD=tmp_path, ok=message is None)
    if message is not None:
        assert message in done and len(done.splitlines()) == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("option, define", [("FUSED", "-DCGE_FUSED=1"), ("SMALL", "-DCGE_SMALL=1")])
@pytest.mark.parametrize("value, is_on", [("0", False), ("", False), ("1", True)])
def test_only_1_switches_an_option_on(option, define, value, is_on, tmp_path):
    assert (define in make("-n", "lib", f"{option}={value}", BUILD=tmp_path, V=1)) == is_on


def test_the_same_holds_for_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSED", "0")
    assert "-DCGE_FUSED" not in make("-n", "lib", BUILD=tmp_path, V=1)
    monkeypatch.setenv("CFLAGS", "-Ofast")
    assert "CFLAGS=-Ofast is not possible" in make("-n", "lib", BUILD=tmp_path, ok=False)


CXX = """
#include <cge.h>
#include <stdio.h>
extern "C" int twice(int value);
namespace {
struct Answer { int value; Answer() : value(twice(21)) {} };
const Answer answer; // before main, as in any C++ program
}
int main()
{
    printf("%d, %s\\n", answer.value, cge_status_text(CGE_OK));
    return 0;
}
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """A folder in which each board's library is built once."""
    return tmp_path_factory.mktemp("libraries")


@pytest.mark.parametrize("suffix", [".cpp", ".cc"])
@pytest.mark.parametrize("board", ["host", "netduinoplus2"])
def test_programs_may_have_cxx_files(board, suffix, libraries, tmp_path):
    need("g++" if board == "host" else "arm-none-eabi-g++")
    app, program = tmp_path / "app", tmp_path / "program.elf"
    app.mkdir()
    (app / f"main{suffix}").write_text(CXX)
    (app / "twice.c").write_text("int twice(int value);\nint twice(int value)\n{\n    return 2 * value;\n}\n")
    make("firmware", BOARD=board, BUILD=libraries / board, APP=app, OUT=program, WERROR=1, OPT="-O0")
    output = subprocess.check_output([program], text=True) if board == "host" else run(program, board)[1]
    assert output.split() == ["42,", "ok"]


def test_a_board_without_a_cxx_compiler_says_so(tmp_path):
    (tmp_path / "main.cpp").write_text(CXX)
    message = make("firmware", APP=tmp_path, BUILD=tmp_path / "build", CXX="no-such-compiler", ok=False)
    assert "main.cpp needs no-such-compiler: it is not installed" in message and len(message.splitlines()) == 1
