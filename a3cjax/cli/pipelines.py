"""The command that asks how stale samples may be."""

import dataclasses
from typing import Annotated, Any, Literal

import jax
from tyro.conf import arg

from a3cjax import studies
from a3cjax._core import check
from a3cjax.cli.blocks import BlockOptions
from a3cjax.cli.derive import options_of
from a3cjax.cli.groups import mixing_mdp
from a3cjax.learners import A3C
from a3cjax.schedules.compute_times import Deterministic, Exponential, Lognormal, Pareto

_ANY = "any"


Bounds = Annotated[tuple[str, ...], arg(help="Maximum staleness of a sample in updates; any for no bound.")]
Queues = Annotated[tuple[str, ...], arg(help="Finished samples that the queue holds; any for any number.")]


@dataclasses.dataclass(frozen=True)
class BoundOptions(
    options_of(studies.bound, "partial", "bounds", "queues", "metric", "target_value", blocks=BlockOptions)
):
    """Ask which maximum staleness, queue and batch of a pipeline meet a target soonest, with and without corrections.

    Generators make samples with the newest policy, a queue holds them, a learner takes a batch for each update. Prints
    the best choice and a line for each, and writes bound.csv, bound.nc, bound.png and run.json. Until these are
    written, what is done is kept in bound.partial in the same folder; after Ctrl-C the same command goes on from there.
    """

    bounds: Bounds = ("0", "1", "2", "4", "8", _ANY)
    queues: Queues = ("64",)
    corrections: tuple[Literal["none", "truncated", "vtrace", "masked"], ...] = ("none", "truncated")
    """Importance weights of the samples."""
    law: Literal["tokens", "pareto", "lognormal", "exponential"] = "tokens"
    """Law of the time of a sample: tokens is that of the lengths of a language model's answers, pareto has exponent
    1.5, lognormal CV 1."""
    generation_time: float = 40.0
    """Mean time in which a generator makes a sample."""
    learning_time: float = 4.0
    """Time of an update."""
    mdp: Literal["dense", "ring", "garnet"] = "ring"
    """What is learned: two actions, a feature for each state, one start half-way round."""
    states: int = 12
    """States of the MDP."""
    actor_step: float = 2.0
    """Step α of the actor at factor 1."""
    critic_step: float = 0.4
    """Step β of the critic at factor 1."""
    radius: float = 100.0
    """Radius of the critic's projection."""

    def made(self) -> dict[str, Any]:
        """The learner, both laws, both lists, and the folder for what is unfinished."""
        options: Any = self
        for name in ("generation_time", "learning_time", "actor_step", "critic_step", "radius"):
            check.number(f"--{name.replace('_', '-')}", getattr(self, name), above=0)
        laws = {
            "tokens": lambda mean: studies.generated_tokens(mean),
            "pareto": lambda mean: Pareto(mean, 1.5),
            "lognormal": lambda mean: Lognormal(mean, 1.0),
            "exponential": Exponential,
        }
        states = check.integer("--states", self.states, 2)
        key = jax.random.key(check.integer("--seed", options.seed, 0))
        learner = A3C(
            mixing_mdp(self.mdp, key, states, 0.9, 2, 0.0),
            self.actor_step,
            self.critic_step,
            radius=self.radius,
            gradient="fresh",
        )
        return {
            "learner": learner,
            "generation": laws[self.law](self.generation_time),
            "learning": Deterministic(self.learning_time),
            "bounds": _numbers("--bounds", self.bounds),
            "queues": _numbers("--queues", self.queues),
            "partial": self.out / "bound.partial",
        }


def _numbers(name: str, words: tuple[str, ...]) -> tuple[int | None, ...]:
    """Whole numbers, and None for "any"."""
    found: list[int | None] = []
    for i, word in enumerate(words):
        if word != _ANY and not word.isdecimal():
            raise ValueError(f"{name}[{i}] is {word!r}, but must be a whole number of at least 0, or {_ANY}.")
        found.append(None if word == _ANY else int(word))
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{name} is {list(words)}; give one or more, each once.")
    return tuple(found)
