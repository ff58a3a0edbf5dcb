"""Instructions per kernel pass and per training step on an emulated board, counted exactly.

    python3 benchmarks/board_bench.py BOARD [make variables, e.g. SMALL=1 FUSED=1 OPT=-Os] [--table]

Prints CSV, with --table a table for people. `macs` are multiply-adds, padded taps counted; `stack_bytes` is the stack
below the call (0 on boards with an operating system). `estimated_cycles` is an estimate, for the Cortex-M4 only: the
counted instructions by the timings of its reference manual, memory without wait states. Needs make, gcc, the board's
compiler and its emulator. Standard library only.
"""

import argparse
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIELDS = ["board", "options", "case", "pass", "instructions", "macs", "instructions_per_mac", "estimated_cycles",
          "estimated_cycles_per_mac", "stack_bytes"]
NEEDED_RAM_KB = 192  # board_app/main.c: its workspace and a stack
VARIABLES = {"OPT": r"-O[0123s]", "ABI": "hard|softfp|soft", "FUSED": "1", "SMALL": "1"}


# ---- the board ----------------------------------------------------------------------------------------------------


def board_data(path):
    """NAME = value lines of a board's file."""
    lines = (line.split("=", 1) for line in path.read_text().splitlines() if line.startswith("BOARD_"))
    return {name.strip(): value.strip() for name, value in lines}


def emulated_boards():
    boards = {path.stem: board_data(path) for path in sorted((ROOT / "toolchains").glob("*.mk"))}
    return {name: data for name, data in boards.items() if "BOARD_QEMU" in data}


def check_tools(data):
    tools = ["make", "gcc", data["BOARD_QEMU"].split()[0], *(data["BOARD_PREFIX"] + tool for tool in ("gcc", "nm", "objdump"))]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"board_bench: not installed: {', '.join(missing)} (see `make setup`)")


# ---- building and running -----------------------------------------------------------------------------------------


def run_tool(command, **options):
    result = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, **options)
    if result.returncode != 0:
        output = (result.stdout + result.stderr).strip().splitlines()[-10:]
        verdict = f"board_bench: failed with status {result.returncode}: {' '.join(map(str, command))}"
        raise SystemExit("\n".join([*output, verdict]))
    return result.stdout


def build(board, variables, folder):
    """Paths of the plugin and of the program."""
    folder.mkdir(parents=True, exist_ok=True)
    plugin, program = folder / "insn_plugin.so", folder / "bench.elf"
    run_tool(["gcc", "-O2", "-shared", "-fPIC", ROOT / "benchmarks" / "insn_plugin.c", "-o", plugin])
    variables = [f"BOARD={board}", f"BUILD={folder}", "APP=benchmarks/board_app", f"OUT={program}", *variables]
    run_tool(["make", "-s", "firmware", *variables])
    return plugin, program


def address_of(data, program, symbol):
    found = re.search(rf"^(\w+) \w {symbol}$", run_tool([data["BOARD_PREFIX"] + "nm", program]), re.MULTILINE)
    if not found:
        raise SystemExit(f"board_bench: {program} has no function {symbol}")
    return int(found[1], 16) & ~1  # bit 0 of a Thumb function's symbol tells the instruction set


def run(data, program, plugin, folder):
    """What the program printed, and what the plugin counted: lists of the same length."""
    counts = folder / "counts.txt"
    begin, end = (address_of(data, program, symbol) for symbol in ("bench_begin", "bench_end"))
    arguments = f"-plugin {plugin},begin={begin},end={end},out={counts}"
    runner = ROOT / "toolchains" / "common" / "run.sh"
    printed = run_tool([runner, data["BOARD_QEMU"], program], env={**os.environ, "QEMU_ARGS": arguments}).splitlines()
    counted = counts.read_text().splitlines()
    if len(printed) != len(counted):
        raise SystemExit(f"board_bench: {len(printed)} cases printed, {len(counted)} counted")
    return printed, counted


# ---- estimated cycles ---------------------------------------------------------------------------------------------

SINGLE = r"v?(ldr|str)(b|h|sb|sh)?"  # one load or store: 2 cycles, 1 right behind another one
MULTIPLE = r"v?(ldm|stm)\w*|v?push|v?pop"  # 1 and 1 for each register
BRANCH = r"b|bl|bx|blx|tbb|tbh"
CONDITIONAL = r"b(eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)|cbn?z"
TAKEN = 3  # cycles of a branch that is taken; 1 of one that is not
OTHERS = [(r"vfn?m[as]|vn?ml[as]", 3), (r"vdiv|vsqrt", 14), (r"[su]div", 7), (r"(ldr|str)d", 3)]  # a division: 2 to 12


