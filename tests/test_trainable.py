"""What of a layer learns: trainable=True, False, "bias" or n, at every memory level, in files, plans and firmware."""

import dataclasses
import pickle
import random
import struct
import sys

import chains
import numpy as np
import pytest
from host import ROOT, compile_c, run
from nets import SPECS
from old_files import HEADER, TRAINS, older, sealed
from test_memory import PROGRAM, python_does_the_same
from test_toolchain import boards_build, firmware  # noqa: F401
from test_toolchain import run as emulate

import convgrad_embedded as cge
from convgrad_embedded import _core, _learning, _summary

sys.path.insert(0, str(ROOT / "benchmarks"))
import memory  # noqa: E402

LEVELS = ("fast", "small", "smallest")
PARTS = {  # of the layers with parameters, in turn
    "biases": ["bias"],
    "some": [1, 2, 3],
    "mixed": [False, "bias", 2],
    "last": [False, False, True],
    "biases and last": ["bias", "bias", True],
}


def with_parts(layers, infos, parts):
    """The layers with these values of trainable as far as they are possible there; else they are trained wholly."""
    changed, turn = [], 0
    for layer, info in zip(layers, infos):
        if info.param_elems > 0:
            part = parts[turn % len(parts)]
            turn += 1
            if part == "bias" and not getattr(layer, "use_bias", False):
                part = False
            if not isinstance(part, (bool, str)) and layer.kind not in ("conv2d", "dense"):
                part = True
            if not isinstance(part, (bool, str)):  # 1 is not True
                inputs = info.weight_shape[-2]
                part = inputs if getattr(layer, "groups", 1) > 1 else min(int(part), inputs)
            layer = dataclasses.replace(layer, trainable=part)
        changed.append(layer)
    return changed


def network(name, parts, **options):
    spec = SPECS[name]
    whole = spec.network()
    layers = with_parts(whole.layers, whole.layer_infos, PARTS[parts])
    return cge.Network(spec.input_shape, layers, spec.loss, whole.optimizer, seed=1, **options)


def masks(net):
    """For each array of get_weights: which of its elements learn. By another rule than the package's."""
    found = []
    for layer, info in zip(net.layers, net.layer_infos):
        for is_weight, shape in zip((True, False), info.parameter_shapes):
            mask = np.full(shape, layer.trainable is not False)
            if is_weight and layer.trainable is not True:
                mask[...] = False
                if layer.trainable not in (False, "bias"):
                    mask[..., : layer.trainable, :] = True
            found.append(mask)
    return found


