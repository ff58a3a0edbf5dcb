"""Networks of several outputs, each with a loss of its own: against a float64 reference, central differences and PyTorch."""

import copy
import pickle
import subprocess

import numpy as np
import pytest
import reference
from host import ROOT, STRICT, compiler, run

import convgrad_embedded as cge

LOSSES = ["softmax_cross_entropy", cge.Huber(delta=0.5), "binary_cross_entropy"]
WEIGHTS = [1.0, 0.3, 2.5]


def graph():
    """A drone's: which of three, where (2 numbers), and a map of 2 x 2 questions."""
    x = cge.Input((6, 6, 1))
    shared = cge.ReLU()(cge.Conv2d(3, 3)(x))
    features = cge.Tanh()(cge.Dense(7)(shared))
    return x, [cge.Dense(3)(features), cge.Tanh()(cge.Dense(2)(features)), cge.Conv2d(1, 3)(shared)]


def heads(optimizer=None, loss=LOSSES, loss_weights=WEIGHTS, seed=1, **options):
    x, outputs = graph()
    return cge.Network(
        inputs=x, outputs=outputs, loss=loss, loss_weights=loss_weights, optimizer=optimizer, seed=seed, **options
    )


def data(count=12, seed=0):
    rng = np.random.default_rng(seed)
    y = [
        rng.integers(0, 3, count),
        rng.normal(size=(count, 2)).astype(np.float32),
        rng.integers(0, 2, (count, 2, 2, 1)).astype(np.float32),
    ]
    return rng.normal(size=(count, 6, 6, 1)).astype(np.float32), y


def first(y, count):
    return [part[:count] for part in y]


# ---- numbers -------------------------------------------------------------------------------------------------------------


def reference_losses(outputs, y):
    """[N, outputs] in float64, from the network's own outputs."""
    a, b, c = (np.asarray(part, np.float64) for part in outputs)
    targets = np.asarray(y[1], np.float64), np.asarray(y[2], np.float64)
    one = [
        reference.softmax_cross_entropy(a, y[0])[0],
        reference.huber(b, targets[0], 0.5)[0],
        reference.binary_cross_entropy(c.reshape(len(c), -1), targets[1].reshape(len(c), -1))[0],
    ]
    return np.stack(one, axis=1)


def test_predictions_are_a_list_in_the_shapes_of_the_outputs():
    net, (x, y) = heads(), data()
    outputs = net.predict(x)
    assert net.output_shapes == ((3,), (2,), (2, 2, 1)) and net.output_shape == (9,)
    assert [part.shape for part in outputs] == [(12, 3), (12, 2), (12, 2, 2, 1)]
    _, tensors = graph()
    for number, part in enumerate(outputs):  # the same layers as a network of one output
        inputs, tensors = graph()
        alone = cge.Network(inputs=inputs, outputs=tensors[number])
        used = {0: (0, 1, 2, 3, 4, 5), 1: (0, 1, 2, 3, 6, 7), 2: (0, 1, 8, 9)}[number]
        alone.set_weights([net.get_weights()[index] for index in used])
        assert np.array_equal(alone.predict(x), part)
    assert all(
        np.array_equal(ours, theirs) for ours, theirs in zip(net.predict([(x[:5], first(y, 5)), (x[5:], None)]), outputs)
    )
    assert net.predict(x, upto=1).shape == (12, 4, 4, 3)


def test_losses_are_those_of_the_float64_reference():
    net, (x, y) = heads(), data()
    expected = reference_losses(net.predict(x), y)
    measured = net.evaluate(x, y)
    assert isinstance(measured, cge.OutputsEvaluation)
    np.testing.assert_allclose([one.loss for one in measured.outputs], expected.mean(axis=0), rtol=2e-6)
    np.testing.assert_allclose(measured.loss, (expected @ WEIGHTS).mean(), rtol=2e-6)
    weights = np.linspace(0, 2, 12)
    weighed = net.evaluate(x, y, sample_weight=weights)
    np.testing.assert_allclose(weighed.loss, (weights * (expected @ WEIGHTS)).mean(), rtol=2e-6)
    np.testing.assert_allclose([one.loss for one in weighed.outputs], (weights[:, None] * expected).mean(axis=0), rtol=2e-6)
    a, _, c = net.predict(x)
    right = ((c > 0) == (y[2] > 0.5)).mean()
    assert [one.accuracy for one in measured.outputs] == [(a.argmax(axis=1) == y[0]).mean(), None, right]
    assert net.evaluate([(x[:5], first(y, 5)), (x[5:], [part[5:] for part in y])]) == measured


