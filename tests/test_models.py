"""Published networks: their parameters are those that were published, and their structure is what their names say."""

import json

import numpy as np
import pytest
from host import ROOT

import convgrad_embedded as cge
from convgrad_embedded import _model_costs, cli

models = cge.models

# Parameters without norms, with their four numbers a channel as Keras counts them (weight, bias, running mean and variance),
# and with the two that learn. Convolutions keep their biases in front of norms where the reference model does.
PARAMETERS = {
    "resnet8": (77_706, 78_666, 78_186),
    "ds_cnn": (22_604, 24_908, 23_756),
    "mobilenet_v1": (210_850, 221_794, 216_322),
    "autoencoder": (265_864, 269_992, 267_928),
    "mobilenet_v2": (245_578, 262_858, 251_338),
    "frontnet": (303_876, 305_316, 304_356),
    "lenet5": (61_706, 61_794, 61_750),
    "net_n": (9_098, 9_194, 9_146),
}
MACS = {"resnet8": 12_501_632, "ds_cnn": 2_656_768, "mobilenet_v1": 7_489_664, "autoencoder": 264_192, "lenet5": 416_520}
NORMS = (None, "batch", "group")


def test_every_model_is_here():
    assert list(PARAMETERS) == models.__all__


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_that_were_published(name):
    counts = tuple(getattr(models, name)(norm, loss=None).param_count for norm in NORMS)
    assert counts == PARAMETERS[name]


def test_the_small_frontnet_has_a_quarter_of_the_parameters():
    assert tuple(models.frontnet(norm, width=16).param_count for norm in NORMS) == (78_212, 78_932, 78_452)


def test_the_page_shows_these_parameters():
    page = (ROOT / "docs" / "api" / "models.md").read_text(encoding="utf-8")
    rows = [f"{plain:,} | {batch:,} | {group:,} | {group:,} |" for plain, batch, group in PARAMETERS.values()]
    assert all(row in page for row in [*rows, "78,212 | 78,932 | 78,452 | 78,452 |"])


