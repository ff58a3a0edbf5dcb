"""Code size and worst-case stack of the library, from what compiler and linker write down.

    python3 benchmarks/size.py measure BUILD LIBRARY LINKED CSV  # from a build directory, see `make size`
    python3 benchmarks/size.py print CSV
    python3 benchmarks/size.py compare CSV BASELINE              # what differs between two such files

One row per symbol: its bytes of code and of read-only data, its own stack frame, the deepest stack of a call of it,
and whether a program that trains the demo's network links it. Two rows of totals. Standard library only.

LIBRARY are the objects of the library, LINKED those that the program consists of: the same, or the one that optimising
the whole makes of them. What is not in the latter has the figures of the former.

The stack follows the call graph (-fcallgraph-info=su). A call through a pointer may reach every function that
POINTER_MEMBERS lists under the name of the called member. So the figure is an upper bound.
"""

import csv
import re
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

FIELDS = ["symbol", "object", "code_bytes", "rodata_bytes", "frame_bytes", "stack_bytes", "in_net"]
TOTAL_NET, TOTAL_LIBRARY = "TOTAL training of the demo's net", "TOTAL library"

# Stack of what the compiler calls in its own library and in the C library; the default covers the deepest, a 64-bit
# division on ARMv6-M.
EXTERNAL_STACK_BYTES = {"memcpy": 16, "memmove": 16, "memset": 16}
DEFAULT_EXTERNAL_STACK_BYTES = 128

# The lists of operators with variants, which kernel sets are tables of.
OPERATORS = re.findall(
    r"^ +X\(\w+, (\w+)\)", (Path(__file__).parent.parent / "csrc/src/kernels/kernels.h").read_text(), re.MULTILINE
)

