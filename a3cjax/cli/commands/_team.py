"""How long the workers of a command compute."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

from a3cjax._core import check
from a3cjax.cli.commands._choices import own_options
from a3cjax.cli.commands._words import OptionalFloat, OptionalPath
from a3cjax.schedules import compute_times
from a3cjax.schedules.compute_times import ComputeTime

Law = Literal["exponential", "deterministic", "lognormal", "gamma", "pareto", "uniform", "empirical"]

# Which of the options below each law has, and what it takes them to be when they are not given.
_LAW_OPTIONS: dict[str, dict[str, Any]] = {
    "exponential": {"mean": 1.0},
    "deterministic": {"mean": 1.0},
    "lognormal": {"mean": 1.0, "cv": 0.5},
    "gamma": {"mean": 1.0, "cv": 0.5},
    "pareto": {"mean": 1.0, "shape": 1.5},
    "uniform": {"low": 0.5, "high": 1.5},
    "empirical": {"times_file": None},
}


@dataclasses.dataclass(frozen=True)
class TeamOptions:
    """The workers' compute times."""

    compute_time: Law = "exponential"
    """Law of the time in which a worker computes one gradient."""
    mean: OptionalFloat = None
    """Its mean (all but uniform and empirical: 1)."""
    cv: OptionalFloat = None
    """Its coefficient of variation (lognormal 0.5, gamma 0.5)."""
    shape: OptionalFloat = None
    """Exponent of its tail (pareto 1.5)."""
    low: OptionalFloat = None
    """Its least value (uniform 0.5)."""
    high: OptionalFloat = None
    """Its greatest value (uniform 1.5)."""
    times_file: OptionalPath = None
    """File of measured times (empirical): one number on each line, or a vector in .npy."""
    straggler_share: float = 0.0
    """Share of the workers, rounded down, that are slower."""
    straggler_factor: OptionalFloat = None
    """How many times slower those are (10)."""

    def build(self) -> Callable[[int], Sequence[ComputeTime]]:
        """From N to the laws of N workers' compute times; the last ones are the stragglers."""
        own = own_options(self, "--compute-time", self.compute_time, _LAW_OPTIONS)
        if self.compute_time == "empirical":
            if self.times_file is None:
                raise ValueError("--compute-time empirical needs measured times; give their file as --times-file.")
            if not self.times_file.is_file():
                raise ValueError(f"--times-file {self.times_file} is not there; give a file of measured times.")
            own = {"values": own["times_file"]}
        law = getattr(compute_times, self.compute_time.capitalize())(**own)
        check.number("--straggler-share", self.straggler_share, least=0, below=1)
        if not self.straggler_share:
            if self.straggler_factor is not None:
                raise ValueError("--straggler-factor has no effect without stragglers; give --straggler-share too.")
            return lambda n: [law] * n
        slow = law.scaled(10.0 if self.straggler_factor is None else self.straggler_factor)

        def team(n: int) -> list[ComputeTime]:
            stragglers = int(n * self.straggler_share)
            return [law] * (n - stragglers) + [slow] * stragglers

        return team
