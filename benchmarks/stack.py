"""Worst-case stack of training on each Cortex-M core, as this Makefile builds it and as README's recipe does.

    python3 benchmarks/stack.py measure CSV [CORE]...   # all cores of the boards, or those; builds below build/stack
    python3 benchmarks/stack.py print CSV

whole: optimised as a whole when linked; plain_*: file by file with that option alone. Of a program that trains the demo's
network, by the call graph (size.py). One board stands for all with its core. Standard library only.
"""

import os
import subprocess
import sys
from pathlib import Path

import boards
import size

ROOT = Path(__file__).resolve().parent.parent
BUILDS = {"whole_bytes": [], "plain_O2_bytes": ["PLAIN=1", "OPT=-O2"], "plain_Os_bytes": ["PLAIN=1", "OPT=-Os"]}
FIELDS = ["core", "board", *BUILDS]


def cores():
    """{core: its first board} of the microcontrollers."""
    found = {}
    for path in sorted(boards.TOOLCHAINS.glob("*.mk")):
        data = boards.board_data(path)
        if "-none-" in data["BOARD_PREFIX"]:
            found.setdefault(data["BOARD_CORE"], path.stem)
    return found


def measure(names, directory=ROOT / "build" / "stack"):
    return [row(core, board, directory / board) for core, board in sorted(cores().items()) if not names or core in names]


def row(core, board, directory):
    figures = {field: stack(board, directory / field, options) for field, options in BUILDS.items()}
    return {"core": core, "board": board, **figures}


def stack(board, build, options):
    environment = {**os.environ, "CCACHE_DISABLE": "1"}  # ccache, where the compiler is one, keeps no call graphs
    variables = ["QUIET=1", "WERROR=1", f"BOARD={board}", f"BUILD={build}", *options]
    command = ["make", "-C", str(ROOT), f"-j{os.cpu_count()}", *variables, str(build / "size.csv")]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    total = next(row for row in size.read(build / "size.csv") if row["symbol"] == size.TOTAL_NET)
    return int(total["stack_bytes"])


def print_table(rows):
    for line in [dict(zip(FIELDS, FIELDS)), *rows]:
        print("  ".join([f"{line['core']:12}", f"{line['board']:16}", *(f"{line[field]:>16}" for field in BUILDS)]))


def main(arguments):
    if len(arguments) >= 2 and arguments[0] == "measure":
        size.write(arguments[1], FIELDS, measure(arguments[2:]))
    elif len(arguments) == 2 and arguments[0] == "print":
        print_table(size.read(arguments[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