@pytest.mark.parametrize("name", MACS)
def test_multiply_adds_are_those_that_were_published(name):
    assert sum(info.macs for info in getattr(models, name)().layer_infos) == MACS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_makes_a_step_with_group_norms_and_folds_without_batch_norms(name, rng):
    make = getattr(models, name)
    net = make("group", optimizer=cge.SGD(1e-4), seed=3, memory="small")
    x = rng.normal(size=(1, *net.input_shape)).astype(np.float32)
    y = np.zeros(1, np.int32) if net.loss == "softmax_cross_entropy" else np.zeros((1, *net.output_shape), np.float32)
    assert net.weights_hash() == make("group", seed=3).weights_hash() != make("group", seed=4).weights_hash()
    before = net.train_on_batch(x, y)
    assert net.train_on_batch(x, y) < before
    whole = make("batch", loss=None, seed=3)
    folded = whole.fold()
    plain = make(loss=None)
    assert [type(layer) for layer in folded.layers] == [type(layer) for layer in plain.layers]
    assert folded.param_count == plain.param_count and folded.sources == plain.sources
    np.testing.assert_allclose(folded.predict(x), whole.predict(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("width, groups", [(8, 1), (24, 3), (6, 1), (20, 1), (25, 1)])
def test_groups_have_8_channels_where_that_divides_them(width, groups):
    assert models.frontnet("group", width=width).layers[1] == cge.GroupNorm(groups)


# The bounds of their gradients are beyond 2^64 from the first weights on.
DEEP = {
    "MobileNetV1": lambda **options: models.mobilenet_v1(input_shape=(32, 32, 3), **options),
    "MobileNetV2": lambda **options: models.mobilenet_v2(input_shape=(32, 32, 3), **options),
    "ResNet-8, group norm": lambda **options: models.resnet8("group", input_shape=(16, 16, 3), **options),
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("optimizer", [cge.SGD(1e-3, momentum=0.9), cge.Adam(1e-3)], ids=["SGD", "Adam"])
def test_deep_networks_learn_at_level_smallest(name, optimizer, rng):
    nets = [DEEP[name](memory=memory, optimizer=optimizer, seed=1) for memory in ("small", "smallest", "smallest_sliced")]
    for step in range(10):
        x = rng.normal(size=(1, *nets[0].input_shape)).astype(np.float32)
        assert len({net.train_on_batch(x, [step % 2]) for net in nets}) == 1
        assert len({net.weights_hash() for net in nets}) == 1


@pytest.mark.parametrize("name", DEEP)
def test_deep_networks_refuse_a_step_of_which_only_the_first_gradient_overflows(name, rng):
    for memory in ("small", "smallest", "smallest_sliced"):
        net = DEEP[name](memory=memory, optimizer=cge.SGD(1e-3, momentum=0.9), seed=1)
        x, grown = rng.normal(size=(1, *net.input_shape)).astype(np.float32), np.float32(2.0**80)
        weights = net.get_weights()
        net.set_weights([weights[0] / grown, *weights[1:-2], weights[-2] * grown, weights[-1]])
        before = net.to_bytes()
        with pytest.raises(cge.NotFiniteError):
            net.train_on_batch(x * grown, [int(np.argmin(net.predict(x * grown)))])
        assert net.to_bytes() == before


def test_skips_lead_around_two_convolutions():
    assert models.resnet8().sources[4:7] == ((3,), (4, 1), (5,))
    net = models.mobilenet_v2()
    added = [sources for layer, sources in zip(net.layers, net.sources) if layer == cge.Add()]
    assert len(added) == 10 and all(main - skip in (5, 8) for main, skip in added)


def test_arguments_of_networks_are_taken():
    net = models.lenet5(classes=3, loss="huber", optimizer=cge.Adam(0.002), memory="small", input_scale=1 / 256)
    assert (net.output_shape, net.loss, net.memory, net.input_scale) == ((3,), "huber", "small", 1 / 256)
    assert net.optimizer == cge.Adam(0.002)
    assert models.net_n(input_shape=(8, 8, 3)).input_shape == (8, 8, 3)
    assert models.ds_cnn().optimizer == cge.SGD(0.01) and models.frontnet().loss == "mean_squared_error"
    assert models.net_n(loss=None).optimizer is None


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: models.resnet8("layer"), ValueError, "norm: expected"),
        (lambda: models.net_n(classes=0), ValueError, "classes: expected at least 1, got 0"),
        (lambda: models.frontnet(width=2.5), TypeError, "width: expected an integer"),
        (lambda: models.ds_cnn(memroy="small"), TypeError, "there is no argument memroy; did you mean memory?"),
        (lambda: models.net_n(optimizer=cge.SGD(0.1), loss=None), ValueError, "optimizer: expected None"),
    ],
)
def test_what_is_wrong_is_named(call, error, text):
    with pytest.raises(error, match=text.replace("?", r"\?")):
        call()


# ---- what they cost ----------------------------------------------------------------------------------------------------


def test_the_readme_shows_what_the_command_prints(capsys):
    assert cli.main(["models"]) == 0
    assert f"\n\n{capsys.readouterr().out}\n" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_command_tells_programs_the_same(capsys):
    assert cli.main(["models", "--json"]) == 0
    told = {row["network"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert list(told) == [row.network for row in _model_costs.costs()]
    net = models.lenet5(memory="small", frozen_in="flash")
    head = models.lenet5(memory="small", frozen_in="flash").freeze(upto=-2)
    row = told["LeNet-5"]
    assert (row["train_all_bytes"], row["predict_bytes"]) == (net.arena_bytes, net.inference_arena_bytes)
    assert row["train_last_layer_bytes"] == head.arena_bytes < net.arena_bytes
    assert [layer for layer in head.layers if getattr(layer, "trainable", False)] == [cge.Dense(10)]


def test_instructions_of_slices_are_counted_as_in_c():
    header = (ROOT / "csrc" / "include" / "cge.h").read_text(encoding="utf-8")
    assert "#define CGE_SLICE_INSTRUCTIONS(macs) (11 * (int64_t)(macs) / 5)" in header
    row = _model_costs.costs()[0]
    assert row.largest_slice_with_fpu == 11 * row.largest_slice_macs // 5
