"""What goes wrong in engines like this one: each defect that was found in a published engine, by name."""

import subprocess

import numpy as np
import pytest
import reference
from capi import same_bits
from cnet import CNetwork
from geometries import Conv
from host import ROOT, STRICT, compile_c, compiler, library_sources, run
from nets import SPECS, Spec, layer

import convgrad_embedded as cge

# ---- convolution -------------------------------------------------------------------------------------------------------


def operands(conv, seed=0):
    return conv.data(np.random.default_rng(seed), np.float64)


def check_all_passes(conv):
    x, w, b, dy = operands(conv)
    arguments = conv.arguments
    for result, expected in (
        (cge.conv2d_forward(x, w, b, **arguments), reference.conv2d_forward(x, w, b, **arguments)),
        (
            cge.conv2d_weight_grad(x, dy, conv.kernel, **arguments),
            reference.conv2d_weight_grad(x, dy, conv.kernel, **arguments),
        ),
        (cge.conv2d_bias_grad(dy), reference.conv2d_bias_grad(dy)),
        (
            cge.conv2d_input_grad(w, dy, conv.input_size, **arguments),
            reference.conv2d_input_grad(w, dy, conv.input_size, **arguments),
        ),
    ):
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


def differ(a, b):
    """The two are far apart: the case would notice the defect."""
    return a.shape != b.shape or np.abs(a - b).max() > 1e-2


def test_padded_loop_that_stops_at_the_first_row_outside():
    """break instead of continue: output rows whose window begins in the padding would be the bias alone."""
    conv = Conv(1, (4, 4), (3, 3), 2, 2, padding=((2, 1), (2, 1)))
    x, w, b, _ = operands(conv)
    assert differ(cge.conv2d_forward(x, w, b, **conv.arguments)[0, 0], np.broadcast_to(b, (5, 2)))
    check_all_passes(conv)
    # The dilated window leaves the input above and enters it again: rows -2, 0, 2.
    check_all_passes(Conv(1, (1, 1), (3, 3), 1, 1, dilation=(2, 2), padding=((2, 2), (2, 2))))


def test_weight_gradient_that_loses_padding():
    conv = Conv(2, (5, 5), (3, 3), 2, 3, padding=((1, 1), (1, 1)))
    x, _, _, dy = operands(conv)
    without = reference.conv2d_weight_grad(x, dy[:, 1:-1, 1:-1], conv.kernel)
    assert differ(cge.conv2d_weight_grad(x, dy, conv.kernel, **conv.arguments), without)
    check_all_passes(conv)


def test_input_gradient_that_ignores_stride():
    conv = Conv(1, (7, 7), (3, 3), 2, 2, stride=(2, 2))
    _, w, _, dy = operands(conv)
    without = np.zeros((1, 7, 7, 2))
    without[:, :5, :5] = reference.conv2d_input_grad(w, dy, (5, 5))
    assert differ(cge.conv2d_input_grad(w, dy, (7, 7), stride=2), without)
    check_all_passes(conv)
    check_all_passes(Conv(1, (8, 7), (2, 3), 2, 2, stride=(3, 2), padding=((1, 0), (0, 1))))


def test_input_gradient_that_mirrors_only_columns():
    conv = Conv(1, (6, 6), (3, 3), 1, 1)
    _, w, _, dy = operands(conv)
    assert differ(cge.conv2d_input_grad(w, dy, (6, 6)), reference.conv2d_input_grad(w[::-1], dy, (6, 6)))
    check_all_passes(conv)


def test_dilation_missing_from_gradients():
    conv = Conv(1, (9, 8), (3, 2), 2, 2, dilation=(2, 3))
    x, _, _, dy = operands(conv)
    without = reference.conv2d_weight_grad(x[:, :7, :6], dy, conv.kernel)
    assert differ(cge.conv2d_weight_grad(x, dy, conv.kernel, **conv.arguments), without)
    check_all_passes(conv)


