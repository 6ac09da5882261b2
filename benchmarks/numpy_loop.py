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


class Message(NamedTuple):
    """What a worker sends: the change of ω, the row of θ that the actor visited, and the change of that row."""

    critic_change: Float[np.ndarray, " d"]
    row: int
    actor_change: Float[np.ndarray, " A"]


class NumpyLearner:
    """Eq. (13) in its two halves: Markov option, tabular softmax, no prior.

    Args:
        transition: P(s'|s, a).
        reward: expected reward of a state and an action.
        initial: law of the first state of every chain and of the actor's restarts.
        discount: γ.
        features: φ(s), one row per state.
        actor_step: α.
        critic_step: β.
        radius: of the ball that ω is projected onto.
        seed: of all draws; a list of numbers gives a stream of its own for each list.
    """

    def __init__(
        self,
        transition: Float[np.ndarray, "S A S"],
        reward: Float[np.ndarray, "S A"],
        initial: Float[np.ndarray, " S"],
        discount: float,
        features: Float[np.ndarray, "S d"],
        *,
        actor_step: float,
        critic_step: float,
        radius: float,
        seed: int | list[int] = 0,
    ) -> None:
        # Tables as a careful author would prepare them: inverting a cumulative law is four times faster than `choice`.
        self._next_law, self._start_law = _cumulative(transition), _cumulative(initial)
        self._reward, self._discount, self._features = reward, discount, features
        self._actor_step, self._critic_step, self._radius = actor_step, critic_step, radius
        self._generator = np.random.default_rng(seed)

    def start(self) -> Int[np.ndarray, " 2"]:
        """Where a worker's critic chain and actor chain begin."""
        return np.array([self._draw(self._start_law), self._draw(self._start_law)])

    def propose(
        self, theta: Float[np.ndarray, "S A"], omega: Float[np.ndarray, " d"], chains: Int[np.ndarray, " 2"]
    ) -> Message:
        """The worker's half: a step of both chains, moved in place, and the message made of it."""
        features, discount = self._features, self._discount
        state, actor_state = chains
        action = self._draw(_cumulative(_softmax(theta[state])))
        following = self._draw(self._next_law[state, action])
        error = self._reward[state, action] + (discount * features[following] - features[state]) @ omega
        policy = _softmax(theta[actor_state])
        actor_action = self._draw(_cumulative(policy))
        actor_next = self._draw(self._next_law[actor_state, actor_action])
        reward = self._reward[actor_state, actor_action]
        advantage = reward + (discount * features[actor_next] - features[actor_state]) @ omega
        score = -policy
        score[actor_action] += 1.0
        onward = actor_next if self._generator.random() < discount else self._draw(self._start_law)
        chains[:] = following, onward
        return Message(self._critic_step * error * features[state], actor_state, self._actor_step * advantage * score)

    def apply(self, theta: Float[np.ndarray, "S A"], omega: Float[np.ndarray, " d"], message: Message) -> None:
        """The server's half: both parameters changed in place, ω projected."""
        omega += message.critic_change
        norm = np.sqrt(omega @ omega)
        if norm > self._radius:
            omega *= self._radius / norm
        theta[message.row] += message.actor_change

    def _draw(self, cumulative: Float[np.ndarray, " n"]) -> int:
        # Scaled by the last entry, which rounding leaves a little off one; below it, so never past the end. That needs
        # double precision: in single precision the uniform number can round up to one.
        return int(cumulative.searchsorted(self._generator.random() * cumulative[-1], side="right"))


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
    """Run one schedule in plain NumPy; the learner is `NumpyLearner`.

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
    steps: dict[str, float] = dict(actor_step=actor_step, critic_step=critic_step, radius=radius)
    learner = NumpyLearner(transition, reward, initial, discount, features, **steps, seed=seed)
    theta, omega = np.zeros(reward.shape), np.zeros(features.shape[1])
    chains = np.array([learner.start() for _ in range(num_workers)])
    depth = int(delay.max()) + 1
    if history == "mailbox":
        waiting = [learner.propose(theta, omega, pair) for pair in chains]
        past_theta, past_omega = np.empty((0, *theta.shape)), np.empty((0, *omega.shape))
    else:
        waiting = []
        past_theta, past_omega = np.zeros((depth, *theta.shape)), np.zeros((depth, *omega.shape))

    start = time.perf_counter()
    for k, (i, tau) in enumerate(zip(worker.tolist(), delay.tolist(), strict=True)):
        if history == "mailbox":
            message = waiting[i]
        else:
            read = (k - tau) % depth
            message = learner.propose(past_theta[read], past_omega[read], chains[i])
        learner.apply(theta, omega, message)
        if history == "mailbox":
            waiting[i] = learner.propose(theta, omega, chains[i])
        else:
            past_theta[(k + 1) % depth], past_omega[(k + 1) % depth] = theta, omega
    seconds = time.perf_counter() - start
    return NumpyRun(theta, omega, seconds / len(worker) * 1e9)


def _cumulative(law: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch n"]:
    return law.cumsum(axis=-1, dtype=np.float64)


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