def test_gradients_are_the_weighted_sum_of_those_of_the_outputs_alone():
    """Float64 reference of the sum: each output's gradients by a network that has this loss alone."""
    net, (x, y) = heads(cge.SGD(0.1)), data()
    total = [np.zeros_like(part, np.float64) for part in net.get_weights()]
    for number, weight in enumerate(WEIGHTS):
        inputs, outputs = graph()
        alone = cge.Network(inputs=inputs, outputs=outputs[number], loss=LOSSES[number], optimizer=cge.SGD(0.1))
        used = {0: (0, 1, 2, 3, 4, 5), 1: (0, 1, 2, 3, 6, 7), 2: (0, 1, 8, 9)}[number]
        alone.set_weights([net.get_weights()[index] for index in used])
        for index, gradient in zip(used, alone.gradients(x, y[number])):
            total[index] += weight * gradient.astype(np.float64)
    for ours, theirs in zip(net.gradients(x, y), total):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("loss", [LOSSES, ["mse", "mae", "mse"], [cge.SoftmaxCrossEntropy(label_smoothing=0.1), "mse", "mse"]])
def test_gradcheck(loss):
    x, y = data(2)
    assert heads(cge.SGD(0.1), loss).gradcheck(x, [y[0] if not loss[0] == "mse" else np.ones((2, 3)), *y[1:]]).checked > 300


def test_ten_steps_are_pytorchs():
    torch = pytest.importorskip("torch")
    net, (x, y) = heads(cge.SGD(0.05, momentum=0.9)), data()
    weights = [torch.tensor(w.astype(np.float64), requires_grad=True) for w in net.get_weights()]
    optimizer = torch.optim.SGD(weights, lr=float(np.float32(0.05)), momentum=float(np.float32(0.9)))
    tx, losses = torch.tensor(x.transpose(0, 3, 1, 2).astype(np.float64)), []
    targets = torch.tensor(y[0]), torch.tensor(y[1].astype(np.float64)), torch.tensor(y[2].astype(np.float64))
    for _ in range(10):
        w1, b1, w2, b2, wa, ba, wb, bb, wc, bc = weights
        shared = torch.relu(torch.nn.functional.conv2d(tx, w1.permute(3, 2, 0, 1), b1))
        features = torch.tanh(shared.permute(0, 2, 3, 1).flatten(1) @ w2 + b2)
        a, b = features @ wa + ba, torch.tanh(features @ wb + bb)
        c = torch.nn.functional.conv2d(shared, wc.permute(3, 2, 0, 1), bc).permute(0, 2, 3, 1)
        loss = (
            WEIGHTS[0] * torch.nn.functional.cross_entropy(a, targets[0])
            + WEIGHTS[1] * torch.nn.functional.huber_loss(b, targets[1], delta=0.5)
            + WEIGHTS[2] * torch.nn.functional.binary_cross_entropy_with_logits(c, targets[2])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose([net.train_on_batch(x, y) for _ in range(10)], losses, rtol=2e-5)
    for ours, theirs in zip(net.get_weights(), weights):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-3, atol=2e-5)


def test_each_output_has_weights_of_its_own():
    """Float64 sum over samples and outputs of their gradients alone, each times its weights."""
    x, y = data()
    of_samples, of_classes = np.linspace(0, 2, 12), [0.5, 3.0, 1.5]
    weights = np.ones((12, 3))
    weights[:, 0] = np.array(of_classes)[y[0]]
    weights[:, 2] = of_samples
    total = [np.zeros_like(part, np.float64) for part in heads().get_weights()]
    for number, own in enumerate(WEIGHTS):
        alone = heads(cge.SGD(0.1), loss_weights=[float(number == other) for other in range(3)])
        for i in range(12):
            for part, gradient in zip(total, alone.gradients(x[i : i + 1], [part[i : i + 1] for part in y])):
                part += own * weights[i, number] / 12 * gradient.astype(np.float64)
    net = heads(cge.SGD(1.0))
    before, losses = net.get_weights(), reference_losses(net.predict(x), y)
    given = {"sample_weight": [None, None, of_samples], "class_weight": [dict(enumerate(of_classes)), None, None]}
    np.testing.assert_allclose(net.train_on_batch(x, y, **given), (losses * weights @ WEIGHTS).mean(), rtol=2e-6)
    for was, now, expected in zip(before, net.get_weights(), total):
        np.testing.assert_allclose(was - now, expected, rtol=2e-5, atol=2e-6)


