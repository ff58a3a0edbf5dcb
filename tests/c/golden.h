/*
 * The numbers on which every target must agree: GCC, clang, any optimisation, Cortex-M, aarch64, armhf, and Python,
 * which reads them from here (tests/test_golden.py). A change of any of them is a change of the arithmetic: it breaks
 * the promise that a board's training can be replayed elsewhere, and needs a line in CHANGELOG.md.
 *
 * The run: samples come from one stream of cge_rng_seed(GOLDEN_DATA_SEED). For each sample, in order,
 *     label = cge_rng_below(4)
 *     x[h][w][c] = (cge_rng_next() >> 24) / 256, plus 1 in the label's quadrant (2 * (h >= 4) + (w >= 3)), row-major
 * The weights come from cge_network_init_params(GOLDEN_SEED). Then GOLDEN_STEPS batches of GOLDEN_BATCH new samples, each
 * one optimiser step. The network is in test_golden.c, and in test_golden.py in Python's words.
 */
#ifndef GOLDEN_H
#define GOLDEN_H

#define GOLDEN_SEED 2026
#define GOLDEN_DATA_SEED 7
#define GOLDEN_STEPS 200
#define GOLDEN_BATCH 3

#define GOLDEN_ARENA_BYTES 5688 /* of the run, one sample at a time */
#define GOLDEN_HASH 0x15ace183e3af5743      /* of the weights after the run (FNV-1a, cge_network_params_hash) */
#define GOLDEN_FUNCTIONS 0xf8debbae5b039952 /* of exp, log, tanh, sqrt, normal numbers and losses over some inputs */
#define GOLDEN_HASH_FUSED 0x87b91863e75a3806      /* the same two in a build with fused multiply-adds (FUSED=1) */
#define GOLDEN_FUNCTIONS_FUSED 0x0efb01240900e99c

/* Of the losses and gradients in test_more_losses.c. */
#define GOLDEN_LOSSES 0xac5e0fb93114c57c
#define GOLDEN_LOSSES_FUSED 0xdfdee65584f43ac2

/* Of the weights after three times GOLDEN_STEPS steps of one sample each, of the graph in test_graph.c, whatever the level of
 * memory. */
#define GOLDEN_GRAPH 0x0a9a8a555fa9fd16
#define GOLDEN_GRAPH_FUSED 0x533ca0cc70f538ab

/* Of the parameters after the run in test_batch_norm.c, batches of four in one pass. */
#define GOLDEN_BATCH_NORM 0x58c9a9f2a50bed45
#define GOLDEN_BATCH_NORM_FUSED 0xa109e4356af9d1ff
#define GOLDEN_BATCH_NORM_GRAPH 0x48b2c1f40eca90b8
#define GOLDEN_BATCH_NORM_GRAPH_FUSED 0xba27067d4924659b

/* Of the weights after the same run of the first network with other optimisers, whose settings are in test_golden.c. */
#define GOLDEN_ADAM 0x83971559dfe0c24f
#define GOLDEN_ADAM_FUSED 0x8934cf1a10ed9155
#define GOLDEN_ADAMW 0xfaaaf69c2e7abd31
#define GOLDEN_ADAMW_FUSED 0xb357e087ffd3e866
#define GOLDEN_RMSPROP 0x662955414e8f51e1
#define GOLDEN_RMSPROP_FUSED 0x3445b340e622a7a7
#define GOLDEN_ADAGRAD 0xd639bbb1b75065b7
#define GOLDEN_ADAGRAD_FUSED 0xaa00ff08a24c362b
#define GOLDEN_RATES 0x76dbfc7afbba8127 /* of adamw, with a learning_rate_factor of 0.1, 0.3, 1 and 3 */
#define GOLDEN_RATES_FUSED 0x953db34194b75514

/* Of orders, of augmented pictures (bytes, numbers) and of the slots of replay buffers in test_data.c, in fused builds too. */
#define GOLDEN_ORDERS 0x36fc1629a640f9e8
#define GOLDEN_PICTURES 0x99a41fe0fe66ae16
#define GOLDEN_PICTURES_F32 0x547a2489ab0e8886
#define GOLDEN_REPLAY 0xfba1b3edda513a4c

#endif
