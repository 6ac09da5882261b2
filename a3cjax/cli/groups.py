"""Groups of options that several commands share: the problem, and how long its workers compute."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from tyro.conf import arg

from a3cjax import families
from a3cjax._core import check
from a3cjax.cli.derive import option
from a3cjax.problems import FiniteMDP
from a3cjax.schedules import compute_times
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.studies.frame.runs import WorkerLaws

# What belongs to one choice of an option only: from the choice to names and what they are when they are not given.
Choices = Mapping[str, Mapping[str, Any]]

_FAMILIES: Choices = {
    "synthetic": {"states": 100, "actions": 5, "features": 10, "mdp_seed": 0},
    "garnet": {"states": 100, "actions": 5, "features": None, "branching": 5, "mdp_seed": 0},
    "ring": {"states": 20, "features": None, "slip": 0.1},
    "gridworld": {"height": 5, "width": 5, "slip": 0.1},
}
_SMALL_FAMILIES: Choices = {
    "synthetic": {"states": 5, "actions": 2, "mdp_seed": 0},
    "garnet": {"states": 5, "actions": 2, "branching": 2, "mdp_seed": 0},
    "ring": {"states": 5, "slip": 0.1},
    "gridworld": {"height": 2, "width": 3, "slip": 0.1},
}
_OF_FAMILY: dict[str, tuple[type, str]] = {
    "states": (int, "States"),
    "actions": (int, "Actions"),
    "features": (int, "Features of the critic"),
    "branching": (int, "Successors of each state and action"),
    "height": (int, "Rows of the room"),
    "width": (int, "Columns of the room"),
    "slip": (float, "Probability of slipping"),
    "mdp_seed": (int, "Seed of the MDP"),
}
_LAWS: Choices = {
    "exponential": {"mean": 1.0},
    "deterministic": {"mean": 1.0},
    "lognormal": {"mean": 1.0, "cv": 0.5},
    "gamma": {"mean": 1.0, "cv": 0.5},
    "pareto": {"mean": 1.0, "shape": 1.5},
    "uniform": {"low": 0.5, "high": 1.5},
    "empirical": {"times_file": None},
}
_OF_LAW: dict[str, tuple[type, str]] = {
    "mean": (float, "Its mean"),
    "cv": (float, "Its coefficient of variation"),
    "shape": (float, "Exponent of its tail"),
    "low": (float, "Its least value"),
    "high": (float, "Its greatest value"),
    "times_file": (Path, "File of measured times, one number on each line, or a vector in .npy"),
}


def choice_of(name: str, words: str, choices: Choices, about: Mapping[str, tuple[type, str]], none: str) -> Any:
    """The base of a group: an option whose value decides which of the others there are, and what they are by default.

    Args:
        name: the option; the first choice is its default.
        words: its help.
        choices: which of the others each choice has.
        about: from the others to their types and help.
        none: what stands for a default of None in the help.
    """
    fields: list[Any] = [(name, option(Literal[tuple(choices)], words), next(iter(choices)))]
    for other, (kind, what) in about.items():
        owners: dict[str, list[str]] = {}
        for choice, options in choices.items():
            if other in options:
                default = none if options[other] is None else f"{options[other]:g}"
                owners.setdefault(default, []).append(choice)
        if owners:
            told = "; ".join(f"{', '.join(names)}: {default}".rstrip(": ") for default, names in owners.items())
            fields.append((other, option(kind | None, f"{what} ({told})."), None))
    return dataclasses.make_dataclass(f"{name}_choice", fields, frozen=True)


def chosen(group: Any, name: str, choices: Choices) -> dict[str, Any]:
    """What the chosen one takes; an option that belongs to others only is refused."""
    choice, typed = getattr(group, name), f"--{name.replace('_', '-')}"
    for other in sorted({other for options in choices.values() for other in options}):
        if getattr(group, other) is not None and other not in choices[choice]:
            owners = [owner for owner, options in choices.items() if other in options]
            raise ValueError(
                f"--{other.replace('_', '-')} has no effect with {typed} {choice}; leave it out or choose "
                f"{typed} {' or '.join(owners)}."
            )
    given = {other: getattr(group, other) for other in choices[choice]}
    return {other: choices[choice][other] if value is None else value for other, value in given.items()}


def _mdp_of(group: Any, choices: Choices) -> FiniteMDP:
    check.number("--stay", group.stay, least=0, below=1)
    options = chosen(group, "mdp", choices)
    if "mdp_seed" in options:
        options["key"] = jax.random.key(check.integer("--mdp-seed", options.pop("mdp_seed"), 0))
    sizes = ("states", "actions", "features")
    named = {f"num_{name}" if name in sizes else name: value for name, value in options.items()}
    mdp = getattr(families, group.mdp)(**named, discount=group.discount)
    return families.lazy(mdp, group.stay) if group.stay else mdp


def mixing_mdp(name: str, key: jax.Array, states: int, discount: float, branching: int, stay: float) -> FiniteMDP:
    """The MDP "dense", "ring", "garnet" or "lazy": two actions, a feature for each state, a start half-way round."""

    def built() -> FiniteMDP:
        if name == "dense":
            return families.synthetic(key, states, 2, 1, discount)
        if name == "ring":
            return families.ring(states, discount=discount)
        garnet = families.garnet(key, states, 2, branching, discount=discount)
        return families.lazy(garnet, stay) if name == "lazy" else garnet

    mdp, start = built(), jnp.zeros(states).at[states // 2].set(1)
    return FiniteMDP(mdp.transition, mdp.reward, start, mdp.discount, jnp.eye(states))


@dataclasses.dataclass(frozen=True)
class ProblemOptions(
    choice_of("mdp", "Family of the MDP; synthetic is the paper's.", _FAMILIES, _OF_FAMILY, "one for each state")
):
    """The MDP."""

    discount: float = 0.9
    """Discount γ."""
    stay: float = 0.0
    """Probability of staying put at every step: a lazy, slower chain."""

    def build(self) -> FiniteMDP:
        """The MDP that they describe."""
        return _mdp_of(self, _FAMILIES)


@dataclasses.dataclass(frozen=True)
class SmallProblemOptions(
    choice_of("mdp", "Family of the MDP; synthetic is the paper's, but smaller.", _SMALL_FAMILIES, _OF_FAMILY, "")
):
    """The MDP; the critic has one feature for each state, so that ε_app = 0."""

    discount: float = 0.5
    """Discount γ."""
    stay: float = 0.0
    """Probability of staying put at every step: a lazy, slower chain."""

    def build(self) -> FiniteMDP:
        """The MDP that they describe."""
        mdp = _mdp_of(self, _SMALL_FAMILIES)
        if self.mdp != "synthetic":
            return mdp
        # Its features are random.
        return FiniteMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, jnp.eye(mdp.num_states))


@dataclasses.dataclass(frozen=True)
class TeamOptions(
    choice_of("compute_time", "Law of the time in which a worker computes one gradient.", _LAWS, _OF_LAW, "")
):
    """The workers' compute times."""

    straggler_share: float = 0.0
    """Share of the workers, rounded down, that are slower."""
    straggler_factor: Annotated[
        float | None, arg(help="How many times slower those are (10).", metavar="FLOAT", help_behavior_hint="")
    ] = None

    def build(self) -> WorkerLaws:
        """From N to the laws of N workers' compute times; the last ones are the stragglers."""
        options = chosen(self, "compute_time", _LAWS)
        if self.compute_time == "empirical":
            if self.times_file is None:
                raise ValueError("--compute-time empirical needs measured times; give their file as --times-file.")
            if not self.times_file.is_file():
                raise ValueError(f"--times-file {self.times_file} is not there; give a file of measured times.")
            options = {"values": options["times_file"]}
        law = getattr(compute_times, self.compute_time.capitalize())(**options)
        check.number("--straggler-share", self.straggler_share, least=0, below=1)
        if not self.straggler_share:
            if self.straggler_factor is not None:
                raise ValueError("--straggler-factor has no effect without stragglers; give --straggler-share too.")
            return lambda n: [law] * n
        factor = 10.0 if self.straggler_factor is None else self.straggler_factor
        check.number("--straggler-factor", factor, above=0)
        slow = law.scaled(factor)

        def laws(n: int) -> list[ComputeTime]:
            stragglers = int(n * self.straggler_share)
            return [law] * (n - stragglers) + [slow] * stragglers

        return laws