def test_all_ways_to_train_weigh_outputs_alike():
    x, y = data()
    weights = [np.linspace(0, 2, 12), None, np.linspace(1, 3, 12)]
    nets = [heads(cge.SGD(0.05)) for _ in range(5)]
    fit = {"batch_size": 4, "shuffle": False, "verbose": 0}
    nets[0].fit(x, y, sample_weight=weights, class_weight=[[1, 2, 3], None, None], **fit)
    both = [weights[0].astype(np.float32) * np.float32([1, 2, 3])[y[0]], None, weights[2]]
    nets[1].fit(x, y, sample_weight=both, **fit)
    parts = [(x[i : i + 4], [p[i : i + 4] for p in y], [w if w is None else w[i : i + 4] for w in weights]) for i in (0, 4, 8)]
    nets[2].fit(parts, class_weight=[[1, 2, 3], None, None], verbose=0)
    for net in nets[3:]:
        for i in (0, 4, 8):
            own = [w if w is None else w[i : i + 4] for w in both]
            net.train_on_batch(x[i : i + 4], [p[i : i + 4] for p in y], sample_weight=own)
    assert len({net.weights_hash() for net in nets}) == 1
    assert nets[0].history == nets[1].history
    of_one, of_each = (heads().evaluate(x, y, sample_weight=w) for w in (weights[0], [weights[0]] * 3))
    assert of_one == of_each


def test_losses_of_outputs_while_they_train():
    net, (x, y) = heads(cge.SGD(0.0)), data(20)
    measured = net.evaluate(x, y)
    for options in ({}, {"clip_norm": 1.0}, {"track_accuracy": False}):
        history = net.fit(x, y, batch_size=6, shuffle=False, verbose=0, **options)
        found = [history[f"output_{number}_loss"][0] for number in range(3)]
        np.testing.assert_allclose(found, [one.loss for one in measured.outputs], rtol=3e-7)
        accuracies = {name: values for name, values in history.items() if name.endswith("accuracy")}
        tracked = {f"output_{number}_accuracy": [measured.outputs[number].accuracy] for number in (0, 2)}
        assert accuracies == (tracked if options.get("track_accuracy", True) else {})
    moving = heads(cge.SGD(0.05))
    history = moving.fit(x, y, batch_size=1, epochs=3, verbose=0)
    whole = np.array([history[f"output_{number}_loss"] for number in range(3)]).T @ WEIGHTS
    np.testing.assert_allclose(whole, history["loss"], rtol=1e-6)
    assert history["output_0_loss"][0] != history["output_0_loss"][-1]


# ---- the same bits -------------------------------------------------------------------------------------------------------


def test_every_level_and_slices_have_the_same_bits():
    x, y = data(6)

    def trained(memory, sliced=False):
        net = heads(cge.SGD(0.05, momentum=0.9), memory=memory)
        for i in range(6):
            one = x[i : i + 1], [part[i : i + 1] for part in y]
            if not sliced:
                net.train_on_batch(*one)
                continue
            net.train_begin(*one)
            while net.resume(100):
                pass
        return net.weights_hash()

    expected = trained("fast")
    assert [trained(memory) for memory in ("small", "smallest")] == [expected] * 2
    assert [trained(memory, sliced=True) for memory in ("small_sliced", "smallest_sliced")] == [expected] * 2


def test_batches_as_they_come_and_arrays_have_the_same_bits():
    x, y = data()
    one, other = heads(cge.Adam()), heads(cge.Adam())
    one.fit(x, y, batch_size=5, epochs=2, shuffle=False, verbose=0)
    batches = [(x[i : i + 5], [part[i : i + 5] for part in y]) for i in range(0, 12, 5)]
    other.fit(batches, epochs=2, verbose=0)
    assert one.to_bytes() == other.to_bytes() and one.history["loss"] == other.history["loss"]


def test_an_evaluation_in_slices_gives_the_loss():
    net, (x, y) = heads(memory="small_sliced"), data()
    net.evaluate_begin(x, y)
    assert not net.resume()
    assert net.step_result == (net.evaluate(x, y).loss, None)
    net.predict_begin(x)
    assert not net.resume()
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(net.step_result, net.predict(x)))


