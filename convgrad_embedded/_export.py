"""C source of a trained network: constants only, ready to be linked with the core into firmware."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convgrad_embedded import _core
from convgrad_embedded._core import Real

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

_C_WORDS = frozenset(  # of C and of C++
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr continue "
    "default delete do double else enum explicit export extern false float for friend goto if inline int long mutable "
    "namespace new noexcept not not_eq nullptr operator or or_eq private protected public register restrict return "
    "short signed sizeof static struct switch template this throw true try typedef typeid typename union unsigned "
    "using virtual void volatile wchar_t while xor xor_eq".split()
)
_NUMBERS_PER_LINE = 6


def write(network: Network, directory: Path, name: str) -> list[Path]:
    _check_name(name)
    if not np.isfinite(network._runtime.params).all():
        raise ValueError("export: expected finite weights, got NaN or infinity among them")
    paths = [directory / f"{name}.h", directory / f"{name}.c"]
    directory.mkdir(parents=True, exist_ok=True)
    for path, content in zip(paths, (_header(network, name), _source(network, name))):
        path.write_text(content, encoding="ascii")
    return paths


def _check_name(name: str) -> None:
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) or name in _C_WORDS or name.startswith("cge"):
        raise ValueError(f"name: expected a C identifier that does not begin with cge, got {name!r}")


# ---- the header ------------------------------------------------------------------------------------------------------

_HEADER = """\
/*
 * {title}
 * Written by convgrad_embedded {version}; export again instead of editing.
 *
 * To go on training:
 *     static uint64_t arena[({NAME}_TRAINING_ARENA_BYTES + 7) / 8];
 *     cge_options options = {{.training = 1}};
 *     cge_network net;
 *     if (cge_network_init(&net, &{name}_model, &options, arena, sizeof arena) != CGE_OK) ...
 *     memcpy(net.params, {name}_params, {NAME}_PARAM_ELEMS * sizeof(cge_real));
 * To predict, with the parameters in flash:
 *     static uint64_t arena[({NAME}_INFERENCE_ARENA_BYTES + 7) / 8];
 *     cge_options options = {{.params = {name}_params}};
 */
#ifndef {NAME}_H
#define {NAME}_H

#include "cge.h"

#if CGE_EXPORT_VERSION != {export_version}
#error "{name}.h does not belong to this version of the library: export the network again"
#endif

#ifdef __cplusplus
extern "C" {{
#endif

#define {NAME}_LAYER_COUNT {layer_count}
#define {NAME}_INPUT_ELEMS {input_elems}
#define {NAME}_OUTPUT_ELEMS {output_elems}
#define {NAME}_PARAM_ELEMS {param_elems}
#define {NAME}_PARAMS_HASH UINT64_C(0x{params_hash}) /* cge_network_params_hash of {name}_params */
{arena_sizes}
extern const cge_model {name}_model;
extern const cge_real {name}_params[{array_elems}];

#ifdef __cplusplus
}}
#endif

#endif
"""


def _header(network: Network, name: str) -> str:
    arena_sizes = {"TRAINING": network.arena_bytes} if network.loss is not None else {}
    arena_sizes["INFERENCE"] = network.inference_arena_bytes
    return _HEADER.format(
        title=f"{'x'.join(map(str, network.input_shape))} to {'x'.join(map(str, network.output_shape))}, "
        f"{network.param_count} parameters.",
        version=_core.VERSION,
        export_version=_core.EXPORT_VERSION,
        name=name,
        NAME=name.upper(),
        layer_count=len(network.layers),
        input_elems=int(np.prod(network.input_shape)),
        output_elems=int(np.prod(network.output_shape)),
        param_elems=network.param_count,
        array_elems=_array_elems(network, name),
        params_hash=network.weights_hash(),
        arena_sizes="".join(f"#define {name.upper()}_{use}_ARENA_BYTES {size}\n" for use, size in arena_sizes.items()),
    )


def _array_elems(network: Network, name: str) -> str:
    return f"{name.upper()}_PARAM_ELEMS" if network.param_count > 0 else "1"  # C has no empty arrays


# ---- the source ------------------------------------------------------------------------------------------------------

_SOURCE = """\
/* {name}.h says what this is. */
#include "{name}.h"

static const cge_layer {name}_layers[{NAME}_LAYER_COUNT] = {{
{layers}
}};

const cge_model {name}_model = {{
{model}
}};

/* Binary floating-point constants: the very bits of the weights. */
const cge_real {name}_params[{array_elems}] = {{
{params}
}};
"""


def _source(network: Network, name: str) -> str:
    return _SOURCE.format(
        name=name,
        NAME=name.upper(),
        layers=",\n".join(_wrapped(_braced(row)) for row in _layer_rows(network)),
        model=",\n".join(f"    .{member} = {value}" for member, value in _model_members(network, name).items()),
        array_elems=_array_elems(network, name),
        params=",\n".join(_param_blocks(network)) or "    0.0f",
    )


def _layer_rows(network: Network) -> Iterator[dict[str, str]]:
    for layer, info in zip(network.layers, network.layer_infos):
        members = layer.c_members(info.in_shape[:2])
        yield {"kind": f"&cge_kind_{layer.kind}", **{member: _constant(value) for member, value in members.items() if value}}


def _model_members(network: Network, name: str) -> dict[str, str]:
    height, width, channels = network.layer_infos[0].in_shape
    members = {
        "input": f"{{{height}, {width}, {channels}}}",
        "layers": f"{name}_layers",
        "layer_count": f"{name.upper()}_LAYER_COUNT",
        "loss": "NULL" if network.loss is None else f"&cge_{network.loss}",
    }
    if network.optimizer is not None:
        values = network.optimizer.c_members()._asdict()
        members["optimizer"] = _braced(
            {"kind": "&cge_sgd", **{member: _constant(value) for member, value in values.items() if value}}
        )
    return members


def _param_blocks(network: Network) -> Iterator[str]:
    """The parameters of each layer under a comment that says which."""
    weights = iter(network.get_weights())
    for index, (layer, info) in enumerate(zip(network.layers, network.layer_infos)):
        for what, shape in zip(("weights", "biases"), info.parameter_shapes):
            sizes = "".join(f"[{size}]" for size in shape)
            yield f"    /* layer {index}, {layer.kind}: {what} {sizes} */\n" + _lines(next(weights).ravel())


def _lines(values: Real) -> str:
    constants = [_constant(value) for value in values]
    rows = (constants[begin : begin + _NUMBERS_PER_LINE] for begin in range(0, len(constants), _NUMBERS_PER_LINE))
    return ",\n".join("    " + ", ".join(row) for row in rows)


def _wrapped(text: str) -> str:
    """Broken into lines, but never at an equals sign."""
    unbreakable = text.replace(" = ", "\u00a0=\u00a0")
    lines = textwrap.wrap(unbreakable, width=116, initial_indent="    ", subsequent_indent="     ")
    return "\n".join(lines).replace("\u00a0", " ")


def _braced(members: dict[str, str]) -> str:
    return "{" + ", ".join(f".{member} = {value}" for member, value in members.items()) + "}"


def _constant(value: Any) -> str:
    """A C constant; a float32 in hexadecimal, so that it is not rounded on the way."""
    if isinstance(value, int):
        return str(value)
    value = np.float32(value)
    if value == 0:
        return "-0.0f" if np.signbit(value) else "0.0f"
    mantissa, exponent = float(value).hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}f"
