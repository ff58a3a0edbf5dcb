"""The 200 training steps of tests/c/test_golden.c once more, through Python: the same weights as on every board."""

import re

import numpy as np
import pytest

import convgrad_embedded as cge

MASK = (1 << 64) - 1


@pytest.fixture
def golden(root):
    """The constants of golden.h."""
    text = (root / "tests" / "c" / "golden.h").read_text()
    return {name: int(value, 0) for name, value in re.findall(r"#define GOLDEN_(\w+) (\w+)", text)}


class Generator:
    """cge_rng in Python integers: what golden.h says about the samples is checked apart from the core's own."""

    def __init__(self, seed, stream=54):
        self.state, self.increment = 0, stream << 1 | 1
        self.next()
        self.state = (self.state + seed) & MASK
        self.next()

    def next(self):
        old = self.state
        self.state = (old * 6364136223846793005 + self.increment) & MASK
        shifted, rotate = (old >> 18 ^ old) >> 27 & 0xFFFFFFFF, old >> 59
        return (shifted >> rotate | shifted << (32 - rotate)) & 0xFFFFFFFF

    def below_4(self):
        return self.next() % 4  # 4 divides 2^32: nothing is rejected


def sample(rng):
    label = rng.below_4()
    x = np.array([rng.next() >> 24 for _ in range(8 * 6 * 2)], np.float32).reshape(8, 6, 2) / np.float32(256)
    h, w = 4 * (label // 2), 3 * (label % 2)
    x[h : h + 4, w : w + 3] += 1
    return x, label


def make_network(seed, capacity, arithmetic="exact", optimizer=None, factors=()):
    layers = [
        cge.Conv2d(4, 3, padding=(1, 2), dilation=(1, 2)),
        cge.LeakyReLU(0.1),
        cge.MaxPool2d(2),
        cge.Conv2d(6, (3, 2), stride=(2, 1), padding=((1, 1), (0, 1)), groups=2, init="glorot_normal"),
        cge.Tanh(),
        cge.AvgPool2d(2, stride=1),
        cge.Dense(8, init="glorot_uniform"),
        cge.Sigmoid(),
        cge.Dense(4, init="he_normal"),
    ]
    optimizer = optimizer or cge.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.0005)
    options = {"optimizer": optimizer, "seed": seed, "capacity": capacity, "arithmetic": arithmetic}
    network = cge.Network((8, 6, 2), layers, loss="softmax_cross_entropy", **options)
    for number, factor in factors:
        network.set_learning_rate_factor(factor, layer=number)
    return network


@pytest.mark.parametrize("arithmetic, name", [("exact", "HASH"), ("fused", "HASH_FUSED")])
@pytest.mark.parametrize("capacity", [1, 3])
def test_two_hundred_steps_give_the_golden_weights(golden, capacity, arithmetic, name):
    assert trained(golden, make_network(golden["SEED"], capacity, arithmetic)) == golden[name]


@pytest.mark.parametrize("arithmetic, name", [("exact", "RATES"), ("fused", "RATES_FUSED")])
def test_so_do_layers_with_rates_of_their_own(golden, arithmetic, name):
    factors = ((0, 0.1), (3, 0.3), (8, 3.0))
    network = make_network(golden["SEED"], 1, arithmetic, cge.AdamW(0.01, weight_decay=0.01), factors)
    assert trained(golden, network) == golden[name]


def trained(golden, network):
    """The hash of the weights."""
    rng, losses = Generator(golden["DATA_SEED"]), []
    for _ in range(golden["STEPS"]):
        x, labels = zip(*(sample(rng) for _ in range(golden["BATCH"])))
        losses.append(network.train_on_batch(np.stack(x), np.array(labels, np.int32)))
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    return int(network.weights_hash(), 16)


def test_the_arena_is_as_large_as_on_a_board(golden):
    assert make_network(golden["SEED"], 1).arena_bytes == golden["ARENA_BYTES"]
