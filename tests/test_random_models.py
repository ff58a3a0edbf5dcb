"""Whatever network the C core accepts and saves, Python loads: random models, with every field that may be left at zero."""

import random

import numpy as np
import pytest
from capi import c_value, ffi, lib, ok, status

import convgrad_embedded as cge
from convgrad_embedded._core import ROW_MEMBERS, members
from convgrad_embedded._layers import LAYERS

MOST_LAYERS, MOST_ARENA_BYTES = 6, 1 << 18
FLOAT32_MAX = float(np.finfo(np.float32).max)
MODELS = 3000
SEEDS = range(10)
CATALOG = lib.cge_catalog_all_address


def either(rng, *values):
    return rng.choice(values)


def both_axes(rng, name, *values):
    return {f"{name}_h": either(rng, *values), f"{name}_w": either(rng, *values)}


def random_window(rng):
    padding = {f"pad_{side}": either(rng, 0, 0, 1) for side in ("top", "left", "bottom", "right")}
    return {**both_axes(rng, "kernel", 1, 2, 3), **both_axes(rng, "stride", 0, 1, 2), **padding}


def random_parameters(rng, units="units"):
    return {units: rng.randint(1, 6), "flags": rng.randint(0, 3), "init": rng.randint(0, 3)}


def conv2d(rng):
    taps = {**both_axes(rng, "dilation", 0, 1, 2), "groups": either(rng, 0, 0, 1, 2, 3)}
    return {**random_parameters(rng, "out_c"), **random_window(rng), **taps}


def conv_transpose2d(rng):
    return {**conv2d(rng), **both_axes(rng, "output_pad", 0, 0, 1), **either(rng, {}, {}, {"flags": 0, "trains": -1})}


def random_alpha(rng):
    return {"alpha": either(rng, 0.0, 0.1, 1e-45, 0.3, 1.0, FLOAT32_MAX)}


def random_pads(rng):
    return {f"pad_{side}": either(rng, 0, 0, 1) for side in ("top", "left", "bottom", "right")}


def random_norm(rng, *groups):
    eps = either(rng, 0.0, -0.0, 1e-5, 0.1, FLOAT32_MAX)
    trains = either(rng, {"flags": rng.randint(0, 7)}, {"trains": -1})
    return {"eps": eps, "groups": either(rng, 0, *groups), **trains}


FIELDS = {
    "group_norm": lambda rng: random_norm(rng, 1, 2, 3),
    "instance_norm": random_norm,
    "layer_norm": random_norm,
    "batch_norm": lambda rng: {
        "eps": either(rng, 0.0, -0.0, 1e-5, 0.1),
        "momentum": either(rng, 0.0, -0.0, 0.1, 1.0),
        "flags": rng.randint(0, 3),
    },
    "scale": lambda rng: either(rng, {"flags": rng.randint(0, 3)}, {"trains": -1}),
    "dropout": lambda rng: {"p": either(rng, 0.0, -0.0, 0.1, 0.5, 1 - 2.0**-24), "seed": either(rng, 0, 1, 2**31 - 1)},
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "dense": random_parameters,
    "maxpool2d": random_window,
    "avgpool2d": random_window,
    "prelu": lambda rng: {"slopes": either(rng, 0, 0, 1, 2, 3), "flags": rng.randint(0, 1)},
    "leaky_relu": random_alpha,
    "elu": random_alpha,
    "zero_pad2d": random_pads,
    "crop2d": random_pads,
    "channel_slice": lambda rng: {"begin": either(rng, 0, 0, 1, 2), "count": rng.randint(1, 3)},
    "upsample2d": lambda rng: {**both_axes(rng, "scale", 1, 2, 3), "bilinear": rng.randint(0, 1)},
}
KINDS = [kind for kind in dict.fromkeys(cge._core.KINDS.values()) if kind not in ("add", "concat")]


def random_optimizer(rng):
    momentum = either(rng, 0.0, 0.0, 0.9, 1e-40, 1 - 2.0**-24)
    return {
        "kind": lib.cge_sgd_address,
        "learning_rate": either(rng, 0.0, 0.05, 0.1, 1e-45, FLOAT32_MAX),
        "momentum": momentum,
        "weight_decay": either(rng, 0.0, -0.0, 1e-4, FLOAT32_MAX),
        "nesterov": momentum > 0 and rng.randint(0, 1),
    }


STRUCTS = {getattr(lib, f"cge_kind_{kind}_address"): LAYERS[kind].config for kind in cge._core.KINDS.values()}


def config_of(layer):
    """A new one with the layer's values; NULL where the kind has none."""
    struct = STRUCTS[layer["kind"]]
    if struct is None:
        return ffi.NULL
    return ffi.new(f"cge_{struct} *", {name: layer[name] for name in members(f"cge_{struct}") if name in layer})


