/* The suites that main.c runs; one file test_<name>.c each, some with a second one for refused input. */
#ifndef SUITES_H
#define SUITES_H

#define CHECK_SUITES(X)                                                                                               \
    X(status) X(crc32) X(rng) X(rng_status) X(math) X(conv2d) X(conv2d_status) X(dense) X(dense_status)               \
    X(pool2d) X(pool2d_status) X(activation) X(activation_status) X(loss) X(loss_status) X(sgd) X(sgd_status)         \
    X(ranges) X(kernels_conv2d) X(kernels_dense) X(kernels_pool2d) X(kernels_depthwise) X(kernels_elementwise)        \
    X(model) X(network) X(network_status) X(threads) X(serialise) X(serialise_status) X(selftest) X(golden)

#define DECLARE(name) void suite_##name(void);
CHECK_SUITES(DECLARE)
#undef DECLARE

#endif
