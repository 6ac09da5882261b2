/* The arithmetic on one row of logits and on omega, in plain loops: the compiler vectorises what it can. */
#include <math.h>
#include <stdint.h>

typedef struct {
    float value[NUM_ACTIONS];
} ActorRow;

typedef struct {
    float value[NUM_FEATURES];
} FeatureVector;

static inline float entry(const ActorRow *row, int a) { return row->value[a]; }

/* weights[a] = exp(logits[a] - max); returns their sum. */
static inline float softmax_weights(const ActorRow *restrict row, ActorRow *restrict weights) {
    float top = row->value[0], total = 0.0f;
    for (int a = 1; a < NUM_ACTIONS; a++) top = row->value[a] > top ? row->value[a] : top;
    for (int a = 0; a < NUM_ACTIONS; a++) {
        weights->value[a] = expf(row->value[a] - top);
        total += weights->value[a];
    }
    return total;
}

/* scale * (one_hot(action) - weights / total): the score of the softmax, times a step. */
static inline ActorRow scaled_score(float scale, const ActorRow *restrict weights, float total, int32_t action) {
    const float inverse = 1.0f / total;
    ActorRow change;
    for (int a = 0; a < NUM_ACTIONS; a++)
        change.value[a] = scale * ((float)(a == action) - weights->value[a] * inverse);
    return change;
}

static inline void add_row(ActorRow *restrict row, const ActorRow *restrict change) {
    for (int a = 0; a < NUM_ACTIONS; a++) row->value[a] += change->value[a];
}

/* (discount * then - now) . omega */
static inline float value_change(float discount, const FeatureVector *then, const FeatureVector *now,
                                 const FeatureVector *restrict omega) {
    float total = 0.0f;
    for (int j = 0; j < NUM_FEATURES; j++) total += (discount * then->value[j] - now->value[j]) * omega->value[j];
    return total;
}

/* omega += change * phi; returns the new |omega|^2. */
static inline float move_omega(FeatureVector *restrict omega, float change, const FeatureVector *restrict phi) {
    float squares = 0.0f;
    for (int j = 0; j < NUM_FEATURES; j++) {
        omega->value[j] += change * phi->value[j];
        squares += omega->value[j] * omega->value[j];
    }
    return squares;
}

static inline void scale_omega(FeatureVector *restrict omega, float scale) {
    for (int j = 0; j < NUM_FEATURES; j++) omega->value[j] *= scale;
}
