"""``a3cjax compare``."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import OmitArgPrefixes

from a3cjax import studies
from a3cjax._core import check
from a3cjax.cli.commands._problem import ProblemOptions
from a3cjax.cli.commands._radius import paper_radius
from a3cjax.cli.commands._words import OptionalFloat, OptionalInt, counted
from a3cjax.learners import A3C
from a3cjax.schedules import compute_times
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.studies import CompareStudy

Law = Literal["deterministic", "lognormal", "exponential", "pareto", "straggler"]

_LAWS = {
    "deterministic": compute_times.Deterministic(1.0),
    "lognormal": compute_times.Lognormal(1.0, cv=0.5),
    "exponential": compute_times.Exponential(1.0),
    "pareto": compute_times.Pareto(1.0, shape=1.5),
}


@dataclasses.dataclass(frozen=True)
class CompareOptions:
    """Compare a synchronous barrier with asynchronous workers on the same compute times: which is sooner, and why.

    Prints who wins where and a table, and writes compare.csv, compare.nc, compare.png and run.json.
    """

    study: ClassVar = CompareStudy

    workers: tuple[int, ...] = (2, 4, 8)
    """Numbers of workers N, each at least 2."""
    laws: tuple[Law, ...] = ("deterministic", "exponential", "straggler")
    """Laws of the compute times, all of mean 1: lognormal has CV 0.5, pareto exponent 1.5; straggler is exponential
    with the last worker slower."""
    straggler_factor: OptionalFloat = None
    """How many times slower that worker is (10)."""
    sampling: Literal["markov", "iid"] = "markov"
    """Where samples come from: option 2 or option 1."""
    seeds: int = 10
    """Runs for each law, N and method."""
    out: Path = Path("out/compare")
    """Folder for the files."""

    samples: int = 60_000
    """Messages of every run, K, each of one sample (of a mini-batch)."""
    target: float = 0.7
    """Share of the gap from the start's J(θ_0) to the optimum J* that a run has to close."""
    actor_step: float = 0.2
    """Constant step α of the actor; the scaled barrier takes N times this."""
    critic_step: float = 0.1
    """Constant step β of the critic; the scaled barrier takes N times this."""
    radius: OptionalFloat = None
    """Radius of the critic's projection; not given: the paper's bound at the start, r_max/(√λ(1−γ))."""
    minibatch: int = 1
    """Samples of each kind per message."""
    record_every: OptionalInt = None
    """Messages between records; not given: about a hundredth, in whole rounds."""
    seed: int = 0
    """Seed of schedules and runs."""

    problem: OmitArgPrefixes[ProblemOptions] = dataclasses.field(default_factory=ProblemOptions)

    def build_learner(self) -> A3C:
        """The actor-critic on that MDP."""
        learner = A3C(self.problem.build(), actor_step=self.actor_step, critic_step=self.critic_step,
                      minibatch=self.minibatch, sampling=self.sampling)  # fmt: skip
        radius = paper_radius(learner) if self.radius is None else self.radius
        return learner if radius is None else dataclasses.replace(learner, radius=radius)

    def build_laws(self) -> dict[str, Callable[[int], Sequence[ComputeTime]]]:
        """From a law's name to the function from N to N laws."""
        if self.straggler_factor is not None and "straggler" not in self.laws:
            raise ValueError("--straggler-factor has no effect without the law straggler; add it to --laws.")
        factor = 10.0 if self.straggler_factor is None else self.straggler_factor
        check.number("--straggler-factor", factor, above=0)
        usual = _LAWS["exponential"]
        slow = usual.scaled(factor)
        made: dict[str, Callable[[int], Sequence[ComputeTime]]] = {}
        for name in self.laws:
            if name == "straggler":
                made[f"one {factor:g} × slower"] = lambda n: [usual] * (n - 1) + [slow]
            else:
                made[name] = lambda n, law=_LAWS[name]: [law] * n
        if len(made) < len(self.laws):
            raise ValueError(f"--laws is {' '.join(self.laws)}; name each law once.")
        return made

    def prepare(self) -> tuple[str, Callable[[], CompareStudy]]:
        """What will be done, and the doing of it."""
        laws, learner = self.build_laws(), self.build_learner()
        counts = ", ".join(map(str, self.workers))
        task = (
            f"Simulating {counted(self.seeds, 'seed')} × N = {counts} workers × {self.samples:,} samples, "
            f"{counted(len(laws), 'law')} of compute times, {self.sampling} sampling"
        )
        return task, lambda: studies.compare(
            learner,
            workers=self.workers,
            laws=laws,
            seeds=self.seeds,
            num_samples=self.samples,
            target=self.target,
            record_every=self.record_every,
            seed=self.seed,
        )
