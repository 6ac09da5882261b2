"""What the commands on an MDP share: the actor-critic, and the options that it is made from."""

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np
from tyro.conf import arg

from a3cjax.learners import A3C
from a3cjax.problems import FiniteMDP, exact

NUM: Any = {"metavar": "FLOAT", "help_behavior_hint": ""}  # where the help says what is taken if none is given

ActorStep = Annotated[float, arg(help="Constant step α of the actor.")]
CriticStep = Annotated[float, arg(help="Constant step β of the critic.")]
Radius = Annotated[
    float | None,
    arg(help="Radius of the critic's projection; not given: the paper's bound at the start, r_max/(√λ(1−γ)).", **NUM),
]
Minibatch = Annotated[int, arg(help="Samples of each kind per update.")]
Sampling = Annotated[
    Literal["markov", "iid"], arg(help="Where samples come from: option 2 (markov) or option 1 (iid).")
]
METRIC = ("metric", "target_value")  # of an actor-critic J is what has to meet the target


def paper_radius(learner: A3C) -> float | None:
    """r_max / (√λ_td (1−γ)), a bound on ‖ω*‖ at the start; None where λ_td is not positive."""
    mdp = learner.mdp
    found, _ = exact.evaluate_policy(mdp, learner.policy, learner.theta).critic_system
    matrix = np.asarray(found)
    lambda_td = -float(np.linalg.eigvalsh((matrix + matrix.T) / 2).max())
    return None if lambda_td <= 1e-9 else float(np.abs(mdp.reward).max()) / (lambda_td**0.5 * (1 - float(mdp.discount)))


def actor_critic(mdp: FiniteMDP, options: Any, **more: Any) -> A3C:
    """The actor-critic on an MDP with the options' steps and radius."""
    learner = A3C(mdp, **more)
    radius = paper_radius(learner) if options.radius is None else options.radius
    return learner if radius is None else dataclasses.replace(learner, radius=radius)


def settings(options: Any, *names: str) -> dict[str, Any]:
    """The steps, and other options, by name."""
    return {name: getattr(options, name) for name in ("actor_step", "critic_step", *names)}


class OnAnMDP:
    """What the learner of most commands is."""

    def build_learner(self) -> A3C:
        """The actor-critic on the problem's MDP, with those of its settings that are options of the command's own."""
        options: Any = self
        known = [
            name for name in ("minibatch", "sampling") if hasattr(options, name) and name not in options.parameters
        ]
        return actor_critic(options.problem.build(), options, **settings(options, *known))
