"""Rules of CONTRIBUTING.md that a program can check. A rule is a function from texts to what it finds wrong: `check` runs it
over the tree, and over a made-up violation that it must see.

Held elsewhere: what object files show (test_toolchain.py), quotations and code in documents (test_docs.py), sources as one
translation unit (test_translation_units.py), the recipes (test_recipes.py).
"""

import ast
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import PurePosixPath

import oracles
import pytest
from host import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import picture  # noqa: E402

WIDTH = 128
# Lines that are wider: there may be fewer, and then the number here falls.
MOST_WIDE_LINES = {"csrc": 606, "tests/c": 380, "benchmarks": 11, "examples": 1}

# ---- reading C -------------------------------------------------------------------------------------------------------


def sources(*suffixes):
    """{path below csrc/src: text}"""
    folder = ROOT / "csrc" / "src"
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.suffix in (suffixes or (".c", ".h", ".inc"))
    }


def without_comments(text):
    """Lines stay where they are; comments become spaces."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.DOTALL)


def numbered(text):
    return enumerate(without_comments(text).split("\n"), 1)


def in_more_than_one(places):
    return sorted(f"{name}: {', '.join(sorted(files))}" for name, files in places.items() if len(files) > 1)


# ---- arrows point down -----------------------------------------------------------------------------------------------

BELOW = {  # what a part may include, beside itself and the public header
    "base": set(),
    "data": {"base"},
    "kernels": {"base"},
    "ops": {"base", "kernels"},
    "layers": {"base", "kernels"},
    "losses": {"base", "kernels", "layers"},  # layer.h has the tables of losses and optimisers
    "optimizers": {"base", "kernels", "layers"},
    "net": {"base", "kernels", "layers", "losses", "optimizers"},
    "safe": {"base", "kernels", "layers", "losses", "optimizers", "net"},
    "host": {"base", "kernels", "ops", "layers", "losses", "optimizers", "net", "safe"},
}
FREESTANDING = {"string.h", "stddef.h", "stdint.h", "limits.h", "float.h"}  # what a compiler for boards always has
TOOLS_OF_HOSTS = {"kernels/sets_host.c"}  # looks at the processor and the environment; boards do not compile it


def part_of(path):
    return PurePosixPath(path).parts[0] if "/" in path else PurePosixPath(path).stem.split("_")[-1]


def below_in_the_picture(part):
    """What docs/architecture.svg leads to from there."""
    found = set()
    for known in picture.PARTS[part][3]:
        found |= {*known.split(", ")} | below_in_the_picture(known)
    return found


def test_the_picture_of_the_parts_shows_these_arrows():
    shown = {name: below_in_the_picture(part) - {name} for part in picture.PARTS for name in part.split(", ")}
    assert {name: below for name, below in shown.items() if name in BELOW} == BELOW
    assert ">Python<" in (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")


def arrows_up(texts):
    found = []
    for path, text in texts.items():
        for line, included in re.findall(r"^([ \t]*#[ \t]*include[ \t]+\"([^\"]+)\")", without_comments(text), re.MULTILINE):
            parts = []
            for step in [*PurePosixPath(path).parent.parts, *PurePosixPath(included).parts]:
                parts = parts[:-1] if step == ".." and parts and parts[-1] != ".." else [*parts, step]
            if parts[:2] == ["..", "include"] and not (parts[2] == "cge_host.h" and part_of(path) not in ("host", "kernels")):
                continue
            part = part_of("/".join(parts))
            if part != part_of(path) and part not in BELOW[part_of(path)]:
                found.append(f"{path}: {line.strip()}")
        if part_of(path) != "host" and path not in TOOLS_OF_HOSTS:
            system = re.findall(r"^[ \t]*#[ \t]*include[ \t]+<([^>]+)>", without_comments(text), re.MULTILINE)
            found += [f"{path}: #include <{name}>" for name in system if name not in FREESTANDING]
    return found


def imports_of(text):
    """(modules of the package that are imported when this one is, of all modules those that are named anywhere)"""
    tree = ast.parse(text)
    names = {"convgrad_embedded": set()}
    first = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.name: set() for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.setdefault(node.module, set()).update(alias.name for alias in node.names)
    for node in tree.body:
        for inner in node.body if isinstance(node, ast.Try) else [node]:
            if isinstance(inner, ast.ImportFrom) and inner.module and inner.module.split(".")[0] == "convgrad_embedded":
                below = inner.module.split(".")[1:]
                first.update(below[:1] or (alias.name for alias in inner.names))
    anywhere = {part for name, own in names.items() for part in [*name.split("."), *own]}
    return first, anywhere


def compiled_module_elsewhere(texts):
    """Modules beside _core that import the compiled one, or what makes it."""
    return [path for path, text in texts.items() if path != "_core.py" and imports_of(text)[1] & {"_native", "cffi"}]


def circles(texts):
    """Modules of the package that, followed by what they import, lead back to themselves."""
    below = {path[: -len(".py")]: imports_of(text)[0] for path, text in texts.items()}

    def reached(module):
        seen, waiting = set(), [module]
        while waiting:
            new = below.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    return sorted(module for module in below if module in reached(module))


def modules():
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "convgrad_embedded").glob("*.py"))}


# ---- names are unique ------------------------------------------------------------------------------------------------


def equal_base_names(texts):
    """For object files in one directory and for headers, where file systems do not tell Math.c from math.c."""
    names, stems = defaultdict(set), defaultdict(set)
    for path in texts:
        names[PurePosixPath(path).name.lower()].add(path)
        if path.endswith(".c"):
            stems[PurePosixPath(path).stem.lower()].add(path)
    return in_more_than_one(names) + in_more_than_one(stems)


STATIC = re.compile(r"^(?:static|CGE_INLINE|CGE_NOINLINE)\b[^;={}()]*?\b(\w+)\((?:[^;{}])*?\)\s*\{", re.MULTILINE)


def equal_static_names(texts):
    """Of functions. Names of templates (.inc) are made anew for each instruction set; a header may be another's alternative."""
    places = defaultdict(set)
    for path, text in texts.items():
        for name in STATIC.findall(without_comments(text)) if path.endswith(".c") else ():
            places[name].add(path)
    return in_more_than_one(places)


