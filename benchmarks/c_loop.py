"""The C yardsticks: `c_loop.c`, compiled for this machine when it is first used, and its self-check.

    python -m benchmarks.c_loop

prints nanoseconds per update of both variants, scalar and vectorised by hand, with both histories, and checks that
the loop learns, that the histories agree bit for bit, and that the variants agree up to rounding.
"""

import ctypes
import shutil
import subprocess
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_SOURCE = Path(__file__).with_suffix(".c")


class CRun(NamedTuple):
    """What the loop left, and the seconds that it took (compilation and preparation of tables apart)."""

    theta: Float[np.ndarray, "runs S A"]
    omega: Float[np.ndarray, "runs d"]
    seconds: float


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
        if transition.ndim != 3 or features.ndim != 2:
            raise ValueError(
                f"transition must be [S, A, S] and features [S, d], not {transition.shape} and {features.shape}."
            )
        num_states, num_actions, num_features = *transition.shape[:2], features.shape[1]
        expected = {
            "transition": (transition, (num_states, num_actions, num_states)),
            "reward": (reward, (num_states, num_actions)),
            "initial": (initial, (num_states,)),
            "features": (features, (num_states, num_features)),
        }
        for name, (array, shape) in expected.items():
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}; with this transition it must be {shape}.")
        self._sizes = num_states, num_actions, num_features
        self._library = _library(num_actions, num_features, hand_vectors)
        # The tables are built from these in double precision; the C side keeps no pointer to them.
        doubles = [np.ascontiguousarray(array, np.float64) for array in (transition, reward, initial, features)]
        pointers = [array.ctypes.data for array in doubles]
        self._problem: int | None = self._library.problem_new(num_states, *pointers[:3], discount, pointers[3])
        if not self._problem:
            raise MemoryError(f"no memory for the alias tables of {num_states} states and {num_actions} actions.")

    def __del__(self) -> None:
        """Free the tables."""
        if getattr(self, "_problem", None):
            self._library.problem_free(self._problem)
            self._problem = None

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
        worker, stride = _schedule("worker", worker, runs)
        _check_range("worker", worker, 0, num_workers - 1)
        if delay is not None:
            stated, _ = _schedule("delay", delay, runs)
            implied = np.apply_along_axis(implied_delays, -1, worker)
            if not np.array_equal(stated, implied):
                raise ValueError("delay is not what the mailbox gives: a worker there reads right after it writes.")
        return self._run(
            self._library.run_mailbox,
            runs,
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
        worker, stride = _schedule("worker", worker, runs)
        delay, _ = _schedule("delay", delay, runs)
        if worker.shape != delay.shape:
            raise ValueError(f"worker has shape {worker.shape} and delay {delay.shape}: they must be the same.")
        _check_range("worker", worker, 0, num_workers - 1)
        _check_range("delay", delay, 0, depth - 1)
        if (delay > np.arange(delay.shape[-1])).any():
            raise ValueError("delay[k] is above k for some k: there is no version that old.")
        return self._run(
            self._library.run_ring,
            runs,
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

    def _run(self, entry: "ctypes._NamedFuncPointer", runs: int, *arguments: int | float) -> CRun:
        num_states, num_actions, num_features = self._sizes
        # Ones, not empty: the pages are there before the clock starts.
        theta = np.ones((runs, num_states, num_actions), np.float32)
        omega = np.ones((runs, num_features), np.float32)
        start = time.perf_counter()
        failed = entry(self._problem, *arguments, theta.ctypes.data, omega.ctypes.data)
        seconds = time.perf_counter() - start
        if failed:
            raise MemoryError("no memory for the workers and the history of one run.")
        return CRun(theta, omega, seconds)


def implied_delays(worker: Int[np.ndarray, " K"]) -> Int[np.ndarray, " K"]:
    """τ_k = k − (the worker's previous update) − 1, and k at its first: workers that read right after they write."""
    order = np.argsort(worker, kind="stable")
    # Sorted by worker, the update before each one stands beside it; −1 is the common start.
    first = np.diff(worker[order], prepend=-1) != 0
    previous = np.where(first, -1, np.roll(order, 1))
    delay = np.empty(len(worker), np.int32)
    delay[order] = order - previous - 1
    return delay


def _schedule(name: str, array: np.ndarray, runs: int) -> tuple[np.ndarray, int]:
    if array.ndim not in (1, 2) or (array.ndim == 2 and len(array) != runs) or array.shape[-1] == 0:
        raise ValueError(f"{name} has shape {array.shape}; it must be [K] or [runs, K] with runs = {runs} and K > 0.")
    return np.ascontiguousarray(array, np.int32), array.shape[-1] if array.ndim == 2 else 0


def _check_range(name: str, array: np.ndarray, low: int, high: int) -> None:
    if array.min() < low or array.max() > high:
        raise ValueError(f"{name} goes from {array.min()} to {array.max()}; it must stay between {low} and {high}.")


@lru_cache
def _library(num_actions: int, num_features: int, hand_vectors: bool) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError(
            "This comparator is C and is compiled when it is used, but there is no compiler called cc on the "
            "path: install one (gcc 12 or newer, or clang), or leave this comparator out."
        )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "c_loop.so"
        flags = ["-O3", "-march=native", "-shared", "-fPIC"]
        macros = [f"-DNUM_ACTIONS={num_actions}", f"-DNUM_FEATURES={num_features}"]
        macros += ["-DHAND_VECTORS"] if hand_vectors else []
        command = [compiler, *flags, *macros, str(_SOURCE), "-o", str(target), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"The C compiler refused the comparator:\n{done.stderr}")
        # Once loaded, the file may go: the mapping stays.
        library = ctypes.CDLL(str(target))
    pointer, long, word, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_float
    library.problem_new.restype = pointer
    library.problem_new.argtypes = [long, pointer, pointer, pointer, ctypes.c_double, pointer]
    library.problem_free.restype = None
    library.problem_free.argtypes = [pointer]
    shared = [long, long, long, long]  # stride, updates, runs, workers
    steps = [word, real, real, real, pointer, pointer]  # seed, actor, critic, radius, theta, omega
    library.run_mailbox.argtypes = [pointer, pointer, *shared, *steps]
    library.run_ring.argtypes = [pointer, pointer, pointer, *shared, long, *steps]
    return library


def _dense_mdp(
    generator: np.random.Generator, num_states: int = 100, num_actions: int = 5, num_features: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The paper's kind of MDP: U(0, 1) entries, rows of P normalised, features scaled into the unit ball."""
    transition = generator.uniform(size=(num_states, num_actions, num_states))
    transition /= transition.sum(axis=2, keepdims=True)
    reward = generator.uniform(size=(num_states, num_actions))
    features = generator.uniform(size=(num_states, num_features))
    features /= np.linalg.norm(features, axis=1).max()
    return transition, reward, np.full(num_states, 1 / num_states), features


def _average_reward(transition: np.ndarray, reward: np.ndarray, theta: np.ndarray) -> float:
    """Σ_s μ(s) Σ_a π(a|s) r(s, a), μ the stationary law of the chain under the softmax of θ."""
    policy = np.exp(theta - theta.max(axis=1, keepdims=True))
    policy /= policy.sum(axis=1, keepdims=True)
    chain = np.einsum("sa,sat->st", policy, transition)
    system = np.vstack([chain.T - np.eye(len(chain)), np.ones(len(chain))])
    stationary = np.linalg.lstsq(system, np.append(np.zeros(len(chain)), 1.0), rcond=None)[0]
    return float(stationary @ (policy * reward).sum(axis=1))


def _report(label: str, seconds: list[float], updates: int) -> None:
    times = np.array(seconds) / updates * 1e9
    print(f"  {label:24s} {times.min():7.1f} ns per update, median {np.median(times):7.1f}")


def _distance(a: CRun, b: CRun) -> float:
    return float(max(np.abs(a.theta - b.theta).max(), np.abs(a.omega - b.omega).max()))


def main(num_updates: int = 200_000, runs: int = 4, repeats: int = 9) -> None:
    """Print the figures, and fail unless the loop learns, the histories agree and the variants agree."""
    generator = np.random.default_rng(0)
    transition, reward, initial, features = _dense_mdp(generator)
    update = np.arange(num_updates)
    how = {"runs": runs, "seed": 1, "actor_step": 0.05, "critic_step": 0.05, "radius": 100.0}
    loops = {
        name: CLoop(transition, reward, initial, 0.9, features, hand_vectors=hand_vectors)
        for name, hand_vectors in (("scalar", False), ("hand-vectorised", True))
    }
    before = _average_reward(transition, reward, np.zeros(reward.shape))
    for name, loop in loops.items():
        print(f"{name}:")
        for num_workers in (1, 16, 256, 4096):
            done = [loop.mailbox(update % num_workers, None, num_workers, **how).seconds for _ in range(repeats)]
            _report(f"mailbox, {num_workers} workers", done, num_updates * runs)
        for depth in (1, 16, 256, 4096):  # 16 workers in turn; delays uniform on {0, ..., depth - 1}
            delay = np.minimum(generator.integers(depth, size=(runs, num_updates)), update)
            worker = np.broadcast_to(update % 16, delay.shape)
            done = [loop.ring(worker, delay, depth, 16, **how).seconds for _ in range(repeats)]
            _report(f"ring, depth {depth}", done, num_updates * runs)

        for num_workers in (1, 16, 256, 4096):  # who writes is drawn, so delays vary and none is bounded by N
            worker = generator.integers(num_workers, size=num_updates)
            delay = implied_delays(worker)
            mailbox = loop.mailbox(worker, delay, num_workers, **how)
            ring = loop.ring(worker, delay, int(delay.max()) + 1, num_workers, **how)
            if not (np.array_equal(mailbox.theta, ring.theta) and np.array_equal(mailbox.omega, ring.omega)):
                raise AssertionError(f"mailbox and ring disagree with {num_workers} workers.")
        print("  mailbox and ring agree bit for bit with 1, 16, 256 and 4096 workers")

        theta = loop.mailbox(update % 16, None, 16, **how).theta.astype(np.float64)
        after = [_average_reward(transition, reward, run) for run in theta]
        if min(after) < before + 0.1:
            raise AssertionError(f"the policy did not learn: average reward {before:.3f} before, {after} after.")
        print(f"  average reward {before:.3f} before, {np.mean(after):.3f} after {num_updates} updates by 16 workers")

    # Up to rounding only for so long: in the end a draw falls between the two variants' cumulative sums.
    short = update[:4000] % 16
    distance = _distance(*(loop.mailbox(short, None, 16, **how) for loop in loops.values()))
    if distance > 1e-4:
        raise AssertionError(f"the variants differ by {distance:.1e} after {len(short)} updates.")
    print(f"scalar and hand-vectorised differ by at most {distance:.1e} after {len(short)} updates")


if __name__ == "__main__":
    main()
