"""A call like one that was checked takes a short way (_again.py). It must give the same bits and the same messages."""

import inspect
import itertools

import numpy as np
import pytest

import convgrad_embedded as cge
from convgrad_embedded import _again

OPERATORS = list(_again.OPERATORS.values())
RNG = np.random.default_rng(3)


def numbers(*shape, dtype=np.float32):
    return RNG.normal(size=shape).astype(dtype)


X, W, B, DY = numbers(2, 7, 6, 4), numbers(3, 3, 2, 8), numbers(8), numbers(2, 4, 2, 8)
GEOMETRY = dict(stride=(1, 2), padding=((0, 0), (1, 0)), dilation=(1, 2), groups=2)
V, D, O = numbers(3, 5), numbers(5, 4), numbers(3, 4)  # noqa: E741
LABELS = np.array([1, 0, 3])
SHARES = RNG.random(O.shape, np.float32)
UP, UPWARDS = numbers(2, 4, 2, 8), dict(stride=(2, 1), padding=1, output_padding=(1, 0), dilation=(1, 2), groups=2)
UP_DY = np.empty_like(cge.conv_transpose2d_forward(UP, W, **UPWARDS))
UP_DY[...] = numbers(*UP_DY.shape)
POOLED = numbers(2, 3, 3, 4)
EPS = dict(eps=1e-3)

CALLS = {  # a function, arrays, settings
    "conv2d_forward": (cge.conv2d_forward, (X, W, B), GEOMETRY),
    "conv2d_forward without bias": (cge.conv2d_forward, (X, W), GEOMETRY),
    "conv2d_weight_grad": (lambda x, dy, **g: cge.conv2d_weight_grad(x, dy, (3, 3), **g), (X, numbers(2, 5, 2, 8)), GEOMETRY),
    "conv2d_bias_grad": (cge.conv2d_bias_grad, (DY,), {}),
    "conv2d_input_grad": (lambda w, dy, **g: cge.conv2d_input_grad(w, dy, (7, 6), **g), (W, numbers(2, 5, 2, 8)), GEOMETRY),
    "dense_forward": (cge.dense_forward, (V, D, numbers(4)), {}),
    "dense_weight_grad": (cge.dense_weight_grad, (V, O), {}),
    "dense_bias_grad": (cge.dense_bias_grad, (O,), {}),
    "dense_input_grad": (cge.dense_input_grad, (D, O), {}),
    "maxpool2d_forward": (cge.maxpool2d_forward, (X,), dict(kernel_size=2, stride=(3, 2), padding=1)),
    "avgpool2d_forward": (cge.avgpool2d_forward, (X,), dict(kernel_size=2)),
    "maxpool2d_input_grad": (cge.maxpool2d_input_grad, (X, POOLED), dict(kernel_size=2)),
    "avgpool2d_input_grad": (cge.avgpool2d_input_grad, (POOLED,), dict(input_size=(7, 6), kernel_size=2)),
    "softmax_forward": (cge.softmax_forward, (O,), {}),
    "softmax_cross_entropy_forward": (cge.softmax_cross_entropy_forward, (O, LABELS), {}),
    "softmax_cross_entropy_input_grad": (cge.softmax_cross_entropy_input_grad, (O, LABELS), {}),
    "mean_squared_error_forward": (cge.mean_squared_error_forward, (O, O[::-1].copy()), {}),
    "mean_squared_error_input_grad": (cge.mean_squared_error_input_grad, (O, O[::-1].copy()), {}),
    **{name: (getattr(cge, name), (V,), {}) for name in ("relu_forward", "sigmoid_forward", "tanh_forward")},
    **{
        name: (getattr(cge, name), (V, V[::-1].copy()), {})
        for name in ("relu_input_grad", "sigmoid_input_grad", "tanh_input_grad")
    },
    "conv_transpose2d_forward": (cge.conv_transpose2d_forward, (UP, W, numbers(4)), UPWARDS),
    "conv_transpose2d_forward without bias": (cge.conv_transpose2d_forward, (UP, W), UPWARDS),
    "conv_transpose2d_weight_grad": (lambda x, dy, **g: cge.conv_transpose2d_weight_grad(x, dy, 3, **g), (UP, UP_DY), UPWARDS),
    "conv_transpose2d_bias_grad": (cge.conv_transpose2d_bias_grad, (DY,), {}),
    "conv_transpose2d_input_grad": (
        lambda w, dy, **g: cge.conv_transpose2d_input_grad(w, dy, (4, 2), **g),
        (W, UP_DY),
        UPWARDS,
    ),
    **{
        f"{name}_{direction}": (getattr(cge, f"{name}_{direction}"), (O, SHARES), settings)
        for name, settings in (("binary_cross_entropy", {}), ("mean_absolute_error", {}), ("huber", dict(delta=0.5)))
        for direction in ("forward", "input_grad")
    },
    "smoothed_cross_entropy_forward": (cge.smoothed_cross_entropy_forward, (O, LABELS), dict(label_smoothing=0.1)),
    "smoothed_cross_entropy_input_grad": (cge.smoothed_cross_entropy_input_grad, (O, LABELS), dict(label_smoothing=0.1)),
    "prelu_forward": (cge.prelu_forward, (V, numbers(5)), {}),
    "prelu_weight_grad": (cge.prelu_weight_grad, (V, V[::-1].copy()), dict(num_parameters=5)),
    "prelu_input_grad": (cge.prelu_input_grad, (V, numbers(5), V[::-1].copy()), {}),
    **{
        f"distillation_{direction}": (getattr(cge, f"distillation_{direction}"), (O, LABELS, SHARES), dict(alpha=0.25))
        for direction in ("forward", "input_grad")
    },
    "group_norm_forward": (lambda x, w, b, **g: cge.group_norm_forward(x, 2, w, b, **g), (X, numbers(4), numbers(4)), EPS),
    "group_norm_forward without w and b": (lambda x, **g: cge.group_norm_forward(x, 2, **g), (X,), EPS),
    "group_norm_forward without w": (lambda x, b, **g: cge.group_norm_forward(x, 2, b=b, **g), (X, numbers(4)), EPS),
    "group_norm_weight_grad": (cge.group_norm_weight_grad, (X, X[::-1].copy()), dict(groups=2)),
    "group_norm_bias_grad": (cge.group_norm_bias_grad, (X,), {}),
    "group_norm_input_grad": (lambda x, dy, w: cge.group_norm_input_grad(x, dy, 2, w), (X, X[::-1].copy(), numbers(4)), {}),
    "group_norm_input_grad without w": (cge.group_norm_input_grad, (X, X[::-1].copy()), dict(groups=2)),
    "leaky_relu_forward": (cge.leaky_relu_forward, (V,), dict(alpha=0.3)),
    "leaky_relu_input_grad": (cge.leaky_relu_input_grad, (V, V[::-1].copy()), dict(alpha=0.3)),
}


