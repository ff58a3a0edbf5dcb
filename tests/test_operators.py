"""Every public function of the package: against the float64 reference and central differences, in both precisions, for
batches and single samples, in all forms of its arguments, and refused where an argument is bad."""

import inspect
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest
import reference
from capi import same_bits

import convgrad_embedded as cge

COUNT = 3
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


class Case(NamedTuple):
    """One operator with one set of options. `shapes` are those of its arrays; N stands for the batch."""

    function: Callable
    reference: Callable  # of the same arguments, in float64
    shapes: dict
    options: dict = {}
    result: str = "each"  # or "sum": of the samples' results
    prepare: Callable = lambda arrays: arrays  # makes valid arguments of random ones

    def arguments(self, rng, dtype=np.float64, count=COUNT):
        arrays = {
            name: rng.standard_normal([count if size == "N" else size for size in shape]) for name, shape in self.shapes.items()
        }
        return {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in self.prepare(arrays).items()}

    def sample(self, arguments, index):
        return {name: array[index] if self.shapes[name][:1] == ("N",) else array for name, array in arguments.items()}

    def __call__(self, arguments):
        return self.function(**arguments, **self.options)


# ---- the table -------------------------------------------------------------------------------------------------------

X, Y, V = ("N", 7, 6, 4), ("N", 7, 6, 5), ("N", 9)
CONVOLUTIONS = [  # options, output size and filters for x of 7 x 6 x 4 and kernels of 3 x 2
    (dict(), (5, 5), 3),
    (dict(stride=2, padding=1), (4, 4), 5),
    (dict(stride=(1, 2), padding=((0, 2), (1, 0)), dilation=(2, 1)), (5, 3), 2),
    (dict(groups=2, padding=(1, 0)), (7, 5), 6),
    (dict(groups=4, dilation=(1, 3)), (5, 3), 4),
]
POOLS = [  # options, output size for x of 7 x 6
    (dict(kernel_size=2), (3, 3)),
    (dict(kernel_size=(3, 2), stride=1), (5, 5)),
    (dict(kernel_size=(2, 3), stride=(1, 2), padding=((1, 0), (1, 2))), (7, 4)),
    (dict(kernel_size=3, stride=2, padding=(1, 1)), (4, 3)),
]


