"""Nanoseconds per update and run, beside a C loop and a NumPy loop timed in the same process.

    make bench                       # or: python -m benchmarks.engine [--rounds 5] [--quick]

Everything runs on one core. Each case is timed in rounds, the comparators and the simulator in turn, so that what else
the machine does falls on all of them; the table shows medians, and the ratio to the scalar C loop of the same round.
Compilation is reported apart. The workload is the paper's dense MDP (|S| = 100, |A| = 5, 10 features), Markov option,
float32, no prior, projection on, one record at the end.
"""

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

import a3cjax
from benchmarks.c_loop import CLoop
from benchmarks.numpy_loop import numpy_loop

ACTOR_STEP = CRITIC_STEP = 0.05
RADIUS = 100.0
WORK = 1 << 22  # updates times runs of one timing


@dataclass(frozen=True)
class Case:
    """One row: a history, a number of runs, and N workers (mailbox) or versions (ring)."""

    history: Literal["mailbox", "ring"]
    runs: int
    size: int

    @property
    def updates(self) -> int:
        """Updates per run; many more than workers, so that the first reads do not count."""
        return max(WORK // max(self.runs, 16), 16 * self.size)


CASES = [
    *(Case("mailbox", runs, 16) for runs in (1, 16, 256, 1024)),
    *(Case("mailbox", 256, workers) for workers in (1, 256, 4096)),
    *(Case("ring", 256, depth) for depth in (1, 16, 256)),
    *(Case("ring", runs, 16) for runs in (1, 16, 1024)),
]


def main() -> None:
    """Time every case and print the table."""
    parser = argparse.ArgumentParser(description="Time the simulator beside C and NumPy.")
    parser.add_argument("--rounds", type=int, default=5, help="timings of each case, of which the median is shown")
    parser.add_argument("--quick", action="store_true", help="only 256 runs and 16 workers or versions")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", 1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    mdp = a3cjax.families.synthetic(jax.random.key(0))
    arrays: list[Any] = [np.asarray(a) for a in (mdp.transition, mdp.reward, mdp.initial)]
    arrays += [float(mdp.discount), np.asarray(mdp.features)]
    scalar, vector = CLoop(*arrays), CLoop(*arrays, hand_vectors=True)
    print(f"NumPy loop: {_numpy(arrays) / 1e3:.1f} µs per update (mailbox, 16 workers)\n")
    print("history  runs  N/depth   simulator   scalar C   vector C   ratio (to scalar C)   first call")
    for case in CASES if not options.quick else [c for c in CASES if c.runs == 256 and c.size == 16]:
        row = measure(case, mdp, scalar, vector, options.rounds)
        low, high = min(row.ratios), max(row.ratios)
        print(
            f"{case.history:<8}{case.runs:>5}{case.size:>9}{row.simulator:>9.1f} ns{row.scalar:>8.1f} ns"
            f"{row.vector:>8.1f} ns{statistics.median(row.ratios):>9.2f}  ({low:.2f} to {high:.2f}){row.first:>11.1f} s"
        )
        sys.stdout.flush()


@dataclass(frozen=True)
class Row:
    """Medians in ns per update and run, the ratio of each round, and the seconds of the first call."""

    simulator: float
    scalar: float
    vector: float
    ratios: list[float]
    first: float


def measure(case: Case, mdp: a3cjax.FiniteMDP, scalar: CLoop, vector: CLoop, rounds: int) -> Row:
    """Time one case, comparators and simulator in turn."""
    schedule = _schedule(case)
    learner = a3cjax.A3C(mdp, actor_step=ACTOR_STEP, critic_step=CRITIC_STEP, radius=RADIUS)
    keys = jax.random.split(jax.random.key(1), case.runs)
    record = a3cjax.Record(every=case.updates, metrics=[])

    def simulator() -> float:
        began = time.perf_counter()
        result = a3cjax.simulate(learner, schedule, keys, history=case.history, record=record)
        assert np.isfinite(np.asarray(result.params.theta)).all()
        return time.perf_counter() - began

    first = simulator()
    work = case.runs * case.updates / 1e9
    times: list[tuple[float, float, float]] = []
    for _ in range(rounds):
        times.append((simulator() / work, _c(scalar, case, schedule) / work, _c(vector, case, schedule) / work))
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    return Row(medians[0], medians[1], medians[2], [ours / theirs for ours, theirs, _ in times], first)


def _schedule(case: Case) -> a3cjax.Schedule:
    """A schedule of its own for each run: random writers, or delays uniform below the depth."""
    rng = np.random.default_rng(0)
    shape = (case.runs, case.updates)
    time_of = np.broadcast_to(np.arange(1.0, case.updates + 1), shape)
    if case.history == "ring":
        delay = np.minimum(rng.integers(0, case.size, shape), np.arange(case.updates))
        return a3cjax.Schedule(np.zeros(shape, np.int32), delay, time_of, num_workers=1)
    worker = rng.integers(0, case.size, shape)
    order = np.argsort(worker, axis=-1, kind="stable")
    grouped = np.take_along_axis(worker, order, -1)
    previous = np.where(np.diff(grouped, axis=-1, prepend=-1) != 0, -1, np.roll(order, 1, axis=-1))
    delay = np.empty_like(worker)
    np.put_along_axis(delay, order, order - 1 - previous, -1)
    return a3cjax.Schedule(worker, delay, time_of, num_workers=case.size)


def _c(loop: CLoop, case: Case, schedule: a3cjax.Schedule) -> float:
    """Seconds of the C loop for the same work."""
    shared: dict[str, Any] = dict(runs=case.runs, seed=0, actor_step=ACTOR_STEP, critic_step=CRITIC_STEP, radius=RADIUS)
    worker, delay = np.asarray(schedule.worker), np.asarray(schedule.delay)
    if case.history == "mailbox":
        return loop.mailbox(worker, None, case.size, **shared).seconds
    return loop.ring(worker, delay, depth=case.size, num_workers=1, **shared).seconds


def _numpy(arrays: list[Any]) -> float:
    """Nanoseconds per update of the NumPy loop."""
    worker = np.random.default_rng(0).integers(0, 16, 2000)
    steps: dict[str, Any] = dict(actor_step=ACTOR_STEP, critic_step=CRITIC_STEP, radius=RADIUS, seed=0)
    run = numpy_loop(*arrays, worker=worker, delay=np.zeros_like(worker), num_workers=16, history="mailbox", **steps)
    return run.nanoseconds_per_update


if __name__ == "__main__":
    main()
