"""CONTRIBUTING.md's recipes, walked through in a copy of the tree: a new board, and a new layer kind (HardTanh)."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from host import ROOT
from test_toolchain import make, need

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def section(heading):
    return re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)[1]


def commands(heading):
    """What is between ```sh and ```, line by line."""
    return [line.strip() for block in re.findall(r"```sh\n(.*?)```", section(heading), re.DOTALL) for line in block.splitlines()
            if line.strip()]


@pytest.fixture
def tree(tmp_path):
    """What git has, as it is now."""
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", "*.egg-info", "*.so", ".*_cache")
    return Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=ignored))


def run(command, tree, timeout=600):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment["PYTHONPATH"] = str(tree)  # before the package that is installed as a link to another tree
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


def run_tests(tree, files, expression):
    """These tests of the copy's."""
    printed = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", expression], tree)
    assert re.search(r"\d+ passed", printed), printed


# ---- a board -----------------------------------------------------------------------------------------------------------------


def test_the_recipe_for_a_board(tree):
    """With the board of docs/porting.md."""
    need("arm-none-eabi-gcc")
    porting = (ROOT / "docs" / "porting.md").read_text(encoding="utf-8")
    board = re.search(r"^(BOARD_DESCRIPTION = Adafruit Feather M4.*?)^```", porting, re.MULTILINE | re.DOTALL)[1]
    (tree / "toolchains" / "feather_m4.mk").write_text(board)
    run_commands = commands("To add a board")
    assert run_commands == ["make boards-baseline BOARD=<name>"]
    for command in run_commands:
        make(*command.replace("<name>", "feather_m4").split()[1:], "-j2", root=tree)
    assert "`feather_m4` 512, 192" in (tree / "README.md").read_text(encoding="utf-8")
    run_tests(
        tree, ["tests/test_docs.py", "tests/test_toolchain.py"], "committed_sizes_of_all_boards or feather_m4 or unknown_board"
    )


# ---- a layer kind ----------------------------------------------------------------------------------------------------

HARD_TANH_C = """
CGE_INTERNAL void cge_hard_tanh_apply(int32_t n, const cge_real *x, cge_real *y)
{
    int32_t i;
    for (i = 0; i < n; i++) y[i] = x[i] < CGE_REAL(-1) ? CGE_REAL(-1) : x[i] > CGE_REAL(1) ? CGE_REAL(1) : x[i];
}

CGE_INTERNAL void cge_hard_tanh_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    int32_t i;
    for (i = 0; i < n; i++) dx[i] = y[i] > CGE_REAL(-1) && y[i] < CGE_REAL(1) ? dy[i] : CGE_REAL(0);
}
"""
HARD_TANH_OPS = """
cge_status cge_hard_tanh_forward_f32(int32_t n, const cge_real *x, cge_real *y)
{
    CGE_TRY(check_elementwise(n, x, y));
    cge_hard_tanh_apply(n, x, y);
    return CGE_OK;
}

cge_status cge_hard_tanh_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx)
{
    CGE_TRY(check_elementwise(n, y, dy));
    CGE_TRY(cge_check_buffer(dx));
    cge_hard_tanh_grad(n, y, dy, dx);
    return CGE_OK;
}
"""
HARD_TANH_LAYER = """
static void hard_tanh_forward(const cge_layer_call *c)
{
    cge_hard_tanh_apply(elements(c), c->x, c->y);
}

static void hard_tanh_input_grad(const cge_layer_call *c)
{
    cge_hard_tanh_grad(elements(c), c->y, c->dy, c->dx);
}

const cge_layer_kind cge_kind_hard_tanh = {127, 0, ACTIVATION, same_infer, hard_tanh_forward, NULL, hard_tanh_input_grad};
"""
HARD_TANH_CLASS = '''class HardTanh(Layer):
    """min(max(x, -1), 1)."""

    kind = "hard_tanh"


'''
HARD_TANH_FUNCTIONS = '''

def hard_tanh_forward(x: ArrayLike) -> Real:
    """min(max(x, -1), 1)."""
    return _elementwise("hard_tanh_forward", (), "x", x)


def hard_tanh_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the output y and dL/dy."""
    return _elementwise("hard_tanh_input_grad", (), "y", y, dy)
'''
TANH_FORWARD = "CGE_MUST_USE cge_status cge_tanh_forward_f32("
TANH_APPLY = "CGE_INTERNAL void cge_tanh_apply("