# ---- training ------------------------------------------------------------------------------------------------------------


def test_fit_names_the_metrics_of_each_output():
    x, y = data(20)
    net = heads(cge.Adam(0.01))
    history = net.fit(x, y, epochs=12, validation_split=0.25, verbose=0)
    names = ["loss", "output_0_loss", "output_0_accuracy", "output_1_loss", "output_2_loss", "output_2_accuracy"]
    names += [f"val_{name}" for name in names]
    assert list(history) == names and all(len(values) == 12 for values in history.values())
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    measured = net.evaluate(x[15:], [part[15:] for part in y])
    assert measured.loss == history["val_loss"][-1] and measured.outputs[1].loss == history["val_output_1_loss"][-1]
    stopped = heads(cge.Adam(0.01))
    stopping = cge.callbacks.EarlyStopping(monitor="val_output_0_loss", patience=1)
    stopped.fit(x, y, epochs=50, validation_split=0.25, verbose=0, callbacks=[stopping])
    assert len(stopped.history["loss"]) <= 50


def test_kept_features_have_the_same_bits():
    x, y = data(20)
    one, other = (heads(cge.SGD(0.05)).freeze(upto=1) for _ in range(2))
    assert one.loss == other.loss and one.output_shapes == ((3,), (2,), (2, 2, 1))
    one.fit(x, y, epochs=2, validation_split=0.25, verbose=0, cache_features=True)
    other.fit(x, y, epochs=2, validation_split=0.25, verbose=0)
    assert one.to_bytes() == other.to_bytes() and one.history == other.history


def test_one_loss_counts_for_each_output():
    x, y = data()
    y[0] = np.ones((12, 3))
    net = heads(loss="mse", loss_weights=None)
    assert net.loss == cge.MultiOutput(["mse"] * 3, [3, 2, 4])
    measured = net.evaluate(x, y)
    np.testing.assert_allclose(measured.loss, sum(one.loss for one in measured.outputs), rtol=1e-6)


def test_distillation_of_one_output():
    inputs = cge.Input(4)
    net = cge.Network(
        inputs=inputs, outputs=[cge.Dense(3)(inputs), cge.Dense(2)(inputs), cge.Dense(2)(inputs)],
        loss=[cge.Distillation(temperature=2.0, alpha=0.5), "softmax_cross_entropy", "mse"], optimizer=cge.SGD(0.1),
    )  # fmt: skip
    rng = np.random.default_rng(1)
    y = [(rng.integers(0, 3, 4), rng.normal(size=(4, 3))), rng.integers(0, 2, 4), rng.normal(size=(4, 2))]
    assert net.gradcheck(rng.normal(size=(4, 4)), y).checked == 35


# ---- files ---------------------------------------------------------------------------------------------------------------