# ---- learning --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", SPECS)
def test_what_learns_follows_the_reference_and_the_rest_keeps_its_bits(name, parts, level, rng):
    spec, net = SPECS[name], network(name, parts, memory=level)
    samples = 1 if level == "smallest" else 3
    start, which = net.get_weights(), masks(net)
    weights = [array.astype(np.float64) for array in start]
    velocities = [np.zeros_like(array) for array in weights]
    o = {key: float(np.float32(value)) for key, value in dataclasses.asdict(net.optimizer).items()}
    for _ in range(3):
        x, y = spec.data(samples, rng)
        _, gradients = spec.reference(weights).gradients(x, y)
        for w, v, gradient, mask in zip(weights, velocities, gradients, which):
            g = gradient + o["weight_decay"] * w
            v[...] = o["momentum"] * v + g
            w -= np.where(mask, o["learning_rate"] * (g + o["momentum"] * v if o["nesterov"] else v), 0)
        net.train_on_batch(x, y)
    for before, after, expected, mask in zip(start, net.get_weights(), weights, which):
        assert np.array_equal(before[~mask].view(np.uint32), after[~mask].view(np.uint32))
        np.testing.assert_allclose(after, expected, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", SPECS)
def test_gradients_equal_central_differences(name, parts, rng):
    net = network(name, parts)
    if not any(mask.any() for mask in masks(net)):
        with pytest.raises(ValueError, match="expected a network with trainable parameters"):
            net.gradcheck(*SPECS[name].data(2, rng))
        return
    result = net.gradcheck(*SPECS[name].data(2, rng))
    assert result.checked == sum(int(mask.sum()) for mask in masks(net)) > 0


def partly_trained(seed):
    """A random chain whose layers train in part."""
    arguments, x, y = chains.random_chain(seed)
    shape, layers, loss, optimizer, own_seed = arguments
    draw = random.Random(1000 + seed)
    parts = [draw.choice([True, False, "bias", 1, 2, 5, 40]) for _ in layers]
    infos = cge.Network(*arguments).layer_infos
    return (shape, with_parts(layers, infos, parts), loss, optimizer, own_seed), x, y


@pytest.mark.parametrize("seed", range(100))
def test_random_chains_learn_the_same_bits_at_every_level(seed):
    chain = partly_trained(seed)
    expected = chains.life(chain, "fast", 1)
    assert chains.life(chain, "small", 1) == expected
    assert chains.life(chain, "smallest", 1) == expected
    assert chains.life(chain, "small", 4) == chains.life(chain, "fast", 4)


@pytest.mark.parametrize("parts", PARTS)
def test_neither_threads_nor_capacity_change_a_bit(parts, rng):
    x, y = SPECS["camera"].data(24, rng)
    hashes = set()
    for options in ({"capacity": 1}, {"capacity": 7}, {"threads": 3}):
        net = network("camera", parts, **options)
        net.fit(x, y, epochs=2, batch_size=12, verbose=False)
        hashes.add(net.weights_hash())
    assert len(hashes) == 1


# ---- memory -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", SPECS)
def test_gradients_and_velocities_are_of_what_learns_alone(name, parts):
    net = network(name, parts)
    learning = sum(int(mask.sum()) for mask in masks(net))
    assert net._runtime.grads.size == learning
    assert learning == sum(_learning.learned_elems(*pair) for pair in zip(net.layers, net.layer_infos))
    saved = struct.unpack_from("<I", net.to_bytes(), 64)[0]
    assert saved == (learning if net.optimizer.momentum > 0 else 0)


GOALS = {"demo": 1600, "the same on 28x28": 12288, "LeNet-5-like": 7600}


@pytest.mark.parametrize("name", GOALS)
def test_biases_learn_in_little_more_than_prediction_takes(name):
    """Weights in flash, winners in bits: neither x nor gradients of weights exist."""
    shape, layers = memory.NETWORKS[name]
    layers = [dataclasses.replace(layer, trainable="bias") if hasattr(layer, "trainable") else layer for layer in layers]
    net = cge.Network(shape, layers, "softmax_cross_entropy", cge.SGD(0.05), memory="smallest", frozen_in="flash")
    assert net.peak_bytes == net.bound_bytes
    assert net.inference_arena_bytes < net.arena_bytes <= GOALS[name]


@pytest.mark.parametrize("level", LEVELS[1:])
def test_the_first_layer_that_trains_its_biases_keeps_no_input(level):
    def planned(part):
        layers = [
            cge.Conv2d(4, 3, padding=1, trainable=False),
            cge.ReLU(),
            cge.MaxPool2d(2),  # so that the two do not learn by rows
            cge.Conv2d(1, 3, padding=1, trainable=part),
            cge.Dense(3),
        ]
        net = cge.Network((16, 16, 1), layers, "softmax_cross_entropy", cge.SGD(0.1), memory=level)
        plan = net._model.plan(level, training=True)
        return plan.tensors[plan.units[0].y]

    forward, backward = 1, 5  # of the second of three units
    assert (planned("bias").last, planned(True).last) == (forward, backward)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("parts", PARTS)
def test_what_does_not_learn_may_stay_in_flash(parts, level):
    ram, flash = (network("digits", parts, memory=level, frozen_in=place) for place in ("ram", "flash"))
    held = 0
    for layer, info in zip(flash.layers, flash.layer_infos):
        learning = _learning.learned_elems(layer, info)
        some_weights = learning > info.bias_elems
        held += info.param_elems if some_weights and (layer.kind == "conv2d" or level == "fast") else learning
    assert ram.arena_bytes - flash.arena_bytes == 4 * (ram.param_count - held)
    assert (ram.peak_bytes, ram.bound_bytes) == (flash.peak_bytes, flash.bound_bytes)


# ---- descriptions and files -------------------------------------------------------------------------------------------------


def test_trainable_replaces_frozen():
    assert cge.Conv2d(8, 3, frozen=True) == cge.Conv2d(8, 3, trainable=False)
    assert cge.Conv2d(8, 3, frozen=False) == cge.Conv2d(8, 3) == cge.Conv2d(8, 3, trainable=True, frozen=False)
    assert cge.Dense(3, trainable="bias", frozen=False).trainable == "bias"
    assert cge.Dense(3, trainable=False).frozen and not cge.Dense(3, trainable="bias").frozen
    assert repr(cge.Dense(3, trainable=False)) == "Dense(3, trainable=False)"


def test_one_input_is_not_all_of_them():
    one, whole = cge.Dense(3, trainable=1), cge.Dense(3)
    assert one != whole and len({one, whole}) == 2 and repr(one) == "Dense(3, trainable=1)"
    assert one == pickle.loads(pickle.dumps(one)) == dataclasses.replace(one) == cge.Dense(3, trainable=np.int64(1))
    assert type(cge.Dense(3, trainable=np.True_).trainable) is bool


MESSAGES = {
    "both": (lambda: cge.Conv2d(8, 3, frozen=True, trainable="bias"), ValueError, "frozen=True"),
    "both, the other way": (lambda: cge.Dense(8, frozen=False, trainable=False), ValueError, "trainable=False"),
    "a word": (lambda: cge.Dense(8, trainable="weights"), ValueError, 'True, False, "bias" or a number of input channels'),
    "none": (lambda: cge.Dense(8, trainable=0), ValueError, "at least 1, got 0"),
    "negative": (lambda: cge.Dense(8, trainable=-1), ValueError, "at least 1, got -1"),
    "a float": (lambda: cge.Dense(8, trainable=1.5), TypeError, "float 1.5"),
    "None": (lambda: cge.Conv2d(8, 3, trainable=None), TypeError, "trainable"),
    "no bias": (lambda: cge.Dense(8, use_bias=False, trainable="bias"), ValueError, "use_bias=False"),
    "too many channels": (
        lambda: cge.Network((4, 4, 3), [cge.Conv2d(8, 3, trainable=4)]),
        ValueError,
        "layers[0] Conv2d(8, 3, trainable=4) on input (4, 4, 3): trainable: expected at most 3",
    ),
    "too many inputs": (lambda: cge.Network((5,), [cge.Dense(2, trainable=6)]), ValueError, "expected at most 5"),
    "groups": (
        lambda: cge.Network((4, 4, 4), [cge.Conv2d(4, 3, groups=2, trainable=1)]),
        ValueError,
        "expected all 2 input channels of each of 2 groups, got 1",
    ),
    "elsewhere": (lambda: cge.Network((5,), [cge.Dense(2)], frozen_in="rom"), ValueError, "frozen_in: expected one of 'ram'"),
    "a plan elsewhere": (
        lambda: cge.Network((5,), [cge.Dense(2)], "mse", cge.SGD(0.1)).plan(1000, frozen_in="rom"),
        ValueError,
        "frozen_in: expected one of 'ram', 'flash', got 'rom'",
    ),
}


@pytest.mark.parametrize("call, kind, part", MESSAGES.values(), ids=MESSAGES)
def test_messages(call, kind, part):
    with pytest.raises(kind) as error:
        call()
    assert part in str(error.value)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", SPECS)
def test_files_hold_what_learns(name, parts, level, rng, tmp_path):
    net = network(name, parts, memory=level)
    x, y = SPECS[name].data(4, rng)
    net.fit(x, y, epochs=1, batch_size=1, verbose=False)
    net.save(tmp_path / "net.cge")
    again = cge.Network.load(tmp_path / "net.cge", memory=level)
    assert trainables(again) == trainables(net) and again.to_bytes() == net.to_bytes()
    for each in (net, again):
        each.fit(x, y, epochs=1, batch_size=1, verbose=False)
    assert again.weights_hash() == net.weights_hash()


def trainables(net):
    return [repr(getattr(layer, "trainable", None)) for layer in net.layers]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("parts", ["all", "last"])
def test_files_of_older_versions_load(version, parts, rng):
    net = SPECS["digits"].network() if parts == "all" else network("digits", parts)
    net.fit(*SPECS["digits"].data(4, rng), batch_size=2, verbose=False)
    again = cge.Network.from_bytes(older(net.to_bytes(), version))
    assert again.layers == net.layers and again.weights_hash() == net.weights_hash()
    if version > 1:
        assert again.to_bytes() == net.to_bytes()


@pytest.mark.parametrize("word", [2**32 - 2, 2**31, 2**31 - 1, 17])
def test_a_file_whose_layers_cannot_train_so_is_refused(word):
    data = cge.Network((16,), [cge.Dense(2)], "mse", cge.SGD(0.1)).to_bytes()
    trains = HEADER + TRAINS
    body = data[:trains] + struct.pack("<I", word) + data[trains + 4 : -4]
    with pytest.raises(ValueError):
        cge.Network.from_bytes(sealed(body))


def test_a_summary_counts_what_learns():
    layers = [cge.Conv2d(4, 3, trainable="bias"), cge.Conv2d(8, 3, trainable=1), cge.Dense(5, trainable=10)]
    net = cge.Network((9, 9, 2), layers, "softmax_cross_entropy", cge.SGD(0.1))
    macs = [info.macs for info in net.layer_infos]
    assert _summary.backward_macs(net) == [0, macs[1] // 4 + macs[1], 10 * 5 + macs[2]]
    text = cge.Network((9, 9, 2), layers, "softmax_cross_entropy", cge.SGD(0.1), frozen_in="flash").summary(print_fn=None)
    assert "bytes (weights that do not learn in flash)" in text


# ---- plans -------------------------------------------------------------------------------------------------------------------


def test_a_network_follows_a_plan_of_parts(rng):
    net = memory_net(cge.SGD(0.05))
    plan = net.plan(37_888, frozen_in="flash")
    assert (plan.trainable, plan.parts[:2], plan.frozen_in) == ((0, 3, 6), (True, True), "flash")
    assert 784 / 4 <= plan.parts[2] < 784 and plan.arena_bytes <= 37_888
    fitting = cge.Network(net.input_shape, net.layers, net.loss, net.optimizer, plan=plan)
    assert fitting.arena_bytes == plan.arena_bytes and fitting.frozen_in == "flash"
    assert f"first {plan.parts[2]} of 784 inputs" in plan.explain() and "read from flash" in plan.explain()
    before = fitting.get_weights()[4]
    fitting.train_on_batch(rng.normal(size=(1, 28, 28, 1)), [3])
    changed = (fitting.get_weights()[4] != before).any(1)
    assert changed[: plan.parts[2]].any() and not changed[plan.parts[2] :].any()


def test_momentum_is_what_a_plan_gives_up_before_layers():
    net = memory_net(cge.SGD(0.05, momentum=0.9, nesterov=True))
    plan = net.plan(60_000)
    assert plan.optimizer == cge.SGD(0.05) and plan.parts == (True, True, True)
    assert "since momentum does not fit" in plan.explain()
    fitting = cge.Network(net.input_shape, net.layers, net.loss, net.optimizer, plan=plan)
    assert fitting.optimizer == cge.SGD(0.05) and fitting.arena_bytes == plan.arena_bytes
    assert net.plan(90_000).optimizer == net.optimizer


def memory_net(optimizer):
    shape, layers = memory.NETWORKS["the same on 28x28"]
    return cge.Network(shape, layers, "softmax_cross_entropy", optimizer)


def test_a_plan_for_many_layers():
    layers = [cge.Conv2d(4, 3, padding=1) for _ in range(30)]
    net = cge.Network((6, 6, 1), [*layers, cge.Dense(3)], "softmax_cross_entropy", cge.SGD(0.1, momentum=0.9))
    plan = net.plan(1, frozen_in="flash")
    assert plan.missing_bytes == plan.arena_bytes - 1 and plan.optimizer.momentum == 0
    assert net.plan(plan.arena_bytes, frozen_in="flash").missing_bytes == 0


# ---- firmware ---------------------------------------------------------------------------------------------------------------

FLASH_PROGRAM = PROGRAM.replace("training.training = 1;", "training.training = 1;\n    training.params = net_params;").replace(
    "    memcpy(net.params, net_params, NET_PARAM_ELEMS * sizeof(cge_real));\n", ""
)


def without_plans(program):
    lines = program.replace("training.plan = &net_inference_plan;", "training.capacity = -1;").splitlines(keepends=True)
    return "".join(line for line in lines if "_plan;" not in line)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("name", ["digits", "camera", "perceptron"])
def test_exported_network_trains_with_the_rest_in_flash(name, parts, level, tmp_path, core_archive):
    net = network(name, parts, memory=level, frozen_in="flash")
    header = net.export(tmp_path, name="net")[0].read_text()
    assert " *     options.params = net_params; // what learns is copied from there" in header and "memcpy" not in header
    source = without_plans(FLASH_PROGRAM) if level == "fast" else FLASH_PROGRAM
    program = compile_c(tmp_path, source, core_archive, "-I", tmp_path, tmp_path / "net.c")
    assert run([program]) == python_does_the_same(net)


def test_an_emulated_board_trains_with_the_rest_in_flash(firmware, tmp_path):  # noqa: F811
    net = network("digits", "mixed", memory="smallest", frozen_in="flash")
    net.export(tmp_path / "app", name="net")
    status, printed = emulate(firmware("netduinoplus2", FLASH_PROGRAM), "netduinoplus2")
    assert (status, printed.replace("\r", "")) == (0, python_does_the_same(net))


def test_constants_are_the_headers():
    assert (_core.TRAINS_ALL, _core.TRAINS_BIAS) == (0, -1)


def test_the_page_shows_what_learning_in_part_takes(capsys):
    table = memory.parts_table()
    assert table in (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    memory.main(["--parts"])
    assert capsys.readouterr().out == table
    assert "| the same on 28x28 | smallest | 11,540 |" in table
