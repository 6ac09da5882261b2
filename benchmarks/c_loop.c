/* The yardsticks: the asynchronous actor-critic with TD(0), written by hand in C for one CPU thread.
 *
 * The algorithm is equation (13) of Shen et al. (arXiv:2012.15511) with Markovian sampling, a tabular softmax policy,
 * a linear critic projected onto a ball, and no prior: what the simulator runs, one run after another, in float32.
 * Nothing here is shared with the simulator, so it is a second opinion on results as well as on speed.
 *
 * Two variants come out of this file. By default the arithmetic is in plain scalar loops. With -DHAND_VECTORS it is
 * vectorised by hand and workers' cache lines are asked for ahead of time. Draws and histories are the same in both.
 *
 * NUM_ACTIONS and NUM_FEATURES are given when compiling, so that every loop over them has a constant length.
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
    ActorRow actor_change; /* what is added to row `actor_state` of theta */
    float critic_change;   /* what is added to omega, in units of the features of `critic_state` */
    int32_t actor_state, critic_state;
} Message;

typedef struct {
    Message message;
    uint64_t random[4]; /* a worker's draws are its own: they do not depend on who writes in between */
    int32_t critic_state, actor_state;
} __attribute__((aligned(ALIGNMENT))) Worker;

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

/* The worker's side: from the parameters it read (two rows of theta, omega) it moves its chains and makes its message.
 * Three 64-bit words a proposal, drawn whatever happens, so that the two histories consume the same words. */
static inline __attribute__((always_inline)) Message propose(const Problem *restrict p, Steps steps,
                                                             Worker *restrict worker, const ActorRow *critic_row,
                                                             const ActorRow *actor_row, const FeatureVector *omega) {
    const uint64_t num_states = (uint64_t)p->num_states;
    const int64_t s = worker->critic_state, z = worker->actor_state;
    const uint64_t critic_word = next_word(worker->random), actor_word = next_word(worker->random),
                   coin_word = next_word(worker->random);
    ActorRow weights;
    Message message = {.critic_state = (int32_t)s, .actor_state = (int32_t)z};

    const float critic_total = softmax_weights(critic_row, &weights);
    const int32_t critic_action = draw_action(&weights, critic_total, (uint32_t)critic_word);
    const int32_t critic_next =
        draw_state(p->next + (s * NUM_ACTIONS + critic_action) * p->num_states, critic_word >> 32, num_states);
    message.critic_change = steps.critic_step * td_error(p, s, critic_action, critic_next, omega);
    worker->critic_state = critic_next;

    const float total = softmax_weights(actor_row, &weights);
    const int32_t action = draw_action(&weights, total, (uint32_t)actor_word);
    const int32_t next = draw_state(p->next + (z * NUM_ACTIONS + action) * p->num_states, actor_word >> 32, num_states);
    const float scale = steps.actor_step * td_error(p, z, action, next, omega);
    message.actor_change = scaled_score(scale, &weights, total, action);
    /* The restart is drawn in any case: it is cheaper than a mispredicted branch every 1 / (1 - discount) updates. */
    const int32_t fresh = draw_state(p->restart, coin_word >> 32, num_states);
    const int32_t go_on = -(int32_t)((uint32_t)coin_word < p->go_on);
    worker->actor_state = (next & go_on) | (fresh & ~go_on);
    return message;
}

/* The server's side for omega: the step, then the projection onto the ball. */
static inline void apply_critic(const Problem *restrict p, Steps steps, const Message *restrict message,
                                FeatureVector *restrict omega) {
    const float norm_squared = move_omega(omega, message->critic_change, p->features + message->critic_state);
    if (__builtin_expect(norm_squared > steps.radius_squared, 0))
        scale_omega(omega, sqrtf(steps.radius_squared / norm_squared));
}

/* ------------------------------------------------------------------------------------------------ one run */

static void start_workers(const Problem *restrict p, Worker *workers, int64_t num_workers, uint64_t seed, int64_t run) {
    for (int64_t i = 0; i < num_workers; i++) {
        seed_worker(workers[i].random, seed, (uint64_t)run, (uint64_t)i);
        const uint64_t word = next_word(workers[i].random);
        workers[i].critic_state = draw_state(p->restart, (uint32_t)word, (uint64_t)p->num_states);
        workers[i].actor_state = draw_state(p->restart, word >> 32, (uint64_t)p->num_states);
    }
}

