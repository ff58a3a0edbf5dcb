"""Mutation testing: breaks the code in one place, runs the tests, and tells whether they see it.

    python3 tests/mutants.py c [OPTIONS] [PATH ...]         of csrc/src; needs what `make test BOARD=netduinoplus2` needs
    python3 tests/mutants.py python [OPTIONS] [PATH ...]    of convgrad_embedded/; run it with .venv/bin/python
    python3 tests/mutants.py list c|python [PATH ...]       all mutants, none run

A mutant of C meets the suites that run its line in one build that compiles soon, and if they do not see it, all suites in
all builds. One of Python meets the tests that run its line, the quickest first; what each test runs is recorded once and
kept until its file or the package changes. --tests NAME,... runs these alone: suites of C in the one build, or test files
of Python. Its survivors have not met the others.

--count mutants, 0 for all, are drawn with --seed from those of all files, or of the PATHs, folders, files or file:line.
No new one is begun --minutes after the start, so that every run ends with a score. One CSV row for each:
file, line, what stood there, what stands there now, killed | survived | accepted, and by what. A mutant that does not
compile, or compiles to the same objects, does not count and is replaced by the next. Survivors that no test can kill,
since they change no result, are in tests/mutants_accepted.csv with the reason; they count as accepted, not in the score.

One tool of our own for both languages, so that C and Python have one report and one list of reasons. It works in a copy
of the tree, build/mutants/tree, and needs the standard library only.
"""

import argparse
import ast
import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("MUTANTS_BUILD", ROOT / "build" / "mutants"))
TREE = BUILD / "tree"
NOT_COPIED = re.compile(r"build|dist|\..*|.*\.egg-info")  # of what lies at the top
ACCEPTED = ROOT / "tests" / "mutants_accepted.csv"


class Mutant(NamedTuple):
    path: str  # below ROOT
    line: int  # from 1
    column: int  # from 0
    end_line: int
    end_column: int
    text: str  # what stands there instead

    def apply(self, source):
        lines = source.splitlines(keepends=True)
        before = "".join(lines[: self.line - 1]) + lines[self.line - 1][: self.column]
        after = lines[self.end_line - 1][self.end_column :] + "".join(lines[self.end_line :])
        removed = source[len(before) : len(source) - len(after)]
        return before + self.text + "\n" * (removed.count("\n") - self.text.count("\n")) + after

    def key(self, source):
        """File, line before, line after: what tests/mutants_accepted.csv names."""
        line = self.line - 1
        return self.path, source.splitlines()[line].strip(), self.apply(source).splitlines()[line].strip()


# ---- mutants of C: by token, in the spacing that the sources keep ------------------------------------------------------

SWAPS = [
    (" + ", " - "), (" - ", " + "), (" * ", " + "), (" / ", " * "), (" % ", " / "), (" < ", " <= "), (" <= ", " < "),
    (" > ", " >= "), (" >= ", " > "), (" == ", " != "), (" != ", " == "), (" && ", " || "), (" || ", " && "), (" & ", " | "),
    (" | ", " & "), (" << ", " >> "), (" >> ", " << "), (" += ", " -= "), (" -= ", " += "), ("++", "--"), ("--", "++"),
]  # fmt: skip
NAMES = [
    ("h", "w"),
    ("oh", "ow"),
    ("ih", "iw"),
    ("kh", "kw"),
    ("begin", "end"),
    ("rows", "columns"),
    ("row", "column"),
    ("first", "last"),
]
SWAPPED = {**dict(NAMES), **{new: old for old, new in NAMES}}
COMMENT_OR_TEXT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
INTEGER = re.compile(r"(?<![\w.])(\d+)(?![\w.])")
UNARY = re.compile(r"(?<=[\s(,\[])[-!](?=[\w(])")
LEFT_SIDE = r"\*?[A-Za-z_]\w*(?:\[[^;]*?\]|->\w+|\.\w+)*\s*(?:[-+*/|&^%]|<<|>>)?=(?!=)"
STATEMENT = re.compile(rf"^\s+((?:{LEFT_SIDE}|[A-Za-z_]\w*\(|(?:break|continue);|\+\+|--)[^{{}}]*?;)\s*\\?$")
ASSEMBLY_NUMBER = re.compile(r"(?<=[sd#])\d+")


