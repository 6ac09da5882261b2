"""What the C yardsticks share on the Python side: compiling, the problem's tables, schedules, and the self-checks."""

import ctypes
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

POINTER, _LONG, _WORD, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64, ctypes.c_float
# How the arguments of an entry point go on after its tables and schedules, with those of a history between the two.
COUNTS = [_LONG, _LONG, _LONG, _LONG]  # stride, updates, runs, workers
STEPS = [_WORD, _REAL, _REAL, _REAL, POINTER, POINTER]  # seed, actor, critic, radius, theta, omega


class CRun(NamedTuple):
    """What the loop left, and the seconds that it took (compilation and preparation of tables apart)."""

    theta: Float[np.ndarray, "runs *theta"]
    omega: Float[np.ndarray, "runs d"]
    seconds: float


class CProblem:
    """A loop compiled for the sizes of one finite MDP, with the MDP's tables on the C side.

    Args:
        source: the C file, which includes `actor_critic.h`.
        macros: for the compiler, besides the numbers of actions and of features.
        transition: P(s'|s, a).
        reward: expected reward of a state and an action.
        initial: law of the first state of every chain and of the actor's restarts.
        discount: γ in [0, 1).
        features: φ(s), one row per state.

    Raises:
        RuntimeError: if there is no C compiler called `cc`, or it refuses the source.
        ValueError: if the shapes do not fit together.
    """

    def __init__(
        self,
        source: Path,
        macros: Sequence[str],
        transition: Float[np.ndarray, "S A S"],
        reward: Float[np.ndarray, "S A"],
        initial: Float[np.ndarray, " S"],
        discount: float,
        features: Float[np.ndarray, "S d"],
    ) -> None:
        if transition.ndim != 3 or features.ndim != 2:
            raise ValueError(
                f"transition must be [S, A, S] and features [S, d], not {transition.shape} and {features.shape}."
            )
        num_states, num_actions, num_features = *transition.shape[:2], features.shape[1]
        check_shape("transition", transition, (num_states, num_actions, num_states))
        check_shape("reward", reward, (num_states, num_actions))
        check_shape("initial", initial, (num_states,))
        check_shape("features", features, (num_states, num_features))
        self.num_states, self.num_actions, self.num_features = num_states, num_actions, num_features
        sizes = f"-DNUM_ACTIONS={num_actions}", f"-DNUM_FEATURES={num_features}"
        self.library = _compiled(source, (*sizes, *macros))
        self.library.problem_new.restype = POINTER
        self.library.problem_new.argtypes = [_LONG, POINTER, POINTER, POINTER, ctypes.c_double, POINTER]
        # The tables are built from these in double precision; the C side keeps no pointer to them.
        doubles = [np.ascontiguousarray(array, np.float64) for array in (transition, reward, initial, features)]
        pointers = [array.ctypes.data for array in doubles]
        tables = self.library.problem_new(num_states, *pointers[:3], discount, pointers[3])
        self._tables = self.own(tables, self.library.problem_free)

    def own(self, address: int | None, free: "ctypes._NamedFuncPointer") -> int:
        """The address of what the C side allocated, to be freed when this object goes."""
        if not address:
            raise MemoryError(f"no memory for the tables of {self.num_states} states and {self.num_actions} actions.")
        free.restype, free.argtypes = None, [POINTER]
        weakref.finalize(self, free, address)
        return address

    def run(
        self, entry: "ctypes._NamedFuncPointer", runs: int, theta_shape: tuple[int, ...], *arguments: int | float
    ) -> CRun:
        """Time one call of an entry point; the arguments are those between the problem and the results."""
        # Ones, not empty: the pages are there before the clock starts.
        theta = np.ones((runs, *theta_shape), np.float32)
        omega = np.ones((runs, self.num_features), np.float32)
        start = time.perf_counter()
        failed = entry(self._tables, *arguments, theta.ctypes.data, omega.ctypes.data)
        seconds = time.perf_counter() - start
        if failed:
            raise MemoryError("no memory for the workers and the history of one run.")
        return CRun(theta, omega, seconds)


