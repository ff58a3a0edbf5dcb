"""What the C headers declare, as text: for cffi, for the double-precision copy, for the build's version number.

csrc/include/ is the only place where the C API is written down. A small strict preprocessor turns cge.h (and cge_data.h, and
cge_host.h for what only an operating system has) into declarations that cffi reads, and into csrc/src/host/f64_names.h, the renames under which csrc/src/host/f64.c compiles the
sources a second time with double. Beside it stands fused_names.h, for the copy with fused multiply-adds (fused.c in this
directory). Run this file to write both headers:

    python3 convgrad_embedded/_build/declarations.py
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

CSRC = Path(__file__).resolve().parent.parent.parent / "csrc"
HEADER = CSRC / "include" / "cge.h"
DATA_HEADER = CSRC / "include" / "cge_data.h"
HOST_HEADER = CSRC / "include" / "cge_host.h"
F64_NAMES = CSRC / "src" / "host" / "f64_names.h"
FUSED_NAMES = Path(__file__).resolve().parent / "fused_names.h"

_BEGIN = re.compile(r"^/\* ==== real section =+ \*/$", re.MULTILINE)
_END = re.compile(r"^/\* ==== end of the real section =+ \*/$", re.MULTILINE)
_F32_ONLY = re.compile(r"^/\* ---- serialisation\b", re.MULTILINE)  # from here to the end: not in the f64 copy
_UNDEFINED = re.compile(r"^#ifdef (?:__cplusplus|CGE_F64_COPY)\b.*?(?:^#else$(.*?))?^#endif$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_WRAPPED = re.compile(r",\n {8,}")  # a prototype's arguments on another line
_INTEGER = re.compile(r"#define (\w+) +(0x[0-9a-fA-F]+|[0-9]+)$")
_DIRECTIVE = re.compile(r"#(define|include|if|ifdef|ifndef|else|endif)\b")
_IDENTIFIER = re.compile(r"\bcge_\w+\b")
_GLOBAL = re.compile(r"^extern const (\w+) (\w+);$", re.MULTILINE)
_OPERATOR = re.compile(
    r"^cge_status (cge_(?!network_)\w+_(?:forward|(?:weight|bias|input)_grad)_f(?:32_fused|32|64))\((.*)\);$", re.MULTILINE
)
_FUNCTION = re.compile(r"^(?!typedef )\w[\w *]*?\b(cge_\w+)\([^{};]*\);$", re.MULTILINE)
_KERNEL_SET = "const char *cge_kernel_set_name(void);"  # of the host's header: each copy has kernels of its own


class HeaderError(Exception):
    """The header holds something that this reader was not written for."""


@dataclass(frozen=True)
class Declarations:
    """Plain C declarations: no comment, no directive but integer constants, one prototype a line."""

    shared: str  # does not depend on the number type
    f32: str
    f64: str
    fused: str  # with the types of f32
    renames: Dict[str, str]  # of every identifier that the f64 copy declares anew
    fused_renames: Dict[str, str]


def read(header: Path = HEADER) -> Declarations:
    text = header.read_text(encoding="ascii")
    begin, end = _only(_BEGIN, text), _only(_END, text)
    before, real, after = text[: begin.start()], text[begin.end() : end.start()], text[end.end() :]
    if _plain(after):
        raise HeaderError(f"{header}: declarations after the real section")
    shared, f32 = _plain(before), _plain(real)
    _require_one_name_each(f32)
    twice = _plain(real[: _only(_F32_ONLY, real).start()])
    renames = f64_renames(shared, twice)
    fused = _functions_and_constants(f"{f32}\n{_KERNEL_SET}")
    fused_renames = {name: f"{name}_fused" for name in sorted(fused)}
    return Declarations(
        shared, f32, _renamed(twice, renames), _with_names("\n".join(fused.values()), fused_renames), renames, fused_renames
    )


def read_other(header: Path) -> str:
    """What a header beside cge.h declares; shared by both number types."""
    return _plain(header.read_text(encoding="ascii"))


def version(header: Path = HEADER) -> str:
    """CGE_VERSION_STRING: the one place that holds the version of library and package."""
    return _only(re.compile(r'^#define CGE_VERSION_STRING "([^"]+)"', re.MULTILINE), header.read_text(encoding="ascii")).group(1)


def f64_renames(shared: str, real: str) -> Dict[str, str]:
    """cge_x_f32 becomes cge_x_f64, any other cge_x that the section declares cge_x_f64; cge_real is plain double."""
    declared = set(_IDENTIFIER.findall(real)) - set(_IDENTIFIER.findall(shared)) - {"cge_real"}
    return {name: re.sub("_f32$", "", name) + "_f64" for name in sorted(declared)}


def names_headers(declarations: Declarations) -> Dict[Path, str]:
    return {
        F64_NAMES: _names_header("F64", "double-precision copy", declarations.renames),
        FUSED_NAMES: _names_header("FUSED", "copy with fused multiply-adds", declarations.fused_renames),
    }


def _names_header(guard: str, copy: str, renames: Dict[str, str]) -> str:
    lines = [f"#define {old} {new}" for old, new in renames.items()]
    return "\n".join(
        [
            f"/* Names of the {copy}. Generated from cge.h by convgrad_embedded/_build/declarations.py. */",
            f"#ifndef CGE_{guard}_NAMES_H",
            f"#define CGE_{guard}_NAMES_H",
            "",
            *lines,
            "",
            "#endif",
            "",
        ]
    )


def with_addresses(declarations: str) -> str:
    """Constants as pointers, `NAME_address`: cffi cannot reach a constant of opaque type."""
    return _GLOBAL.sub(r"static const \1 *const \2_address;", declarations)


def address_definitions(declarations: str) -> str:
    return "\n".join(f"static const {kind} *const {name}_address = &{name};" for kind, name in _GLOBAL.findall(declarations))


def batches(declarations: str) -> List[Tuple[str, str]]:
    """(prototype, definition) of `<operator>_batch` for each operator on one sample: the same call for `count` samples.

    Each number pointer gets a step, the distance in elements from one sample to the next: 0 repeats it (weights) or
    lets the samples add into it (gradients of parameters). The pointers are void *, since
    cffi takes longer to make typed ones of buffers.
    """
    return [_batch(name, parameters.split(", ")) for name, parameters in _OPERATOR.findall(declarations)]


def _batch(name: str, parameters: List[str]) -> Tuple[str, str]:
    taken, passed = ["int32_t count"], []
    for parameter in parameters:
        kind, variable = re.fullmatch(r"(.*?)(\w+)", parameter).groups()  # type: ignore[union-attr]
        if re.search(r"\b(cge_real|double) \*", kind):
            void = "const void *" if kind.startswith("const ") else "void *"
            taken += [f"{void}{variable}", f"ptrdiff_t {variable}_step"]
            passed.append(f"{variable} == NULL ? NULL : ({kind.strip()}){variable} + i * {variable}_step")
        elif variable == "label":
            taken.append(f"const {kind}*{variable}")
            passed.append(f"{variable}[i]")
        else:
            taken.append(parameter)
            passed.append(variable)
    prototype = f"static cge_status {name}_batch({', '.join(taken)})"
    body = [
        "    cge_status status = CGE_OK;",
        "    for (int32_t i = 0; i < count && status == CGE_OK; i++)",
        f"        status = {name}({', '.join(passed)});",
        "    return status;",
    ]
    return prototype + ";", "\n".join([prototype, "{", *body, "}"])


def _plain(text: str) -> str:
    """Declarations, each on a line, without what cffi cannot read: comments, directives, extern "C", attributes."""
    text = _COMMENT.sub("", _UNDEFINED.sub(lambda match: match.group(1) or "", text))
    text = _WRAPPED.sub(", ", text)
    kept = (_plain_line(line.rstrip()) for line in text.splitlines())
    return re.sub(r",\n +", ", ", "\n".join(line for line in kept if line))


def _plain_line(line: str) -> str:
    if not line.startswith("#"):
        return line.replace("CGE_MUST_USE ", "")
    if not _DIRECTIVE.match(line) or line.endswith("\\"):
        raise HeaderError(f"a directive that this reader does not know: {line}")
    return line if _INTEGER.match(line) else ""


def _renamed(text: str, renames: Dict[str, str]) -> str:
    text = text.replace("typedef float cge_real;\n", "")
    return _with_names(re.sub(r"\bcge_real\b", "double", text), renames)


def _with_names(text: str, renames: Dict[str, str]) -> str:
    return _IDENTIFIER.sub(lambda match: renames.get(match.group(), match.group()), text)


def _functions_and_constants(text: str) -> Dict[str, str]:
    """Their declarations by name. Types are left out."""
    found = {match.group(2): match.group() for match in _GLOBAL.finditer(text)}
    found.update((match.group(1), match.group()) for match in _FUNCTION.finditer(text))
    return found


def _require_one_name_each(declarations: str) -> None:
    for line in declarations.splitlines():
        if line.startswith("extern ") and not _GLOBAL.match(line):
            raise HeaderError(f"a constant whose declaration is not `extern const TYPE NAME;`: {line}")


def _only(pattern: "re.Pattern[str]", text: str) -> "re.Match[str]":
    found = list(pattern.finditer(text))
    if len(found) != 1:
        raise HeaderError(f"expected one line like {pattern.pattern!r} in the header, found {len(found)}")
    return found[0]


if __name__ == "__main__":
    for path, text in names_headers(read()).items():
        path.write_text(text, encoding="ascii")
