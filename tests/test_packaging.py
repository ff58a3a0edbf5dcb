"""What is built and shipped: declarations from the header, source archive, wheel."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import host
import pytest

import convgrad_embedded as cge
from convgrad_embedded._core import ffi, lib

ROOT = Path(__file__).parent.parent
BUILD_SCRIPTS = ROOT / "convgrad_embedded" / "_build"


def load(path):
    """A script that is not part of the installed package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


declarations = load(BUILD_SCRIPTS / "declarations.py")


# ---- declarations ------------------------------------------------------------------------------------------------------


def test_names_of_the_copies_are_up_to_date():
    headers = declarations.names_headers(declarations.read())
    assert [path.name for path in headers] == ["f64_names.h", "fused_names.h"]
    for path, expected in headers.items():
        assert path.read_text() == expected, "run: python3 convgrad_embedded/_build/declarations.py"


def test_the_fused_copy_has_all_that_the_real_section_has():
    text = declarations.HEADER.read_text().split("==== real section")[1]
    text = re.sub(r"/\*.*?\*/|^typedef [^;{]*{.*?^}[^;]*;", "", text, flags=re.DOTALL | re.MULTILINE)
    public = set(re.findall(r"^(?!typedef)[\w *]*\b(cge_\w+)(?:\(|; *$)", text, re.MULTILINE))
    renames = declarations.read().fused_renames
    assert len(public) > 150 and sorted({*public, "cge_kernel_set_name"} ^ set(renames)) == []


def test_every_function_of_the_header_is_bound():
    """Found by another way than the reader's: names before a parenthesis."""
    headers = declarations.HEADER.read_text() + declarations.DATA_HEADER.read_text()
    text = re.sub(r"/\*.*?\*/", "", headers, flags=re.DOTALL)
    functions = set(re.findall(r"\b(cge_\w+)\(", text))
    assert len(functions) > 50 and not [name for name in functions if not hasattr(lib, name)]
    doubled = [name for name in dir(lib) if name.endswith("_f64")]
    assert {"cge_conv2d_forward_f64", "cge_network_train_batch_f64", "cge_sgd_update_f64"} <= set(doubled)
    assert not [name for name in doubled if re.search("save|restore|parse|selftest|catalog", name)]


def test_structs_are_those_of_the_compiler():
    """cffi compares every struct and constant with the header when it is first used: a wrong one raises here."""
    for struct in ("conv2d", "pool2d", "layer", "model", "network", "options", "optimizer", "layer_info", "selftest_report"):
        assert ffi.sizeof(f"cge_{struct}") > 0
    for struct in ("layer", "model", "network", "options", "optimizer"):
        assert ffi.sizeof(f"cge_{struct}_f64") > 0
    assert lib.CGE_ERR_MISMATCH > lib.CGE_OK == 0


def test_renames_follow_the_rule():
    renames = declarations.f64_renames(
        "struct cge_shape;", "cge_real cge_exp_f32(cge_real x); int cge_size(struct cge_shape *s);"
    )
    assert renames == {"cge_exp_f32": "cge_exp_f64", "cge_size": "cge_size_f64"}


@pytest.mark.parametrize(
    "old, new",
    [
        ("#define CGE_MAX_ELEMS", "#pragma once\n#define CGE_MAX_ELEMS"),
        ("#define CGE_MAX_ELEMS 0x0fffffff", "#define CGE_MAX_ELEMS \\\n 0x0fffffff"),
        ("==== real section", "==== some section"),
        ("/* ---- serialisation", "/* ---- files"),
        ("/* ---- serialisation", "/* ---- serialisation */\n/* ---- serialisation"),
        ("extern const cge_optimizer_kind cge_sgd;", "extern const cge_optimizer_kind cge_sgd, cge_other;"),
    ],
    ids=["unknown directive", "continued line", "no section", "no end of the copy", "two ends of the copy", "two constants"],
)
def test_a_header_that_the_reader_does_not_understand_is_refused(old, new, tmp_path):
    text = declarations.HEADER.read_text()
    assert old in text
    (tmp_path / "cge.h").write_text(text.replace(old, new))
    with pytest.raises(declarations.HeaderError):
        declarations.read(tmp_path / "cge.h")