# What a call through a member of a table (layer kinds, losses, optimisers, kernel sets) or through an argument may
# reach, by regular expression. A call through another one, or a function in a table that no line here matches, is an
# error: then this is to be extended.
POINTER_MEMBERS = {
    "infer": "_infer$",
    "forward": "_forward$",
    "weight_grad": "_weight_grad$",
    "input_grad": "_input_grad$",
    "check": "_check$",
    "check_plan": "^cge_check_(sealed_)?plan$",
    "seal": "^seal_ranges$",
    "holds": "^spread_holds$",
    "leave_arena": "^leave_arena_for_ranges$",
    "enter": "^enter_plan$",
    "enter_ranges": "^enter_ranges$",
    "check_spread": "^check_spread$",
    "forward_units": "^forward_by_units$",
    "learn_pass": "^(cge_learn_pass|learn)_by_units$",
    "find": "^find_(layer_)?(forward|backward)_uses$",
    "compute": r"\b(\w*(max|avg)pool2d|conv2d|dense|(leaky_)?relu|sigmoid|tanh|elu|softmax|[^:]+_layer)_(forward|weight_grad)$",
    "forward_cuts": "^u8_forward_cuts$",
    "weight_grad_cuts": "^u8_weight_grad_cuts$",
    "find_room": "^u8_find_room$",
    "window_elems": "^u8_window_elems$",
    "magnitude": "^u8_magnitude$",
    "read": "^u8_read$",
    "add_list": "^add_list_of_(eights|channels|columns)$",
    "learn_conv2d": "^cge_conv2d_unit_backward_in_(pieces|channels)$",
    "are_possible": "^cge_relays_are_possible$",
    "choose_relays": "^cge_choose_relay_styles$",
    "relay_scratch": "^cge_relay_scratch$",
    "run_relay": "^cge_run_relay$",
    "back_through_relay": "^cge_back_through_relay$",
    "could_learn_by_rows": "^cge_could_learn_by_rows$",
    "blocks_are_possible": "^cge_blocks_are_possible$",
    "choose_blocks": "^cge_choose_block_styles$",
    "block_scratch": "^cge_block_scratch$",
    "run_block": "^cge_run_block$",
    "back_through_block": "^cge_back_through_block$",
    "spread_mean": "^cge_spread_mean$",
    "unit_forgets": "^cge_unit_forgets$",
    "sum_of_skip": "^cge_sum_of_skip$",
    "mask_elems": "^cge_mask_elems$",
    "keep_mask": "^cge_keep_mask$",
    "take_mask_of_x": "^cge_take_mask_of_x$",
    "take_mask_of_y": "^cge_take_mask_of_y$",
    "take": "^(take|hand)_row(_on)?$",
    "cut": "_cut$",
    "pieces": "_pieces$",
    "macs": "_macs$",
    "run_pieces": "_run$",
    "run_in": "^run_in_(filter|row|rows|group|band)$",
    "stage_passes": "^cge_slice_stage_of_",
    "next_stage": "^cge_slice_next_of_",
    "check_targets": "_check_targets$",
    "plain_targets": "(?<!weighted)_check_targets$",
    "plain_loss": r"\b(cross_entropy|smoothed|distillation|squared_error|absolute_error|huber|binary|multi_output)_forward$",
    "plain_grad": r"\b(cross_entropy|smoothed|distillation|squared_error|absolute_error|huber|binary|multi_output)_input_grad$",
    "output_check": "^(plain|huber|smoothed|distillation|weighted)_check$",
    "output_targets": "^(labels|values|both|probabilities)_check_targets$",
    "output_loss": r"\b(cross_entropy|smoothed|distillation|squared_error|absolute_error|huber|binary)_forward$",
    "output_grad": r"\b(cross_entropy|smoothed|distillation|squared_error|absolute_error|huber|binary)_input_grad$",
    "count_right": "_count_right$",
    "slots": "_slots$",
    "begin": "_begin$",
    "stays_finite": "_stays_finite$",
    "update": "_run_sgd$|^(adam|adamw|rmsprop|cge_l1)_update$|^cge_adagrad_apply$",
    "base_check": "^cge_(sgd|adam|rmsprop|adagrad)_check$",
    "base_slots": "^(sgd|adam|rmsprop|adagrad)_slots$",
    "base_begin": "^(adam|adamw|divided)_begin$",
    "base_stays_finite": "^cge_sgd_stays_finite$|^(adam|adamw|divided)_stays_finite$",
    "base_update": "_run_sgd$|^(adam|adamw|rmsprop)_update$|^cge_adagrad_apply$",
    "task": "_task$|^run_on_thread$",
    "asked": "^update_slice$",
    "run": "^run$",
    "pthread_create": "^thread_main$",
    "blocks": r"\bblock\d+_",
    "add_windows_of": r"\badd_windows_\d_lanes",
    "at_edge": r"_window(_grad|_grad_apart)?s_\d+_lanes",
    **{operator: f"cge_{operator}_f32_" for operator in OPERATORS},
}


# The library's one variable: which kernel set this computer has chosen. Boards do not compile it.
HOST_CHOICE = ("sets_host", "chosen")

SECTION = r"(text|rodata|data\.rel\.ro(?:\.local)?|data|bss)\b"  # what a program is made of


