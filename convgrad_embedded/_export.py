"""C source of a trained network: constants only, ready to be linked with the core into firmware."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convgrad_embedded import _core, _export_configs, _export_plan, _files, _graph, _learning, _sources
from convgrad_embedded._core import Real
from convgrad_embedded._layers import learns_by_batch
from convgrad_embedded._summary import backward_macs
from convgrad_embedded.schedules import ReduceOnPlateau

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

_C_WORDS = frozenset(  # of C and of C++
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr continue "
    "default delete do double else enum explicit export extern false float for friend goto if inline int long mutable "
    "namespace new noexcept not not_eq nullptr operator or or_eq private protected public register restrict return "
    "short signed sizeof static struct switch template this throw true try typedef typeid typename union unsigned "
    "using virtual void volatile wchar_t while xor xor_eq".split()
)
# A header of such a name would be found in place of the system's: of C, of C++ and of POSIX; and what Windows keeps.
_HEADERS = frozenset(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic stdbit "
    "stdbool stdckdint stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype "
    "algorithm any array atomic bit bitset charconv chrono compare concepts coroutine deque exception execution expected "
    "filesystem format functional future initializer_list iomanip ios iosfwd iostream istream iterator latch list map mdspan "
    "memory mutex new numbers numeric optional ostream print queue random ranges ratio regex semaphore set span sstream stack "
    "stdexcept streambuf string_view strstream system_error thread tuple type_traits typeindex typeinfo unordered_map "
    "unordered_set utility valarray variant vector version "
    "aio alloca byteswap cpio dirent dlfcn elf endian err error features fcntl fmtmsg fnmatch fts ftw getopt glob grp iconv "
    "ifaddrs langinfo libgen malloc mqueue ndbm netdb nl_types paths poll pthread pwd reent resolv sched search spawn "
    "stropts strings syscall sysexits syslog tar termios trace ucontext ulimit unistd utime utmpx values wordexp xlocale "
    "aux con nul prn".split()
)
_NUMBERS_PER_LINE = 6
_LINE = 116  # characters


def write(network: Network, directory: Path, name: str, sealed: bool, with_core: bool) -> list[Path]:
    _check_name(name)
    paths = [directory / f"{name}.h", directory / f"{name}.c"]
    with network._runtime.lock:  # the hash in the header is that of the weights in the source
        if not np.isfinite(network._runtime.params).all():
            raise ValueError("export: expected finite weights, got NaN or infinity among them")
        texts = (_header(network, name, sealed), _source(network, name, sealed))
    files = {path: text.encode("ascii") for path, text in zip(paths, texts)}
    if with_core:
        files.update({directory / core: text for core, text in _sources.core(network.arithmetic == "fused").items()})
        paths.append(directory / "cge_core.c")
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
    _files.write(files)
    return paths


def _check_name(name: str) -> None:
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) or name in _C_WORDS or name.startswith("cge"):
        raise ValueError(f"name: expected a C identifier that does not begin with cge, got {name!r}")
    # Some file systems do not tell Math.c from math.c.
    if name.lower() in _HEADERS | {path.stem.lower() for path in _sources.source_files()}:
        raise ValueError(f"name: expected none of a standard header or of a source of the core, got {name!r}")


# ---- the header ------------------------------------------------------------------------------------------------------

_HEADER = """\
/*
 * {title}
{fused} * Written by convgrad_embedded {version}; export again instead of editing.
 *
 * To go on training:
 *     static uint64_t arena[({NAME}_TRAINING_ARENA_BYTES + 7) / 8];
 *     static cge_options options; // zero means default
 *     static cge_network net;
 *     options.training = 1;
{use_training_plan}{start_training} * To predict, with the parameters in flash:
 *     static uint64_t arena[({NAME}_INFERENCE_ARENA_BYTES + 7) / 8];
 *     static cge_options options;
 *     options.params = {name}_params;
{use_inference_plan} */
#ifndef {NAME}_H
#define {NAME}_H

#include "cge.h"

