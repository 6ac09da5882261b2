/* What the yardsticks share: the problem, a worker's two chains, and one update but for the policy's parameters.
 *
 * NUM_ACTIONS and NUM_FEATURES are given when compiling, so that every loop over them has a constant length. With
 * -DHAND_VECTORS the arithmetic is vectorised by hand; by default it is in plain scalar loops.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if !defined(NUM_ACTIONS) || !defined(NUM_FEATURES)
#error "compile with -DNUM_ACTIONS=... -DNUM_FEATURES=..."
#endif

#include "draws.h"
#ifdef HAND_VECTORS
#include "kernels_vector.h"
#else
#include "kernels_scalar.h"
#endif

#define ALIGNMENT 64 /* bytes: one cache line */

typedef struct {
    int64_t num_states;
    float discount;
    uint64_t go_on;          /* the actor chain goes on if a 32-bit word is below this: discount * 2^32 */
    Alias *next;             /* [S, A, S] */
    Alias *restart;          /* [S] */
    float *reward;           /* [S, A] */
    FeatureVector *features; /* [S] */
} Problem;

typedef struct {
    float actor_step, critic_step, radius_squared;
} Steps;

typedef struct {
    uint64_t random[4]; /* a worker's draws are its own: they do not depend on who writes in between */
    int32_t critic_state, actor_state;
} Chains;

typedef struct {
    ActorRow actor_change; /* the step times the score, by logits: a table adds it to row `actor_state` of theta */
    float critic_change;   /* what is added to omega, in units of the features of `critic_state` */
    int32_t actor_state, critic_state;
} Message;

/* ------------------------------------------------------------------------------------------------ memory */

static void *allocate(size_t count, size_t size) {
    size_t bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return aligned_alloc(ALIGNMENT, bytes ? bytes : ALIGNMENT);
}

/* ------------------------------------------------------------------------------------------------ one update */

static inline int32_t draw_action(const ActorRow *restrict weights, float total, uint32_t word) {
    const float target = (float)(word >> 8) * 0x1p-24f * total;
    float cumulative = 0.0f;
    int32_t action = 0;
    for (int a = 0; a < NUM_ACTIONS - 1; a++) {
        cumulative += entry(weights, a);
        action += target >= cumulative;
    }
    return action;
}

/* r + (discount * phi(s') - phi(s)) . omega */
static inline float td_error(const Problem *restrict p, int64_t state, int32_t action, int64_t next_state,
                             const FeatureVector *restrict omega) {
    return p->reward[state * NUM_ACTIONS + action] +
           value_change(p->discount, p->features + next_state, p->features + state, omega);
}

/* The worker's side: from what it read (the logits at its two states, omega) it moves its chains and makes its message.
 * Three 64-bit words a proposal, drawn whatever happens, so that the two histories consume the same words. */
static inline __attribute__((always_inline)) Message propose(const Problem *restrict p, Steps steps,
                                                             Chains *restrict chains, const ActorRow *critic_logits,
                                                             const ActorRow *actor_logits,
                                                             const FeatureVector *omega) {
    const uint64_t num_states = (uint64_t)p->num_states;
    const int64_t s = chains->critic_state, z = chains->actor_state;
    const uint64_t critic_word = next_word(chains->random), actor_word = next_word(chains->random),
                   coin_word = next_word(chains->random);
    ActorRow weights;
    Message message = {.critic_state = (int32_t)s, .actor_state = (int32_t)z};

    const float critic_total = softmax_weights(critic_logits, &weights);
    const int32_t critic_action = draw_action(&weights, critic_total, (uint32_t)critic_word);
    const int32_t critic_next =
        draw_state(p->next + (s * NUM_ACTIONS + critic_action) * p->num_states, critic_word >> 32, num_states);
    message.critic_change = steps.critic_step * td_error(p, s, critic_action, critic_next, omega);
    chains->critic_state = critic_next;

    const float total = softmax_weights(actor_logits, &weights);
    const int32_t action = draw_action(&weights, total, (uint32_t)actor_word);
    const int32_t next = draw_state(p->next + (z * NUM_ACTIONS + action) * p->num_states, actor_word >> 32, num_states);
    const float scale = steps.actor_step * td_error(p, z, action, next, omega);
    message.actor_change = scaled_score(scale, &weights, total, action);
    /* The restart is drawn in any case: it is cheaper than a mispredicted branch every 1 / (1 - discount) updates. */
    const int32_t fresh = draw_state(p->restart, coin_word >> 32, num_states);
    const int32_t go_on = -(int32_t)((uint32_t)coin_word < p->go_on);
    chains->actor_state = (next & go_on) | (fresh & ~go_on);
    return message;
}

/* The server's side for omega: the step, then the projection onto the ball. */
static inline void apply_critic(const Problem *restrict p, Steps steps, float change, int32_t state,
                                FeatureVector *restrict omega) {
    const float norm_squared = move_omega(omega, change, p->features + state);
    if (__builtin_expect(norm_squared > steps.radius_squared, 0))
        scale_omega(omega, sqrtf(steps.radius_squared / norm_squared));
}

static inline void start_chains(const Problem *restrict p, Chains *chains, uint64_t seed, int64_t run, int64_t worker) {
    seed_worker(chains->random, seed, (uint64_t)run, (uint64_t)worker);
    const uint64_t word = next_word(chains->random);
    chains->critic_state = draw_state(p->restart, (uint32_t)word, (uint64_t)p->num_states);
    chains->actor_state = draw_state(p->restart, word >> 32, (uint64_t)p->num_states);
}

/* ------------------------------------------------------------------------------------------------ entry points */

void problem_free(Problem *p) {
    if (!p) return;
    free(p->next);
    free(p->restart);
    free(p->reward);
    free(p->features);
    free(p);
}

/* Arrays in C order: transition [S, A, S], reward [S, A], initial [S], features [S, d]. NULL if memory ran out. */
Problem *problem_new(int64_t num_states, const double *transition, const double *reward, const double *initial,
                     double discount, const double *features) {
    const int64_t pairs = num_states * NUM_ACTIONS;
    Problem *p = calloc(1, sizeof(Problem));
    int32_t *order = allocate((size_t)num_states, sizeof(int32_t));
    double *scaled = allocate((size_t)num_states, sizeof(double));
    if (p) {
        p->next = allocate((size_t)(pairs * num_states), sizeof(Alias));
        p->restart = allocate((size_t)num_states, sizeof(Alias));
        p->reward = allocate((size_t)pairs, sizeof(float));
        p->features = allocate((size_t)num_states, sizeof(FeatureVector));
    }
    if (!p || !order || !scaled || !p->next || !p->restart || !p->reward || !p->features) {
        problem_free(p);
        p = NULL;
    } else {
        p->num_states = num_states;
        p->discount = (float)discount;
        p->go_on = (uint64_t)(discount * 4294967296.0);
        for (int64_t i = 0; i < pairs; i++) {
            build_alias(p->next + i * num_states, transition + i * num_states, num_states, order, scaled);
            p->reward[i] = (float)reward[i];
        }
        build_alias(p->restart, initial, num_states, order, scaled);
        memset(p->features, 0, (size_t)num_states * sizeof(FeatureVector)); /* the padding stays zero */
        for (int64_t s = 0; s < num_states; s++)
            for (int j = 0; j < NUM_FEATURES; j++)
                ((float *)(p->features + s))[j] = (float)features[s * NUM_FEATURES + j];
    }
    free(order);
    free(scaled);
    return p;
}
