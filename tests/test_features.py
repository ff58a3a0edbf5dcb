"""Kept features: fit(cache_features=) and split() give the bits of the whole network, or say why they cannot."""

import dataclasses

import numpy as np
import pytest

import convgrad_embedded as cge

SHAPE = (9, 8, 2)
FRONT = [cge.Conv2d(4, 3, frozen=True), cge.BatchNorm(frozen=True), cge.ReLU(), cge.MaxPool2d(2)]
TAILS = {
    "dense": [cge.Dense(5)],
    "dropout": [cge.Dropout(0.25, seed=3), cge.Conv2d(6, 2), cge.ReLU(), cge.Dropout(0.5), cge.Dense(5)],
    "partly": [cge.Dense(8, trainable="bias"), cge.Tanh(), cge.Dense(5, trainable=3)],
    "batch norm": [cge.Conv2d(6, 2, use_bias=False), cge.BatchNorm(), cge.ReLU(), cge.Dense(5)],
    "later front": [cge.Conv2d(3, 1, frozen=True), cge.Sigmoid(), cge.Dropout(0.2), cge.Dense(6, frozen=True), cge.Dense(5)],
}
OPTIMIZERS = {
    "sgd": cge.SGD(0.05),
    "momentum": cge.SGD(cge.schedules.Cosine(0.05, steps=20), momentum=0.9, weight_decay=1e-3),
    "adam": cge.Adam(0.01),
    "plateau": cge.SGD(cge.schedules.ReduceOnPlateau(0.05, patience=1), momentum=0.5),
}


def chain(tail, optimizer="momentum", **options):
    return cge.Network(SHAPE, [*FRONT, *TAILS[tail]], "softmax_cross_entropy", OPTIMIZERS[optimizer], seed=4, **options)


def graph(**options):
    x = cge.Input(SHAPE)
    h = cge.Conv2d(4, 3, padding="same", frozen=True)(x)
    h = cge.Add()(h, cge.Conv2d(4, 3, padding="same", frozen=True)(cge.ReLU()(h)))
    b = cge.Conv2d(4, 1)(h)
    outputs = cge.Dense(5)(cge.GlobalAvgPool2d()(cge.Add()(h, b)))
    return cge.Network(inputs=x, outputs=outputs, loss="softmax_cross_entropy", optimizer=cge.Adam(0.01), seed=4, **options)


@pytest.fixture
def data(rng):
    return rng.normal(size=(50, *SHAPE)).astype(np.float32), rng.integers(0, 5, 50)


def both(make, data, **options):
    """Two networks and their histories: trained with kept features, and without."""
    nets = make(), make()
    histories = [net.fit(*data, verbose=0, cache_features=kept, **options) for net, kept in zip(nets, (True, False))]
    assert nets[0].to_bytes() == nets[1].to_bytes() and histories[0] == histories[1]
    return nets


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("tail", TAILS)
def test_all_that_training_needs_is_the_same_to_the_bit(tail, optimizer, data):
    before = chain(tail, optimizer).to_bytes()
    net, _ = both(lambda: chain(tail, optimizer), data, epochs=3, batch_size=16, validation_split=0.2)
    assert net.to_bytes() != before
    assert net.step_count == 9


@pytest.mark.parametrize("options", [{"memory": "small"}, {"memory": "smallest"}, {"threads": 2, "capacity": 5}])
@pytest.mark.parametrize("tail", ["dropout", "partly"])
def test_so_it_is_at_every_level_and_with_threads(tail, options, data):
    size = 1 if options.get("memory") == "smallest" else 16
    both(lambda: chain(tail, **options), data, epochs=2, batch_size=size)


def test_so_it_is_in_a_graph_with_clipping_and_weights(data, rng):
    weight = rng.random(50)
    options = {"clip_norm": 0.1, "sample_weight": weight, "validation_data": [(data[0][:7], data[1][:7])]}
    both(graph, data, epochs=2, shuffle=False, **options)
    assert not graph().fit(*data, verbose=0, cache_features=True).get("val_loss")


def test_the_cut_is_at_the_last_place_where_one_can_be(data):
    """Not behind the ReLU, around which the skip leads."""

    def skip():
        x = cge.Input(SHAPE)
        h = cge.Conv2d(4, 3, frozen=True)(x)
        y = cge.Add()(cge.Conv2d(4, 1)(cge.ReLU()(h)), h)
        return cge.Network(inputs=x, outputs=cge.Dense(5)(y), loss="softmax_cross_entropy", optimizer=cge.SGD(0.05), seed=4)

    both(skip, data, epochs=2)


