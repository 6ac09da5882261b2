"""Both error terms of every update of many runs, along the schedules of N workers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import mean_interval
from a3cjax.engine import Interrupted, Record, Result, simulate
from a3cjax.learners import A3C
from a3cjax.learners.a3c.messages import A3CState
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.studies.delay_errors.bins import TERMS, Bin, bin_fields, delay_ranges, growth_powers
from a3cjax.studies.delay_errors.bound import DelayBound, delay_bound
from a3cjax.studies.frame import axes, runs
from a3cjax.studies.frame.beginning import begin, counted, listed
from a3cjax.studies.frame.layout import SEED, WORKERS, Layout, Var, lost_from
from a3cjax.studies.frame.rows import column, table_row
from a3cjax.studies.frame.statistics import OF_MEANS, OF_RATIOS, about_intervals
from a3cjax.studies.frame.study import Study, StudyInterrupted
from a3cjax.studies.frame.tables import interval
from a3cjax.studies.frame.types import Axes, Dataset, Figure
from a3cjax.sweeps import asked_for

METRICS = ("delay", *(f"{term}_{what}_sq" for term in TERMS for what in ("delay_error", "direction")))
_SYMBOLS = {"critic": "g", "actor": "v"}
_TITLES = {
    "critic": "Critic: ‖g(x, ω at k−τ) − g(x, ω at k)‖",
    "actor": "Actor: ‖v(x̂, θ, ω at k−τ) − v(x̂, θ, ω at k)‖",
}

LAYOUT = Layout(
    "What delay adds to the directions of asynchronous advantage actor-critic",
    coordinates={"workers": WORKERS, "seed": SEED, "update": Var("update", "update k", "updates")},
    variables={
        "delay": Var("workers seed update", "delay τ", "updates"),
        "critic_error": Var("workers seed update", "critic: ‖stale g − fresh g‖", "reward"),
        "critic_direction": Var("workers seed update", "critic: ‖stale g‖", "reward"),
        "actor_error": Var("workers seed update", "actor: ‖stale v − fresh v‖", "reward"),
        "actor_direction": Var("workers seed update", "actor: ‖stale v‖", "reward"),
        "largest_omega": Var("workers seed", "largest recorded ‖ω_k‖", "reward"),
        "nonfinite_from": lost_from("workers seed"),
        "critic_slope": Var("workers seed", "power of τ that the critic error grows with", "1"),
        "actor_slope": Var("workers seed", "power of τ that the actor error grows with", "1"),
    },
)


@table_row
class DelayErrorRow:
    """One line of ``delay-errors.csv``: the updates of N workers whose delay is ``delay_low`` to ``delay_high``.

    ``…_error`` is the mean over a run's updates of the error's norm, averaged over seeds, with its interval; ``…_sq``
    of its square. ``…_share`` is the sum of the errors' norms over that of the stale directions that were applied, all
    seeds together. ``…_bound`` is ``DelayBound`` at the mean delay, NaN where there is none.
    """

    workers: int = column("workers")
    delay_low: int = column("delay τ", cell=lambda row: _span(row))
    delay_high: int
    mean_delay: float
    updates: int = column("updates", ",")
    critic_error: float = column("critic\nerror", ".3g")
    critic_error_low: float = column("{percent}", ".3g", to="critic_error_high")
    critic_error_high: float
    critic_error_sq: float
    critic_share: float = column("share\nof ‖g‖", ".1%")
    critic_share_low: float
    critic_share_high: float
    critic_bound: float = column("bound", ".3g")
    actor_error: float = column("actor\nerror", ".3g")
    actor_error_low: float = column("{percent}", ".3g", to="actor_error_high")
    actor_error_high: float
    actor_error_sq: float
    actor_share: float = column("share\nof ‖v‖", ".1%")
    actor_share_low: float
    actor_share_high: float
    actor_bound: float = column("bound", ".3g")


@dataclasses.dataclass(frozen=True)
class DelayErrorStudy(Study):
    """The outcome of ``delay_errors``.

    ``curves`` over (workers, seed, update): ``delay``, and the norms ``critic_error``, ``critic_direction``,
    ``actor_error``, ``actor_direction``; over (workers, seed) ``critic_slope`` and ``actor_slope``, the power of τ
    that the mean errors grow with. ``rows``: a ``DelayErrorRow`` for each N and range of delays.
    ``bound``: a ``DelayBound``, or None.
    """

    name = "delay-errors"
    rows: tuple[DelayErrorRow, ...]
    bound: DelayBound | None = None

    @classmethod
    def of(
        cls, curves: Dataset, bound: DelayBound | None = None, confidence: float = 0.95, *, interrupted: bool = False,
    ) -> "DelayErrorStudy":  # fmt: skip
        """Bin the updates by delay, average each run's, and then over the seeds that have any in the bin."""
        rows: list[DelayErrorRow] = []
        slopes = {f"{term}_slope": np.full(curves.nonfinite_from.shape, np.nan) for term in TERMS}
        for i, n in enumerate(curves.workers.values):
            one = curves.isel(workers=i)
            ranges = delay_ranges(int(one.delay.max()) if one.delay.size else -1)
            bins = [b for b in (Bin.of(one, low, high) for low, high in ranges) if b.counts.any()]
            rows += [_row(int(n), b, bound, confidence) for b in bins]
            for term in TERMS:
                slopes[f"{term}_slope"][i] = growth_powers(bins, term)
        curves = LAYOUT.add(curves, **slopes).assign_attrs(about_intervals(confidence, OF_MEANS, OF_RATIOS))
        return cls(curves, tuple(rows), confidence, interrupted, bound)

    @property
    def bound_reached(self) -> dict[str, float]:
        """The largest error of any update over its bound, for both terms; NaN without a bound or a delay."""
        reached = {}
        for term in TERMS:
            errors, delays = self.curves[f"{term}_error"].values, self.curves.delay.values
            late = (delays > 0) & np.isfinite(errors)
            known = self.bound is not None and late.any()
            reached[term] = float((errors[late] / getattr(self.bound, term)(delays[late])).max()) if known else np.nan
        return reached

    def summary(self) -> str:
        """How much of a direction is error, how it grows with the delay, and how loose the bound is."""
        lines = []
        for i, n in enumerate(self.curves.workers.values):
            one = self.curves.isel(workers=i)
            if not (one.delay.values > 0).any():
                continue
            parts = []
            for term, symbol in _SYMBOLS.items():
                share = float(one[f"{term}_error"].mean() / one[f"{term}_direction"].mean())
                slope = mean_interval(one[f"{term}_slope"].values, confidence=self.confidence)
                grows = f"{slope.value:.2f} ({interval(float(slope.low), float(slope.high))})"
                parts.append(f"{term} {share:.1%} of ‖{symbol}‖, ∝ τ^{grows}")
            lines.append(f"N = {n}: mean delay {float(one.delay.mean()):.1f}; mean error: {'; '.join(parts)}.")
        if lines:
            lines.append("An error ∝ τ^0.5 is that of parameters that walk at random, ∝ τ of parameters that drift.")
        if self.bound is not None and lines:
            worst = ", ".join(f"{term} {value:.1%}" for term, value in self.bound_reached.items())
            lines.append(f"The largest error of any update, as a share of its bound: {worst}.")
        return "\n".join(lines) or "No update had a delay, so there is no error to speak of."

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know."""
        said = []
        if self.interrupted:
            done, wanted = self.curves.attrs["updates_done"], self.curves.attrs["num_updates"]
            said.append(f"The study was interrupted after {done:,} of {wanted:,} updates.")
        if self.bound is None:
            said.append(
                "No bound is known: that takes a radius (or a measurement of every update), a start within it, and a "
                "softmax policy, tabular or linear."
            )
        return said + runs.lost_notes(self.curves, lambda workers: f"N = {workers}", "steps")

    def facts(self) -> dict[str, object]:
        """The bound's constants."""
        return {"bound": None if self.bound is None else dataclasses.asdict(self.bound)}

    def figure(self) -> Figure:
        """Four panels: mean error of critic and actor against the delay, beside the bound and as a share.

        Points are means over updates and then seeds, bars their intervals. Dotted lines grow as √τ and as τ.
        """
        workers = [int(n) for n in self.curves.workers.values]
        colours = dict(zip(workers, axes.shades(len(workers)), strict=True))
        with axes.drawing(8.6, 6.4) as figure:
            panels = figure.subplots(2, 2, sharex=True)
            for (above, below), term in zip(panels.T, TERMS, strict=True):
                share = f"share of ‖{_SYMBOLS[term]}‖"
                above.set(title=_TITLES[term], ylabel="mean error norm (reward)")
                below.set(xlabel="delay τ (updates)", ylabel=share)
                below.set_title(f"The same as a {share} that was applied")
                _points(above, self, term, "error", colours, axes.plain)
                _points(below, self, term, "share", colours, lambda y: f"{100 * y:g} %")
            handles = [axes.key(color=colour, marker="o", ms=4) for colour in colours.values()]
            handles += [axes.key(color=axes.INK, ls=":", lw=1), axes.key(color=axes.INK, ls="--", lw=1)]
            handles.append(axes.key(color=axes.INK, marker="|", ms=9, lw=0))
            labels = [f"{n} worker{'s' if n > 1 else ''}" for n in workers]
            labels += ["∝ √τ and ∝ τ", "bound", f"{self.percent} interval"]
            figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 7))
        return figure


