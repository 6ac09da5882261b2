"""The C yardstick with a linear softmax policy: `c_linear.c`, compiled when it is first used, and its self-check.

    python -m benchmarks.c_linear

prints nanoseconds per update of the mailbox, and checks that the loop learns and that with one feature for each state
and action, or those features rotated, it is the tabular loop of `c_loop.c` up to rounding.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from benchmarks.c_common import (
    COUNTS,
    POINTER,
    STEPS,
    CProblem,
    CRun,
    check_learning,
    check_shape,
    checked_schedule,
    dense_mdp,
    distance,
    print_times,
)
from benchmarks.c_loop import CLoop

_SOURCE = Path(__file__).with_suffix(".c")


class CLinearLoop:
    """One finite MDP, ready to be run by a loop in C: eq. (13), Markov option, linear softmax, one thread.

    π(a|s) ∝ exp(f(s,a)ᵀθ). Worker i of run b draws from a stream of its own, a function of (seed, b, i), and the same
    words as in `CLoop`.

    Args:
        transition: P(s'|s, a).
        reward: expected reward of a state and an action.
        initial: law of the first state of every chain and of the actor's restarts.
        discount: γ in [0, 1).
        features: φ(s), one row per state, the critic's.
        policy_features: f(s, a), the policy's.

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
        policy_features: Float[np.ndarray, "S A m"],
    ) -> None:
        self._num_policy_features = policy_features.shape[-1]
        macros = [f"-DNUM_POLICY_FEATURES={self._num_policy_features}"]
        check_shape("policy_features", policy_features, (*transition.shape[:2], self._num_policy_features))
        self._problem = CProblem(_SOURCE, macros, transition, reward, initial, discount, features)
        library = self._problem.library
        library.policy_new.restype, library.policy_new.argtypes = POINTER, [COUNTS[0], POINTER]
        library.run_mailbox.argtypes = [POINTER, POINTER, POINTER, *COUNTS, *STEPS]
        doubles = np.ascontiguousarray(policy_features, np.float64)
        policy = library.policy_new(len(doubles), doubles.ctypes.data)
        self._policy = self._problem.own(policy, library.policy_free)

    def mailbox(
        self,
        worker: Int[np.ndarray, "*runs K"],
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
            num_workers: N; all of them read version 0.
            runs: how many runs, one after another.
            seed: of all draws.
            actor_step: α.
            critic_step: β.
            radius: of the ball that ω is projected onto.

        Returns:
            The run, with θ of shape [runs, m].

        Raises:
            ValueError: if a worker is out of range.
        """
        worker, stride = checked_schedule("worker", worker, runs, num_workers - 1)
        return self._problem.run(
            self._problem.library.run_mailbox,
            runs,
            (self._num_policy_features,),
            self._policy,
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


def main(num_updates: int = 200_000, runs: int = 4, repeats: int = 9, num_policy_features: int = 50) -> None:
    """Print the figures, and fail unless the loop learns and agrees with the tabular one."""
    generator = np.random.default_rng(0)
    how: dict[str, Any] = {"runs": runs, "seed": 1, "actor_step": 0.05, "critic_step": 0.05, "radius": 100.0}
    transition, reward, initial, features = dense_mdp(generator)
    policy_features = generator.standard_normal((*reward.shape, num_policy_features)) / np.sqrt(num_policy_features)
    loop = CLinearLoop(transition, reward, initial, 0.9, features, policy_features)
    update = np.arange(num_updates)
    print(f"linear, {num_policy_features} policy features:")
    for num_workers in (1, 16, 256):
        done = [loop.mailbox(update % num_workers, num_workers, **how).seconds for _ in range(repeats)]
        print_times(f"mailbox, {num_workers} workers", done, num_updates * runs)
    theta = loop.mailbox(update % 16, 16, **how).theta
    logits = np.einsum("sam,rm->rsa", policy_features, theta)
    check_learning(transition, reward, logits, 0.1, f"{num_updates} updates by 16 workers")

    # With f(s, a) = e_{s,a} θ is the table. With f(s, a) = Qe_{s,a}, Q orthogonal, it is Q times the table, while every
    # feature is in play. Up to rounding, and only for so long: in the end a draw falls between two cumulative sums.
    transition, reward, initial, features = dense_mdp(generator, num_states=8, num_actions=3, num_features=4)
    short = generator.integers(16, size=1000)
    tabular = CLoop(transition, reward, initial, 0.9, features).mailbox(short, None, 16, **how)
    rotation = np.linalg.qr(generator.standard_normal((reward.size, reward.size)))[0]
    for name, basis in (("one-hot", np.eye(reward.size)), ("rotated one-hot", rotation)):
        policy_features = basis.T.reshape(*reward.shape, reward.size)  # row (s, a) is Qe_{s,a}
        run = CLinearLoop(transition, reward, initial, 0.9, features, policy_features).mailbox(short, 16, **how)
        apart = distance(tabular, run._replace(theta=run.theta @ basis))
        if apart > 1e-4:
            raise AssertionError(f"linear with {name} features and tabular differ by {apart:.1e}.")
        print(f"{name} features and the table differ by at most {apart:.1e} after {len(short)} updates")


if __name__ == "__main__":
    main()
