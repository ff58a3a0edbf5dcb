"""The generator: PCG-XSH-RR 64/32 against Python integers, what is drawn from it, and initial weights."""

import math

import numpy as np
import pytest
from capi import ffi, lib, ok, same_bits, status

import convgrad_embedded as cge

MASK = (1 << 64) - 1


class Pcg:
    """O'Neill 2014, section 6.3.1, on Python integers."""

    def __init__(self, state, increment):
        self.state, self.increment = state, increment

    def next(self):
        old = self.state
        self.state = (old * 6364136223846793005 + self.increment) & MASK
        shifted, rotate = (((old >> 18) ^ old) >> 27) & 0xFFFFFFFF, old >> 59
        return ((shifted >> rotate) | (shifted << (32 - rotate))) & 0xFFFFFFFF


def seeded(seed):
    rng = ffi.new("cge_rng *")
    ok("rng_seed", rng, seed)
    return rng


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32, 2**64 - 1])
def test_stream_is_pcg_xsh_rr(seed):
    rng = seeded(seed)
    pcg = Pcg(rng.state, rng.increment)
    assert rng.increment % 2 == 1, "an even increment has no full period"
    assert [lib.cge_rng_next(rng) for _ in range(1000)] == [pcg.next() for _ in range(1000)]


def test_the_authors_published_numbers():
    """pcg32-demo of the reference implementation: seed 42, sequence 54."""
    rng = seeded(42)
    assert [lib.cge_rng_next(rng) for _ in range(6)] == [
        0xA15C02B7, 0x7B47F409, 0xBA1D3330, 0x83D2F293, 0xBFA4784B, 0xCBED606E]  # fmt: skip


def test_seeds_give_streams_of_their_own():
    assert len({tuple(lib.cge_rng_next(rng) for _ in range(2)) for rng in map(seeded, range(1000))}) == 1000


def chi_square(counts):
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 for count in counts) / expected


def limit(cells):
    """Far above chance (6 sigma) for that many cells."""
    return cells - 1 + 6 * math.sqrt(2 * (cells - 1))


@pytest.mark.parametrize("bound", [1, 2, 3, 7, 10, 100])
def test_below_is_uniform(bound):
    rng = seeded(bound)
    counts = np.bincount([lib.cge_rng_below(rng, bound) for _ in range(20000)], minlength=bound)
    assert len(counts) == bound and chi_square(counts) <= limit(bound)


def test_below_has_no_bias_towards_small_numbers():
    """next() % (3 * 2^30) would draw the first third twice as often as the others."""
    rng = seeded(5)
    draws = [lib.cge_rng_below(rng, 3 << 30) for _ in range(6000)]
    counts = np.bincount([draw >> 30 for draw in draws], minlength=3)
    assert len(counts) == 3 and chi_square(counts) <= limit(3)


def test_below_zero_is_zero():
    assert lib.cge_rng_below(seeded(1), 0) == 0


def test_shuffle_permutes_any_start():
    for count in (0, 1, 2, 3, 100, 10007):
        order = np.arange(count, dtype=np.int32)[::-1].copy()
        if count == 0:
            order = np.empty(1, np.int32)  # a pointer that is not NULL
            order[0] = 77
            ok("rng_shuffle", seeded(1), order, 0)
            assert order[0] == 77
        else:
            ok("rng_shuffle", seeded(count), order, count)
            assert sorted(order) == list(range(count))


def test_shuffle_draws_every_order_equally_often():
    rng, counts = seeded(3), {}
    for _ in range(24000):
        order = np.arange(4, dtype=np.int32)
        ok("rng_shuffle", rng, order, 4)
        counts[tuple(order)] = counts.get(tuple(order), 0) + 1
    assert len(counts) == 24 and chi_square(counts.values()) <= limit(24)


def test_shuffle_refuses():
    order = np.arange(4, dtype=np.int32)
    assert status("rng_shuffle", None, order, 4) == "CGE_ERR_NULL"
    assert status("rng_shuffle", seeded(1), None, 4) == "CGE_ERR_NULL"
    assert status("rng_shuffle", seeded(1), order, -1) == "CGE_ERR_ARGUMENT"
    assert status("rng_seed", None, 1) == "CGE_ERR_NULL"
    assert list(order) == [0, 1, 2, 3]


