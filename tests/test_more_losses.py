"""Losses with settings, weights of samples and classes, and accuracy of many labels: through networks, files and exports."""

import json
import warnings

import host
import numpy as np
import pytest
import reference
from capi import lib, operator, same_bits

import convgrad_embedded as cge
from convgrad_embedded import _losses

LEVELS = ["fast", "small", "smallest", "small_sliced", "smallest_sliced"]
LOSSES = [
    "softmax_cross_entropy",
    "mean_squared_error",
    cge.BinaryCrossEntropy(),
    cge.MeanAbsoluteError(),
    cge.Huber(0.25),
    cge.SoftmaxCrossEntropy(label_smoothing=0.125),
    cge.Distillation(temperature=2.0, alpha=0.25),
]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=str)
OUTPUTS = 5


def make(loss, momentum=0.5, **settings):
    layers = [cge.Conv2d(4, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(OUTPUTS)]
    return cge.Network((6, 4, 2), layers, loss, cge.SGD(0.1, momentum=momentum), seed=3, **settings)


def data(loss, count, rng):
    x = rng.normal(size=(count, 6, 4, 2)).astype(np.float32)
    labels, values = rng.integers(0, OUTPUTS, count), rng.normal(size=(count, OUTPUTS)).astype(np.float32)
    name = loss if isinstance(loss, str) else loss.name
    shares = rng.random((count, OUTPUTS)).astype(np.float32)
    kinds = {"softmax_cross_entropy": labels, "distillation": (labels, values), "binary_cross_entropy": shares}
    return x, kinds.get(name, values)


def of_reference(loss):
    """The float64 loss with its settings, of what fit takes as y."""
    if isinstance(loss, str):
        return loss
    function = getattr(reference, "smoothed_cross_entropy" if loss.name == "softmax_cross_entropy" else loss.name)
    settings = {
        name: getattr(loss, name) for name in ("delta", "label_smoothing", "temperature", "alpha") if hasattr(loss, name)
    }
    return lambda x, y: function(x, *(y if isinstance(y, tuple) else (y,)), **settings)


def rows_of(y, rows):
    return tuple(part[rows] for part in y) if isinstance(y, tuple) else y[rows]


# ---- PyTorch -----------------------------------------------------------------------------------------------------------


def pytorch_cases(root):
    return json.loads((root / "tests" / "pytorch_losses.json").read_text())["cases"]


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 2e-14), (np.float32, 1e-6)])
def test_pytorch_says_the_same(root, dtype, tolerance):
    cases = pytorch_cases(root)
    assert len(cases) == 3 * 11
    for case in cases:
        arrays = {
            key: np.asarray(case[key], np.int32 if key == "labels" else dtype)
            for key in ("x", "target", "labels", "teacher")
            if key in case
        }
        for what, expected in (("forward", case["loss"]), ("input_grad", case["dx"])):
            result = getattr(cge, f"{case['name']}_{what}")(**arrays, **case["settings"])
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(
                result, expected, rtol=0, atol=tolerance * scale, err_msg=f"{case['name']} {case['settings']}"
            )


# ---- values ------------------------------------------------------------------------------------------------------------


