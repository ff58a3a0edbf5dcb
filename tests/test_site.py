"""The site that `make docs` builds: without a warning, with all pages, all public names and the whole C header."""

import functools
import importlib.util
import re
import subprocess
import sys

import oracles
import pytest
from host import ROOT
from test_docstrings import METHODS, NAMES

for package in ("sphinx", "myst_parser", "furo", "sklearn"):
    oracles.need(package)

RECIPE = "-m sphinx -q -W --keep-going -c docs ."


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, *RECIPE.split(), out], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def conf():
    spec = importlib.util.spec_from_file_location("conf_of_the_site", ROOT / "docs" / "conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.lru_cache(maxsize=None)
def html(path):
    return path.read_text(encoding="utf-8")


def test_make_docs_builds_what_is_tested_here():
    done = subprocess.run(["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True)
    assert f"{RECIPE} build/docs" in done.stdout and "build/docs/index.html" in done.stdout


def test_every_page_is_there_and_in_the_contents(site):
    front = html(site / "index.html")
    assert front == html(site / "README.html")
    for page in (ROOT / "docs").rglob("*.md"):
        target = page.relative_to(ROOT).with_suffix(".html").as_posix()
        assert (site / target).is_file() and f'href="{target}"' in front, target


@pytest.mark.parametrize("name", [*NAMES, *METHODS], ids=str)
def test_every_public_name_can_be_linked_to(site, name):
    full = f"{name.module}.{name.name}"
    anchors = (f'id="{full}"', f'id="module-{full}"')
    where = [page.name for page in (site / "docs" / "api").glob("*.html") if any(anchor in html(page) for anchor in anchors)]
    assert len(where) == 1, where


def test_every_function_of_the_c_headers_is_on_the_page_and_in_the_index(site):
    page, index = html(site / "docs" / "api" / "c.html"), html(site / "genindex.html")
    for header in ("cge.h", "cge_data.h", "cge_host.h"):
        text = re.sub(r"/\*.*?\*/", "", html(ROOT / "csrc" / "include" / header), flags=re.DOTALL)
        names = set(re.findall(r"\b(cge_\w+)\(", text))
        assert len(names) >= 3
        assert [name for name in names if name not in page or name not in index] == []


def test_the_c_page_has_a_heading_for_each_section(site):
    page = html(site / "docs" / "api" / "c.html")
    for heading in ("Status", "Convolution", "Dense", "Pooling", "Networks", "Serialisation", "Self-test", "Metrics"):
        assert re.search(rf"<h3>{heading}\b", page), heading


def test_links_lead_out_of_no_page_into_nothing(site):
    """Links between pages are relative, and what they name is there, anchors too."""
    for page in site.rglob("*.html"):
        if "_static" in page.parts or page.name in ("genindex.html", "search.html", "py-modindex.html"):
            continue
        for target in re.findall(r'<a [^>]*href="([^"]+)"', html(page)):
            if not re.match(r"[a-z]+:", target):
                path, _, anchor = target.partition("#")
                linked = page.parent / path if path else page
                assert linked.is_file(), f"{page.relative_to(site)}: {target}"
                assert not anchor or f'id="{anchor}"' in html(linked), f"{page.relative_to(site)}: {target}"


# ---- how docstrings and headers are read -----------------------------------------------------------------------------


def test_docstrings_are_shown_as_they_read(conf):
    given = ["|x| of `a_b`, 2 * y_.", "", "    y = x * w", "", "    z_", "", ">>> f(x_)", "|1|"]
    assert conf.restructured(given) == [
        r"\|x\| of ``a_b``, 2 \* y\_.", "", "::", "", "    y = x * w", "", "    z_", "", ">>> f(x_)", "|1|", "",
    ]  # fmt: skip


def test_headers_are_divided_at_their_sections(conf, tmp_path):
    header = tmp_path / "a.h"
    header.write_text("/* first */\nint cge_a(int b);\n\n/* ---- parts: of it ---- */\n\nint cge_c(void); /* cge_no() */\n")
    page = conf.header_page(header)
    assert re.findall(r"^#+ .*$", page, re.MULTILINE) == ["## a.h", "### Parts"]
    assert re.findall(r"single: (\w+)", page) == ["cge_a", "cge_c"]
    assert "/* ---- parts: of it ---- */" in page
