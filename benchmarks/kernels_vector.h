/* The arithmetic of kernels_scalar.h written by hand for vectors of 8 floats, with an exponential of its own.
 *
 * Rows are padded to whole vectors: omega and the features by zeros, theta by numbers so negative that none is ever the
 * maximum. Sums over a vector are explicit trees: the compiler may not reorder floating-point sums by itself, and a sum
 * element by element waits four cycles for each term.
 */
#include <stdint.h>

#define LANES 8
#define ACTOR_BLOCKS ((NUM_ACTIONS + LANES - 1) / LANES)
#define CRITIC_BLOCKS ((NUM_FEATURES + LANES - 1) / LANES)

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

typedef struct {
    vec block[ACTOR_BLOCKS];
} ActorRow;

typedef struct {
    vec block[CRITIC_BLOCKS];
} FeatureVector;

static inline float entry(const ActorRow *row, int a) { return row->block[a / LANES][a % LANES]; }

/* sum_lanes and max_lanes leave their answer in every lane. */
static inline vec sum_lanes(vec v) {
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
    return v + __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6);
}

static inline vec larger(vec a, vec b) {
    const ivec mask = a > b;
    return (vec)(((ivec)a & mask) | ((ivec)b & ~mask));
}

static inline vec max_lanes(vec v) {
    v = larger(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3));
    v = larger(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5));
    return larger(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6));
}

static inline vec spread(float x) { return (vec){x, x, x, x, x, x, x, x}; }

/* exp(x) for x <= 0 within about one unit in the last place (Cephes' polynomial); below -87 it stays at exp(-87). */
static inline vec exp_nonpositive(vec x) {
    const vec magic = spread(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
    x = larger(x, spread(-87.0f));
    const vec shifted = x * spread(1.44269504088896341f) + magic, n = shifted - magic;
    const vec r = (x - n * spread(0.693359375f)) - n * spread(-2.12194440e-4f);
    vec p = spread(1.9875691500e-4f);
    p = p * r + spread(1.3981999507e-3f);
    p = p * r + spread(8.3334519073e-3f);
    p = p * r + spread(4.1665795894e-2f);
    p = p * r + spread(1.6666665459e-1f);
    p = p * r + spread(5.0000001201e-1f);
    p = p * (r * r) + r + spread(1.0f);
    return (vec)((ivec)p + ((ivec)shifted << 23));
}

static inline float softmax_weights(const ActorRow *restrict row, ActorRow *restrict weights) {
    const ivec lane = {0, 1, 2, 3, 4, 5, 6, 7};
    vec top = row->block[0], total = spread(0.0f);
    for (int b = 1; b < ACTOR_BLOCKS; b++) top = larger(top, row->block[b]);
    top = max_lanes(top);
    for (int b = 0; b < ACTOR_BLOCKS; b++) {
        const ivec real = lane + LANES * b < NUM_ACTIONS;
        weights->block[b] = (vec)((ivec)exp_nonpositive(row->block[b] - top) & real);
        total += weights->block[b];
    }
    return sum_lanes(total)[0];
}

static inline ActorRow scaled_score(float scale, const ActorRow *restrict weights, float total, int32_t action) {
    const ivec lane = {0, 1, 2, 3, 4, 5, 6, 7};
    const vec inverse = spread(1.0f / total);
    ActorRow change;
    for (int b = 0; b < ACTOR_BLOCKS; b++) {
        const vec one_hot = (vec)((lane + LANES * b == action) & (ivec)spread(1.0f));
        change.block[b] = scale * (one_hot - weights->block[b] * inverse);
    }
    return change;
}

static inline void add_row(ActorRow *restrict row, const ActorRow *restrict change) {
    for (int b = 0; b < ACTOR_BLOCKS; b++) row->block[b] += change->block[b];
}

static inline float value_change(float discount, const FeatureVector *then, const FeatureVector *now,
                                 const FeatureVector *restrict omega) {
    vec total = spread(0.0f);
    for (int b = 0; b < CRITIC_BLOCKS; b++) total += (discount * then->block[b] - now->block[b]) * omega->block[b];
    return sum_lanes(total)[0];
}

static inline float move_omega(FeatureVector *restrict omega, float change, const FeatureVector *restrict phi) {
    vec squares = spread(0.0f);
    for (int b = 0; b < CRITIC_BLOCKS; b++) {
        omega->block[b] += change * phi->block[b];
        squares += omega->block[b] * omega->block[b];
    }
    return sum_lanes(squares)[0];
}

static inline void scale_omega(FeatureVector *restrict omega, float scale) {
    for (int b = 0; b < CRITIC_BLOCKS; b++) omega->block[b] *= scale;
}
