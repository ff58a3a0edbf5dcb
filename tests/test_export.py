"""Exported C: compiles with the strict flags, and on the host gives the bits that Python gives."""

import subprocess

import numpy as np
import pytest
from capi import same_bits
from host import ROOT, STRICT, compiler, run
from nets import SPECS, trained

import convgrad_embedded as cge
from convgrad_embedded import _export

PROGRAM = r"""
#include "cge.h"
#include "net.h"
#include <stdio.h>
#include <string.h>

#ifndef LABELS
#define LABELS 1
#endif
#define COUNT 6
static uint64_t training_arena[(NET_TRAINING_ARENA_BYTES + 7) / 8], inference_arena[(NET_INFERENCE_ARENA_BYTES + 7) / 8];
static float x[COUNT * NET_INPUT_ELEMS], y[COUNT * NET_OUTPUT_ELEMS];
static int32_t labels[COUNT];

#define NEED(condition) do { if (!(condition)) return __LINE__ % 250 + 1; } while (0)

/* stdin: samples, then labels or values. stdout: the outputs by inference from flash, then the weights after training. */
int main(void)
{
    cge_options training = {.training = 1}, inference = {.training = 0};
    cge_targets targets = {NULL, NULL, NULL};
    cge_network net;
    uint64_t hash;
    float loss;
    size_t bytes;
    int step;
    inference.params = net_params;
#ifdef CAPACITY
    training.capacity = CAPACITY;
    training.plan = &net_training_plan;
    inference.plan = &net_inference_plan;
#endif
    NEED(fread(x, sizeof x, 1, stdin) == 1);
    NEED(cge_network_arena_bytes(&net_model, &inference, &bytes) == CGE_OK && bytes == NET_INFERENCE_ARENA_BYTES);
    NEED(cge_network_init(&net, &net_model, &inference, inference_arena, NET_INFERENCE_ARENA_BYTES) == CGE_OK);
    NEED(cge_network_params_hash(&net, &hash) == CGE_OK && hash == NET_PARAMS_HASH);
    NEED(net.param_elems == NET_PARAM_ELEMS && net_model.layer_count == NET_LAYER_COUNT);
    NEED(net.in_elems == NET_INPUT_ELEMS && net.out_elems == NET_OUTPUT_ELEMS);
    NEED(cge_network_forward(&net, x, COUNT, y) == CGE_OK && fwrite(y, sizeof y, 1, stdout) == 1);

    NEED(LABELS ? fread(labels, sizeof labels, 1, stdin) == 1 : fread(y, sizeof y, 1, stdin) == 1);
    if (LABELS) targets.labels = labels; else targets.values = y;
    NEED(cge_network_arena_bytes(&net_model, &training, &bytes) == CGE_OK && bytes == NET_TRAINING_ARENA_BYTES);
    NEED(cge_network_init(&net, &net_model, &training, training_arena, NET_TRAINING_ARENA_BYTES) == CGE_OK);
    memcpy(net.params, net_params, sizeof net_params);
    for (step = 0; step < 5; step++) NEED(cge_network_train_batch(&net, x, &targets, COUNT, &loss) == CGE_OK);
    NEED(fwrite(net.params, sizeof net_params, 1, stdout) == 1 && fwrite(&loss, sizeof loss, 1, stdout) == 1);
    return 0;
}
"""