def convolution_cases(options, size, filters):
    w, dy = (3, 2, 4 // options.get("groups", 1), filters), ("N", *size, filters)
    return [
        Case(cge.conv2d_forward, reference.conv2d_forward, dict(x=X, w=w, b=(filters,)), options),
        Case(cge.conv2d_forward, reference.conv2d_forward, dict(x=X, w=w), options),
        Case(cge.conv2d_weight_grad, reference.conv2d_weight_grad, dict(x=X, dy=dy), dict(options, kernel_size=(3, 2)), "sum"),
        Case(cge.conv2d_bias_grad, reference.conv2d_bias_grad, dict(dy=dy), {}, "sum"),
        Case(cge.conv2d_input_grad, reference.conv2d_input_grad, dict(w=w, dy=dy), dict(options, input_size=(7, 6))),
    ]


TRANSPOSED = [  # options, output size and filters for x of 7 x 6 x 4 and kernels of 3 x 2
    (dict(), (9, 7), 3),
    (dict(stride=2, padding=1, output_padding=1), (14, 11), 5),
    (dict(stride=(1, 3), padding=((0, 2), (1, 0)), output_padding=(1, 2), dilation=(2, 1)), (10, 18), 2),
    (dict(groups=2, padding=(1, 0), stride=(3, 1)), (19, 7), 6),
    (dict(groups=4, dilation=(1, 3), output_padding=(0, 2)), (9, 11), 4),
]


def transposed_cases(options, size, filters):
    w, dy = (3, 2, filters // options.get("groups", 1), 4), ("N", *size, filters)
    names = [f"conv_transpose2d_{name}" for name in ("forward", "weight_grad", "bias_grad", "input_grad")]
    forward, weight_grad, bias_grad, input_grad = ((getattr(cge, name), getattr(reference, name)) for name in names)
    return [
        Case(*forward, dict(x=X, w=w, b=(filters,)), options),
        Case(*forward, dict(x=X, w=w), options),
        Case(*weight_grad, dict(x=X, dy=dy), dict(options, kernel_size=(3, 2)), "sum"),
        Case(*bias_grad, dict(dy=dy), {}, "sum"),
        Case(*input_grad, dict(w=w, dy=dy), dict(options, input_size=(7, 6))),
    ]


def pool_reference(function):
    return lambda kernel_size, **arguments: function(kernel=kernel_size, **arguments)


def average_input_grad(dy, input_size, kernel_size, **options):
    shape = (len(dy), *reference.pair(input_size), dy.shape[-1])
    return reference.avgpool2d_input_grad(shape, dy, kernel_size, **options)


def pool_cases(options, size):
    dy = ("N", *size, 4)
    return [
        Case(cge.maxpool2d_forward, pool_reference(reference.maxpool2d_forward), dict(x=X), options),
        Case(cge.avgpool2d_forward, pool_reference(reference.avgpool2d_forward), dict(x=X), options),
        Case(cge.maxpool2d_input_grad, pool_reference(reference.maxpool2d_input_grad), dict(x=X, dy=dy), options),
        Case(cge.avgpool2d_input_grad, average_input_grad, dict(dy=dy), dict(options, input_size=(7, 6))),
    ]


NORMS = [dict(groups=1), dict(groups=2, eps=0.1), dict(groups=4)]  # for x of 4 channels


def norm_cases(options):
    eps = {name: value for name, value in options.items() if name == "eps"}
    return [
        Case(cge.group_norm_forward, reference.group_norm_forward, dict(x=X, w=(4,), b=(4,)), options),
        Case(cge.group_norm_forward, reference.group_norm_forward, dict(x=X), options),
        Case(cge.group_norm_weight_grad, reference.group_norm_weight_grad, dict(x=X, dy=X), options, "sum"),
        Case(cge.group_norm_bias_grad, reference.group_norm_bias_grad, dict(dy=X), {}, "sum"),
        Case(cge.group_norm_input_grad, reference.group_norm_input_grad, dict(x=X, dy=X, w=(4,)), options),
        Case(cge.group_norm_input_grad, reference.group_norm_input_grad, dict(x=X, dy=X), dict(eps, groups=1)),
    ]


def prelu_cases(count):
    return [
        Case(cge.prelu_forward, reference.prelu_forward, dict(x=Y, w=(count,))),
        Case(cge.prelu_weight_grad, reference.prelu_weight_grad, dict(x=Y, dy=Y), dict(num_parameters=count), "sum"),
        Case(cge.prelu_input_grad, reference.prelu_input_grad, dict(x=Y, w=(count,), dy=Y)),
    ]


def prelu_slopes(forward):
    options = dict(num_parameters=forward.shapes["w"][0])
    return [
        Slope(forward, cge.prelu_weight_grad, "w", ["x", "dy"], options),
        Slope(forward, cge.prelu_input_grad, "x", ["x", "w", "dy"]),
    ]


KEY = 0x0123456789ABCDEF


def dropped(x, p=0.5, key=0):
    kept = cge.dropout_forward(np.ones(x.shape), p, key) > 0  # test_dropout.py has the mask
    return np.where(kept, x / (1 - float(np.float32(p))), 0.0)


DROPOUTS = [dict(p=0.25, key=KEY), dict()]

ALPHA = float(np.float32(0.01))  # LeakyReLU's default, as the core holds it in both precisions
ACTIVATIONS = [  # name, options, the derivative by the input as a function of the output
    ("relu", {}, lambda y: (y > 0) * 1.0),
    ("leaky_relu", {}, lambda y, alpha=ALPHA: np.where(y > 0, 1.0, alpha)),
    ("leaky_relu", {"alpha": 0.25}, lambda y, alpha: np.where(y > 0, 1.0, alpha)),
    ("sigmoid", {}, lambda y: y * (1 - y)),
    ("tanh", {}, lambda y: 1 - y * y),
    ("relu6", {}, lambda y: (y > 0) * (y < 6) * 1.0),
    ("hard_sigmoid", {}, lambda y: (y > 0) * (y < 1) / 6),
    ("elu", {}, lambda y, alpha=1.0: np.where(y > 0, 1.0, y + alpha)),
    ("elu", {"alpha": 0.25}, lambda y, alpha: np.where(y > 0, 1.0, y + alpha)),
    ("softplus", {}, lambda y: -np.expm1(-y)),
    ("hard_swish", {}, lambda x: reference.hard_swish(x)[1]),
    ("silu", {}, lambda x: reference.silu(x)[1]),
    ("gelu", {}, lambda x: reference.gelu(x)[1]),
]  # fmt: skip
ELEMENTWISE = {name for name, _, _ in ACTIVATIONS}


def told_by(name):
    """What the gradient reads."""
    return "x" if name in ("hard_swish", "silu", "gelu") else "y"


def activation_cases(name, options, slope):
    value = getattr(reference, name)
    defaults, told = {"alpha": ALPHA} if name == "leaky_relu" else {}, told_by(name)
    forward, grad = getattr(cge, f"{name}_forward"), getattr(cge, f"{name}_input_grad")
    return [
        Case(forward, lambda x, **given: value(x, **{**defaults, **given})[0], dict(x=Y), options),
        Case(grad, lambda dy, **given: dy * slope(given.pop(told), **given), {told: Y, "dy": Y}, options),
    ]


def with_labels(arrays):
    return {"x": arrays["x"], "labels": np.arange(len(arrays["labels"])) * 4 % 9}


def loss_cases(loss, second, prepare, options={}, **more):
    value = getattr(reference, loss)
    shapes = {"x": V, second: ("N",) if second == "labels" else V, **more}
    return [
        Case(getattr(cge, f"{loss}_forward"), lambda **given: value(**given)[0], shapes, options, prepare=prepare),
        Case(getattr(cge, f"{loss}_input_grad"), lambda **given: value(**given)[1], shapes, options, prepare=prepare),
    ]


def with_shares(arrays):
    return {"x": arrays["x"], "target": 1 / (1 + np.exp(-arrays["target"]))}


def with_labels_and_teacher(arrays):
    return {**with_labels(arrays), "teacher": arrays["teacher"]}


def question(function, transpose_w, transpose_dy):
    """The three functions of single maps, by the reference for a batch of one."""

    def expected(**arguments):
        x, w, dy = arguments.values()
        channels = x.reshape(*x.shape[:2], -1)
        dw = reference.conv2d_weight_grad(channels[None], transpose_dy(dy)[None], transpose_w(w).shape[:2]).sum(2)
        return dw[:, :, 0] if w.ndim == 2 else dw.transpose(2, 0, 1)

    names = list(inspect.signature(function).parameters)
    shapes = {"rgb": [(7, 6, 3), (3, 2), (5, 5)], "filters": [(7, 6), (4, 3, 2), (4, 5, 5)]}
    kind = "rgb" if function.__name__.endswith("rgb") else "filters" if "filter" in function.__name__ else None
    return Case(function, expected, dict(zip(names, shapes.get(kind, [(7, 6), (3, 2), (5, 5)]))), {}, "one")


def single(w):
    return w


def channel_last(dy):
    return dy[:, :, None] if dy.ndim == 2 else dy.transpose(1, 2, 0)


CASES = [
    *(case for row in CONVOLUTIONS for case in convolution_cases(*row)),
    *(case for row in TRANSPOSED for case in transposed_cases(*row)),
    *(case for row in POOLS for case in pool_cases(*row)),
    *(case for row in ACTIVATIONS for case in activation_cases(*row)),
    *(case for options in NORMS for case in norm_cases(options)),
    *(case for count in (1, 5) for case in prelu_cases(count)),
    *(
        Case(function, lambda p=0.5, key=0, **array: dropped(*array.values(), p, key), {name: Y}, options, "one draw")
        for options in DROPOUTS
        for name, function in (("x", cge.dropout_forward), ("dy", cge.dropout_input_grad))
    ),
    *loss_cases("softmax_cross_entropy", "labels", with_labels),
    *loss_cases("mean_squared_error", "target", lambda arrays: arrays),
    *loss_cases("mean_absolute_error", "target", lambda arrays: arrays),
    *loss_cases("huber", "target", lambda arrays: arrays),
    *loss_cases("huber", "target", lambda arrays: arrays, {"delta": 0.25}),
    *loss_cases("binary_cross_entropy", "target", with_shares),
    *loss_cases("smoothed_cross_entropy", "labels", with_labels),
    *loss_cases("smoothed_cross_entropy", "labels", with_labels, {"label_smoothing": 0.125}),
    *loss_cases("distillation", "labels", with_labels_and_teacher, teacher=V),
    *loss_cases("distillation", "labels", with_labels_and_teacher, {"temperature": 2.5, "alpha": 0.25}, teacher=V),
    Case(cge.dense_forward, lambda x, w, b=0.0: x @ w + b, dict(x=V, w=(9, 4), b=(4,))),
    Case(cge.dense_forward, lambda x, w: x @ w, dict(x=V, w=(9, 4))),
    Case(cge.dense_weight_grad, lambda x, dy: np.einsum("ni,no->io", x, dy), dict(x=V, dy=("N", 4)), {}, "sum"),
    Case(cge.dense_bias_grad, lambda dy: dy.sum(0), dict(dy=("N", 4)), {}, "sum"),
    Case(cge.dense_input_grad, lambda w, dy: np.einsum("io,no->ni", w, dy), dict(w=(9, 4), dy=("N", 4))),
    Case(cge.softmax_forward, reference.softmax, dict(x=V)),
    Case(cge.softmax_input_grad, lambda y, dy: y * (dy - (dy * y).sum(-1, keepdims=True)), dict(y=V, dy=V)),
    question(cge.manual_convolution_gradient, single, channel_last),
    question(cge.manual_convolution_multi_filter_gradients, lambda w: w[0], channel_last),
    question(cge.manual_convolution_gradient_rgb, single, channel_last),
]


def name_of(case):
    options = ",".join(f"{name}={value}" for name, value in case.options.items())
    return f"{case.function.__name__}({','.join(case.shapes)}{';' * bool(options)}{options})"


every_case = pytest.mark.parametrize("case", CASES, ids=name_of)
BATCHED = [case for case in CASES if not case.result.startswith("one")]
every_batched_case = pytest.mark.parametrize("case", BATCHED, ids=name_of)
every_type = pytest.mark.parametrize("dtype", [np.float32, np.float64])


NO_OPERATORS = {
    *("arithmetic", "kernel_set", "include_dir", "source_files", "Input"),
    *("plot_memory", "plot_history", "plot_filters", "plot_confusion"),
    *("Conv1d", "ConvTranspose1d", "MaxPool1d", "AvgPool1d", "DepthwiseConv2d", "SeparableConv2d"),
}


def test_every_public_function_is_in_the_table():
    functions = {name for name in cge.__all__ if inspect.isfunction(getattr(cge, name))}
    assert {case.function.__name__ for case in CASES} == functions - NO_OPERATORS


# ---- values -----------------------------------------------------------------------------------------------------------


@every_case
@every_type
def test_agrees_with_the_reference(case, dtype, rng):
    arguments = case.arguments(rng, dtype)
    exact = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in arguments.items()}
    expected = case.reference(**exact, **case.options)
    result = case(arguments)
    assert result.dtype == (np.float64 if case.result == "one" else dtype)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@every_batched_case
@every_type
def test_a_single_sample_is_a_batch_of_one(case, dtype, rng):
    """An operator gives each sample's result, or their sum in the order of the samples."""
    arguments = case.arguments(rng, dtype)
    whole = case(arguments)
    singles = [case(case.sample(arguments, index)) for index in range(COUNT)]
    if case.result == "each":
        assert same_bits(np.stack(singles), whole)
    else:
        first = {name: array[:1] if case.shapes[name][0] == "N" else array for name, array in arguments.items()}
        assert same_bits(case(first), singles[0])
        np.testing.assert_allclose(sum(singles), whole, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@every_batched_case
@every_type
def test_a_batch_of_one_stays_a_batch(case, dtype, rng):
    arguments = case.arguments(rng, dtype, count=1)
    alone = case(case.sample(arguments, 0))
    assert same_bits(case(arguments), alone[None] if case.result == "each" else alone)


# ---- central differences --------------------------------------------------------------------------------------------------


class Slope(NamedTuple):
    """`grad` of the arguments that it names, by `wrt` of `forward`; "y" is the output, "dy" its gradient."""

    forward: Case
    grad: Callable
    wrt: str
    needs: list
    options: dict = {}


def find(function, **options):
    return next(
        case
        for case in CASES
        if case.function is function and all(case.options.get(name) == value for name, value in options.items())
    )


def convolution_slopes(options, size, filters):
    forward = Case(
        *find(cge.conv2d_forward)[:2], dict(x=X, w=(3, 2, 4 // options.get("groups", 1), filters), b=(filters,)), options
    )
    return [
        Slope(forward, cge.conv2d_weight_grad, "w", ["x", "dy"], dict(options, kernel_size=(3, 2))),
        Slope(forward, cge.conv2d_bias_grad, "b", ["dy"]),
        Slope(forward, cge.conv2d_input_grad, "x", ["w", "dy"], dict(options, input_size=(7, 6))),
    ]


def transposed_slopes(options, size, filters):
    with_bias, *_, weight_grad, bias_grad, input_grad = transposed_cases(options, size, filters)
    return [
        Slope(with_bias, weight_grad.function, "w", ["x", "dy"], weight_grad.options),
        Slope(with_bias, bias_grad.function, "b", ["dy"]),
        Slope(with_bias, input_grad.function, "x", ["w", "dy"], input_grad.options),
    ]


def pool_slopes(options):
    return [
        Slope(find(cge.maxpool2d_forward, **options), cge.maxpool2d_input_grad, "x", ["x", "dy"], options),
        Slope(find(cge.avgpool2d_forward, **options), cge.avgpool2d_input_grad, "x", ["dy"], dict(options, input_size=(7, 6))),
    ]


def norm_slopes(options):
    forward = find(cge.group_norm_forward, **options)
    return [
        Slope(forward, cge.group_norm_weight_grad, "w", ["x", "dy"], options),
        Slope(forward, cge.group_norm_bias_grad, "b", ["dy"]),
        Slope(forward, cge.group_norm_input_grad, "x", ["x", "dy", "w"], options),
    ]


def activation_slope(name, options, _):
    forward, grad = find(getattr(cge, f"{name}_forward"), **options), getattr(cge, f"{name}_input_grad")
    return Slope(forward, grad, "x", [told_by(name), "dy"], options)


def loss_slope(name, *others, **options):
    return Slope(
        find(getattr(cge, f"{name}_forward"), **options), getattr(cge, f"{name}_input_grad"), "x", ["x", *others], options
    )


SLOPES = [
    *(slope for row in CONVOLUTIONS for slope in convolution_slopes(*row)),
    *(slope for row in TRANSPOSED for slope in transposed_slopes(*row)),
    *(slope for options, _ in POOLS for slope in pool_slopes(options)),
    *(activation_slope(*row) for row in ACTIVATIONS),
    *(slope for options in NORMS for slope in norm_slopes(options)),
    *(slope for case in CASES if case.function is cge.prelu_forward for slope in prelu_slopes(case)),
    loss_slope("softmax_cross_entropy", "labels"),
    loss_slope("mean_squared_error", "target"),
    loss_slope("mean_absolute_error", "target"),
    loss_slope("huber", "target", delta=0.25),
    loss_slope("binary_cross_entropy", "target"),
    loss_slope("smoothed_cross_entropy", "labels", label_smoothing=0.125),
    loss_slope("distillation", "labels", "teacher", temperature=2.5, alpha=0.25),
    Slope(find(cge.softmax_forward), cge.softmax_input_grad, "x", ["y", "dy"]),
    Slope(find(cge.dense_forward), cge.dense_weight_grad, "w", ["x", "dy"]),
    Slope(find(cge.dense_forward), cge.dense_bias_grad, "b", ["dy"]),
    Slope(find(cge.dense_forward), cge.dense_input_grad, "x", ["w", "dy"]),
]


@pytest.mark.parametrize("slope", SLOPES, ids=lambda slope: f"{slope.grad.__name__}-{slope.wrt}-{slope.options}")
def test_gradients_are_signed_central_differences(slope, rng):
    arguments = slope.forward.arguments(rng)
    y = slope.forward(arguments)
    dy = rng.standard_normal(y.shape) if "dy" in slope.needs else np.ones_like(y)
    known = {**arguments, "y": y, "dy": dy}
    gradient = slope.grad(**{name: known[name] for name in slope.needs}, **slope.options)
    variable, step = arguments[slope.wrt], 1e-6
    assert gradient.shape == variable.shape
    for index in rng.permutation(variable.size)[:60]:
        sides = []
        for sign in (1, -1):
            moved = variable.copy()
            moved.flat[index] += sign * step
            sides.append(float((slope.forward({**arguments, slope.wrt: moved}) * dy).sum()))
        assert gradient.flat[index] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-6, abs=1e-7)


# ---- forms of arguments ------------------------------------------------------------------------------------------------


def strided(array):
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


class Subclass(np.ndarray):
    pass


FORMS: dict[str, Callable[[Any], Any]] = {
    "columns first": np.asfortranarray,
    "strided": strided,
    "backwards": lambda array: np.ascontiguousarray(array[..., ::-1])[..., ::-1],
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "misaligned": misaligned,
    "read only": read_only,
    "subclass": lambda array: array.view(Subclass),
}


@every_case
@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_any_form_give_the_same_and_stay_as_they_are(case, form, rng):
    arguments = case.arguments(rng, np.float32)
    changed = {name: FORMS[form](array) for name, array in arguments.items()}
    assert same_bits(np.asarray(case(changed)), case(arguments))
    for name, array in changed.items():
        np.testing.assert_array_equal(np.asarray(array, array.dtype.newbyteorder("=")), arguments[name])


@every_case
def test_lists_are_float64_arrays(case, rng):
    arguments = case.arguments(rng)
    assert same_bits(case({name: array.tolist() for name, array in arguments.items()}), case(arguments))


@every_case
def test_arrays_may_be_given_by_position(case, rng):
    arguments = case.arguments(rng)
    positional = [
        name
        for name, parameter in inspect.signature(case.function).parameters.items()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    known = {**arguments, **case.options}
    order = [known[name] for name in positional if name in known]
    rest = {name: value for name, value in case.options.items() if name not in positional}
    assert same_bits(case.function(*order, **rest), case(arguments))


EQUAL_OPTIONS = [
    (
        find(cge.maxpool2d_forward, kernel_size=2),
        dict(kernel_size=2),
        dict(kernel_size=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))),
    ),
    (find(cge.avgpool2d_forward, kernel_size=2), dict(kernel_size=[2, 2]), dict(kernel_size=2, stride=2, padding=0)),
    (
        find(cge.maxpool2d_forward, kernel_size=2),
        dict(kernel_size=3, stride=1, padding="same"),
        dict(kernel_size=3, stride=1, padding=1),
    ),
    (
        find(cge.avgpool2d_forward, kernel_size=2),
        dict(kernel_size=2, padding="same"),
        dict(kernel_size=2, padding=((0, 1), (0, 0))),
    ),
    (find(cge.conv2d_forward), dict(padding="same"), dict(padding=((1, 1), (0, 1)))),
    (
        find(cge.conv2d_forward),
        dict(padding="same", stride=(3, 4), dilation=2),
        dict(padding=((2, 2), (0, 1)), stride=(3, 4), dilation=(2, 2)),
    ),
    (
        find(cge.conv2d_forward),
        dict(stride=2, padding=1),
        dict(stride=np.int64(2), padding=np.uint8(1), dilation=np.int32(1), groups=np.int16(1)),
    ),
    (find(cge.leaky_relu_forward, alpha=0.25), dict(alpha=0.25), dict(alpha=np.float32(0.25))),
    (find(cge.leaky_relu_forward), {}, dict(alpha=0.01)),
    (find(cge.leaky_relu_input_grad), {}, dict(alpha=0.01)),
]


@pytest.mark.parametrize("case, one, other", EQUAL_OPTIONS)
def test_options_in_any_form(case, one, other, rng):
    arguments = case.arguments(rng)
    assert same_bits(case.function(**arguments, **one), case.function(**arguments, **other))


@pytest.mark.parametrize("size", [6, (6, 6), [6, 6], np.int32(6)])
def test_input_size_in_any_form(size, rng):
    dy, w = rng.standard_normal((2, 3, 3, 4)), rng.standard_normal((4, 4, 2, 4))
    assert same_bits(cge.avgpool2d_input_grad(dy, size, 2), cge.avgpool2d_input_grad(dy, (6, 6), 2))
    assert same_bits(cge.conv2d_input_grad(w, dy, size), cge.conv2d_input_grad(w, dy, (6, 6)))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint64, np.dtype(">i4")])
