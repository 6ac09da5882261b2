/* The yardstick with a linear softmax policy: pi(a|s) in proportion to exp(f(s, a) . theta), theta of m floats.
 *
 * The rest is what c_loop.c runs with the mailbox, by the same code where the policy does not come in, from the same
 * random words. Theta is dense: every update changes all of it, so a slot holds a whole direction.
 *
 * NUM_POLICY_FEATURES, m, is given when compiling, beside NUM_ACTIONS and NUM_FEATURES.
 */
#include "actor_critic.h"

#ifndef NUM_POLICY_FEATURES
#error "compile with -DNUM_POLICY_FEATURES=..."
#endif

#define LANES 8
#define WIDTH ((NUM_POLICY_FEATURES + LANES - 1) / LANES * LANES) /* m and its padding, which stays zero */

typedef struct {
    float value[WIDTH];
} __attribute__((aligned(4 * LANES))) PolicyVector;

/* f(s, .) of one state. The transpose, [m, A], was slower, both alone and as a copy beside this one for the logits. */
typedef struct {
    PolicyVector action[NUM_ACTIONS];
} PolicyFeatures;

typedef struct {
    PolicyVector direction; /* what is added to theta */
    float critic_change;    /* what is added to omega, in units of the features of `critic_state` */
    int32_t critic_state;
    Chains chains;
} __attribute__((aligned(ALIGNMENT))) Worker;

/* f(s, a) . theta for each action. The sum is kept in LANES parts: the compiler may not reorder a single one. */
static inline ActorRow logits_at(const PolicyFeatures *restrict f, const PolicyVector *restrict theta) {
    ActorRow logits;
    for (int a = 0; a < NUM_ACTIONS; a++) {
        float lane[LANES] = {0.0f};
        for (int j = 0; j < WIDTH; j += LANES)
            for (int l = 0; l < LANES; l++) lane[l] += f->action[a].value[j + l] * theta->value[j + l];
        for (int half = LANES / 2; half > 0; half /= 2)
            for (int l = 0; l < half; l++) lane[l] += lane[l + half];
        logits.value[a] = lane[0];
    }
    return logits;
}

/* sum_a change_a f(s, a): with change = scale * (one_hot(action) - pi(.|s)) this is scale times the score. */
static inline void combine(const PolicyFeatures *restrict f, const ActorRow *restrict change,
                           PolicyVector *restrict direction) {
    for (int j = 0; j < WIDTH; j++) {
        float total = 0.0f;
        for (int a = 0; a < NUM_ACTIONS; a++) total += change->value[a] * f->action[a].value[j];
        direction->value[j] = total;
    }
}

/* The worker reads theta and omega, moves its chains and leaves its message in its slot. */
static inline __attribute__((always_inline)) void read_and_propose(const Problem *restrict p,
                                                                   const PolicyFeatures *restrict f, Steps steps,
                                                                   Worker *restrict worker,
                                                                   const PolicyVector *restrict theta,
                                                                   const FeatureVector *restrict omega) {
    const ActorRow critic_logits = logits_at(f + worker->chains.critic_state, theta);
    const ActorRow actor_logits = logits_at(f + worker->chains.actor_state, theta);
    const Message message = propose(p, steps, &worker->chains, &critic_logits, &actor_logits, omega);
    combine(f + message.actor_state, &message.actor_change, &worker->direction);
    worker->critic_change = message.critic_change;
    worker->critic_state = message.critic_state;
}

/* ------------------------------------------------------------------------------------------------ entry points */

void policy_free(PolicyFeatures *f) { free(f); }

/* From f, [S, A, m] in C order. NULL if memory ran out. */
PolicyFeatures *policy_new(int64_t num_states, const double *features) {
    PolicyFeatures *f = allocate((size_t)num_states, sizeof(PolicyFeatures));
    if (!f) return NULL;
    memset(f, 0, (size_t)num_states * sizeof(PolicyFeatures));
    for (int64_t i = 0; i < num_states * NUM_ACTIONS; i++)
        for (int j = 0; j < NUM_POLICY_FEATURES; j++)
            f[i / NUM_ACTIONS].action[i % NUM_ACTIONS].value[j] = (float)features[i * NUM_POLICY_FEATURES + j];
    return f;
}

/* Schedules are [K] for all runs (stride 0) or [runs, K] (stride K). Returns 0, or 1 if memory ran out. */
int run_mailbox(const Problem *restrict p, const PolicyFeatures *restrict f, const int32_t *worker_of, int64_t stride,
                int64_t num_updates, int64_t runs, int64_t num_workers, uint64_t seed, float actor_step,
                float critic_step, float radius, float *theta_out, float *omega_out) {
    const Steps steps = {actor_step, critic_step, radius * radius};
    Worker *workers = allocate((size_t)num_workers, sizeof(Worker));
    if (!workers) return 1;
    for (int64_t run = 0; run < runs; run++) {
        const int32_t *schedule = worker_of + run * stride;
        PolicyVector theta;
        FeatureVector omega;
        memset(&theta, 0, sizeof theta);
        memset(&omega, 0, sizeof omega);
        for (int64_t i = 0; i < num_workers; i++) { /* everybody reads version 0 */
            start_chains(p, &workers[i].chains, seed, run, i);
            read_and_propose(p, f, steps, workers + i, &theta, &omega);
        }
        for (int64_t k = 0; k < num_updates; k++) {
            Worker *restrict worker = workers + schedule[k];
            for (int j = 0; j < WIDTH; j++) theta.value[j] += worker->direction.value[j];
            apply_critic(p, steps, worker->critic_change, worker->critic_state, &omega);
            read_and_propose(p, f, steps, worker, &theta, &omega);
        }
        memcpy(theta_out + run * NUM_POLICY_FEATURES, &theta, NUM_POLICY_FEATURES * sizeof(float));
        memcpy(omega_out + run * NUM_FEATURES, &omega, NUM_FEATURES * sizeof(float));
    }
    free(workers);
    return 0;
}