#if CGE_EXPORT_VERSION != {export_version}
#error "{name}.h does not belong to this version of the library: export the network again"
#endif
{plan_version}
#ifdef __cplusplus
extern "C" {{
#endif

#define {NAME}_LAYER_COUNT {layer_count}
#define {NAME}_INPUT_ELEMS {input_elems}{input_comment}
#define {NAME}_OUTPUT_ELEMS {output_elems}
#define {NAME}_PARAM_ELEMS {param_elems}
#define {NAME}_PARAMS_HASH UINT64_C(0x{params_hash}) /* cge_network_params_hash of {name}_params */
{arena_sizes}{step_time}
extern const cge_model {name}_model;
extern const cge_real {name}_params[{array_elems}];
{schedule}{plans}
#ifdef __cplusplus
}}
#endif

#endif
"""


_FUSED = """\
 * Trained with fused multiply-adds: build the library with CGE_FUSED=1. Others refuse the model with CGE_ERR_ARITHMETIC.
"""
_START_IN_RAM = """\
 *     if (cge_network_init(&net, &{name}_model, &options, arena, sizeof arena) != CGE_OK) ...
 *     memcpy(net.params, {name}_params, {NAME}_PARAM_ELEMS * sizeof(cge_real));
"""
_START_IN_FLASH = """\
 *     options.params = {name}_params; // what learns is copied from there, the rest stays there
 *     if (cge_network_init(&net, &{name}_model, &options, arena, sizeof arena) != CGE_OK) ...
"""
_BATCHES = """\
 *     options.capacity = {samples}; // whose statistics batch normalisation takes together; cge_network_arena_bytes for more
"""
_PLAN_VERSION = """\
#if CGE_PLAN_VERSION != {version}
#error "{name}.h has sealed plans of another version of the library: export the network again"
#endif
"""
_STEP_TIME = """\
#define {NAME}_STEP_MACS {macs} /* multiply-adds of a training step, batch of one */
#define {NAME}_TRAINED_ELEMS {trained} /* parameters that learn */
#define {NAME}_STEP_INSTRUCTIONS CGE_STEP_INSTRUCTIONS({NAME}_STEP_MACS, {NAME}_TRAINED_ELEMS)
"""


def _step_time(network: Network, name: str) -> str:
    macs = sum(info.macs for info in network.layer_infos) + sum(backward_macs(network))
    trained = sum(_learning.learned_elems(layer, info) for layer, info in zip(network.layers, network.layer_infos))
    return _STEP_TIME.format(NAME=name.upper(), macs=macs, trained=trained)


def _header(network: Network, name: str, sealed: bool) -> str:
    first, *others = network.range_bytes or (network.arena_bytes,)
    arena_sizes = {"TRAINING_ARENA": first} if network.loss is not None else {}
    arena_sizes["INFERENCE_ARENA"] = network.inference_arena_bytes
    arena_sizes.update({f"TRAINING_RANGE_{number}": size for number, size in enumerate(others, 1)})
    start = _START_IN_FLASH if network.frozen_in == "flash" else _START_IN_RAM
    start = (_BATCHES if any(map(learns_by_batch, network.layers)) else "") + start
    return _HEADER.format(
        start_training=start.format(name=name, NAME=name.upper(), samples=network._model.samples),
        title=f"{'x'.join(map(str, network.input_shape))} to {'x'.join(map(str, network.output_shape))}, "
        f"{network.param_count} parameters.",
        fused=_FUSED if network.arithmetic == "fused" else "",
        version=_core.VERSION,
        export_version=_core.EXPORT_VERSION,
        plan_version=_PLAN_VERSION.format(name=name, version=_core.PLAN_VERSION) if sealed else "",
        name=name,
        NAME=name.upper(),
        layer_count=len(network.layers),
        input_comment="" if network.input_scale is None else " /* uint8_t */",
        input_elems=int(np.prod(network.input_shape)),
        output_elems=int(np.prod(network.output_shape)),
        param_elems=network.param_count,
        array_elems=_array_elems(network, name),
        params_hash=network.weights_hash(),
        plans=_export_plan.declarations(network, name),
        schedule=_schedule_declaration(network, name),
        **{f"use_{use}_plan": _use_plan(network, name, use) for use in ("training", "inference")},
        step_time=_step_time(network, name) if network.loss is not None else "",
        arena_sizes="".join(f"#define {name.upper()}_{use}_BYTES {size}\n" for use, size in arena_sizes.items()),
    )


def _use_plan(network: Network, name: str, use: str) -> str:
    plan = _export_plan.plans(network).get(use)
    if plan is None:
        return ""
    ranges = "" if not plan.ranges else f"; ranges lie in {name}.c, {name.upper()}_RANGE_1_SECTION says where"
    return f" *     options.plan = &{name}_{use}_plan; // memory level {plan.level}{ranges}\n"


def _array_elems(network: Network, name: str) -> str:
    return f"{name.upper()}_PARAM_ELEMS" if network.param_count > 0 else "1"  # C has no empty arrays


# ---- the source ------------------------------------------------------------------------------------------------------

_SOURCE = """\
/* {name}.h says what this is. */
#include "{name}.h"
{configs}
static const cge_layer {name}_layers[{NAME}_LAYER_COUNT] = {{
{layers}
}};
{outputs}
const cge_model {name}_model = {{
{model}
}};

