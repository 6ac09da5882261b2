/* The yardsticks: the asynchronous actor-critic with TD(0), written by hand in C for one CPU thread.
 *
 * The algorithm is equation (13) of Shen et al. (arXiv:2012.15511) with Markovian sampling, a tabular softmax policy,
 * a linear critic projected onto a ball, and no prior: what the simulator runs, one run after another, in float32.
 * Nothing here is shared with the simulator, so it is a second opinion on results as well as on speed.
 *
 * Two variants come out of this file. By default the arithmetic is in plain scalar loops. With -DHAND_VECTORS it is
 * vectorised by hand and workers' cache lines are asked for ahead of time. Draws and histories are the same in both.
 */
#include "actor_critic.h"

typedef struct {
    Message message;
    Chains chains;
} __attribute__((aligned(ALIGNMENT))) Worker;

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

/* ------------------------------------------------------------------------------------------------ mailbox */

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
        for (int64_t i = 0; i < num_workers; i++) { /* everybody reads version 0 */
            start_chains(p, &workers[i].chains, seed, run, i);
            workers[i].message = propose(p, steps, &workers[i].chains, theta + workers[i].chains.critic_state,
                                         theta + workers[i].chains.actor_state, &omega);
        }
        for (int64_t k = 0; k < num_updates; k++) {
            Worker *restrict worker = writer(workers, schedule, k, num_updates);
            add_row(theta + worker->message.actor_state, &worker->message.actor_change);
            apply_critic(p, steps, worker->message.critic_change, worker->message.critic_state, &omega);
            worker->message = propose(p, steps, &worker->chains, theta + worker->chains.critic_state,
                                      theta + worker->chains.actor_state, &omega);
        }
        write_result(theta, &omega, num_states, theta_out + run * num_states * NUM_ACTIONS,
                     omega_out + run * NUM_FEATURES);
    }
    free(workers);
    free(theta);
    return failed;
}

/* ------------------------------------------------------------------------------------------------ ring */

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
        for (int64_t i = 0; i < num_workers; i++) start_chains(p, &workers[i].chains, seed, run, i);
        for (int64_t k = 0; k < num_updates; k++) {
            Worker *restrict worker = writer(workers, schedule, k, num_updates);
            const int64_t version = k - delays[k];
            const Message message = propose(p, steps, &worker->chains,
                                            stale_row(&log, worker->chains.critic_state, version),
                                            stale_row(&log, worker->chains.actor_state, version),
                                            omegas + (version & (versions - 1)));
            record_row(&log, message.actor_state, k);
            add_row(log.theta + message.actor_state, &message.actor_change);
            apply_critic(p, steps, message.critic_change, message.critic_state, &omega);
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
