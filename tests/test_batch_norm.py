"""Batch normalisation and scales: a float64 reference, central differences, running statistics, files, exports, folding."""

import dataclasses
import importlib.util
import pickle
import subprocess

import numpy as np
import pytest
from graphs import Float64, LayerByLayer, random_graph
from test_export import build

import convgrad_embedded as cge

LOSS, MSE = "softmax_cross_entropy", "mean_squared_error"


def optimizer():
    return cge.SGD(0.05, momentum=0.9)


LAYERS = [
    *(cge.Conv2d(6, 3, use_bias=False), cge.BatchNorm(), cge.ReLU(), cge.MaxPool2d(2)),
    *(cge.Scale(), cge.Dense(8), cge.BatchNorm(eps=1e-3, momentum=0.3, use_bias=False), cge.Tanh(), cge.Dense(3)),
]
FROZEN = [
    *(cge.Conv2d(6, 3, use_bias=False), cge.BatchNorm(frozen=True), cge.ReLU(), cge.MaxPool2d(2), cge.Scale()),
    *(cge.Dense(8), cge.BatchNorm(eps=1e-3, frozen=True), cge.Tanh(), cge.Scale(trainable="bias"), cge.Dense(3)),
]
SHAPE = (8, 7, 2)


def data(rng, count=8, shape=SHAPE):
    return rng.normal(1.0, 2.0, (count, *shape)).astype(np.float32), rng.integers(0, 3, count)


def network(layers=LAYERS, shape=SHAPE, **options):
    return cge.Network(shape, layers, LOSS, optimizer(), **options)


def shaken(net, rng):
    """Weights and statistics that are nobody's default; variances above 0."""
    net.set_weights([np.abs(w + 0.5 * rng.normal(size=w.shape)) + 0.05 if w.shape[:1] == (3,) and w.ndim == 2 else
                     w + 0.5 * rng.normal(size=w.shape) for w in net.get_weights()])  # fmt: skip
    return net


# ---- the formula, in float64 and in another order: the covariance form of the gradient -------------------------------


def normalised(x, eps):
    axes = tuple(range(x.ndim - 1))
    deviation = np.sqrt(np.mean(x * x, axes) - np.mean(x, axes) ** 2 + eps)
    return (x - np.mean(x, axes)) / deviation, deviation


def batch_gradients(x, dy, w, eps):
    """dx, dw, db."""
    axes = tuple(range(x.ndim - 1))
    unit, deviation = normalised(x, eps)
    g = dy * w
    dx = (g - np.mean(g, axes) - unit * np.mean(g * unit, axes)) / deviation
    return dx, (dy * unit).sum(axes), dy.sum(axes)


