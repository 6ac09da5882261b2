"""Real worker processes, and the simulator replaying the very schedule that they realised.

    python -m benchmarks.real_workers [--workers 8] [--updates 20000] [--rounds 3]

The workers are processes that share θ, ω and the update count. Each copies them under a lock, samples one critic and
one actor transition, and applies its message under the lock, noting the delay. That is the algorithm as one would run
it, in NumPy and float32. What they noted is a schedule, which the simulator then replays, for one run and for 256 runs
at once. The table shows medians of updates per second, over all runs, and the ratio to the real workers' of the round
whose schedule was replayed. Starting processes and compiling is apart. Both sides may use every core.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawArray
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from benchmarks.c_loop import implied_delays
from benchmarks.numpy_loop import NumpyLearner

# Nothing here imports JAX at the top: a worker imports this module, and has no use for it.

STEPS = {"actor_step": 0.05, "critic_step": 0.05, "radius": 100.0}
RUNS = 256


class Trace(NamedTuple):
    """What the workers did: who made update k, how stale it was, when it landed; and the parameters at the end."""

    worker: Int[np.ndarray, " K"]
    delay: Int[np.ndarray, " K"]
    time: Float[np.ndarray, " K"]  # seconds since all workers were ready
    theta: Float[np.ndarray, "S A"]
    omega: Float[np.ndarray, " d"]

    @property
    def updates_per_second(self) -> float:
        """Until the last update landed."""
        return len(self.time) / float(self.time[-1])


def run_workers(problem: Sequence[Any], num_workers: int, num_updates: int, *, seed: int = 0) -> Trace:
    """Make ``num_updates`` updates with ``num_workers`` asynchronous processes.

    No process is left behind, whether this returns, raises or is killed. The memory that they share has no name, so it
    goes with them.

    Args:
        problem: transition, reward, initial, discount and features, as for ``NumpyLearner``.
        num_workers: N.
        num_updates: K.
        seed: of all draws; each worker has a stream of its own. When updates land is up to the machine.

    Raises:
        RuntimeError: if a worker ends before the work is done.
    """
    (num_states, num_actions), num_features = problem[1].shape, problem[4].shape[1]
    shared = Shared(
        theta=((num_states, num_actions), np.float32),
        omega=((num_features,), np.float32),
        count=((1,), np.int64),
        worker=((num_updates,), np.int32),
        delay=((num_updates,), np.int32),
        time=((num_updates,), np.float64),
        ready=((num_workers,), np.float64),
    )
    context = multiprocessing.get_context("spawn")
    lock, barrier = context.Lock(), context.Barrier(num_workers)
    run_processes(
        _work,
        [(index, num_updates, shared, lock, barrier, problem, [seed, index]) for index in range(num_workers)],
    )
    arrays = shared.arrays()
    landed = arrays["time"] - arrays["ready"].max()
    return Trace(arrays["worker"], arrays["delay"], landed, arrays["theta"], arrays["omega"])


def run_processes(work: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
    """Call ``work`` with each of the arguments in a process of its own; none is left behind.

    Raises:
        RuntimeError: if one of them fails.
    """
    context = multiprocessing.get_context("spawn")
    started: list[BaseProcess] = []
    try:
        with _uninterrupted():
            for index, mine in enumerate(arguments):
                process = context.Process(target=work, args=mine, name=f"worker {index}", daemon=True)
                process.start()
                started.append(process)
        _watch(started)
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.join()
            process.close()


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Shared:
    """Arrays of zeros in memory that the processes share: a name for each, its shape and its type."""

    def __init__(self, **layout: tuple[tuple[int, ...], type[np.generic]]) -> None:
        self._layout = layout
        sizes = {name: int(np.prod(shape)) * np.dtype(kind).itemsize for name, (shape, kind) in layout.items()}
        self._memory = {name: RawArray("b", size) for name, size in sizes.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays themselves, no copies."""
        return {
            name: np.frombuffer(self._memory[name], kind).reshape(shape) for name, (shape, kind) in self._layout.items()
        }


def _work(
    index: int, num_updates: int, shared: Shared, lock: Any, barrier: Any, problem: Sequence[Any], seed: list[int]
) -> None:
    """One worker: read, propose, write, until the updates are made."""
    end_with_parent()
    arrays = shared.arrays()
    count, (theta, omega) = arrays["count"], (arrays["theta"], arrays["omega"])
    own_theta, own_omega = np.empty_like(theta), np.empty_like(omega)
    learner = NumpyLearner(*problem, **STEPS, seed=seed)
    chains = learner.start()
    arrays["ready"][index] = time.monotonic()
    barrier.wait()
    while True:
        with lock:
            version = int(count[0])
            own_theta[:], own_omega[:] = theta, omega
        message = learner.propose(own_theta, own_omega, chains)
        with lock:
            k = int(count[0])
            if k == num_updates:
                return
            learner.apply(theta, omega, message)
            arrays["worker"][k], arrays["delay"][k], arrays["time"][k] = index, k - version, time.monotonic()
            count[0] = k + 1