# File: [(what stands there, what it becomes)]; the end of the file if nothing is said to stand there.
HARD_TANH = {
    "csrc/include/cge.h": [
        (TANH_FORWARD, "CGE_MUST_USE cge_status cge_hard_tanh_forward_f32(int32_t n, const cge_real *x, cge_real *y);\n"
         "CGE_MUST_USE cge_status cge_hard_tanh_input_grad_f32(int32_t n, const cge_real *y, const cge_real *dy, "
         "cge_real *dx);\n" + TANH_FORWARD),
        ("extern const cge_layer_kind cge_kind_tanh;", "extern const cge_layer_kind cge_kind_tanh;\n"
         "extern const cge_layer_kind cge_kind_hard_tanh;"),
    ],
    "csrc/src/ops.c": [("", HARD_TANH_OPS)],
    "csrc/src/kernels/ref/elementwise_ref.c": [("", HARD_TANH_C)],
    "csrc/src/kernels/kernels.h": [
        (TANH_APPLY, "CGE_INTERNAL void cge_hard_tanh_apply(int32_t n, const cge_real *x, cge_real *y);\n"
         "CGE_INTERNAL void cge_hard_tanh_grad(int32_t n, const cge_real *y, const cge_real *dy, cge_real *dx);\n"
         + TANH_APPLY),
    ],
    "csrc/src/layers/elementwise_layer.c": [("", HARD_TANH_LAYER)],
    "csrc/src/net/catalog.c": [("&cge_kind_tanh,", "&cge_kind_tanh, &cge_kind_hard_tanh,")],
    "convgrad_embedded/_layers.py": [("class Sigmoid(Layer):", HARD_TANH_CLASS + "class Sigmoid(Layer):")],
    "convgrad_embedded/_operators.py": [
        ("_arguments.check_functions(globals())", HARD_TANH_FUNCTIONS + "_arguments.check_functions(globals())"),
        ('("softmax_input_grad", "dropout', '("hard_tanh_forward", "hard_tanh_input_grad", "softmax_input_grad", "dropout'),
    ],
    "convgrad_embedded/__init__.py": [
        ("    HardSwish,\n", "    HardSwish,\n    HardTanh,\n"),
        ("    leaky_relu_forward,\n", "    hard_tanh_forward,\n    hard_tanh_input_grad,\n    leaky_relu_forward,\n"),
        ('"ReLU", ', '"ReLU", "HardTanh", '),
        ('    "relu_forward",', '    "hard_tanh_forward", "hard_tanh_input_grad", "relu_forward",'),
    ],
}
USE = """
import numpy as np
import convgrad_embedded as cge
assert cge.__file__.startswith(TREE), cge.__file__
net = cge.Network((4,), [cge.Dense(8), cge.HardTanh(), cge.Dense(3)], "softmax_cross_entropy", cge.SGD(0.1, 0.9), seed=1)
rng = np.random.default_rng(0)
x, y = 5 * rng.normal(size=(32, 4)), rng.integers(0, 3, 32)
before = net.evaluate(x, y).loss
net.gradcheck(x[:3], y[:3])
net.fit(x, y, epochs=20, verbose=False)
assert net.evaluate(x, y).loss < before
net.save("net.cge")
again = cge.Network.load("net.cge")
assert again.layers == net.layers and again.weights_hash() == net.weights_hash()
net.export("firmware", "net")
assert cge.hard_tanh_forward(np.array([-2.0, 0.5, 7.0])).tolist() == [-1, 0.5, 1]
"""


def apply(changes, tree):
    for name, replacements in changes.items():
        path = tree / name
        text = path.read_text(encoding="utf-8")
        for old, new in replacements:
            assert old == "" or text.count(old) == 1, f"{name}: {old!r} stands there {text.count(old)} times"
            text = text.replace(old, new) if old else text + new
        path.write_text(text, encoding="utf-8")


def is_named(name, recipe):
    """The file itself, its folder, or its like: layers/<kind>_layer.c."""
    named = re.findall(r"`([\w./<>]+)`", recipe)
    patterns = [re.sub("<[a-z]+>", r"\\w+", re.escape(word)) + (".*" if word.endswith("/") else "") for word in named]
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def test_the_recipe_for_a_layer_kind_names_every_file_that_it_takes():
    recipe = section("To add a layer kind")
    assert [name for name in [*HARD_TANH, "csrc/src/host/f64_names.h"] if not is_named(name, recipe)] == []
    assert not is_named("convgrad_embedded/_core.py", recipe)  # it has no list of kinds


def test_the_recipe_for_a_layer_kind(tree):
    apply(HARD_TANH, tree)
    for command in commands("To add a layer kind"):
        run(command.split(), tree)
    assert "cge_kind_hard_tanh_f64" in (tree / "csrc" / "src" / "host" / "f64_names.h").read_text()
    native = tree / "convgrad_embedded" / "_build" / "native.py"
    native.write_text(native.read_text().replace('"-O3"', '"-O0"'))  # a fifth of the time
    run([sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], tree)
    run([sys.executable, "-c", f"TREE = {str(tree)!r}\n{USE}"], tree)
    run_tests(tree, ["tests/test_packaging.py", "tests/test_random_models.py"],
               "names_of_the_copies or function_of_the_header or promised or random_models")


def test_every_kind_has_a_class_and_every_class_a_name_in_the_package():
    import convgrad_embedded as cge
    from convgrad_embedded import _core, _layers

    assert set(_core.KINDS.values()) == set(_layers.LAYERS)
    assert all(getattr(cge, layer.__name__) is layer and layer.__name__ in cge.__all__ for layer in _layers.LAYERS.values())
    declared = {name for name in dir(_core.lib) if re.fullmatch("cge_kind_[a-z0-9]+(_[a-z0-9]+)*_address", name)}
    own = {name for name in declared if not re.search("_(f64|fused)_", name)}
    assert {f"cge_kind_{kind}_address" for kind in _core.KINDS.values()} == own
