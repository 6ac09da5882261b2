"""The commands: the options that a study's parameters are, and those that its learner or problem is made from."""

import dataclasses
from typing import Annotated, Any, Literal

import jax
import numpy as np
from tyro.conf import arg

from a3cjax import families, studies
from a3cjax._core import check
from a3cjax.cli.blocks import BlockOptions
from a3cjax.cli.derive import options_of
from a3cjax.cli.forecasts import ForecastOptions
from a3cjax.cli.groups import ProblemOptions, SmallProblemOptions, TeamOptions, mixing_mdp
from a3cjax.cli.logs import LogOptions, ReplayOptions
from a3cjax.cli.networks import CartPoleSpeedupOptions, MinAtarSpeedupOptions
from a3cjax.cli.pipelines import BoundOptions
from a3cjax.cli.staleness import RemediesOptions
from a3cjax.cli.tabular import (
    METRIC,
    NUM,
    ActorStep,
    CriticStep,
    Minibatch,
    OnAnMDP,
    Radius,
    Sampling,
    actor_critic,
    settings,
)
from a3cjax.learners import A3C
from a3cjax.learners.policies import LinearGaussian
from a3cjax.problems import FiniteMDP, Prior
from a3cjax.schedules import compute_times
from a3cjax.studies.frame.runs import WorkerLaws

CompareLaws = Annotated[
    tuple[Literal["deterministic", "lognormal", "exponential", "pareto", "straggler"], ...],
    arg(
        help="Laws of the compute times, all of mean 1: lognormal has CV 0.5, pareto exponent 1.5; straggler is "
        "exponential with the last worker slower."
    ),
]


@dataclasses.dataclass(frozen=True)
class DemoOptions(options_of(studies.demo)):
    """Show in one figure, in seconds, what asynchrony is: stale updates, about as many as without it, N times sooner.

    Trains an actor-critic on a ring of nine states with 1, 4 and 16 workers. Prints a table and writes demo.csv,
    demo.nc, demo.png and run.json.
    """


@dataclasses.dataclass(frozen=True)
class SpeedupOptions(
    OnAnMDP, options_of(studies.speedup, *METRIC, problem=ProblemOptions, team=TeamOptions, blocks=BlockOptions)
):
    """Measure how much sooner a target is met by more asynchronous workers: Fig. 3 of arXiv:2012.15511.

    Prints a table beside the paper's figures and writes speedup.csv, speedup.nc, speedup.png and run.json.
    """

    actor_step: ActorStep = 0.12
    critic_step: CriticStep = 0.03
    radius: Radius = None
    minibatch: Minibatch = 1


@dataclasses.dataclass(frozen=True)
class KneeOptions(options_of(studies.knee, blocks=BlockOptions)):
    """Find the number of workers N* at which linear speedup breaks, on MDPs that mix fast and slowly.

    All MDPs have two actions and a critic with a feature for each state, and start in one state, half-way round the
    ring: dense is the paper's; ring a cycle; garnet has few successors for each action; lazy is garnet that mostly
    stays where it is. Prints a table and writes knee.csv, knee.nc, knee.png and run.json.
    """

    problems: tuple[Literal["dense", "ring", "garnet", "lazy"], ...] = ("dense", "ring", "garnet", "lazy")
    """MDPs to compare."""
    states: int = 12
    """States of each."""
    branching: int = 2
    """Successors of each state and action of garnet and lazy."""
    stay: float = 0.9
    """Probability of staying put in lazy."""
    discount: float = 0.9
    """Discount γ."""
    actor_step: float = 0.1
    """Step α of the actor at factor 1."""
    critic_step: float = 0.1
    """Step β of the critic, whatever the factor."""
    radius: float = 100.0
    """Radius of the critic's projection."""

    def made(self) -> dict[str, Any]:
        """A learner for each MDP."""
        if not self.problems or len(set(self.problems)) < len(self.problems):
            raise ValueError(f"--problems is {list(self.problems)}; name one or more MDPs, each once.")
        states = check.integer("--states", self.states, 2)
        key = jax.random.key(check.integer("--seed", self.seed, 0))

        def learner(name: str) -> A3C:
            mdp = mixing_mdp(name, key, states, self.discount, self.branching, self.stay)
            return A3C(mdp, radius=self.radius, **settings(self))

        return {"learners": {name: learner(name) for name in self.problems}}


