"""Writes small TensorFlow Lite files, field by field: the format's flat tables, without TensorFlow."""

import struct

import numpy as np

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int8": 9}
CODES = {
    **{"ADD": 0, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6},
    **{
        "FULLY_CONNECTED": 9,
        "LOGISTIC": 14,
        "MAX_POOL_2D": 17,
        "MUL": 18,
        "RELU": 19,
        "RELU6": 21,
        "RESHAPE": 22,
        "SOFTMAX": 25,
    },
    **{"TANH": 28, "PAD": 34, "MEAN": 40, "SUB": 41, "PRELU": 54, "LEAKY_RELU": 98, "CUMSUM": 128},
}


def vector(code, values):
    return lambda: struct.pack(f"<I{len(values)}{code}", len(values), *values), []


class Table(dict):
    """Field number: ("code", value) for a scalar, or a Table, list of Tables, bytes, or ("[code]", values)."""


class Writer:
    """Lays objects out one after the other; offsets are patched in when both ends have a place."""

    def __init__(self):
        self.data = bytearray(b"\0\0\0\0TFL3")
        self.data[0:4] = struct.pack("<I", 0)

    def write(self, root):
        self.data[0:4] = struct.pack("<I", self.table(root))
        return bytes(self.data)

    def align(self):
        self.data += bytes(-len(self.data) % 8)

    def table(self, fields):
        count = max(fields, default=-1) + 1
        self.align()
        offsets_at = len(self.data)
        self.data += bytes(4 + 2 * count)
        self.align()
        at = len(self.data)
        self.data += struct.pack("<i", at - offsets_at)
        places = {}
        for number, value in fields.items():
            size = struct.calcsize(value[0]) if isinstance(value, tuple) and not value[0].startswith("[") else 4
            self.data += bytes(-len(self.data) % size)
            places[number] = len(self.data)
            self.data += struct.pack(f"<{value[0]}", value[1]) if size != 4 or self.is_scalar(value) else bytes(4)
        header = struct.pack("<HH", 4 + 2 * count, len(self.data) - at)
        entries = b"".join(struct.pack("<H", places[n] - at if n in places else 0) for n in range(count))
        self.data[offsets_at : offsets_at + 4 + 2 * count] = header + entries
        for number, value in fields.items():
            if not self.is_scalar(value):
                self.point(places[number], self.object(value))
        return at

    @staticmethod
    def is_scalar(value):
        return isinstance(value, tuple) and not value[0].startswith("[")

    def point(self, place, target):
        self.data[place : place + 4] = struct.pack("<I", target - place)

    def object(self, value):
        if isinstance(value, Table):
            return self.table(value)
        self.align()
        if isinstance(value, list):
            at = len(self.data)
            self.data += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for i, item in enumerate(value):
                self.point(at + 4 + 4 * i, self.table(item))
            return at
        code, items = ("B", value) if isinstance(value, bytes) else (value[0][1:-1], value[1])
        at = len(self.data)
        if struct.calcsize(code) == 8:  # the items are aligned, the count stands before them
            self.data += bytes(4)
            at += 4
        self.data += struct.pack(f"<I{len(items)}{code}", len(items), *items)
        return at


class Model:
    """m = Model(x=(1, 8, 8, 1)); m.constant("w", array); m.op("CONV_2D", ["x", "w"], "y", (1, 6, 6, 4), options)."""

    def __init__(self, **inputs):
        self.tensors, self.names, self.operators, self.buffers = [], {}, [], [Table()]
        self.inputs = [self.tensor(name, shape) for name, shape in inputs.items()]

    def tensor(self, name, shape, kind="float32", buffer=0, scale=(), zero=(), axis=0):
        fields = Table({0: ("[i]", shape), 1: ("b", TYPES[kind]), 2: ("I", buffer), 3: name.encode()})
        if scale:
            fields[4] = Table({2: ("[f]", scale), 3: ("[q]", zero), 6: ("i", axis)})
        self.names[name] = len(self.tensors)
        self.tensors.append(fields)
        return self.names[name]

    def constant(self, name, array, **quantisation):
        array = np.asarray(array)
        self.buffers.append(Table({0: array.tobytes()}))
        self.tensor(name, array.shape, array.dtype.name, len(self.buffers) - 1, **quantisation)
        return name

    def op(self, kind, reads, writes, shape, options=None):
        self.tensor(writes, shape)
        fields = Table(
            {0: ("I", list(CODES).index(kind)), 1: ("[i]", [self.names[n] for n in reads]), 2: ("[i]", [self.names[writes]])}
        )
        if options:
            fields[4] = Table(options)
        self.operators.append(fields)
        return writes

    def write(self, path, output="y"):
        graph = Table({0: self.tensors, 1: ("[i]", self.inputs), 2: ("[i]", [self.names[output]]), 3: self.operators})
        codes = [Table({0: ("b", min(code, 127)), 3: ("i", code)}) for code in CODES.values()]
        path.write_bytes(Writer().write(Table({0: ("I", 3), 1: codes, 2: [graph], 4: self.buffers})))
        return path
