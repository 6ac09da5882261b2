"""Is the cost per update flat? In the number of updates, of recorded points, of workers and of past versions.

    python -m benchmarks.flat [--rounds 3] [--quick]   # under three minutes; writes flat.csv, docs/figures/flat.png
    python -m benchmarks.flat --memory [--full]        # peak memory of 10 000 runs instead

256 runs of the benchmarks' workload on one core; what is recorded is the largest logit, at the end unless said
otherwise. Each point is the median of its rounds, with the fastest and the slowest as an interval; a point whose rounds
take long has fewer of them. Compilation is apart. Nothing is subtracted: where updates are few, the fixed cost of a
call shows. Beside each point the scalar C loop is timed, on fewer of the runs where they would take long, since it goes
run after run.

- Updates and records: one schedule for all runs, 16 workers with exponential compute times, mailbox.
- Workers and versions: a schedule of its own for each run, random writers or delays uniform below the depth.
"""

import argparse
import csv
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

import a3cjax
from a3cjax.studies.frame.axes import INK, STYLE
from benchmarks import memory
from benchmarks.c_loop import CLoop
from benchmarks.workload import (
    History,
    Rounds,
    arrays_of,
    c_seconds,
    looked_at,
    own_schedules,
    paper_learner,
    paper_mdp,
    shared_schedule,
    time_rounds,
    use_one_core,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUNS = 256
WORKERS = 16
UPDATES = (10**3, 10**4, 10**5, 10**6)
RECORDS = (1, 30, 1000)
RECORDED_UPDATES = 25_000
SIZES = (1, 16, 256, 4096)
LONGEST = 6.0  # seconds of rounds of one point, after which no further one starts
_C_WORK = 1 << 20  # updates times runs of the C loop
_PROBED = 5000, (5, 5000)  # updates, and the two numbers of records whose peak memory is compared
_ROOT = Path(__file__).resolve().parents[1]
_CSV = _ROOT / "benchmarks" / "flat.csv"
_FIGURE = _ROOT / "docs" / "figures" / "flat.png"


@dataclass(frozen=True)
class Point:
    """One measurement; times in nanoseconds per update and run."""

    sweep: str
    x: int
    updates: int
    records: int
    median: float
    fastest: float
    slowest: float
    rounds: int
    c_median: float
    c_fastest: float
    c_slowest: float
    first_call_seconds: float


@dataclass
class Case:
    """One point to be measured: ``size`` is N, or the depth."""

    sweep: str
    x: int
    history: History
    schedule: a3cjax.Schedule
    size: int
    records: int
    done: Rounds

    @property
    def updates(self) -> int:
        """K."""
        return self.schedule.num_updates

    @property
    def c_runs(self) -> int:
        """Runs of the C loop."""
        return int(np.clip(_C_WORK // self.updates, 1, RUNS))

    def point(self) -> Point:
        """What was measured."""
        c = [seconds / (self.c_runs * self.updates / 1e9) for (seconds,) in self.done.beside]
        ours = self.done.per(RUNS * self.updates / 1e9)
        counts, theirs = len(self.done.seconds), (statistics.median(c), min(c), max(c))
        return Point(self.sweep, self.x, self.updates, self.records, *ours, counts, *theirs, self.done.first)


def sweeps(shorter: int) -> Iterator[list[Case]]:
    """The cases, sweep by sweep; ``shorter`` divides the numbers of updates."""
    whole = shared_schedule(UPDATES[-1] // shorter, WORKERS)
    cuts = [looked_at(whole[: k // shorter]) for k in UPDATES]
    yield [Case("updates", len(cut), "mailbox", cut, WORKERS, 1, Rounds()) for cut in cuts]
    part = looked_at(whole[: RECORDED_UPDATES // shorter])
    yield [Case("records", records, "mailbox", part, WORKERS, records, Rounds()) for records in RECORDS]
    histories: tuple[tuple[str, History], ...] = (("workers", "mailbox"), ("depth", "ring"))
    for sweep, history in histories:
        # Eight turns of each worker at least, so that the first reads, all of version 0, do not count.
        lengths = [max(1 << 13, 8 * size) // shorter for size in SIZES]
        drawn = [own_schedules(history, RUNS, k, size) for k, size in zip(lengths, SIZES, strict=True)]
        yield [Case(sweep, n, history, own, n, 1, Rounds()) for n, own in zip(SIZES, drawn, strict=True)]


def measure(cases: list[Case], rounds: int) -> list[Point]:
    """Time a sweep: a round goes through all its cases, so that a slow spell of the machine falls on each of them."""
    mdp = paper_mdp()
    learner, loop = paper_learner(mdp), CLoop(*arrays_of(mdp))
    keys = jax.random.split(jax.random.key(1), RUNS)

    def simulator(case: Case) -> None:
        record = a3cjax.Record(every=case.updates // case.records, metrics=[memory.largest_logit])
        result = a3cjax.simulate(learner, case.schedule, keys, history=case.history, record=record)
        assert np.isfinite(np.asarray(result.params.theta)).all()

    def c_loop(case: Case) -> tuple[float]:
        return (c_seconds(loop, case.history, case.schedule, case.c_runs, case.size),)

    for _ in range(rounds):
        for case in cases:
            if sum(case.done.seconds) < LONGEST:
                case.done.add(time_rounds(partial(simulator, case), 1, beside=partial(c_loop, case)))
    return [case.point() for case in cases]


def main() -> None:
    """Time every point, print the table, write the file and the figure."""
    parser = argparse.ArgumentParser(description="Is the cost per update flat?")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each point, of which the median is shown")
    parser.add_argument("--quick", action="store_true", help="a tenth of the updates, and no files: a trial")
    parser.add_argument("--memory", action="store_true", help="peak memory of 10 000 runs, instead of times")
    parser.add_argument("--updates", type=int, default=20_000, help="with --memory: K of the longest run measured")
    parser.add_argument("--full", action="store_true", help="with --memory: really run K = 10^6, which takes long")
    options = parser.parse_args()
    if options.memory:
        memory.report(options.updates, options.full)
        return
    use_one_core()
    print(f"{RUNS} runs; ns per update and run, median of rounds (fastest to slowest)\n")
    print(_HEADER)
    points: list[Point] = []
    for cases in sweeps(10 if options.quick else 1):
        points += (own := measure(cases, options.rounds))
        print("\n".join(map(_row, own)), flush=True)
    print(f"\nA record costs {record_cost(points):.1f} µs per run.")
    per_record = memory_per_record()
    print(f"Peak memory: {per_record:,.0f} bytes per recorded point of {RUNS} runs, {per_record / RUNS:.0f} per run.")
    if not options.quick:
        save(points, per_record)
        print(f"Written: {_CSV.relative_to(_ROOT)}, {_FIGURE.relative_to(_ROOT)}")


def record_cost(points: list[Point]) -> float:
    """Microseconds per record and run: what the most records add to the time of the fewest."""
    few, *_, many = (p for p in points if p.sweep == "records")
    return (many.median - few.median) * few.updates / (many.records - few.records) / 1e3


def memory_per_record() -> float:
    """Bytes that a recorded point of all runs adds to the peak, by two processes that record few and many."""
    updates, numbers = _PROBED
    few, many = (memory.peak_of(RUNS, updates, records, again=True).growth for records in numbers)
    return (many - few) / (numbers[1] - numbers[0])


def save(points: list[Point], per_record: float) -> None:
    """Write the table and the figure."""
    with _CSV.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Point)])
        writer.writeheader()
        for point in points:
            writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in asdict(point).items()})
    flat_figure(points, per_record).savefig(_FIGURE, dpi=160)


_HEADER = (
    f"{'sweep':<8}{'x':>9}{'updates':>10}{'simulator':>24}{'rounds':>8}{'scalar C':>24}{'ratio':>7}{'first call':>12}"
)


def _row(p: Point) -> str:
    ours = f"{p.median:.1f} ({p.fastest:.1f} to {p.slowest:.1f})"
    c = f"{p.c_median:.1f} ({p.c_fastest:.1f} to {p.c_slowest:.1f})"
    return (
        f"{p.sweep:<8}{p.x:>9,}{p.updates:>10,}{ours:>24}{p.rounds:>8}{c:>24}"
        f"{p.median / p.c_median:>7.2f}{p.first_call_seconds:>10.1f} s"
    )


# ------------------------------------------------------------------------------------------------------------- figure

_LOOKS: dict[str, dict[str, Any]] = {
    "updates": {"color": "#2060a0", "marker": "o", "label": "mailbox, 16 workers"},
    "records": {"color": "#2060a0", "marker": "o", "label": "mailbox, 16 workers"},
    "workers": {"color": "#2060a0", "marker": "o", "label": "mailbox, N workers"},
    "depth": {"color": "#c05020", "marker": "s", "label": "ring, N versions"},
}
_SHIFT = 1.05  # to either side, so that the intervals of a point and of its C loop do not hide each other


def flat_figure(points: list[Point], per_record: float) -> Figure:
    """Three panels: time per update over updates, over recorded points, over workers and past versions."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.8, 3.5), layout="constrained")
        updates, records, sizes = figure.subplots(1, 3, sharey=True)
        _line(updates, points, "updates", c=True)
        updates.set(title="Updates", xlabel="updates K per run", ylabel="time per update and run (ns)")
        _line(records, points, "records", c=False)
        at = next(p.updates for p in points if p.sweep == "records")
        records.set(title=f"Recorded points, {at:,} updates", xlabel="recorded points R")
        note = f"a record costs {record_cost(points):.1f} µs per run\nand {per_record / RUNS:.0f} bytes of peak memory"
        records.annotate(note, (0.02, 0.03), xycoords="axes fraction", fontsize=8, color=INK)
        for sweep in ("workers", "depth"):
            _line(sizes, points, sweep, c=True)
        sizes.set(title="Workers, past versions", xlabel="workers (mailbox) or versions (ring) N")
        for ax in (updates, records, sizes):
            ax.legend(loc="upper left")
        # From zero, or flat would mean little; room above for the legends.
        updates.set_ylim(0, 1.55 * max(max(p.slowest, p.c_slowest) for p in points))
    return figure


def _line(ax: "Axes", points: list[Point], sweep: str, *, c: bool) -> None:
    own = [p for p in points if p.sweep == sweep]
    look = _LOOKS[sweep]
    x = np.array([p.x for p in own])
    shift = _SHIFT if c else 1.0
    middle = np.array([p.median for p in own])
    spread = [middle - [p.fastest for p in own], np.array([p.slowest for p in own]) - middle]
    ax.errorbar(x / shift, middle, spread, ms=5, lw=1.5, capsize=3, zorder=3, **look)
    if c:
        middle = np.array([p.c_median for p in own])
        spread = [middle - [p.c_fastest for p in own], np.array([p.c_slowest for p in own]) - middle]
        # The same marker, open, and a dashed line: told apart without colours too.
        dashed: dict[str, Any] = look | {"label": "the same in C", "mfc": "white", "ls": "--"}
        ax.errorbar(x * shift, middle, spread, ms=5, lw=1, capsize=3, zorder=2, **dashed)
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    if max(x) <= 10**4:
        ax.set_xticks(x)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


if __name__ == "__main__":
    main()