@pytest.mark.parametrize("shape", [(4, 3, 5), (1, 1, 9), (3, 1, 4)])
def test_a_step_is_that_of_the_formula(shape, rng):
    """Identity, BatchNorm and squared error: loss, gradients, running statistics."""
    eps, momentum, count, c = 0.125, 0.25, 6, shape[2]
    x, target = rng.normal(2.0, 3.0, (2, count, *shape)).astype(np.float32)
    layers = [cge.Conv2d(c, 1, use_bias=False), cge.BatchNorm(eps=eps, momentum=momentum)]
    net = cge.Network(shape, layers, MSE, cge.SGD(0.1))
    w, b, mean, variance = (rng.normal(1.0, 0.5, c).astype(np.float32) for _ in range(4))
    net.set_weights([np.eye(c).reshape(1, 1, c, c), np.stack([w, mean, variance**2]), b])
    exact, goal = x.astype(np.float64), target.astype(np.float64)
    y = normalised(exact, eps)[0] * w + b
    elems = np.prod(shape)
    dx, dw, db = batch_gradients(exact, 2 * (y - goal) / elems, w, eps)
    found = net.gradients(x, target.reshape(count, *net.output_shape))
    np.testing.assert_allclose(found[0][0, 0], np.einsum("nhwi,nhwo->io", exact, dx) / count, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(found[1][0], dw / count, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[2], db / count, rtol=1e-4, atol=1e-5)
    assert (found[1][1:] == 0).all()
    loss = net.train_on_batch(x, target.reshape(count, *net.output_shape))
    np.testing.assert_allclose(loss, ((y - goal) ** 2).mean(), rtol=1e-5)
    axes, statistics = (0, 1, 2), net.get_weights()[1]
    np.testing.assert_allclose(statistics[1], 0.75 * mean + 0.25 * exact.mean(axes), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(statistics[2], 0.75 * variance**2 + 0.25 * exact.var(axes, ddof=1), rtol=1e-5)


def test_prediction_uses_the_running_statistics(rng):
    net = shaken(cge.Network((3, 4, 5), [cge.BatchNorm(eps=0.5), cge.Scale()]), rng)
    (w, mean, variance), b, scale, shift = (a.astype(np.float64) for a in net.get_weights())
    x = rng.normal(size=(4, 3, 4, 5)).astype(np.float32)
    expected = ((x - mean) / np.sqrt(variance + 0.5) * w + b) * scale + shift
    np.testing.assert_allclose(net.predict(x), expected, rtol=1e-4, atol=1e-5)
    assert (net.predict(x[:1]) == net.predict(x)[:1]).all()


@pytest.mark.parametrize(
    "layers", [LAYERS, FROZEN, [cge.Scale(), cge.Dense(3), cge.BatchNorm()]], ids=["all", "frozen", "ends"]
)
def test_gradients_are_central_differences(layers, rng):
    net = shaken(network(layers), rng)
    before = net.weights_hash()
    assert net.gradcheck(*data(rng, 6), tolerance=1e-5).checked > 20
    assert net.weights_hash() == before


def test_gradients_leave_the_running_statistics(rng):
    net, (x, y) = network(), data(rng)
    before = net.weights_hash()
    net.gradients(x, y)
    assert net.weights_hash() == before
    net.accumulate(x, y)
    assert net.weights_hash() != before


def test_parameters_begin_as_in_pytorch():
    weights = network().get_weights()
    assert [w.shape for w in weights] == [(3, 3, 2, 6), (3, 6), (6,), (6,), (6,), (36, 8), (8,), (3, 8), (8, 3), (3,)]
    for statistics in (weights[1], weights[7]):  # with bias and without
        assert (statistics == np.repeat([[1.0], [0.0], [1.0]], statistics.shape[1], 1)).all()
    assert (weights[2] == 0).all()
    assert cge.BatchNorm() == cge.BatchNorm(eps=1e-5, momentum=0.1, use_bias=True, trainable=True)


def test_capacity_says_what_a_batch_is(rng):
    x, y = data(rng)
    hashes = {}
    for capacity in (8, 4, 32):
        net = network(capacity=capacity)
        net.train_on_batch(x, y)
        hashes[capacity] = net.weights_hash()
    assert hashes[8] == hashes[32] != hashes[4]
    halves = network(capacity=8)
    halves.accumulate(x[:4], y[:4])
    halves.accumulate(x[4:], y[4:])
    halves.update()
    assert halves.weights_hash() == hashes[4]


def test_threads_share_the_work_to_the_same_bits(rng):
    layers = [
        *(cge.Conv2d(16, 3, padding=1), cge.BatchNorm(), cge.ReLU(), cge.Conv2d(16, 3, padding=1, use_bias=False)),
        *(cge.BatchNorm(), cge.ReLU(), cge.Scale(), cge.MaxPool2d(2), cge.Dense(3)),
    ]
    x, y = data(rng, 32, (20, 18, 3))
    hashes = set()
    for threads in (1, 2, 3):
        net = network(layers, (20, 18, 3), threads=threads)
        net.fit(x, y, epochs=3, batch_size=16, verbose=False)
        hashes.add((net.weights_hash(), net.predict(x).tobytes()))
    assert len(hashes) == 1


def test_one_number_has_no_variance(rng):
    """Where PyTorch raises, y is b, and running statistics stay."""
    net = cge.Network((4,), [cge.BatchNorm(), cge.Dense(3)], LOSS, cge.SGD(0.1))
    net.train_on_batch(np.ones((1, 4), np.float32), [0])
    assert (net.get_weights()[0][1:] == [[0.0] * 4, [1.0] * 4]).all()


def test_what_is_not_finite_is_not_tracked(rng):
    net, (x, y) = network(), data(rng)
    before = net.weights_hash()
    x[3, 2, 1, 0] = np.inf
    with pytest.raises(cge.NotFiniteError):
        net.train_on_batch(x, y)
    assert net.weights_hash() == before
    with pytest.raises(cge.NotFiniteError):
        net.train_on_batch(np.float32(3e37) * np.sign(x), y)
    assert all(np.isfinite(w).all() for w in net.get_weights())


# ---- frozen ----------------------------------------------------------------------------------------------------------


def test_a_frozen_layer_keeps_all_that_it_has(rng):
    net = shaken(network(FROZEN), rng)
    before = net.get_weights()
    net.fit(*data(rng, 32), epochs=2, verbose=False)
    after = net.get_weights()
    kept = [i for i, w in enumerate(after) if (w == before[i]).all()]
    assert [after[i].shape for i in kept] == [
        (3, 6),
        (6,),
        (3, 8),
        (8,),
        (8,),
    ]  # and the weights of the scale that learns biases


def test_frozen_layers_give_the_same_bits_at_every_memory_level(rng):
    x, y = data(rng, 12)
    weights = shaken(network(FROZEN), rng).get_weights()
    hashes = set()
    for memory in ("fast", "small", "smallest", "small_sliced", "smallest_sliced"):
        net = network(FROZEN, memory=memory)
        net.set_weights(weights)
        net.fit(x, y, epochs=2, batch_size=1, verbose=False)
        hashes.add((net.weights_hash(), net.predict(x).tobytes()))
    assert len(hashes) == 1


def test_frozen_layers_may_stay_in_flash(rng):
    net = network(FROZEN, memory="small", frozen_in="flash")
    assert net.arena_bytes < network(FROZEN, memory="small").arena_bytes


def test_a_network_that_predicts_has_every_memory_level(rng):
    x = data(rng)[0]
    trained = network()
    trained.fit(*data(rng, 32), verbose=False)
    predictions = set()
    for memory in ("fast", "small", "smallest"):
        net = cge.Network(SHAPE, LAYERS, memory=memory)
        net.set_weights(trained.get_weights())
        predictions.add(net.predict(x).tobytes())
    assert predictions == {trained.predict(x).tobytes()}


# ---- plans and graphs ------------------------------------------------------------------------------------------------


def branches(**options):
    """Norms of what is read twice, of an activation, of sums and of the last layer; what they put out is read twice."""
    x = cge.Input(SHAPE)
    skip = cge.ReLU()(cge.BatchNorm()(cge.Conv2d(6, 3, padding=1, use_bias=False)(x)))
    h = cge.BatchNorm(momentum=0.5)(cge.Conv2d(6, 1)(skip))
    h = cge.BatchNorm(eps=0.25, use_bias=False)(cge.Tanh()(cge.Add()(h, skip)))
    h = cge.Add()(cge.BatchNorm(frozen=True)(cge.Concat()(h, skip)), cge.Concat()(skip, h))
    y = cge.BatchNorm()(cge.Dense(3)(cge.GlobalAvgPool2d()(cge.Sigmoid()(cge.BatchNorm()(h)))))
    return cge.Network(inputs=x, outputs=y, loss=LOSS, optimizer=optimizer(), **options)


@pytest.mark.parametrize("capacity", [1, 3, 8])
def test_small_does_in_a_chain_what_fast_does(capacity, rng):
    x, y = data(rng, 20)
    lives = set()
    for memory in ("fast", "small"):
        net = network([*LAYERS[:4], cge.Dropout(0.25, seed=7), *LAYERS[4:]], memory=memory, capacity=capacity)
        net.fit(x, y, epochs=2, batch_size=6, verbose=False)
        lives.add((net.weights_hash(), net.predict(x).tobytes(), net.evaluate(x, y)))
    assert len(lives) == 1


def test_capacity_says_what_a_batch_of_a_graph_is(rng):
    x, y = data(rng)
    lives = {}
    for capacity, memory in ((8, "fast"), (None, "fast"), (8, "small"), (4, "fast"), (4, "small")):
        net = branches(capacity=capacity, memory=memory, threads=3 if capacity is None else 1)
        net.fit(x, y, epochs=2, batch_size=8, verbose=False)
        lives.setdefault(capacity or 8, set()).add((net.weights_hash(), net.predict(x).tobytes()))
    assert len(lives[8]) == len(lives[4]) == 1 and lives[8] != lives[4]


def test_gradients_of_a_graph_are_central_differences(rng):
    net = shaken(branches(), rng)
    before = net.weights_hash()
    assert net.gradcheck(*data(rng, 5), tolerance=1e-5).checked > 20
    assert net.weights_hash() == before


def norm_in_float64(layer, x, statistics, bias=0.0):
    w, mean, variance = statistics
    unit = (x - mean) / np.sqrt(variance + layer.eps) if layer.frozen else normalised(x, layer.eps)[0]
    return unit * w + bias


def outputs_in_float64(net, x, weights):
    """Of all samples together, statistics those of the samples; layers one by one by graphs.py's reference."""
    reference = LayerByLayer(net, Float64())
    left = iter(weights)
    reference.params = [[next(left) for _ in info.parameter_shapes] for info in net.layer_infos]
    rows = []  # [layer][sample]
    for index, (layer, info) in enumerate(zip(net.layers, net.layer_infos)):
        if layer.kind == "batch_norm":
            source = reference.sources[index][0]
            read = np.reshape(x if source < 0 else rows[source], (len(x), *info.in_shape))
            rows.append(norm_in_float64(layer, read, *reference.params[index]))
            continue
        rows.append([])
        for sample in range(len(x)):
            reference.x, reference.y = x[sample], [row[sample] for row in rows[:-1]]
            rows[-1].append(np.asarray(reference.output(index)).reshape(info.out_shape))
    return np.asarray(rows[-1]).reshape(len(x), -1)


def loss_in_float64(net, x, y, weights):
    outputs = outputs_in_float64(net, x, weights)
    if net.loss == MSE:
        return np.mean((outputs - y.reshape(outputs.shape)) ** 2)
    outputs -= outputs.max(1, keepdims=True)
    return np.mean(np.log(np.exp(outputs).sum(1)) - outputs[np.arange(len(y)), y])


def with_norms(seed):
    """A random graph with norms behind some of its layers, samples and targets."""
    arguments, x, y = random_graph(seed, usual_alone=True)
    rng = np.random.default_rng(seed)
    bare = cge.Network(**arguments)
    tensors = {-1: cge.Input(bare.input_shape)}
    for index, (layer, sources) in enumerate(zip(bare.layers, bare.sources)):
        tensors[index] = dataclasses.replace(layer)(*(tensors[source] for source in sources))
        if rng.random() < 0.5:
            tensors[index] = cge.BatchNorm(eps=0.1, use_bias=rng.random() < 0.7, frozen=rng.random() < 0.2)(tensors[index])
    ends = {"inputs": tensors[-1], "outputs": tensors[len(bare.layers) - 1]}
    return cge.Network(**{**arguments, **ends}, capacity=len(x)), x, y


@pytest.mark.parametrize("seed", range(8))
def test_random_graphs_with_norms_are_those_of_the_float64_reference(seed):
    """Losses; and gradients against its signed differences, along a random direction for each array."""
    net, x, y = with_norms(seed)
    rng = np.random.default_rng(seed)
    weights = [w.astype(np.float64) for w in shaken(net, rng).get_weights()]
    exact, step = x.astype(np.float64), 1e-6
    loss = loss_in_float64(net, exact, y, weights)
    owners = [layer for layer, info in zip(net.layers, net.layer_infos) for _ in info.parameter_shapes]
    for number, (layer, found) in enumerate(zip(owners, net.gradients(x, y))):
        way = rng.normal(size=found.shape)
        if layer.frozen:
            assert (found == 0).all()
            continue
        if layer.kind == "batch_norm" and found.ndim == 2:
            way[1:] = 0  # running statistics
        ends = [[w + sign * step * way if i == number else w for i, w in enumerate(weights)] for sign in (1, -1)]
        above, below = (loss_in_float64(net, exact, y, end) for end in ends)
        expected, scale = (above - below) / (2 * step), np.linalg.norm(found) * np.linalg.norm(way)
        np.testing.assert_allclose((found * way).sum(), expected, rtol=1e-3, atol=2e-4 * (1 + scale))
    np.testing.assert_allclose(net.train_on_batch(x, y), loss, rtol=1e-4)


def test_bytes_and_orders_reach_a_plan_of_several_samples(rng):
    layers = [cge.Conv2d(4, 2), cge.BatchNorm(), cge.ReLU(), cge.Dense(3)]
    x, y = rng.integers(0, 256, (13, 5, 4, 2), dtype=np.uint8), rng.integers(0, 3, 13)
    hashes = set()
    for memory, scale in (("fast", None), ("fast", 1 / 256), ("small", None), ("small", 1 / 256)):
        net = network(layers, (5, 4, 2), memory=memory, capacity=4, input_scale=scale)
        net.fit(x if scale else x.astype(np.float32) / 256, y, epochs=3, batch_size=6, verbose=False)
        hashes.add(net.weights_hash())
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "options, words",
    [
        (
            {"memory": "smallest"},
            ['memory="smallest" holds one sample', 'memory="small" with capacity=8', "frozen=True", "GroupNorm"],
        ),
        ({"memory": "small_sliced", "capacity": 1}, ['memory="small_sliced" holds one sample', "GroupNorm"]),
        ({"memory": "small"}, ['memory="small" holds `capacity` of them', "pass capacity=8"]),
        ({"memory": "small", "capacity": 4, "memory_ranges": [20_000, 9_000]}, ["one memory", "memory_ranges=None"]),
    ],
)
def test_where_it_cannot_learn_it_says_why(options, words):
    with pytest.raises(ValueError, match=r"^layers\[1\] BatchNorm\(\): learns by the samples of a batch together") as caught:
        network(**options)
    assert all(word in str(caught.value) for word in words), caught.value


def test_slices_take_one_sample_after_the_other(rng):
    net, (x, y) = network(memory="small", capacity=4), data(rng)
    for call in (lambda: net.train_begin(x, y), lambda: net.largest_slice_macs):
        with pytest.raises(ValueError, match=r"steps in slices .*layers\[1\] BatchNorm\(\) learns"):
            call()
    net.predict_begin(x)
    assert not net.resume() and (net.step_result == net.predict(x)).all()


def test_the_arena_is_that_of_the_samples_that_are_held():
    sizes = [network(memory="small", capacity=capacity).arena_bytes for capacity in (1, 2, 3, 4)]
    assert sizes[1] - sizes[0] > sizes[2] - sizes[1] == sizes[3] - sizes[2]  # from 2 on samples are gathered
    net = network(memory="small", capacity=4)
    assert net.bound_bytes == 4 * network(memory="small", capacity=1).bound_bytes <= net.peak_bytes
    assert network(memory="small", capacity=4).arena_bytes == net.arena_bytes


def test_a_memory_plan_freezes_it():
    net = network()
    plan = net.plan(100_000)
    assert plan.trainable == (0, 4, 5, 8)
    assert network(plan=plan).layers[1] == cge.BatchNorm(frozen=True)
    assert "small" in net.summary(print_fn=None)


# ---- files and exports -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layer",
    [cge.BatchNorm(), cge.BatchNorm(eps=0.125, momentum=1.0), cge.BatchNorm(use_bias=False, frozen=True),
     cge.Scale(), cge.Scale(use_bias=False, frozen=True), cge.Scale(trainable="bias")],
    ids=repr,
)  # fmt: skip
def test_files_keep_the_arguments(layer, tmp_path):
    net = cge.Network((2, 2, 4), [layer, cge.Dense(2)], LOSS, cge.SGD(0.1))
    net.save(tmp_path / "net.cge")
    assert cge.Network.load(tmp_path / "net.cge").layers == net.layers
    assert eval(repr(layer), vars(cge)) == layer