def equal_enumerators(texts):
    places = defaultdict(set)
    for path, text in texts.items():
        if not path.endswith(".inc"):
            for body in re.findall(r"\benum\b[^{;()]*\{([^}]*)\}", without_comments(text)):
                for name in re.findall(r"(?:^|,)\s*([A-Za-z_]\w*)", body):
                    places[name].add(path)
    return in_more_than_one(places)


def equal_types(texts):
    places = defaultdict(set)
    for path, text in texts.items():
        if not path.endswith(".inc"):
            for name in re.findall(
                r"^typedef (?:struct|enum|union)\s*\w*\s*\{.*?^\} (\w+);", without_comments(text), re.M | re.S
            ):
                places[name].add(path)
    return in_more_than_one(places)


def macros_that_are_names_elsewhere(texts):
    """In one translation unit they would change what follows: on a board's processor only, where that is their own."""
    words = {path: set(re.findall(r"\b[A-Za-z_]\w*", without_comments(text))) for path, text in texts.items()}
    templates = "\n".join(texts[path] for path in texts if path.endswith(".inc"))
    found = []
    for path, text in texts.items():
        taken_back = re.findall(r"^[ \t]*#[ \t]*undef[ \t]+(\w+)", templates if path.endswith(".inc") else text, re.MULTILINE)
        for name in set(re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", text, re.MULTILINE)) - set(taken_back):
            if not name.lower().startswith(("cge_", "_")):
                found += [f"{path}: {name}, also in {other}" for other in texts if other != path and name in words[other]]
    return found


# ---- how functions look ----------------------------------------------------------------------------------------------

# A choice that the file itself is there for, or one that saves boards code; the sources of `lanes` ask for their own widths.
CHOICES_IN_FUNCTIONS = {
    "base/exclusive.h": {"#if defined(__GNUC__)"},
    "host/threads.c": {"#if defined(__x86_64__) || defined(__i386__)", "#elif defined(__aarch64__)", "#if defined(__linux__)"},
    "kernels/ref/sgd_ref.c": {"#if CGE_HOST || !CGE_SMALL", "#if CGE_HOST"},
    "kernels/sets.c": {"#if !CGE_SMALL", "#if CGE_HAS_LANES_BASELINE", "#if CGE_HAS_LANES_X86"},
    "layers/layer.h": {"#if CGE_HOST"},
}


def conditions_in_functions(texts):
    """#if between a brace that begins a line and the next that does."""
    found = []
    for path, text in texts.items():
        inside = False
        for number, line in numbered(text):
            inside = (inside or line.startswith("{")) and not line.startswith("}")
            condition = re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b", line)
            if not inside or not condition or (path.endswith(".inc") and "CGE_LANES_" in line):
                continue
            if line.strip() not in CHOICES_IN_FUNCTIONS.get(path, ()):
                found.append(f"{path}, line {number}: {line.strip()}")
    return found


def statements_beside_others(texts):
    """One statement a line; a case and its break are one. (Several assignments are one statement if commas join them.)"""
    found = []
    for path, text in texts.items():
        for number, line in numbered(text):
            if line.rstrip().endswith("\\") or line.lstrip().startswith("#"):
                continue  # macros
            code = re.sub(r'"(?:\\.|[^"\\])*"', '""', line)
            code = re.sub(r"\bfor \(.*?;.*?;[^;]*\)", "for ()", code)
            code = re.sub(r"^(\s*(?:case [^:]+|default): [^;]+;) break;", r"\1", code)
            if re.search(r";\s*[^\s}]", code):
                found.append(f"{path}, line {number}: {line.strip()}")
    return found


def wide_lines(text):
    return sum(len(line) > WIDTH for line in text.split("\n"))


# ---- what the header and the catalogue promise -----------------------------------------------------------------------


def statuses_that_may_be_forgotten(texts):
    """A cge_status that a caller may ignore."""
    return [line for text in texts.values() for _, line in numbered(text) if re.match(r"(?:extern )?cge_status \w+\(", line)]


PASSES = ("forward", "weight_grad", "bias_grad", "input_grad", "update")
METRIC = r"cge_(?:confusion|top_k|absolute_error)_(?:add|mean)_f32"  # what they count in stands first
WITHOUT_PASS = "cge_augment_f32"  # nothing goes backward through it


def operators_by_other_rules(texts):
    """Public operators are cge_<op>_<pass>_f32; const inputs come before outputs."""
    found = []
    for text in texts.values():
        for name, arguments in re.findall(r"\bcge_status (cge_\w+_f32)\(([^)]*)\)", without_comments(text)):
            if re.fullmatch(METRIC, name):
                continue
            if not re.fullmatch(rf"cge_\w+_(?:{'|'.join(PASSES)})_f32|{WITHOUT_PASS}", name):
                found.append(f"{name}: its pass")
            pointers = ["const" in argument for argument in arguments.split(",") if "*" in argument]
            if pointers != sorted(pointers, reverse=True):
                found.append(f"{name}: const inputs, then outputs")
    return found


KIND = r"\b(cge_kind_\w+|cge_softmax_cross_entropy|cge_mean_squared_error|cge_sgd|cge_input_u8)\b(?!_)"
DEFINED = r"^const cge_(?:layer|loss|optimizer|input)_kind (\w+)"
OWN_MODEL = {"safe/selftest.c"}  # a model, as a firmware writes one
WITHOUT_ID = {"cge_weighted", "cge_weighted_outputs"}  # of targets, in no file
CATALOGUE = "net/catalog.c"


def kinds_beside_the_catalogue(texts):
    """Kinds that it does not list, and sources that name kinds of others."""
    defined = {name: path for path, text in texts.items() for name in re.findall(DEFINED, without_comments(text), re.MULTILINE)}
    listed = set(re.findall(r"&(\w+)", texts[CATALOGUE]))
    found = [f"{path}: {name} is not in the catalogue" for name, path in defined.items() if name not in listed | WITHOUT_ID]
    for path, text in texts.items():
        if path not in (CATALOGUE, "host/f64_names.h") and path not in OWN_MODEL:
            names = set(re.findall(r"\b\w+\b", without_comments(text))) & set(defined)
            found += [f"{path}: names {name}" for name in sorted(names) if defined[name] != path]
    return found


# ---- the tree --------------------------------------------------------------------------------------------------------


def headers():
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "csrc" / "include").glob("*.h"))}


