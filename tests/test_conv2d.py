"""Convolution against the float64 reference, against signed central differences, and bit for bit in its contracted order."""

import numpy as np
import ordered
import pytest
import reference
from capi import geometry, operator, output_shape, same_bits
from geometries import EDGES, draw, sweep

import convgrad_embedded as cge

SWEEP = sweep(2400)
CHUNKS = [SWEEP[i : i + 100] for i in range(0, len(SWEEP), 100)]


def passes(module, conv, x, w, b, dy):
    """All four results of `module`, which has the functions of the package's names."""
    return {
        "forward": module.conv2d_forward(x, w, b, **conv.arguments),
        "weight_grad": module.conv2d_weight_grad(x, dy, conv.kernel, **conv.arguments),
        "bias_grad": module.conv2d_bias_grad(dy),
        "input_grad": module.conv2d_input_grad(w, dy, conv.input_size, **conv.arguments),
    }


def in_order(conv, x, w, b, dy):
    """The same as scalar loops in the contracted order, samples ascending."""
    dw, db = np.zeros_like(w), np.zeros_like(b)
    for sample, sample_dy in zip(x, dy):
        ordered.conv2d_weight_grad(sample, sample_dy, dw, **conv.arguments)
        ordered.conv2d_bias_grad(sample_dy, db)
    return {
        "forward": np.stack([ordered.conv2d_forward(sample, w, b, **conv.arguments) for sample in x]),
        "weight_grad": dw,
        "bias_grad": db,
        "input_grad": np.stack([ordered.conv2d_input_grad(w, sample, conv.input_size, **conv.arguments) for sample in dy]),
    }


def test_the_sweep_holds_every_difficulty_many_times():
    difficulties = {
        "stride": lambda c: max(c.stride) > 1,
        "dilation": lambda c: max(c.dilation) > 1,
        "groups": lambda c: c.groups > 1,
        "depthwise": lambda c: c.groups > 1 and c.group_in == 1,
        "asymmetric padding": lambda c: any(a != b for a, b in c.padding),
        "padding as large as the kernel": lambda c: any(max(p) >= k for p, k in zip(c.padding, c.kernel)),
        "kernel not square": lambda c: c.kernel[0] != c.kernel[1],
        "input not square": lambda c: c.input_size[0] != c.input_size[1],
        "stride does not divide": lambda c: any((p - r) % s for p, r, s in zip(c.padded, c.reach, c.stride)),
        "1x1 kernel": lambda c: c.kernel == (1, 1),
        "1x1 input": lambda c: c.input_size == (1, 1),
        "kernel as large as the padded input": lambda c: c.reach == c.padded,
        "stride above the kernel": lambda c: any(s > k for s, k in zip(c.stride, c.kernel)),
        "batch": lambda c: c.count > 1,
    }
    counts = {name: sum(map(holds, SWEEP)) for name, holds in difficulties.items()}
    assert len(set(SWEEP)) >= 2000
    assert min(counts.values()) >= 20, counts


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("chunk", range(len(CHUNKS)))
def test_sweep_agrees_with_the_reference(chunk, dtype, tolerance):
    rng = np.random.default_rng(chunk)
    for conv in CHUNKS[chunk]:
        data = conv.data(rng, dtype)
        results = passes(cge, conv, *data)
        expected = passes(reference, conv, *data)
        magnitudes = passes(reference, conv, *map(np.abs, data))
        for name, result in results.items():
            assert result.dtype == dtype and result.shape == expected[name].shape, (name, conv)
            error = np.abs(result - expected[name])
            assert np.all(error <= tolerance * magnitudes[name]), (name, conv, error.max())


@pytest.mark.parametrize("chunk", range(8))
def test_gradients_are_signed_central_differences(chunk):
    """d/dv of sum(r * forward) for each element of x, w and b: with its sign, within 1e-7."""
    rng = np.random.default_rng(1000 + chunk)
    for conv in SWEEP[chunk * 40 : chunk * 40 + 25]:
        x, w, b, r = conv.data(rng, np.float64)
        gradients = passes(cge, conv, x, w, b, r)
        for name, variable in (("input_grad", x), ("weight_grad", w), ("bias_grad", b)):
            for index in rng.permutation(variable.size)[:60]:
                kept, step = variable.flat[index], 1e-3
                sums = []
                for value in (kept + step, kept - step):
                    variable.flat[index] = value
                    sums.append(np.sum(r * cge.conv2d_forward(x, w, b, **conv.arguments)))
                variable.flat[index] = kept
                slope = (sums[0] - sums[1]) / (2 * step)
                assert abs(gradients[name].flat[index] - slope) <= 1e-7, (name, conv, index)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("conv", EDGES.values(), ids=EDGES)
