"""Dense layers, pooling and activations: against the reference, in their contracted order, at their special values."""

import numpy as np
import ordered
import pytest
import reference
from capi import ffi, geometry, lib, operator, output_shape, same_bits, status

import convgrad_embedded as cge

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


def assert_close(result, expected, magnitude):
    assert result.shape == expected.shape
    assert np.all(np.abs(result - expected) <= TOLERANCE[result.dtype.type] * magnitude), np.abs(result - expected).max()


# ---- dense -------------------------------------------------------------------------------------------------------

SIZES = [(1, 1), (1, 9), (7, 1), (3, 8), (8, 3), (10, 10), (17, 33), (64, 10), (31, 16), (33, 4), (5, 65), (200, 7)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size_in, size_out", SIZES)
def test_dense(size_in, size_out, dtype, rng):
    x, w, b, dy, dw, db = (
        rng.normal(size=s).astype(dtype)
        for s in (size_in, (size_in, size_out), size_out, size_out, (size_in, size_out), size_out)
    )
    y, dx, added_w, added_b = np.full_like(b, np.nan), np.full_like(x, np.nan), dw.copy(), db.copy()
    operator("dense_forward", size_in, size_out, x, w, b, y)
    operator("dense_input_grad", size_in, size_out, w, dy, dx)
    operator("dense_weight_grad", size_in, size_out, x, dy, added_w)
    operator("dense_bias_grad", size_out, dy, added_b)

    wide = [a.astype(np.float64) for a in (x, w, b, dy)]
    assert_close(y, wide[0] @ wide[1] + wide[2], np.abs(x) @ np.abs(w) + np.abs(b))
    assert_close(dx, wide[1] @ wide[3], np.abs(w) @ np.abs(dy))
    assert same_bits(y, ordered.dense_forward(x, w, b))
    assert same_bits(dx, ordered.dense_input_grad(w, dy))
    assert same_bits(added_w, dw + x[:, None] * dy)
    assert same_bits(added_b, db + dy)


def test_dense_without_bias(rng):
    x, w = rng.normal(size=5).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32)
    y = np.empty(3, np.float32)
    operator("dense_forward", 5, 3, x, w, None, y)
    assert same_bits(y, ordered.dense_forward(x, w, np.zeros(3, np.float32)))


# ---- pooling -----------------------------------------------------------------------------------------------------

POOLS = {  # input, kernel, stride, padding
    "2x2": ((8, 8, 3), (2, 2), None, ((0, 0), (0, 0))),
    "2x2_odd_input": ((7, 9, 5), (2, 2), None, ((0, 0), (0, 0))),
    "3x3_stride_2_padded": ((9, 8, 4), (3, 3), (2, 2), ((1, 1), (1, 1))),
    "one_sided": ((5, 6, 2), (3, 2), (1, 2), ((2, 0), (0, 1))),
    "asymmetric": ((6, 5, 17), (4, 3), (3, 1), ((3, 1), (0, 2))),
    "overlapping": ((6, 7, 8), (3, 4), (1, 1), ((0, 0), (0, 0))),
    "stride_above_kernel": ((9, 9, 2), (2, 2), (3, 5), ((0, 0), (0, 0))),
    "global": ((4, 6, 9), (4, 6), None, ((0, 0), (0, 0))),
    "1x1_input": ((1, 1, 3), (1, 1), None, ((0, 0), (0, 0))),
    "1x1_input_padded": ((1, 1, 3), (3, 3), (1, 1), ((2, 2), (1, 1))),
    "1x1_kernel": ((4, 3, 2), (1, 1), (2, 1), ((0, 0), (0, 0))),
    "row": ((1, 12, 2), (1, 3), (1, 2), ((0, 0), (2, 2))),
}


def pool_case(name, dtype, rng, ties=False):
    shape, kernel, stride, padding = POOLS[name]
    g = geometry("pool2d", shape, kernel, stride=stride, padding=padding)
    x, dy = rng.normal(size=shape).astype(dtype), rng.normal(size=output_shape(g)).astype(dtype)
    return g, np.round(x) if ties else x, dy, kernel, dict(stride=stride, padding=padding)


