/* A shuffle by a Feistel network: any place of it without the others. */
#include "../base/config.h"
#include "../../include/cge_data.h"
#include "../base/counter.h"

enum { ORDER_KEY = 1 };
/* Of orders of up to 8 samples each comes equally often, as far as 100,000 seeds tell. Halves of 2 bits cannot do that in any
 * number of rounds: all they make are even permutations. */
enum { FEISTEL_ROUNDS = 8, FEWEST_BITS = 6 };

typedef struct feistel {
    uint64_t key;
    uint32_t count;
    uint32_t right_bits, left_mask, right_mask;
} feistel;

static feistel feistel_of(int32_t count, uint64_t seed, uint32_t epoch)
{
    feistel f;
    uint32_t bits = FEWEST_BITS;
    while (((uint32_t)count - 1) >> bits != 0) bits++;
    f.key = cge_counter_key(seed, epoch, ORDER_KEY);
    f.count = (uint32_t)count;
    f.right_bits = bits - bits / 2;
    f.left_mask = (1u << bits / 2) - 1;
    f.right_mask = (1u << f.right_bits) - 1;
    return f;
}

static uint32_t feistel_rounds(const feistel *f, uint32_t v)
{
    uint32_t left = v >> f->right_bits, right = v & f->right_mask, r;
    for (r = 0; r < FEISTEL_ROUNDS; r += 2) {
        left ^= cge_number_of(f->key, (r << 16) + right) & f->left_mask;
        right ^= cge_number_of(f->key, ((r + 1) << 16) + left) & f->right_mask;
    }
    return left << f->right_bits | right;
}

/* Along the cycle of `place` in the permutation of all b-bit values, which ends there at the latest. */
static int32_t permuted(const feistel *f, int32_t place)
{
    uint32_t v = (uint32_t)place;
    do
        v = feistel_rounds(f, v);
    while (v >= f->count);
    return (int32_t)v;
}

cge_status cge_permute(int32_t count, uint64_t seed, uint32_t epoch, int32_t first, int32_t n, int32_t *order)
{
    feistel f;
    int32_t i;
    if (order == NULL) return CGE_ERR_NULL;
    if (count < 1 || first < 0 || n < 1 || first > count - n) return CGE_ERR_ARGUMENT;
    if (!cge_is_aligned(order, sizeof *order)) return CGE_ERR_ALIGN;
    f = feistel_of(count, seed, epoch);
    for (i = 0; i < n; i++) order[i] = permuted(&f, first + i);
    return CGE_OK;
}
