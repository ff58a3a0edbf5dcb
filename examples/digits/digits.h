/*
 * 8x8x1 to 10, 1898 parameters.
 * Written by convgrad_embedded 0.1.0; export again instead of editing.
 *
 * To go on training:
 *     static uint64_t arena[(DIGITS_TRAINING_ARENA_BYTES + 7) / 8];
 *     static cge_options options; // zero means default
 *     static cge_network net;
 *     options.training = 1;
 *     if (cge_network_init(&net, &digits_model, &options, arena, sizeof arena) != CGE_OK) ...
 *     memcpy(net.params, digits_params, DIGITS_PARAM_ELEMS * sizeof(cge_real));
 * To predict, with the parameters in flash:
 *     static uint64_t arena[(DIGITS_INFERENCE_ARENA_BYTES + 7) / 8];
 *     static cge_options options;
 *     options.params = digits_params;
 */
#ifndef DIGITS_H
#define DIGITS_H

#include "cge.h"

#if CGE_EXPORT_VERSION != 3
#error "digits.h does not belong to this version of the library: export the network again"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define DIGITS_LAYER_COUNT 7
#define DIGITS_INPUT_ELEMS 64
#define DIGITS_OUTPUT_ELEMS 10
#define DIGITS_PARAM_ELEMS 1898
#define DIGITS_PARAMS_HASH UINT64_C(0x0fcd9a67a55a42a9) /* cge_network_params_hash of digits_params */
#define DIGITS_TRAINING_ARENA_BYTES 28232
#define DIGITS_INFERENCE_ARENA_BYTES 2896
#define DIGITS_STEP_MACS 66432 /* multiply-adds of a training step, batch of one */
#define DIGITS_TRAINED_ELEMS 1898 /* parameters that learn */
#define DIGITS_STEP_INSTRUCTIONS CGE_STEP_INSTRUCTIONS(DIGITS_STEP_MACS, DIGITS_TRAINED_ELEMS)

extern const cge_model digits_model;
extern const cge_real digits_params[DIGITS_PARAM_ELEMS];

#ifdef __cplusplus
}
#endif

#endif
