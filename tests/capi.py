"""The C functions as the tests call them: NumPy arrays and names in, a status or asserted success out."""

import numpy as np

from convgrad_embedded._core import ffi, lib

STATUS = {getattr(lib, name): name for name in dir(lib) if name == "CGE_OK" or name.startswith("CGE_ERR_")}


def c_value(argument):
    if argument is None:
        return ffi.NULL
    if not isinstance(argument, np.ndarray):
        return argument
    assert argument.flags.c_contiguous, "a test handed over an array that is not contiguous"
    types = {"float32": "float[]", "float64": "double[]", "int32": "int32_t[]", "uint8": "unsigned char[]"}
    return ffi.from_buffer(types[argument.dtype.name], argument)


def status(name, *arguments):
    """Calls cge_<name> and gives the status by name."""
    return STATUS[getattr(lib, f"cge_{name}")(*map(c_value, arguments))]


def ok(name, *arguments):
    assert status(name, *arguments) == "CGE_OK", name


def operator(name, *arguments):
    """Calls cge_<name>_f32 or _f64, by the type of the arrays, and expects success."""
    kinds = {argument.dtype.name for argument in arguments if isinstance(argument, np.ndarray) and argument.dtype.kind == "f"}
    assert len(kinds) == 1, f"one number type per call, not {kinds}"
    ok(name + {"float32": "_f32", "float64": "_f64"}[kinds.pop()], *arguments)


def geometry(struct, input_shape, kernel, *, out_c=None, stride=None, padding=((0, 0), (0, 0)), dilation=None, groups=None):
    """A cge_conv2d or cge_pool2d; what is None stays zero: the default."""
    (top, bottom), (left, right) = padding
    fields = dict(
        zip(("in_h", "in_w", "in_c"), input_shape),
        kernel_h=kernel[0],
        kernel_w=kernel[1],
        pad_top=top,
        pad_bottom=bottom,
        pad_left=left,
        pad_right=right,
    )
    for name, value in (("stride", stride), ("dilation", dilation)):
        if value is not None:
            fields[name + "_h"], fields[name + "_w"] = value
    fields.update({name: value for name, value in (("out_c", out_c), ("groups", groups)) if value is not None})
    return ffi.new(f"cge_{struct} *", fields)


def output_shape(g):
    out = ffi.new("cge_shape *")
    struct = ffi.typeof(g).item.cname.split()[-1]
    ok(struct.removeprefix("cge_") + "_output_shape", g, out)
    return out.h, out.w, out.c


def same_bits(a, b):
    """Equal shapes, types and bits; +0 and -0 differ, equal NaNs do not."""
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


class Settings:
    """An optimizer's settings: the C struct, and the same numbers in a NumPy type for the scalar loop."""

    def __init__(self, learning_rate, momentum, weight_decay, nesterov, dtype=np.float32):
        self.fields = dict(learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)
        self.learning_rate, self.momentum, self.weight_decay = (
            dtype(np.float32(value)) for value in (learning_rate, momentum, weight_decay)
        )
        self.nesterov = nesterov
        self.suffix = "_f64" if dtype == np.float64 else ""

    @property
    def c(self):
        return ffi.new(f"cge_optimizer{self.suffix} *", self.fields)