def test_edge_is_the_scalar_loop_bit_for_bit(conv, dtype, rng):
    data = conv.data(rng, dtype)
    results, expected = passes(cge, conv, *data), in_order(conv, *data)
    assert [name for name in results if not same_bits(results[name], expected[name])] == []


def test_sweep_is_the_scalar_loop_bit_for_bit():
    rng = np.random.default_rng(7)
    small = [conv for conv in SWEEP if conv.count * np.prod(conv.output_size) * np.prod(conv.kernel) * conv.out_c < 800]
    assert len(small) >= 150
    for conv in small[:150]:
        data = conv.data(rng, np.float32)
        results, expected = passes(cge, conv, *data), in_order(conv, *data)
        assert [name for name in results if not same_bits(results[name], expected[name])] == [], conv


def test_the_order_is_visible():
    """Guards the two tests above: other orders of the same sums give other bits."""
    conv = EDGES["3x3_8_to_16"]
    x, w, b, dy = conv.data(np.random.default_rng(3), np.float32)
    forward = cge.conv2d_forward(x, w, b, **conv.arguments)
    mirrored = cge.conv2d_forward(x[:, ::-1, ::-1], w[::-1, ::-1], b, **conv.arguments)[:, ::-1, ::-1]
    assert not np.array_equal(forward, mirrored)
    np.testing.assert_allclose(forward, mirrored, rtol=0, atol=1e-4)
    weight_grad = cge.conv2d_weight_grad(x, dy, conv.kernel, **conv.arguments)
    mirrored = cge.conv2d_weight_grad(x[:, ::-1, ::-1], dy[:, ::-1, ::-1], conv.kernel, **conv.arguments)[::-1, ::-1]
    assert not np.array_equal(weight_grad, mirrored)
    np.testing.assert_allclose(weight_grad, mirrored, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_is_the_loop_of_its_samples(dtype):
    rng = np.random.default_rng(11)
    for conv in [draw(rng) for _ in range(100)]:
        x, w, b, dy = conv.data(rng, dtype)
        results = passes(cge, conv, x, w, b, dy)
        g = geometry("conv2d", x.shape[1:], conv.kernel, out_c=conv.out_c, **conv.arguments)
        assert output_shape(g) == dy.shape[1:]
        y, dx, dw, db = np.empty_like(dy), np.empty_like(x), np.zeros_like(w), np.zeros_like(b)
        for i in range(conv.count):
            operator("conv2d_forward", g, x[i], w, b, y[i])
            operator("conv2d_weight_grad", g, x[i], dy[i], dw)
            operator("conv2d_bias_grad", g, dy[i], db)
            operator("conv2d_input_grad", g, w, dy[i], dx[i])
        expected = {"forward": y, "weight_grad": dw, "bias_grad": db, "input_grad": dx}
        assert [name for name in results if not same_bits(results[name], expected[name])] == [], conv


def test_parameter_gradients_add_and_activations_assign(rng):
    conv = EDGES["camera"]
    x, w, b, dy = conv.data(rng, np.float32)
    g = geometry("conv2d", x.shape[1:], conv.kernel, out_c=conv.out_c, **conv.arguments)
    dw, db = w.copy(), b.copy()
    operator("conv2d_weight_grad", g, x[0], dy[0], dw)
    operator("conv2d_bias_grad", g, dy[0], db)
    expected_dw, expected_db = w.copy(), b.copy()
    ordered.conv2d_weight_grad(x[0], dy[0], expected_dw, **conv.arguments)
    ordered.conv2d_bias_grad(dy[0], expected_db)
    assert same_bits(dw, expected_dw) and same_bits(db, expected_db)
    for name, inputs, like in (("forward", (x[0], w, b), dy[0]), ("input_grad", (w, dy[0]), x[0])):
        over_zeros, over_nans = np.zeros_like(like), np.full_like(like, np.nan)
        operator(f"conv2d_{name}", g, *inputs, over_zeros)
        operator(f"conv2d_{name}", g, *inputs, over_nans)
        assert same_bits(over_zeros, over_nans), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_bias_is_a_bias_of_zeros(dtype, rng):
    conv = EDGES["camera"]
    x, w, b, _ = conv.data(rng, dtype)
    assert same_bits(cge.conv2d_forward(x, w, **conv.arguments), cge.conv2d_forward(x, w, 0 * b, **conv.arguments))


def test_taps_in_the_padding_are_left_out_not_multiplied_by_zero():
    """0 * inf would be NaN."""
    x, w = np.ones((2, 2, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)
    w[0, 0] = np.inf  # reaches only the last output
    y = cge.conv2d_forward(x, w, padding=1)
    np.testing.assert_array_equal(y[:, :, 0], [[4, 4], [4, np.inf]])
    dx = cge.conv2d_input_grad(w, np.ones((2, 2, 1), np.float32), (2, 2), padding=1)
    np.testing.assert_array_equal(dx[:, :, 0], [[np.inf, 4], [4, 4]])


def test_nan_and_infinity_follow_ieee():
    x, w = np.zeros((1, 4, 1), np.float32), np.ones((1, 2, 1, 1), np.float32)
    x[0, 0], x[0, 3] = np.nan, np.inf
    y = cge.conv2d_forward(x, w)[0, :, 0]
    assert np.isnan(y[0]) and y[1] == 0 and y[2] == np.inf


# ---- the Python functions' ways to say things ------------------------------------------------------------------------


def test_one_sample_without_batch_axis(rng):
    conv = EDGES["camera"]
    x, w, b, dy = conv.data(rng, np.float32)
    batched, single = passes(cge, conv, x, w, b, dy), passes(cge, conv, x[0], w, b, dy[0])
    assert same_bits(single["forward"], batched["forward"][0]) and same_bits(single["input_grad"], batched["input_grad"][0])
    assert same_bits(single["weight_grad"], batched["weight_grad"]) and same_bits(single["bias_grad"], batched["bias_grad"])


@pytest.mark.parametrize(
    "short, long",
    [
        (dict(stride=2), dict(stride=(2, 2))),
        (dict(dilation=2), dict(dilation=(2, 2))),
        (dict(padding=2), dict(padding=((2, 2), (2, 2)))),
        (dict(padding=(2, 1)), dict(padding=((2, 2), (1, 1)))),
        (dict(padding="same"), dict(padding=((1, 1), (0, 1)))),
        (dict(padding="same", dilation=2), dict(padding=((2, 2), (1, 1)), dilation=2)),
        (dict(), dict(stride=1, padding=0, dilation=1, groups=1)),
    ],
)
def test_short_forms(short, long, rng):
    x, w = rng.normal(size=(2, 9, 8, 3)).astype(np.float32), rng.normal(size=(3, 2, 3, 4)).astype(np.float32)
    y = cge.conv2d_forward(x, w, **long)
    assert same_bits(cge.conv2d_forward(x, w, **short), y)
    assert same_bits(cge.conv2d_weight_grad(x, y, (3, 2), **short), cge.conv2d_weight_grad(x, y, (3, 2), **long))
    assert same_bits(cge.conv2d_input_grad(w, y, (9, 8), **short), cge.conv2d_input_grad(w, y, (9, 8), **long))


def test_same_padding_keeps_the_size(rng):
    for kernel in [(1, 1), (2, 2), (3, 3), (4, 5), (6, 1)]:
        for dilation in (1, 2):
            x, w = rng.normal(size=(7, 9, 2)), rng.normal(size=(*kernel, 2, 3))
            assert cge.conv2d_forward(x, w, padding="same", dilation=dilation).shape == (7, 9, 3)


def test_sizes_as_one_int_are_square(rng):
    x, w = rng.normal(size=(6, 6, 2)), rng.normal(size=(3, 3, 2, 4))
    y = cge.conv2d_forward(x, w)
    assert same_bits(cge.conv2d_weight_grad(x, y, 3), cge.conv2d_weight_grad(x, y, (3, 3)))
    assert same_bits(cge.conv2d_input_grad(w, y, 6), cge.conv2d_input_grad(w, y, (6, 6)))


def test_inputs_are_not_changed(rng):
    conv = EDGES["camera"]
    data = conv.data(rng, np.float32)
    kept = [a.copy() for a in data]
    for a in data:
        a.flags.writeable = False  # read-only inputs are taken, too
    passes(cge, conv, *data)
    assert all(map(same_bits, data, kept))


def test_views_of_any_stride_are_taken(rng):
    conv = EDGES["camera"]
    x, w, b, dy = conv.data(rng, np.float32)
    expected = passes(cge, conv, x, w, b, dy)
    channels_first = np.ascontiguousarray(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    oihw = np.ascontiguousarray(w.transpose(3, 2, 0, 1)).transpose(2, 3, 1, 0)
    spread = np.repeat(dy, 2, axis=2)[:, :, ::2]
    backwards = b[::-1].copy()[::-1]
    results = passes(cge, conv, channels_first, oihw, backwards, spread)
    assert all(same_bits(results[name], expected[name]) for name in expected)
