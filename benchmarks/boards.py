"""One table of all boards: what the library costs on each.

    python3 benchmarks/boards.py measure BUILD CSV          # from BUILD/<board>/size.csv of every board, see `make boards`
    python3 benchmarks/boards.py print CSV
    python3 benchmarks/boards.py put BOARD SIZE_CSV CSV     # the row of one board, new or again
    python3 benchmarks/boards.py readme CSV README          # writes the table in there anew

net_*: a program that trains the demo's network; library_*: every function of the library. Standard library only.
"""

import re
import sys
from pathlib import Path

import size

ROOT = Path(__file__).resolve().parent.parent
TOOLCHAINS, STACK = ROOT / "toolchains", ROOT / "convgrad_embedded" / "stack.csv"
FIELDS = ["board", "core", "net_code_bytes", "net_rodata_bytes", "net_stack_bytes", "library_code_bytes",
          "library_rodata_bytes", "flash_kb", "ram_kb"]
HEADINGS = ["board", "core", "net: code", "rodata", "stack", "library: code", "rodata", "flash kB", "RAM kB"]


def board_data(path):
    """NAME = value lines of a board's file."""
    lines = (line.split("=", 1) for line in path.read_text().splitlines() if line.startswith("BOARD_"))
    return {name.strip(): value.strip() for name, value in lines}


def row(path, sizes):
    data = board_data(path)
    total = {line["symbol"]: line for line in sizes}
    net, library = total[size.TOTAL_NET], total[size.TOTAL_LIBRARY]
    return {
        "board": path.stem,
        "core": data["BOARD_CORE"],
        "net_code_bytes": net["code_bytes"],
        "net_rodata_bytes": net["rodata_bytes"],
        "net_stack_bytes": net["stack_bytes"],
        "library_code_bytes": library["code_bytes"],
        "library_rodata_bytes": library["rodata_bytes"],
        "flash_kb": data.get("BOARD_FLASH_KB", ""),
        "ram_kb": data.get("BOARD_RAM_KB", ""),
    }


def measure(build):
    sizes = {path: Path(build, path.stem, "size.csv") for path in sorted(TOOLCHAINS.glob("*.mk"))}
    return [row(path, size.read(csv)) for path, csv in sizes.items() if csv.exists()]


def print_table(rows):
    cells = [HEADINGS, *([line[field] or "-" for field in FIELDS] for line in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        texts, numbers = line[:2], line[2:]
        left = [text.ljust(width) for text, width in zip(texts, widths)]
        print("  ".join(left + [number.rjust(width) for number, width in zip(numbers, widths[2:])]))
    print("bytes, unless marked kB; flash and RAM (the largest block) are the board's")


def put(rows, new):
    """`rows` with this one, in the place of the same board's."""
    return sorted([line for line in rows if line["board"] != new["board"]] + [new], key=lambda line: line["board"])


# ---- the table in README.md: a line for each core, without the boards that are there only to be emulated ------------------

HEADER = """\
| core | boards: flash, RAM | code | constants | stack | C tests run on |
|---|---|---|---|---|---|
"""
TABLE = re.compile(re.escape(HEADER) + r"(?:\|.*\n)*")


def tests_on(board):
    """The emulated board for its core, "none", or None for a board that README leaves out."""
    data = board_data(TOOLCHAINS / f"{board}.mk")
    return data.get("BOARD_TESTS_ON", None if "BOARD_QEMU" in data else "none")


def stack_bytes(line):
    """On microcontrollers the most of several builds, see `make stack`."""
    cores = {measured["core"]: measured for measured in size.read(STACK)}
    builds = cores.get(line["core"], {"net_bytes": line["net_stack_bytes"]})
    return max(int(bytes_) for name, bytes_ in builds.items() if name.endswith("_bytes"))


def readme_table(rows):
    groups = {}
    for line in rows:
        emulated = tests_on(line["board"])
        sizes = int(line["net_code_bytes"]), int(line["net_rodata_bytes"]), stack_bytes(line)
        figures = tuple(f"{bytes_:,}" for bytes_ in sizes)
        if emulated is not None:
            groups.setdefault((*figures, emulated), []).append(line)
    return HEADER + "".join(f"{readme_line(*group)}\n" for group in sorted(groups.items(), key=readme_order))


def readme_line(key, lines):
    *figures, emulated = key
    cores = ", ".join(sorted({line["core"] for line in lines}))
    memory = [f" {line['flash_kb']}, {line['ram_kb']}" if line["flash_kb"] else "" for line in lines]
    boards = "; ".join(f"`{line['board']}`{sizes}" for line, sizes in zip(lines, memory))
    return "| " + " | ".join([cores, boards, *figures, "none" if emulated == "none" else f"`{emulated}`"]) + " |"


def readme_order(group):
    """Microcontrollers first, then by the number of boards and by name."""
    _, lines = group
    return not lines[0]["flash_kb"], -len(lines), lines[0]["core"]


def write_readme(path, rows):
    text = path.read_text(encoding="utf-8")
    if len(TABLE.findall(text)) != 1:
        sys.exit(f"{path}: expected one table that begins with\n{HEADER}")
    path.write_text(TABLE.sub(lambda match: readme_table(rows), text), encoding="utf-8")


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "measure":
        size.write(arguments[2], FIELDS, measure(arguments[1]))
    elif len(arguments) == 2 and arguments[0] == "print":
        print_table(size.read(arguments[1]))
    elif len(arguments) == 4 and arguments[0] == "put":
        _, board, sizes, table = arguments
        size.write(table, FIELDS, put(size.read(table), row(TOOLCHAINS / f"{board}.mk", size.read(sizes))))
    elif len(arguments) == 3 and arguments[0] == "readme":
        write_readme(Path(arguments[2]), size.read(arguments[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