def test_labels_of_any_integer_type(dtype, rng):
    x = rng.standard_normal((3, 4))
    for function in (cge.softmax_cross_entropy_forward, cge.softmax_cross_entropy_input_grad):
        expected = function(x, [3, 0, 2])
        assert same_bits(function(x, np.array([3, 0, 2], dtype)), expected)
        assert same_bits(function(x[0], dtype.type(3) if isinstance(dtype, np.dtype) else dtype(3)), expected[0])
        assert same_bits(function(x[0], np.array([3], dtype)), expected[0])


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (2, 1, 3, 1, 2)])
@pytest.mark.parametrize("row", ACTIVATIONS, ids=lambda row: row[0])
def test_activations_take_any_shape(row, shape, rng):
    name, options, _ = row
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    y = getattr(cge, f"{name}_forward")(x, **options)
    dx = getattr(cge, f"{name}_input_grad")(y, dy, **options)
    flat_y = getattr(cge, f"{name}_forward")(np.ravel(x), **options)
    assert same_bits(y, flat_y.reshape(shape))
    assert same_bits(dx, getattr(cge, f"{name}_input_grad")(flat_y, np.ravel(dy), **options).reshape(shape))


# ---- refused -------------------------------------------------------------------------------------------------------------


@every_case
def test_each_array_is_checked_and_named(case, rng):
    """Of each argument: other types, another rank, an empty axis, no array at all."""
    arguments = case.arguments(rng, np.float32)
    first = next(iter(arguments))
    for name, array in arguments.items():
        bad = {
            "complex": array.astype(np.complex64),
            "text": np.full(array.shape, "a"),
            "objects": np.full(array.shape, None),
            "rank": array.reshape(1, 1, 1, *array.shape),
            "empty": array[:0],
            "dictionary": {},
        }
        if name != "labels" and case.result != "one":
            bad["integers"] = np.zeros(array.shape, np.int64)
            bad["half precision"] = array.astype(np.float16)
            if name != first:
                bad["another precision"] = array.astype(np.float64)
        if "labels" in name:
            bad["floats"] = array.astype(np.float32)
        kind = case.function.__name__.removesuffix("_forward").removesuffix("_input_grad")
        if kind in {*ELEMENTWISE, "dropout", "prelu", "prelu_weight_grad"} and name == first:
            del bad["rank"]
        for what, value in bad.items():
            with pytest.raises((TypeError, ValueError)) as refused:
                case({**arguments, name: value})
            assert str(refused.value).startswith(f"{name}: "), f"{name}, {what}: {refused.value}"
            assert "expected" in str(refused.value), f"{name}, {what}: {refused.value}"


