"""learning_rate_factor: each layer's own rate, for every optimizer, at every level, in files, exports and at run time."""

import struct

import numpy as np
import oracles
import pytest
import reference
from old_files import records, sealed
from test_adaptive import check_levels_capacity_and_threads, data  # noqa: F401

import convgrad_embedded as cge

FACTORS = (0.1, 0.3, 5.0)
OPTIMIZERS = {
    "sgd": cge.SGD(0.05),
    "sgd, momentum, decay": cge.SGD(0.05, momentum=0.9, weight_decay=0.1, nesterov=True),
    "sgd, l1": cge.SGD(0.05, momentum=0.5, l1=0.01),
    "adam": cge.Adam(0.01, weight_decay=0.1),
    "adam, l1": cge.Adam(0.01, l1=0.01),
    "adamw": cge.AdamW(0.01, weight_decay=0.2),
    "adamw, l1": cge.AdamW(0.01, weight_decay=0.2, l1=0.01),
    "rmsprop": cge.RMSprop(0.002, momentum=0.5, weight_decay=0.1),
    "rmsprop, l1": cge.RMSprop(0.002, l1=0.01),
    "adagrad": cge.Adagrad(0.05, weight_decay=0.1),
    "adagrad, l1": cge.Adagrad(0.05, l1=0.01),
}


def network(optimizer, factors=FACTORS, **options):
    first, second, last = factors
    layers = [
        cge.Conv2d(4, 3, padding="same", learning_rate_factor=first),
        cge.ReLU(),
        cge.MaxPool2d(2),
        cge.Conv2d(5, 3, trainable=2, learning_rate_factor=second),
        cge.ReLU(),
        cge.Dense(3, learning_rate_factor=last),
    ]
    return cge.Network((9, 7, 2), layers, "softmax_cross_entropy", optimizer, seed=1, **options)


# ---- steps -----------------------------------------------------------------------------------------------------------


class Exact:
    """A step of the optimizer in float64 with the layer's rate, from sums over the past."""

    def __init__(self, optimizer, factor):
        o = {name: np.float32(value) for name, value in vars(optimizer).items() if name != "betas"}
        beta1, beta2 = getattr(optimizer, "betas", (getattr(optimizer, "momentum", 0.0), getattr(optimizer, "alpha", 0.0)))
        self.rate = float(o["learning_rate"] * np.float32(factor))
        self.decay, self.l1 = float(o["weight_decay"]), float(o["l1"])
        self.momentum, self.nesterov, self.velocity = float(np.float32(beta1)), vars(optimizer).get("nesterov", False), {}
        kind, eps = type(optimizer).__name__.lower(), float(o.get("eps", 0.0))
        settings = (self.rate, self.momentum, float(np.float32(beta2)), eps, self.decay)
        self.adaptive = None if kind == "sgd" else reference.Adaptive(kind, *settings)

    def step(self, key, w, gradient):
        g = gradient + self.l1 * np.sign(w)
        if self.adaptive is not None:
            return self.adaptive.step(key, w, g)
        g = g + self.decay * w
        v = self.velocity[key] = self.momentum * self.velocity.get(key, 0.0) + g
        return w - self.rate * (g + self.momentum * v if self.nesterov else v)


def exact_gradients(net, weights, x, y):
    layers = [reference.Conv2d(4, 3, padding="same"), reference.ReLU(), reference.MaxPool2d(2)]
    layers += [reference.Conv2d(5, 3), reference.ReLU(), reference.Dense(3)]
    _, gradients = reference.Network(layers, weights, net.loss).gradients(x, y)
    gradients[2][:, :, 2:] = 0  # trainable=2
    return gradients


