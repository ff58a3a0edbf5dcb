"""The mutation tester itself: which mutants it makes, and that it tells those that the tests see from those they do not."""

import json

import host
import mutants
import pytest

C_SOURCE = """\
/* a + b */
#if A + 1
#define SIZE 4
#endif
static int32_t f(int32_t in_h, int32_t n)
{
    if (in_h < n && n > 0) n += in_h;
    g(n);
    return -n;
}
"""
C_MUTANTS = {
    3: ["#define SIZE 3", "#define SIZE 5"],
    5: ["static int32_t f(int32_t in_w, int32_t n)"],
    7: [
        "    if (!(in_h < n && n > 0)) n += in_h;",
        "    if (in_h < n && n > 0) n += in_w;",
        "    if (in_h < n && n > 0) n -= in_h;",
        "    if (in_h < n && n > 1) n += in_h;",
        "    if (in_h < n && n >= 0) n += in_h;",
        "    if (in_h < n || n > 0) n += in_h;",
        "    if (in_h <= n && n > 0) n += in_h;",
        "    if (in_w < n && n > 0) n += in_h;",
    ],
    8: ["    ;"],
    9: ["    return n;"],
}
PYTHON_SOURCE = '''\
"""Text."""
def f(x: int = 1, y: str = "a") -> int:
    """More text."""
    with lock:
        if x <= 2:
            raise ValueError(f"bad {x + 1}")
    return x + y
'''
PYTHON_MUTANTS = {
    2: ['def f(x: int = 2, y: str = "a") -> int:'],
    4: ["    if True:"],
    5: ["        if not (x <= 2):", "        if x < 2:", "        if x <= 3:"],
    6: ["            pass"],
    7: ["    return (x) - (y)", "    return None"],
}


@pytest.mark.parametrize(
    "make, source, expected",
    [(mutants.c_mutants, C_SOURCE, C_MUTANTS), (mutants.python_mutants, PYTHON_SOURCE, PYTHON_MUTANTS)],
    ids=["C", "Python"],
)
def test_the_mutants_of_a_source(make, source, expected):
    lines = {}
    for mutant in make("file", source):
        changed = mutant.apply(source)
        assert changed.count("\n") == source.count("\n")
        lines.setdefault(mutant.line, []).append(changed.splitlines()[mutant.line - 1])
    assert {number: sorted(found) for number, found in lines.items()} == expected


def test_accepted_survivors_have_reasons():
    for key, why in mutants.read_accepted().items():
        assert all(key), key
        assert len(why.split()) >= 2, key


def test_accepted_survivors_still_stand_in_the_sources():
    """A row whose line has changed says nothing any more: it goes, or names the new line."""
    for file, before, _ in mutants.read_accepted():
        source = mutants.ROOT / file
        lines = source.read_text().splitlines() if source.exists() else []
        assert before in map(str.strip, lines), f"{file}: {before}"


MATH, CRC = "csrc/src/base/math.c", "csrc/src/base/crc32.c"
# The build that compiles soonest, with what tests these sources alone.
SMALL = mutants.Rung("small", ["CC=gcc", "OPT=-O1", "SMALL=1", "FUZZ=", "SUITES=math crc32"], 240)
BLIND_TEST = """#include "check.h"
#include "suites.h"
void suite_crc32(void)
{
    CHECK(1);
}
void suite_status(void)
{
    CHECK(1);
}
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return tmp_path_factory.mktemp("mutants")


@pytest.fixture
def work(workshop, monkeypatch):
    """The tests share what they build; each finds the tree as it is."""
    monkeypatch.setattr(mutants, "BUILD", workshop)
    monkeypatch.setattr(mutants, "TREE", workshop / "tree")


def test_the_tester_tells_what_is_seen_and_what_is_not(work):
    """On the host, in the build that compiles soonest: a checksum, with its tests and without; a comment is no mutant."""
    half = mutants.CHalf([SMALL])
    source = (mutants.ROOT / CRC).read_text()
    changes = {mutant.key(source)[1:]: mutant for mutant in reversed(half.mutants([CRC]))}  # the first of equal ones
    step = "crc = (crc >> 4) ^ table[crc & 15u];"
    seen = [changes[step, step.replace(">>", "<<")], changes["crc ^= *p;", ";"], changes["crc = ~crc;", ";"]]
    assert all("crc32" in half.judge(mutant, source) for mutant in seen)
    assert half.judge(mutants.Mutant(CRC, 5, 0, 5, 2, "/* "), source) is None
    (mutants.TREE / "tests" / "c" / "test_misc.c").write_text(BLIND_TEST)
    assert half.judge(seen[0], source) == ""
    assert (mutants.TREE / CRC).read_text() == source


def test_of_the_named_suites_those_run_that_run_the_line(work, monkeypatch):
    half = mutants.SuitesHalf(["math", "crc32"])
    source = (mutants.ROOT / MATH).read_text()
    threshold = next(line.strip() for line in source.splitlines() if " root_two = " in line)
    seen = next(mutant for mutant in half.mutants([MATH]) if mutant.key(source)[2] == threshold.replace("53", "54"))
    assert seen.line in half.lines_of("math", MATH) and seen.line not in half.lines_of("crc32", MATH)
    assert half.judge(seen, source) == "math"
    every = mutants.EveryHalf(half)
    assert every.judge(seen, source) == "math" and not every.far
    comment = mutants.Mutant(MATH, 1, 0, 1, 2, "/* ")
    half.suites.pop("math")
    assert half.judge(seen, source) == ""
    monkeypatch.setattr(mutants, "RUNGS", [SMALL])
    assert every.judge(seen, source).startswith("small: math")
    assert every.judge(comment, source) is None
    assert every.judge(comment._replace(text="no C "), source) is None
    assert (mutants.TREE / MATH).read_text() == source


def test_a_source_that_others_include_has_the_lines_that_they_run(tmp_path, monkeypatch):
    """Beside the object of the same name there are those of a set, and the copy in double precision, which does not count."""
    monkeypatch.setattr(mutants, "BUILD", tmp_path)
    monkeypatch.setattr(mutants.SuitesHalf, "__init__", lambda half: None)
    half = mutants.SuitesHalf()
    half.notes = tmp_path
    for name, source in {"lanes_a": "kernels/x.inc", "lanes_b": "kernels/lanes/../x.inc", "f64": "kernels/x.inc"}.items():
        (tmp_path / f"{name}.d").write_text(f"{name}.o: csrc/src/{name}.c csrc/src/{source}\ncsrc/src/{source}:\n")
    assert half.objects_with("csrc/src/kernels/x.inc") == ["lanes_a", "lanes_b"]
    assert half.objects_with("csrc/src/lanes_a.c") == ["lanes_a"]


PACKAGE = """\
TWO = 2


