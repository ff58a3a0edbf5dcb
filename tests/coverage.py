"""Line and branch coverage of csrc/ by the C tests: builds them with gcc --coverage, runs them, asks gcov.

    python3 tests/coverage.py [further flags for gcc]

Prints a table, then every line and branch that no test takes. Those must be listed in tests/coverage_reasons.txt, one a
line, `file | source line | why`; a line there that has become superfluous is an error too. Needs gcc and gcov only.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "coverage"
REASONS = ROOT / "tests" / "coverage_reasons.txt"
VARIES = ("depends on the CPU", "depends on timing")  # a reason that begins so may become superfluous
KERNELS = {None: [], "none": ["threads"], "ref": ["threads"]}  # CGE_KERNELS: not set, no such set, a set; with which suites
COVERAGE = ["--coverage", "-fprofile-update=atomic"]  # the tests have threads, which would lose counts
FLAGS = ["-std=c99", "-O0", "-ffp-contract=off", "-Icsrc/include", "-DCGE_INLINE=static inline"]
# Cases repeat less, as on an emulator: more of the same takes no other branch, but in files with rare styles and budgets.
FEWER, ALL_CASES = "-DCHECK_FEWER=1", ["test_plan.c", "test_relay.c", "test_slices.c"]


def run(command, **environment):
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, env=variables)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


# ---- build and run ---------------------------------------------------------------------------------------------------


def core_sources():
    """The library as a board compiles it: without its copy in double precision."""
    return [path for path in sorted((ROOT / "csrc" / "src").rglob("*.c")) if path.name != "f64.c"]


def compile_one(source, further):
    path = source.relative_to(ROOT)
    target = BUILD / (str(path.with_suffix("")).replace(os.sep, "_") + ".o")
    run(["gcc", *FLAGS, *further, "-c", path, "-o", target])
    return target


def compile_test(source, further):
    return compile_one(source, further if source.name in ALL_CASES else [*further, FEWER])


def run_tests(flags):
    """The object files of the core, with counts beside them."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        core = list(pool.map(lambda source: compile_one(source, [*COVERAGE, *flags]), core_sources()))
        tests = list(pool.map(lambda source: compile_test(source, flags), sorted((ROOT / "tests" / "c").glob("*.c"))))
    run(["gcc", *COVERAGE, *core, *tests, "-o", BUILD / "tests", "-lm", "-pthread"])
    for kernels, suites in KERNELS.items():
        print(run([BUILD / "tests", *suites], CGE_KERNELS=kernels).splitlines()[-1])
    run(
        [
            "gcc",
            *FLAGS,
            *flags,
            *COVERAGE,
            *core,
            ROOT / "tests" / "c" / "fuzz" / "fuzz_kernels.c",
            "-o",
            BUILD / "fuzz",
            "-lm",
            "-pthread",
        ]
    )
    print(run([BUILD / "fuzz", "1000"]).splitlines()[-1])
    return core


# ---- counts ----------------------------------------------------------------------------------------------------------


class FileCounts:
    """How often each line and each branch ran, summed over all objects that contain the file, and over all functions
    that a macro or an inlined function makes of one line."""

    def __init__(self):
        self.lines = Counter()
        self.branches = Counter()  # by line, place in the line

    def add(self, line):
        number = line["line_number"]
        self.lines[number] += line["count"]
        for place, branch in enumerate(line["branches"]):
            self.branches[number, place] += branch["count"]

    def missed(self):
        """{line number: what of it never ran}"""
        missed = {number: "line" for number, count in self.lines.items() if count == 0}
        by_line = Counter(number for (number, _), count in self.branches.items() if count == 0 and number not in missed)
        missed.update({number: f"{count} branch{'es' * (count > 1)}" for number, count in by_line.items()})
        return missed


def read_counts(objects):
    files = defaultdict(FileCounts)
    text = run(
        ["gcov", "--json-format", "--stdout", "--branch-probabilities", *[path.with_suffix(".gcda") for path in objects]]
    )
    for document in map(json.loads, filter(None, text.splitlines())):
        for entry in document["files"]:
            path = os.path.normpath(entry["file"])
            if path.startswith("csrc" + os.sep):
                for line in entry["lines"]:
                    files[path].add(line)
    return dict(sorted(files.items()))


def read_reasons():
    reasons = {}
    for line in REASONS.read_text().splitlines() if REASONS.exists() else []:
        if line.strip() and not line.startswith("#"):
            path, rest = line.split(" | ", 1)
            source, why = (part.strip() for part in rest.rsplit(" | ", 1))
            reasons[path, source] = why
    return reasons


# ---- report ----------------------------------------------------------------------------------------------------------


def share(counts):
    total, covered = len(counts), sum(count > 0 for count in counts.values())
    return f"{covered:5d} /{total:5d} {100 * covered / total if total else 100:6.1f} %"


def print_table(files):
    print(f"{'':40s} {'lines':>20s} {'branches':>22s}")
    for path, counts in files.items():
        print(f"{path:40s} {share(counts.lines):>20s} {share(counts.branches):>22s}")
    lines = {(path, key): n for path, counts in files.items() for key, n in counts.lines.items()}
    branches = {(path, key): n for path, counts in files.items() for key, n in counts.branches.items()}
    print(f"{'all':40s} {share(lines):>20s} {share(branches):>22s}")


def main(flags):
    missing = [tool for tool in ("gcc", "gcov") if not shutil.which(tool)]
    if missing:
        sys.exit(f"coverage: install {' and '.join(missing)}")
    files, reasons = read_counts(run_tests(flags)), read_reasons()
    print_table(files)
    unexplained, used = [], set()
    for path, counts in files.items():
        source = (ROOT / path).read_text().splitlines()
        for number, what in sorted(counts.missed().items()):
            key = path, source[number - 1].strip()
            used.add(key)
            print(f"{path}:{number}: {what} not covered: {key[1]}\n    {reasons.get(key, 'NO REASON GIVEN')}")
            unexplained += [] if key in reasons else [key]
    superfluous = sorted(key for key in set(reasons) - used if not reasons[key].startswith(VARIES))
    for path, source in superfluous:
        print(f"{REASONS.relative_to(ROOT)}: covered or gone: {path} | {source}")
    return 1 if unexplained or superfluous else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