@pytest.mark.parametrize("level", ["fast", "small", "smallest"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_layer_learns_by_its_own_rate(name, level, data):  # noqa: F811
    net, count = network(OPTIMIZERS[name], memory=level), 1 if level == "smallest" else 4
    own = [Exact(OPTIMIZERS[name], factor) for factor in FACTORS]
    weights = [w.astype(np.float64) for w in net.get_weights()]
    fixed = net.get_weights()[2][:, :, 2:]
    for step in range(5):
        x, y = data[0][step * count : (step + 1) * count], data[1][step * count : (step + 1) * count]
        gradients = exact_gradients(net, weights, x, y)
        weights = [own[i // 2].step(i, w, g) for i, (w, g) in enumerate(zip(weights, gradients))]
        weights[2][:, :, 2:] = fixed
        net.train_on_batch(x, y)
    for got, expected in zip(net.get_weights(), weights):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=5e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_level_capacity_and_number_of_threads_gives_the_same_bits(name, data):  # noqa: F811
    check_levels_capacity_and_threads(lambda **options: network(OPTIMIZERS[name], **options), *data, epochs=2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_factor_for_all_is_another_learning_rate(name, data):  # noqa: F811
    optimizer = OPTIMIZERS[name]
    scaled, other, plain = (
        network(optimizer, (0.25,) * 3),
        network(optimizer, (1,) * 3),
        network(optimizer, (1.0, 1, np.float32(1))),
    )
    other.learning_rate = float(np.float32(optimizer.learning_rate) * np.float32(0.25))
    for net in (scaled, other):
        net.fit(*data, epochs=2, batch_size=5, verbose=False)
    assert scaled.weights_hash() == other.weights_hash()
    assert plain.to_bytes() == network(optimizer, (1,) * 3).to_bytes()


def test_a_schedule_is_multiplied_step_by_step(data):  # noqa: F811
    schedule = cge.schedules.Cosine(0.1, steps=10, warm_up=3)
    net, by_hand = network(cge.SGD(schedule, momentum=0.9)), network(cge.SGD(0.1, momentum=0.9))
    for step in range(12):
        x, y = data[0][step : step + 2], data[1][step : step + 2]
        net.train_on_batch(x, y)
        by_hand.learning_rate = schedule(step)
        by_hand.train_on_batch(x, y)
    assert net.weights_hash() == by_hand.weights_hash()


TORCH = {
    "sgd": ("SGD", {"lr": 0.05}, cge.SGD(0.05)),
    "sgd, momentum": (
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
        cge.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    "adam": ("Adam", {"lr": 0.01, "eps": 1e-4, "weight_decay": 0.1}, cge.Adam(0.01, eps=1e-4, weight_decay=0.1)),
    "adamw": ("AdamW", {"lr": 0.01, "eps": 1e-4, "weight_decay": 0.2}, cge.AdamW(0.01, eps=1e-4, weight_decay=0.2)),
    "rmsprop": ("RMSprop", {"lr": 0.002, "momentum": 0.5, "eps": 1e-4}, cge.RMSprop(0.002, momentum=0.5, eps=1e-4)),
    "adagrad": ("Adagrad", {"lr": 0.05, "eps": 1e-4}, cge.Adagrad(0.05, eps=1e-4)),
}


@pytest.mark.parametrize("name", TORCH)
def test_a_step_is_that_of_pytorchs_parameter_groups(name, data):  # noqa: F811
    torch = oracles.need("torch")
    kind, settings, own = TORCH[name]
    torch.manual_seed(3)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(252, 6),
        torch.nn.Tanh(),
        torch.nn.Linear(6, 3),
    )
    net = cge.Network.from_torch(model, (9, 7, 2), loss="softmax_cross_entropy", optimizer=own)
    learning = [number for number, info in enumerate(net.layer_infos) if info.param_elems]
    for number, factor in zip(learning, FACTORS):
        net.set_learning_rate_factor(factor, layer=number)
    modules = [module for module in model if list(module.parameters())]
    groups = [{"params": module.parameters(), "lr": settings["lr"] * factor} for module, factor in zip(modules, FACTORS)]
    optimizer = getattr(torch.optim, kind)(groups, **settings)
    x, y = data[0][:5], data[1][:5]
    loss = torch.nn.functional.cross_entropy(model(torch.tensor(x.transpose(0, 3, 1, 2))), torch.tensor(y, dtype=torch.long))
    loss.backward()
    optimizer.step()
    net.train_on_batch(x, y)
    for got, expected in zip(net.get_weights(), cge.Network.from_torch(model, (9, 7, 2)).get_weights()):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


# ---- large factors where layers learn at once --------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [cge.Adam(0.01, eps=1e-17), cge.RMSprop(0.01, eps=1e-17)])
def test_a_step_that_could_overflow_by_its_factor_is_tried(optimizer, data):  # noqa: F811
    # at most 2^60 eps = 11.5 of the largest rate: 0.01 * 65536 is above it
    whole, tried = (network(optimizer, (1, 1, 65536), memory=memory) for memory in ("small", "smallest"))
    assert [net.train_on_batch(data[0][:1], data[1][:1]) for net in (whole, tried)].count(float("nan")) == 0
    assert tried.weights_hash() == whole.weights_hash() and tried.step_count == 1


# ---- files, copies, firmware -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_network_goes_on_from_its_file(name, data, tmp_path):  # noqa: F811
    whole, first = network(OPTIMIZERS[name]), network(OPTIMIZERS[name])
    whole.fit(*data, epochs=4, batch_size=7, verbose=False)
    first.fit(*data, epochs=2, batch_size=7, verbose=False)
    first.save(tmp_path / "net")
    loaded = cge.Network.load(tmp_path / "net")
    assert [layer.learning_rate_factor for layer in loaded.layers if hasattr(layer, "init")] == [*FACTORS]
    loaded.fit(*data, epochs=2, batch_size=7, verbose=False)
    assert loaded.weights_hash() == whole.weights_hash() and loaded.to_bytes() == whole.to_bytes()


def test_a_file_has_a_word_for_each_factor_that_is_not_1():
    plain, data_ = network(cge.SGD(0.1), (1, 1, 1)).to_bytes(), network(cge.SGD(0.1), (1, 0.5, 1)).to_bytes()
    assert len(data_) == len(plain) + 4
    for (words, fields), (plain_words, plain_fields) in zip(records(data_)[0], records(plain)[0]):
        if fields == plain_fields:
            assert words == plain_words
        else:
            assert words[1] == plain_words[1] | 1 << 16 and words[6] == plain_words[6] + 1
            assert fields == (*plain_fields, struct.unpack("<I", struct.pack("<f", 0.5))[0])


def test_damaged_factors_are_refused():
    data_ = network(cge.SGD(0.1), (1, 0.5, 1)).to_bytes()
    at = data_.index(struct.pack("<f", 0.5))
    for bad in (0.0, -0.0, -0.5, 65537.0, float("inf"), float("nan")):
        damaged = sealed(data_[:at] + struct.pack("<f", bad) + data_[at + 4 : -4])
        with pytest.raises(ValueError):
            cge.Network.from_bytes(damaged)


def test_exported_rows_name_the_factor(tmp_path):
    network(cge.SGD(0.1), (1, 0.5, 1)).export(tmp_path, "net")
    text = "".join(path.read_text() for path in tmp_path.glob("*.c"))
    assert text.count(".learning_rate_factor = 0x1p-1f") == 1 and text.count(".learning_rate_factor = 0}") == 5


# ---- layers and networks -----------------------------------------------------------------------------------------------


def test_it_is_part_of_a_layers_description(capsys):
    layer = cge.Dense(3, learning_rate_factor=0.1)
    assert repr(layer) == "Dense(3, learning_rate_factor=0.1)" and layer != cge.Dense(3) and hash(layer) != hash(cge.Dense(3))
    assert cge.Conv1d(3, 3, learning_rate_factor=2).learning_rate_factor == 2
    assert [part.learning_rate_factor for part in cge.SeparableConv2d(2, 3, 3, learning_rate_factor=2)] == [2, 2]
    network(cge.SGD(0.1)).summary()
    assert "learning_rate_factor=0.3" in capsys.readouterr().out


@pytest.mark.parametrize(
    "bad, error",
    [
        (0, "trainable=False"),
        (-1, "above 0"),
        (65537, "65536"),
        (float("nan"), "above 0"),
        (float("inf"), "above 0"),
        (1e-60, "above 0"),
        (10**400, "above 0"),
    ],
)
def test_bad_factors_are_refused(bad, error):
    with pytest.raises(ValueError, match=f"Dense: learning_rate_factor.*{error}"):
        cge.Dense(3, learning_rate_factor=bad)
    net = network(cge.SGD(0.1))
    with pytest.raises(ValueError, match=f"factor.*{error}"):
        net.set_learning_rate_factor(bad, layer=0)
    assert net.layers == network(cge.SGD(0.1)).layers


def test_other_types_are_refused():
    for bad in (True, "fast", None, [1.0]):
        with pytest.raises(TypeError, match="learning_rate_factor: expected a number"):
            cge.Dense(3, learning_rate_factor=bad)
    with pytest.raises(TypeError, match="did you mean learning_rate_factor"):
        cge.Dense(3, lr_mult=0.1)


def test_it_is_set_between_two_steps(data):  # noqa: F811
    x, y = data[0][:4], data[1][:4]
    changed, other = network(cge.SGD(0.1, momentum=0.9)), network(cge.SGD(0.1, momentum=0.9))
    for net in (changed, other):
        net.train_on_batch(x, y)
    changed.set_learning_rate_factor(0.5, upto=3)
    changed.set_learning_rate_factor(np.float32(1), layer="Dense")
    assert [getattr(layer, "learning_rate_factor", None) for layer in changed.layers] == [0.5, None, None, 0.5, None, 1.0]
    expected = network(cge.SGD(0.1, momentum=0.9), (0.5, 0.5, 1))
    expected._runtime.restore(other.to_bytes(), "data")  # weights and velocity
    for net in (changed, expected):
        net.train_on_batch(x, y)
    assert changed.weights_hash() == expected.weights_hash()
    loaded = cge.Network.from_bytes(changed.to_bytes())
    assert [getattr(layer, "learning_rate_factor", None) for layer in loaded.layers] == [0.5, None, None, 0.5, None, 1.0]


def test_which_layers_are_meant_must_be_said():
    net = network(cge.SGD(0.1))
    for arguments in ({}, {"layer": 0, "upto": 1}):
        with pytest.raises(TypeError, match="layer=..., or upto=..."):
            net.set_learning_rate_factor(0.1, **arguments)
    with pytest.raises(ValueError, match="layer: expected parameters to learn, got ReLU"):
        net.set_learning_rate_factor(0.1, layer=1)


def test_other_networks_made_of_it_keep_the_factors(data):  # noqa: F811
    net = network(cge.SGD(0.1))
    frozen = net.freeze(upto=0)
    assert [layer.learning_rate_factor for layer in frozen.layers if hasattr(layer, "init")] == [*FACTORS]
    assert net.split(upto=2)[1].layers[0].learning_rate_factor == 0.3
    cached, plain = (net.freeze(upto=0) for _ in range(2))
    cached.fit(*data, epochs=2, batch_size=6, verbose=False, cache_features=True)
    plain.fit(*data, epochs=2, batch_size=6, verbose=False)
    assert cached.weights_hash() == plain.weights_hash()


class Slower(cge.callbacks.Callback):
    def on_epoch_end(self, epoch, logs):
        self.network.set_learning_rate_factor(0.25, layer="Dense")


def test_a_callback_may_set_it_while_features_are_cached(data):  # noqa: F811
    cached, plain = (network(cge.SGD(0.1), (1, 1, 1)).freeze(upto=0) for _ in range(2))
    for net, cache in ((cached, True), (plain, False)):
        net.fit(*data, epochs=3, batch_size=6, verbose=False, cache_features=cache, callbacks=[Slower()])
    assert cached.weights_hash() == plain.weights_hash()