def end_with_parent() -> None:
    """Whatever ends the parent, a worker does not outlive it, not even one that waits for others."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back, so that no process is started and then not known.

    Processes started here never see it: the parent ends them, without a traceback of each.
    """
    pressed: list[int] = []
    # A thread of another library may take a signal that this one blocks, hence a handler as well as the mask.
    handler = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if pressed:
        raise KeyboardInterrupt


def _watch(processes: list[BaseProcess]) -> None:
    """Wait for all to end; the first that fails ends the wait, for the others may be waiting for it."""
    running: dict[Any, BaseProcess] = {process.sentinel: process for process in processes}
    while running:
        for sentinel in wait(list(running)):
            process = running.pop(sentinel)
            process.join()
            if process.exitcode != 0:
                raise RuntimeError(
                    f"{process.name} ended with exit code {process.exitcode} before the work was done; "
                    "the other workers were stopped."
                )


def main() -> None:
    """Run the workers, replay what they did, and print both."""
    parser = argparse.ArgumentParser(description="Time real worker processes beside the simulator.")
    parser.add_argument("--workers", type=_positive, default=8, help="processes")
    parser.add_argument("--updates", type=_positive, default=20000, help="updates of a round")
    parser.add_argument("--rounds", type=_positive, default=3, help="timings, of which the median is shown")
    options = parser.parse_args()
    from benchmarks.replay import Replay

    replay = Replay(**STEPS)
    traces = [
        run_workers(replay.problem, options.workers, options.updates, seed=seed) for seed in range(options.rounds)
    ]
    real = [trace.updates_per_second for trace in traces]
    print(f"{num_cores()} cores, {options.updates} updates a round, {options.rounds} rounds\n")
    print("                        updates per second   ratio (to the real workers)   first call")
    print(f"{f'{options.workers} real workers':<24}{statistics.median(real):>18,.0f}")
    replay.load(traces, options.workers)
    at_end = []
    for runs in (1, RUNS):
        first, rates, at_end = replay.measure(runs)
        ratios = [ours / theirs for ours, theirs in zip(rates, real, strict=True)]
        spread = f"({min(ratios):.1f} to {max(ratios):.1f})"
        name = f"simulator, {runs} run{'s' if runs > 1 else ''}"
        print(
            f"{name:<24}{statistics.median(rates):>18,.0f}{statistics.median(ratios):>11.1f}  {spread:<18}"
            f"{first:>9.1f} s"
        )
        sys.stdout.flush()
    _print_delays(traces, options.workers)
    print(f"\nJ(θ): {replay.objective(np.zeros_like(traces[0].theta)):.4f} at the start; at the end of each round")
    print("   real workers   simulated, mean ± standard error (standard deviation)")
    for trace, simulated in zip(traces, at_end, strict=True):
        deviation = statistics.stdev(simulated)
        print(
            f"{replay.objective(trace.theta):>15.4f}   {statistics.mean(simulated):.4f} ± "
            f"{deviation / len(simulated) ** 0.5:.4f}  ({deviation:.4f})"
        )


def _print_delays(traces: Sequence[Trace], num_workers: int) -> None:
    """Mean, quantiles and a histogram in powers of two, of all rounds together."""
    delay = np.concatenate([trace.delay for trace in traces])
    # Between two writes of one worker, the others' updates land either before its read or after it, as its delay.
    between = np.concatenate([implied_delays(trace.worker) for trace in traces])
    middle, most, nearly_all = np.quantile(delay, [0.5, 0.9, 0.99], method="inverted_cdf")
    print(
        f"\ndelay of the real workers: mean {delay.mean():.2f} (N − 1 = {num_workers - 1}), median {middle}, "
        f"90% {most}, 99% {nearly_all}, max {delay.max()}"
    )
    print(f"updates of others between a worker's write and its next read: mean {(between - delay).mean():.2f}")
    edges = [0, *(1 << bit for bit in range(int(delay.max()).bit_length() + 1))]
    for low, high in itertools.pairwise(edges):
        share = np.mean((delay >= low) & (delay < high))
        label = f"{low}" if high - low == 1 else f"{low} to {high - 1}"
        print(f"{label:>16} {share:>8.2%}  {'#' * round(60 * share)}".rstrip())


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"is {number}, but must be at least 1")
    return number


if __name__ == "__main__":
    main()
