"""The C yardsticks: `c_loop.c`, compiled for this machine when it is first used, and its self-check.

    python -m benchmarks.c_loop

prints nanoseconds per update of both variants, scalar and vectorised by hand, with both histories, and checks that
the loop learns, that the histories agree bit for bit, and that the variants agree up to rounding.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from benchmarks.c_common import (
    COUNTS,
    POINTER,
    STEPS,
    CProblem,
    CRun,
    check_learning,
    checked_schedule,
    dense_mdp,
    distance,
    print_times,
)

__all__ = ["CLoop", "CRun", "implied_delays"]

_SOURCE = Path(__file__).with_suffix(".c")


class CLoop:
    """One finite MDP, ready to be run by a loop in C: eq. (13), Markov option, tabular softmax, one thread.

    Worker i of run b draws from a stream of its own, a function of (seed, b, i), so the two histories give the same
    parameters, bit for bit, on any schedule that both can run.

    Args:
        transition: P(s'|s, a).
        reward: expected reward of a state and an action.
        initial: law of the first state of every chain and of the actor's restarts.
        discount: γ in [0, 1).
        features: φ(s), one row per state.
        hand_vectors: take the variant with hand-written vector arithmetic, the harder yardstick, instead of the plain
            scalar one. Both draw the same words; their floating-point sums and exponentials round differently.

    Raises:
        RuntimeError: if there is no C compiler called `cc`, or it refuses the source.
        ValueError: if the shapes do not fit together.
    """

    def __init__(
        self,
        transition: Float[np.ndarray, "S A S"],
        reward: Float[np.ndarray, "S A"],
        initial: Float[np.ndarray, " S"],
        discount: float,
        features: Float[np.ndarray, "S d"],
        *,
        hand_vectors: bool = False,
    ) -> None:
        macros = ["-DHAND_VECTORS"] if hand_vectors else []
        self._problem = CProblem(_SOURCE, macros, transition, reward, initial, discount, features)
        self._theta_shape = reward.shape
        library = self._problem.library
        library.run_mailbox.argtypes = [POINTER, POINTER, *COUNTS, *STEPS]
        library.run_ring.argtypes = [POINTER, POINTER, POINTER, *COUNTS, COUNTS[0], *STEPS]

    def mailbox(
        self,
        worker: Int[np.ndarray, "*runs K"],
        delay: Int[np.ndarray, "*runs K"] | None,
        num_workers: int,
        runs: int,
        seed: int,
        actor_step: float,
        critic_step: float,
        radius: float,
    ) -> CRun:
        """Run with each worker's waiting message as the only history.

        Args:
            worker: who writes, [K] for all runs or [runs, K].
            delay: the delays that the schedule states, checked against those that the workers imply; or None.
            num_workers: N; all of them read version 0.
            runs: how many runs, one after another.
            seed: of all draws.
            actor_step: α.
            critic_step: β.
            radius: of the ball that ω is projected onto.

        Raises:
            ValueError: if a worker is out of range, or a delay is not that of a worker who reads right after it writes.
        """
        worker, stride = checked_schedule("worker", worker, runs, num_workers - 1)
        if delay is not None:
            implied = np.apply_along_axis(implied_delays, -1, worker)
            if not np.array_equal(delay, implied):
                raise ValueError("delay is not what the mailbox gives: a worker there reads right after it writes.")
        return self._problem.run(
            self._problem.library.run_mailbox,
            runs,
            self._theta_shape,
            worker.ctypes.data,
            stride,
            worker.shape[-1],
            runs,
            num_workers,
            seed,
            actor_step,
            critic_step,
            radius,
        )

    def ring(
        self,
        worker: Int[np.ndarray, "*runs K"],
        delay: Int[np.ndarray, "*runs K"],
        depth: int,
        num_workers: int,
        runs: int,
        seed: int,
        actor_step: float,
        critic_step: float,
        radius: float,
    ) -> CRun:
        """Run with the last `depth` versions of the parameters as the history: any delays up to depth − 1.

        Args:
            worker: whose chains make the update, [K] for all runs or [runs, K].
            delay: how many versions ago its parameters were read, of the same shape.
            depth: how many versions are kept.
            num_workers: N, how many pairs of chains there are.
            runs: how many runs, one after another.
            seed: of all draws.
            actor_step: α.
            critic_step: β.
            radius: of the ball that ω is projected onto.

        Raises:
            ValueError: if a worker is out of range, or a delay is negative, at least `depth`, or above k.
        """
        worker, stride = checked_schedule("worker", worker, runs, num_workers - 1)
        delay, _ = checked_schedule("delay", delay, runs, depth - 1)
        if worker.shape != delay.shape:
            raise ValueError(f"worker has shape {worker.shape} and delay {delay.shape}: they must be the same.")
        if (delay > np.arange(delay.shape[-1])).any():
            raise ValueError("delay[k] is above k for some k: there is no version that old.")
        return self._problem.run(
            self._problem.library.run_ring,
            runs,
            self._theta_shape,
            worker.ctypes.data,
            delay.ctypes.data,
            stride,
            worker.shape[-1],
            runs,
            num_workers,
            depth,
            seed,
            actor_step,
            critic_step,
            radius,
        )


def implied_delays(worker: Int[np.ndarray, " K"]) -> Int[np.ndarray, " K"]:
    """τ_k = k − (the worker's previous update) − 1, and k at its first: workers that read right after they write."""
    order = np.argsort(worker, kind="stable")
    # Sorted by worker, the update before each one stands beside it; −1 is the common start.
    first = np.diff(worker[order], prepend=-1) != 0
    previous = np.where(first, -1, np.roll(order, 1))
    delay = np.empty(len(worker), np.int32)
    delay[order] = order - previous - 1
    return delay


def main(num_updates: int = 200_000, runs: int = 4, repeats: int = 9) -> None:
    """Print the figures, and fail unless the loop learns, the histories agree and the variants agree."""
    generator = np.random.default_rng(0)
    transition, reward, initial, features = dense_mdp(generator)
    update = np.arange(num_updates)
    how = {"runs": runs, "seed": 1, "actor_step": 0.05, "critic_step": 0.05, "radius": 100.0}
    loops = {
        name: CLoop(transition, reward, initial, 0.9, features, hand_vectors=hand_vectors)
        for name, hand_vectors in (("scalar", False), ("hand-vectorised", True))
    }
    for name, loop in loops.items():
        print(f"{name}:")
        for num_workers in (1, 16, 256, 4096):
            done = [loop.mailbox(update % num_workers, None, num_workers, **how).seconds for _ in range(repeats)]
            print_times(f"mailbox, {num_workers} workers", done, num_updates * runs)
        for depth in (1, 16, 256, 4096):  # 16 workers in turn; delays uniform on {0, ..., depth - 1}
            delay = np.minimum(generator.integers(depth, size=(runs, num_updates)), update)
            worker = np.broadcast_to(update % 16, delay.shape)
            done = [loop.ring(worker, delay, depth, 16, **how).seconds for _ in range(repeats)]
            print_times(f"ring, depth {depth}", done, num_updates * runs)

        for num_workers in (1, 16, 256, 4096):  # who writes is drawn, so delays vary and none is bounded by N
            worker = generator.integers(num_workers, size=num_updates)
            delay = implied_delays(worker)
            mailbox = loop.mailbox(worker, delay, num_workers, **how)
            ring = loop.ring(worker, delay, int(delay.max()) + 1, num_workers, **how)
            if not (np.array_equal(mailbox.theta, ring.theta) and np.array_equal(mailbox.omega, ring.omega)):
                raise AssertionError(f"mailbox and ring disagree with {num_workers} workers.")
        print("  mailbox and ring agree bit for bit with 1, 16, 256 and 4096 workers")

        theta = loop.mailbox(update % 16, None, 16, **how).theta
        check_learning(transition, reward, theta, 0.1, f"{num_updates} updates by 16 workers")

    # Up to rounding only for so long: in the end a draw falls between the two variants' cumulative sums.
    short = update[:4000] % 16
    apart = distance(*(loop.mailbox(short, None, 16, **how) for loop in loops.values()))
    if apart > 1e-4:
        raise AssertionError(f"the variants differ by {apart:.1e} after {len(short)} updates.")
    print(f"scalar and hand-vectorised differ by at most {apart:.1e} after {len(short)} updates")


if __name__ == "__main__":
    main()