def test_confident_answers_keep_their_small_losses():
    """log1p: near log(1 + e) = e a sum with 1 would be rounded to nothing."""
    x = np.array([-30, -20, -10, 10, 20, 30], np.float32)
    for logit in x:
        loss = cge.binary_cross_entropy_forward(np.array([logit]), np.array([logit > 0], np.float32))
        assert loss == pytest.approx(np.log1p(np.exp(-abs(np.float64(logit)))), rel=3e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wild_values_come_through(dtype):
    zero, one = np.zeros(1, dtype), np.ones(1, dtype)
    for name, settings in (("binary_cross_entropy", {}), ("mean_absolute_error", {}), ("huber", {"delta": 0.5})):
        forward, grad = (getattr(cge, f"{name}_{what}") for what in ("forward", "input_grad"))
        huge = np.array([1e30], dtype)
        assert np.isfinite(forward(huge, zero, **settings)) and np.isfinite(grad(-huge, one, **settings)).all()
        nan = np.array([np.nan], dtype)
        assert np.isnan(forward(nan, zero, **settings)) and np.isnan(grad(nan, zero, **settings)).all()
        assert not np.isfinite(forward(np.array([np.inf], dtype), one * 0, **settings))
    assert cge.binary_cross_entropy_forward(np.array([1e30], dtype), one) == 0
    assert cge.mean_absolute_error_input_grad(zero, zero) == 0
    x = np.array([[3e38, -3e38, 3e38]], np.float32)
    assert np.isinf(cge.smoothed_cross_entropy_forward(x, [0], 0.5)).all()
    assert np.isfinite(cge.smoothed_cross_entropy_input_grad(x, [0], 0.5)).all()
    assert np.isfinite(cge.distillation_input_grad(x, [0], x, 2.0, 0.5)).all()
    far = np.array([[1e4, 0, -1e4]], dtype)
    assert np.isfinite(cge.distillation_forward(far, [2], -far, 2.0, 0.5)).all()
    assert cge.distillation_forward(far, [2], far, 2.0, 0.0) == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("dtype, suffix", [(np.float32, "f32"), (np.float64, "f64")])
@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_losses_are_the_formulas_bit_for_bit(n, dtype, suffix, rng):
    """The header's orders, with the core's own exp and log."""
    exp, log = (getattr(lib, f"cge_{name}_{suffix}") for name in ("exp", "log"))
    x, values = (3 * rng.normal(size=(2, n))).astype(dtype)
    shares, label = rng.random(n).astype(dtype), n // 2
    half, one = dtype(0.5), dtype(1)

    def exps(logits, rate=one):
        return np.array([exp(v) for v in (logits - logits.max()) * rate], dtype)

    def total(terms):
        sum_ = dtype(0)
        for term in terms:
            sum_ = sum_ + term
        return sum_

    def log1p(e):
        u = one + e
        return e if u == one else dtype(log(u)) * (e / (u - one))

    def check(name, settings, others, loss, dx):
        result, gradient = np.empty(1, dtype), np.empty(n, dtype)
        operator(f"{name}_forward", n, *settings, x, *others, result)
        operator(f"{name}_input_grad", n, *settings, x, *others, gradient)
        assert same_bits(result[0], loss), name
        assert same_bits(gradient + 0, np.asarray(dx, dtype) + 0), name

    d, share = x - values, one / dtype(n)
    check("mean_absolute_error", [], [values], total(np.abs(d)) * share, np.sign(d) * share)
    delta = dtype(0.75)
    terms = [half * a * a if a <= delta else delta * (a - half * delta) for a in np.abs(d)]
    check("huber", [0.75], [values], total(terms) * share, np.clip(d, -delta, delta) * share)
    small = [dtype(exp(-abs(v))) for v in x]
    terms = [(max(v, dtype(0)) - v * t) + log1p(e) for v, t, e in zip(x, shares, small)]
    sigmoid = np.array([one / (one + e) if v >= 0 else e / (one + e) for v, e in zip(x, small)], dtype)
    check("binary_cross_entropy", [], [shares], total(terms) * share, (sigmoid - shares) * share)
    e, m, smoothing = exps(x), x.max(), dtype(0.125)
    log_s = dtype(log(total(e)))
    r = log_s - (x - m)
    loss = (one - smoothing) * r[label] + (smoothing / dtype(n)) * total(r)
    at_label = np.arange(n) == label
    dx = (e / total(e) - smoothing / dtype(n)) - at_label * (one - smoothing)
    check("smoothed_cross_entropy", [0.125], [label], loss, dx)
    rate, alpha = one / dtype(2.5), dtype(0.25)
    p, q = exps(values, rate), exps(x, rate)
    log_p, log_q = ((v - v.max()) * rate - dtype(log(total(e_))) for v, e_ in ((values, p), (x, q)))
    kl = total((p / total(p)) * (log_p - log_q))
    check(
        "distillation", [2.5, 0.25], [label, values],
        alpha * r[label] + (one - alpha) * dtype(2.5) * dtype(2.5) * kl,
        alpha * (e / total(e) - at_label.astype(dtype)) + ((one - alpha) * dtype(2.5)) * (q / total(q) - p / total(p)),
    )  # fmt: skip


# ---- networks ----------------------------------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("weighted", [False, True])
def test_training_agrees_with_the_reference(loss, weighted, rng):
    x, y = data(loss, 8, rng)
    weights = rng.random(8).astype(np.float32) * 2 if weighted else None
    net = make(loss, momentum=0.0)
    layers = [
        reference.Conv2d(4, 3, padding=1),
        reference.ReLU(),
        reference.MaxPool2d(2),
        reference.Flatten(),
        reference.Dense(OUTPUTS),
    ]
    twin = reference.Network(layers, net.get_weights(), of_reference(loss))
    for _ in range(5):
        expected, gradients = twin.gradients(x, y, weights)
        before = net.get_weights()
        assert net.train_on_batch(x, y, sample_weight=weights) == pytest.approx(expected, rel=1e-5)
        for old, new, gradient in zip(before, net.get_weights(), gradients):
            np.testing.assert_allclose(new, old - 0.1 * gradient, rtol=0, atol=2e-6)
        twin = reference.Network(layers, net.get_weights(), of_reference(loss))


@every_loss
def test_gradients_are_signed_differences(loss, rng):
    x, y = data(loss, 2, rng)
    assert make(loss).gradcheck(x, y).checked > 100


@every_loss
def test_every_level_and_capacity_gives_the_same_bits(loss, rng):
    x, y = data(loss, 7, rng)
    weights = rng.random(7).astype(np.float32)
    nets = [make(loss, memory=level) for level in LEVELS] + [make(loss, capacity=c, threads=t) for c, t in ((1, 1), (4, 3))]
    for net in nets:
        net.fit(x, y, epochs=2, batch_size=1, sample_weight=weights, verbose=0)
    assert len({net.weights_hash() for net in nets}) == 1
    assert len({net.evaluate(x, y, sample_weight=weights) for net in nets}) == 1
    sliced = make(loss, memory="small_sliced")
    blocking = make(loss, memory="small")
    for _ in range(3):
        sliced.train_begin(x, y, sample_weight=weights)
        while sliced.resume(50):
            pass
        assert sliced.step_result == blocking.train_on_batch(x, y, sample_weight=weights)
    assert sliced.weights_hash() == blocking.weights_hash()
    sliced.evaluate_begin(x, y, sample_weight=weights)
    while sliced.resume(50):
        pass
    assert sliced.step_result == blocking.evaluate(x, y, sample_weight=weights)


@every_loss
def test_the_loss_survives_a_file(loss, rng):
    x, y = data(loss, 6, rng)
    net = make(loss)
    net.fit(x, y, batch_size=3, verbose=0)
    read = cge.Network.from_bytes(net.to_bytes())
    assert read.loss == net.loss and repr(read) == repr(net)
    assert read.to_bytes() == net.to_bytes()
    for one in (net, read):
        one.fit(x, y, batch_size=3, verbose=0)
    assert read.weights_hash() == net.weights_hash()


def test_losses_by_name():
    names = {
        "softmax_cross_entropy": cge.SoftmaxCrossEntropy(),
        "mse": cge.MeanSquaredError(),
        "mae": cge.MeanAbsoluteError(),
        "binary_cross_entropy": cge.BinaryCrossEntropy(),
        "huber": cge.Huber(),
        "distillation": cge.Distillation(),
    }
    for name, loss in names.items():
        assert isinstance(loss, cge.Loss) and make(name).loss == make(loss).loss == loss.name
        assert make(name).to_bytes() == make(loss).to_bytes()
    assert make(cge.Huber(0.5)).loss == cge.Huber(0.5)
    assert "loss=Huber(delta=0.5)" in repr(make(cge.Huber(0.5)))
    assert "loss SoftmaxCrossEntropy(label_smoothing=0.1)" in make(cge.SoftmaxCrossEntropy(label_smoothing=0.1)).summary(
        print_fn=None
    )


REFUSED = {
    "Keras's name": (lambda: make("binary_crossentropy"), "loss: .*did you mean 'binary_cross_entropy'"),
    "no name": (lambda: make("hubert"), "loss: expected one of .*'huber'"),
    "delta": (lambda: cge.Huber(0), "Huber: delta: expected a finite number > 0, got 0"),
    "tiny delta": (lambda: cge.Huber(1e-60), "Huber: delta: expected a finite number > 0"),
    "smoothing": (lambda: cge.SoftmaxCrossEntropy(label_smoothing=1.5), "SoftmaxCrossEntropy: label_smoothing: .* 1.5"),
    "temperature": (lambda: cge.Distillation(temperature=-1), "Distillation: temperature: .* -1"),
    "alpha": (lambda: cge.Distillation(alpha=2), "Distillation: alpha: expected 0 <= alpha <= 1, got 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_settings_are_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_class_of_losses_is_no_loss():
    with pytest.raises(TypeError, match=r"loss: expected a loss such as Huber\(\), got the class Huber"):
        make(cge.Huber)


def test_targets_of_the_new_losses_are_checked(rng):
    x, y = data("distillation", 3, rng)
    net = make("distillation")
    with pytest.raises(TypeError, match=r"y: expected \(labels, the teacher's logits\)"):
        net.train_on_batch(x, y[0])
    with pytest.raises(ValueError, match=r"y\[1\]: expected shape"):
        net.train_on_batch(x, (y[0], y[1][:, :2]))
    with pytest.raises(ValueError, match=r"y\[0\]: expected labels 0 .. 4"):
        net.train_on_batch(x, (y[0] + 5, y[1]))
    net = make("binary_cross_entropy")
    for bad in (1.5, -0.5, np.nan):
        with pytest.raises(ValueError, match="y: expected targets 0 .. 1, got"):
            net.train_on_batch(x, np.full((3, OUTPUTS), bad, np.float32))
    integers = np.arange(15).reshape(3, 5) % 2
    assert net.evaluate(x, integers) == net.evaluate(x, integers.astype(bool)) == net.evaluate(x, integers.astype(np.float32))


def test_an_export_has_the_settings(tmp_path, core_archive, rng):
    x, y = data("huber", 1, rng)
    net = make(cge.Huber(0.25))
    files = net.export(tmp_path, "net")
    text = (tmp_path / "net.c").read_text()
    assert ".loss = &cge_huber" in text and ".delta = 0x1p-2f" in text and len(files) == 2
    numbers = (
        ", ".join(f"{value.item().hex()}f" for value in x.ravel()),
        ", ".join(f"{value.item().hex()}f" for value in y.ravel()),
    )
    program = host.compile_c(
        tmp_path,
        (tmp_path / "net.c").read_text()
        + """
#include <stdio.h>
static const float x[] = {%s}, y[] = {%s};
static uint64_t arena[NET_TRAINING_ARENA_BYTES / 8 + 1];
int main(void)
{
    const cge_options options = {.training = 1, .params = net_params};
    const cge_targets targets = {.values = y};
    static cge_network net;
    uint64_t hash = 0;
    float loss = 0;
    int status = cge_network_init(&net, &net_model, &options, arena, sizeof arena);
    if (status == CGE_OK) status = cge_network_train_batch(&net, x, &targets, 1, &loss);
    if (status == CGE_OK) status = cge_network_params_hash(&net, &hash);
    printf("%%d %%08lx%%08lx\\n", status, (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
    return 0;
}
""" % numbers,
        core_archive,
        "-I", tmp_path,
    )  # fmt: skip
    net.train_on_batch(x, y)
    assert host.run([program]).split() == ["0", net.weights_hash()]


# ---- weights -----------------------------------------------------------------------------------------------------------


@every_loss
def test_weights_of_one_give_the_bits_without(loss, rng):
    x, y = data(loss, 8, rng)
    plain, weighted = make(loss), make(loss)
    plain.fit(x, y, epochs=2, batch_size=3, verbose=0)
    weighted.fit(x, y, epochs=2, batch_size=3, sample_weight=np.ones(8), verbose=0)
    assert plain.weights_hash() == weighted.weights_hash() and plain.history == weighted.history


def test_a_weight_of_zero_leaves_a_sample_out_and_the_count_as_it_is(rng):
    x, y = data("mse", 4, rng)
    net, half = make("mse"), make("mse")
    loss = net.evaluate(x, y, sample_weight=[1, 1, 0, 0]).loss
    assert loss == pytest.approx(half.evaluate(x[:2], y[:2]).loss / 2, rel=1e-6)
    net.train_on_batch(x, y, sample_weight=[1, 1, 0, 0])
    half.learning_rate = 0.05  # of the mean over two
    half.train_on_batch(x[:2], y[:2])
    for a, b in zip(net.get_weights(), half.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_class_weights_are_weights_of_samples(rng):
    x, labels = data("softmax_cross_entropy", 9, rng)
    given = {0: 0.5, 2: 3, np.int64(4): 0.0}
    table = np.array([0.5, 1, 3, 1, 0], np.float32)
    own = rng.random(9).astype(np.float32)
    nets = [make("softmax_cross_entropy") for _ in range(4)]
    nets[0].fit(x, labels, class_weight=given, batch_size=4, verbose=0)
    nets[1].fit(x, labels, sample_weight=table[labels], batch_size=4, verbose=0)
    assert nets[0].weights_hash() == nets[1].weights_hash() and nets[0].history == nets[1].history
    nets[2].train_on_batch(x, labels, class_weight=table, sample_weight=own)
    nets[3].train_on_batch(x, labels, sample_weight=table[labels] * own)
    assert nets[2].weights_hash() == nets[3].weights_hash()
    # the accuracy does not weigh
    assert nets[0].evaluate(x, labels).accuracy == nets[0].evaluate(x, labels, sample_weight=own).accuracy


def test_validation_data_may_weigh(rng):
    x, labels = data("softmax_cross_entropy", 6, rng)
    weights = np.linspace(0, 2, 6)
    net = make("softmax_cross_entropy")
    history = net.fit(x, labels, validation_data=(x, labels, weights), verbose=0)
    assert history["val_loss"] == [net.evaluate(x, labels, sample_weight=weights).loss]
    with pytest.raises(ValueError, match="validation_data: expected"):
        net.fit(x, labels, validation_data=(x, labels, weights, 1), verbose=0)


BAD_WEIGHTS = {
    "negative": ([1, -1, 1], "sample_weight: expected finite numbers >= 0, got -1.0"),
    "NaN": ([1, np.nan, 1], "sample_weight: expected finite numbers >= 0, got nan"),
    "infinite": ([1, np.inf, 1], "sample_weight: expected finite numbers >= 0, got inf"),
    "too large": ([1, 1e300, 1], "sample_weight: expected numbers that are finite as float32"),
    "too few": ([1, 1], r"sample_weight: expected shape \(3,\), got \(2,\)"),
    "a column": ([[1], [1], [1]], r"sample_weight: expected shape \(3,\), got \(3, 1\)"),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights_are_refused_and_nothing_is_learned(name, rng):
    weights, message = BAD_WEIGHTS[name]
    x, labels = data("softmax_cross_entropy", 3, rng)
    net = make("softmax_cross_entropy")
    before = net.to_bytes()
    for call in (net.train_on_batch, net.evaluate, lambda *a, **k: net.fit(*a, verbose=0, **k)):
        with pytest.raises(ValueError, match=message):
            call(x, labels, sample_weight=weights)
    assert net.to_bytes() == before


def test_bad_class_weights_are_refused(rng):
    x, labels = data("softmax_cross_entropy", 3, rng)
    net = make("softmax_cross_entropy")
    for given, error, message in (
        ({5: 1.0}, ValueError, "class_weight: a class: expected at most 4, got 5"),
        ({"cat": 1.0}, TypeError, "class_weight: a class: expected an integer"),
        ({0: -1.0}, ValueError, r"class_weight\[0\]: expected a finite number >= 0, got -1.0"),
        ({0: "1"}, TypeError, r"class_weight\[0\]: expected a number"),
        ([1.0, 2.0], ValueError, r"class_weight: expected shape \(5,\), got \(2,\)"),
        ("balanced", TypeError, "class_weight: expected a dict or one number for each class"),
    ):
        with pytest.raises(error, match=message):
            net.train_on_batch(x, labels, class_weight=given)
    with pytest.raises(ValueError, match="class_weight: expected None for a loss without labels"):
        make("mse").train_on_batch(*data("mse", 3, rng), class_weight={0: 1.0})


def test_weights_are_copied(rng):
    """The core reads them without the GIL, and must not find others than were checked."""
    weights = np.ones(3, np.float32)
    targets = _losses.with_weights(_losses.Targets(np.zeros(3, np.int32), None), weights, None, 3, 2)
    assert not np.shares_memory(weights, targets.weights)


# ---- accuracy ----------------------------------------------------------------------------------------------------------


def test_accuracy_of_many_labels_counts_all_outputs(rng):
    x, _ = data("mse", 40, rng)
    y = (rng.random((40, OUTPUTS)) < 0.4).astype(np.float32)
    net = make("binary_cross_entropy")
    right = 0
    for begin in range(0, 40, 8):
        rows = slice(begin, begin + 8)
        right += ((net.predict(x[rows]) > 0) == (y[rows] > 0.5)).sum()
        net.train_on_batch(x[rows], y[rows])
    expected = ((net.predict(x) > 0) == (y > 0.5)).mean()
    net = make("binary_cross_entropy")
    history = net.fit(x, y, batch_size=8, shuffle=False, validation_data=(x, y), verbose=0)
    assert history["accuracy"] == [right / (40 * OUTPUTS)]
    assert history["val_accuracy"][-1] == net.evaluate(x, y).accuracy == pytest.approx(expected)
    assert make("mae").evaluate(x, y).accuracy is None and "accuracy" not in make("huber").fit(x, y, verbose=0)
    sliced = cge.Network.from_bytes(net.to_bytes(), memory="small_sliced")
    sliced.evaluate_begin(x, y)
    sliced.resume()
    assert sliced.step_result == net.evaluate(x, y)


def test_a_network_learns_two_questions(rng):
    """Left brighter than right, top brighter than bottom."""
    x = rng.random((200, 6, 4, 1)).astype(np.float32)
    y = np.stack(
        [x[:, :, :2].sum((1, 2, 3)) > x[:, :, 2:].sum((1, 2, 3)), x[:, :3].sum((1, 2, 3)) > x[:, 3:].sum((1, 2, 3))], 1
    )
    net = cge.Network((6, 4, 1), [cge.Dense(2)], "binary_cross_entropy", cge.SGD(0.5, 0.9), seed=1)
    net.fit(x - 0.5, y, epochs=30, batch_size=20, verbose=0)
    assert net.evaluate(x - 0.5, y).accuracy > 0.95


def test_a_student_learns_from_its_teacher_alone(rng):
    x, labels = data("softmax_cross_entropy", 60, rng)
    teacher, student = make("softmax_cross_entropy"), make(cge.Distillation(temperature=2.0))
    teacher.fit(x, labels, epochs=60, batch_size=10, verbose=0)
    logits = teacher.predict(x)
    before = student.evaluate(x, (labels, logits)).loss
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        student.fit(x, (np.zeros(60, int), logits), epochs=60, batch_size=10, verbose=0)
    after = student.evaluate(x, (labels, logits))
    assert after.loss < 0.2 * before and after.accuracy > 0.8
