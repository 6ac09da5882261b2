"""Commands that take the log of a real run."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from a3cjax import studies
from a3cjax._core import check
from a3cjax.cli.blocks import BlockOptions
from a3cjax.cli.derive import group_of, options_of
from a3cjax.cli.groups import ProblemOptions
from a3cjax.cli.tabular import METRIC, ActorStep, CriticStep, Minibatch, OnAnMDP, Radius, Sampling
from a3cjax.engine.host import at_work
from a3cjax.learners import A3C
from a3cjax.schedules import Schedule


@dataclasses.dataclass(frozen=True)
class LogOptions(options_of(studies.describe_log, "source")):
    """Say what the log of a real asynchronous run is like: who was how stale, when, and after whom.

    The log is a CSV file, JSON lines or parquet, or a folder that a3cjax.recorder wrote. Prints what was found in it
    and a table, and writes log.csv, log.nc, log.png and run.json.
    """

    file: Annotated[Positional[Path | None], arg(help="Path of the log.", metavar="FILE", help_behavior_hint="")] = None

    def made(self) -> dict[str, Any]:
        """The path."""
        return {"source": self.file}


@dataclasses.dataclass(frozen=True)
class ReadingOptions(group_of(studies.describe_log, "source")):
    """What the log leaves open."""

    def schedule_of(self, file: Path | None) -> Schedule:
        """The schedule that the log tells."""
        with at_work("reading the log", None):
            return Schedule.from_log(file, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class ReplayOptions(
    OnAnMDP,
    options_of(studies.replay, *METRIC, problem=ProblemOptions, reading=ReadingOptions, blocks=BlockOptions),
):
    """Replay the log of a real run: what its asynchrony does to a learner, beside the same updates without delay.

    The log is as for a3cjax log; only who updated when and how stale is taken from it. Prints a table and writes
    replay.csv, replay.nc, replay.png and run.json.
    """

    file: Annotated[Positional[Path | None], arg(help="Path of the log.", metavar="FILE", help_behavior_hint="")] = None
    rows: Annotated[
        int | None, arg(help="Rows of the log that are replayed (all).", metavar="INT", help_behavior_hint="")
    ] = None
    sampling: Sampling = "markov"
    gradient: Literal["stale", "fresh"] = "stale"
    """What is stale: the gradient, or the data alone."""
    correction: Literal["none", "truncated", "vtrace", "masked"] = "none"
    """Importance weights of stale data."""
    actor_step: ActorStep = 0.5
    critic_step: CriticStep = 0.1
    radius: Radius = None
    minibatch: Minibatch = 1

    def made(self) -> dict[str, Any]:
        """The schedule, and the learner."""
        options: Any = self
        schedule = options.reading.schedule_of(self.file)
        if self.rows is not None:
            schedule = schedule[: check.integer("--rows", self.rows, 1, schedule.num_messages)]
        return {"schedule": schedule, **super().made()}

    def build_learner(self) -> A3C:
        """The actor-critic on the problem's MDP."""
        correction = None if self.correction == "none" else self.correction
        return dataclasses.replace(super().build_learner(), gradient=self.gradient, correction=correction)