@pytest.mark.parametrize("rest", [1, 2])
def test_stride_that_does_not_divide(rest):
    """(H + 2P - K) % S != 0: the last rows feed nothing, and their gradient is zero, not garbage."""
    conv = Conv(1, (6 + rest, 9 + rest), (3, 3), 2, 2, stride=(3, 3))
    assert (conv.input_size[0] - 3) % 3 == rest
    check_all_passes(conv)
    _, w, _, dy = operands(conv)
    dx = cge.conv2d_input_grad(w, dy, conv.input_size, **conv.arguments)
    assert not dx[:, 6:].any() and not dx[:, :, 9:].any() and dx[:, :6, :9].all()


def test_kernels_and_inputs_that_are_not_square():
    for kernel, size in (((1, 4), (5, 9)), ((4, 1), (9, 5)), ((2, 5), (7, 6)), ((3, 1), (3, 11))):
        check_all_passes(Conv(1, size, kernel, 2, 3, padding=((1, 0), (0, 2))))


def test_grouped_weight_gradient():
    conv = Conv(2, (5, 4), (3, 2), 3, 2, groups=4, padding=((1, 1), (0, 0)))
    x, _, _, dy = operands(conv)
    dw = cge.conv2d_weight_grad(x, dy, conv.kernel, **conv.arguments)
    for group in range(4):  # each group is a convolution of its own
        own = reference.conv2d_weight_grad(
            x[..., 3 * group : 3 * group + 3], dy[..., 2 * group : 2 * group + 2], conv.kernel, padding=conv.padding
        )
        np.testing.assert_allclose(dw[..., 2 * group : 2 * group + 2], own, rtol=0, atol=1e-12)
    check_all_passes(conv)


def test_bias_gradient_short_at_padded_borders():
    dy = np.ones((1, 6, 7, 3), np.float32)
    np.testing.assert_array_equal(cge.conv2d_bias_grad(dy), [42, 42, 42])
    check_all_passes(Conv(1, (3, 3), (3, 3), 1, 2, padding=((3, 3), (3, 3))))  # outputs that see padding alone count, too


# ---- networks ----------------------------------------------------------------------------------------------------------


def test_frozen_layer_whose_gradient_is_written_anyway(rng):
    """Past a buffer counted as 0 bytes: the guards behind the arena and the neighbours' gradients would change."""
    for name, spec in SPECS.items():
        for position in spec.trainable:
            net = spec.network(freeze=[position])
            x, y = spec.data(3, rng)
            frozen, whole = CNetwork(net.to_bytes()), CNetwork(spec.network().to_bytes())
            assert frozen.accumulate(x, y)[0] == whole.accumulate(x, y)[0] == "CGE_OK" and frozen.guards_are_intact()
            sizes = [w.size for w in net.get_weights()]
            is_frozen = [i == position for i in spec.trainable for _ in range(1 + spec.layers[i][2].get("use_bias", True))]
            others = np.repeat(np.logical_not(is_frozen), sizes)
            assert same_bits(frozen.numbers("grads"), whole.numbers("grads")[others]), (name, position)
            assert frozen.update() == "CGE_OK" and frozen.guards_are_intact()


def test_stack_array_as_large_as_the_largest_weight_tensor(tmp_path):
    """No frame may depend on a size that is known only at run time, or be large, in what boards compile. (Hosts have
    panels of fixed size; test_toolchain.py compares them with CGE_HOST_STACK_BYTES.)"""
    frames = []
    for source in library_sources():
        run(
            [
                compiler(),
                *STRICT,
                "-O2",
                "-fstack-usage",
                "-DCGE_HOST=0",
                "-I",
                ROOT / "csrc" / "include",
                "-c",
                source,
                "-o",
                tmp_path / "object.o",
            ]
        )
        frames += [line.split("\t") for line in (tmp_path / "object.su").read_text().splitlines()]
    assert len(frames) > 50
    assert [frame for frame in frames if frame[2] not in ("static", "dynamic,bounded") or int(frame[1]) > 1024] == []