@dataclasses.dataclass(frozen=True)
class CompareOptions(OnAnMDP, options_of(studies.compare, *METRIC, problem=ProblemOptions, blocks=BlockOptions)):
    """Compare a synchronous barrier with asynchronous workers on the same compute times: which is sooner, and why.

    Prints who wins where and a table, and writes compare.csv, compare.nc, compare.png and run.json.
    """

    laws: CompareLaws = ("deterministic", "exponential", "straggler")
    straggler_factor: Annotated[float | None, arg(help="How many times slower that worker is (10).", **NUM)] = None
    sampling: Sampling = "markov"
    actor_step: float = 0.2
    """Constant step α of the actor; the scaled barrier takes N times this."""
    critic_step: float = 0.1
    """Constant step β of the critic; the scaled barrier takes N times this."""
    radius: Radius = None
    minibatch: int = 1
    """Samples of each kind per message."""

    def build_laws(self) -> dict[str, WorkerLaws]:
        """From a law's name to the function from N to N laws."""
        if self.straggler_factor is not None and "straggler" not in self.laws:
            raise ValueError("--straggler-factor has no effect without the law straggler; add it to --laws.")
        factor = 10.0 if self.straggler_factor is None else self.straggler_factor
        check.number("--straggler-factor", factor, above=0)
        usual = {
            "deterministic": compute_times.Deterministic(1.0),
            "lognormal": compute_times.Lognormal(1.0, cv=0.5),
            "exponential": compute_times.Exponential(1.0),
            "pareto": compute_times.Pareto(1.0, shape=1.5),
        }
        one = usual["exponential"]
        made: dict[str, WorkerLaws] = {}
        for name in self.laws:
            if name == "straggler":
                made[f"one {factor:g} × slower"] = lambda n: [one] * (n - 1) + [one.scaled(factor)]
            else:
                made[name] = lambda n, law=usual[name]: [law] * n
        if len(made) < len(self.laws):
            raise ValueError(f"--laws is {' '.join(self.laws)}; name each law once.")
        return made

    def made(self) -> dict[str, Any]:
        """The laws, and the learner."""
        return {"laws": self.build_laws(), **super().made()}


@dataclasses.dataclass(frozen=True)
class SweepOptions(
    OnAnMDP, options_of(studies.sweep, "partial", "metric", "gap", problem=ProblemOptions, blocks=BlockOptions)
):
    """Sweep delay laws × delays × step sizes × seeds: what J comes to, and where runs diverge.

    Prints a line for each law and delay and writes sweep.csv, sweep.nc, sweep.png and run.json. Until these are
    written, where the runs stand is kept in sweep.partial in the same folder; after Ctrl-C or whatever else ended it
    the same command goes on from there, to the same bits.
    """

    actor_step: float = 0.02
    """Step α of the actor at factor 1."""
    critic_step: float = 0.1
    """Step β of the critic at factor 1."""
    radius: Radius = None
    sampling: Sampling = "markov"

    def made(self) -> dict[str, Any]:
        """The learner, and the folder for what is unfinished."""
        return {"partial": self.out / "sweep.partial", **super().made()}


@dataclasses.dataclass(frozen=True)
class CriticalStepOptions(options_of(studies.critical_step, problem=ProblemOptions, blocks=BlockOptions)):
    """Measure the step at which a constant delay makes updates unstable, beside 2 sin(π/(2(2τ+1)))/|λ|.

    Prints a table and writes critical-step.csv, critical-step.nc, critical-step.png and run.json.
    """

    def made(self) -> dict[str, Any]:
        """The MDP."""
        return {"mdp": self.problem.build()}


@dataclasses.dataclass(frozen=True)
class DelayErrorsOptions(
    OnAnMDP, options_of(studies.delay_errors, problem=ProblemOptions, team=TeamOptions, blocks=BlockOptions)
):
    """Measure what delay adds to each update of critic and actor, against the delay, beside a bound.

    Prints a table and writes delay-errors.csv, delay-errors.nc, delay-errors.png and run.json.
    """

    sampling: Sampling = "markov"
    actor_step: ActorStep = 0.12
    critic_step: CriticStep = 0.03
    radius: Radius = None
    minibatch: Minibatch = 1


@dataclasses.dataclass(frozen=True)
class RatesOptions(options_of(studies.rates, "metrics", problem=SmallProblemOptions, blocks=BlockOptions)):
    """Measure how fast critic and actor converge with the number of updates: Theorems 1 to 4 of arXiv:2012.15511.

    Prints slopes beside the theorems' exponents and writes rates.csv, rates.nc, rates.png and run.json.
    """

    weight: float = 0.1
    """λ, the weight of the uniform prior; 0 for none."""
    radius: Radius = None

    def build_learner(self) -> A3C:
        """The actor-critic on that MDP; the study gives it its steps."""
        mdp = self.problem.build()
        check.number("--weight", self.weight, least=0)
        prior = Prior.uniform(self.weight, mdp.num_states, mdp.num_actions) if self.weight else None
        return actor_critic(mdp, self, actor_step=0.0, critic_step=0.0, prior=prior)


@dataclasses.dataclass(frozen=True)
class EstimatorsOptions(
    OnAnMDP, options_of(studies.estimators, problem=ProblemOptions, team=TeamOptions, blocks=BlockOptions)
):
    """Rank four estimators of the policy gradient by variance, and learn with each of them under delay.

    TD error, advantage, action value and return, the last two with and without a baseline. Prints a table and writes
    estimators.csv, estimators.nc, estimators.png and run.json.
    """

    actor_step: ActorStep = 0.12
    critic_step: CriticStep = 0.03
    radius: Radius = None