def test_every_operator_has_a_short_way():
    operators = {name for name in cge.__all__ if name.endswith(("_forward", "_grad"))}
    assert operators == set(_again.OPERATORS)


def forget():
    for operator in OPERATORS:
        operator.clear()


def outcome(function, arrays, settings):
    try:
        return function(*arrays, **settings)
    except (TypeError, ValueError) as error:
        return type(error), str(error)


def same(a, b):
    if isinstance(a, tuple) or isinstance(b, tuple):
        return a == b
    return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


def other_forms(a):
    """The same numbers as arrays that need a check, and others that are refused."""
    yield a.tolist()
    yield np.asfortranarray(a)
    yield np.repeat(a, 2, axis=-1)[..., ::2]
    yield unaligned(a)
    yield a.astype(a.dtype.newbyteorder())
    yield a.astype(np.float64) if a.dtype.kind == "f" else a.astype(np.int16)
    yield np.ma.masked_array(a)
    yield a[:0]
    yield a[..., :-1]
    yield a.astype(bool)
    yield a.astype(np.uint8)
    yield a[0]
    yield None
    read_only = a.copy()
    read_only.flags.writeable = False
    yield read_only


@pytest.mark.parametrize("name", CALLS)
def test_the_short_way_is_taken_and_gives_the_same(name):
    function, arrays, settings = CALLS[name]
    forget()
    first = function(*arrays, **settings)
    assert sum(map(len, OPERATORS)) == 1
    for dtype in (np.float32, np.float64):
        given = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
        forget()
        first, second = function(*given, **settings), function(*given, **settings)
        assert sum(map(len, OPERATORS)) == 1
        assert same(first, second) and first is not second


@pytest.mark.parametrize("name", CALLS)
def test_what_is_unusual_is_checked_as_if_for_the_first_time(name):
    function, arrays, settings = CALLS[name]
    for index, form in itertools.product(range(len(arrays)), range(14)):
        given = list(arrays)
        given[index] = next(itertools.islice(other_forms(arrays[index]), form, None))
        forget()
        first = outcome(function, given, settings)
        forget()
        for _ in range(2):
            function(*arrays, **settings)
            assert same(first, outcome(function, given, settings)), (index, form)