def max_pool(g, x, dy):
    y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
    operator("maxpool2d_forward", g, x, y)
    operator("maxpool2d_input_grad", g, x, dy, dx)
    return y, dx


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("name", POOLS)
def test_maxpool2d(name, ties, dtype, rng):
    g, x, dy, kernel, arguments = pool_case(name, dtype, rng, ties)
    y, dx = max_pool(g, x, dy)
    np.testing.assert_array_equal(y, reference.maxpool2d_forward(x[None], kernel, **arguments)[0])
    expected = reference.maxpool2d_input_grad(x[None], dy[None], kernel, **arguments)[0]
    assert_close(dx, expected, reference.maxpool2d_input_grad(x[None], np.abs(dy)[None], kernel, **arguments)[0])
    assert same_bits(dx, ordered.maxpool2d_input_grad(x, dy, kernel, **arguments))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", POOLS)
def test_avgpool2d(name, dtype, rng):
    g, x, dy, kernel, arguments = pool_case(name, dtype, rng)
    y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
    operator("avgpool2d_forward", g, x, y)
    operator("avgpool2d_input_grad", g, dy, dx)
    expected = reference.avgpool2d_input_grad((1, *x.shape), dy[None], kernel, **arguments)[0]
    assert_close(
        y,
        reference.avgpool2d_forward(x[None], kernel, **arguments)[0],
        reference.avgpool2d_forward(np.abs(x)[None], kernel, **arguments)[0],
    )
    assert_close(dx, expected, reference.avgpool2d_input_grad((1, *x.shape), np.abs(dy)[None], kernel, **arguments)[0])
    assert same_bits(y, ordered.avgpool2d_forward(x, kernel, **arguments))
    assert same_bits(dx, ordered.avgpool2d_input_grad(x.shape[:2], dy, kernel, **arguments))


def row(*values):
    return np.array(values, np.float32).reshape(1, -1, 1)


@pytest.mark.parametrize(
    "x, y, place",
    [
        (row(1, 3, 3, 2), 3, 1),
        (row(-np.inf, -np.inf, -np.inf, -np.inf), -np.inf, 0),
        (row(1, np.nan, 5, np.nan), np.nan, 1),
        (row(np.nan, 9, 9, 9), np.nan, 0),
        (row(-1, -2, np.inf, np.nan), np.nan, 3),
        (row(-0.0, 0.0, 0.0, -0.0), -0.0, 0),
        (row(-5, -4, -3, -6), -3, 2),
    ],
)
def test_maxpool2d_chooses_the_first_of_the_largest_and_nan_wins(x, y, place):
    result, dx = max_pool(geometry("pool2d", x.shape, (1, 4)), x, row(7))
    assert same_bits(result, row(y))
    assert list(dx.ravel()) == [7 if i == place else 0 for i in range(4)]


def test_maxpool2d_padding_is_no_candidate():
    """Padding with zeros would win over negative numbers."""
    x = -np.ones((3, 3, 1), np.float32)
    g = geometry("pool2d", x.shape, (3, 3), stride=(1, 1), padding=((1, 1), (1, 1)))
    y, dx = max_pool(g, x, np.ones((3, 3, 1), np.float32))
    assert np.all(y == -1) and dx.sum() == 9


def test_avgpool2d_padding_is_not_counted():
    x = np.ones((3, 3, 2), np.float32)
    y = np.empty_like(x)
    operator("avgpool2d_forward", geometry("pool2d", x.shape, (3, 3), stride=(1, 1), padding=((1, 1), (1, 1))), x, y)
    assert np.all(y == 1)


