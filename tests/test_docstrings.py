"""Every public name has an entry on a page of docs/api/, and an example in its docstring, which is run.

An example is a session that begins with >>>. It needs no imports of `cge` (the package) and `np`. It runs in a directory in
which FILES are, what names read. An example that imports another package is left out where that package is missing, but not
in CI.
"""

import doctest
import importlib
import importlib.util
import inspect
import os
import re
import struct
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import oracles
import pytest
import tflite_files
from host import ROOT

import convgrad_embedded as cge

os.environ.setdefault("KERAS_BACKEND", "torch")
PACKAGE = "convgrad_embedded"
SUBMODULES = ["callbacks", "data", "datasets", "importers", "metrics", "models", "schedules", "cli"]
# Modules that import a package; in CI it must be there (tests/oracles.py).
OPTIONAL = {"sklearn": "sklearn"}
IN_CI = os.environ.get("CI") == "true"
SUBMODULES += [name for name, package in OPTIONAL.items() if IN_CI or importlib.util.find_spec(package)]
PAGES = sorted((ROOT / "docs" / "api").glob("*.md"))
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Name:
    module: str
    name: str
    thing: object

    def __str__(self):
        return f"{self.module}.{self.name}".removeprefix(f"{PACKAGE}.")


def names_of(module):
    """What __all__ says, or what the module itself defines."""
    own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__]
    listed = getattr(module, "__all__", [name for name in own if not name.startswith("_")])
    return [Name(module.__name__, name, getattr(module, name)) for name in listed]


def modules():
    return [cge, *(importlib.import_module(f"{PACKAGE}.{name}") for name in SUBMODULES)]


def methods(cls):
    """Its own public methods, as (name, what has the docstring). Not properties."""
    for name, member in vars(cls).items():
        function = getattr(member, "__func__", member)
        if inspect.isfunction(function) and not name.startswith("_"):
            yield name, function


NAMES = [name for module in modules() for name in names_of(module)]
METHODS = [Name(f"{PACKAGE}.{cls.__name__}", *found) for cls in (cge.Network, cge.Plan) for found in methods(cls)]


def docstring(name):
    """Of a module or what is callable its own; of a constant its module's."""
    thing = name.thing if isinstance(name.thing, ModuleType) or callable(name.thing) else importlib.import_module(name.module)
    return vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__


def what_lacks(text):
    """Why a docstring is not enough, or ''."""
    if not text or not text.strip():
        return "no docstring"
    tests = doctest.DocTestParser().get_examples(text)
    return "" if tests else "no example in its docstring"


HOW = """{name}: {reason}.
Its docstring, in {file}, should say what it does, shapes, ranges and errors, and end with an example of one to five lines:

    >>> cge.{example}(...)
    what it prints
"""


@pytest.mark.parametrize("name", [*NAMES, *METHODS], ids=str)
def test_every_public_name_has_an_example(name):
    reason = what_lacks(docstring(name))
    file = inspect.getsourcefile(name.thing) if not isinstance(name.thing, str) else f"{PACKAGE}/__init__.py"
    assert not reason, HOW.format(name=name, reason=reason, file=file, example=name.name)


# ---- what examples read ----------------------------------------------------------------------------------------------


def write_tflite(directory):
    model = tflite_files.Model(x=(1, 4))
    model.constant("w", np.ones((2, 4), np.float32))
    model.op("FULLY_CONNECTED", ["x", "w"], "y", (1, 2))
    model.write(directory / "model.tflite")


def write_fashion_mnist(directory):
    place = directory / "fashion-mnist"
    place.mkdir()
    for part in ("train", "t10k"):
        images, labels = struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28), struct.pack(">4BI", 0, 0, 8, 1, 2)
        (place / f"{part}-images-idx3-ubyte").write_bytes(images + bytes(2 * 28 * 28))
        (place / f"{part}-labels-idx1-ubyte").write_bytes(labels + bytes([1, 0]))


FILES = (write_tflite, write_fashion_mnist)


def failures(text, name, directory):
    """What doctest says of the examples in a text; '' if they print what they should."""
    test = doctest.DocTestParser().get_doctest(text, {"cge": cge, "np": np}, name, name, 0)
    said = []
    doctest.DocTestRunner(verbose=False, optionflags=OPTIONS).run(test, out=said.append)
    return "".join(said)


@pytest.mark.parametrize("name", [*NAMES, *METHODS], ids=str)
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    text = docstring(name) or ""
    for package in re.findall(r"^ *>>> (?:import|from) (torch|keras|h5py|matplotlib)\b", text, re.MULTILINE):
        oracles.need(package)
    for write in FILES:
        write(tmp_path)
    monkeypatch.chdir(tmp_path)
    said = failures(text, str(name), tmp_path)
    assert not said, said


# ---- the pages -------------------------------------------------------------------------------------------------------

DIRECTIVE = re.compile(r"^\.\. (currentmodule|auto\w+|py:currentmodule):: ([\w.]+)", re.MULTILINE)


def entries(text):
    """Full names of what a page has autodoc entries for."""
    module, found = PACKAGE, []
    for kind, name in DIRECTIVE.findall(text):
        if kind == "currentmodule":
            module = name
        else:
            found.append(name if kind == "automodule" or name.startswith(PACKAGE) else f"{module}.{name}")
    return found


def shown():
    """By page; without those of modules whose package is not there."""
    left_out = tuple(f"{PACKAGE}.{name}" for name in OPTIONAL if name not in SUBMODULES)
    found = {page.name: entries(page.read_text(encoding="utf-8")) for page in PAGES}
    return {page: [name for name in names if not name.startswith(left_out)] for page, names in found.items()}


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_every_public_name_has_an_entry(name):
    kind = {ModuleType: "automodule", str: "autodata"}.get(type(name.thing), "autofunction")
    kind = "autoclass" if inspect.isclass(name.thing) else kind
    full = f"{name.module}.{name.name}"
    pages = [page for page, found in shown().items() if full in found]
    assert len(pages) == 1, (
        f"{name} has {'no entry' if not pages else f'entries in {pages}'} in docs/api/: add `.. {kind}:: {name.name}` behind "
        f"`.. currentmodule:: {name.module}` to the page of its topic, one of {[page.name for page in PAGES]}"
    )


def test_every_entry_is_a_public_name():
    known = {f"{name.module}.{name.name}" for name in NAMES} | {module.__name__ for module in modules()}
    for page, found in shown().items():
        assert [name for name in found if name not in known] == [], page


# ---- the checkers themselves -----------------------------------------------------------------------------------------


def test_what_lacks_is_noticed(tmp_path):
    assert what_lacks(None) == "no docstring" and what_lacks("It adds.") == "no example in its docstring"
    good = "It adds.\n\n>>> cge.relu_forward([-1.0, 2.0])\narray([0., 2.])\n"
    assert what_lacks(good) == "" and failures(good, "good", tmp_path) == ""
    assert "Expected" in failures(good.replace("2.])", "3.])"), "bad", tmp_path)


def test_names_and_methods_are_found():
    found = {str(name) for name in NAMES}
    assert {"Conv2d", "__version__", "metrics", "metrics.top_k_accuracy", "cli.main", "importers.onnx_bytes"} <= found
    assert {"Network.fit", "Network.load", "Plan.explain"} <= {str(name) for name in METHODS}


def test_entries_are_read_with_their_module():
    text = ".. currentmodule:: a.b\n\n.. autofunction:: f\n.. automodule:: a.c\n.. autoclass:: G\n   :members:\n"
    assert entries(text) == ["a.b.f", "a.c", "a.b.G"]
