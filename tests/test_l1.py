"""L1 decay of every optimizer: steps against float64 and PyTorch, levels, files, exports, and what is refused."""

from dataclasses import replace

import numpy as np
import oracles
import pytest
import reference

import convgrad_embedded as cge

LOSS = "softmax_cross_entropy"
L1 = 0.125
OPTIMIZERS = {
    "sgd": cge.SGD(0.05, l1=L1),
    "sgd, all terms": cge.SGD(0.05, 0.9, nesterov=True, weight_decay=0.0625, l1=L1),
    "adam": cge.Adam(0.01, eps=1e-4, weight_decay=0.125, l1=L1),
    "adamw": cge.AdamW(0.01, eps=1e-4, weight_decay=0.125, l1=L1),
    "rmsprop": cge.RMSprop(0.01, eps=1e-4, momentum=0.5, l1=L1),
    "adagrad": cge.Adagrad(0.05, l1=L1),
}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


class WithL1:
    """A step of the reference's with the subgradient of l1 sum |w|."""

    def __init__(self, optimizer):
        rate, decay, kind = np.float32(optimizer.learning_rate), optimizer.weight_decay, type(optimizer).__name__.lower()
        if kind == "sgd":
            self.plain = reference.SGD(float(rate), float(np.float32(optimizer.momentum)), optimizer.nesterov, decay)
            return
        beta1, beta2 = getattr(optimizer, "betas", (getattr(optimizer, "momentum", 0), getattr(optimizer, "alpha", 0)))
        numbers = (float(np.float32(number)) for number in (rate, beta1, beta2, optimizer.eps))
        self.plain = reference.Adaptive(kind, *numbers, decay)

    def step(self, key, w, gradient):
        return self.plain.step(key, w, gradient + L1 * np.sign(w))


def network(optimizer, **options):
    layers = [cge.Conv2d(4, 3), cge.Tanh(), cge.MaxPool2d(2), cge.Dense(3)]
    return cge.Network((7, 6, 2), layers, LOSS, optimizer, seed=4, **options)


def data(rng, count=6):
    return rng.normal(size=(count, 7, 6, 2)).astype(np.float32), rng.integers(0, 3, count)


@every_optimizer
def test_training_follows_the_reference(optimizer, rng):
    net, (x, y) = network(optimizer), data(rng)
    layers = [reference.Conv2d(4, 3), reference.Tanh(), reference.MaxPool2d(2), reference.Dense(3)]
    twin = reference.Network(layers, net.get_weights(), LOSS, WithL1(optimizer))
    for _ in range(6):
        assert net.train_on_batch(x, y) == pytest.approx(twin.train_on_batch(x, y), rel=1e-5)
    for ours, theirs in zip(net.get_weights(), twin.weights):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


@every_optimizer
def test_steps_are_those_of_pytorch_on_a_loss_with_the_sum(optimizer, rng):
    """A bias that is 0 stays there in the first step: the derivative of |0| is 0 in PyTorch, too."""
    torch = oracles.need("torch")
    start, dy = rng.normal(size=(4, 1)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    net = cge.Network((4,), [cge.Dense(1)], "mean_squared_error", optimizer)
    net.set_weights([start, np.zeros(1)])
    w, b = torch.tensor(start, requires_grad=True), torch.zeros(1, requires_grad=True)
    kind = type(optimizer).__name__
    names = {"learning_rate": "lr", "l1": None}
    given = {names.get(name, name): value for name, value in vars(optimizer).items() if names.get(name, name)}
    theirs = getattr(torch.optim, kind)([w, b], **given)
    for row in dy:
        x, target = row[None], np.float32([[0.5]])
        loss = ((torch.tensor(x) @ w + b - 0.5) ** 2).mean() + L1 * (w.abs().sum() + b.abs().sum())
        theirs.zero_grad()
        loss.backward()
        theirs.step()
        net.train_on_batch(x, target)
        np.testing.assert_allclose(net.get_weights()[0], w.detach(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(net.get_weights()[1], b.detach(), rtol=0, atol=1e-6)


@every_optimizer
def test_every_level_gives_the_same_bits_and_a_file_goes_on(optimizer, rng):
    x, y = data(rng, 20)
    levels = ("fast", "small", "smallest", "small_sliced")
    nets = [network(optimizer, memory=level) for level in levels] + [network(optimizer, threads=2)]
    for net in nets:
        net.fit(x, y, epochs=1, batch_size=1, verbose=False)
    nets.append(cge.Network.from_bytes(nets[0].to_bytes()))
    assert nets[-1].optimizer == optimizer
    for net in nets:
        net.fit(x, y, epochs=1, batch_size=1, verbose=False)
    assert len({net.weights_hash() for net in nets}) == 1


def test_without_l1_nothing_is_other_than_before(rng):
    x, y = data(rng)
    for optimizer in OPTIMIZERS.values():
        plain, rounded = replace(optimizer, l1=0.0), replace(optimizer, l1=1e-60)
        nets = [network(plain), network(rounded)]
        assert nets[0].to_bytes() == nets[1].to_bytes() and plain.c_members().kind in cge._core.OPTIMIZERS.values()
        assert network(optimizer).to_bytes() != nets[0].to_bytes() and nets[0].optimizer == plain
        before = [net.train_on_batch(x, y) for net in nets]
        assert before[0] == before[1] and nets[0].weights_hash() == nets[1].weights_hash()


def test_weights_go_to_zero_where_nothing_holds_them():
    """By learning_rate l1 a step, and then to and fro."""
    net = cge.Network((2,), [cge.Dense(1, use_bias=False)], "mean_squared_error", cge.SGD(0.5, l1=0.25))
    net.set_weights([[[0.25], [-0.5]]])
    seen = [net.train_on_batch(np.zeros((1, 2)), [[0.0]]) or net.get_weights()[0].ravel().tolist() for _ in range(5)]
    assert seen == [[0.125, -0.375], [0.0, -0.25], [0.0, -0.125], [0.0, 0.0], [0.0, 0.0]]


def test_an_export_names_the_kind(tmp_path):
    source = " ".join(network(cge.Adam(0.5, l1=0.25)).export(tmp_path)[1].read_text().split())
    assert ".optimizer = {.kind = &cge_adam_l1" in source and ".l1 = 0x1p-2f" in source


def test_descriptions():
    assert repr(cge.SGD(0.1, l1=0.5)) == "SGD(learning_rate=0.1, l1=0.5)" and cge.Adam(l1=0.5) != cge.Adam()
    assert network(cge.RMSprop(l1=0.1)).optimizer == cge.RMSprop(l1=0.1)
    assert cge.SGD(0.1, 0.9, l1=0.5).without_momentum() == cge.SGD(0.1, l1=0.5)


@pytest.mark.parametrize("make", [cge.SGD, cge.Adam, cge.AdamW, cge.RMSprop, cge.Adagrad])
def test_wrong_settings_are_told(make):
    for value, words in ((-0.5, "a finite number >= 0, got -0.5"), (float("nan"), "a finite number"), ("0.1", "a number, got")):
        with pytest.raises((TypeError, ValueError), match=f"{make.__name__}: l1: expected {words}"):
            make(l1=value)
