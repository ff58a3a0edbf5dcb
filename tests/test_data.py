"""cge.data against references that follow cge_data.h with Python's integers and NumPy, and against what chance says."""

import dataclasses
import inspect
import math
import re
from collections import Counter

import numpy as np
import pytest
from capi import STATUS, c_value, ffi, lib
from host import ROOT

import convgrad_embedded as cge
from convgrad_embedded.data import Augmentation, ReplayBuffer, permutation

# ---- the generator, with Python's integers -----------------------------------------------------------------------------

MOST_64 = 2**64 - 1
GOLDEN_RATIO = 0x9E3779B97F4A7C15


def finalised_64(v):
    v = (v ^ v >> 30) * 0xBF58476D1CE4E5B9 & MOST_64
    v = (v ^ v >> 27) * 0x94D049BB133111EB & MOST_64
    return v ^ v >> 31


def finalised_32(v):
    v = (v ^ v >> 16) * 0x85EBCA6B % 2**32
    v = (v ^ v >> 13) * 0xC2B2AE35 % 2**32
    return v ^ v >> 16


def key_of(seed, counter, use):
    key = finalised_64((seed + GOLDEN_RATIO) & MOST_64)
    for part in (counter, use):
        key = finalised_64(((key ^ part) + GOLDEN_RATIO) & MOST_64)
    return key


def inner_of(key, i):
    return finalised_32((i + key) % 2**32)


def number_of(key, i):
    return finalised_32(inner_of(key, i) ^ key >> 32)


def integer_of(key, i, count):
    return number_of(key, i) * count // 2**32


def test_dropout_has_the_same_keys():
    for seed, layer, step, sample in [(0, 0, 0, 0), (7, 3, 12345678901, 9), (2**32 - 1, 2**31 - 1, MOST_64, 2**32 - 1)]:
        assert lib.cge_dropout_key(seed, layer, step, sample) == key_of(seed << 32 | layer, step, sample)


# ---- permutation -----------------------------------------------------------------------------------------------------------


