"""What a team says of itself."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.schedules.calibration.calibration import CERTAIN, SLOWER, Calibration
from a3cjax.schedules.calibration.parts import quickest

_MUCH = 1.25  # times: how much longer than uninterrupted computing must be taken to be, to be told


def sentences(team: Any) -> list[str]:
    """Lines for one who meets the team for the first time."""
    log: Calibration | None = team.calibration
    head = f"A team of {team.num_workers} workers: about {team.rate:.4g} updates a unit of time."
    if log is None:
        return [head, *_laws(team)]
    seen = log.seen
    return [
        head,
        f"Calibrated from {log.source}: {seen.updates:,} updates by {len(log.names)} workers, {seen.rate:.4g} a unit "
        f"of time; mean delay {seen.mean_delay:.4g}, median {seen.median_delay:g}, 99 % {seen.p99_delay:g}.",
        "",
        *_laws(team),
        *_fits(log),
        "",
        "Communication:",
        *_listed(_communication(team, log)),
        "",
        "What this model does not say:",
        *_listed([*log.symptoms.sentences(), *_limits(team, log), *log.notes] or ["Nothing was found that it misses."]),
    ]


def _laws(team: Any) -> list[str]:
    """A line for each law, with the workers that have it."""
    of: dict[tuple[int, float], list[int]] = {}
    for i, law in enumerate(team.compute_times):
        of.setdefault((id(law), team.factor[i]), []).append(i)
    said = ["Computing:"]
    for (_, factor), workers in of.items():
        slow = f", {factor:g} times as long as in the log" if factor != 1 else ""
        on = " on a core" if team.cores is not None else ""
        said.append(f"  {named(team.names, workers)}: {law_in_words(team.compute_times[workers[0]])}{on}{slow}.")
    return said


def law_in_words(law: Any) -> str:
    """A law with its numbers.

    >>> from a3cjax import compute_times
    >>> law_in_words(compute_times.Lognormal(2.0, cv=0.5)), law_in_words(compute_times.Empirical([1.0, 3.0]))
    ('Lognormal(mean 2, cv 0.5)', 'Empirical(2 values, mean 2)')
    """
    if hasattr(law, "values"):
        return f"Empirical({law.values.shape[-1]:,} values, mean {law.mean:.4g})"
    names = [name for name in ("mean", "cv", "shape", "low", "high") if hasattr(law, name)]
    if "low" in names:
        names.remove("mean")
    return f"{type(law).__name__}({', '.join(f'{name} {getattr(law, name):.4g}' for name in names)})"


def named(names: Sequence[str], workers: Sequence[int]) -> str:
    """Some workers by name.

    >>> named("abcdefgh", [0, 1]), named("abcdefgh", range(8)), named("abcdefgh", [3])
    ('workers a, b', '8 workers, a to h', 'worker d')
    """
    if len(workers) > 6:
        return f"{len(workers)} workers, {names[workers[0]]} to {names[workers[-1]]}"
    return f"worker{'s' * (len(workers) > 1)} {', '.join(names[i] for i in workers)}"


def _fits(log: Calibration) -> list[str]:
    said = []
    for group, fit in zip(log.groups, log.fits, strict=True):
        kept = f"; {fit.kept:,} of their quantiles stand for them" if 0 < fit.kept < fit.size else ""
        said.append(f"  Of the {fit.size:,} times of {named(log.names, group)}: {fit.verdict}{kept}.")
    if log.stragglers:
        one = len(log.stragglers) == 1
        said.append(
            f"  {named(log.names, log.stragglers).capitalize()} {'is a straggler' if one else 'are stragglers'}: more "
            f"than {SLOWER:g} times as slow as the others."
        )
    if not math.isnan(log.alike):
        p, who = f"Kruskal–Wallis p = {log.alike:.2g}", "Other workers" if log.stragglers else "Workers"
        if max(map(len, log.groups)) == 1:
            said.append(f"  {who} are not alike and have a law each ({p}).")
        elif log.alike < CERTAIN:
            said.append(f"  {who} share a law: they differ beyond chance ({p}), but by less than 5 % in their means.")
        else:
            said.append(f"  {who} are alike and share a law ({p}).")
    return said


def _communication(team: Any, log: Calibration) -> list[str]:
    said = []
    own = f"{log.seen.own_reads:.1%} of reads directly follow the own write"
    if log.overlaps:
        said.append("Workers read before their last message has landed, so that communication overlaps with computing.")
    elif log.parts.waits:
        said.append(
            f"Workers wait before they read for {log.waiting:.1%} of their time ({own}), as long as in the log. What "
            "lands meanwhile is no delay, so the mean is below N − 1."
        )
    else:
        said.append(f"Workers read right after their own writes ({own}).")
    if log.reads == "versions":
        said.append("The log has no times of reads; each is taken to be as early as the version that it saw allows.")
    if team.read_latency:
        said.append(f"A read gets a version {team.read_latency:.3g} old ({log.latency_share:.0%} of reads agree).")
    if team.write_time:
        said.append(f"A write takes {team.write_time:.3g}, one after the other.")
    if log.writing is not None:
        apart = "" if log.parts.write_time else ", all of it part of computing here"
        said.append(
            f"From a message's end to its landing {log.writing.mean:.3g}, of which {max(log.writing.wait, 0.0):.2g} is "
            f"waiting for others' writes{apart}."
        )
    if team.cores is not None:
        slices = "" if team.time_slice is None else f", each for {team.time_slice:.3g} at a time"
        said.append(f"Workers share {team.cores} cores{slices}.")
    if not math.isnan(log.start):
        said.append(f"Workers of the log began within {log.start:.3g}; the team's begin at once.")
    return said


def _limits(team: Any, log: Calibration) -> list[str]:
    said = []
    if log.writing is not None and log.writing.serial and not log.parts.write_time:
        busy = log.writing.quick * team.rate
        if busy > 0.1:
            said.append(
                f"Writes under the lock are under way {min(busy, 1.0):.0%} of the time; that more workers would wait "
                "for it longer is not in their laws."
            )
    if log.parts.cores is not None and log.parts.cores < len(log.names):
        alone, taken = quickest(log.turns, log.parts), float(np.mean(np.concatenate(log.computing)))
        said.append(
            "No core is taken to be idle in the log: what workers wait for beside cores, and what others took of them, "
            "counts as computing"
            + (f", {taken:.3g} in place of {alone:.3g} uninterrupted." if taken > _MUCH * alone else ".")
        )
    if team.cores is not None and team.time_slice is None:
        said.append(
            "The log has no more workers than cores and tells no time slice: give time_slice= for more of them."
        )
    if log.latency_share < 0.9:
        said.append(
            f"One latency explains {log.latency_share:.0%} of the reads only; others saw older or newer versions."
        )
    short = [name for name, one in zip(log.names, log.turns, strict=True) if len(one.computing) < 30]
    if short:
        said.append(f"{len(short)} workers have less than 30 turns in the log, so their laws are known roughly.")
    return said


def _listed(said: list[str]) -> list[str]:
    return [f"  {one}" for one in said]
