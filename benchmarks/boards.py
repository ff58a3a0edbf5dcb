"""One table of all boards: what the library costs on each.

    python3 benchmarks/boards.py measure BUILD CSV   # from BUILD/<board>/size.csv of every board, see `make boards`
    python3 benchmarks/boards.py print CSV

net_*: a program that trains the demo's network; library_*: every function of the library. Standard library only.
"""

import sys
from pathlib import Path

import size

TOOLCHAINS = Path(__file__).resolve().parent.parent / "toolchains"
FIELDS = ["board", "core", "net_code_bytes", "net_rodata_bytes", "net_stack_bytes", "library_code_bytes", "library_rodata_bytes",
          "flash_kb", "ram_kb"]
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
        print("  ".join([text.ljust(width) for text, width in zip(texts, widths)] + [n.rjust(w) for n, w in zip(numbers, widths[2:])]))
    print("bytes, unless marked kB; flash and RAM (the largest block) are the board's")


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "measure":
        size.write(arguments[2], FIELDS, measure(arguments[1]))
    elif len(arguments) == 2 and arguments[0] == "print":
        print_table(size.read(arguments[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