def files_of_c():
    return {path.relative_to(ROOT / "csrc").as_posix(): "" for path in sorted((ROOT / "csrc").rglob("*")) if path.is_file()}


# Of each rule: what it looks at, and a made-up tree that it must object to.
RULES = {
    arrows_up: (sources, {"kernels/ref/a_ref.c": '#include "../../layers/layer.h"\n'}),
    compiled_module_elsewhere: (modules, {"_plan.py": "from convgrad_embedded._native import lib\n"}),
    circles: (
        modules,
        {"_a.py": "from convgrad_embedded import _b\n", "_b.py": "from convgrad_embedded._a import f\n"},
    ),
    equal_base_names: (files_of_c, {"base/math.c": "", "kernels/ref/Math.c": ""}),
    equal_static_names: (
        sources,
        {"net/a.c": "static int f(int a)\n{\n}\n", "net/b.c": "CGE_NOINLINE void f(void)\n{\n}\n"},
    ),
    equal_enumerators: (sources, {"net/a.c": "enum { LOW, HIGH = 1 };\n", "net/b.h": "enum level { NONE, /* */ HIGH };\n"}),
    equal_types: (
        sources,
        {"net/a.c": "typedef struct a {\n    int b;\n} tensor;\n", "net/b.c": "typedef struct b {\n    int a;\n} tensor;\n"},
    ),
    macros_that_are_names_elsewhere: (sources, {"net/a.c": "#define WIDTH 3\n", "net/b.c": "enum { WIDTH };\n"}),
    conditions_in_functions: (sources, {"net/a.c": "int f(void)\n{\n#ifdef __ARM_ARCH\n    return 1;\n#endif\n}\n"}),
    statements_beside_others: (sources, {"net/a.c": "int f(void)\n{\n    a = 1; b = 2;\n}\n"}),
    statuses_that_may_be_forgotten: (headers, {"cge.h": "cge_status cge_f(int a);\n"}),
    operators_by_other_rules: (headers, {"cge.h": "CGE_MUST_USE cge_status cge_dense_backward_f32(const cge_real *x);\n"}),
    kinds_beside_the_catalogue: (
        sources,
        {"net/catalog.c": "&cge_kind_a\n", "net/b.c": "const cge_layer_kind cge_kind_b = {0};\n"},
    ),
}