/* Padding, where a variant has it, is so negative that it is never the maximum. */
static void start_theta(ActorRow *theta, int64_t num_states) {
    const int64_t width = sizeof(ActorRow) / sizeof(float);
    float *flat = (float *)theta;
    for (int64_t i = 0; i < num_states * width; i++) flat[i] = i % width < NUM_ACTIONS ? 0.0f : -1e38f;
}

static void write_result(const ActorRow *theta, const FeatureVector *omega, int64_t num_states, float *theta_out,
                         float *omega_out) {
    for (int64_t s = 0; s < num_states; s++)
        memcpy(theta_out + s * NUM_ACTIONS, theta + s, NUM_ACTIONS * sizeof(float));
    memcpy(omega_out, omega, NUM_FEATURES * sizeof(float));
}

/* Who makes update k. By hand, the cache lines of who comes a few updates later are asked for now. */
static inline Worker *writer(Worker *workers, const int32_t *schedule, int64_t k, int64_t num_updates) {
#ifdef HAND_VECTORS
    const int64_t lookahead = 8;
    const char *soon = (const char *)(workers + schedule[k + lookahead < num_updates ? k + lookahead : k]);
    __builtin_prefetch(soon, 1);
    __builtin_prefetch(soon + ALIGNMENT, 1);
#else
    (void)num_updates;
#endif
    return workers + schedule[k];
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

/* Mailbox: a worker's message is computed when it reads and waits in its slot until it writes. Nothing old is kept.
 * Schedules are [K] for all runs (stride 0) or [runs, K] (stride K). Returns 0, or 1 if memory ran out. */
int run_mailbox(const Problem *restrict p, const int32_t *worker_of, int64_t stride, int64_t num_updates, int64_t runs,
                int64_t num_workers, uint64_t seed, float actor_step, float critic_step, float radius,
                float *theta_out, float *omega_out) {
    const Steps steps = {actor_step, critic_step, radius * radius};
    const int64_t num_states = p->num_states;
    Worker *workers = allocate((size_t)num_workers, sizeof(Worker));
    ActorRow *theta = allocate((size_t)num_states, sizeof(ActorRow));
    const int failed = !workers || !theta;
    for (int64_t run = 0; run < runs && !failed; run++) {
        const int32_t *schedule = worker_of + run * stride;
        FeatureVector omega;
        memset(&omega, 0, sizeof omega);
        start_theta(theta, num_states);
        start_workers(p, workers, num_workers, seed, run);
        for (int64_t i = 0; i < num_workers; i++) /* everybody reads version 0 */
            workers[i].message = propose(p, steps, workers + i, theta + workers[i].critic_state,
                                         theta + workers[i].actor_state, &omega);
        for (int64_t k = 0; k < num_updates; k++) {
            Worker *restrict worker = writer(workers, schedule, k, num_updates);
            add_row(theta + worker->message.actor_state, &worker->message.actor_change);
            apply_critic(p, steps, &worker->message, &omega);
            worker->message =
                propose(p, steps, worker, theta + worker->critic_state, theta + worker->actor_state, &omega);
        }
        write_result(theta, &omega, num_states, theta_out + run * num_states * NUM_ACTIONS,
                     omega_out + run * NUM_FEATURES);
    }
    free(workers);
    free(theta);
    return failed;
}

/* The undo log of theta: entry j is the row that update j changed and what the row held before. */
typedef struct {
    ActorRow *theta;  /* [S], the newest version */
    int64_t *touched; /* [S], the last update that changed the row; -1 if none did */
    uint64_t *marks;  /* [S, capacity / 64], bit j of a row's marks is set if entry j holds that row */
    int32_t *row;     /* [capacity], -1 while empty */
    ActorRow *old;    /* [capacity] */
    int64_t mask;     /* capacity - 1, a power of two less one */
} Log;

/* Row s as it was in `version`: what the oldest update since then to change it replaced, or the row as it stands.
 * The search goes forward from `version`, 64 entries a word, so it ends after about one visit of the state however long
 * the delay; `touched` says beforehand that there is something to find, so the search needs no other end. */
static inline const ActorRow *stale_row(const Log *restrict log, int64_t s, int64_t version) {
    if (log->touched[s] < version) return log->theta + s;
    const int64_t words = (log->mask + 1) / 64, slot = version & log->mask;
    const uint64_t *marks = log->marks + s * words;
    int64_t word = slot / 64;
    uint64_t found = marks[word] & (UINT64_MAX << slot % 64);
    while (!found) {
        word = (word + 1) & (words - 1);
        found = marks[word];
    }
    return log->old + word * 64 + __builtin_ctzll(found);
}

static inline void record_row(const Log *restrict log, int64_t s, int64_t k) {
    const int64_t words = (log->mask + 1) / 64, slot = k & log->mask, forgotten = log->row[slot];
    const uint64_t mark = 1ULL << slot % 64;
    if (forgotten >= 0) log->marks[forgotten * words + slot / 64] &= ~mark;
    log->marks[s * words + slot / 64] |= mark;
    log->row[slot] = (int32_t)s;
    log->touched[s] = k;
    log->old[slot] = log->theta[s];
}

static int64_t power_of_two(int64_t at_least, int64_t start) {
    while (start < at_least) start *= 2;
    return start;
}

/* Ring: update k is computed when it is written, from version k - delay[k], looked up in a past of `depth` versions
 * (delays up to depth - 1). Theta's past is an undo log, omega's a ring of whole vectors. */
int run_ring(const Problem *restrict p, const int32_t *worker_of, const int32_t *delay_of, int64_t stride,
             int64_t num_updates, int64_t runs, int64_t num_workers, int64_t depth, uint64_t seed, float actor_step,
             float critic_step, float radius, float *theta_out, float *omega_out) {
    const Steps steps = {actor_step, critic_step, radius * radius};
    const int64_t num_states = p->num_states, versions = power_of_two(depth, 1), capacity = power_of_two(depth, 64);
    Worker *workers = allocate((size_t)num_workers, sizeof(Worker));
    FeatureVector *omegas = allocate((size_t)versions, sizeof(FeatureVector));
    const Log log = {allocate((size_t)num_states, sizeof(ActorRow)),
                     allocate((size_t)num_states, sizeof(int64_t)),
                     allocate((size_t)(num_states * capacity / 64), sizeof(uint64_t)),
                     allocate((size_t)capacity, sizeof(int32_t)),
                     allocate((size_t)capacity, sizeof(ActorRow)), capacity - 1};
    const int failed = !workers || !omegas || !log.theta || !log.touched || !log.marks || !log.row || !log.old;
    for (int64_t run = 0; run < runs && !failed; run++) {
        const int32_t *schedule = worker_of + run * stride, *delays = delay_of + run * stride;
        FeatureVector omega;
        memset(&omega, 0, sizeof omega);
        memset(omegas, 0, (size_t)versions * sizeof(FeatureVector));
        memset(log.marks, 0, (size_t)(num_states * capacity / 64) * sizeof(uint64_t));
        memset(log.row, 0xff, (size_t)capacity * sizeof(int32_t)); /* -1: no row */
        for (int64_t s = 0; s < num_states; s++) log.touched[s] = -1;
        start_theta(log.theta, num_states);
        start_workers(p, workers, num_workers, seed, run);
        for (int64_t k = 0; k < num_updates; k++) {
            Worker *restrict worker = writer(workers, schedule, k, num_updates);
            const int64_t version = k - delays[k];
            const Message message = propose(p, steps, worker, stale_row(&log, worker->critic_state, version),
                                            stale_row(&log, worker->actor_state, version),
                                            omegas + (version & (versions - 1)));
            record_row(&log, message.actor_state, k);
            add_row(log.theta + message.actor_state, &message.actor_change);
            apply_critic(p, steps, &message, &omega);
            omegas[(k + 1) & (versions - 1)] = omega;
        }
        write_result(log.theta, &omega, num_states, theta_out + run * num_states * NUM_ACTIONS,
                     omega_out + run * NUM_FEATURES);
    }
    free(workers);
    free(omegas);
    free(log.theta);
    free(log.touched);
    free(log.marks);
    free(log.row);
    free(log.old);
    return failed;
}
