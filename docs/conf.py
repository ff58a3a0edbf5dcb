"""The site that `make docs` builds: README.md and docs/ as they are, the reference from docstrings and from cge.h.

The source directory is the repository, so that links between pages, and from pages to sources, are those of a Git host.
Docstrings are plain text: `code`, blocks that are indented, and sessions that begin with >>>.
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util.inspect import stringify_signature

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import convgrad_embedded  # noqa: E402

project = "convgrad_embedded"
author = "the authors of convgrad_embedded"
copyright = "MIT licence"
version = release = convgrad_embedded.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/**", "csrc/**/*.md", "tests/c/*.md"]
exclude_patterns = [".*", "build", "dist"]
myst_heading_anchors = 4  # named as on a Git host
toc_object_entries = False
autodoc_member_order = "bysource"
smartquotes = False  # docstrings quote values

html_theme = "furo"
html_title = f"convgrad_embedded {version}"
html_copy_source = False

# What stands beside the pages, in this order. A page that no list names comes at the end of one.
CONTENTS = {
    "Tutorials": [f"docs/tutorials/{name}" for name in ("board", "imu", "pytorch", "resuming")],
    "Guides": [
        *("docs/choosing", "docs/troubleshooting", "docs/training", "docs/memory", "docs/optimizers", "docs/graphs"),
        *("docs/norms", "docs/frameworks", "docs/camera", "docs/slices", "docs/arithmetic", "docs/porting"),
        *("docs/new_classes", "docs/landing", "docs/motions"),
    ],
    "Reference": [
        *("docs/api/network", "docs/api/layers", "docs/api/losses", "docs/api/optimizers", "docs/api/operators"),
        *("docs/api/data", "docs/api/importers", "docs/api/estimators", "docs/api/boards", "docs/api/c", "docs/file_format"),
    ],
    "Project": [
        *("docs/architecture", "docs/derivation", "csrc/src/kernels/README", "tests/c/README"),
        *("CONTRIBUTING", "SECURITY", "CHANGELOG"),
    ],
}


def contents() -> str:
    lists = {caption: list(pages) for caption, pages in CONTENTS.items()}
    listed = {page for pages in lists.values() for page in pages}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        page = path.relative_to(ROOT).with_suffix("").as_posix()
        if page not in listed:
            lists[{"tutorials": "Tutorials", "api": "Reference"}.get(path.parent.name, "Guides")].append(page)
    return "\n\n".join(
        "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"]) for caption, pages in lists.items()
    )


# ---- the C reference ---------------------------------------------------------------------------------------------------

SECTION = re.compile(r"^/\* ----+ (.+?)(?: ----.*)?$", re.MULTILINE)  # of a header; what follows a colon is for its readers


def header_page(path: Path) -> str:
    """The sections of a header, each a heading and what stands there. Its functions come into the index."""
    text = path.read_text(encoding="utf-8")
    starts = [0, *(match.start() for match in SECTION.finditer(text)), len(text)]
    parts = []
    for begin, end in zip(starts, starts[1:]):
        part = text[begin:end].strip()
        title = SECTION.match(part)
        words = re.split(r"[:;(,]", title[1])[0].strip() if title else ""
        heading = f"### {words[:1].upper()}{words[1:]}" if title else f"## {path.name}"
        names = sorted(set(re.findall(r"\b(cge_\w+)\((?!\*)", re.sub(r"/\*.*?\*/", "", part, flags=re.DOTALL))))
        index = "".join(f"```{{index}} single: {name}\n```\n" for name in names)
        parts.append(f"{heading}\n\n{index}\n~~~c\n{part}\n~~~\n")
    return "\n".join(parts)


def add_what_is_made(app: Any, docname: str, source: list[str]) -> None:
    if docname == root_doc:
        source[0] += "\n" + contents()
    if docname == "docs/api/c":
        for name in ("cge.h", "cge_data.h", "cge_host.h"):
            header = ROOT / "csrc" / "include" / name
            source[0] += "\n" + header_page(header)
            app.env.note_dependency(str(header))


# ---- docstrings --------------------------------------------------------------------------------------------------------


def restructured(lines: list[str]) -> list[str]:
    """reStructuredText that shows a docstring as it reads."""
    found: list[str] = []
    paragraphs = re.split(r"\n(?:[ \t]*\n)+", "\n".join(lines).strip("\n"))
    for number, paragraph in enumerate(paragraphs):
        if paragraph.startswith(">>>"):
            found += paragraph.split("\n")
        elif paragraph.startswith(" "):
            literal = number > 0 and paragraphs[number - 1].startswith(" ")
            found += ([] if literal else ["::", ""]) + paragraph.split("\n")
        else:
            parts = paragraph.split("`")  # every other one is code
            found += "".join(
                f"``{part}``" if place % 2 else re.sub(r"([*|_\\<>])", r"\\\1", part) for place, part in enumerate(parts)
            ).split("\n")
        found.append("")
    return found


def docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def signature(app: Any, what: str, name: str, thing: Any, options: Any, given: str | None, returns: str | None) -> Any:
    """As the source has it: annotations by their names."""
    if what not in ("class", "function", "method") or isinstance(thing, type) and issubclass(thing, (tuple, Exception)):
        return None
    found = inspect.signature(thing)
    if what == "class":
        found = found.replace(return_annotation=found.empty)
    own = [parameter for name, parameter in found.parameters.items() if name != "self" and not name.startswith("_")]
    found = found.replace(parameters=own)
    text, _, result = stringify_signature(found).partition(" -> ")
    return text, result or None


# ---- links -------------------------------------------------------------------------------------------------------------


def directories(app: Any, page: nodes.document) -> None:
    """A link to a directory, which a Git host shows, is its name here."""
    folder = Path(app.env.doc2path(app.env.docname)).parent
    for link in list(page.findall(addnodes.pending_xref)):
        if link["reftype"] == "myst" and (folder / link["reftarget"]).is_dir():
            link.replace_self(link.children)


def front_page(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: Any) -> None:
    app.connect("source-read", add_what_is_made)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("autodoc-process-signature", signature)
    app.connect("doctree-read", directories)
    app.connect("build-finished", front_page)