def disassemble(data, program):
    """[(address, name without suffixes, operands)] in the order of addresses."""
    text = run_tool([data["BOARD_PREFIX"] + "objdump", "-d", "--no-show-raw-insn", program])
    found = re.findall(r"^ *([0-9a-f]+):\t(\S+)(?:[ \t]+([^;@\n]*))?", text, re.MULTILINE)
    return [(int(address, 16), name.split(".")[0], operands.strip()) for address, name, operands in found]


def listed_registers(operands):
    """How many registers {s0-s3, s8} are."""
    ranges = re.findall(r"([a-z]+)(\d*)(?:-[a-z]+(\d+))?", operands[operands.find("{"):])
    return sum(int(last) - int(first) + 1 if last else 1 for _, first, last in ranges)


def cycles_of(name, operands, previous):
    if re.fullmatch(SINGLE, name):
        return 1 if re.fullmatch(SINGLE, previous) else 2
    if re.fullmatch(MULTIPLE, name):
        return 1 + listed_registers(operands)
    if re.fullmatch(BRANCH, name):
        return TAKEN
    return next((cycles for pattern, cycles in OTHERS if re.fullmatch(pattern, name)), 1)


def waits(name, operands, next_operands):
    """Whether the next instruction needs the result of this floating-point one, which comes a cycle later."""
    result = operands.split(",")[0]
    return re.fullmatch(r"v(add|sub|n?mul)", name) and result in re.findall(r"s\d+", next_operands)


def estimate_cycles(code, pairs):
    counts = {int(address, 16): int(count) for address, count in (pair.split(":") for pair in pairs)}
    cycles, previous = 0, ""
    for (address, name, operands), (next_address, _, next_operands) in zip(code, [*code[1:], (0, "", "")]):
        executed = counts.get(address, 0)
        if executed:
            cycles += executed * (cycles_of(name, operands, previous) + bool(waits(name, operands, next_operands)))
            if re.fullmatch(CONDITIONAL, name):
                cycles += (TAKEN - 1) * max(0, executed - counts.get(next_address, 0))
        previous = name
    return cycles


# ---- output -------------------------------------------------------------------------------------------------------


def rows(board, data, variables):
    folder = ROOT / "build" / "bench" / "_".join([board, *variables]).replace("=", "").replace("-", "")
    plugin, program = build(board, variables, folder)
    code = disassemble(data, program) if data["BOARD_CORE"].startswith("Cortex-M4") else None
    for printed, counted in zip(*run(data, program, plugin, folder)):
        case, name, macs, stack = printed.rsplit(",", 3)
        instructions, *pairs = counted.split()
        row = {"board": board, "options": " ".join(variables), "case": case, "pass": name, "stack_bytes": stack}
        row.update(instructions=instructions, macs=macs, instructions_per_mac=f"{int(instructions) / int(macs):.3f}")
        if code:
            cycles = estimate_cycles(code, pairs)
            row.update(estimated_cycles=cycles, estimated_cycles_per_mac=f"{cycles / int(macs):.3f}")
        yield row


def print_table(lines):
    headings = ["case", "pass", "instructions", "/ multiply-add", "cycles (est.)", "/ multiply-add", "stack"]
    fields = ["case", "pass", "instructions", "instructions_per_mac", *FIELDS[-3:]]
    for cells in [headings, *([row.get(field, "-") for field in fields] for row in lines)]:
        print("{:24} {:12} {:>12} {:>15} {:>14} {:>15} {:>6}".format(*cells))


def make_variable(text):
    name, _, value = text.partition("=")
    if not re.fullmatch(VARIABLES.get(name, "(?!)"), value):
        known = ", ".join(f"{name}={pattern}" for name, pattern in VARIABLES.items())
        raise argparse.ArgumentTypeError(f"{text!r} is none of {known}")
    return text


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `... | head` is no error
    boards = emulated_boards()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", choices=boards, metavar="BOARD", help=", ".join(boards))
    parser.add_argument("variables", nargs="*", type=make_variable, metavar="NAME=VALUE", help=", ".join(VARIABLES))
    parser.add_argument("--table", action="store_true", help="a table for people instead of CSV")
    arguments = parser.parse_args()
    data = boards[arguments.board]
    if "-none-" in data["BOARD_PREFIX"] and int(data["BOARD_RAM_KB"]) < NEEDED_RAM_KB:
        parser.error(f"{arguments.board} has {data['BOARD_RAM_KB']} KB of RAM, the cases take {NEEDED_RAM_KB}")
    check_tools(data)
    lines = list(rows(arguments.board, data, arguments.variables))
    if arguments.table:
        print_table(lines)
        return
    writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)


if __name__ == "__main__":
    main()