@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_the_tree_keeps_the_rule(rule):
    looked_at = RULES[rule][0]()
    assert len(looked_at) >= 2 and rule(looked_at) == []


@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_a_violation_is_seen(rule):
    assert len(rule(RULES[rule][1])) > 0


@pytest.mark.parametrize(
    "rule, texts",
    [
        (arrows_up, {"net/a.c": "#include <stdio.h>\n"}),
        (arrows_up, {"net/a.c": '#include "../safe/save.h"\n'}),
        (arrows_up, {"net/a.c": '#include "../../include/cge_host.h"\n'}),
        (compiled_module_elsewhere, {"_a.py": "def f():\n    import cffi\n"}),
        (operators_by_other_rules, {"cge.h": "cge_status cge_dense_forward_f32(cge_real *y, const cge_real *x);\n"}),
        (
            kinds_beside_the_catalogue,
            {"net/catalog.c": "&cge_sgd\n", "a.c": "const cge_optimizer_kind cge_sgd\n", "b.c": "cge_sgd"},
        ),
        (statements_beside_others, {"net/a.c": "    if (a) return; else b = 1;\n"}),
    ],
)
def test_other_violations_are_seen(rule, texts):
    assert len(rule(texts)) == 1


def test_what_is_allowed_is_not_objected_to():
    assert (
        arrows_up({"net/a.c": '#include "../base/hash.h"\n#include <string.h>\n', "ops.c": '#include "kernels/kernels.h"\n'})
        == []
    )
    assert (
        statements_beside_others(
            {"a.c": "for (i = 0; i < n; i++) f(i);\n    case 1: f(); break;\n    a = 1, b = 2; /* ; */ \n"}
        )
        == []
    )
    assert conditions_in_functions({"a.c": "#if A\nint f(void)\n{\n    return 1;\n}\n#endif\n"}) == []
    assert (
        circles({"_a.py": "from convgrad_embedded import _b\n", "_b.py": "def f():\n    from convgrad_embedded import _a\n"})
        == []
    )


def test_every_exception_is_needed():
    """Else the lists above would allow what nobody does."""
    texts = sources()
    for path, conditions in CHOICES_IN_FUNCTIONS.items():
        found = {line.strip() for _, line in numbered(texts[path])}
        assert conditions <= found, path
    for path in TOOLS_OF_HOSTS | OWN_MODEL:
        assert path in texts