@pytest.mark.parametrize("case", [case for case in CASES if len(case.shapes) > 1], ids=name_of)
def test_arrays_that_do_not_fit_each_other_are_refused(case, rng):
    """One more along an axis that another argument determines; the message names one of the two."""
    arguments = case.arguments(rng, np.float32)
    last = list(arguments)[-1]
    for axis in range(arguments[last].ndim):
        longer = np.concatenate([arguments[last], arguments[last].take([0], axis)], axis)
        given = {**arguments, last: longer}
        if fits(case, last, axis):
            case(given)
            continue
        with pytest.raises(ValueError) as refused:
            case(given)
        assert any(part in str(refused.value) for part in [*arguments, "kernel", "groups"]), refused.value


def fits(case, name, axis):
    """Whether a longer axis makes another valid call: more filters, or images, or outputs."""
    function, rank = case.function.__name__, len(case.shapes[name])
    per_group = case.options.get("groups", 1) > 1
    return (function, name, axis) in {
        ("conv2d_forward", "w", 3) if not per_group else None,
        ("conv2d_forward", "w", 0),
        ("conv2d_forward", "w", 1) if case.options.get("dilation") != (1, 3) else None,  # wider than x
        ("conv2d_weight_grad", "dy", rank - 1) if not per_group else None,
        *(("conv_transpose2d_forward", "w", axis) for axis in range(3)),
        ("conv_transpose2d_weight_grad", "dy", rank - 1) if not per_group else None,
        ("conv_transpose2d_input_grad", "dy", 0),
        ("dense_forward", "w", 1),
        ("dense_weight_grad", "dy", 1),
        ("conv2d_input_grad", "dy", 0),
        ("dense_input_grad", "dy", 0),
    }