def test_a_saved_network_goes_on_as_if_it_had_not_been(rng):
    net, (x, y) = network(), data(rng, 24)
    net.fit(x, y, epochs=1, batch_size=8, verbose=False)
    again = [cge.Network.from_bytes(net.to_bytes()), pickle.loads(pickle.dumps(net))]
    for one in (net, *again):
        one.fit(x, y, epochs=2, batch_size=8, verbose=False)
    assert len({one.weights_hash() for one in (net, *again)}) == 1


def test_a_saved_graph_goes_on_as_if_it_had_not_been(rng):
    net, (x, y) = branches(memory="small", capacity=4), data(rng, 24)
    net.fit(x, y, epochs=1, batch_size=8, verbose=False)
    again = [cge.Network.from_bytes(net.to_bytes(), capacity=4), pickle.loads(pickle.dumps(net))]
    assert (again[1].memory, again[1].arena_bytes) == ("small", net.arena_bytes)
    for one in (net, *again):
        one.fit(x, y, epochs=2, batch_size=8, verbose=False)
    assert len({one.weights_hash() for one in (net, *again)}) == 1


@pytest.mark.parametrize("sealed", [False, True], ids=["open", "sealed"])
def test_an_exported_graph_learns_from_batches(sealed, tmp_path, rng, core_archive):
    net = branches(memory="small", capacity=3)
    x, y = data(rng, 6)
    net.fit(x, y, epochs=2, verbose=False)
    net.export(tmp_path, name="net", sealed=sealed)
    assert "options.capacity = 3;" in (tmp_path / "net.h").read_text()
    assert f"&cge_memory_batch{'_sealed' if sealed else ''}," in (tmp_path / "net.c").read_text()
    built = build(tmp_path, core_archive, "-DLABELS=1", "-DCAPACITY=3")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([tmp_path / "program"], input=x.tobytes() + y.astype(np.int32).tobytes(), stdout=subprocess.PIPE)
    assert done.returncode == 0
    numbers, outputs = np.frombuffer(done.stdout, np.float32), net.predict(x).ravel()
    assert (numbers[: outputs.size] == outputs).all()
    twin = branches(capacity=3)
    twin.set_weights(net.get_weights())
    for _ in range(5):
        twin.train_on_batch(x, y)
    assert (numbers[outputs.size : -1] == np.concatenate([w.ravel() for w in twin.get_weights()])).all()