@pytest.mark.parametrize("operation", ["maxpool2d", "avgpool2d"])
def test_pool2d_gradient_is_the_signed_central_difference(operation, rng):
    for name in POOLS:
        g, x, r, _, _ = pool_case(name, np.float64, rng)
        dx, y = np.empty_like(x), np.empty_like(r)
        operator(f"{operation}_input_grad", g, *([x] if operation == "maxpool2d" else []), r, dx)
        for index in range(0, x.size, max(1, x.size // 50)):
            sums = []
            for step in (1e-6, -1e-6):
                moved = x.copy()
                moved.flat[index] += step
                operator(f"{operation}_forward", g, moved, y)
                sums.append(np.sum(r * y))
            assert abs(dx.flat[index] - (sums[0] - sums[1]) / 2e-6) <= 1e-7, (name, index)


# ---- activations -------------------------------------------------------------------------------------------------

ACTIVATIONS = [
    ("relu", ()),
    ("leaky_relu", (0.1,)),
    ("leaky_relu", (0.0,)),
    ("leaky_relu", (1.5,)),
    ("sigmoid", ()),
    ("tanh", ()),
    ("relu6", ()),
    ("hard_sigmoid", ()),
    ("elu", (1.0,)),
    ("elu", (0.3,)),
    ("softplus", ()),
    ("hard_swish", ()),
    ("silu", ()),
    ("gelu", ()),
]
TOLD_BY_X = ("hard_swish", "silu", "gelu")
SPECIAL = np.array([-np.inf, -1e4, -1.0, -0.0, 0.0, 1.0, 1e4, np.inf, np.nan], np.float32)


def activate(name, parameters, x, dy):
    y, dx = np.empty_like(x), np.empty_like(x)
    operator(f"{name}_forward", x.size, *parameters, x, y)
    operator(f"{name}_input_grad", x.size, *parameters, x if name in TOLD_BY_X else y, dy, dx)
    return y, dx


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name, parameters", ACTIVATIONS)
def test_activation(name, parameters, dtype, rng):
    for n in (1, 2, 3, 4, 7, 8, 9, 31, 1000):
        x, dy = (3 * rng.normal(size=n)).astype(dtype), rng.normal(size=n).astype(dtype)
        y, dx = activate(name, parameters, x, dy)
        alpha = [float(np.float32(p)) for p in parameters]
        expected, slope = getattr(reference, name)(x.astype(np.float64), *alpha)
        assert_close(y, expected, 1)
        assert_close(dx, dy * slope, np.abs(dy))


def formula(name, x, y, dy, alpha=None):
    """y and dx as the header writes them, with the core's elementary functions."""
    one, half = x.dtype.type(1), x.dtype.type(0.5)
    suffix = "f32" if x.dtype == np.float32 else "f64"
    exp, log, tanh, erf = (
        (lambda v, f=getattr(lib, f"cge_{called}_{suffix}"): np.array([f(element) for element in v], x.dtype))
        for called in ("exp", "log", "tanh", "erf")
    )

    def sixth(v):
        return v * x.dtype.type(1 / 6)

    def relu6(v):
        return np.where(v <= 0, 0 * one, np.where(v >= 6, 6 * one, v))

    def softplus():
        e = exp(-np.abs(x))
        u, t = one + e, tanh(y * half)
        return np.where(x > 0, x, 0 * one) + (log(u) + (e - (u - one)) / u), dy * ((t + t) / (one + t))

    def elu():
        t = tanh(np.where(x > 0, 0 * one, x * half))
        return np.where(x > 0, x, alpha * ((t + t) / (one - t))), np.where(y > 0, dy, dy * (y + alpha))

    def silu():
        e = exp(-np.abs(x))
        s = np.where(x < 0, e, one) / (one + e)
        return x * s, dy * (s * (one + x * (one - s)))

    def gelu():
        p = half + half * erf(x * x.dtype.type(0.5**0.5))
        return x * p, dy * (p + x * (exp(x * x * -half) * x.dtype.type((0.5 / np.pi) ** 0.5)))

    def hard_swish():
        slope = np.where(x >= 3, dy, dy * (x * x.dtype.type(1 / 3) + half))
        return np.where(x <= -3, 0 * one, np.where(x >= 3, x, x * sixth(x + 3 * one))), np.where(x <= -3, 0 * one, slope)

    alpha = None if alpha is None else x.dtype.type(np.float32(alpha))
    with np.errstate(invalid="ignore", over="ignore"):
        return {
            "relu6": lambda: (relu6(x), np.where((y > 0) & (y < 6), dy, 0 * one)),
            "hard_sigmoid": lambda: (sixth(relu6(x + 3 * one)), np.where((y > 0) & (y < 1), sixth(dy), 0 * one)),
            "elu": elu,
            "softplus": softplus,
            "hard_swish": hard_swish,
            "silu": silu,
            "gelu": gelu,
            "relu": lambda: (np.where(x < 0, 0 * one, x), np.where(y > 0, dy, 0 * one)),
            "leaky_relu": lambda: (np.where(x < 0, alpha * x, x), np.where(y > 0, dy, alpha * dy)),
            "sigmoid": lambda: (y, dy * (y * (one - y))),
            "tanh": lambda: (y, dy * (one - y * y)),
        }[name]()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name, parameters", ACTIVATIONS)
def test_activation_is_the_formula_bit_for_bit(name, parameters, dtype, rng):
    x = np.concatenate([3 * rng.normal(size=500), SPECIAL[:-1]]).astype(dtype)
    for dy in (rng.normal(size=x.size).astype(dtype), np.full(x.size, -2, dtype)):
        y, dx = activate(name, parameters, x, dy)
        expected_y, expected_dx = formula(name, x, y, dy, *parameters)
        assert same_bits(y, expected_y)
        assert same_bits(dx, expected_dx)


@pytest.mark.parametrize("name, parameters", ACTIVATIONS)
def test_activation_in_place(name, parameters, rng):
    x, dy = rng.normal(size=37).astype(np.float32), rng.normal(size=37).astype(np.float32)
    y, dx = activate(name, parameters, x, dy)
    operator(f"{name}_input_grad", 37, *parameters, x if name in TOLD_BY_X else y, dy, dy)
    operator(f"{name}_forward", 37, *parameters, x, x)
    assert same_bits(x, y) and same_bits(dy, dx)


@pytest.mark.parametrize(
    "name, parameters, expected",
    [
        ("relu", (), [0, 0, 0, -0.0, 0, 1, 1e4, np.inf, np.nan]),
        ("leaky_relu", (0.5,), [-np.inf, -5e3, -0.5, -0.0, 0, 1, 1e4, np.inf, np.nan]),
        ("sigmoid", (), [0, 0, None, 0.5, 0.5, None, 1, 1, np.nan]),
        ("tanh", (), [-1, -1, None, -0.0, 0, None, 1, 1, np.nan]),
        ("relu6", (), [0, 0, 0, 0, 0, 1, 6, 6, np.nan]),
        ("hard_sigmoid", (), [0, 0, None, 0.5, 0.5, None, 1, 1, np.nan]),
        ("elu", (0.5,), [-0.5, -0.5, None, -0.0, 0, 1, 1e4, np.inf, np.nan]),
        ("softplus", (), [0, 0, None, None, None, None, 1e4, np.inf, np.nan]),
        ("hard_swish", (), [0, 0, None, -0.0, 0, None, 1e4, np.inf, np.nan]),
        ("silu", (), [np.nan, -0.0, None, -0.0, 0, None, 1e4, np.inf, np.nan]),
        ("gelu", (), [np.nan, -0.0, None, -0.0, 0, None, 1e4, np.inf, np.nan]),
    ],
)
def test_activation_of_special_values(name, parameters, expected):
    y, dx = activate(name, parameters, SPECIAL, np.ones(9, np.float32))
    for result, value in zip(y, expected):
        if value is not None:
            assert same_bits(result, np.float32(value)) or np.isnan([result, value]).all(), (result, value)
    flat = ("sigmoid", "tanh", "relu6", "hard_sigmoid")
    outer = (0.5, 1) if name == "leaky_relu" else (0, 0) if name in flat else (0, 1)
    assert (dx[1], dx[6]) == outer


def test_gradients_at_zero_follow_the_table():
    zeros, dy = np.array([0.0, -0.0], np.float32), np.array([3, 3], np.float32)
    assert list(activate("relu", (), zeros, dy)[1]) == [0, 0]
    assert list(activate("leaky_relu", (0.5,), zeros, dy)[1]) == [1.5, 1.5]
    assert list(activate("sigmoid", (), zeros, dy)[1]) == [0.75, 0.75]
    assert list(activate("tanh", (), zeros, dy)[1]) == [3, 3]


def test_sigmoid_keeps_small_results():
    """1 - 1 / (1 + exp(x)) would give 0 here."""
    x = np.array([-80.0, -30.0], np.float32)
    y, dx = activate("sigmoid", (), x, np.ones(2, np.float32))
    np.testing.assert_allclose(y, np.exp(x.astype(np.float64)), rtol=1e-6)
    np.testing.assert_allclose(dx, y, rtol=1e-6)


# ---- what every operator refuses, with its outputs untouched ---------------------------------------------------------


def good_calls():
    """name -> arguments, the last one the output."""

    def f(*shape):
        return np.ones(shape, np.float32)

    conv = geometry("conv2d", (5, 5, 2), (3, 3), out_c=3)
    pool = geometry("pool2d", (4, 4, 2), (2, 2))
    calls = {
        "conv2d_forward": [conv, f(5, 5, 2), f(3, 3, 2, 3), f(3), f(3, 3, 3)],
        "conv2d_weight_grad": [conv, f(5, 5, 2), f(3, 3, 3), f(3, 3, 2, 3)],
        "conv2d_bias_grad": [conv, f(3, 3, 3), f(3)],
        "conv2d_input_grad": [conv, f(3, 3, 2, 3), f(3, 3, 3), f(5, 5, 2)],
        "dense_forward": [4, 3, f(4), f(4, 3), f(3), f(3)],
        "dense_weight_grad": [4, 3, f(4), f(3), f(4, 3)],
        "dense_bias_grad": [3, f(3), f(3)],
        "dense_input_grad": [4, 3, f(4, 3), f(3), f(4)],
        "maxpool2d_forward": [pool, f(4, 4, 2), f(2, 2, 2)],
        "maxpool2d_input_grad": [pool, f(4, 4, 2), f(2, 2, 2), f(4, 4, 2)],
        "avgpool2d_forward": [pool, f(4, 4, 2), f(2, 2, 2)],
        "avgpool2d_input_grad": [pool, f(2, 2, 2), f(4, 4, 2)],
        "softmax_forward": [4, f(4), f(4)],
        "softmax_cross_entropy_forward": [4, f(4), 1, f(1)],
        "softmax_cross_entropy_input_grad": [4, f(4), 1, f(4)],
        "mean_squared_error_forward": [4, f(4), f(4), f(1)],
        "mean_squared_error_input_grad": [4, f(4), f(4), f(4)],
        "smoothed_cross_entropy_forward": [4, 0.1, f(4), 1, f(1)],
        "smoothed_cross_entropy_input_grad": [4, 0.1, f(4), 1, f(4)],
        "distillation_forward": [4, 2.0, 0.5, f(4), 1, f(4), f(1)],
        "distillation_input_grad": [4, 2.0, 0.5, f(4), 1, f(4), f(4)],
    }
    for name, settings in (("mean_absolute_error", []), ("huber", [1.0]), ("binary_cross_entropy", [])):
        calls[f"{name}_forward"] = [4, *settings, f(4), f(4), f(1)]
        calls[f"{name}_input_grad"] = [4, *settings, f(4), f(4), f(4)]
    for name, parameters in ACTIVATIONS:
        calls[f"{name}_forward"] = [4, *parameters, f(4), f(4)]
        calls[f"{name}_input_grad"] = [4, *parameters, f(4), f(4), f(4)]
    return calls


def refused(name, arguments, expected):
    output = next(a for a in reversed(arguments) if isinstance(a, np.ndarray)) if arguments[-1] is None else arguments[-1]
    before = output.copy()
    assert status(name + "_f32", *arguments) == expected
    assert same_bits(output, before), "the output was written"


@pytest.mark.parametrize("name", good_calls())
def test_null_is_refused(name):
    pointers = [i for i, argument in enumerate(good_calls()[name]) if not isinstance(argument, (int, float))]
    optional = {"conv2d_forward": 3, "dense_forward": 4}.get(name)
    for i in pointers:
        if i != optional:
            arguments = good_calls()[name]
            arguments[i] = None
            refused(name, arguments, "CGE_ERR_NULL")


@pytest.mark.parametrize("name", good_calls())
def test_misaligned_buffers_are_refused(name):
    arguments = good_calls()[name]
    for i, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray):
            crooked = ffi.cast("float *", argument.ctypes.data + 2)
            assert status(name + "_f32", *arguments[:i], crooked, *arguments[i + 1 :]) == "CGE_ERR_ALIGN", i


@pytest.mark.parametrize("name", [name for name, arguments in good_calls().items() if isinstance(arguments[0], int)])
@pytest.mark.parametrize("size", [-1, 0, -(2**31)])
def test_sizes_below_one_are_refused(name, size):
    for i, argument in enumerate(good_calls()[name]):
        label_at = {"softmax_cross_entropy": 2, "smoothed_cross_entropy": 3, "distillation": 4}
        if isinstance(argument, int) and i != label_at.get(name.removesuffix("_forward").removesuffix("_input_grad")):
            arguments = good_calls()[name]
            arguments[i] = size
            assert status(name + "_f32", *arguments) in ("CGE_ERR_ARGUMENT", "CGE_ERR_SHAPE"), (i, size)


@pytest.mark.parametrize("label", [-1, 4, 2**31 - 1, -(2**31)])
def test_labels_outside_the_classes_are_refused(label):
    x = np.ones(4, np.float32)
    refused("softmax_cross_entropy_forward", [4, x, label, np.ones(1, np.float32)], "CGE_ERR_LABEL")
    refused("softmax_cross_entropy_input_grad", [4, x, label, np.ones(4, np.float32)], "CGE_ERR_LABEL")


@pytest.mark.parametrize("alpha", [-0.1, np.inf, -np.inf, np.nan])
def test_leaky_relu_slopes_outside_the_range_are_refused(alpha):
    refused("leaky_relu_forward", [4, alpha, np.ones(4, np.float32), np.ones(4, np.float32)], "CGE_ERR_ARGUMENT")
    refused("leaky_relu_input_grad", [4, alpha, *np.ones((3, 4), np.float32)], "CGE_ERR_ARGUMENT")


# fmt: off
IMPOSSIBLE = [  # of the conv2d 5x5x2 -> 3, 3x3 and the pool2d 4x4x2, 2x2 above
    ("conv2d", dict(in_h=0), "SHAPE"), ("conv2d", dict(in_c=-1), "SHAPE"), ("conv2d", dict(out_c=0), "SHAPE"),
    ("conv2d", dict(kernel_h=6), "SHAPE"), ("conv2d", dict(dilation_w=3), "SHAPE"), ("conv2d", dict(stride_h=-1), "SHAPE"),
    ("conv2d", dict(pad_left=-1), "SHAPE"), ("conv2d", dict(groups=2), "SHAPE"), ("conv2d", dict(groups=-1), "SHAPE"),
    ("conv2d", dict(groups=3), "SHAPE"), ("conv2d", dict(in_h=1 << 20, in_w=1 << 20), "OVERFLOW"),
    ("conv2d", dict(in_h=2 ** 31 - 1, in_w=2 ** 31 - 1, in_c=2 ** 31 - 1), "OVERFLOW"),
    ("conv2d", dict(out_c=2 ** 31 - 1), "OVERFLOW"), ("conv2d", dict(dilation_h=2 ** 31 - 1, kernel_h=2 ** 31 - 1), "SHAPE"),
    ("pool2d", dict(kernel_h=5), "SHAPE"), ("pool2d", dict(pad_top=2), "SHAPE"), ("pool2d", dict(pad_right=2), "SHAPE"),
    ("pool2d", dict(pad_bottom=-1), "SHAPE"), ("pool2d", dict(stride_w=-1), "SHAPE"), ("pool2d", dict(in_w=0), "SHAPE"),
    ("pool2d", dict(kernel_w=0), "SHAPE"), ("pool2d", dict(in_h=1 << 20, in_w=1 << 20), "OVERFLOW"),
]
# fmt: on


@pytest.mark.parametrize("struct, fields, expected", IMPOSSIBLE)
def test_impossible_geometries_are_refused(struct, fields, expected):
    calls = {
        name: arguments
        for name, arguments in good_calls().items()
        if ("pool2d" in name) == (struct == "pool2d") and ("conv2d" in name or "pool2d" in name)
    }
    assert len(calls) == 4
    for name, arguments in calls.items():
        for field, value in fields.items():
            setattr(arguments[0], field, value)
        refused(name, arguments, f"CGE_ERR_{expected}")


def test_windows_that_reach_beyond_the_image_count_in_ceil_mode():
    """PyTorch's rule; the number of windows is what torch_numbers.json does not say."""
    sizes = {(7, 2, 2, 0): 4, (7, 3, 2, 0): 3, (8, 3, 2, 0): 4, (5, 2, 3, 1): 2, (6, 3, 3, 1): 3, (4, 1, 3, 0): 2}
    for (size, kernel, stride, padding), windows in sizes.items():
        for pool in (cge.MaxPool2d, cge.AvgPool2d):
            layer = pool(kernel, stride, padding=padding, ceil_mode=True)
            assert cge.Network((size, size, 1), [layer]).output_shape[0] == windows, (size, kernel, stride, padding)
    with pytest.raises(ValueError, match="AvgPool2d: ceil_mode: expected False with count_include_pad, got True"):
        cge.AvgPool2d(2, ceil_mode=True, count_include_pad=True)


def test_the_edge_of_an_average_counts_its_padding_if_asked():
    ones = np.ones((1, 2, 2, 1), np.float32)
    inside = cge.Network((2, 2, 1), [cge.AvgPool2d(2, 2, padding=1)]).predict(ones)
    counted = cge.Network((2, 2, 1), [cge.AvgPool2d(2, 2, padding=1, count_include_pad=True)]).predict(ones)
    assert inside.ravel().tolist() == [1] * 4 and counted.ravel().tolist() == [0.25] * 4