def build(directory, archive, *flags, include=ROOT / "csrc" / "include"):
    (directory / "main.c").write_text(PROGRAM)
    command = [
        compiler(),
        *STRICT,
        "-O2",
        "-I",
        include,
        "-I",
        directory,
        *flags,
        directory / "main.c",
        directory / "net.c",
        archive,
        "-o",
        directory / "program",
    ]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_exported_network_predicts_and_trains_the_same_bits(spec, rng, tmp_path, core_archive):
    net, (x, y) = trained(spec, rng), spec.data(6, rng)
    assert sorted(net.export(tmp_path, name="net")) == [tmp_path / "net.c", tmp_path / "net.h"]
    labels = spec.loss == "softmax_cross_entropy"
    built = build(tmp_path, core_archive, f"-DLABELS={labels:d}")
    assert built.returncode == 0, built.stderr
    data = x.tobytes() + (y.astype(np.int32) if labels else y).tobytes()
    done = subprocess.run([tmp_path / "program"], input=data, stdout=subprocess.PIPE)
    assert done.returncode == 0, f"a check in the program failed, near line {done.returncode - 1} of it"
    numbers = np.frombuffer(done.stdout, np.float32)

    outputs = net.predict(x).ravel()
    assert same_bits(numbers[: outputs.size], outputs)
    twin = spec.network()  # the export holds no velocity: training there begins with none
    twin.set_weights(net.get_weights())
    for _ in range(5):
        loss = twin.train_on_batch(x, y)
    assert same_bits(numbers[outputs.size : -1], np.concatenate([w.ravel() for w in twin.get_weights()]))
    assert numbers[-1] == np.float32(loss)


def test_every_float_survives(rng, tmp_path, core_archive):
    """Weights as C constants: subnormals, both zeros, the largest and random bits."""
    net = SPECS["digits"].network()
    weights = net.get_weights()
    bits = rng.integers(0, 1 << 32, weights[4].size, dtype=np.uint64).astype(np.uint32)
    values = bits.view(np.float32).reshape(weights[4].shape).copy()
    values[~np.isfinite(values)] = 0
    special = [0.0, -0.0, 2.0**-149, -(2.0**-149), 2.0**-126, 3.4028235e38, -3.4028235e38, 1 / 3, 1e-40, 1.0, -16.0]
    values.flat[: len(special)] = np.float32(special)
    net.set_weights([*weights[:4], values, weights[5]])
    net.export(tmp_path, name="net")
    assert build(tmp_path, core_archive).returncode == 0
    x, y = SPECS["digits"].data(6, rng)
    # The program compares the hash of the constants with NET_PARAMS_HASH before anything else can go wrong.
    done = subprocess.run([tmp_path / "program"], input=x.tobytes() + y.astype(np.int32).tobytes(), stdout=subprocess.PIPE)
    assert same_bits(np.frombuffer(done.stdout[:240], np.float32), net.predict(x).ravel())
    assert net.weights_hash() in (tmp_path / "net.h").read_text()


def test_another_version_of_the_library_refuses_to_compile(tmp_path, core_archive):
    SPECS["one_layer"].network().export(tmp_path, name="net")
    assert build(tmp_path, core_archive).returncode == 0
    other = tmp_path / "include"
    other.mkdir()
    header = (ROOT / "csrc" / "include" / "cge.h").read_text()
    assert header.count("#define CGE_EXPORT_VERSION 3") == 1
    (other / "cge.h").write_text(header.replace("#define CGE_EXPORT_VERSION 3", "#define CGE_EXPORT_VERSION 4"))
    built = build(tmp_path, core_archive, include=other)
    assert built.returncode != 0 and "export the network again" in built.stderr


def test_several_networks_in_one_firmware(tmp_path, core_archive, rng):
    for name, spec in (("first", SPECS["digits"]), ("second", SPECS["perceptron"])):
        trained(spec, rng).export(tmp_path, name=name)
    (tmp_path / "main.c").write_text(
        '#include "first.h"\n#include "second.h"\n'
        "int main(void) { return first_model.layer_count == 7 && second_model.layer_count == 5 ? 0 : 1; }\n"
    )
    run(
        [
            compiler(),
            *STRICT,
            "-I",
            ROOT / "csrc" / "include",
            *sorted(tmp_path.glob("*.c")),
            core_archive,
            "-o",
            tmp_path / "both",
        ]
    )
    run([tmp_path / "both"])


def test_the_directory_is_made_and_files_are_replaced(tmp_path, rng):
    spec = SPECS["one_layer"]
    net = spec.network()
    header, source = sorted(net.export(tmp_path / "a" / "b"), reverse=True)
    first = source.read_text()
    assert (header.name, source.name) == ("network.h", "network.c") and header.parent == tmp_path / "a" / "b"
    net.train_on_batch(*spec.data(2, rng))
    net.export(str(tmp_path / "a" / "b"))
    assert source.read_text() != first


