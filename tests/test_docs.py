"""The code in README.md and docs/*.md is run.

Conventions for who writes there, by the word behind the three backticks (which begin a line):

python  All blocks of a file make one program, from top to bottom, run in an empty directory. It must end well. Pages that
        import torch are left out where it is missing, but not in CI.
pycon   A session with >>> and its output, in which all pycon blocks of a file continue each other: run by doctest.
c       With `int main` in it: a complete program. Without it but with `#include "cge.h"`: a translation unit.
        Both are compiled with the strict flags; programs are linked with the core and run, and must return 0 within
        a minute. What the file's Python exported before is there: its directories are searched for headers, its .c
        files are linked. Other c blocks are quotations and are not compiled.
other   Not run.
"""

import csv
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import chain

import oracles
import pytest
from host import ROOT, STRICT, compiler

sys.path.insert(0, str(ROOT / "benchmarks"))
import boards  # noqa: E402
import size  # noqa: E402

PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("**/*.md")), *sorted((ROOT / "csrc").glob("**/*.md"))]
CODE = [page for page in PAGES if page.name == "README.md" or page.parent != ROOT]


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int  # of its first line of code in the page, from 1


def blocks(text):
    found = []
    for match in re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```\s*?$", text, re.MULTILINE | re.DOTALL):
        found.append(Block(match[1], match[2], text.count("\n", 0, match.start()) + 2))
    return found


def at_their_lines(chosen):
    """The blocks as one text in which each line has its number in the page, for error messages."""
    lines = []
    for block in chosen:
        lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines) + "\n"


def is_program(block):
    return re.search(r"\bint main\b", block.text) is not None


def is_unit(block):
    return is_program(block) or '#include "cge.h"' in block.text


def execute(command, directory, where):
    done = subprocess.run([str(word) for word in command], cwd=directory, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{where}: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}"


def check_page(text, name, directory, archive):
    found = blocks(text)
    packages = r"^(?:import|from) (torch|sklearn)\b|\bfind_spec\(\"(\w+)\"\)"
    for package in filter(None, chain(*re.findall(packages, at_their_lines(found), re.MULTILINE))):
        oracles.need(package)
    program = directory / f"{name}.py"
    program.write_text(at_their_lines([block for block in found if block.language == "python"]))
    execute([sys.executable, program], directory, name)
    session = directory / f"{name}.txt"
    session.write_text(at_their_lines([block for block in found if block.language == "pycon"]))
    execute([sys.executable, "-m", "doctest", session], directory, name)

    exported = sorted(directory.glob("**/*.c"))
    includes = sorted({path.parent for path in directory.glob("**/*.h")})
    flags = [*STRICT, "-O2", *(f"-I{path}" for path in [ROOT / "csrc" / "include", *includes])]
    for block in found:
        if block.language == "c" and is_unit(block):
            source, where = directory / f"line_{block.line}.c", f"{name}, line {block.line}"
            source.write_text(block.text)
            target = [*exported, archive] if is_program(block) else ["-c"]
            execute([compiler(), *flags, source, *target, "-o", directory / "block"], directory, where)
            if is_program(block):
                execute([directory / "block"], directory, where)


@pytest.mark.parametrize("page", CODE, ids=[str(page.relative_to(ROOT)) for page in CODE])
def test_code_runs(page, tmp_path, core_archive):
    check_page(page.read_text(encoding="utf-8"), page.stem, tmp_path, core_archive)


def test_the_readme_shows_python_and_firmware():
    languages = [
        block.language
        for block in blocks((ROOT / "README.md").read_text(encoding="utf-8"))
        if block.language != "c" or is_program(block)
    ]
    assert "python" in languages and "c" in languages


def test_the_readme_shows_the_committed_sizes_of_all_boards():
    """`make boards-baseline` writes both."""
    rows = size.read(ROOT / "benchmarks" / "baselines" / "boards.csv")
    table = boards.readme_table(rows)
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")
    files = {path.stem: path.read_text() for path in (ROOT / "toolchains").glob("*.mk") if path.stem != "host"}
    assert {row["board"] for row in rows} == set(files)
    left_out = [text for board, text in files.items() if f"`{board}`" not in table]
    assert all("BOARD_QEMU = " in text for text in left_out)  # they are there to be emulated


def test_what_the_readme_says_of_speed_is_in_the_committed_figures():
    with open(ROOT / "benchmarks" / "baselines" / "bench_host.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    threads = next(row for row in rows if row["kind"] == "threads")
    ratio = float(threads["reference_us"]) / float(threads["ours_us"])
    assert f"with batches of 32 is {ratio:.2f} times as fast with it" in text
    least = min(float(row["torch_best_ratio"]) for row in rows if row["kind"] == "kernel" and row["batch"] == "32")
    assert 0.9 <= least < 1 and "up to 10 % faster on some shapes" in text


def test_what_the_memory_page_says_of_instructions_is_in_the_committed_figures():
    with open(ROOT / "benchmarks" / "baselines" / "bench_netduinoplus2.csv", encoding="utf-8", newline="") as file:
        rows = {(row["case"], row["pass"]): int(row["instructions"]) for row in csv.DictReader(file)}
    text = " ".join((ROOT / "docs" / "memory.md").read_text(encoding="utf-8").split())
    steps = [rows[case, "train_batch"] / 1e6 for case in ("net N step", "net N step, small", "net N step, smallest")]
    sentence = (
        "takes {:.2f} million instructions at level fast, {:.2f} million at level small and {:.2f} million at level smallest"
    )
    assert sentence.format(*steps) in text
    more = rows["net N step, small", "forward"] / rows["net N step", "forward"] - 1
    assert f"A prediction takes {100 * more:.0f} percent more with a plan." in text


def quotations(text):
    """(line, file, part) of each part between `...` in the C blocks that begin with a comment that names a file."""
    for block in blocks(text):
        named = re.match(r"/\* (csrc/[\w/]+\.[ch])\b.*?\*/\n(.*)", block.text, re.DOTALL)
        if block.language == "c" and named:
            for part in re.split(r"^\.\.\.\n", named[2], flags=re.MULTILINE):
                yield block.line, named[1], part


def is_in_source(part, source):
    """Line for line, whatever the indentation."""
    return "\n".join(map(str.strip, part.strip().splitlines())) in "\n".join(map(str.strip, source.splitlines()))


@pytest.mark.parametrize("page", CODE, ids=[str(page.relative_to(ROOT)) for page in CODE])
def test_quotations_stand_in_the_source(page):
    for line, name, part in quotations(page.read_text(encoding="utf-8")):
        assert is_in_source(part, (ROOT / name).read_text(encoding="utf-8")), (
            f"{page.name}, line {line}: not in {name}:\n{part}"
        )


def test_the_derivation_quotes_the_source():
    found = list(quotations((ROOT / "docs" / "derivation.md").read_text(encoding="utf-8")))
    assert len(found) >= 10 and len({name for _, name, _ in found}) >= 2
    source = "int f(void)\n{\n    int a = 1;\n    return a;\n}\n"
    assert is_in_source("int a = 1;\nreturn a;\n", source) and not is_in_source("int a = 2;\n", source)
    assert not is_in_source("int a = 1;\n}\n", source)


MOST_WORDS, MOST_WORDS_ELSEWHERE = 25, 41  # of a sentence in README.md, and on the other pages


def sentences(text):
    """Of paragraphs and lists; code in a line is one word, as is a file's name, a link its text. Tables, headings and blocks
    do not count."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"(?<=\n\n)    .*?(?=\n\n\S)", "", text, flags=re.DOTALL)
    text = re.sub(r"^(#|\||!\[).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]+`|\[\w+\.\w+\]\([^)]*\)", "code", text)
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    for paragraph in re.split(r"\n\s*\n|^\s*[-*] |^\s*\d+\. ", text, flags=re.MULTILINE):
        for sentence in re.split(r"(?<=[.!?:])(?:\*\*)?\s+(?=\W*[A-Z\d]|code)", " ".join(paragraph.split())):
            if sentence:
                yield sentence