class Library:
    """What the object files of a build say: sections, call graph, functions whose address is taken."""

    def __init__(self, objects):
        self.sections = []  # (object, section name, bytes)
        self.frames = {}  # function -> bytes; a function is a name, or "source:name" if static
        self.objects = {}  # function -> object
        self.calls = defaultdict(set)
        self.member_calls = defaultdict(set)  # function -> members of tables through which it calls
        self.address_taken = set()
        self.stacks = {}  # (function, what is linked) -> bytes, of those that were asked for
        for path in objects:
            self._read_call_graph(path)
        # (object, symbol) -> function
        self.functions = {(member, name.split(":")[-1]): name for name, member in self.objects.items()}
        for path in objects:
            self._read_object(path)
        self.all = frozenset(self.frames)

    def _read_call_graph(self, path):
        text = path.with_suffix(".ci").read_text()
        for title, label in re.findall(r'^node: { title: "(.*?)" label: "(.*?)"', text, re.MULTILINE):
            frame = re.search(r"\\n(\d+) bytes \((.*?)\)", label)
            if frame is None:
                continue  # only called here
            if frame[2] not in ("static", "dynamic,bounded"):
                raise SystemExit(f"{title}: stack of unknown size ({frame[2]})")
            self.frames[title] = int(frame[1])
            self.objects[title] = path.stem
        for source, target, place in re.findall(r'^edge: { sourcename: "(.*?)" targetname: "(.*?)"(.*)', text, re.MULTILINE):
            if target == "__indirect_call":
                self.member_calls[source] |= members_called(*re.search(r'label: "(.*?):(\d+):', place).groups())
            else:
                self.calls[source].add(target)

    def _read_object(self, path):
        listing = subprocess.run(["readelf", "-SrW", path], check=True, capture_output=True, text=True).stdout
        headers, *relocations = listing.split("\nRelocation section ")
        for name, size in re.findall(r"^ +\[ *\d+\] \.(\S+) +\w+ +\w+ \w+ (\w+)", headers, re.MULTILINE):
            if re.match(SECTION, name) and int(size, 16) > 0:
                self.sections.append((path.stem, name, int(size, 16)))
        for block in relocations:
            if re.match(r"'\.rela?\." + SECTION, block):
                self._read_relocations(path.stem, block)

    def _read_relocations(self, member, block):
        functions = {name.split(":")[-1]: name for name in self.frames if self.objects[name] == member or ":" not in name}
        holder = re.match(r"'\.rela?\.(?:text|rodata)\.([^']+)'", block)
        for kind, symbol in re.findall(r"^[0-9a-f]+ +[0-9a-f]+ (R_\w+) +[0-9a-f]+ +(\S+)", block, re.MULTILINE):
            symbol = re.sub(r"^\.text\.", "", symbol)
            in_itself = holder is not None and holder[1] == symbol  # a switch as a table of jumps, with Thumb-1 beside the code
            if symbol in functions and not in_itself and not re.search("CALL|JUMP", kind):
                if not any(re.search(pattern, symbol) for pattern in POINTER_MEMBERS.values()):
                    raise SystemExit(f"{member}: {symbol} is called through a pointer, POINTER_MEMBERS does not say which")
                self.address_taken.add(functions[symbol])

    def stack(self, function, linked, path=()):
        """Deepest stack of a call of `function`, pointers reaching only what is `linked`, a frozenset."""
        if function not in self.frames:
            return EXTERNAL_STACK_BYTES.get(function, DEFAULT_EXTERNAL_STACK_BYTES)
        if (function, linked) in self.stacks:
            return self.stacks[function, linked]
        path += (function,)
        targets = self.calls[function] | {
            name
            for member in self.member_calls[function]
            for name in self.address_taken & linked
            if re.search(POINTER_MEMBERS[member], name)
        }
        if targets & set(path):
            raise SystemExit(f"recursion: {' -> '.join(path)} -> {(targets & set(path)).pop()}")
        deepest_call = max((self.stack(target, linked, path) for target in targets), default=0)
        self.stacks[function, linked] = self.frames[function] + deepest_call
        return self.stacks[function, linked]


def members_called(source, line):
    """Names of the function pointers that are called in a line of a source file."""
    text = Path(source).read_text().splitlines()[int(line) - 1]
    members = set(re.findall(r"(\w+)(?:\[[^]]*\]|\))?\(", text)) & set(POINTER_MEMBERS)
    if not members:
        raise SystemExit(f"{source}:{line}: calls through a pointer that POINTER_MEMBERS does not have: {text.strip()}")
    return members


def linked_sections(map_file, members):
    """{(object, section)} that the linker took from the library."""
    text = Path(map_file).read_text()
    text = text[text.index("Linker script and memory map") :]
    found = re.findall(r"^ \.(\S+)\s+0x\w+\s+0x(\w+) \S*[/(]([\w.]+)\.o\)?$", text, re.MULTILINE)
    return {(member, section) for section, size, member in found if int(size, 16) > 0 and member in members}