def test_bytes_are_read_by_the_front(data):
    x = np.round(np.abs(data[0]) * 64).clip(0, 255).astype(np.uint8)
    both(lambda: chain("dense", input_scale=1 / 256), (x, data[1]), epochs=2)


def test_features_are_computed_once_and_read_from_the_file(data, tmp_path, monkeypatch):
    net, other = chain("dense"), chain("dense")
    other.fit(*data, epochs=4, validation_split=0.2, verbose=0)
    forwards, evaluated = [], []
    runtime = type(net._runtime)
    front, evaluate = runtime.forward, runtime.evaluate
    monkeypatch.setattr(runtime, "forward", lambda self, x, y: forwards.append(len(x)) or front(self, x, y))
    monkeypatch.setattr(
        runtime, "evaluate", lambda self, x, *y, **how: evaluated.append(x.shape) or evaluate(self, x, *y, **how)
    )
    net.fit(*data, epochs=4, validation_split=0.2, verbose=0, cache_features=tmp_path / "features.npy")
    assert forwards == [40, 10] and net.to_bytes() == other.to_bytes()
    assert evaluated == [(10, 3, 3, 4)] * 4
    monkeypatch.undo()
    assert np.array_equal(np.load(tmp_path / "features.npy"), net.predict(data[0], upto=3))


def test_callbacks_see_and_set_the_whole_network(data):
    seen = {True: [], False: []}

    class Watch(cge.callbacks.Callback):
        def __init__(self, kept):
            self.seen = seen[kept]

        def on_epoch_begin(self, epoch):
            self.raise_biases(0.25)

        def on_batch_end(self, batch, logs):
            self.seen.append((self.network.weights_hash(), self.network.step_count, logs["loss"]))
            if batch == 1:
                self.network.learning_rate = 0.02
                self.raise_biases(0.5)

        def raise_biases(self, more):
            weights = self.network.get_weights()
            self.network.set_weights([*weights[:-1], weights[-1] + np.float32(more)])

    for kept in seen:
        net = chain("dropout")  # with a schedule, which the callback takes away
        net.accumulate(data[0][:3], data[1][:3])  # an epoch drops it
        net.fit(*data, epochs=2, verbose=0, cache_features=kept, callbacks=[Watch(kept), cge.callbacks.EarlyStopping("loss")])
        seen[kept].append(net.to_bytes())
        with pytest.raises(RuntimeError, match="update: nothing was accumulated"):
            net.update()
    assert seen[True] == seen[False] and len(seen[True]) == 5


def test_an_interruption_leaves_the_weights_after_the_last_batch(data):
    hashes = []
    for kept in (True, False):
        net = chain("dropout")

        class Strike(cge.callbacks.Callback):
            def on_batch_end(self, batch, logs):
                if self.network.step_count == 3:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            net.fit(*data, epochs=4, verbose=0, cache_features=kept, callbacks=[Strike()])
        assert net.step_count == 3 and len(net.history["loss"]) == 1
        hashes.append(net.to_bytes())
    assert hashes[0] == hashes[1]


def test_a_front_that_changes_ends_the_training(data):
    net = chain("dense")

    def change(epoch, logs):
        net.set_weights([net.get_weights()[0] * 2, *net.get_weights()[1:]])

    with pytest.raises(RuntimeError, match="fit: with cache_features the layers that do not learn keep their weights"):
        net.fit(*data, epochs=2, verbose=0, cache_features=True, callbacks=[change])


def test_what_is_not_finite_is_told_of_the_samples(data):
    data[0][3, 0, 0, 0] = np.inf
    with pytest.raises(cge.NotFiniteError, match=r"x\[3"):
        chain("dense").fit(*data, verbose=0, cache_features=True)


# ---- what is refused ---------------------------------------------------------------------------------------------------


def net_of(*layers):
    return cge.Network(SHAPE, layers, "softmax_cross_entropy", cge.SGD(0.1))


def crossing():
    x = cge.Input(SHAPE)
    h = cge.ReLU()(x)
    outputs = cge.Dense(5)(cge.Concat()(cge.Conv2d(2, 1)(h), x))
    return cge.Network(inputs=x, outputs=outputs, loss="softmax_cross_entropy", optimizer=cge.SGD(0.1))


