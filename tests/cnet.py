"""A network in C as firmware holds it: one arena with guard bytes on both sides, filled with a pattern beforehand."""

import numpy as np
from capi import c_value, ffi, lib, ok, status

GUARD = 64
MAX_LAYERS = 64


class CModel:
    """The model in saved bytes (Network.to_bytes); its layer table and settings may be changed before use."""

    def __init__(self, saved):
        self.saved = saved
        self.layers, self.configs = ffi.new("cge_layer[]", MAX_LAYERS), ffi.new("cge_layer_config[]", MAX_LAYERS)
        self.c = ffi.new("cge_model *")
        ok("model_parse", saved, len(saved), lib.cge_catalog_all_address, self.layers, self.configs, MAX_LAYERS, self.c)


def options(training=True, capacity=0, params=None):
    return ffi.new("cge_options *", {"training": training, "capacity": capacity, "params": c_value(params)})


class CNetwork:
    def __init__(self, model, *, training=True, capacity=0, params=None, fill=0xA5, short=0, restore=True):
        """`short`: bytes fewer than asked for. `status` is what cge_network_init said."""
        self.model = model if isinstance(model, CModel) else CModel(model)
        self.params_kept = params
        self.options = options(training, capacity, params)
        size = ffi.new("size_t *")
        ok("network_arena_bytes", self.model.c, self.options, size)
        self.arena_bytes = size[0]
        self.memory = np.full(GUARD + self.arena_bytes + GUARD + 8, fill, np.uint8)
        self.begin = GUARD + -(self.memory.ctypes.data + GUARD) % 8
        self.fill = fill
        self.c = ffi.new("cge_network *")
        arena = ffi.cast("void *", self.memory.ctypes.data + self.begin)
        self.status = status("network_init", self.c, self.model.c, self.options, arena, self.arena_bytes - short)
        if self.status == "CGE_OK" and restore and params is None:
            ok("network_restore", self.c, self.model.saved, len(self.model.saved))

    @property
    def arena(self):
        return self.memory[self.begin : self.begin + self.arena_bytes]

    def guards_are_intact(self):
        outside = np.concatenate([self.memory[: self.begin], self.memory[self.begin + self.arena_bytes :]])
        return bool(np.all(outside == self.fill))

    def numbers(self, name):
        """`params`, `grads` or `velocity` as an array over the arena."""
        pointer = getattr(self.c, name)
        count = self.c.param_elems if name == "params" else self.c.grad_elems
        if pointer == ffi.NULL or count == 0:
            return np.empty(0, np.float32)
        return np.frombuffer(ffi.buffer(pointer, 4 * count), np.float32)

    def state(self):
        """Everything that a step may change, as bytes."""
        return [self.numbers("params").tobytes(), self.numbers("velocity").tobytes(), self.c.step_count]

    def targets(self, y):
        member, kind = ("labels", np.int32) if np.asarray(y).dtype.kind == "i" else ("values", np.float32)
        self.y = np.ascontiguousarray(y, kind)  # the struct only points to it
        return ffi.new("cge_targets *", {member: c_value(self.y)})

    def call(self, name, x, y, *more):
        """A function on samples and targets; (status, mean loss)."""
        loss = np.full(1, 77, np.float32)
        return status(f"network_{name}", self.c, x, self.targets(y), *more, len(x), loss), loss[0]

    def evaluate(self, x, y):
        """(status, mean loss, correct)"""
        loss, correct = np.full(1, 77, np.float32), np.full(1, -1, np.int32)
        result = status("network_evaluate", self.c, x, self.targets(y), len(x), loss, correct)
        return result, loss[0], correct[0]

    def accumulate(self, x, y):
        return self.call("accumulate", x, y)

    def train_batch(self, x, y):
        return self.call("train_batch", x, y)

    def update(self):
        return status("network_update", self.c)

    def forward(self, x):
        out = np.full((len(x), self.c.out_elems), 77, np.float32)
        ok("network_forward", self.c, x, len(x), out)
        return out