def measure(build, library_pattern, linked_pattern):
    """Rows of the CSV file; the patterns name objects in the build directory."""
    library, linked = (Library(sorted(Path(build).glob(pattern))) for pattern in (library_pattern, linked_pattern))
    is_whole = library_pattern != linked_pattern
    in_net = linked_sections(Path(build, "size.map"), {member for member, _, _ in linked.sections})
    net_rows = [symbol_row(linked, *section, 1) for section in linked.sections if section[:2] in in_net]
    library_rows = [symbol_row(library, *section, 0) for section in library.sections]
    net_symbols = {origin(row, is_whole) for row in net_rows}
    of_net = (name for (member, symbol), name in linked.functions.items() if (member, f"text.{symbol}") in in_net)
    net_functions = frozenset(of_net)
    rows = net_rows + [row for row in library_rows if origin(row, is_whole) not in net_symbols]
    rows.sort(key=lambda row: (-row["in_net"], -row["code_bytes"] - row["rodata_bytes"], row["symbol"]))
    return [
        total_row(TOTAL_NET, net_rows, deepest(linked, net_functions)),
        total_row(TOTAL_LIBRARY, library_rows, deepest(library, library.all)),
        *rows,
    ]


def origin(row, is_whole):
    """What the same has in LIBRARY and LINKED: symbol and object, or the symbol without what optimising the whole appends."""
    return row["symbol"].split(".")[0] if is_whole else (row["symbol"], row["object"])


def deepest(library, functions):
    return max(library.stack(function, functions) for function in functions)


def symbol_row(library, member, section, size, in_net):
    kind, symbol = re.fullmatch(SECTION + r"(?:\.(.*))?", section).groups(default="")
    if kind in ("data", "bss") and (member, symbol.split(".")[0]) != HOST_CHOICE:
        raise SystemExit(f"{member}.o: writable static data: {section}")
    function = library.functions.get((member, symbol)) if kind == "text" else None
    return {
        "symbol": symbol or f"({kind})",
        "object": member,
        "code_bytes": size if kind == "text" else 0,
        "rodata_bytes": 0 if kind == "text" else size,
        "frame_bytes": library.frames[function] if function else "",
        "stack_bytes": library.stack(function, library.all) if function else "",
        "in_net": in_net,
    }


def total_row(name, rows, stack):
    total = {field: sum(row[field] for row in rows) for field in ("code_bytes", "rodata_bytes")}
    return {"symbol": name, "object": "", **total, "frame_bytes": "", "stack_bytes": stack, "in_net": ""}


def print_table(rows):
    print(f"{'symbol':40} {'code':>7} {'rodata':>7} {'frame':>6} {'stack':>6}   (bytes; * linked by the demo's net)")
    for row in rows:
        mark = "*" if row["in_net"] == "1" else " "
        figures = f"{row['code_bytes']:>7} {row['rodata_bytes']:>7} {row['frame_bytes']:>6} {row['stack_bytes']:>6}"
        print(f"{row['symbol']:40} {figures} {mark}")


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path, fields, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def compare(path, baseline):
    """Prints each row (known by its first two columns) whose numbers of bytes differ."""
    new, old = ({tuple(row.values())[:2]: row for row in read(name)} for name in (path, baseline))
    differences = {key: changes(old.get(key, {}), new.get(key, {})) for key in {**new, **old}}
    for key, figures in differences.items():
        if figures:
            print(f"{key[0]:40} " + "  ".join(figures))
    print(f"{sum(map(bool, differences.values()))} of {len(new)} rows differ from {baseline}")


def changes(old, new):
    fields = [field for field in new or old if field.endswith("_bytes")]
    figures = [(field, int(old.get(field) or 0), int(new.get(field) or 0)) for field in fields]
    return [f"{field} {before} -> {after} ({after - before:+d})" for field, before, after in figures if before != after]


def main(arguments):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `make size | head` is no error
    command, files = arguments[:1], arguments[1:]
    if command == ["measure"] and len(files) == 4:
        write(files[3], FIELDS, measure(*files[:3]))
    elif command == ["print"] and len(files) == 1:
        print_table(read(files[0]))
    elif command == ["compare"] and len(files) == 2:
        compare(*files)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