def delay_errors(
    learner: A3C, *, workers: Sequence[int] = (4, 16), seeds: int = 16, num_updates: int = 4000,
    compute_times: ComputeTime | runs.WorkerLaws | None = None, record_every: int = 1, confidence: float = 0.95,
    seed: int = 0, progress: bool | None = None,
) -> DelayErrorStudy:  # fmt: skip
    """The two error terms of delayed parameters, g(x, ω_{k−τ}) − g(x, ω_k) and v(x̂, θ_{k−τ}, ω_{k−τ}) − v(x̂, θ_k, ω_k).

    Measured exactly at the updates of N always-busy workers, for every N, and averaged over the updates of a run whose
    delay lies in the same range: 0, 1, 2, 3–4, 5–8, …. Beside them the bound of ``delay_bound``, with the largest
    ‖ω_k‖ that any run had, if every update is measured. All runs are one batch of ``simulate``; the n-th seed's runs
    are the same however many seeds there are.

    Args:
        learner: the actor-critic, with one value for each hyper-parameter.
        workers: numbers of workers N.
        seeds: runs for each N, at least 1; the intervals need 2.
        num_updates: updates of every run, K.
        compute_times: the law of every worker's compute time, or a function from N to the list of N laws; Exponential
            of mean 1 if not given.
        record_every: measure one update in so many.
        confidence: coverage of the intervals over seeds. See ``mean_interval`` and ``ratio_of_means``.
        seed: seed of schedules and runs.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_features=5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.03, radius=10.0)
    >>> study = a3cjax.studies.delay_errors(learner, workers=[4], seeds=2, num_updates=200)
    >>> [(row.delay_low, row.delay_high) for row in study.rows][:4], study.rows[0].critic_error
    ([(0, 0), (1, 1), (2, 2), (3, 4)], 0.0)
    """
    workers = runs.distinct_integers("workers", workers, 1, " numbers of workers")
    runs.check_repeats(seeds, seed, confidence)
    num_updates = check.integer("num_updates", num_updates, 1)
    record = Record(every=record_every, metrics={name: name for name in METRICS} | {"omega_norm": _omega_norm})
    record.spacing(num_updates)
    _check_one_run(learner)
    steps = zip("αβ", (learner.actor_step, learner.critic_step), strict=True)
    told = "".join(f", {name} = {float(step):g}" for name, step in steps if not callable(step))
    begin(
        f"Measuring the delay errors of {counted(seeds, 'seed')} × N = {listed(workers)} workers × {num_updates:,} "
        f"updates, {learner.sampling} sampling{told}",
        in_blocks=True,
    )
    schedule, keys = runs.draw_runs(seed, compute_times, workers, seeds, num_updates, progress)

    def study_of(result: Any, interrupted: bool = False) -> DelayErrorStudy:
        curves = _curves(learner, workers, seeds, num_updates, result)
        visited = float(np.nanmax(curves.largest_omega.values)) if record_every == 1 else None
        bound = delay_bound(learner, num_updates, visited)
        return DelayErrorStudy.of(curves, bound, confidence, interrupted=interrupted)

    blocks = asked_for()
    if blocks is not None:
        import xarray  # here, because it takes long to import

        known = xarray.Dataset(coords={"workers": list(workers), "seed": range(seeds)})
        (found,) = runs.found_in_blocks(blocks, DelayErrorStudy.name, known, [(learner, schedule, keys)], record)
        return dataclasses.replace(study_of(found), kept=blocks)
    try:
        return study_of(simulate(learner, schedule, keys, record=record, throw=False, progress=progress))
    except Interrupted as error:
        study = study_of(error.result, interrupted=True)
        done = int(study.curves.attrs["updates_done"])
        raise StudyInterrupted(f"Interrupted after {done} of {num_updates} updates.", study) from error