def test_files_copies_and_pickles_hold_the_outputs(tmp_path):
    net, (x, y) = heads(cge.SGD(0.05, momentum=0.9)), data()
    net.fit(x, y, verbose=0)
    net.save(tmp_path / "net.cge")
    for same in (cge.Network.load(tmp_path / "net.cge"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert (same.loss, same.output_shapes, repr(same)) == (net.loss, net.output_shapes, repr(net))
        assert same.to_bytes() == net.to_bytes() and same.evaluate(x, y) == net.evaluate(x, y)
    without = copy.deepcopy(heads(loss=None, loss_weights=None))
    assert [part.shape for part in without.predict(x)] == [(12, 3), (12, 2), (12, 2, 2, 1)]


PROGRAM = """
#include <stdio.h>
#include <string.h>

#include "drone.h"

enum { COUNT = 12 };
static uint64_t arena[(DRONE_TRAINING_ARENA_BYTES + 7) / 8];
static float x[COUNT * DRONE_INPUT_ELEMS], values[COUNT * DRONE_OUTPUT_ELEMS];
static int32_t labels[COUNT];

int main(void)
{
    const cge_options options = {.training = 1, .plan = &drone_training_plan};
    const cge_targets targets = {labels, values, NULL};
    cge_network net;
    uint64_t hash;
    float loss = 0;
    if (fread(x, sizeof x, 1, stdin) != 1 || fread(labels, sizeof labels, 1, stdin) != 1) return 2;
    if (fread(values, sizeof values, 1, stdin) != 1) return 2;
    if (cge_network_init(&net, &drone_model, &options, arena, sizeof arena) != CGE_OK) return 3;
    memcpy(net.params, drone_params, sizeof drone_params);
    for (int step = 0; step < 5; step++)
        if (cge_network_train_batch(&net, x, &targets, COUNT, &loss) != CGE_OK) return 4;
    if (cge_network_params_hash(&net, &hash) != CGE_OK) return 5;
    printf("%016llx %a\\n", (unsigned long long)hash, (double)loss);
    return 0;
}
"""


def test_exported_c_trains_the_same_bits(tmp_path, core_archive):
    net, (x, y) = heads(cge.SGD(0.05)), data()
    net.export(tmp_path, name="drone")
    assert "static const cge_output drone_outputs[3]" in (tmp_path / "drone.c").read_text()
    (tmp_path / "main.c").write_text(PROGRAM)
    sources, program = [tmp_path / "drone.c", tmp_path / "main.c"], tmp_path / "program"
    run([compiler(), *STRICT, "-I", ROOT / "csrc" / "include", "-I", tmp_path, *sources, core_archive, "-o", program])
    values = np.concatenate([np.zeros((12, 3), np.float32), y[1], y[2].reshape(12, 4)], axis=1)
    sent = x.tobytes() + y[0].astype(np.int32).tobytes() + values.astype(np.float32).tobytes()
    said, loss = subprocess.run([program], input=sent, capture_output=True, check=True).stdout.split()
    losses = [net.train_on_batch(x, y) for _ in range(5)]
    assert said.decode() == net.weights_hash() and float.fromhex(loss.decode()) == losses[-1]


def test_an_output_that_is_flat_stays_flat():
    x = cge.Input((2, 2, 3))
    outputs = [cge.Flatten()(cge.ReLU()(x)), cge.Dense(2)(x), cge.Sigmoid()(x)]
    net = cge.Network(inputs=x, outputs=outputs, loss="mse")
    assert net.output_shapes == ((12,), (2,), (2, 2, 3)) == cge.Network.from_bytes(net.to_bytes()).output_shapes


def test_outputs_of_a_chain():
    net = cge.Network((4,), [cge.Dense(5)], cge.MultiOutput(["softmax_cross_entropy", "mse"], sizes=[3, 2]), cge.SGD(0.1))
    x, y = np.ones((2, 4)), [[0, 2], np.zeros((2, 2))]
    assert [part.shape for part in net.predict(x)] == [(2, 3), (2, 2)]
    assert net.gradcheck(x, y).checked == 25
    assert net.train_on_batch(x, y) == cge.Network((4,), [cge.Dense(5)], net.loss).evaluate(x, y).loss


# ---- mistakes ------------------------------------------------------------------------------------------------------------


MADE = {
    r"outputs: expected a tensor, got a list of one": lambda x, a, b: {"outputs": [a]},
    r"outputs\[1\]: expected a tensor that a layer gave, got int 3": lambda x, a, b: {"outputs": [a, 3]},
    r"outputs\[1\]: expected what a layer gave, got the input": lambda x, a, b: {"outputs": [a, x]},
    r"outputs\[1\]: expected another tensor than outputs\[0\]": lambda x, a, b: {"outputs": [a, a]},
    r"loss: expected a list of 2, of each output its loss, got one of 1": lambda x, a, b: {"loss": ["mse"]},
    r"loss\[1\]: expected .*\"mse\".*got 'nothing'|loss\[1\]: .*nothing": lambda x, a, b: {"loss": ["mse", "nothing"]},
    r"loss\[0\]: expected a loss of one output, got None": lambda x, a, b: {"loss": [None, "mse"]},
    r"loss_weights: expected a list of 2, of each output its weight, got one of 3": lambda x, a, b: {"loss_weights": [1, 1, 1]},
    r"loss_weights\[1\]: expected .*got -1": lambda x, a, b: {"loss_weights": [1, -1]},
    r"loss_weights\[0\]: expected .*got nan": lambda x, a, b: {"loss_weights": [np.nan, 1]},
    r"loss_weights: expected None with loss=None": lambda x, a, b: {"loss": None, "loss_weights": [1, 1]},
    r"loss_weights: expected None for a network of one output": lambda x, a, b: {"outputs": a, "loss_weights": [1]},
    r"loss: expected one loss for one output": lambda x, a, b: {"outputs": a, "loss": ["mse"]},
    r"loss: expected sizes that add up to the network's 4 outputs, got \[3\]": lambda x, a, b: {
        "outputs": a, "loss": cge.MultiOutput(["mse"], [3])
    },
}  # fmt: skip


@pytest.mark.parametrize("message", MADE)
def test_mistakes_in_the_making_are_named(message):
    x = cge.Input(3)
    a, b = cge.Dense(4)(x), cge.Dense(2)(x)
    with pytest.raises((TypeError, ValueError), match=message):
        cge.Network(**{"inputs": x, "outputs": [a, b], "loss": "mse", **MADE[message](x, a, b)})


GIVEN = {
    r"y: expected a list of 3, of each output its targets, got ": lambda y: y[0],
    r"y: expected a list of 3, .* got one of 2": lambda y: y[:2],
    r"y\[0\].*label": lambda y: [y[0] + 3, *y[1:]],
    r"y\[1\].*\(N, 2\)|y\[1\].*\(12, 2\)": lambda y: [y[0], y[1][:, :1], y[2]],
    r"y\[2\]: .*0 .* 1": lambda y: [*y[:2], y[2] + 1],
}


@pytest.mark.parametrize("message", GIVEN)
def test_mistakes_in_targets_are_named(message):
    net, (x, y) = heads(cge.SGD(0.1)), data()
    before = net.to_bytes()
    for call in (net.train_on_batch, net.evaluate, net.accumulate):
        with pytest.raises((TypeError, ValueError), match=message):
            call(x, GIVEN[message](y))
    assert net.to_bytes() == before


WEIGHED = {
    r"class_weight: expected a list of 3, of each output weights of its classes, or None, got a dict": {
        "class_weight": {0: 2.0}
    },
    r"class_weight: expected a list of 3, .* got one of 2": {"class_weight": [{0: 2.0}, None]},
    r"class_weight\[0\]: a class: expected at most 2, got 3": {"class_weight": [{3: 2.0}, None, None]},
    r"class_weight\[0\]\[1\]: expected a finite number >= 0, got -1": {"class_weight": [{1: -1}, None, None]},
    r"class_weight\[1\]: expected None for a loss without labels": {"class_weight": [None, {0: 2.0}, None]},
    r"class_weight\[0\]: expected shape \(3,\), got \(2,\)": {"class_weight": [[1, 2], None, None]},
    r"sample_weight: expected a list of 3, .* got one of 1": {"sample_weight": [np.ones(12)]},
    r"sample_weight\[2\]: expected shape \(12,\), got \(11,\)": {"sample_weight": [None, None, np.ones(11)]},
    r"sample_weight\[0\]: expected finite numbers >= 0, got -1": {"sample_weight": [-np.ones(12), None, None]},
    r"sample_weight: expected a list of 3, .* got a dict": {"sample_weight": {"a": np.ones(12)}},
    r"sample_weight: expected shape \(12,\), got \(12, 3\)": {"sample_weight": np.ones((12, 3))},
}


@pytest.mark.parametrize("message", WEIGHED)
def test_mistakes_in_weights_are_named(message):
    net, (x, y) = heads(cge.SGD(0.1)), data()
    for call in (net.train_on_batch, net.fit):
        with pytest.raises((TypeError, ValueError), match=message):
            call(x, y, **WEIGHED[message])


def test_a_target_that_is_not_finite_is_named():
    net, (x, y) = heads(cge.SGD(0.1)), data()
    y[1][4, 1] = np.inf
    with pytest.raises(cge.NotFiniteError, match=r"y\[1\]\[4\]: expected finite numbers, got inf"):
        net.train_on_batch(x, y)


def test_mistakes_of_the_loss_are_named():
    for message, arguments in {
        "losses: expected at least one": ([], []),
        r"losses\[0\]: expected a loss of one output": ([cge.MultiOutput(["mse"], [1])], [1]),
        "sizes: expected 2 numbers": (["mse", "mse"], [1]),
        r"sizes\[1\]: expected .*got 0": (["mse", "mse"], [1, 0]),
    }.items():
        with pytest.raises((TypeError, ValueError), match="MultiOutput: " + message):
            cge.MultiOutput(*arguments)
    with pytest.raises(ValueError, match=r"weights\[0\]: expected"):
        cge.MultiOutput(["mse"], [1], weights=[-1])