def test_first_layer_input_gradient_computed_though_nobody_needs_it():
    """Its input is large and everything else is small: there is no room for a gradient of that size."""
    net = cge.Network((64, 64, 8), [cge.Conv2d(1, 1, stride=64), cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.1))
    assert net.arena_bytes < 1000 < 4 * 64 * 64 * 8
    x = np.ones((2, 64, 64, 8), np.float32)
    twin = CNetwork(net.to_bytes())
    assert twin.train_batch(x, np.array([0, 1]))[0] == "CGE_OK" and twin.guards_are_intact()
    frozen = cge.Network(
        (64, 64, 8),
        [cge.Conv2d(8, 1, frozen=True), cge.ReLU(), cge.GlobalAvgPool2d(), cge.Dense(2)],
        "softmax_cross_entropy",
        cge.SGD(0.1),
    )
    assert frozen.arena_bytes < 1.1 * 4 * 64 * 64 * 8  # behind a frozen front neither


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_size_query_below_what_the_kernel_uses(capacity, rng):
    """Random chains of layers in arenas of exactly the size asked for, between guards."""
    for seed in range(60):
        spec = random_spec(np.random.default_rng(seed))
        freeze = [i for i in spec.trainable if rng.random() < 0.3]
        net, (x, y) = spec.network(freeze=freeze), spec.data(7, rng)
        expected = spec.reference(net.get_weights(), freeze)
        twin = CNetwork(net.to_bytes(), capacity=capacity)
        for _ in range(2):
            result, loss = twin.train_batch(x, y)
            assert result == "CGE_OK" and abs(loss - expected.train_on_batch(x, y)) < 1e-3, spec
        assert twin.guards_are_intact(), spec
        weights = np.concatenate([w.ravel() for w in expected.weights])
        np.testing.assert_allclose(twin.numbers("params"), weights, atol=2e-4, err_msg=str(spec))