def row_of(layer, config):
    return {**{name: value for name, value in layer.items() if name in (*ROW_MEMBERS, "kind")}, "config": config}


def field(layer, name, otherwise=None):
    """Of a row's config."""
    struct = STRUCTS[layer.kind]
    config = None if struct is None else ffi.cast(f"cge_{struct} *", layer.config)
    return getattr(config, name, otherwise)


class CNetwork:
    """A model, its network and arena, all in C's hands."""

    def __init__(self, layers, model, training):
        self.configs = [config_of(layer) for layer in layers]
        self.layers = ffi.new("cge_layer[]", [row_of(*pair) for pair in zip(layers, self.configs)])
        self.model = ffi.new("cge_model *", dict(model, layers=self.layers, layer_count=len(layers)))
        self.options = ffi.new("cge_options *", {"training": training})
        size = ffi.new("size_t *")
        self.valid = status("network_arena_bytes", self.model, self.options, size) == "CGE_OK" and size[0] <= MOST_ARENA_BYTES
        if self.valid:
            self.arena = ffi.new("uint64_t[]", size[0] // 8 + 1)
            self.c = ffi.new("cge_network *")
            ok("network_init", self.c, self.model, self.options, self.arena, size[0])

    @property
    def params(self):
        return np.frombuffer(ffi.buffer(self.c.params, 4 * self.c.param_elems), np.float32)

    def saved(self):
        size, used = ffi.new("size_t *"), ffi.new("size_t *")
        ok("network_saved_bytes", self.c, size)
        data = ffi.new("unsigned char[]", size[0])
        ok("network_save", self.c, data, size[0], used)
        return bytes(ffi.buffer(data, used[0]))

    def forward(self, x):
        y = np.empty((len(x), self.c.out_elems), np.float32)
        ok("network_forward", self.c, x, len(x), y)
        return y


def random_layer(rng):
    kind = rng.choice(KINDS)
    return {"kind": getattr(lib, f"cge_kind_{kind}_address"), **FIELDS.get(kind, lambda rng: {})(rng)}


def random_network(rng, seed):
    """A valid one that has weights; None if chance did not make one."""
    loss = either(rng, ffi.NULL, lib.cge_softmax_cross_entropy_address, lib.cge_mean_squared_error_address)
    model = {"input": [rng.randint(1, 8), rng.randint(1, 8), rng.randint(1, 6)], "loss": loss}
    if rng.randint(0, 3):
        model["optimizer"] = random_optimizer(rng)
    layers = [random_layer(rng) for _ in range(rng.randint(1, MOST_LAYERS))]
    network = CNetwork(layers, model, training=loss != ffi.NULL and rng.randint(0, 3) > 0)
    if not network.valid:
        return None
    ok("network_init_params", network.c, seed)
    network.c.step_count = rng.getrandbits(40)
    return network


def random_networks(seed):
    rng, made = random.Random(seed), 0
    while made < MODELS // len(SEEDS):
        network = random_network(rng, seed)
        if network is not None:
            made += 1
            yield network


def same_meaning(again, data, network):
    """What Python wrote is the model that C wrote: shapes, costs, loss, optimizer, flags and steps."""
    layers, model = ffi.new("cge_layer[]", MOST_LAYERS), ffi.new("cge_model *")
    configs = ffi.new("cge_layer_config[]", MOST_LAYERS)
    ok("model_parse", c_value(np.frombuffer(again, np.uint8)), len(again), CATALOG, layers, configs, MOST_LAYERS, model)
    assert model.layer_count == network.model.layer_count and model.loss == network.model.loss
    for name in ("kind", "learning_rate", "momentum", "weight_decay", "nesterov"):
        assert getattr(model.optimizer, name) == getattr(network.model.optimizer, name), name
    here, there = ffi.new("cge_layer_info *"), ffi.new("cge_layer_info *")
    for index in range(model.layer_count):
        ok("model_layer_info", model, index, here)
        ok("model_layer_info", network.model, index, there)
        assert bytes(ffi.buffer(here)) == bytes(ffi.buffer(there))
        for name in ("kind", "flags", "init"):
            assert getattr(layers[index], name) == getattr(network.layers[index], name), name
        assert field(layers[index], "alpha") == field(network.layers[index], "alpha")
    return True


@pytest.mark.parametrize("seed", SEEDS)
def test_every_network_that_c_saves_loads_in_python_and_goes_back(seed, rng):
    for network in random_networks(seed):
        data, weights = network.saved(), network.params.copy()
        loaded = cge.Network.from_bytes(data)
        x = rng.normal(size=(2, *loaded.input_shape)).astype(np.float32)
        expected = network.forward(x.reshape(len(x), -1))
        again = loaded.to_bytes()
        assert np.array_equal(loaded.predict(x).reshape(expected.shape), expected, equal_nan=True)
        assert same_meaning(again, data, network) and cge.Network.from_bytes(again).to_bytes() == again
        assert loaded.step_count == network.c.step_count
        ok("network_init_params", network.c, seed + 1)
        ok("network_restore", network.c, c_value(np.frombuffer(again, np.uint8)), len(again))
        assert network.params.tobytes() == weights.tobytes()
        assert network.saved()[:-4] == data[:-4]  # byte for byte, for the model is its own


def test_random_models_use_every_kind_and_default():
    """Otherwise the test above would test less than it says."""
    kinds, zeros = set(), set()
    for network in random_networks(0):
        for layer in network.layers:
            kinds.add(layer.kind)
            zeros |= {name for name in ("stride_h", "dilation_w", "groups") if field(layer, name) == 0}
    assert len(kinds) == len(KINDS) == CATALOG.layer_count - 2 and len(zeros) == 3  # all but those of graphs


# ---- the cases that were found first -----------------------------------------------------------------------------------


def c_network(layer, input_shape=(4, 4, 2), **model):
    network = CNetwork([layer], {"input": input_shape, **model}, training=False)
    assert network.valid
    ok("network_init_params", network.c, 1)
    return network


def test_one_stride_given_and_one_by_default():
    pool = {"kind": lib.cge_kind_maxpool2d_address, "kernel_h": 2, "kernel_w": 3, "stride_w": 1}
    loaded = cge.Network.from_bytes(c_network(pool).saved())
    assert loaded.layers == (cge.MaxPool2d((2, 3), stride=(2, 1)),)
    pool["stride_w"] = 0
    assert cge.Network.from_bytes(c_network(pool).saved()).layers == (cge.MaxPool2d((2, 3)),)


def test_a_network_in_c_restores_what_python_saved_with_the_defaults_written_out():
    """The table on the device leaves stride, dilation and groups at zero; Python writes them as numbers."""
    network = c_network({"kind": lib.cge_kind_conv2d_address, "out_c": 2, "kernel_h": 2, "kernel_w": 2})
    data = cge.Network((4, 4, 2), [cge.Conv2d(2, 2)], seed=5).to_bytes()
    ok("network_restore", network.c, c_value(np.frombuffer(data, np.uint8)), len(data))
    assert network.saved() != data and cge.Network.from_bytes(network.saved()).to_bytes() == data


@pytest.mark.parametrize(
    "field, value", [("stride_h", 2), ("stride_w", 2), ("dilation_h", 2), ("dilation_w", 2), ("groups", 2)]
)
def test_another_number_than_the_default_is_another_network(field, value):
    conv = {"kind": lib.cge_kind_conv2d_address, "out_c": 2, "kernel_h": 2, "kernel_w": 2}
    network = c_network(conv)
    data = np.frombuffer(c_network({**conv, field: value}).saved(), np.uint8)
    assert status("network_restore", network.c, c_value(data), len(data)) == "CGE_ERR_MISMATCH"


def test_an_optimizer_without_a_loss_is_kept_and_does_not_train():
    dense = {"kind": lib.cge_kind_dense_address, "units": 2}
    data = c_network(dense, optimizer={"kind": lib.cge_sgd_address, "learning_rate": 0.5}).saved()
    loaded = cge.Network.from_bytes(data)
    printed = []
    loaded.summary(print_fn=printed.append)
    assert loaded.optimizer == cge.SGD(0.5) and loaded.to_bytes() == data and "loss" not in printed[0]
    with pytest.raises(ValueError, match="make it with a loss"):
        loaded.fit(np.zeros((1, 4, 4, 2)), np.zeros(1, int))
    with pytest.raises(ValueError, match="give the network a loss"):
        cge.Network((4, 4, 2), [cge.Dense(2)], optimizer=cge.SGD(0.5))


def test_a_network_without_memory_of_its_own():
    net = cge.Network((2, 3, 1), [cge.Flatten()])
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3, 1)
    assert np.array_equal(net.predict(x), x.reshape(2, 6))
    assert np.array_equal(cge.Network.from_bytes(net.to_bytes()).predict(x), x.reshape(2, 6))


def test_the_default_capacity_takes_what_capacity_one_takes():
    """Two samples at once would have more than CGE_MAX_ELEMS numbers; one has not. The memory is never touched."""
    default, one = cge.Network((12000, 12000, 1), [cge.ReLU()]), cge.Network((12000, 12000, 1), [cge.ReLU()], capacity=1)
    assert default.inference_arena_bytes == one.inference_arena_bytes


def test_the_largest_rates_load_as_they_were_saved():
    net = cge.Network((2,), [cge.Dense(1)], "mse", cge.SGD(FLOAT32_MAX, momentum=1 - 2.0**-24, weight_decay=FLOAT32_MAX))
    assert cge.Network.from_bytes(net.to_bytes()).to_bytes() == net.to_bytes()
    for too_large in (2.0**128 - 2.0**103, 10**400, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="learning_rate"):
            cge.SGD(too_large)