BAD = {
    "vectors of other count": (lambda: cge.dense_weight_grad(np.ones((3, 2)), np.ones((2, 4))), ["dy", "(3, n)", "(2, 4)"]),
    "one vector, many gradients": (
        lambda: cge.dense_weight_grad(np.ones(2), np.ones((2, 4))),
        ["dy", "(1, n)", "(n,)", "(2, 4)"],
    ),
    "gradient of other length": (
        lambda: cge.dense_input_grad(np.ones((3, 2)), np.ones((5, 3))),
        ["dy", "(N, 2)", "(2,)", "(5, 3)"],
    ),
    "weights of other size": (lambda: cge.dense_forward(np.ones((2, 3)), np.ones((4, 5))), ["w", "(3, out)", "(4, 5)"]),
    "bias of other size": (lambda: cge.dense_forward(np.ones((2, 3)), np.ones((3, 5)), np.ones(4)), ["b", "(5,)", "(4,)"]),
    "values of other size": (
        lambda: cge.mean_squared_error_forward(np.ones((2, 3)), np.ones((2, 4))),
        ["target", "(2, 3)", "(2, 4)"],
    ),
    "label too large": (lambda: cge.softmax_cross_entropy_forward(np.ones((2, 3)), [0, 3]), ["labels", "0 .. 2", "0 .. 3"]),
    "label negative": (lambda: cge.softmax_cross_entropy_input_grad(np.ones((2, 3)), [0, -1]), ["labels", "0 .. 2", "-1 .. 0"]),
    "labels of other count": (lambda: cge.softmax_cross_entropy_forward(np.ones((2, 3)), [0]), ["labels", "(2,)", "(1,)"]),
    "probability above one": (
        lambda: cge.binary_cross_entropy_forward(np.ones((2, 3)), np.full((2, 3), 1.5)),
        ["target", "0 .. 1", "1.5"],
    ),
    "probability that is NaN": (
        lambda: cge.binary_cross_entropy_input_grad(np.ones(2), np.full(2, np.nan)),
        ["target", "0 .. 1", "nan"],
    ),
    "delta of zero": (lambda: cge.huber_forward(np.ones(3), np.ones(3), 0), ["delta", "> 0", "got 0"]),
    "delta infinite": (lambda: cge.huber_input_grad(np.ones(3), np.ones(3), np.inf), ["delta", "finite", "inf"]),
    "smoothing above one": (
        lambda: cge.smoothed_cross_entropy_forward(np.ones((1, 3)), [0], 1.5),
        ["label_smoothing", "<= 1", "1.5"],
    ),
    "temperature of zero": (
        lambda: cge.distillation_forward(np.ones((1, 3)), [0], np.ones((1, 3)), 0.0),
        ["temperature", "> 0", "got 0.0"],
    ),
    "alpha above one": (
        lambda: cge.distillation_input_grad(np.ones((1, 3)), [0], np.ones((1, 3)), 1.0, 2.0),
        ["alpha", "<= 1", "2.0"],
    ),
    "teacher of other size": (
        lambda: cge.distillation_forward(np.ones((1, 3)), [0], np.ones((1, 4))),
        ["teacher", "(1, 3)", "(1, 4)"],
    ),
    "activation of nothing": (lambda: cge.relu_forward(np.ones((2, 0))), ["x", "(2, 0)", "1 .. "]),
    "gradient of other shape": (lambda: cge.tanh_input_grad(np.ones((2, 3)), np.ones((3, 2))), ["dy", "(2, 3)", "(3, 2)"]),
    "pooling window too large": (lambda: cge.maxpool2d_forward(np.ones((2, 2, 1)), 3), ["kernel_size", "at most 2", "got 3"]),
    "pooling gradient": (
        lambda: cge.maxpool2d_input_grad(np.ones((4, 4, 1)), np.ones((3, 2, 1)), 2),
        ["dy", "(2, 2, 1)", "(3, 2, 1)"],
    ),
    "pooling padding": (lambda: cge.avgpool2d_forward(np.ones((4, 4, 1)), 2, padding=2), ["padding", "less than", "2"]),
    "pooling input size": (lambda: cge.avgpool2d_input_grad(np.ones((2, 2, 1)), (6, 4), 2), ["dy", "3, 2, 1", "(2, 2, 1)"]),
    "alpha negative": (lambda: cge.leaky_relu_forward(np.ones(3), -0.5), ["alpha", "-0.5", ">= 0"]),
    "alpha infinite": (lambda: cge.leaky_relu_input_grad(np.ones(3), np.ones(3), np.inf), ["alpha", "inf", "finite"]),
    "input size of three": (
        lambda: cge.avgpool2d_input_grad(np.ones((2, 2, 1)), (4, 4, 1), 2),
        ["input_size", "(4, 4, 1)", "(h, w)"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_named_with_what_came_and_what_was_expected(name):
    call, parts = BAD[name]
    with pytest.raises(ValueError) as refused:
        call()
    assert [part for part in parts if part not in str(refused.value)] == [], str(refused.value)


@pytest.fixture
def few_numbers(monkeypatch):
    """The core takes four. Calls that were checked before are checked again."""
    monkeypatch.setattr(cge._core, "MAX_ELEMS", 4)
    for operator in cge._again.OPERATORS.values():
        operator.clear()


def test_samples_of_more_numbers_than_the_core_takes_are_refused(few_numbers):
    """Batches may hold more."""
    for call in (cge.softmax_forward, cge.dense_bias_grad, lambda x: cge.conv2d_bias_grad(x.reshape(len(x), 1, 1, -1))):
        assert call(np.ones((2, 4), np.float32)).shape in ((2, 4), (4,))
        with pytest.raises(ValueError, match=r"^(x|dy): a sample of shape \((1, 1, )?5,?\) has more than 4 numbers"):
            call(np.ones((1, 5), np.float32))


def test_a_network_takes_more_samples_than_one_may_have_numbers(few_numbers):
    """Vectors and series, whose rows were once counted as part of a sample."""
    for shape, layer in (((2,), cge.Dense(2)), ((2, 2), cge.Conv1d(2, 1))):
        net = cge.Network(shape, [layer], "mse", cge.SGD(0.1))
        x = np.ones((5, *shape), np.float32)
        net.fit(x, net.predict(x), epochs=1, verbose=0)
        assert len(net.predict(x)) == 5


def test_elementwise_functions_take_as_many_numbers_as_the_core(few_numbers):
    assert cge.relu_forward(np.ones(4, np.float32)).tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="^x: expected 1 .. 4 numbers, got shape"):
        cge.relu_forward(np.ones(5, np.float32))
