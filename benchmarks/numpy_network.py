"""Asynchronous processes that train a network on CartPole, in NumPy on shared memory, as one would write it by hand.

The learner is ``a3cjax.ActorCritic``'s: a trunk of two layers of tanh with heads for logits and value, n-step returns,
an entropy bonus, one Adam on the server. Forward, backward and the dynamics are written out; nothing imports JAX.
"""

import multiprocessing
import time
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.real_workers import Shared, end_with_parent, run_processes

ROLLOUT, DISCOUNT, ENTROPY, CRITIC_WEIGHT, STEP = 5, 0.99, 0.01, 0.5, 1e-3


class Network:
    """4 – h – h – (2 and 1), all parameters views of one vector."""

    def __init__(self, hidden: int, params: Float[np.ndarray, " p"] | None = None) -> None:
        shapes = [(4, hidden), (hidden,), (hidden, hidden), (hidden,), (hidden, 2), (2,), (hidden, 1), (1,)]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        self.params = np.zeros(int(ends[-1]), np.float32) if params is None else params
        self.leaves = [
            part.reshape(shape) for part, shape in zip(np.split(self.params, ends[:-1]), shapes, strict=True)
        ]

    def draw(self, rng: np.random.Generator) -> None:
        """Weights of variance one over their inputs."""
        for leaf in self.leaves[::2]:
            leaf[:] = rng.normal(size=leaf.shape) / leaf.shape[0] ** 0.5

    def forward(self, x: Float[np.ndarray, "n 4"]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Both hidden layers, logits [n, 2] and values [n]."""
        w1, b1, w2, b2, wp, bp, wv, bv = self.leaves
        one = np.tanh(x @ w1 + b1)
        two = np.tanh(one @ w2 + b2)
        return one, two, two @ wp + bp, (two @ wv + bv)[:, 0]

    def gradient(self, x: Any, action: Any, reward: Any, ahead: Any, ends: Any, after: Any) -> np.ndarray:
        """Of the loss of ``ActorCritic`` on a rollout, as one vector.

        ``ahead`` is 0 where an episode has terminated and 1 elsewhere, ``ends`` where one is over, ``after`` what was
        seen then.
        """
        one, two, logits, values = self.forward(x)
        next_values = self.forward(after)[3]
        returns, later = np.empty_like(values), 0.0
        for t in reversed(range(len(x))):
            last = ends[t] or t == len(x) - 1
            later = reward[t] + DISCOUNT * (ahead[t] * next_values[t] if last else later)
            returns[t] = later
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        chance = shifted / shifted.sum(1, keepdims=True)
        logs = np.log(chance)
        randomness = -(chance * logs).sum(1, keepdims=True)
        taken = np.eye(2, dtype=np.float32)[action]
        to_logits = (chance - taken) * (returns - values)[:, None] + ENTROPY * chance * (logs + randomness)
        to_logits /= len(x)
        to_values = (2 * CRITIC_WEIGHT * (values - returns) / len(x))[:, None]
        _, _, w2, _, wp, _, wv, _ = self.leaves
        at_two = (to_logits @ wp.T + to_values @ wv.T) * (1 - two**2)
        at_one = (at_two @ w2.T) * (1 - one**2)
        leaves = (
            x.T @ at_one, at_one.sum(0), one.T @ at_two, at_two.sum(0),
            two.T @ to_logits, to_logits.sum(0), two.T @ to_values, to_values.sum(0),
        )  # fmt: skip
        return np.concatenate([leaf.ravel() for leaf in leaves])


def cart_pole(state: Float[np.ndarray, "4"], action: int) -> tuple[np.ndarray, bool]:
    """One step of gymnasium's CartPole, and whether the pole has fallen."""
    x, speed, angle, turn = state
    cos, sin = np.cos(angle), np.sin(angle)
    pushed = ((10.0 if action else -10.0) + 0.05 * turn**2 * sin) / 1.1
    turning = (9.8 * sin - cos * pushed) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    moving = pushed - 0.05 * turning * cos / 1.1
    after = np.array([x + 0.02 * speed, speed + 0.02 * moving, angle + 0.02 * turn, turn + 0.02 * turning], np.float32)
    return after, bool(abs(after[0]) > 2.4 or abs(after[2]) > 12 * np.pi / 180)


def cpu_seconds_per_update(num_workers: int, num_updates: int, hidden: int = 64) -> float:
    """Processor time of all workers together, from when all are ready, over the number of updates."""
    size = Network(hidden).params.size
    shared = Shared(
        params=((size,), np.float32), mean=((size,), np.float32), square=((size,), np.float32), count=((1,), np.int64),
        seconds=((num_workers,), np.float64),
    )  # fmt: skip
    Network(hidden, shared.arrays()["params"]).draw(np.random.default_rng(0))
    context = multiprocessing.get_context("spawn")
    lock, barrier = context.Lock(), context.Barrier(num_workers)
    run_processes(_work, [(index, num_updates, hidden, shared, lock, barrier) for index in range(num_workers)])
    return float(shared.arrays()["seconds"].sum()) / num_updates


def _work(index: int, num_updates: int, hidden: int, shared: Shared, lock: Any, barrier: Any) -> None:
    """One worker: read, act, differentiate, write, until the updates are made."""
    end_with_parent()
    arrays = shared.arrays()
    rng, own = np.random.default_rng([1, index]), Network(hidden)
    state, steps = rng.uniform(-0.05, 0.05, 4).astype(np.float32), 0
    barrier.wait()
    began = time.process_time()
    while arrays["count"][0] < num_updates:
        with lock:
            own.params[:] = arrays["params"]
        seen, actions, rewards, ahead, ends, after = [], [], [], [], [], []
        for _ in range(ROLLOUT):
            logits = own.forward(state[None])[2][0]
            action = int(rng.random() < 1 / (1 + np.exp(logits[0] - logits[1])))
            reached, fallen = cart_pole(state, action)
            steps += 1
            over = fallen or steps == 500
            for column, value in zip(
                (seen, actions, rewards, ahead, ends, after),
                (state, action, 1.0, 0.0 if fallen else 1.0, over, reached),
                strict=True,
            ):
                column.append(value)
            state, steps = (rng.uniform(-0.05, 0.05, 4).astype(np.float32), 0) if over else (reached, steps)
        gradient = own.gradient(np.array(seen), actions, rewards, ahead, ends, np.array(after))
        with lock:
            arrays["count"][0] += 1
            _adam(arrays, gradient, int(arrays["count"][0]))
    arrays["seconds"][index] = time.process_time() - began


def _adam(arrays: dict[str, np.ndarray], gradient: np.ndarray, count: int) -> None:
    params, mean, square = arrays["params"], arrays["mean"], arrays["square"]
    mean += 0.1 * (gradient - mean)
    square += 0.001 * (gradient**2 - square)
    params -= STEP / (1 - 0.9**count) * mean / (np.sqrt(square / (1 - 0.999**count)) + 1e-8)