/* Binary floating-point constants: the very bits of the weights. */
const cge_real {name}_params[{array_elems}] = {{
{params}
}};
{schedule}{plans}"""


def _source(network: Network, name: str, sealed: bool) -> str:
    return _SOURCE.format(
        name=name,
        NAME=name.upper(),
        configs=_configs(network, name),
        layers=",\n".join(map("".join, zip(_row_comments(network), map(_wrapped, map(_braced, _layer_rows(network, name)))))),
        outputs=_outputs(network, name),
        model=",\n".join(_wrapped(f".{member} = {value}") for member, value in _model_members(network, name).items()),
        array_elems=_array_elems(network, name),
        params=",\n".join(_param_blocks(network)) or "    0.0f",
        plans=_export_plan.definitions(network, name, sealed),
        schedule=_schedule_source(network, name),
    )


_CONFIGS_COMMENT = "/* What the layers point to; in_h, in_w and in_c are what comes in where they are 0. */"


_OUTPUTS_COMMENT = "/* Side by side in what the last layer puts out: each has a loss of its own. */"


def _configs(network: Network, name: str) -> str:
    definitions = []
    for config in _export_configs.configs(network).values():
        constants = {member: _constant(value) for member, value in config.fields.items() if value}
        begin, members = (
            f"static const cge_{config.struct} {config.name(name)} =",
            _braced(_all_members(f"cge_{config.struct}", **constants)),
        )
        one_line = f"{begin} {members};"
        definitions.append(one_line if len(one_line) <= _LINE else f"{begin}\n{_wrapped(members)};")
    return "\n".join(["", _CONFIGS_COMMENT, *definitions, ""]) if definitions else ""


def _layer_rows(network: Network, name: str) -> Iterator[dict[str, str]]:
    configs = _export_configs.configs(network)
    for index, row in enumerate(_export_configs.rows(network)):
        own = _export_configs.key(row)
        constants = {member: _constant(value) for member, value in row.members.items() if value}
        constants["config"] = "NULL" if own is None else f"&{configs[own].name(name)}"
        constants["from"] = "{%d, %d}" % tuple(_graph.to_c(network.sources[index], index))
        yield _all_members("cge_layer", kind=f"&cge_kind_{row.kind}", **constants)


def _row_comments(network: Network) -> list[str]:
    """In a graph, what each row reads; a chain says it by the order of its rows."""
    if not _graph.is_graph(network.sources):
        return [""] * len(network.layers)
    names = [["the input" if source < 0 else str(source) for source in sources] for sources in network.sources]
    return [
        f"    /* {index}: {layer.kind} of {' and '.join(read)} */\n"
        for index, (layer, read) in enumerate(zip(network.layers, names))
    ]


def _model_members(network: Network, name: str) -> dict[str, str]:
    height, width, channels = network.layer_infos[0].in_shape
    members = {
        "input": f"{{{height}, {width}, {channels}}}",
        "layers": f"{name}_layers",
        "layer_count": f"{name.upper()}_LAYER_COUNT",
        "loss": "NULL" if network._loss is None else f"&cge_{network._loss.kind}",
    }
    loss = None if network._loss is None else network._loss.row()
    members["loss_config"] = _loss_config({} if loss is None else loss.config)
    if loss is not None and loss.outputs:
        members["outputs"] = f"{name}_outputs"
        members["output_count"] = str(len(loss.outputs))
    if network.optimizer is not None:
        values = network.optimizer.c_members()._asdict()
        kind = values.pop("kind")
        constants = {member: _constant(value) for member, value in values.items() if value}
        members["optimizer"] = _braced(_all_members("cge_optimizer", kind=f"&cge_{kind}", **constants))
    else:
        members["optimizer"] = _braced(_all_members("cge_optimizer", kind="NULL"))
    if network.input_scale is not None:
        members["input_kind"] = "&cge_input_u8"
        members["input_scale"] = _constant(network.input_scale)
        members["input_offset"] = str(network.input_offset)
    if network.arithmetic == "fused":
        members["fused"] = "1"
    return _all_members("cge_model", **members)


def _loss_config(settings: Mapping[str, float]) -> str:
    constants = {member: _constant(np.float32(value)) for member, value in settings.items() if value}
    return _braced(_all_members("cge_loss_config", **constants))


def _outputs(network: Network, name: str) -> str:
    """The table of outputs, if there are several."""
    loss = None if network._loss is None else network._loss.row()
    if loss is None or not loss.outputs:
        return ""
    rows = [
        _all_members(
            "cge_output",
            loss=f"&cge_{output.loss}",
            loss_config=_loss_config(output.loss_config),
            elems=str(output.elems),
            weight=_constant(np.float32(output.weight)),
        )
        for output in loss.outputs
    ]
    names = [f"    /* {name} */\n" for name in network.output_names or ()] or [""] * len(rows)
    body = ",\n".join(name + _wrapped(_braced(row)) for name, row in zip(names, rows))
    return f"\n{_OUTPUTS_COMMENT}\nstatic const cge_output {name}_outputs[{len(rows)}] = {{\n{body}\n}};\n"


def _schedule_struct(network: Network) -> str:
    return "plateau" if isinstance(network.schedule, ReduceOnPlateau) else "schedule"


def _schedule_declaration(network: Network, name: str) -> str:
    if network.schedule is None:
        return ""
    struct = _schedule_struct(network)
    return _SCHEDULE_USE[struct].format(name=name) + f"extern const cge_{struct} {name}_{struct};\n"


def _schedule_source(network: Network, name: str) -> str:
    if network.schedule is None:
        return ""
    struct = _schedule_struct(network)
    values = network.schedule.c_members()
    constants = {member: _constant(value) for member, value in values.items() if value}
    row = _wrapped(_braced(_all_members(f"cge_{struct}", **constants))).strip()
    return f"\n/* {network.schedule!r} */\nconst cge_{struct} {name}_{struct} = {row};\n"


_SCHEDULE_USE = {
    "schedule": "/* Before each step: net.optimizer.learning_rate = cge_schedule_rate(&{name}_schedule, net.step_count); */\n",
    "plateau": "/* After each epoch, from a state of zeros:\n"
    " * net.optimizer.learning_rate = cge_plateau_rate(&{name}_plateau, &state, loss); */\n",
}


def _all_members(struct: str, **given: str) -> dict[str, str]:
    """In the order of the declaration, none left out: so the source is C++ too, and no compiler warns."""
    return {member: given.get(member, "0") for member in _core.members(struct)}


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
    lines = textwrap.wrap(unbreakable, width=_LINE, initial_indent="    ", subsequent_indent="     ")
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
