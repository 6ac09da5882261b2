"""What most people would write first: eq. (13) update by update in NumPy, with both histories.

It shares nothing with the simulator or with the C loop, so it is also the most readable statement of what both do.
"""

import time
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int


class NumpyRun(NamedTuple):
    """What one run left, and the nanoseconds that an update took."""

    theta: Float[np.ndarray, "S A"]
    omega: Float[np.ndarray, " d"]
    nanoseconds_per_update: float


def numpy_loop(
    transition: Float[np.ndarray, "S A S"],
    reward: Float[np.ndarray, "S A"],
    initial: Float[np.ndarray, " S"],
    discount: float,
    features: Float[np.ndarray, "S d"],
    worker: Int[np.ndarray, " K"],
    delay: Int[np.ndarray, " K"],
    num_workers: int,
    *,
    history: Literal["mailbox", "ring"],
    actor_step: float,
    critic_step: float,
    radius: float,
    seed: int = 0,
) -> NumpyRun:
    """Run one schedule in plain NumPy: Markov option, tabular softmax, no prior.

    Args:
        transition: P(s'|s, a).
        reward: expected reward of a state and an action.
        initial: law of the first state of every chain and of the actor's restarts.
        discount: γ.
        features: φ(s), one row per state.
        worker: who makes update k.
        delay: how many versions ago its parameters were read; the ring is as deep as the longest. The mailbox has the
            delays that the workers imply, so there this argument is not read.
        num_workers: N.
        history: messages computed at the read and kept until the write, or past parameters kept and read at the write.
        actor_step: α.
        critic_step: β.
        radius: of the ball that ω is projected onto.
        seed: of all draws.
    """
    # Tables as a careful author would prepare them: inverting a cumulative law is four times faster than `choice`.
    next_law, start_law = np.cumsum(transition, axis=2), np.cumsum(initial)
    num_states, num_actions = reward.shape
    generator = np.random.default_rng(seed)

    def draw(cumulative: np.ndarray) -> int:
        # Scaled by the last entry, which rounding leaves a little off one; below it, so never past the end.
        return int(cumulative.searchsorted(generator.random() * cumulative[-1], side="right"))

    def propose(theta: np.ndarray, omega: np.ndarray, chains: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
        state, actor_state = chains
        action = draw(np.cumsum(_softmax(theta[state])))
        following = draw(next_law[state, action])
        error = reward[state, action] + (discount * features[following] - features[state]) @ omega
        policy = _softmax(theta[actor_state])
        actor_action = draw(np.cumsum(policy))
        actor_next = draw(next_law[actor_state, actor_action])
        advantage = (
            reward[actor_state, actor_action] + (discount * features[actor_next] - features[actor_state]) @ omega
        )
        score = -policy
        score[actor_action] += 1.0
        chains[:] = following, actor_next if generator.random() < discount else draw(start_law)
        return critic_step * error * features[state], actor_state, actor_step * advantage * score

    theta, omega = np.zeros((num_states, num_actions)), np.zeros(features.shape[1])
    chains = np.array([[draw(start_law), draw(start_law)] for _ in range(num_workers)])
    depth = int(delay.max()) + 1
    if history == "mailbox":
        waiting = [propose(theta, omega, pair) for pair in chains]
        past_theta, past_omega = np.empty((0, *theta.shape)), np.empty((0, *omega.shape))
    else:
        waiting = []
        past_theta, past_omega = np.zeros((depth, *theta.shape)), np.zeros((depth, *omega.shape))

    start = time.perf_counter()
    for k, (i, tau) in enumerate(zip(worker.tolist(), delay.tolist(), strict=True)):
        if history == "mailbox":
            critic_change, row, actor_change = waiting[i]
        else:
            read = (k - tau) % depth
            critic_change, row, actor_change = propose(past_theta[read], past_omega[read], chains[i])
        omega += critic_change
        norm = np.sqrt(omega @ omega)
        if norm > radius:
            omega *= radius / norm
        theta[row] += actor_change
        if history == "mailbox":
            waiting[i] = propose(theta, omega, chains[i])
        else:
            past_theta[(k + 1) % depth], past_omega[(k + 1) % depth] = theta, omega
    seconds = time.perf_counter() - start
    return NumpyRun(theta, omega, seconds / len(worker) * 1e9)


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