def test_exported_c_predicts_the_same_bits(tmp_path, rng, core_archive):
    net = cge.Network(
        (4, 4, 2), [cge.Conv2d(6, 3), cge.BatchNorm(), cge.ReLU(), cge.Dense(3), cge.Scale()], LOSS, cge.SGD(0.01)
    )
    x, y = data(rng, 6, (4, 4, 2))
    net.fit(x, y, epochs=2, verbose=False)
    net.export(tmp_path, name="net")
    assert "options.capacity" in (tmp_path / "net.h").read_text()
    built = build(tmp_path, core_archive, "-DLABELS=1")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([tmp_path / "program"], input=x.tobytes() + y.astype(np.int32).tobytes(), stdout=subprocess.PIPE)
    assert done.returncode == 0
    outputs = net.predict(x).ravel()
    numbers = np.frombuffer(done.stdout, np.float32)
    assert (numbers[: outputs.size] == outputs).all()
    twin = cge.Network((4, 4, 2), net.layers, LOSS, cge.SGD(0.01), capacity=1)
    twin.set_weights(net.get_weights())
    for _ in range(5):
        twin.train_on_batch(x, y)
    assert (numbers[outputs.size : -1] == np.concatenate([w.ravel() for w in twin.get_weights()])).all()


def test_an_onnx_file_holds_them(tmp_path, rng):
    layers = [cge.Conv2d(5, 3), cge.BatchNorm(eps=0.125), cge.Scale(use_bias=False), cge.Flatten(), cge.Dense(4),
              cge.BatchNorm(use_bias=False), cge.Scale()]  # fmt: skip
    net, path = shaken(cge.Network((6, 5, 2), layers), rng), tmp_path / "net.onnx"
    x = rng.normal(size=(3, 6, 5, 2)).astype(np.float32)
    net.to_onnx(path)
    assert path.read_bytes().count(b"BatchNormalization") == 2
    if importlib.util.find_spec("onnx") is not None:
        model = importlib.import_module("onnx").load(path)
        model.opset_import[0].version = 15  # of earlier ones ONNX's own evaluator takes statistics of the batch
        run = importlib.import_module("onnx.reference").ReferenceEvaluator(model).run
        np.testing.assert_allclose(run(None, {"x": x.transpose(0, 3, 1, 2)})[0], net.predict(x), rtol=1e-4, atol=1e-5)


