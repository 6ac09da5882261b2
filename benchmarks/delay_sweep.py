"""Runs per second and seconds per figure of a delay sweep, beside a NumPy loop of the same runs.

    python -m benchmarks.delay_sweep [--rounds 3] [--updates 10000] [--seeds 4]

The sweep is that of ``a3cjax sweep`` at its defaults: three laws × six delays × seven step sizes × seeds on the paper's
MDP, Markov option. Its figure is everything from drawing schedules to the picture on disk; runs per second leave out
the files only, so they pay for schedules, exact J and critic gaps twenty times in each run, and intervals. The NumPy
loop (``numpy_loop.py``) replays the sweep's own schedules one run at a time, measures nothing and draws nothing; it is
timed on one run for each law and delay, and a figure's worth is the mean of these times the number of runs. Both sides
may use every core, but NumPy has no use for a second. Medians of the rounds, in which the two take turns; compilation
is apart.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from typing import Any, NamedTuple

import jax
import numpy as np

import a3cjax
from a3cjax.cli.commands import SweepOptions
from a3cjax.studies.sweep.grid import Grid, draw_schedules
from benchmarks.numpy_loop import NumpyRun, numpy_loop
from benchmarks.workload import arrays_of, time_rounds


class Times(NamedTuple):
    """Seconds: of a whole figure, of the sweep without files, of the first call, and of the NumPy loop for all runs."""

    figure: float
    simulation: float
    first: float
    numpy: float
    runs: int


def numpy_runs(learner: a3cjax.A3C, schedule: a3cjax.Schedule, which: list[int], factor: float = 1.0) -> list[NumpyRun]:
    """The NumPy loop on some of the sweep's schedules, the learner's steps times ``factor``."""
    transition, reward, initial, discount, features = arrays_of(learner.mdp)
    radius = np.inf if learner.radius is None else float(learner.radius)
    steps: dict[str, Any] = {name: float(getattr(learner, name)) * factor for name in ("actor_step", "critic_step")}
    return [
        numpy_loop(
            transition, reward, initial, discount, features, np.asarray(schedule.worker[b]),
            np.asarray(schedule.delay[b]), schedule.num_workers, history="ring", radius=radius, **steps,
        )
        for b in which
    ]  # fmt: skip


def measure(options: SweepOptions, rounds: int) -> Times:
    """Time the figure and the NumPy loop in turn."""
    learner = options.build_learner()
    grid = Grid(options.laws, options.delays, options.delay_is, options.factors, options.scale, options.seeds)
    schedule = draw_schedules(grid, options.updates, options.seed)
    one_of_each = list(range(0, len(schedule.delay), grid.seeds))
    simulations: list[float] = []

    def figure() -> None:
        began = time.perf_counter()
        study = a3cjax.studies.sweep(
            learner, laws=grid.laws, delays=grid.delays, factors=grid.factors, scale=options.scale, seeds=grid.seeds,
            num_updates=options.updates, seed=options.seed, progress=False,
        )  # fmt: skip
        simulations.append(time.perf_counter() - began)
        with tempfile.TemporaryDirectory() as folder:
            study.save(folder)

    def loop() -> tuple[float, ...]:
        done = numpy_runs(learner, schedule, one_of_each)
        return (statistics.mean(run.nanoseconds_per_update for run in done) * 1e-9 * options.updates * grid.runs,)

    timed = time_rounds(figure, rounds, beside=loop)
    numpy_seconds = statistics.median(seconds for (seconds,) in timed.beside)
    simulation = statistics.median(simulations[-rounds:])
    return Times(statistics.median(timed.seconds), simulation, timed.first, numpy_seconds, grid.runs)


def report(times: Times, updates: int) -> str:
    """A small table."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [
        f"{cores} cores, {times.runs} runs of {updates:,} updates, jax {jax.__version__}",
        "",
        "             runs per second  seconds per figure      ratio",
        f"NumPy loop   {times.runs / times.numpy:15.1f}  {times.numpy:18.1f}          1",
        f"a3cjax       {times.runs / times.simulation:15.1f}  {times.figure:18.1f}  {times.numpy / times.figure:9.1f}",
        "",
        f"first call, with compilation: {times.first:.1f} s; of a figure, the sweep {times.simulation:.1f} s and files "
        f"{times.figure - times.simulation:.1f} s",
    ]
    return "\n".join(lines)


def main(args: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=SweepOptions.updates)
    parser.add_argument("--seeds", type=int, default=SweepOptions.seeds)
    given = parser.parse_args(args)
    options = SweepOptions(updates=given.updates, seeds=given.seeds)
    print(report(measure(options, given.rounds), options.updates))
    return 0


if __name__ == "__main__":
    sys.exit(main())
