/* Random words and the draws made from them, shared by the loops. */
#include <stdint.h>

typedef struct {
    uint32_t threshold; /* keep the drawn column if the fraction is below this, in units of 2^-32 */
    int32_t alias;      /* the state taken otherwise */
} Alias;

static inline uint64_t rotate(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

/* xoshiro256++ (Blackman and Vigna). */
static inline uint64_t next_word(uint64_t *restrict s) {
    const uint64_t word = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return word;
}

static inline uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static void seed_worker(uint64_t *random, uint64_t seed, uint64_t run, uint64_t worker) {
    uint64_t x = seed;
    x = splitmix(&x) ^ run;
    x = splitmix(&x) ^ worker;
    for (int i = 0; i < 4; i++) random[i] = splitmix(&x);
}

/* One 32-bit word gives both the column (high half of word * S) and the fraction (low half): bias below S * 2^-32. */
static inline int32_t draw_state(const Alias *restrict table, uint32_t word, uint64_t num_states) {
    const uint64_t product = word * num_states;
    const int32_t column = (int32_t)(product >> 32);
    const Alias entry = table[column];
    /* A mask, not a branch: the outcome is a coin, which no predictor guesses. */
    const int32_t keep = -(int32_t)((uint32_t)product < entry.threshold);
    return (column & keep) | (entry.alias & ~keep);
}

/* Vose's alias method. `order` and `scaled` are scratch of length n. */
static void build_alias(Alias *table, const double *probability, int64_t n, int32_t *order, double *scaled) {
    int64_t small = 0, large = n; /* columns below one fill `order` from the left, the others from the right */
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += probability[i];
    for (int64_t i = 0; i < n; i++) {
        scaled[i] = probability[i] / total * (double)n;
        if (scaled[i] < 1.0) order[small++] = (int32_t)i;
        else order[--large] = (int32_t)i;
    }
    while (small > 0 && large < n) {
        const int32_t poor = order[--small], rich = order[large];
        table[poor].alias = rich;
        const double threshold = scaled[poor] * 4294967296.0;
        table[poor].threshold = threshold >= 4294967295.0 ? UINT32_MAX : (uint32_t)threshold;
        scaled[rich] -= 1.0 - scaled[poor];
        if (scaled[rich] < 1.0) {
            order[small++] = rich;
            large++;
        }
    }
    /* What is left has mass one but for rounding: the column itself, whatever the fraction. */
    while (small > 0) {
        const int32_t i = order[--small];
        table[i] = (Alias){UINT32_MAX, i};
    }
    for (; large < n; large++) table[order[large]] = (Alias){UINT32_MAX, order[large]};
}
