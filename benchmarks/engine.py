"""Nanoseconds per update and run, beside a C loop and a NumPy loop timed in the same process.

    make bench                       # or: python -m benchmarks.engine [--rounds 5] [--quick]

Everything runs on one core, except the last case, where the simulator has all of them. Each case is timed in rounds,
the comparators and the simulator in turn, so that what else the machine does falls on all of them; the table shows
medians, and the ratio to the scalar C loop of the same round. Compilation is reported apart. The workload is the
paper's dense MDP (|S| = 100, |A| = 5, 10 features), Markov option, float32, no prior, projection on, one record at the
end. What differs stands in the last column: the i.i.d. option (beside the C loop of the Markov option), or a linear
softmax policy of 50 parameters (beside a C loop of its own).
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

import a3cjax
from benchmarks.c_linear import CLinearLoop
from benchmarks.c_loop import CLoop
from benchmarks.numpy_loop import numpy_loop
from benchmarks.workload import (
    ACTOR_STEP,
    CRITIC_STEP,
    RADIUS,
    History,
    arrays_of,
    c_seconds,
    own_schedules,
    paper_learner,
    paper_mdp,
    policy_features,
    time_rounds,
    use_cores,
    use_one_core,
)

WORK = 1 << 22  # updates times runs of one timing


@dataclass(frozen=True)
class Case:
    """One row: a history, a number of runs, N workers (mailbox) or versions (ring), and what is unusual."""

    history: History
    runs: int
    size: int
    kind: Literal["", "i.i.d.", "linear", "all cores"] = ""

    @property
    def updates(self) -> int:
        """Updates per run; many more than workers, so that the first reads do not count."""
        work = WORK // 8 if self.kind == "i.i.d." else WORK
        return max(work // max(self.runs, 16), 16 * self.size)


CASES = [
    *(Case("mailbox", runs, 16) for runs in (1, 16, 256, 1024, 4096)),
    *(Case("mailbox", 256, workers) for workers in (1, 256, 4096)),
    *(Case("ring", 256, depth) for depth in (1, 16, 256, 4096)),
    *(Case("ring", runs, 16) for runs in (1, 16, 1024)),
    Case("mailbox", 256, 16, "i.i.d."),
    Case("mailbox", 256, 16, "linear"),
    Case("mailbox", 2048, 16, "all cores"),
]


def main() -> None:
    """Time every case and print the table."""
    parser = argparse.ArgumentParser(description="Time the simulator beside C and NumPy.")
    parser.add_argument("--rounds", type=int, default=5, help="timings of each case, of which the median is shown")
    parser.add_argument("--quick", action="store_true", help="only 256 runs and 16 workers or versions")
    parser.add_argument("--all-cores", action="store_true", help="only the case in which the simulator has all cores")
    options = parser.parse_args()
    cores = set() if options.all_cores else use_one_core()
    mdp = paper_mdp()
    arrays = arrays_of(mdp)
    scalar, vector = CLoop(*arrays), CLoop(*arrays, hand_vectors=True)
    linear = CLinearLoop(*arrays, policy_features=np.asarray(policy_features()))
    if not options.all_cores:
        print(f"NumPy loop: {_numpy(arrays) / 1e3:.1f} µs per update (mailbox, 16 workers)\n")
        print("history  runs  N/depth   simulator   scalar C   vector C   ratio (to scalar C)   first call")
    cases = [c for c in CASES if (c.kind == "all cores") == options.all_cores]
    for case in cases if not options.quick else [c for c in cases if c.runs == 256 and c.size == 16]:
        row = measure(case, mdp, (linear, linear) if case.kind == "linear" else (scalar, vector), options.rounds)
        spread = f"({min(row.ratios):.2f} to {max(row.ratios):.2f})"
        print(
            f"{case.history:<8}{case.runs:>5}{case.size:>9}{row.simulator:>9.1f} ns{row.scalar:>8.1f} ns"
            f"{row.vector:>8.1f} ns{statistics.median(row.ratios):>9.2f}  {spread}{row.first:>11.1f} s  {case.kind}"
        )
        sys.stdout.flush()
    if not options.all_cores and not options.quick:  # in a process of its own: this one's threads stay on their core
        use_cores(cores)
        rounds = ["--rounds", str(options.rounds)]
        subprocess.run([sys.executable, "-m", "benchmarks.engine", "--all-cores", *rounds], check=True)


@dataclass(frozen=True)
class Row:
    """Medians in ns per update and run, the ratio of each round, and the seconds of the first call."""

    simulator: float
    scalar: float
    vector: float
    ratios: list[float]
    first: float


def simulation(case: Case, mdp: a3cjax.FiniteMDP) -> tuple[Callable[[], None], a3cjax.Schedule]:
    """What simulates the case once, and waits for it; and the schedule that it replays."""
    schedule = own_schedules(case.history, case.runs, case.updates, case.size)
    learner = paper_learner(mdp, **({"sampling": "iid"} if case.kind == "i.i.d." else {}))
    if case.kind == "linear":
        learner = paper_learner(mdp, policy=a3cjax.policies.LinearSoftmax(policy_features()))
    keys = jax.random.split(jax.random.key(1), case.runs)
    record = a3cjax.Record(every=case.updates, metrics=[])

    def simulate() -> None:
        result = a3cjax.simulate(learner, schedule, keys, history=case.history, record=record)
        assert np.isfinite(np.asarray(result.params.theta)).all()

    return simulate, schedule


def measure(case: Case, mdp: a3cjax.FiniteMDP, loops: tuple[Any, Any], rounds: int) -> Row:
    """Time one case, comparators and simulator in turn."""
    simulate, schedule = simulation(case, mdp)

    def c_loops() -> tuple[float, float]:
        first, second = (c_seconds(loop, case.history, schedule, case.runs, case.size) for loop in loops)
        return first, second

    done = time_rounds(simulate, rounds, beside=c_loops)
    work = case.runs * case.updates / 1e9
    columns = [done.seconds, *zip(*done.beside, strict=True)]
    medians = [statistics.median(column) / work for column in columns]
    ratios = [ours / theirs for ours, theirs, *_ in zip(*columns, strict=True)]
    return Row(medians[0], medians[1], medians[2], ratios, done.first)


def _numpy(arrays: list[Any]) -> float:
    """Nanoseconds per update of the NumPy loop."""
    worker = np.random.default_rng(0).integers(0, 16, 2000)
    steps: dict[str, Any] = dict(actor_step=ACTOR_STEP, critic_step=CRITIC_STEP, radius=RADIUS, seed=0)
    run = numpy_loop(*arrays, worker=worker, delay=np.zeros_like(worker), num_workers=16, history="mailbox", **steps)
    return run.nanoseconds_per_update


if __name__ == "__main__":
    main()