def test_one_version():
    assert cge.__version__ == declarations.version()
    assert "version" not in re.findall(r"^(\w+) *=", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def test_flags_keep_the_bits():
    flags = load(BUILD_SCRIPTS / "native.py").COMPILE_ARGS
    assert "-ffp-contract=off" in flags and "-std=c99" in flags
    assert not [flag for flag in flags if re.match("-march|-mtune|-ffast-math|-Ofast|-funsafe", flag)]


# ---- what is shipped ---------------------------------------------------------------------------------------------------


def python(*arguments, cwd, **environment):
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source_archive(tmp_path_factory):
    """Made from a copy of the tree, so that the tree stays as it is."""
    missing = [name for name in ("setuptools", "wheel", "cffi", "pip") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.fail(f"these tests build the package: pip install {' '.join(missing)}")
    tree = tmp_path_factory.mktemp("tree") / "project"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "build", "__pycache__", "*.egg-info", "*.so"))
    made = python("-c", "from setuptools.build_meta import build_sdist as b; print(b('dist'))", cwd=tree).split()[-1]
    return tree / "dist" / made


@pytest.fixture(scope="module")
def unpacked(source_archive, tmp_path_factory):
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(source_archive) as archive:
        archive.extractall(directory)
    return next(directory.iterdir())


# What strangers export: each of these alone would change the bits, the guards, or what the process computes elsewhere.
HOSTILE_CFLAGS = (
    "-Ofast -ffast-math -funsafe-math-optimizations -ffinite-math-only -fassociative-math -fno-signed-zeros -freciprocal-math "
    "-ffp-contract=fast -O0 -std=gnu11 -march=native "
    "-DCGE_FUSED=1 -DCGE_F64=1 -DCGE_SMALL=1 -DCGE_HOST=0 -DCGE_ANY_ARITHMETIC=1"
) + (" -mfpmath=387" if platform.machine() == "x86_64" else "")


@pytest.fixture(scope="module")
def wheel(unpacked, tmp_path_factory):
    """Built from the source archive, where nothing may be missing, with flags that must not matter."""
    directory, build = tmp_path_factory.mktemp("wheel"), ("--quiet", "--no-deps", "--no-build-isolation", "-w")
    native = unpacked / "convgrad_embedded" / "_build" / "native.py"
    assert '"-O3"' in native.read_text()
    native.write_text(native.read_text().replace('"-O3"', '"-O0"'))  # a fifth of the time
    python("-m", "pip", "wheel", *build, directory, ".", cwd=unpacked, CFLAGS=HOSTILE_CFLAGS)
    return next(directory.iterdir())