def permuted(count, seed, epoch, place):
    """Bits as lists of halves, rounds one by one."""
    bits = max((count - 1).bit_length(), 6)
    widths = [bits // 2, bits - bits // 2]
    key = key_of(seed, epoch, 1)
    while True:
        halves = [place >> widths[1], place % 2 ** widths[1]]
        for r in range(8):
            changed, other = r % 2, 1 - r % 2
            halves[changed] ^= number_of(key, 65536 * r + halves[other]) % 2 ** widths[changed]
        place = halves[0] << widths[1] | halves[1]
        if place < count:
            return place


@pytest.mark.parametrize("count", [1, 2, 3, 7, 33, 64, 65, 127, 1000, 4097])
@pytest.mark.parametrize("seed, epoch", [(0, 0), (1, 0), (MOST_64, 2**32 - 1)])
def test_a_permutation_follows_its_formula(count, seed, epoch):
    order = permutation(count, seed, epoch)
    assert order.dtype == np.int32 and sorted(order.tolist()) == list(range(count))
    assert order[:200].tolist() == [permuted(count, seed, epoch, place) for place in range(min(count, 200))]


def test_large_orders_are_permutations():
    order = permutation(1_000_003, seed=5)
    seen = np.zeros(len(order), bool)
    seen[order] = True
    assert seen.all()


def test_any_part_of_an_order_is_that_of_the_whole():
    whole = permutation(1000, 3, 4)
    part = np.zeros(10, np.int32)
    for first in (0, 1, 500, 990):
        assert STATUS[lib.cge_permute(1000, 3, 4, first, 10, c_value(part))] == "CGE_OK"
        assert part.tolist() == whole[first : first + 10].tolist()
    for first in (0, 2**31 - 12):
        assert STATUS[lib.cge_permute(2**31 - 1, 3, 4, first, 10, c_value(part))] == "CGE_OK"
        assert part.tolist() == [permuted(2**31 - 1, 3, 4, first + i) for i in range(10)]


def deviations(counts, expected):
    """How far chi-squared is from its mean, in standard deviations of it."""
    free = len(counts) - 1
    return (((np.asarray(counts) - expected) ** 2 / expected).sum() - free) / math.sqrt(2 * free)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_each_order_of_few_comes_equally_often(count):
    seeds = 6000
    found = Counter(tuple(permutation(count, seed).tolist()) for seed in range(seeds))
    orders = math.factorial(count)
    assert abs(deviations([*found.values()] + [0] * (orders - len(found)), seeds / orders)) < 4


@pytest.mark.parametrize("count", [8, 33, 100])
def test_any_two_places_hold_any_two_numbers(count):
    epochs = 8000
    orders = np.stack([permutation(count, 11, epoch) for epoch in range(epochs)]).astype(int)
    for one, other in ((0, 1), (2, count - 1), (count // 2, count // 2 + 1)):
        counts = np.bincount(orders[:, one] * count + orders[:, other], minlength=count * count).reshape(count, count)
        assert np.diagonal(counts).sum() == 0
        assert abs(deviations(counts[~np.eye(count, dtype=bool)], epochs / (count * (count - 1)))) < 4


def test_orders_of_neighbouring_seeds_and_epochs_share_no_more_than_chance():
    base = permutation(1000, 1, 1)
    for other in (permutation(1000, 1, 2), permutation(1000, 2, 1), permutation(1000, 0, 1)):
        assert (base == other).sum() < 8
    steps = np.diff(base.astype(int))
    assert len(set(steps.tolist())) > 600 and (np.abs(steps) == 1).sum() < 12


# ---- augmentation ----------------------------------------------------------------------------------------------------------


def share(u):
    return np.float64(u >> 8) / 2**23 - 1


def augmented(x, a, seed, counter):
    """With np.pad, slices and axes of x [h][w][c]; tone in float32 or with Python's integers, as the header says."""
    key = key_of(seed, counter, 2)
    u = [number_of(key, i) for i in range(8)]
    (sh, sw), size = (a.shift if isinstance(a.shift, tuple) else (a.shift, a.shift)), x.shape[:2]
    out = a.crop or size
    out = out if isinstance(out, tuple) else (out, out)
    kind = {"mode": "edge"} if a.fill_edge else {"constant_values": x.dtype.type(a.fill)}
    padded = np.pad(x, ((sh, sh), (sw, sw), (0, 0)), **kind)
    corner = [u[i] * (size[i] + 2 * s - out[i] + 1) >> 32 for i, s in enumerate((sh, sw))]
    y = padded[corner[0] : corner[0] + out[0], corner[1] : corner[1] + out[1]]
    y = y[::-1] if u[2] / 2**32 < np.float32(a.flip_vertical) else y
    y = (y[:, ::-1] if u[3] / 2**32 < np.float32(a.flip_horizontal) else y).copy()
    if a.contrast or a.brightness or a.noise:
        y = toned(y, a, key, share(u[4]), share(u[5]))
    cut = a.cutout if isinstance(a.cutout, tuple) else (a.cutout, a.cutout)
    if cut[0]:
        first = [(u[6 + i] * out[i] >> 32) - cut[i] // 2 for i in (0, 1)]
        rows, columns = (slice(max(f, 0), f + c) for f, c in zip(first, cut))
        y[rows, columns] = x.dtype.type(a.fill)
    return y


def toned(y, a, key, of_gain, of_bias):
    f = np.float32
    gain = f(1) + f(a.contrast) * f(of_gain)
    bias = f(a.brightness) * f(of_bias) + f(a.centre) * (f(1) - gain)
    scale = f(a.noise) * f(float.fromhex("0x1.3a261cp-3"))
    noise = []
    for i in range(y.size):
        j, shift = 8 + i // 8, 4 * (i % 8)
        noise.append((inner_of(key, j) >> shift & 15) + (number_of(key, j) >> shift & 15) - 15)
    if y.dtype == np.float32:
        return ((y.ravel() * gain + bias) + np.array(noise, f) * scale).reshape(y.shape)
    g, b, s = (int(np.trunc(np.float64(part) * 65536)) for part in (gain, bias, scale))
    values = [(int(v) * g + b + n * s + 32768) // 65536 for v, n in zip(y.ravel(), noise)]
    return np.clip(values, 0, 255).astype(np.uint8).reshape(y.shape)


AUGMENTATIONS = {
    "nothing": Augmentation(),
    "shift": Augmentation(shift=2),
    "shift over the edge": Augmentation(shift=(4, 3), fill=7),
    "shift, edge": Augmentation(shift=(6, 4), fill_edge=True),
    "shift of rows": Augmentation(shift=(3, 0)),
    "flips": Augmentation(flip_horizontal=0.5, flip_vertical=0.5),
    "always": Augmentation(flip_horizontal=1, flip_vertical=1),
    "crop": Augmentation(crop=(5, 4)),
    "crop with padding": Augmentation(crop=(6, 3), shift=(3, 2), fill=100),
    "crop with edge": Augmentation(crop=(9, 2), shift=(2, 1), fill_edge=True),
    "larger": Augmentation(crop=(11, 7), shift=(2, 1), fill=3),
    "contrast": Augmentation(contrast=1, centre=100),
    "brightness": Augmentation(brightness=255),
    "noise": Augmentation(noise=30),
    "loud": Augmentation(noise=255, contrast=1, centre=255, brightness=255),
    "cutout": Augmentation(cutout=(3, 2), fill=200),
    "cutout of all": Augmentation(cutout=(7, 5), fill=1),
    "golden": Augmentation(
        shift=(2, 1), fill=9, flip_horizontal=0.5, flip_vertical=0.25, contrast=0.5, centre=100, brightness=30, noise=12,
        cutout=2,
    ),
    "all": Augmentation(
        shift=2, flip_horizontal=0.5, flip_vertical=0.25, contrast=0.25, centre=128, brightness=20, noise=5, cutout=3, fill=9
    ),
}


def pictures(rng, dtype, channels, count=12):
    shape = (count, 7, 5, channels)
    return rng.integers(0, 256, shape, np.uint8) if dtype == np.uint8 else rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_follows_its_formula(name, dtype, channels, rng):
    a, x = AUGMENTATIONS[name], pictures(rng, dtype, channels)
    y = a(x, seed=3, counter=40)
    expected = np.stack([augmented(sample, a, 3, 40 + i) for i, sample in enumerate(x)])
    assert y.dtype == dtype and y.shape == expected.shape
    assert np.array_equal(y.view(np.uint8), expected.view(np.uint8))
    assert np.array_equal(a(x[5], seed=3, counter=45), y[5])
    backwards = a(x[::-1], seed=3, counter=[51 - i for i in range(12)])
    assert np.array_equal(backwards[::-1], y)
    if name != "nothing":
        assert not np.array_equal(y, x)
    if name not in ("nothing", "always", "larger", "cutout of all"):  # which have no choice
        assert not np.array_equal(y, a(x, 4, 40))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("name", [name for name, a in AUGMENTATIONS.items() if a.crop is None])
def test_in_place_it_is_the_same(name, dtype, rng):
    a = AUGMENTATIONS[name]
    x = pictures(rng, dtype, 2, count=1)[0]
    fields = {**a._c_members(), "in_h": 7, "in_w": 5, "in_c": 2}
    function, kind = (lib.cge_augment_u8, "uint8_t[]") if dtype == np.uint8 else (lib.cge_augment_f32, "float[]")
    for counter in range(25):
        y = x.copy()
        buffer = ffi.from_buffer(kind, y)
        assert STATUS[function(ffi.new("cge_augmentation *", fields), 8, counter, buffer, buffer)] == "CGE_OK"
        assert np.array_equal(y, a(x, 8, counter))


def test_bytes_and_numbers_move_alike(rng):
    a = Augmentation(shift=2, flip_horizontal=0.5, cutout=2, fill=5)
    x = pictures(rng, np.uint8, 3)
    assert np.array_equal(a(x, 1), a(x.astype(np.float32), 1))


def test_draws_are_spread_evenly():
    x = np.arange(1, 26, dtype=np.uint8).reshape(1, 5, 5, 1).repeat(5000, 0)
    shifted = Augmentation(shift=2)(x, seed=1)[:, 2, 2, 0]  # what is in the middle tells the shift
    assert abs(deviations(np.bincount(shifted, minlength=26)[1:], 200)) < 4
    flipped = Augmentation(flip_horizontal=0.3)(x, seed=1)[:, 0, 0, 0] == 5
    assert flipped.mean() == pytest.approx(0.3, abs=0.03)
    cut = (Augmentation(cutout=1)(x, seed=1)[..., 0] == 0).reshape(5000, 25)
    assert (cut.sum(1) == 1).all() and abs(deviations(cut.sum(0), 200)) < 4
    tone = Augmentation(brightness=0.5, contrast=0.25)
    ones = np.ones((3000, 1, 1, 2), np.float32) * np.float32([1, 3])
    y = tone(ones, seed=2).reshape(3000, 2).astype(float)
    gains, biases = (y[:, 1] - y[:, 0]) / 2, (3 * y[:, 0] - y[:, 1]) / 2
    for values, reach, middle in ((gains, 0.25, 1), (biases, 0.5, 0)):
        assert np.abs(values - middle).max() <= reach + 1e-6
        assert values.mean() == pytest.approx(middle, abs=0.03) and values.std() == pytest.approx(reach / 3**0.5, rel=0.05)
    assert abs(np.corrcoef(gains, biases)[0, 1]) < 0.06


def test_noise_has_its_deviation_and_no_pattern():
    noise = Augmentation(noise=2.0)(np.zeros((1, 200, 200, 1), np.float32), seed=4).astype(float).reshape(200, 200)
    assert noise.mean() == pytest.approx(0, abs=0.04) and noise.std() == pytest.approx(2, rel=0.01)
    flat = noise.ravel()
    for lag in (1, 2, 4, 7, 8, 16, 200):
        assert abs(np.corrcoef(flat[lag:], flat[:-lag])[0, 1]) < 0.02


def test_augmentations_are_shown_as_they_are_written():
    assert repr(Augmentation()) == "Augmentation()"
    assert repr(Augmentation(shift=(2, 1), noise=3.0)) == "Augmentation(shift=(2, 1), noise=3.0)"
    assert Augmentation(shift=2) == Augmentation(shift=2)


# ---- the numbers on which all targets agree --------------------------------------------------------------------------------


def hashed(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & MOST_64
    return value


def golden(name):
    text = (ROOT / "tests" / "c" / "golden.h").read_text()
    return int(re.search(rf"#define {name} (0x\w+)", text)[1], 16)


def test_orders_and_pictures_have_the_bits_of_boards():
    """The runs of tests/c/test_data.c."""
    order = b"".join(permutation(count, 7, 3).tobytes() for count in (1, 2, 60, 64, 65, 1000))
    a = AUGMENTATIONS["golden"]
    numbers = np.arange(7 * 5 * 3)
    x = (numbers * 37 + (numbers >> 3)).astype(np.uint8).reshape(1, 7, 5, 3).repeat(20, 0)
    y, z = a(x, 7), dataclasses.replace(a, shift=(2, 1), fill=0.5, noise=0.25, brightness=0.5, centre=0.25)(
        x.astype(np.float32) / 256, 7
    )
    found = {"ORDERS": hashed(order), "PICTURES": hashed(y.tobytes()), "PICTURES_F32": hashed(z.tobytes())}
    assert found == {name: golden(f"GOLDEN_{name}") for name in found}


# ---- replay ----------------------------------------------------------------------------------------------------------------


def chosen(stream, capacity, classes, seed):
    """Slots after each label of the stream, as lists (number in the stream, label)."""
    slots, seen, large, counts = [], 0, set(), Counter()
    for label in stream:
        key, sample = key_of(seed, seen, 3), (seen, label)
        mine = [i for i, (_, other) in enumerate(slots) if other == label]
        if len(slots) < capacity:
            slots.append(sample)
        elif not classes:
            if key % (seen + 1) < capacity:
                slots[key % (seen + 1)] = sample
        else:
            held = Counter(other for _, other in slots)
            largest = min(held, key=lambda c: (-held[c], c))
            large.update(c for c in held if held[c] == held[largest])
            if label not in large:
                slots[[i for i, (_, other) in enumerate(slots) if other == largest][key % held[largest]]] = sample
            elif key % (counts[label] + 1) < len(mine):
                slots[mine[key % (counts[label] + 1)]] = sample
        seen += 1
        counts[label] += 1
        yield list(slots)


@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("capacity", [1, 2, 7, 20])
def test_a_buffer_holds_what_the_formula_says(capacity, classes, rng):
    stream = rng.choice(4, 300, p=[0.7, 0.2, 0.08, 0.02]).tolist()
    buffer = ReplayBuffer(capacity, (2, 3), np.int16, classes=classes, seed=9)
    before = []
    for i, (label, slots) in enumerate(zip(stream, chosen(stream, capacity, classes, 9))):
        slot = buffer.add(np.full((2, 3), i, np.int16), label)
        assert buffer.samples[:, 1, 2].tolist() == [number for number, _ in slots]
        assert buffer.labels.tolist() == [label for _, label in slots]
        changed = [i for i, pair in enumerate(slots) if i >= len(before) or before[i] != pair]
        assert changed == ([] if slot is None else [slot])
        before = slots
    assert buffer.seen == 300 and len(buffer) == capacity
    x, labels = buffer.draw(50)
    expected = [key_of(9, i, 4) % capacity for i in range(50)]
    assert np.array_equal(x, buffer.samples[expected]) and np.array_equal(labels, buffer.labels[expected])


def test_each_sample_of_a_stream_is_held_equally_often():
    held = np.zeros(40, int)
    for seed in range(1500):
        buffer = ReplayBuffer(8, (1,), np.int32, seed=seed)
        for i in range(40):
            buffer.add(np.array([i], np.int32))
        held[buffer.samples[:, 0]] += 1
    assert held.sum() == 8 * 1500
    assert abs(deviations(held, 300) * 0.9) < 4


def test_rare_classes_keep_what_they_have():
    stream = [0] * 300 + [1] * 30 + [2] * 6 + [0] * 300
    buffer = ReplayBuffer(30, (1,), np.float32, classes=3)
    for label in stream:
        buffer.add(np.float32([label]), label)
    assert np.bincount(buffer.labels, minlength=3).tolist() == [12, 12, 6]
    assert np.array_equal(buffer.samples[:, 0], buffer.labels)


def test_draws_from_a_buffer_are_spread_evenly():
    buffer = ReplayBuffer(10, (1,), np.uint8)
    for i in range(10):
        buffer.add(np.uint8([i]), i)
    _, labels = buffer.draw(5000)
    assert abs(deviations(np.bincount(labels, minlength=10), 500)) < 4


def test_a_buffer_goes_on_after_its_bytes_were_copied():
    """What a board stores before a reset: state, counts, labels, samples, without addresses."""

    def memory():
        parts = [ffi.new("cge_replay_class[]", 3), ffi.new("int32_t[]", 5), ffi.new("uint8_t[]", 10)]
        fields = {"samples": parts[2], "labels": parts[1], "sample_bytes": 2, "capacity": 5, "classes": 3, "counts": parts[0]}
        return ffi.new("cge_replay *", {**fields, "seed": 4}), [ffi.new("cge_replay_state *"), *parts]

    def run(replay, parts, numbers):
        for i in numbers:
            sample = ffi.new("uint8_t[]", [i, i + 1])
            assert lib.cge_replay_add(replay, parts[0], sample, i * i % 3, ffi.NULL) == lib.CGE_OK

    (one, first), (two, second) = memory(), memory()
    run(one, first, range(20))
    for to, of in zip(second, first):
        ffi.buffer(to)[:] = ffi.buffer(of)[:]
    run(one, first, range(20, 60))
    run(two, second, range(20, 60))
    assert all(ffi.buffer(to)[:] == ffi.buffer(of)[:] for to, of in zip(second, first))


# ---- early stopping ----------------------------------------------------------------------------------------------------------


def stops_at(losses, patience, min_delta):
    """Keras's rule: (measurement that stops, counted from 1, or None; that of the best)."""
    best, at = math.inf, 0
    for i, loss in enumerate(losses, 1):
        if loss < best - min_delta:
            best, at = loss, i
        elif i - at >= patience:
            return i, at
    return None, at


@pytest.mark.parametrize("patience", [0, 1, 2, 5])
@pytest.mark.parametrize("min_delta", [0.0, 0.125])
def test_early_stopping_stops_where_keras_does(patience, min_delta, rng):
    for _ in range(30):
        losses = (rng.integers(0, 40, 25) / 16 + np.linspace(1, 0, 25).round(2)).astype(np.float32).tolist()
        losses[int(rng.integers(1, 25))] = math.nan
        kept = np.zeros(3, np.float32)
        settings = {"patience": patience, "min_delta": min_delta, "param_elems": 3, "best_params": c_value(kept)}
        e, state = ffi.new("cge_early_stopping *", settings), ffi.new("cge_early_stopping_state *")
        for i, loss in enumerate(losses, 1):
            params = np.full(3, i, np.float32)
            assert lib.cge_early_stopping_update(e, state, loss, c_value(params)) == lib.CGE_OK
            if state.stop:
                break
        expected, best = stops_at(losses, patience, min_delta)
        assert (state.measured if state.stop else None, state.best_at) == (expected, best)
        assert kept.tolist() == [best] * 3 and state.best == losses[best - 1]


# ---- refused -----------------------------------------------------------------------------------------------------------------

X = np.zeros((2, 6, 5, 1), np.uint8)
BAD = {
    "count": (lambda: permutation(0), ValueError, ["count", "at least 1", "0"]),
    "count, no integer": (lambda: permutation(3.0), TypeError, ["count", "integer", "float"]),
    "count, large": (lambda: permutation(2**31), ValueError, ["count", "at most", "2147483648"]),
    "seed": (lambda: permutation(3, -1), ValueError, ["seed", "at least 0", "-1"]),
    "epoch": (lambda: permutation(3, 0, 2**32), ValueError, ["epoch", "at most", "4294967296"]),
    "unknown": (lambda: permutation(3, sed=1), TypeError, ["permutation", "sed", "did you mean seed"]),
    "by position": (lambda: Augmentation(2), TypeError, ["Augmentation"]),
    "shift": (lambda: Augmentation(shift=-1), ValueError, ["Augmentation", "shift", "at least 0", "-1"]),
    "shift of three": (lambda: Augmentation(shift=(1, 2, 3)), ValueError, ["shift", "(h, w)", "(1, 2, 3)"]),
    "crop": (lambda: Augmentation(crop=0), ValueError, ["crop", "at least 1", "0"]),
    "flip": (lambda: Augmentation(flip_horizontal=1.5), ValueError, ["flip_horizontal", "<= 1", "1.5"]),
    "contrast": (lambda: Augmentation(contrast=np.nan), ValueError, ["contrast", "nan"]),
    "noise": (lambda: Augmentation(noise=-1), ValueError, ["noise", ">= 0", "-1"]),
    "fill": (lambda: Augmentation(fill="edge"), TypeError, ["fill", "number", "'edge'"]),
    "fill_edge": (lambda: Augmentation(fill_edge="yes"), TypeError, ["fill_edge", "True or False", "'yes'"]),
    "cutout": (lambda: Augmentation(cutout=(2, 0)), ValueError, ["cutout", "above 0", "(2, 0)"]),
    "unknown setting": (lambda: Augmentation(shfit=1), TypeError, ["shfit", "did you mean shift"]),
    "shift too large": (lambda: Augmentation(shift=5)(X), ValueError, ["shift", "less than", "w = 5", "got 5"]),
    "crop too large": (lambda: Augmentation(crop=7)(X), ValueError, ["crop", "at most", "6", "got 7"]),
    "cutout too large": (lambda: Augmentation(cutout=6)(X), ValueError, ["cutout", "w = 5", "6"]),
    "fill of bytes": (lambda: Augmentation(fill=-1)(X), ValueError, ["fill", "0 to 255", "-1"]),
    "noise of bytes": (lambda: Augmentation(noise=256)(X), ValueError, ["noise", "0 to 255", "256"]),
    "x, rank": (lambda: Augmentation()(X[0, 0]), ValueError, ["x", "(N, H, W, C)", "(5, 1)"]),
    "x, type": (lambda: Augmentation()(X.astype(int)), TypeError, ["x", "float32", "int64"]),
    "x, float64": (lambda: Augmentation()(X.astype(float)), TypeError, ["x", "float32 or uint8", "float64"]),
    "counter": (lambda: Augmentation()(X, 0, -1), ValueError, ["counter", "at least 0", "-1"]),
    "counters": (lambda: Augmentation()(X, 0, [1, 2, 3]), ValueError, ["counter", "or 2", "got 3"]),
    "capacity": (lambda: ReplayBuffer(0, (2,)), ValueError, ["capacity", "at least 1", "0"]),
    "shape": (lambda: ReplayBuffer(3, 2), TypeError, ["shape", "sizes", "int 2"]),
    "size": (lambda: ReplayBuffer(3, (2, 0)), ValueError, ["shape", "at least 1", "0"]),
    "dtype": (lambda: ReplayBuffer(3, (2,), "U3"), TypeError, ["dtype", "numbers", "<U3"]),
    "bytes": (lambda: ReplayBuffer(2**20, (2**20,)), ValueError, ["capacity", "at most", "bytes"]),
    "sample": (lambda: ReplayBuffer(3, (2,)).add([1.0, 2.0], 0), ValueError, ["x", "float32", "float64"]),
    "sample, shape": (lambda: ReplayBuffer(3, (2,)).add(np.zeros(3, np.float32)), ValueError, ["x", "(2,)", "(3,)"]),
    "label": (
        lambda: ReplayBuffer(3, (1,), np.uint8, classes=2).add(np.zeros(1, np.uint8), 2),
        ValueError,
        ["label", "at most 1", "2"],
    ),
    "draw": (lambda: ReplayBuffer(3, (1,)).draw(1), ValueError, ["draw", "none", "add()"]),
    "n": (lambda: ReplayBuffer(3, (1,)).draw(0), ValueError, ["n", "at least 1", "0"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_with_what_came_and_what_was_expected(name):
    call, error, parts = BAD[name]
    with pytest.raises(error) as refused:
        call()
    assert [part for part in parts if part not in str(refused.value)] == [], str(refused.value)


def test_everything_public_says_what_it_is():
    for name in cge.data.__all__:
        assert inspect.getdoc(getattr(cge.data, name))


def test_states_have_no_addresses():
    """They are stored on boards with pointers of 4 bytes and read elsewhere."""
    assert ffi.sizeof("cge_replay_state") == 24 and ffi.sizeof("cge_replay_class") == 16
    assert ffi.sizeof("cge_early_stopping_state") == 20
