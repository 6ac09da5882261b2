"""From the log of a real run to a team of workers."""

import dataclasses
from typing import Any, get_args

from a3cjax._core import check
from a3cjax.schedules.calibration.calibration import calibrated
from a3cjax.schedules.calibration.fitting import LawName
from a3cjax.schedules.calibration.measured import measure
from a3cjax.schedules.calibration.observed import observe
from a3cjax.schedules.calibration.slices import fit_slice
from a3cjax.schedules.calibration.team import Team

_NEAR = 1.25  # times: how near the model's variance of delays has to come to the log's


def calibrate(
    log: Any,
    *,
    law: LawName = "auto",
    cores: int | None = None,
    time_slice: float | None = None,
    seed: int = 0,
    **reading: Any,
) -> Team:
    """The team of workers that a real run's log is of: how long each computes, and how it communicates.

    A worker's turn goes from one landing of its to the next. Workers that cannot be told apart share a law; stragglers,
    and workers that are unlike each other, have their own. Of the laws of ``a3cjax.compute_times`` it is the one of
    least Akaike criterion at its maximum of likelihood, unless samples of it are as far from their own fit with a
    probability below 0.01 (Kolmogorov–Smirnov distance, parametric bootstrap): then the measured turns themselves.
    ``print(team)`` says all of it, and what such a model misses of this log.

    Waits between a landing and the next read are drawn apart where they are 0.1 % of the time, and writes under a lock
    where they are 1 % and there are no cores to share; pauses of less than 1 % of a turn, with
    cores to share of half a computation, count as computing.

    **Cores.** If more workers computed than the machine has cores, say how many: then a computing time is one on a core
    of its own, whose law is that of the turns which nobody interrupted, where these can be told from the others, scaled
    so that no core is idle. The time slice is the one with which the delays of as many workers spread as the log's. A
    log of fewer workers than cores cannot tell it; it is then to be given.

    What a worker had begun and not written when the log ends is not in it: record for many turns.

    Args:
        log: what ``Schedule.from_log`` takes, a path, folder, mapping or frame; or a ``Schedule``, which knows no times
            of reads.
        law: "auto", or the name of the law of all workers: "empirical", "exponential", "gamma", "lognormal", "pareto"
            or "uniform".
        cores: that the workers share; None if each has one of its own, or does not compute.
        time_slice: for how long one keeps its core; fitted, if not given.
        seed: of the bootstrap and of the draws that the time slice is fitted with, at least 0.
        reading: further arguments of ``Schedule.from_log``, such as the names of columns; for a path only.

    Returns:
        The team; its times are in the log's unit, seconds for what ``a3cjax.recorder`` wrote.

    Raises:
        ValueError: if the log cannot be read or has no times, a worker has fewer than two whole turns, a turn takes no
            time, messages are averaged or dropped, or an argument is out of range or has no effect.
        FileNotFoundError: if there is no such file.

    >>> import jax, a3cjax
    >>> workers = [a3cjax.compute_times.Exponential(2.0)] * 4
    >>> log = a3cjax.Schedule.from_workers(jax.random.key(0), workers, 4000)
    >>> team = a3cjax.calibrate(log)
    >>> team, team.compute_times[0] is team.compute_times[3]
    (Team(4 workers, 2.014 updates a unit of time), True)
    """
    check.choice("law", law, get_args(LawName))
    check.integer("seed", seed, 0)
    observed = observe(log, reading)
    if cores is not None:
        check.integer("cores", cores, 1)
    elif time_slice is not None:
        raise ValueError("time_slice has no effect where no cores are shared; give cores, or leave it out.")
    found = calibrated(observed, measure(observed), law, cores, seed)
    laws = [found.law_of(i) for i in range(len(found.names))]
    team = Team(
        laws, read_latency=found.latency, write_time=found.parts.write_time, wait=found.wait, cores=cores,
        time_slice=time_slice, names=found.names, calibration=found,
    )  # fmt: skip
    if cores is None or time_slice is not None or cores >= team.num_workers:
        return team
    fitted, variance = fit_slice(team, found.seen.variance, found.seen.updates, seed)
    if not 1 / _NEAR < variance / max(found.seen.variance, 1e-9) < _NEAR:
        said = (
            f"No time slice makes the delays spread as in the log, with a variance of {found.seen.variance:.3g}; the "
            f"one that is taken gives {variance:.3g}."
        )
        team = dataclasses.replace(team, calibration=dataclasses.replace(found, notes=(*found.notes, said)))
    return team.with_cores(cores, fitted)