def test_the_source_archive_holds_core_toolchains_and_tests(unpacked):
    assert unpacked.name == f"convgrad_embedded-{cge.__version__}"
    for pattern in ("csrc/**/*.[chi]*", "toolchains/**/*", "convgrad_embedded/**/*.py", "tests/**/*.py", "tests/**/*.[ch]",
                    "examples/**/*", "benchmarks/**/*", "docs/**/*"):
        tracked = [p for p in ROOT.glob(pattern) if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".so"]
        assert tracked, pattern
        missing = [str(path.relative_to(ROOT)) for path in tracked if not (unpacked / path.relative_to(ROOT)).is_file()]
        assert not missing, missing
    documents = ("LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
    for name in (*documents, "Makefile", "pyproject.toml", "setup.py"):
        assert (unpacked / name).is_file(), name


def test_the_wheel_runs_on_every_python_from_39(wheel):
    assert re.fullmatch(rf"convgrad_embedded-{re.escape(cge.__version__)}-cp39-abi3-linux_\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        assert "convgrad_embedded/_native.abi3.so" in archive.namelist()


def test_the_wheel_holds_the_package_and_its_data_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        licences = {Path(name).name for name in archive.namelist() if "/licenses/" in name}
    package = ROOT / "convgrad_embedded"
    expected = {str(path.relative_to(ROOT)) for directory in (package, package / "datasets", package / "importers")
                for path in directory.glob("*.py*")
                if path.suffix in (".py", ".pyi")}
    boards = [*(ROOT / "toolchains").glob("*.mk"), *(ROOT / "toolchains" / "common").glob("*")]
    expected |= {f"convgrad_embedded/boards/{path.relative_to(ROOT / 'toolchains')}" for path in boards}
    core = [path for path in (ROOT / "csrc").rglob("*.*") if path.suffix in (".c", ".h", ".inc")]
    expected |= {f"convgrad_embedded/{path.relative_to(ROOT)}" for path in core}
    data = ("_native.abi3.so", "py.typed", "stack.csv", "_validate.c", "datasets/digits.npz", "datasets/digits.LICENSE.txt")
    expected |= {f"convgrad_embedded/{name}" for name in data}
    assert names == expected
    assert licences == {"LICENSE", "digits.LICENSE.txt"}
    requirements = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert sorted(re.split(r"[\s>:]+", line)[1] for line in requirements) == ["cffi", "numpy"]
    assert "\nLicense-Expression: MIT\n" in metadata and "\nRequires-Python: >=3.9\n" in metadata


SCRIPT = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import convgrad_embedded as cge
assert cge.__file__.startswith(sys.argv[1]), cge.__file__
(x, y), _ = cge.datasets.load_digits()
net = cge.Network((8, 8, 1), [cge.Conv2d(4, 3), cge.ReLU(), cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.1), seed=1)
net.fit(x[:64], y[:64], verbose=False)
assert "Crazyflie firmware 2026.08 leaves" in net.summary(board="crazyflie21", print_fn=None)
print(net.weights_hash())
from convgrad_embedded._core import lib
assert lib.cge_check_arithmetic() == lib.CGE_ARITHMETIC_EXACT
assert lib.cge_check_arithmetic_fused() == lib.CGE_ARITHMETIC_CONTRACTED
assert float(np.float32(1e-40) * np.float32(1)) != 0, "the process flushes subnormal numbers"
with np.errstate(all="ignore"):
    try:
        net.train_on_batch(np.full_like(x[:2], np.nan), y[:2])
    except (FloatingPointError, ValueError):
        print(net.weights_hash())
"""


def test_the_wheel_installs_and_gives_the_same_bits(wheel, tmp_path):
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", tmp_path / "site", wheel, cwd=tmp_path)
    installed = python("-c", SCRIPT, tmp_path / "site", cwd=tmp_path).strip()
    (x, y), _ = cge.datasets.load_digits()
    net = cge.Network((8, 8, 1), [cge.Conv2d(4, 3), cge.ReLU(), cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.1), seed=1)
    net.fit(x[:64], y[:64], verbose=False)
    assert installed.split() == 2 * [net.weights_hash()]


FIRMWARE = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
import convgrad_embedded as cge
assert all(str(path).startswith(sys.argv[1]) for path in [cge.include_dir(), *cge.source_files()])
net = cge.Network((4, 4, 1), [cge.Conv2d(2, 3), cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.1), seed=1)
net.export(sys.argv[2], "trained")
open(sys.argv[2] + "/main.c", "w").write('''
#include "trained.h"
#include <stdio.h>
static uint64_t arena[(TRAINED_INFERENCE_ARENA_BYTES + 7) / 8];
int main(void)
{
    cge_options options = {.params = trained_params};
    cge_network net;
    uint64_t hash = 0;
    if (cge_network_init(&net, &trained_model, &options, arena, sizeof arena) != CGE_OK) return 1;
    if (cge_network_params_hash(&net, &hash) != CGE_OK) return 1;
    printf("%d\\\\n", hash == TRAINED_PARAMS_HASH);
    return 0;
}
''')
sources = [*cge.source_files(), sys.argv[2] + "/trained.c", sys.argv[2] + "/main.c"]
flags = ["-std=c99", "-O0", "-ffp-contract=off", "-I", cge.include_dir(), "-I", sys.argv[2], "-pthread"]
subprocess.run(["cc", *flags, *sources, "-o", sys.argv[2] + "/program"], check=True)
"""


def test_firmware_builds_from_the_sources_of_an_installed_wheel(wheel, tmp_path):
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", tmp_path / "site", wheel, cwd=tmp_path)
    app = tmp_path / "app"
    app.mkdir()
    python("-c", FIRMWARE, tmp_path / "site", app, cwd=tmp_path)
    assert subprocess.check_output([app / "program"], text=True) == "1\n"


def test_the_wheel_alone_validates_a_board(wheel, tmp_path):
    """With a compiler, an emulator and make, but no checkout."""
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", tmp_path / "site", wheel, cwd=tmp_path)
    net = cge.Network((6, 6, 1), [cge.Conv2d(4, 3), cge.Dense(3)], "softmax_cross_entropy", cge.SGD(0.1), seed=1)
    net.save(tmp_path / "net.cge")
    command = ["-m", "convgrad_embedded", "validate", "net.cge", "--board", "netduinoplus2", "--steps", 1]
    said = python(*command, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert said.splitlines()[-1] == "netduinoplus2: the same bits"


STUB = """
import sys
from convgrad_embedded import _native as real
class Lib:
    def __dir__(self):
        return dir(real.lib)
    def __getattr__(self, name):
        return getattr(real.lib, name) if name != "cge_check_arithmetic" else lambda: getattr(real.lib, sys.argv[1])
stub = type(sys)("convgrad_embedded._native")
stub.ffi, stub.lib = real.ffi, Lib()
for name in [name for name in sys.modules if name.startswith("convgrad_embedded")]:
    del sys.modules[name]
sys.modules["convgrad_embedded._native"] = stub
try:
    import convgrad_embedded
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("arithmetic", "what"), [("CONTRACTED", "fused multiply-adds"), ("OTHER", "other roundings"), ("EXACT", "")]
)
def test_a_module_that_gives_other_bits_is_not_imported(arithmetic, what):
    said = python("-c", STUB, f"CGE_ARITHMETIC_{arithmetic}", cwd=ROOT).splitlines()
    assert len(said) == (2 if what else 0)
    assert not what or (what in said[0] and "Unset CFLAGS" in said[1])


def test_all_that_is_promised_exists_and_says_what_it_is():
    for name in cge.__all__:
        assert hasattr(cge, name), name
    undocumented = [name for name in cge.__all__ if name not in ("__version__",) and not getattr(cge, name).__doc__]
    assert not undocumented


# ---- the demo ------------------------------------------------------------------------------------------------------------


def test_the_demos_firmware_learns_on_this_computer_what_python_learns(tmp_path, monkeypatch, core_archive):
    """The program for the board, with pictures and network as the demo writes them; `make demo` runs it in QEMU."""
    demo = load(ROOT / "examples" / "demo.py")
    for name, value in {"EPOCHS": 2, "TRAIN_COUNT": 38, "PASSES": 2}.items():
        monkeypatch.setattr(demo, name, value)
    (x, y), (x_test, y_test) = cge.datasets.load_digits()
    field, field_test = (demo.on_its_side(x[:38]), y[:38]), (demo.on_its_side(x_test), y_test)
    net, _ = demo.train((x, y), (x_test, y_test))
    adapted, accuracies = demo.adapt(net, field, field_test)
    net.export(tmp_path, name="digits")
    demo.write_samples(tmp_path, field, field_test, PASSES=demo.PASSES, BATCH=demo.BATCH)
    sources = [ROOT / "examples" / "firmware" / "main.c", tmp_path / "digits.c", tmp_path / "samples.c"]
    host.run([host.compiler(), *host.STRICT, "-O2", "-I", ROOT / "csrc" / "include", "-I", tmp_path, *sources, core_archive,
              "-o", tmp_path / "firmware"])
    printed = subprocess.check_output([tmp_path / "firmware"], text=True)
    assert demo.result_of(printed) == (accuracies[0], accuracies[-1], adapted.weights_hash())
    assert adapted.weights_hash() != net.weights_hash()


def test_the_demo_refuses_a_board_that_learned_something_else(capsys):
    demo = load(ROOT / "examples" / "demo.py")
    result = demo.Result(0.1, 0.9, "0123456789abcdef")
    demo.compare(result, result)
    with pytest.raises(SystemExit, match="differ"):
        demo.compare(result, result._replace(weights="0123456789abcdee"))


# ---- data sets -----------------------------------------------------------------------------------------------------------


def test_digits_are_the_uci_ones_in_a_fixed_split():
    (x, y), (x_test, y_test) = cge.datasets.load_digits()
    assert x.shape == (1437, 8, 8, 1) and x_test.shape == (360, 8, 8, 1)
    assert x.dtype == x_test.dtype == "float32" and y.dtype == y_test.dtype == "int32"
    assert (x.min(), x.max()) == (0, 1) and set(y) == set(y_test) == set(range(10))
    # From the source: 561,718 is the sum of all pixels, and there are 178 zeros and 180 nines.
    assert (x.sum(dtype=float) + x_test.sum(dtype=float)) * 16 == 561718
    assert [list(y).count(d) + list(y_test).count(d) for d in (0, 9)] == [178, 180]
    assert y_test[:8].tolist() == [8, 2, 3, 8, 2, 7, 2, 6]


def write_fashion(directory, compress):
    import gzip
    import struct
    for part, count in (("train", 3), ("t10k", 2)):
        files = {
            f"{part}-images-idx3-ubyte": struct.pack(">4I", 0x803, count, 28, 28) + bytes(range(256)) * 10 * count,
            f"{part}-labels-idx1-ubyte": struct.pack(">2I", 0x801, count) + bytes(range(count)),
        }
        for name, data in files.items():
            data = data[: 16 + count * 784] if "images" in name else data
            path = directory / (name + (".gz" if compress else ""))
            path.write_bytes(gzip.compress(data) if compress else data)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gz"])
def test_fashion_mnist_is_read(compress, tmp_path):
    write_fashion(tmp_path, compress)
    (x, y), (x_test, y_test) = cge.datasets.load_fashion_mnist(tmp_path)
    assert x.shape == (3, 28, 28, 1) and x_test.shape == (2, 28, 28, 1) and x.dtype == "float32"
    assert y.tolist() == [0, 1, 2] and y_test.tolist() == [0, 1] and y.dtype == "int32"
    assert x[0, 0, 5, 0] * 256 == 5 and x.max() * 256 == 255, "as a board computes it, without rounding"


def test_fashion_mnist_that_is_missing_or_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt install dataset-fashion-mnist"):
        cge.datasets.load_fashion_mnist(tmp_path)
    write_fashion(tmp_path, compress=False)
    images = tmp_path / "train-images-idx3-ubyte"
    whole = images.read_bytes()
    for data in (whole[:-1], whole[:9], whole[:3], b"\0\0\x0b\3" + whole[4:], whole + b"\0"):
        images.write_bytes(data)
        with pytest.raises(ValueError, match="train-images-idx3-ubyte"):
            cge.datasets.load_fashion_mnist(tmp_path)
    images.write_bytes(whole)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\1\0\0\0\2\0\1")
    with pytest.raises(ValueError, match="3 images but 2 labels"):
        cge.datasets.load_fashion_mnist(tmp_path)