def random_spec(rng):
    """One to eight layers of any kind on a small image."""
    size, layers = 6, []
    for _ in range(rng.integers(0, 8)):
        windows = [("Conv2d", int(rng.integers(1, 5)), 3), ("MaxPool2d", 2), ("AvgPool2d", 2)] if size >= 3 else []
        simple = [("Conv2d", int(rng.integers(1, 5)), 1), ("ReLU",), ("LeakyReLU", 0.25), ("Tanh",), ("Sigmoid",), ("Flatten",)]
        kind = [*windows, *simple][rng.integers(len(windows) + len(simple))]
        layers.append(layer(*kind))
        size = {"MaxPool2d": size // 2, "AvgPool2d": size // 2, "Flatten": 1}.get(kind[0], size)
        size -= 2 if kind[0] == "Conv2d" and kind[2] == 3 else 0
    loss = ["softmax_cross_entropy", "mean_squared_error"][rng.integers(2)]
    return Spec((6, 6, 2), [*layers, layer("Dense", 3)], loss, dict(learning_rate=0.05, momentum=0.5 * rng.integers(2)))


def test_optimizer_step_count_lost_at_a_checkpoint(rng, tmp_path):
    spec = SPECS["digits"]
    net = spec.network()
    for _ in range(3):
        net.train_on_batch(*spec.data(2, rng))
    net.save(tmp_path / "checkpoint.cge")
    loaded = cge.Network.load(tmp_path / "checkpoint.cge")
    assert loaded.step_count == net.step_count == 3
    twin = CNetwork(net.to_bytes())
    assert twin.c.step_count == 3 and twin.numbers("velocity").any()


# ---- the checkers --------------------------------------------------------------------------------------------------------

# Defects put into the core by the linker: calls of a kernel go to a wrapper. kernel, parameters, body
WEIGHT_GRAD = (
    "const cge_conv2d_plan *p, const cge_real *x, const cge_real *dy, cge_real *dw, cge_range rows, cge_range kernel_rows"
)
BIAS_GRAD = "const cge_conv2d_plan *p, const cge_real *dy, cge_real *db, cge_range rows"
NEGATE = "for (i = 0; i < p->weight_elems; i++) dw[i] = -dw[i];"
MUTANTS = {
    "sign_of_conv2d_weight_grad": (
        "conv2d_weight_grad",
        WEIGHT_GRAD,
        f"int i; {NEGATE} real(p, x, dy, dw, rows, kernel_rows); {NEGATE}",
    ),
    "one_nan_in_conv2d_weight_grad": (
        "conv2d_weight_grad",
        WEIGHT_GRAD,
        "volatile float zero = 0; real(p, x, dy, dw, rows, kernel_rows); dw[0] = zero / zero;",
    ),
    "first_row_missing_from_conv2d_bias_grad": ("conv2d_bias_grad", BIAS_GRAD, "rows.begin++; real(p, dy, db, rows);"),
    "conv2d_bias_grad_twice": ("conv2d_bias_grad", BIAS_GRAD, "real(p, dy, db, rows); real(p, dy, db, rows);"),
}
MUTANT = """
#include "{root}/csrc/src/kernels/kernels.h"
#define real __real_cge_run_{kernel}
cge_{kernel}_fn real, __wrap_cge_run_{kernel};
void __wrap_cge_run_{kernel}({parameters}) {{ {body} }}
"""
SELFTEST = """
#include "cge.h"
int main(void)
{
    static uint64_t arena[1024];
    cge_selftest_report report;
    size_t bytes;
    if (cge_selftest_arena_bytes(&bytes) != CGE_OK || bytes > sizeof arena) return 2;
    if (cge_selftest(arena, bytes, &report) != CGE_OK) return 3;
    return report.passed ? 0 : 1;
}
"""


def wrapper(directory, name):
    """Compiles a mutant; the object and the linker flag that put it in."""
    kernel, parameters, body = MUTANTS[name]
    source = directory / f"{name}.c"
    source.write_text(MUTANT.format(root=ROOT, kernel=kernel, parameters=parameters, body=body))
    run([compiler(), "-std=c99", "-O1", "-c", source, "-o", directory / f"{name}.o"])
    return [directory / f"{name}.o", f"-Wl,--wrap=cge_run_{kernel}"]


def exit_status(program):
    return subprocess.run([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300).returncode


def test_checker_that_compares_absolute_values(tmp_path, core_archive):
    """The self-test of a sound core passes, that of a core with one wrong gradient does not."""
    assert exit_status(compile_c(tmp_path, SELFTEST, core_archive)) == 0
    for name in MUTANTS:
        assert exit_status(compile_c(tmp_path, SELFTEST, core_archive, *wrapper(tmp_path, name))) == 1, name


@pytest.mark.parametrize(
    "spoil",
    [lambda g: -g, lambda g: 0 * g, lambda g: 1.01 * g, lambda g: np.nan, lambda g: np.inf],
    ids=["sign", "zero", "one percent", "nan", "infinity"],
)
def test_gradcheck_notices_one_wrong_gradient(spoil, rng, monkeypatch):
    """The Python checker: a spoilt gradient anywhere is an error, the first and the last included."""
    from convgrad_embedded import _runtime

    spec = SPECS["perceptron"]
    net, data = spec.network(), spec.data(2, rng)
    sound = _runtime.Runtime.accumulate
    count = sum(w.size for w in net.get_weights())
    for index in (0, count // 2, count - 1):

        def accumulate(self, x, targets, index=index):
            loss = sound(self, x, targets)
            self.grads[index] = spoil(self.grads[index])
            return loss

        monkeypatch.setattr(_runtime.Runtime, "accumulate", accumulate)
        with pytest.raises(cge.GradientCheckError):
            net.gradcheck(*data)
    monkeypatch.setattr(_runtime.Runtime, "accumulate", sound)
    net.gradcheck(*data)


@pytest.fixture(scope="module")
def c_tests(tmp_path_factory):
    """The C test program's objects."""
    directory = tmp_path_factory.mktemp("c_tests")
    sources = sorted((ROOT / "tests" / "c").glob("*.c"))
    run([compiler(), "-std=c99", "-O1", "-ffp-contract=off", "-I", ROOT / "csrc" / "include", "-c", *sources], cwd=directory)
    return [directory / f"{source.stem}.o" for source in sources]


@pytest.mark.parametrize("name", MUTANTS)
def test_test_program_that_returns_zero_whatever_it_found(name, c_tests, core_archive, tmp_path):
    run([compiler(), *c_tests, *wrapper(tmp_path, name), core_archive, "-o", tmp_path / "tests"])
    assert exit_status(tmp_path / "tests") == 1


def test_the_test_program_passes_on_the_core_as_it_is(c_tests, core_archive, tmp_path):
    run([compiler(), *c_tests, core_archive, "-o", tmp_path / "tests"])
    assert exit_status(tmp_path / "tests") == 0