@pytest.mark.parametrize("folder", MOST_WIDE_LINES)
def test_no_more_lines_are_wide(folder):
    """C of up to 128 columns; ruff counts those of Python."""
    texts = {
        path: path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*") if path.suffix in (".c", ".h", ".inc")
    }
    wide = {path.relative_to(ROOT).as_posix(): wide_lines(text) for path, text in texts.items()}
    count = sum(wide.values())
    shown = {path: number for path, number in wide.items() if number > 0}
    assert count <= MOST_WIDE_LINES[folder], f"{count} lines are wider than {WIDTH}: break some of {shown}"


def test_a_wide_line_is_counted():
    assert wide_lines(f"{'x' * WIDTH}\n{'x' * (WIDTH + 1)}\n") == 1


# ---- types and style, as pyproject.toml says: `pip install .[test]` brings both tools --------------------------------


def check(*arguments, directory=ROOT):
    """(whether all is well, what was printed)"""
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], cwd=directory, capture_output=True, text=True)
    assert "No module named" not in done.stderr, f"{done.stderr}: run `make setup`"
    return done.returncode == 0, done.stdout + done.stderr


def mypy(tmp_path, *arguments):
    return check("mypy", "--cache-dir", tmp_path / "cache", *arguments)


def ruff(*paths):
    return check("ruff", "check", "--no-cache", "--output-format", "concise", *paths)


def test_the_package_passes_mypy(tmp_path):
    passed, printed = mypy(tmp_path)
    assert passed and "source files" in printed, printed


WRONG_WORDS = """import convgrad_embedded as cge

cge.Conv2d(4, 3, padding="smae")
cge.Conv1d(4, 3, padding="full")
cge.Conv2d(4, 3, init="he")
cge.Dense(4, trainable="biases")
cge.Upsample2d(2, mode="linear")
cge.metrics.precision_recall_f1([0], [0], average="mean")
cge.Network((4,), [cge.Dense(2)], "cross_entropy")
net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.1), memory="tiny")
net.fit([[0.0]], [[0.0]], verbose=3)
net.plan(1000, frozen_in="rom")
cge.arithmetic("fast")
cge.models.ds_cnn(norm="layer")
"""
RIGHT_WORDS = """import convgrad_embedded as cge

frozen: bool = cge.Conv2d(4, (3, 3), padding=((1, 0), (0, 1)), frozen=True).frozen
cge.Dense(4, trainable="bias", init="glorot_normal")
net = cge.Network((4,), [cge.Dense(2)], cge.Huber(0.5), cge.Adam(), memory="small", frozen_in="flash")
net.fit([[0.0]], [[0.0]], verbose=False, learning_rate=lambda epoch: 0.1 / (epoch + 1))
cge.plot_history(net, metric="class_loss")
"""


def test_the_package_passes_pyright_which_knows_the_words_of_arguments(tmp_path):
    """Of the package and, in the same run, of what users write."""
    oracles.need("pyright")
    wrong, right = tmp_path / "wrong.py", tmp_path / "right.py"
    wrong.write_text(WRONG_WORDS)
    right.write_text(RIGHT_WORDS)
    _, printed = check("pyright", "--pythonpath", sys.executable, "--outputjson", "convgrad_embedded", wrong, right)
    found = [(error["file"], error["range"]["start"]["line"]) for error in json.loads(printed)["generalDiagnostics"]]
    assert [place for place in found if not place[0].endswith(wrong.name)] == [], printed
    assert {line for _, line in found} == {line for line, text in enumerate(WRONG_WORDS.splitlines()) if "(" in text}


def test_package_tests_benchmarks_and_examples_pass_ruff():
    passed, printed = ruff("convgrad_embedded", "tests", "benchmarks", "examples", "docs", "setup.py")
    assert passed, printed


@pytest.mark.parametrize(
    "text, rule",
    [("import os\n", "F401"), ("import sys\nimport os\nprint(os, sys)\n", "I001"), (f"x = '{'x' * 128}'\n", "E501")],
    ids=["unused", "order", "length"],
)
def test_ruff_notices(text, rule, tmp_path):
    (tmp_path / "wrong.py").write_text(text)
    passed, printed = ruff("--config", ROOT / "pyproject.toml", tmp_path / "wrong.py")
    assert not passed and rule in printed


def test_mypy_is_strict(tmp_path):
    (tmp_path / "wrong.py").write_text("def f(x):\n    return x\n")
    passed, printed = mypy(tmp_path, "--config-file", ROOT / "pyproject.toml", tmp_path / "wrong.py")
    assert not passed and "missing a type annotation" in printed, printed