def _check_one_run(learner: A3C) -> None:
    for name in ("actor_step", "critic_step"):
        if getattr(learner, name) is None:
            raise ValueError(f"learner has an optimiser and no {name}, and the study's bound is for steps; give one.")
    for name in ("actor_step", "critic_step", "radius"):
        value = getattr(learner, name)
        if value is not None and not callable(value) and np.ndim(value) > 0:
            raise ValueError(f"learner.{name} has shape {np.shape(value)}; the study takes one number for all runs.")


def _omega_norm(state: A3CState) -> jax.Array:
    return jnp.linalg.norm(state.omega)


def _curves(learner: A3C, workers: tuple[int, ...], seeds: int, num_updates: int, result: Result) -> Dataset:
    """The updates of every run, [workers, seed, update], as norms."""
    assert result.state is not None
    shape = (len(workers), seeds, len(result.updates))
    lost = np.asarray(result.nonfinite_from)
    # What a run says after it stopped being finite means nothing.
    gone = (lost[:, None] >= 0) & (result.updates >= lost[:, None])
    values = {name: np.asarray(metric, np.float64) for name, metric in result.metrics.items()}
    norms = {
        f"{term}_{what}": np.where(gone, np.nan, np.sqrt(values[f"{term}_{metric}_sq"])).reshape(shape)
        for term in TERMS
        for what, metric in (("error", "delay_error"), ("direction", "direction"))
    }
    along = np.where(gone, np.nan, values["omega_norm"]).reshape(shape)
    start = np.full((*shape[:2], 1), np.linalg.norm(np.asarray(learner.omega, np.float64)))
    values = {
        "workers": workers, "seed": seeds, "update": np.asarray(result.updates) - 1,
        "delay": values["delay"].reshape(shape).astype(int), **norms,
        "largest_omega": np.nanmax(np.concatenate([start, along], axis=-1), axis=-1),
        "nonfinite_from": lost.reshape(shape[:2]),
    }  # fmt: skip
    return LAYOUT.dataset(
        values,
        sampling=learner.sampling,
        minibatch=learner.minibatch,
        num_updates=num_updates,
        updates_done=result.state.updates,
    )


