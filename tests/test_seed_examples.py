"""The three manual_* functions are the seed's: its numbers on its 3x3 examples, its loops to the last bit on any input."""

import numpy as np
import pytest

import convgrad_embedded as cge


def seed_gradient(input_map, kernel_shape, output_grad):
    """dL/dw[m,n] = sum_i sum_j dL/dz[i,j] * x[i+m, j+n]; i, then j (then the channel), in double precision."""
    gradient = np.zeros(kernel_shape)
    for m in range(kernel_shape[0]):
        for n in range(kernel_shape[1]):
            for i in range(output_grad.shape[0]):
                for j in range(output_grad.shape[1]):
                    for x in np.atleast_1d(input_map[i + m, j + n]):
                        gradient[m, n] += output_grad[i, j] * x
    return gradient


def operands(rng, channels=()):
    """A random input, kernel and output gradient of fitting sizes; whole numbers would hide the order."""
    kernel = rng.integers(1, 5, 2)
    output = rng.integers(1, 9, 2)
    return rng.normal(size=(*(kernel + output - 1), *channels)), rng.normal(size=kernel), rng.normal(size=output)


INPUT = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
KERNEL = np.array([[1, 0], [0, -1]])
OUTPUT_GRAD = np.array([[0.1, 0.2], [0.3, 0.4]])
# [0,0]: 0.1*1 + 0.2*2 + 0.3*4 + 0.4*5 = 3.7; a step to the right adds the sum of the gradients, 1, a step down adds 3
GRADIENT = np.array([[3.7, 4.7], [6.7, 7.7]])


def assert_prints(result, expected):
    """Sums of decimal fractions: equal to the seed's numbers but for the last binary digits."""
    np.testing.assert_allclose(result, expected, rtol=1e-15)


def test_single_channel_example():
    result = cge.manual_convolution_gradient(INPUT, KERNEL, OUTPUT_GRAD)
    assert_prints(result, GRADIENT)
    np.testing.assert_array_equal(result, seed_gradient(INPUT, (2, 2), OUTPUT_GRAD))


def test_multi_filter_example():
    kernels = np.array([KERNEL, [[0, 1], [-1, 0]]])
    output_grads = np.array([OUTPUT_GRAD, [[0.5, 0.6], [0.7, 0.8]]])
    # second filter, [0,0]: 0.5*1 + 0.6*2 + 0.7*4 + 0.8*5 = 8.5; the gradients sum to 2.6: right + 2.6, down + 7.8
    result = cge.manual_convolution_multi_filter_gradients(INPUT, kernels, output_grads)
    assert_prints(result, [GRADIENT, [[8.5, 11.1], [16.3, 18.9]]])
    np.testing.assert_array_equal(result, [seed_gradient(INPUT, (2, 2), g) for g in output_grads])


def test_rgb_example():
    image = np.zeros((3, 3, 3))
    image[:, :, 0] = INPUT
    result = cge.manual_convolution_gradient_rgb(image, KERNEL, OUTPUT_GRAD)
    assert_prints(result, GRADIENT)
    np.testing.assert_array_equal(result, seed_gradient(image, (2, 2), OUTPUT_GRAD))


def test_rgb_sums_over_the_channels():
    image = np.stack([INPUT, 10 * INPUT, 100 * INPUT], axis=-1)
    result = cge.manual_convolution_gradient_rgb(image, KERNEL, OUTPUT_GRAD)
    assert_prints(result, 111 * GRADIENT)
    np.testing.assert_array_equal(result, seed_gradient(image, (2, 2), OUTPUT_GRAD))


def assert_same_bits(result, expected):
    assert result.dtype == np.float64 and result.shape == expected.shape
    assert result.tobytes() == expected.tobytes()


@pytest.mark.parametrize("seed", range(40))
def test_single_channel_equals_the_loops_to_the_last_bit(seed):
    x, kernel, output_grad = operands(np.random.default_rng(seed))
    assert_same_bits(cge.manual_convolution_gradient(x, kernel, output_grad), seed_gradient(x, kernel.shape, output_grad))


@pytest.mark.parametrize("seed", range(40))
def test_multi_filter_equals_the_loops_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    x, kernel, output_grad = operands(rng)
    filters = rng.integers(1, 40)
    kernels, output_grads = rng.normal(size=(filters, *kernel.shape)), rng.normal(size=(filters, *output_grad.shape))
    expected = np.array([seed_gradient(x, kernel.shape, g) for g in output_grads])
    assert_same_bits(cge.manual_convolution_multi_filter_gradients(x, kernels, output_grads), expected)


@pytest.mark.parametrize("seed", range(40))
def test_rgb_equals_the_loops_to_the_last_bit(seed):
    x, kernel, output_grad = operands(np.random.default_rng(seed), channels=(3,))
    assert_same_bits(cge.manual_convolution_gradient_rgb(x, kernel, output_grad), seed_gradient(x, kernel.shape, output_grad))


def test_the_kernel_values_do_not_matter(rng):
    x, kernel, output_grad = operands(rng)
    expected = cge.manual_convolution_gradient(x, kernel, output_grad)
    assert_same_bits(cge.manual_convolution_gradient(x, 0 * kernel, output_grad), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_any_number_type_gives_float64(dtype):
    output_grad = np.array([[1, 2], [3, 4]], dtype)
    result = cge.manual_convolution_gradient(INPUT.astype(dtype), KERNEL, output_grad)
    assert_same_bits(result, np.array([[37.0, 47.0], [67.0, 77.0]]))


@pytest.mark.parametrize(
    "function, shapes",
    [
        (cge.manual_convolution_gradient, [(3, 3), (2, 2), (3, 2)]),
        (cge.manual_convolution_gradient, [(3, 3, 1), (2, 2), (2, 2)]),
        (cge.manual_convolution_multi_filter_gradients, [(3, 3), (2, 2, 2), (3, 2, 2)]),
        (cge.manual_convolution_gradient_rgb, [(3, 3, 4), (2, 2), (2, 2)]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(function, shapes):
    with pytest.raises(ValueError, match="output_grad|input_map|kernel"):
        function(*map(np.ones, shapes))
