/* The suites that main.c runs; one file test_<name>.c each, some with a second one for refused input. */
#ifndef SUITES_H
#define SUITES_H

#define CHECK_OPERATOR_SUITES(X)                                                                                      \
    X(status) X(crc32) X(rng) X(rng_status) X(math) X(conv2d) X(conv2d_status) X(dense) X(dense_status)               \
    X(pool2d) X(pool2d_status) X(activation) X(activation_status) X(image) X(image_status) X(loss) X(loss_status)     \
    X(more_losses) X(more_losses_status) X(metrics) X(metrics_status) X(sgd) X(sgd_status)                            \
    X(adaptive) X(adaptive_status) X(schedule) X(data) X(data_status) X(ranges) X(kernels_conv2d)                     \
    X(kernels_dense) X(kernels_pool2d) X(kernels_depthwise) X(kernels_elementwise) X(kernels_norm) X(norm) X(norm_status)
#define CHECK_NETWORK_SUITES(X)                                                                                       \
    X(model) X(planning) X(network) X(network_status) X(parts) X(mean_loss) X(wild) X(overlap) X(threads)             \
    X(serialise) X(serialise_status) X(selftest) X(outside)
#define CHECK_PLAN_SUITES(X)                                                                                          \
    X(plan) X(relay) X(learning_relay) X(spread) X(graph) X(golden)
#define CHECK_SLICE_SUITES(X) X(boxes) X(slices) X(seal) X(clip) X(weights)
#define CHECK_LAYER_SUITES(X)                                                                                         \
    X(trains) X(fp_mode) X(norm_layers) X(dropout) X(dropout_status) X(batch_norm) X(batch_norm_status) X(tail)       \
    X(conv_transpose2d) X(conv_transpose2d_status) X(outputs) X(outputs_status) X(bytes) X(bytes_status)

/* Boards with little flash have a program for each of the five; CHECK_GOLDEN is whether a board learns what others do. */
#if defined(CHECK_OPERATORS)
#define CHECK_SUITES(X) CHECK_OPERATOR_SUITES(X)
#elif defined(CHECK_NETWORKS)
#define CHECK_SUITES(X) CHECK_NETWORK_SUITES(X)
#elif defined(CHECK_PLANS)
#define CHECK_SUITES(X) CHECK_PLAN_SUITES(X)
#elif defined(CHECK_SLICES)
#define CHECK_SUITES(X) CHECK_SLICE_SUITES(X)
#elif defined(CHECK_GOLDEN)
#define CHECK_SUITES(X) X(golden) X(selftest)
#elif defined(CHECK_LAYERS)
#define CHECK_SUITES(X) CHECK_LAYER_SUITES(X)
#else
#define CHECK_SUITES(X) CHECK_OPERATOR_SUITES(X) CHECK_NETWORK_SUITES(X) CHECK_PLAN_SUITES(X) CHECK_SLICE_SUITES(X) \
    CHECK_LAYER_SUITES(X)
#endif

#define DECLARE(name) void suite_##name(void);
CHECK_OPERATOR_SUITES(DECLARE)
CHECK_NETWORK_SUITES(DECLARE)
CHECK_PLAN_SUITES(DECLARE)
CHECK_SLICE_SUITES(DECLARE)
CHECK_LAYER_SUITES(DECLARE)
#undef DECLARE

#endif