def checked_schedule(
    name: str, array: Int[np.ndarray, "*runs K"], runs: int, high: int
) -> tuple[Int[np.ndarray, "*runs K"], int]:
    """The entries, checked to lie between 0 and `high`, as the C side takes them, and the stride from run to run."""
    if array.ndim not in (1, 2) or (array.ndim == 2 and len(array) != runs) or array.shape[-1] == 0:
        raise ValueError(f"{name} has shape {array.shape}; it must be [K] or [runs, K] with runs = {runs} and K > 0.")
    if array.min() < 0 or array.max() > high:
        raise ValueError(f"{name} goes from {array.min()} to {array.max()}; it must stay between 0 and {high}.")
    return np.ascontiguousarray(array, np.int32), array.shape[-1] if array.ndim == 2 else 0


def check_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise a ValueError if an array has another shape than the transition says."""
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; with this transition it must be {shape}.")


def dense_mdp(
    generator: np.random.Generator, num_states: int = 100, num_actions: int = 5, num_features: int = 10
) -> tuple[Float[np.ndarray, "S A S"], Float[np.ndarray, "S A"], Float[np.ndarray, " S"], Float[np.ndarray, "S d"]]:
    """The paper's kind of MDP: U(0, 1) entries, rows of P normalised, features scaled into the unit ball."""
    transition = generator.uniform(size=(num_states, num_actions, num_states))
    transition /= transition.sum(axis=2, keepdims=True)
    reward = generator.uniform(size=(num_states, num_actions))
    features = generator.uniform(size=(num_states, num_features))
    features /= np.linalg.norm(features, axis=1).max()
    return transition, reward, np.full(num_states, 1 / num_states), features


def average_reward(
    transition: Float[np.ndarray, "S A S"], reward: Float[np.ndarray, "S A"], logits: Float[np.ndarray, "S A"]
) -> float:
    """Σ_s μ(s) Σ_a π(a|s) r(s, a), μ the stationary law of the chain under the softmax of the logits."""
    policy = np.exp(logits - logits.max(axis=1, keepdims=True))
    policy /= policy.sum(axis=1, keepdims=True)
    chain = np.einsum("sa,sat->st", policy, transition)
    system = np.vstack([chain.T - np.eye(len(chain)), np.ones(len(chain))])
    stationary = np.linalg.lstsq(system, np.append(np.zeros(len(chain)), 1.0), rcond=None)[0]
    return float(stationary @ (policy * reward).sum(axis=1))


def check_learning(
    transition: Float[np.ndarray, "S A S"],
    reward: Float[np.ndarray, "S A"],
    logits: Float[np.ndarray, "runs S A"],
    least: float,
    how_long: str,
) -> None:
    """Print the average reward of the uniform policy and of these; fail if it rose by less than `least` in any run."""
    before = average_reward(transition, reward, np.zeros(reward.shape))
    after = [average_reward(transition, reward, run) for run in logits.astype(np.float64)]
    if min(after) < before + least:
        raise AssertionError(f"the policy did not learn: average reward {before:.3f} before, {after} after.")
    print(f"  average reward {before:.3f} before, {np.mean(after):.3f} after {how_long}")


def print_times(label: str, seconds: list[float], updates: int) -> None:
    """One line: the least and the median, in nanoseconds per update."""
    times = np.array(seconds) / updates * 1e9
    print(f"  {label:24s} {times.min():7.1f} ns per update, median {np.median(times):7.1f}")


def distance(a: CRun, b: CRun) -> float:
    """The largest difference between two runs' parameters; θ may be a table in one and flat in the other."""
    differences = a.theta.ravel() - b.theta.ravel(), a.omega - b.omega
    return float(max(np.abs(difference).max() for difference in differences))


@lru_cache
def _compiled(source: Path, macros: tuple[str, ...]) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError(
            "This comparator is C and is compiled when it is used, but there is no compiler called cc on the "
            "path: install one (gcc 12 or newer, or clang), or leave this comparator out."
        )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"{source.stem}.so"
        flags = ["-O3", "-march=native", "-shared", "-fPIC"]
        command = [compiler, *flags, *macros, str(source), "-o", str(target), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"The C compiler refused the comparator:\n{done.stderr}")
        # Once loaded, the file may go: the mapping stays.
        return ctypes.CDLL(str(target))