@pytest.mark.parametrize("name", [name for name in CALLS if CALLS[name][2]])
def test_settings_that_are_equal_are_not_the_same(name):
    """1, 1.0 and True are one key of a dictionary."""
    function, arrays, settings = CALLS[name]
    for key in settings:
        for value in (True, 1, 1.0, "1", None, (1, 1), (1.0, True), [1, 1], np.int64(1), np.array([1, 1]), object):
            given = {**settings, key: value}
            forget()
            first = outcome(function, arrays, given)
            for warm in (True, 1, (1, 1)):
                outcome(function, arrays, {**settings, key: warm})
            function(*arrays, **settings)
            if isinstance(first, tuple) and "0x" in first[1]:
                continue
            assert same(first, outcome(function, arrays, given)), (key, value)


def shrunk(a):
    """Its memory is smaller than its shape says, as if another thread had changed it meanwhile."""
    return a[:-1].view(type("Shrunk", (np.ndarray,), {"shape": a.shape}))


@pytest.mark.parametrize("name", CALLS)
def test_an_array_that_shrinks_meanwhile_is_checked(name):
    """Another thread may change it between the look at its shape and the look at its memory."""
    function, arrays, settings = CALLS[name]
    for index, array in enumerate(arrays):
        small, changing = list(arrays), list(arrays)
        small[index], changing[index] = array[:-1], shrunk(array)
        forget()
        expected = outcome(function, small, settings)
        function(*arrays, **settings)
        assert same(expected, outcome(function, changing, settings)), index


@pytest.mark.parametrize("call", [cge.relu_input_grad, cge.dense_weight_grad, cge.softmax_cross_entropy_forward])
def test_arrays_by_name_take_the_short_way_too(call):
    names, arrays = list(inspect.signature(call).parameters), {"labels": LABELS}
    given = {name: arrays.get(name, O) for name in names}
    forget()
    by_place = call(*given.values())
    for number in range(len(names)):
        by_name = call(*list(given.values())[:number], **{name: given[name] for name in names[number:]})
        assert same(by_place, by_name) and sum(map(len, OPERATORS)) == 1
    with pytest.raises(TypeError, match=f"multiple values for argument '{names[0]}'"):
        call(*given.values(), **{names[0]: O})
    with pytest.raises(TypeError, match=f"multiple values for argument '{names[0]}'"):
        call(O, **given)


def test_calls_kept_have_a_limit(monkeypatch):
    forget()
    monkeypatch.setattr(_again, "_MOST", 3)
    for size in range(1, 10):
        cge.relu_forward(numbers(size))
    assert 0 < len(_again.OPERATORS["relu_forward"]) <= 3


@pytest.fixture
def net():
    return cge.Network((6, 6, 1), [cge.Conv2d(4, 3), cge.ReLU(), cge.Dense(3)], "softmax_cross_entropy", cge.SGD(0.1), seed=1)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int16, np.uint8])
def test_labels_of_any_integer_type_train_alike(net, kind):
    twin = cge.Network.from_bytes(net.to_bytes())
    x, y = numbers(3, 6, 6, 1), np.array([2, 0, 1])
    assert net.train_on_batch(x, y.astype(kind)) == twin.train_on_batch(x.tolist() and x.astype(np.float64), list(y))
    assert net.weights_hash() == twin.weights_hash()
    assert net.evaluate(x, y.astype(kind)) == twin.evaluate(x.astype(np.float64), list(y))
    assert net.predict(x).tobytes() == twin.predict(x.astype(np.float64)).tobytes()


@pytest.mark.parametrize(
    "bad",
    [np.array([0, 3, 1]), np.array([0, -1, 1]), np.array([0, 2**32, 1]), np.array([0.0, 1, 2]), np.array([[0], [1], [2]])],
)
def test_bad_labels_have_their_messages(net, bad):
    x, before = numbers(3, 6, 6, 1), net.weights_hash()
    for call in (net.train_on_batch, net.evaluate):
        with pytest.raises((ValueError, TypeError), match="^y: expected"):
            call(x, bad)
    assert net.weights_hash() == before


def test_samples_that_are_not_contiguous_are_converted(net):
    x, y = numbers(3, 6, 6, 1), np.array([2, 0, 1])
    turned = np.asfortranarray(x)
    assert net.predict(turned).tobytes() == net.predict(x).tobytes() == net.predict(unaligned(x)).tobytes()
    assert net.evaluate(turned, y) == net.evaluate(x, y) == net.evaluate(unaligned(x), y)
    with pytest.raises(ValueError, match="^x: expected shape"):
        net.predict(x[:0])