# ---- folding ---------------------------------------------------------------------------------------------------------


def close(folded, net, x):
    expected = net.predict(x)
    np.testing.assert_allclose(folded.predict(x), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_a_chain_folds(rng):
    layers = [
        *(cge.Conv2d(6, 3, use_bias=False), cge.BatchNorm(), cge.Scale(), cge.ReLU()),
        *(
            cge.Conv2d(6, 3, groups=6),
            cge.BatchNorm(eps=0.1, use_bias=False),
            cge.ReLU(),
            cge.Dense(8),
            cge.BatchNorm(),
            cge.Dense(3),
        ),
    ]
    net = cge.Network((9, 8, 2), layers, LOSS, optimizer(), threads=2)
    x, y = data(rng, 64, (9, 8, 2))
    net.fit(x, y, epochs=2, verbose=False)
    before, net.learning_rate = net.weights_hash(), 0.0625
    folded = net.fold()
    assert [layer.kind for layer in folded.layers] == ["conv2d", "relu", "conv2d", "relu", "dense", "dense"]
    assert folded.learning_rate == 0.0625 and folded.loss == LOSS and folded._settings == net._settings
    close(folded, net, x)
    assert net.weights_hash() == before
    folded.fit(x, y, verbose=False)


@pytest.mark.parametrize("options", [{}, {"memory": "small", "capacity": 4}], ids=["fast", "small"])
def test_a_graph_folds(options, rng):
    x = cge.Input((8, 8, 3))
    h = cge.BatchNorm(frozen=True)(cge.Conv2d(4, 3, padding=1, frozen=True)(x))
    h = cge.ReLU()(cge.Add()(h, cge.Scale()(cge.BatchNorm()(cge.Conv2d(4, 1)(x)))))
    y = cge.BatchNorm()(cge.Dense(5)(cge.GlobalAvgPool2d()(h)))
    net = shaken(cge.Network(inputs=x, outputs=y, loss=LOSS, optimizer=optimizer(), **options), rng)
    net.fit(*data(rng, 12, (8, 8, 3)), epochs=2, batch_size=4, verbose=False)
    folded = net.fold()
    assert folded.memory == net.memory
    assert not any(layer.kind in ("batch_norm", "scale") for layer in folded.layers) and len(folded.layers) == 6
    assert folded.layers[0].frozen
    close(folded, net, rng.normal(size=(5, 8, 8, 3)).astype(np.float32))


def test_bytes_and_memory_levels_stay(rng):
    net = cge.Network((4, 4, 1), [cge.Conv2d(3, 2), cge.BatchNorm(frozen=True), cge.Dense(2)], LOSS, optimizer(),
                      input_scale=1 / 256, memory="small")  # fmt: skip
    shaken(net, rng)
    folded = net.fold()
    assert (folded.memory, folded.input_scale) == ("small", 1 / 256)
    close(folded, net, rng.integers(0, 256, (5, 4, 4, 1), dtype=np.uint8))


def test_what_cannot_be_folded_is_named():
    message = r"^fold: layers\[1\] BatchNorm\(\): expected behind a Conv2d, ConvTranspose2d or Dense, .*layers\[0\] ReLU"
    with pytest.raises(ValueError, match=message):
        cge.Network((2, 2, 3), [cge.ReLU(), cge.BatchNorm()]).fold()
    with pytest.raises(ValueError, match=r"^fold: layers\[0\] Scale\(\): .*behind the input"):
        cge.Network((2, 2, 3), [cge.Scale()]).fold()
    x = cge.Input((2, 2, 3))
    h = cge.Conv2d(3, 1)(x)
    message = r"^fold: layers\[1\] BatchNorm\(\): expected alone in reading layers\[0\], layers\[2\] reads"
    with pytest.raises(ValueError, match=message):
        cge.Network(inputs=x, outputs=cge.Add()(cge.BatchNorm()(h), h)).fold()


# ---- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: cge.BatchNorm(8), ["BatchNorm(8)", "name", "channels"]),
        (lambda: cge.BatchNorm(eps=0), ["eps", "> 0"]),
        (lambda: cge.BatchNorm(momentum=0), ["momentum", "> 0"]),
        (lambda: cge.BatchNorm(momentum=1.5), ["momentum", "<= 1", "1.5"]),
        (lambda: cge.BatchNorm(momentum=None), ["momentum", "None"]),
        (lambda: cge.BatchNorm(affine=False), ["affine"]),
        (lambda: cge.BatchNorm(trainable="bias"), ["trainable", "True or False", "bias"]),
        (lambda: cge.BatchNorm(trainable=2), ["trainable", "True or False", "2"]),
        (lambda: cge.Scale(use_bias=False, trainable="bias"), ["trainable", "use_bias=False"]),
        (lambda: cge.Network((2, 2, 4), [cge.BatchNorm(), cge.Dense(2)], input_scale=1 / 256), ["BatchNorm", "bytes"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert all(word in str(caught.value) for word in words), caught.value