REFUSED = {
    "learns": (
        lambda: net_of(cge.Dense(5)),
        True,
        "first layers do not learn, got layers[0] Dense(5), which learns; net.",
    ),
    "draws": (lambda: net_of(cge.Dropout(0.5), cge.Dense(5)), True, "got layers[0] Dropout(), which draws anew each time; net"),
    "statistics": (lambda: net_of(cge.BatchNorm(), cge.Dense(5)), True, "got layers[0] BatchNorm(), which learns; net.freeze("),
    "crossing": (
        crossing,
        True,
        "layers[1] Conv2d(2, 1), which learns, that all behind it read alone; layers[2] Concat() reads",
    ),
    "type": (lambda: chain("dense"), [], "cache_features: expected True or False, got "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name, data):
    make, kept, text = REFUSED[name]
    net = make()
    before = net.to_bytes()
    with pytest.raises((ValueError, TypeError)) as raised:
        net.fit(*data, verbose=0, cache_features=kept)
    assert text in str(raised.value) and str(raised.value).startswith("cache_features: expected")
    assert net.to_bytes() == before


def test_batches_as_they_come_and_other_mistakes_leave_no_file(data, tmp_path):
    net, path = chain("dense"), tmp_path / "features.npy"
    with pytest.raises(ValueError, match="cache_features: expected False with x an iterable of batches"):
        net.fit([data], verbose=0, cache_features=path)
    with pytest.raises(TypeError, match="learning_rate"):
        net.fit(*data, verbose=0, cache_features=path, learning_rate="fast")
    assert not path.exists()


# ---- in two ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["fast", "small"])
def test_the_parts_are_the_whole(memory, data):
    for make in (graph, lambda memory: chain("later front", memory=memory)):
        net = make(memory=memory)
        last = 3
        front, tail = net.split(upto=last)
        layers = [dataclasses.replace(layer, layer=None) if layer.kind == "dropout" else layer for layer in tail.layers]
        assert front.layers + tuple(layers) == net.layers and front.memory == tail.memory == memory
        assert np.array_equal(front.predict(data[0]), net.predict(data[0], upto=last))
        assert np.array_equal(tail.predict(front.predict(data[0])), net.predict(data[0]))
        assert front.loss is None and tail.loss == net.loss and tail.optimizer == net.optimizer


@pytest.mark.parametrize("name", ["partly", "dropout"])
def test_the_tail_trains_as_the_whole_does(name, data):
    net = chain(name, "adam")
    front, tail = net.split(upto="MaxPool2d")
    tail = cge.Network.from_bytes(tail.to_bytes())
    tail.initialize(4)  # the stream of shuffles; the weights follow
    tail.set_weights(net.get_weights()[len(front.get_weights()) :])
    tail.fit(front.predict(data[0]), data[1], epochs=2, verbose=0)
    net.fit(*data, epochs=2, verbose=0)
    parts = [*front.get_weights(), *tail.get_weights()]
    assert all(np.array_equal(one, other) for one, other in zip(parts, net.get_weights()))


def test_a_network_without_loss_is_split_too(data):
    net = cge.Network(SHAPE, [cge.Conv2d(2, 3), cge.ReLU(), cge.Dense(3)])
    front, tail = net.split(upto=0)
    assert np.array_equal(tail.predict(front.predict(data[0])), net.predict(data[0]))


def test_where_a_network_cannot_be_cut_is_told():
    with pytest.raises(ValueError, match="upto: expected a layer before the last, got layer 4; nothing is behind it"):
        chain("dense").split(upto=-1)
    with pytest.raises(ValueError) as raised:
        crossing().split(upto=0)
    assert str(raised.value) == (
        "upto: expected a layer that all behind it read alone, got layer 0; layers[2] Concat() reads the input, too"
    )
    with pytest.raises(ValueError) as raised:
        graph().split(upto=1)
    assert str(raised.value).endswith("got layer 1; layers[3] Add() reads layer 0, too")


def test_dropout_keeps_its_place():
    layers = chain("dropout").split(upto=4)[1].split(upto=0)[1].layers
    assert layers[1] == cge.Dropout(0.5, layer=7) != cge.Dropout(0.5)
    for wrong in (-1, 2**28):
        with pytest.raises(ValueError, match="Dropout: layer: expected at"):
            cge.Dropout(0.5, layer=wrong)
