"""`import convgrad_embedded` in a clone whose compiled module is not built, with the package installed and without."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cffi
import numpy
import pytest
from host import ROOT

import convgrad_embedded

PACKAGE = Path(convgrad_embedded.__file__).parent
DEPENDENCIES = {Path(module.__file__).parent.parent for module in (numpy, cffi)}
ADVICE = """\
ImportError: Python found the sources of convgrad_embedded in {clone} before an installed package; they are not compiled.
Start Python in another directory (after `pip install .`), or compile them: `pip install --editable .`
"""


@pytest.fixture
def clone(tmp_path):
    """What git gives."""
    compiled = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("convgrad_embedded", "csrc"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, ignore=compiled)
    return tmp_path / "clone"


@pytest.fixture
def site(tmp_path):
    """What `pip install .` gives: the package with the C sources in it."""
    shutil.copytree(PACKAGE, tmp_path / "site" / "convgrad_embedded")
    shutil.copytree(ROOT / "csrc", tmp_path / "site" / "convgrad_embedded" / "csrc", dirs_exist_ok=True)
    return tmp_path / "site"


def imports(directory, site=None):
    """(whether it succeeded, what was printed) when Python starts in `directory`. -S: without `make setup`'s link to a tree."""
    path = os.pathsep.join(map(str, [*([site] if site else []), *DEPENDENCIES]))
    environment = {**{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}, "PYTHONPATH": path}
    command = [sys.executable, "-S", "-c", "import convgrad_embedded; print(convgrad_embedded.__file__)"]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def test_in_a_clone_without_installation_two_lines_say_what_to_do(clone):
    succeeded, printed = imports(clone)
    assert not succeeded and printed.endswith(ADVICE.format(clone=clone))


def test_in_a_clone_that_hides_the_installed_package_two_lines_say_what_to_do(clone, site):
    succeeded, printed = imports(clone, site)
    assert not succeeded and printed.endswith(ADVICE.format(clone=clone))


def test_outside_the_clone_the_installed_package_is_there(clone, site):
    succeeded, printed = imports(clone.parent, site)
    assert succeeded and Path(printed.strip()) == site / "convgrad_embedded" / "__init__.py"


def test_in_a_clone_whose_module_is_built_the_import_works(clone):
    shutil.copy(next(PACKAGE.glob("_native*.so")), clone / "convgrad_embedded")
    succeeded, printed = imports(clone)
    assert succeeded and Path(printed.strip()) == clone / "convgrad_embedded" / "__init__.py"


def test_an_error_of_another_kind_is_shown_as_it_is(clone, site):
    """The module itself is there, and does not find what it needs; or the package has no sources beside it."""
    (clone / "convgrad_embedded" / "_native.py").write_text("import no_such_module")
    assert "No module named 'no_such_module'" in imports(clone)[1]
    next((site / "convgrad_embedded").glob("_native*.so")).unlink()
    assert "No module named 'convgrad_embedded._native'" in imports(site)[1]