def _row(n: int, b: Bin, bound: DelayBound | None, confidence: float) -> DelayErrorRow:
    there = b.counts > 0
    return DelayErrorRow(
        workers=n, delay_low=b.low, delay_high=b.high,
        mean_delay=float(np.average(b.means["delay"][there], weights=b.counts[there])), updates=int(b.counts.sum()),
        **bin_fields(b, bound, confidence),
    )  # fmt: skip


def _span(row: DelayErrorRow) -> str:
    return f"{row.delay_low}" if row.delay_low == row.delay_high else f"{row.delay_low}–{row.delay_high}"


def _points(ax: Axes, study: DelayErrorStudy, term: str, what: str, colours: dict[int, str], write: Any) -> None:
    """Errors or shares of each N with their intervals, the bound of errors, and lines to read slopes off."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    name = f"{term}_{what}"
    for n, colour in colours.items():
        rows = [row for row in study.rows if row.workers == n and getattr(row, name) > 0]
        at, value, low, high = axes.fields(rows, "mean_delay", name, f"{name}_low", f"{name}_high")
        spread = axes.ends(value, low, high)
        ax.errorbar(at, value, spread, color=colour, marker="o", ms=4, lw=1.2, capsize=2.5, zorder=3)
    largest = max((row.mean_delay for row in study.rows), default=0)
    if what == "error" and study.bound is not None and largest >= 1:
        at = np.geomspace(1, largest, 60)
        ax.plot(at, getattr(study.bound, term)(at), color=axes.INK, ls="--", lw=1)
    ax.set_yscale("log")
    most = [row for row in study.rows if row.workers == study.rows[-1].workers and getattr(row, name) > 0]
    if len(most) > 1:  # through the most workers' first point
        at = np.array([most[0].mean_delay, most[-1].mean_delay])
        for power in (0.5, 1):
            line = getattr(most[0], name) * (at / at[0]) ** power
            ax.plot(at, line, color=axes.INK, ls=":", lw=0.9, zorder=1)
    axes.logarithmic(ax.yaxis, write)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(FuncFormatter(axes.plain))
    ax.xaxis.set_minor_locator(NullLocator())