PROSE = [page for page in PAGES if page.name != "CHANGELOG.md"]


@pytest.mark.parametrize("page", PROSE, ids=[str(page.relative_to(ROOT)) for page in PROSE])
def test_sentences_are_short(page):
    most = MOST_WORDS if page == ROOT / "README.md" else MOST_WORDS_ELSEWHERE
    long = [
        f"{len(sentence.split())} words: {sentence}"
        for sentence in sentences(page.read_text(encoding="utf-8"))
        if len(sentence.split()) > most
    ]
    assert not long, f"at most {most} words, one fact a sentence:\n" + "\n".join(long)


def test_sentences_are_told_apart():
    text = "# A title\n\nOne [two](x.md) `three four`. Five,\nsix? **Seven.** Eight.\n\n- Nine e.g. ten\n- Eleven\n"
    text += "\n| a | b |\n\n```c\nx. Y\n```\n\n    a = b\n\n    c = d\n\nTwelve.\n"
    assert list(sentences(text)) == ["One two code.", "Five, six?", "**Seven.", "Eight.", "Nine e.g. ten", "Eleven", "Twelve."]


def anchors(page):
    """GitHub's names of a page's headings."""
    headings = re.findall(
        r"^#+ +(.+?) *$", re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), f"{target} is missing"
            assert not anchor or linked.suffix != ".md" or anchor in anchors(linked), f"{target}: no such heading"


# ---- the checker itself ------------------------------------------------------------------------------------------------

GOOD = """\
```python
import convgrad_embedded as cge
net = cge.Network((4,), [cge.Dense(2)], "mean_squared_error", cge.SGD(0.1))
```
```python
net.export("firmware", name="net")
```
```pycon
>>> 1 + 1
2
```
```c
#include "net.h"
int main(void) { return net_model.layer_count - 1; }
```
```c
#include "cge.h"
cge_conv2d geometry;
```
```c
y[oh] += x[ih] * w[kh]; ...
```
```sh
exit 1
```
"""


@pytest.mark.parametrize(
    "good, bad",
    [
        ("", ""),
        ("net.export", "net.xport"),
        ("1 + 1", "1 + 2"),
        ("layer_count - 1", "layer_count"),
        ("layer_count - 1", "no_member"),
        ("cge_conv2d geometry", "cge_conv4d geometry"),
        ("(void) {", "(void) { int unused;"),
    ],
)
def test_a_wrong_block_is_noticed(good, bad, tmp_path, core_archive):
    text = GOOD.replace(good, bad) if good else GOOD
    if text == GOOD:
        check_page(text, "page", tmp_path, core_archive)
    else:
        with pytest.raises(AssertionError, match="page"):
            check_page(text, "page", tmp_path, core_archive)


def test_error_messages_have_the_page_s_line_numbers(tmp_path, core_archive):
    with pytest.raises(AssertionError, match="line 3"):
        check_page("A page\n```python\nraise ValueError\n```\n", "page", tmp_path, core_archive)