def blanked(source):
    """The source without comments, strings and directives, every other character in its place."""
    code = COMMENT_OR_TEXT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), source)
    return re.sub(r"^#(?!define\b)[^\n]*$", lambda match: " " * len(match[0]), code, flags=re.MULTILINE)


def closing(text, opening):
    """Where the parenthesis at `opening` ends; -1 if not in this text."""
    depth = 0
    for index in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return -1


def line_edits(line):
    """(begin, end, text) of every change of one line of C."""
    start = re.match(r"#define \w+(\([^)]*\))?|", line).end()
    for old, new in SWAPS:
        at = line.find(old, start)
        while at >= 0:
            yield at, at + len(old), new
            at = line.find(old, at + 1)
    for match in INTEGER.finditer(line, start):
        number = int(match[1])
        yield match.start(), match.end(), str(number + 1)
        if number > 0:
            yield match.start(), match.end(), str(number - 1)
    for match in UNARY.finditer(line, start):
        yield match.start(), match.end(), ""
    for match in IDENTIFIER.finditer(line, start):
        name = match[0]
        stem, _, suffix = name.rpartition("_")
        other = SWAPPED.get(name) or (f"{stem}_{SWAPPED[suffix]}" if stem and suffix in ("h", "w") else None)
        if other:
            yield match.start(), match.end(), other
    for match in re.finditer(r"\b(?:if|while) \(", line[start:]):
        begin = start + match.end() - 1
        end = closing(line, begin)
        if end >= 0:
            yield begin, end + 1, f"(!{line[begin : end + 1]})"
    match = STATEMENT.match(line)
    if match:
        yield match.start(1), match.end(1), ";"


def c_mutants(path, source):
    for number, line in enumerate(blanked(source).splitlines(), 1):
        for begin, end, text in line_edits(line):
            yield Mutant(path, number, begin, number, end, text)
    if path.endswith("_vfp.h"):
        for number, line in enumerate(source.splitlines(), 1):
            for match in ASSEMBLY_NUMBER.finditer(line) if line.lstrip().startswith('"') or '\\n"' in line else ():
                yield Mutant(path, number, match.start(), number, match.end(), str(int(match[0]) + 1))


# ---- mutants of Python: by syntax tree -------------------------------------------------------------------------------

COMPARISONS = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.Div: "*", ast.FloorDiv: "/", ast.Mod: "+", ast.Pow: "*"}
DROPPED = (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise, ast.Continue, ast.Break, ast.Delete)


def is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def place(path, node, text):
    return Mutant(path, node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, text)