def half(x):
    return x / TWO


def third(x):
    return x / 3
"""
PACKAGE_TESTS = """\
import time
from convgrad_embedded import half


def test_quick():
    half(1)


def test_slow():
    time.sleep(0.1)
    assert half(4) == 2
"""


def test_python_meets_the_tests_that_run_the_line_and_recordings_stay(tmp_path, monkeypatch):
    for name in ("ROOT", "TREE"):
        monkeypatch.setattr(mutants, name, tmp_path / name.lower())
    monkeypatch.setattr(mutants, "LINES", tmp_path / "lines.json")
    monkeypatch.setattr(mutants, "FIRST", 1)
    monkeypatch.setenv("MUTANTS_BUILD", str(tmp_path))
    package, test = mutants.ROOT / "convgrad_embedded" / "__init__.py", mutants.ROOT / "tests" / "test_halves.py"
    for path, text in ((package, PACKAGE), (test, PACKAGE_TESTS)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    half = mutants.PythonHalf()
    seen, unseen = (mutant for mutant in half.mutants([]) if " * " in mutant.text)
    constant = half.mutants(["convgrad_embedded/__init__.py:1"])[-1]
    assert constant.text == "3"
    assert all("test_slow" in half.judge(mutant, PACKAGE) for mutant in (seen, constant))
    assert half.judge(unseen, PACKAGE) == ""
    assert (mutants.TREE / "convgrad_embedded" / "__init__.py").read_text() == PACKAGE

    kept = mutants.recorded()
    for entry in kept["test_halves.py"][1].values():
        entry[0] = 1000.0
    mutants.LINES.write_text(json.dumps(kept))
    assert {seconds for seconds, _ in mutants.PythonHalf().tests.values()} == {1000.0}
    test.write_text(PACKAGE_TESTS + "\n")
    assert max(seconds for seconds, _ in mutants.PythonHalf().tests.values()) < 1000.0


class FakeHalf:
    """Of the mutants of one source the first survives, the second does not count, tests see the others."""

    def __init__(self):
        self.judged = 0

    def mutants(self, paths):
        return list(mutants.c_mutants(MATH, (mutants.ROOT / MATH).read_text()))

    def judge(self, mutant, source):
        self.judged += 1
        return ["", None, "seen"][min(self.judged, 3) - 1]


@pytest.mark.parametrize(
    "count, deadline, judged, score",
    [
        (4, float("inf"), 5, "{'killed': 3, 'survived': 1, 'accepted': 0}; seed 3; score 75.0 % of 4"),
        (4, 0.0, 0, "{'killed': 0, 'survived': 0, 'accepted': 0}; seed 3; score 0.0 % of 0"),
    ],
    ids=["count", "time"],
)
def test_a_run_ends_with_a_score_by_count_or_by_time(count, deadline, judged, score, capsys):
    half = FakeHalf()
    assert mutants.report(half, count, 3, [], deadline) == (1 if judged else 0)
    rows = capsys.readouterr().out.splitlines()
    assert half.judged == judged
    assert len(rows) == 1 + min(judged, count) + 1
    assert rows[-1] == f"# {score}"


def test_make_hands_count_seed_and_minutes_on():
    done = host.run(["make", "-n", "mutants", "COUNT=7", "SEED=5", "MINUTES=2"], cwd=mutants.ROOT)
    for half in ("c", "python"):
        assert f"tests/mutants.py {half} --count 7 --seed 5 --minutes 2" in done


@pytest.mark.parametrize(
    "words", ["c --count 7 csrc/src csrc/b.c", "c csrc/src csrc/b.c --count 7", "c csrc/src --count 7 csrc/b.c"]
)
def test_paths_stand_before_options_or_behind_them(words):
    given = mutants.options(words.split())
    assert given.half == "c" and given.count == 7 and given.paths == ["csrc/src", "csrc/b.c"] and given.tests == []
    assert mutants.options([*words.split(), "--tests", "slices,graph"]).tests == ["slices", "graph"]
