"""What the command can be told: options as typed dataclasses, and what they build."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax

from a3cjax import _check, families
from a3cjax.learners import A3C
from a3cjax.problems import FiniteMDP, exact
from a3cjax.schedules import compute_times
from a3cjax.schedules.compute_times import ComputeTime

Family = Literal["synthetic", "garnet", "ring", "gridworld"]
Law = Literal["exponential", "deterministic", "lognormal", "gamma", "pareto", "uniform", "empirical"]

# Which of the options below each family and each law has, and what it takes them to be when they are not given.
_FAMILY_OPTIONS: dict[str, dict[str, Any]] = {
    "synthetic": {"states": 100, "actions": 5, "features": 10, "mdp_seed": 0},
    "garnet": {"states": 100, "actions": 5, "features": None, "branching": 5, "mdp_seed": 0},
    "ring": {"states": 20, "features": None, "slip": 0.1},
    "gridworld": {"height": 5, "width": 5, "slip": 0.1},
}
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
class SpeedupOptions:
    """Measure how much sooner a target is met by more asynchronous workers: Fig. 3 of arXiv:2012.15511.

    Prints a table beside the paper's figures and writes speedup.csv, speedup.nc, speedup.png and run.json.
    """

    workers: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Numbers of workers N; 1 must be among them."""
    sampling: Literal["both", "iid", "markov"] = "both"
    """Where samples come from: option 1, option 2, or both."""
    seeds: int = 32
    """Runs for each N and sampling."""
    out: Path = Path("out/speedup")
    """Folder for the files."""

    updates: int = 60_000
    """Updates of every run, K."""
    target: float = 0.8
    """Share of the gap from the start's J(θ_0) to the optimum J* that a run has to close."""
    actor_step: float = 0.12
    """Constant step α of the actor."""
    critic_step: float = 0.03
    """Constant step β of the critic."""
    radius: float | None = None
    """Radius of the critic's projection; not given: the paper's bound at the start, r_max/(√λ(1−γ))."""
    minibatch: int = 1
    """Samples of each kind per update."""
    record_every: int | None = None
    """Updates between records; not given: a hundredth of the updates."""
    seed: int = 0
    """Seed of schedules and runs."""

    mdp: Family = "synthetic"
    """Family of the MDP; synthetic is the paper's."""
    discount: float = 0.9
    """Discount γ."""
    stay: float = 0.0
    """Probability of staying put at every step: a lazy, slower chain."""
    states: int | None = None
    """States (synthetic 100, garnet 100, ring 20)."""
    actions: int | None = None
    """Actions (synthetic 5, garnet 5)."""
    features: int | None = None
    """Features of the critic (synthetic 10; garnet and ring: one for each state)."""
    branching: int | None = None
    """Successors of each state and action (garnet 5)."""
    height: int | None = None
    """Rows of the room (gridworld 5)."""
    width: int | None = None
    """Columns of the room (gridworld 5)."""
    slip: float | None = None
    """Probability of slipping (ring 0.1, gridworld 0.1)."""
    mdp_seed: int | None = None
    """Seed of the MDP (synthetic 0, garnet 0)."""

    compute_time: Law = "exponential"
    """Law of the time in which a worker computes one gradient."""
    mean: float | None = None
    """Its mean (all but uniform and empirical: 1)."""
    cv: float | None = None
    """Its coefficient of variation (lognormal 0.5, gamma 0.5)."""
    shape: float | None = None
    """Exponent of its tail (pareto 1.5)."""
    low: float | None = None
    """Its least value (uniform 0.5)."""
    high: float | None = None
    """Its greatest value (uniform 1.5)."""
    times_file: Path | None = None
    """File of measured times: text, CSV or .npy (empirical)."""
    straggler_share: float = 0.0
    """Share of the workers, rounded down, that are slower."""
    straggler_factor: float | None = None
    """How many times slower those are (10)."""

    def build_mdp(self) -> FiniteMDP:
        """The MDP that the options describe."""
        _check.number("--stay", self.stay, least=0, below=1)
        own = self._own("--mdp", self.mdp, _FAMILY_OPTIONS)
        build: dict[str, Callable[..., FiniteMDP]] = {
            "synthetic": lambda mdp_seed, states, actions, features: families.synthetic(
                _key("--mdp-seed", mdp_seed), states, actions, features, self.discount
            ),
            "garnet": lambda mdp_seed, states, actions, features, branching: families.garnet(
                _key("--mdp-seed", mdp_seed), states, actions, branching, features, self.discount
            ),
            "ring": lambda states, slip, features: families.ring(
                states, slip=slip, discount=self.discount, num_features=features
            ),
            "gridworld": lambda height, width, slip: families.gridworld(
                height, width, slip=slip, discount=self.discount
            ),
        }
        mdp = build[self.mdp](**own)
        return families.lazy(mdp, self.stay) if self.stay else mdp

    def build_learner(self) -> A3C:
        """The actor-critic on that MDP."""
        learner = A3C(self.build_mdp(), actor_step=self.actor_step, critic_step=self.critic_step,
                      minibatch=self.minibatch)  # fmt: skip
        radius = _paper_radius(learner) if self.radius is None else self.radius
        return learner if radius is None else dataclasses.replace(learner, radius=radius)

    def build_team(self) -> Callable[[int], Sequence[ComputeTime]]:
        """From N to the laws of N workers' compute times; the last ones are the stragglers."""
        own = self._own("--compute-time", self.compute_time, _LAW_OPTIONS)
        if self.compute_time == "empirical":
            if self.times_file is None:
                raise ValueError("--compute-time empirical needs measured times; give their file as --times-file.")
            if not self.times_file.is_file():
                raise ValueError(f"--times-file {self.times_file} is not there; give a file of measured times.")
            own = {"values": own["times_file"]}
        law = getattr(compute_times, self.compute_time.capitalize())(**own)
        _check.number("--straggler-share", self.straggler_share, least=0, below=1)
        if not self.straggler_share:
            if self.straggler_factor is not None:
                raise ValueError("--straggler-factor has no effect without stragglers; give --straggler-share too.")
            return lambda n: [law] * n
        slow = law.scaled(10.0 if self.straggler_factor is None else self.straggler_factor)

        def team(n: int) -> list[ComputeTime]:
            stragglers = int(n * self.straggler_share)
            return [law] * (n - stragglers) + [slow] * stragglers

        return team

    def as_json(self) -> dict[str, Any]:
        """The options by name, in values that JSON has."""
        named = dataclasses.asdict(self)
        return {name: str(value) if isinstance(value, Path) else value for name, value in named.items()}

    def _own(self, option: str, choice: str, table: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """What the chosen family or law takes; an option that belongs to another one only is refused."""
        for name in sorted({name for options in table.values() for name in options}):
            if getattr(self, name) is not None and name not in table[choice]:
                owners = [other for other, options in table.items() if name in options]
                raise ValueError(
                    f"--{name.replace('_', '-')} has no effect with {option} {choice}; leave it out or choose "
                    f"{option} {' or '.join(owners)}."
                )
        return {
            name: default if getattr(self, name) is None else getattr(self, name)
            for name, default in table[choice].items()
        }


def _key(option: str, seed: int) -> jax.Array:
    return jax.random.key(_check.integer(option, seed, 0))


def _paper_radius(learner: A3C) -> float | None:
    """r_max / (√λ_td (1−γ)), a bound on ‖ω*‖ at the start; None where λ_td is not positive."""
    mdp = learner.mdp
    matrix, _ = exact.critic_system(mdp, learner.policy.probabilities(learner.theta))
    lambda_td = -float(jax.numpy.linalg.eigvalsh((matrix + matrix.T) / 2).max())
    if lambda_td <= 1e-9:
        return None
    largest = float(abs(mdp.reward).max())
    return largest / (lambda_td**0.5 * (1 - float(mdp.discount)))