class PythonMutants(ast.NodeVisitor):
    def __init__(self, path, source):
        self.path, self.found, self.depth = path, [], 0
        self.lines = source.splitlines(keepends=True)

    def text(self, node):
        """As ast.get_source_segment, which splits the whole source each time."""
        return self.segment(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)

    def segment(self, line, column, end_line, end_column):
        lines = self.lines[line - 1 : end_line]
        lines[-1] = lines[-1][:end_column]
        lines[0] = lines[0][column:]
        return "".join(lines)

    def add(self, node, text):
        self.found.append(place(self.path, node, text))

    def visit(self, node):
        if isinstance(node, DROPPED) and self.depth and not is_text(node):
            self.add(node, "pass")
        super().visit(node)

    def visit_FunctionDef(self, node):
        """Annotations are no code."""
        self.depth += 1
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self.depth -= 1

    def visit_AnnAssign(self, node):
        if node.value:
            self.visit(node.value)

    def visit_JoinedStr(self, node):
        """Messages are for people."""

    def visit_If(self, node):
        if self.text(node.test) != "TYPE_CHECKING":
            self.add(node.test, f"not ({self.text(node.test)})")
            self.generic_visit(node)

    def visit_While(self, node):
        self.add(node.test, f"not ({self.text(node.test)})")
        self.generic_visit(node)

    def visit_IfExp(self, node):
        self.add(node.test, f"not ({self.text(node.test)})")
        self.generic_visit(node)

    def visit_With(self, node):
        """Without its manager, if nothing is bound."""
        if all(item.optional_vars is None for item in node.items):
            first, last = node.items[0].context_expr, node.items[-1].context_expr
            self.found.append(Mutant(self.path, node.lineno, node.col_offset, last.end_lineno, last.end_col_offset, "if True"))
            assert first.lineno == node.lineno
        self.generic_visit(node)

    def visit_Compare(self, node):
        left = node.left
        for operator, right in zip(node.ops, node.comparators):
            middle = Mutant(
                self.path,
                left.end_lineno,
                left.end_col_offset,
                right.lineno,
                right.col_offset,
                f" {COMPARISONS[type(operator)]} ",
            )
            between = self.segment(*middle[1:5])
            if middle.line == middle.end_line and "(" not in between and ")" not in between:
                self.found.append(middle)
            left = right
        self.generic_visit(node)

    def visit_BinOp(self, node):
        if type(node.op) in OPERATORS and not (isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)):
            self.add(node, f"({self.text(node.left)}) {OPERATORS[type(node.op)]} ({self.text(node.right)})")
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        other = " or " if isinstance(node.op, ast.And) else " and "
        self.add(node, f"({other.join(f'({self.text(value)})' for value in node.values)})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, (ast.Not, ast.USub)):
            self.add(node, f"({self.text(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            self.add(node, str(not node.value))
        elif isinstance(node.value, int):
            self.add(node, str(node.value + 1))
        elif isinstance(node.value, float):
            self.add(node, str(node.value * 2 + 1))

    def visit_Return(self, node):
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.add(node, "return None")
        self.generic_visit(node)


def is_in_function(tree, line):
    """In its body: defaults and decorators are not."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return any(node.body[0].lineno <= line <= node.end_lineno for node in functions)


def python_mutants(path, source):
    visitor = PythonMutants(path, source)
    visitor.visit(ast.parse(source))
    return visitor.found


# ---- running with a limit ----------------------------------------------------------------------------------------------


class Ended(NamedTuple):
    ok: bool
    text: str  # the output


def run(command, seconds, cwd, **environment):
    """Ends the command, and what it started, after so many seconds."""
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **environment},
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text = f"{process.communicate()[0]}TIMEOUT\n"
    return Ended(process.returncode == 0, text)


def copy_tree():
    """TREE as ROOT is now; files that are the same keep their time, and objects made of them stay."""
    for top in sorted(path.name for path in ROOT.iterdir() if not NOT_COPIED.fullmatch(path.name)):
        files = [ROOT / top] if (ROOT / top).is_file() else [path for path in sorted((ROOT / top).rglob("*")) if path.is_file()]
        kept = {TREE / path.relative_to(ROOT) for path in files if "__pycache__" not in path.parts}
        for target in kept:
            source = ROOT / target.relative_to(TREE)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copyfile(source, target)
                shutil.copymode(source, target)
        if (TREE / top).is_dir():
            for stale in {path for path in (TREE / top).rglob("*") if path.is_file()} - kept:
                stale.unlink()


# ---- C: builds, the quickest first -------------------------------------------------------------------------------------

SETS = ["ref", "small", "tiled", "lanes"]


class Rung(NamedTuple):
    """One build of the core with its tests; a mutant climbs until one sees it."""

    name: str
    make: list
    seconds: float  # many times what the tests take, where nothing else runs
    sets: list = [None]  # CGE_KERNELS


RUNGS = [
    Rung("host", ["CC=gcc", "OPT=-O2"], 30, [None, *SETS]),
    Rung("netduinoplus2", ["BOARD=netduinoplus2", "WHOLE="], 90),
    Rung("sanitize", ["CC=gcc", "OPT=-O0 -fsanitize=address,undefined -fno-sanitize-recover=all"], 240),
    Rung("fused", ["CC=gcc", "FUSED=1"], 30),
    Rung("netduinoplus2-fused", ["BOARD=netduinoplus2", "FUSED=1", "WHOLE="], 90),
    Rung("small", ["CC=gcc", "SMALL=1"], 30),
]
FAILED_SUITE = re.compile(r"^.*, [1-9]\d* failed$", re.MULTILINE)


def build_of(rung):
    return BUILD / rung.name


def objects_of(rung):
    return {path.name: hashlib.sha256(path.read_bytes()).digest() for path in (build_of(rung) / "lib").glob("*.o")}


def make(rung, *options):
    """Without ccache's relative names, by which make does not know what a header or an .inc file is in."""
    command = ["make", *options, *rung.make, f"BUILD={build_of(rung)}", "QUIET=1", build_of(rung) / "tests.elf"]
    return run(command, 600, TREE, CCACHE_BASEDIR="")


def run_rung(rung):
    """What failed, or None."""
    for name in rung.sets:
        environment = {"RUN_SECONDS": str(rung.seconds), **({"CGE_KERNELS": name} if name else {})}
        ended = run(
            ["make", *rung.make, f"BUILD={build_of(rung)}", "QUIET=1", "c-tests"], rung.seconds + 60, TREE, **environment
        )
        if not ended.ok:
            suite = FAILED_SUITE.search(ended.text)
            return f"{rung.name}{' ' + name if name else ''}: {suite[0] if suite else ended.text.splitlines()[-1].strip()}"
    return None


class CHalf:
    """`judge` gives None for a mutant that does not count, "" for a survivor, else what saw it."""

    def __init__(self, rungs=RUNGS):
        copy_tree()
        self.rungs, self.clean = [], {}
        for rung in rungs:
            built = make(rung)
            if not built.ok:
                sys.exit(f"{rung.name}: does not build\n{built.text}")
            self.clean[rung.name] = objects_of(rung)
            started = time.monotonic()
            failed = run_rung(rung._replace(seconds=10 * rung.seconds))
            if failed:
                sys.exit(f"the tests fail without a mutant: {failed}")
            took = (time.monotonic() - started) / len(rung.sets)
            self.rungs.append(rung._replace(seconds=max(rung.seconds, 5 * took)))

    def mutants(self, paths):
        return chosen(
            (path for path in (ROOT / "csrc" / "src").rglob("*") if path.suffix in (".c", ".h", ".inc")), paths, c_mutants
        )

    def judge(self, mutant, source):
        target = TREE / mutant.path
        target.write_text(mutant.apply(source))
        try:
            return self._climb(mutant)
        finally:
            target.write_text(source)

    def _climb(self, _):
        is_other = False
        for rung in self.rungs:
            built = make(rung)
            if not built.ok:
                return (
                    None
                    if "error: " in built.text or "undefined reference" in built.text
                    else f"{rung.name}: {built.text[-200:]}"
                )
            if objects_of(rung) == self.clean[rung.name]:
                continue
            is_other = True
            seen = run_rung(rung)
            if seen:
                return seen
        return "" if is_other else None


# Without a seed objects that count lines bear the time, and no two are the same.
NEAR = Rung("near", ["CC=gcc", "OPT=-O0 --coverage -frandom-seed=0"], 600)


class SuitesHalf(CHalf):
    """Those of the named suites that run the line, the quickest first, in one build, which compiles soonest."""

    def __init__(self, suites):
        copy_tree()
        built = make(NEAR)
        if not built.ok:
            sys.exit(f"{NEAR.name}: does not build\n{built.text}")
        self.clean, self.suites, self.lines = objects_of(NEAR), {}, {}
        self.notes = BUILD / "notes"  # which lines there are: those of mutants are in their place meanwhile
        shutil.copytree(build_of(NEAR) / "lib", self.notes, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.[oa]"))
        for suite in suites:
            started = time.monotonic()
            shutil.rmtree(BUILD / "counts" / suite, ignore_errors=True)
            ended = self._run_suite(suite, NEAR.seconds, "counts")
            if not ended.ok:
                sys.exit(f"the tests fail without a mutant: {suite}\n{ended.text}")
            self.suites[suite] = time.monotonic() - started

    def _run_suite(self, suite, seconds, counts):
        return run([build_of(NEAR) / "tests.elf", suite], seconds, TREE, GCOV_PREFIX=BUILD / counts / suite)

    def objects_with(self, path):
        """Names of those that a source is in, but for the copy in double precision, which mutants leave as it is."""
        notes = [note for note in sorted(self.notes.glob("*.d")) if note.stem != "f64"]
        return [note.stem for note in notes if path in map(os.path.normpath, note.read_text().replace(":", " ").split())]

    def lines_of(self, suite, path):
        """Lines of a source that this suite runs, in whichever objects the source is."""
        if (suite, path) not in self.lines:
            counts = Path(f"{BUILD / 'counts' / suite}{build_of(NEAR) / 'lib'}")
            counted = [name for name in self.objects_with(path) if (counts / f"{name}.gcda").exists()]
            for name in counted:
                shutil.copy(self.notes / f"{name}.gcno", counts)
            text = run(["gcov", "--json-format", "--stdout", *(counts / f"{name}.gcda" for name in counted)], 60, TREE).text
            entries = [entry for row in text.splitlines() if row.startswith("{") for entry in json.loads(row)["files"]]
            lines = [line for entry in entries if os.path.normpath(entry["file"]) == path for line in entry["lines"]]
            self.lines[suite, path] = {line["line_number"] for line in lines if line["count"] > 0}
        return self.lines[suite, path]

    def _climb(self, mutant):
        built = make(NEAR, "-o", build_of(NEAR) / "lib" / "f64.o")  # the copy in double precision stays as it is
        self.compiled = built.ok
        if not built.ok or objects_of(NEAR) == self.clean:
            return None
        at = [suite for suite in self.suites if mutant.line in self.lines_of(suite, mutant.path)]
        for suite in sorted(at or self.suites, key=self.suites.get):
            if not self._run_suite(suite, 20 + 10 * self.suites[suite], "ran").ok:
                return suite
        return ""


def all_suites():
    return sorted(set(re.findall(r"\bX\((\w+)\)", (ROOT / "tests" / "c" / "suites.h").read_text())))


class EveryHalf:
    """All suites in the build that compiles soonest; what they do not see climbs all builds, each made when first needed."""

    mutants = CHalf.mutants

    def __init__(self, near=None):
        self.near, self.far = near or SuitesHalf(all_suites()), {}

    def judge(self, mutant, source):
        found = [self.near.judge(mutant, source)]
        for rung in RUNGS if self.near.compiled else []:
            if found[-1]:
                return found[-1]
            if rung.name not in self.far:
                self.far[rung.name] = CHalf([rung])
            found.append(self.far[rung.name].judge(mutant, source))
        return found[-1] or ("" if "" in found else None)


# ---- Python: the tests that run the line, the quickest first -------------------------------------------------------------

SLOW = [  # they compile, emulate, install or read sources
    "test_benchmarks.py",
    "test_board_instructions.py",
    "test_boards.py",
    "test_c_programs.py",
    "test_defects.py",
    "test_docs.py",
    "test_examples.py",
    "test_flags.py",
    "test_foreign_flags.py",
    "test_freertos.py",
    "test_house.py",
    "test_interruptions.py",  # traces lines itself
    "test_interrupts.py",
    "test_landing.py",
    "test_make_options.py",
    "test_motions.py",
    "test_mutants.py",
    "test_new_classes.py",
    "test_packaging.py",
    "test_public_types.py",
    "test_recipe.py",
    "test_recipes.py",
    "test_showcase.py",
    "test_site.py",
    "test_source_tree.py",
    "test_sources.py",
    "test_toolchain.py",
    "test_translation_units.py",
    "test_traps.py",
]
LINES = BUILD / "lines.json"  # {test file: [what it was recorded of, {test: [seconds, ["file:line", ..]]}]}
FIRST = 20  # tests that meet a mutant before the others are even imported


def pytest(tests, seconds, **environment):
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *tests]
    return run(command, seconds, TREE, PYTHONPATH=f"{TREE}{os.pathsep}{TREE / 'tests'}", **environment)


class LineRecorder:
    """A pytest plugin that notes which lines of the package each test that passes runs, in any thread. Seconds are with the
    test's fixtures, of which some compile."""

    def __init__(self, digests):
        self.digests, self.lines, self.seconds, self.found = digests, set(), 0.0, {}
        self.folder = str(TREE / "convgrad_embedded") + os.sep

    def trace(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(self.folder):
            return None
        if event == "line":
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self.trace

    def pytest_runtest_logreport(self, report):
        self.seconds += report.duration
        if report.when == "call" and report.passed:
            lines = sorted(f"{name[len(str(TREE)) + 1 :]}:{line}" for name, line in self.lines)
            self.found.setdefault(Path(report.fspath).name, {})[report.nodeid] = [self.seconds, lines]

    def pytest_runtest_logstart(self, nodeid, location):
        self.lines.clear()
        self.seconds = 0.0
        sys.settrace(self.trace)
        threading.settrace(self.trace)

    def pytest_runtest_logfinish(self, nodeid, location):
        sys.settrace(None)
        threading.settrace(None)

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus != 0:
            return
        new = {name: [digest, self.found.get(name, {})] for name, digest in self.digests.items()}
        LINES.write_text(json.dumps({**recorded(), **new}))


def recorded():
    return json.loads(LINES.read_text()) if LINES.exists() else {}


def digests_of(names):
    """Of each test file, with all that it may run: the package, the core and the helpers of the tests."""
    both = hashlib.sha256()
    helpers = [path for path in (TREE / "tests").glob("*.py") if not path.name.startswith(("test_", "mutants."))]
    package = [path for path in (TREE / "convgrad_embedded").rglob("*") if path.suffix in (".py", ".so")]
    for path in [*sorted(package), *sorted(helpers)]:
        both.update(path.read_bytes())
    return {name: hashlib.sha256(both.digest() + (TREE / "tests" / name).read_bytes()).hexdigest() for name in names}


def record_lines(*files):
    """One file after the other, so that what is recorded stays when the time is over."""
    import pytest as runner

    os.chdir(TREE)
    for name, digest in digests_of(files).items():
        command = ["-q", "-p", "no:cacheprovider", str(TREE / "tests" / name)]
        if runner.main(command, plugins=[LineRecorder({name: digest})]):
            return 1
    return 0


class PythonHalf:
    def __init__(self, files=()):
        copy_tree()
        files = files or sorted({path.name for path in (TREE / "tests").glob("test_*.py")} - set(SLOW))
        digests, before = digests_of(files), recorded()
        new = [name for name in files if before.get(name, [None])[0] != digests[name]]
        done = run([sys.executable, "-B", Path(__file__).resolve(), "record", *new], 3600, TREE, PYTHONPATH=str(TREE))
        if not done.ok:
            sys.exit(f"the tests fail without a mutant:\n{done.text}")
        of_files = [tests for name, (_, tests) in recorded().items() if name in files]
        self.tests = {name: (seconds, set(lines)) for tests in of_files for name, (seconds, lines) in tests.items()}

    def mutants(self, paths):
        files = [path for path in (ROOT / "convgrad_embedded").rglob("*.py") if path.parent.name != "_build"]
        return chosen(files, paths, python_mutants)

    def tests_of(self, mutant, source):
        """(seconds, test) of those that run the line; else the quickest, which are enough for a function that runs when the
        package is imported. A line outside of functions runs in the first test of many: there, those that run anything of
        the file, or all."""
        in_function = is_in_function(ast.parse(source), mutant.line)
        numbers = range(mutant.line, mutant.end_line + 1) if in_function else range(1, source.count("\n") + 2)
        touched = {f"{mutant.path}:{number}" for number in numbers}
        found = [(seconds, name) for name, (seconds, lines) in self.tests.items() if lines & touched]
        if found:
            return sorted(found)
        return sorted((seconds, name) for name, (seconds, _) in self.tests.items())[: FIRST if in_function else None]

    def judge(self, mutant, source):
        tests = self.tests_of(mutant, source)
        target = TREE / mutant.path
        changed = mutant.apply(source)
        try:
            compile(changed, mutant.path, "exec")
        except SyntaxError:
            return None
        target.write_text(changed)
        try:
            return self._run(tests[:FIRST]) or self._run(tests[FIRST:])
        finally:
            target.write_text(source)

    def _run(self, tests):
        """What failed, or nothing."""
        if not tests:
            return ""
        ended = pytest([name for _, name in tests], 60 + 10 * sum(seconds for seconds, _ in tests))
        found = [line for line in ended.text.splitlines() if line.startswith(("FAILED", "ERROR", "E  ", "TIMEOUT"))]
        return "" if ended.ok else (found or ended.text.splitlines() or ["ended"])[-1][:160]


# ---- report --------------------------------------------------------------------------------------------------------------


def chosen(files, paths, mutants_of):
    """The mutants of these files, or of those and the lines that `paths` name."""
    found = []
    for path in sorted(files):
        name = str(path.relative_to(ROOT))
        for mutant in mutants_of(name, path.read_text()):
            if not paths or any(f"{name}:{mutant.line}" == given or name.startswith(given) for given in paths):
                found.append(mutant)
    return found


def read_accepted():
    with ACCEPTED.open(newline="") as file:
        return {(row["file"], row["before"], row["after"]): row["why"] for row in csv.DictReader(file)}


def report(half, count, seed, paths, deadline):
    """Rows as they come; the score last."""
    mutants, accepted, tally = half.mutants(paths), read_accepted(), {"killed": 0, "survived": 0, "accepted": 0}
    random.Random(seed).shuffle(mutants)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["file", "line", "before", "after", "result", "by"])
    for mutant in mutants:
        if sum(tally.values()) == (count or len(mutants)) or time.monotonic() > deadline:
            break
        source = (ROOT / mutant.path).read_text()
        key = mutant.key(source)
        why = accepted.get(key)
        seen = None if why else half.judge(mutant, source)
        if seen is None and not why:
            continue
        result = "accepted" if why else "killed" if seen else "survived"
        tally[result] += 1
        rows.writerow([mutant.path, mutant.line, *key[1:], result, why or seen])
        sys.stdout.flush()
    scored = tally["killed"] + tally["survived"]
    print(f"# {tally}; seed {seed}; score {100 * tally['killed'] / max(scored, 1):.1f} % of {scored}")
    return 0 if tally["survived"] == 0 else 1


def options(words):
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("half", choices=["c", "python"])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--tests", type=lambda names: names.split(","), default=[])
    parser.add_argument("paths", nargs="*")
    return parser.parse_intermixed_args(words)  # paths may stand behind options


def main(what, *rest):
    started = time.monotonic()
    if what == "record":
        return record_lines(*rest)
    if what == "list":
        half, paths = rest[0], rest[1:]
        for mutant in (CHalf if half == "c" else PythonHalf).mutants(None, paths):
            print(*mutant[:2], *mutant.key((ROOT / mutant.path).read_text())[1:], sep=" | ")
        return 0
    given = options([what, *rest])
    if given.half == "python":
        half = PythonHalf(given.tests)
    else:
        half = SuitesHalf(given.tests) if given.tests else EveryHalf()
    return report(half, given.count, given.seed, given.paths, started + 60 * given.minutes)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
