"""A small speedup study with a picture of its workers, for whoever meets asynchrony for the first time."""

from typing import Any

import numpy as np

from a3cjax.learners import A3C
from a3cjax.problems import families
from a3cjax.schedules import Schedule
from a3cjax.studies.demo.figure import demo_figure
from a3cjax.studies.frame import runs
from a3cjax.studies.frame.study import StudyInterrupted
from a3cjax.studies.frame.tables import interval
from a3cjax.studies.frame.types import Figure
from a3cjax.studies.speedup import SpeedupStudy, speedup

_STATES, _WORKERS, _SEEDS, _UPDATES = 9, (1, 4, 16), 16, 2000
_DRAWN, _ROWS = 4, 18  # which workers are in the picture, and how many updates of theirs


class DemoStudy(SpeedupStudy):
    """The outcome of ``demo``: that of ``speedup``, with a picture of its workers."""

    name = "demo"

    @property
    def drawn(self) -> Schedule:
        """The first updates of the first run of four workers."""
        schedule, _ = runs.draw_runs(int(self.curves.attrs["seed"]), None, [_DRAWN], _SEEDS, _UPDATES, False)
        return Schedule(*(column[0, :_ROWS] for column in (schedule.worker, schedule.delay, schedule.time)))

    def summary(self) -> str:
        """What was simulated, and what it shows, in a few sentences."""
        told = super().summary().splitlines()
        last = self.rows[-1]
        delay = float(self.curves.mean_delay.sel(workers=last.workers).mean())
        if not last.speedup > 0:
            return "\n".join(told)
        ends = interval(last.speedup_low, last.speedup_high)
        return "\n".join(
            [
                told[0],
                f"{last.workers} workers that never wait for each other compute each update from parameters that are "
                f"{delay:.3g} updates old on average. They need {last.updates_to_target:,.0f} updates for the target "
                f"where one worker needs {self.rows[0].updates_to_target:,.0f}, and meet it {last.speedup:.3g} times "
                f"as soon ({self.percent} interval {ends}).",
            ]
        )

    def figure(self) -> Figure:
        """Four workers' first updates, the objective against updates and against virtual time."""
        return demo_figure(self.drawn, self.curves, self.rows)


def demo(*, seed: int = 0, progress: bool | None = None) -> DemoStudy:
    """Show in one figure what asynchrony is: stale updates, as many as without it, and N times sooner.

    A ring of nine states with two actions, on which the actor-critic of eq. (13) is trained by 1, 4 and 16 workers
    whose compute times are exponential of mean 1, 2,000 updates by each of 16 seeds; see ``speedup``, which asks the
    same of any learner.

    Args:
        seed: seed of schedules and runs.
        progress: see ``simulate``.

    Raises:
        ValueError: if the seed is negative.
        StudyInterrupted: on Ctrl-C, with what was done.

    >>> import a3cjax
    >>> study = a3cjax.studies.demo(seed=1)
    >>> [row.workers for row in study.rows], study.rows[-1].speedup > 8
    ([1, 4, 16], True)
    """
    mdp = families.ring(_STATES, initial=np.eye(_STATES)[_STATES // 2])
    learner = A3C(mdp, actor_step=0.3, critic_step=0.2, radius=100.0, sampling="markov")
    try:
        study = speedup(
            learner, workers=_WORKERS, sampling="markov", seeds=_SEEDS, num_updates=_UPDATES, seed=seed,
            progress=progress,
        )  # fmt: skip
    except StudyInterrupted as error:
        raise StudyInterrupted(str(error), _demo_of(error.study, seed)) from error
    return _demo_of(study, seed)


def _demo_of(study: Any, seed: int) -> DemoStudy:
    told = {"title": "What asynchrony does to an actor-critic on a ring", "seed": seed, "beside_paper": 0}
    return DemoStudy(study.curves.assign_attrs(told), study.rows, study.confidence, study.interrupted)