def test_an_export_is_reproducible(tmp_path):
    for directory in ("a", "b"):
        SPECS["camera"].network(seed=7).export(tmp_path / directory)
    for name in ("network.c", "network.h"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()
        assert str(tmp_path) not in (tmp_path / "a" / name).read_text()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_exported(value, tmp_path):
    net = SPECS["one_layer"].network()
    net.set_weights([np.full((16, 3), value, np.float32), np.zeros(3, np.float32)])
    with pytest.raises(ValueError, match="finite"):
        net.export(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layers", [[cge.Conv2d(2, 3), cge.ReLU()], [cge.ReLU()]], ids=["convolution", "no parameters"])
def test_a_network_for_inference_only(layers, tmp_path, core_archive):
    cge.Network((4, 4, 1), layers).export(tmp_path, name="net")
    (tmp_path / "main.c").write_text(r"""
#include "net.h"
int main(void)
{
    static uint64_t arena[(NET_INFERENCE_ARENA_BYTES + 7) / 8];
    cge_options options = {.params = net_params};
    static const float x[NET_INPUT_ELEMS];
    float y[NET_OUTPUT_ELEMS];
    cge_network net;
    if (cge_network_init(&net, &net_model, &options, arena, sizeof arena) != CGE_OK) return 1;
    return cge_network_forward(&net, x, 1, y) == CGE_OK && y[0] == 0 ? 0 : 2;
}
""")
    run(
        [
            compiler(),
            *STRICT,
            "-I",
            ROOT / "csrc" / "include",
            tmp_path / "main.c",
            tmp_path / "net.c",
            core_archive,
            "-o",
            tmp_path / "program",
        ]
    )
    run([tmp_path / "program"])


def test_the_rule_for_time_counts_what_learns():
    """The macro's two numbers, from the layers: all multiply-adds forward, those of gradients where something learns."""
    options = {"padding": 1, "frozen": True}
    layers = [cge.Conv2d(8, 3, **options), cge.MaxPool2d(2), cge.Conv2d(16, 3, **options), cge.MaxPool2d(2), cge.Dense(10)]
    macs = 8 * 9 * 64 + 16 * 8 * 9 * 16 + 64 * 10
    text = _export._step_time(cge.Network((8, 8, 1), layers, "softmax_cross_entropy", cge.SGD(0.1)), "x")
    assert f"X_STEP_MACS {macs + 64 * 10} " in text and "X_TRAINED_ELEMS 650 " in text


def test_layers_with_equal_configs_share_one(tmp_path):
    layers = [cge.Conv2d(2, 3, padding=1), cge.MaxPool2d(2), cge.Conv2d(2, 3, padding=1), cge.MaxPool2d(2), cge.LeakyReLU(0.25)]
    cge.Network((8, 8, 2), layers).export(tmp_path, name="net")
    text = (tmp_path / "net.c").read_text()
    assert [text.count(f"&net_{name}") for name in ("conv2d_0", "pool2d_1", "leaky_relu_4")] == [2, 2, 1]
    assert "static const cge_leaky_relu net_leaky_relu_4 = {.alpha = 0x1p-2f};" in text


@pytest.mark.parametrize("member", [".units = 3", ".kernel_h = 3", ".alpha = 0.5f"])
def test_a_row_of_the_old_form_does_not_compile(member, tmp_path):
    """Its fields are the config's now; CHANGELOG.md says how to convert a table."""
    source = tmp_path / "table.c"
    command = [compiler(), *STRICT, "-I", ROOT / "csrc" / "include", "-c", source, "-o", tmp_path / "table.o"]
    for extra, compiles in (("", True), (f", {member}", False)):
        declared = '#include "cge.h"\nextern const cge_layer row;\nconst cge_layer row = '
        source.write_text(f"{declared}{{.kind = &cge_kind_dense{extra}}};\n")
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert (done.returncode == 0) == compiles, done.stderr