@dataclasses.dataclass(frozen=True)
class ChainsOptions(options_of(studies.chains, blocks=BlockOptions)):
    """Compare separate chains of actor and critic with one shared chain: Fig. 2 of arXiv:2012.15511.

    One worker, the paper's kind of random MDP with one feature for each state, every episode from state 0. Prints a
    table of what one chain costs, in the exact mean and simulated, and writes chains.csv, chains.nc, chains.png and
    run.json.
    """

    mdps: int = 8
    """Random MDPs."""
    states: int = 10
    """States."""
    actions: int = 4
    """Actions."""
    mdp_seed: int = 0
    """Seed of the first MDP; the others have the next ones."""

    def made(self) -> dict[str, Any]:
        """The MDPs."""
        count, first = check.integer("--mdps", self.mdps, 1), check.integer("--mdp-seed", self.mdp_seed, 0)
        check.integer("--states", self.states, 1)
        identity = np.eye(self.states)
        drawn = [
            families.synthetic(jax.random.key(first + i), self.states, self.actions, 1, initial=identity[0])
            for i in range(count)
        ]
        return {"mdps": [FiniteMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, identity) for mdp in drawn]}


@dataclasses.dataclass(frozen=True)
class RegularisationOptions(
    options_of(studies.regularisation, "radius", problem=SmallProblemOptions, blocks=BlockOptions)
):
    """Measure what the weight λ of a KL prior does to J, J_λ and the distance to the prior: Theorem 5 of the paper.

    Three priors: one uniform, one that helps, one that misleads at a single state. Prints a table beside the bounds and
    writes regularisation.csv, regularisation.nc, regularisation.png and run.json.
    """

    radius: Radius = None

    def made(self) -> dict[str, Any]:
        """The MDP, and the radius."""
        mdp = self.problem.build()
        return {"mdp": mdp, "radius": actor_critic(mdp, self, **settings(self)).radius}


@dataclasses.dataclass(frozen=True)
class LQRSpeedupOptions(
    options_of(
        studies.speedup,
        *METRIC,
        updates=10_000,
        target=0.9,
        out="out/speedup-lqr",
        team=TeamOptions,
        blocks=BlockOptions,
    )
):
    """Measure the speedup on a random linear-quadratic regulator: continuous actions, and J* from Riccati's equation.

    The system is a shrunk rotation with Gaussian noise, the policy a ~ N(θs, σ²I) from θ = 0, the critic quadratic.
    Prints a table and writes speedup.csv, speedup.nc, speedup.png and run.json.
    """

    actor_step: ActorStep = 5e-5
    critic_step: CriticStep = 0.01
    radius: Annotated[float | None, arg(help="Radius of the critic's projection; not given: none.", **NUM)] = None
    minibatch: Minibatch = 1
    state_dim: int = 2
    """Dimension of the state."""
    action_dim: int = 1
    """Dimension of the action."""
    spectral_radius: float = 0.9
    """Rate at which the uncontrolled state forgets, below 1."""
    action_cost: float = 0.1
    """Cost of a unit of squared action, beside 1 for a unit of squared state."""
    discount: float = 0.9
    """Discount γ."""
    std: float = 0.5
    """Standard deviation σ of the actions around their mean."""
    lqr_seed: int = 0
    """Seed of the system."""

    def build_learner(self) -> A3C:
        """The actor-critic on that regulator."""
        key = jax.random.key(check.integer("--lqr-seed", self.lqr_seed, 0))
        lqr = families.random_lqr(
            key, self.state_dim, self.action_dim, self.spectral_radius, self.discount, action_cost=self.action_cost
        )
        policy = LinearGaussian(self.state_dim, self.action_dim, self.std)
        return A3C(lqr, radius=self.radius, policy=policy, **settings(self, "minibatch"))


COMMANDS: dict[str, Any] = {
    "demo": DemoOptions,
    "speedup": SpeedupOptions,
    "knee": KneeOptions,
    "compare": CompareOptions,
    "sweep": SweepOptions,
    "critical-step": CriticalStepOptions,
    "delay-errors": DelayErrorsOptions,
    "rates": RatesOptions,
    "estimators": EstimatorsOptions,
    "chains": ChainsOptions,
    "regularisation": RegularisationOptions,
    "speedup-lqr": LQRSpeedupOptions,
    "speedup-cartpole": CartPoleSpeedupOptions,
    "speedup-minatar": MinAtarSpeedupOptions,
    "log": LogOptions,
    "replay": ReplayOptions,
    "forecast": ForecastOptions,
    "remedies": RemediesOptions,
    "bound": BoundOptions,
}
