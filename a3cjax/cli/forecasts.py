"""The command that asks what a recorded run would do with other numbers of workers."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
from tyro.conf import Positional, arg

from a3cjax import studies
from a3cjax._core import check
from a3cjax.cli.blocks import BlockOptions
from a3cjax.cli.derive import options_of
from a3cjax.cli.groups import mixing_mdp
from a3cjax.learners import A3C
from a3cjax.schedules import Team, calibrate
from a3cjax.studies import Chain

_NUM: Any = {"metavar": "NUMBER", "help_behavior_hint": ""}  # where the help says what is taken if none is given


@dataclasses.dataclass(frozen=True)
class ForecastOptions(options_of(studies.forecast, "team", "remedy", "metric", "target_value", blocks=BlockOptions)):
    """Forecast what a recorded run would do with other numbers of workers: how fast, how stale, how soon at a target.

    The file is the log of a real run, as for a3cjax log, or a team that Team.save wrote. Prints what the calibration
    found and what its model misses, until when another worker is worth it, what a straggler costs and a bound of
    staleness saves, and writes forecast.csv, forecast.nc, forecast.png and run.json. The learner is the tabular
    actor-critic; any other can be asked for in Python.
    """

    file: Annotated[
        Positional[Path | None], arg(help="Path of the log, or of a team.", metavar="FILE", help_behavior_hint="")
    ] = None
    law: Literal["auto", "empirical", "exponential", "gamma", "lognormal", "pareto", "uniform"] = "auto"
    """Law of the workers' computing times; auto is the likeliest, or the measured times if none fits."""
    cores: Annotated[
        int | None, arg(help="Cores that the workers share; not given: each has one of its own.", **_NUM)
    ] = None
    time_slice: Annotated[
        float | None, arg(help="For how long one keeps its core; not given: fitted to the log.", **_NUM)
    ] = None
    remedy: Literal[
        "none", "inverse", "polynomial", "threshold", "adaptive-window", "drop-above", "drop-far", "compensate",
        "gap-aware", "clip-by-norm",
    ] = "none"  # fmt: skip
    """What the learner does about delays."""
    mdp: Literal["dense", "ring", "garnet"] = "ring"
    """What is learned: two actions, a feature for each state, one start half-way round."""
    states: int = 12
    """States of the MDP."""
    actor_step: float = 0.5
    """Step α of the actor, with any number of workers."""
    critic_step: float = 0.2
    """Step β of the critic."""
    radius: float = 100.0
    """Radius of the critic's projection."""

    def made(self) -> dict[str, Any]:
        """The team, and the learner."""
        if self.file is None:
            raise ValueError("There is no log to forecast from; give its path, as in a3cjax forecast out/run.")
        return {"team": self._team(self.file), "learner": self._learner(), "remedy": self.remedy}

    def _team(self, path: Path) -> Team:
        saved = path.is_file() and path.read_bytes()[:4] == b"PK\x03\x04"  # as np.savez writes
        if not saved:
            return calibrate(path, law=self.law, cores=self.cores, time_slice=self.time_slice)
        for name, default in (("law", "auto"), ("cores", None), ("time_slice", None)):
            if getattr(self, name) != default:
                raise ValueError(
                    f"--{name.replace('_', '-')} has no effect on {path}, a team that is calibrated; leave it out."
                )
        return Team.load(path)

    def _learner(self) -> A3C | Callable[[Chain], A3C]:
        options: Any = self
        for name in ("actor_step", "critic_step", "radius"):
            check.number(f"--{name.replace('_', '-')}", getattr(self, name), above=0)
        states = check.integer("--states", self.states, 2)
        mdp = mixing_mdp(self.mdp, jax.random.key(check.integer("--seed", options.seed, 0)), states, 0.9, 2, 0.0)
        if self.remedy == "none":
            return A3C(mdp, self.actor_step, self.critic_step, radius=self.radius)
        return lambda chain: A3C(
            mdp, actor_optimizer=chain(self.actor_step), critic_optimizer=chain(self.critic_step), radius=self.radius
        )
