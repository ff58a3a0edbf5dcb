"""PReLU as a layer: training against the float64 reference, its slopes at every memory level, files, and other formats."""

import numpy as np
import pytest
import reference

import convgrad_embedded as cge

LOSS, SHAPE = "softmax_cross_entropy", (6, 5, 2)
LAYERS = [
    *(cge.PReLU(2), cge.Conv2d(4, 3), cge.PReLU(4), cge.MaxPool2d(2), cge.PReLU(), cge.ReLU()),
    *(cge.Conv2d(3, 1), cge.PReLU(frozen=True), cge.Dense(3), cge.PReLU(3)),
]


def network(**options):
    return cge.Network(SHAPE, LAYERS, LOSS, cge.SGD(0.05, momentum=0.9), seed=2, **options)


def data(rng, count):
    return rng.normal(size=(count, *SHAPE)).astype(np.float32), rng.integers(0, 3, count)


def in_reference(layer):
    return eval(repr(layer).replace("trainable=False", "frozen=True"), vars(reference))


def test_slopes_begin_as_a_quarter_and_draw_nothing():
    net = cge.Network((2, 2, 3), [cge.PReLU(3), cge.PReLU(), cge.Dense(2)], seed=5)
    first, second, weights, _ = net.get_weights()
    assert first.tolist() == [0.25] * 3 and second.tolist() == [0.25]
    assert (cge.Network((2, 2, 3), [cge.Dense(2)], seed=5).get_weights()[0] == weights).all()


def test_training_follows_the_reference(rng):
    net, (x, y) = network(), data(rng, 8)
    layers = [reference.MaxPool2d(2) if layer.kind == "maxpool2d" else in_reference(layer) for layer in LAYERS]
    twin = reference.Network(layers, net.get_weights(), LOSS, reference.SGD(0.05, momentum=0.9))
    for _ in range(5):
        assert net.train_on_batch(x, y) == pytest.approx(twin.train_on_batch(x, y), rel=1e-5)
    for ours, theirs in zip(net.get_weights(), twin.weights):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert net.get_weights()[7].tolist() == [0.25]  # frozen
    assert net.get_weights()[0].tolist() != [0.25, 0.25]


def test_gradients_are_signed_central_differences(rng):
    x, y = data(rng, 4)
    assert network().gradcheck(x, y).max_error < 1e-6


def test_every_level_and_thread_gives_the_same_bits(rng):
    x, y = data(rng, 30)
    nets = [network(memory=memory) for memory in ("fast", "small", "smallest")] + [network(threads=2)]
    for net in nets:
        net.fit(x, y, epochs=2, batch_size=1, verbose=False)
    assert len({net.weights_hash() for net in nets}) == 1
    batches = [network(capacity=capacity, threads=threads) for capacity, threads in ((1, 1), (8, 1), (8, 2))]
    for net in batches:
        net.fit(x, y, epochs=2, batch_size=8, verbose=False)
    assert len({net.weights_hash() for net in batches}) == 1


@pytest.mark.parametrize("memory", ["fast", "smallest"])
def test_an_overflow_is_refused_and_changes_nothing(memory):
    net = cge.Network((2, 2, 1), [cge.PReLU(), cge.Conv2d(2, 1), cge.PReLU(2), cge.Dense(2)], LOSS, cge.SGD(1.0), memory=memory)
    net.set_weights([w if w.ndim == 4 else np.full_like(w, 1e15) for w in net.get_weights()])
    before = net.weights_hash()
    with pytest.raises(cge.NotFiniteError):
        net.train_on_batch(np.float32([-1e12, 1, 1, -1e12]).reshape(1, 2, 2, 1), [0])
    assert net.weights_hash() == before


@pytest.mark.parametrize("large", [-1e15, 1e15])
def test_gradients_of_slopes_beyond_the_bound_are_learned_at_every_level(large):
    hashes = set()
    for memory in ("fast", "small", "smallest"):
        net = cge.Network((2,), [cge.PReLU(), cge.PReLU(2)], "mse", cge.SGD(1e-9), memory=memory)
        before = net.weights_hash()
        net.train_on_batch([[large, 1.0]], [[0.0, 0.0]])
        assert (net.weights_hash() == before) == (large > 0)
        hashes.add(net.weights_hash())
    assert len(hashes) == 1


@pytest.mark.parametrize("layer", [cge.PReLU(), cge.PReLU(4), cge.PReLU(4, frozen=True)], ids=repr)
def test_files_and_exports_keep_the_arguments(layer, tmp_path):
    net = cge.Network((2, 2, 4), [layer, cge.Dense(2)], LOSS, cge.SGD(0.1))
    net.save(tmp_path / "net.cge")
    assert cge.Network.load(tmp_path / "net.cge").layers == net.layers
    assert eval(repr(layer), vars(cge)) == layer
    net.export(tmp_path, name="net")
    text = (tmp_path / "net.c").read_text()
    assert f"cge_prelu net_prelu_0 = {{.slopes = {layer.num_parameters}}}" in text and "&cge_kind_prelu" in text


def test_folding_leaves_a_norm_behind_it_alone():
    with pytest.raises(ValueError, match="fold: .*PReLU"):
        cge.Network((2, 2, 4), [cge.Conv2d(4, 1), cge.PReLU(4), cge.BatchNorm()]).fold()


@pytest.mark.parametrize(
    "make, parts",
    [
        (lambda: cge.Network((2, 2, 4), [cge.PReLU(3)]), ["num_parameters", "1 or 4", "got 3"]),
        (lambda: cge.PReLU(0), ["num_parameters", "at least 1", "0"]),
        (lambda: cge.PReLU(1.0), ["num_parameters", "integer", "1.0"]),
        (lambda: cge.PReLU(trainable="bias"), ["trainable", 'no "bias"']),
        (lambda: cge.PReLU(trainable=1), ["trainable", "True or False", "1"]),
        (lambda: cge.PReLU(init=0.5), ["init", "num_parameters"]),
        (lambda: cge.prelu_forward(np.ones((2, 4)), np.ones(3)), ["w", "(1,) or (4,)", "(3,)"]),
        (lambda: cge.prelu_forward(np.float64(1), np.ones(1)), ["x", "last axis", "()"]),
        (lambda: cge.prelu_input_grad(np.ones((2, 4)), np.ones(4), np.ones((2, 3))), ["dy", "(2, 4)", "(2, 3)"]),
        (lambda: cge.prelu_weight_grad(np.ones((2, 4)), np.ones((2, 4)), 2), ["num_parameters", "1 or 4", "2"]),
    ],
)
def test_bad_arguments_are_named(make, parts):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert all(part in str(error.value) for part in parts)