@pytest.mark.parametrize("suffix", ["f32", "f64"])
def test_uniform(suffix):
    rng, draw = seeded(9), getattr(lib, f"cge_rng_uniform_{suffix}")
    values = np.array([draw(rng) for _ in range(50000)])
    assert values.min() >= 0 and values.max() < 1
    assert np.all(values * 2**24 % 1 == 0), "not in steps of 2^-24"
    assert chi_square(np.bincount((values * 100).astype(int), minlength=100)) <= limit(100)


@pytest.mark.parametrize("suffix", ["f32", "f64"])
def test_normal(suffix):
    rng, draw, count = seeded(9), getattr(lib, f"cge_rng_normal_{suffix}"), 50000
    values = np.sort([draw(rng) for _ in range(count)])
    assert abs(values.mean()) < 5 / math.sqrt(count)
    assert abs(values.var() - 1) < 5 * math.sqrt(2 / count)
    # Kolmogorov-Smirnov distance to the normal distribution; 1.95 / sqrt(n) is exceeded once in a thousand seeds
    distribution = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in values])
    assert np.abs(distribution - (np.arange(count) + 0.5) / count).max() < 1.95 / math.sqrt(count)
    assert 3 < values[-1] < 6 and -6 < values[0] < -3


# ---- initial weights ---------------------------------------------------------------------------------------------


def initial_weights(init, seed=0, groups=1):
    conv = cge.Conv2d(64, 3, groups=groups, init=init)
    return cge.Network((8, 8, 32), [conv, cge.Dense(50, init=init)], seed=seed).get_weights()


@pytest.mark.parametrize(
    "init, variance, uniform",
    [
        ("he_uniform", lambda fan_in, fan_out: 2 / fan_in, True),
        ("he_normal", lambda fan_in, fan_out: 2 / fan_in, False),
        ("glorot_uniform", lambda fan_in, fan_out: 2 / (fan_in + fan_out), True),
        ("glorot_normal", lambda fan_in, fan_out: 2 / (fan_in + fan_out), False),
    ],
)
def test_initial_weights(init, variance, uniform):
    weights, fans_of_layers = initial_weights(init), [(3 * 3 * 32, 3 * 3 * 64), (6 * 6 * 64, 50)]
    assert [w.shape for w in weights] == [(3, 3, 32, 64), (64,), (2304, 50), (50,)]
    for w, b, fans in zip(weights[::2], weights[1::2], fans_of_layers):
        expected = variance(*fans)
        assert np.all(b == 0)
        assert abs(w.mean()) < 5 * math.sqrt(expected / w.size)
        assert abs(w.var() / expected - 1) < 5 * math.sqrt((0.8 if uniform else 2) / w.size)
        bound = math.sqrt(3 * expected)
        if uniform:
            assert 0.99 * bound < np.abs(w).max() <= bound * (1 + 1e-6)
        else:
            assert np.abs(w).max() > 1.5 * bound


def test_fan_in_counts_the_channels_of_one_group():
    w = initial_weights("he_uniform", groups=4)[0]
    bound = math.sqrt(6 / (3 * 3 * 8))
    assert w.shape == (3, 3, 8, 64) and 0.99 * bound < np.abs(w).max() <= bound * (1 + 1e-6)


def test_initial_weights_follow_the_seed():
    first, again, other = initial_weights("he_uniform"), initial_weights("he_uniform"), initial_weights("he_uniform", seed=1)
    assert all(map(same_bits, first, again))
    assert not np.array_equal(first[0], other[0])


def test_the_default_is_he_uniform():
    explicit = cge.Network((4, 4, 1), [cge.Dense(3, init="he_uniform")]).get_weights()
    assert same_bits(cge.Network((4, 4, 1), [cge.Dense(3)]).get_weights()[0], explicit[0])


def test_initial_weights_are_one_stream_in_order():
    """Layer by layer, elements ascending: the first layer's draws do not depend on what follows it."""
    one = cge.Network((6, 1, 1), [cge.Dense(5)], seed=3).get_weights()
    two = cge.Network((6, 1, 1), [cge.Dense(5), cge.Dense(4)], seed=3).get_weights()
    assert same_bits(one[0], two[0])
    rng, bound = seeded(3), np.float32(math.sqrt(6 / 6))
    draws = np.array([lib.cge_rng_uniform_f32(rng) for _ in range(50)], np.float32)
    np.testing.assert_allclose(one[0].ravel(), (2 * draws[:30] - 1) * bound, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(two[2].ravel(), (2 * draws[30:] - 1) * np.float32(math.sqrt(6 / 5)), rtol=1e-6, atol=1e-7)
