"""Which small MDP a command works on, where the critic must be able to represent every value."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from a3cjax.cli.commands._problem import Family, build_mdp
from a3cjax.cli.commands._words import OptionalFloat, OptionalInt
from a3cjax.problems import FiniteMDP

# Which of the options below each family has, and what it takes them to be when they are not given.
_FAMILY_OPTIONS: dict[str, dict[str, Any]] = {
    "synthetic": {"states": 5, "actions": 2, "mdp_seed": 0},
    "garnet": {"states": 5, "actions": 2, "branching": 2, "mdp_seed": 0},
    "ring": {"states": 5, "slip": 0.1},
    "gridworld": {"height": 2, "width": 3, "slip": 0.1},
}


@dataclasses.dataclass(frozen=True)
class SmallProblemOptions:
    """The MDP; the critic has one feature for each state, so that ε_app = 0."""

    mdp: Family = "synthetic"
    """Family of the MDP; synthetic is the paper's, but smaller."""
    discount: float = 0.5
    """Discount γ."""
    stay: float = 0.0
    """Probability of staying put at every step: a lazy, slower chain."""
    states: OptionalInt = None
    """States (synthetic, garnet and ring 5)."""
    actions: OptionalInt = None
    """Actions (synthetic and garnet 2)."""
    branching: OptionalInt = None
    """Successors of each state and action (garnet 2)."""
    height: OptionalInt = None
    """Rows of the room (gridworld 2)."""
    width: OptionalInt = None
    """Columns of the room (gridworld 3)."""
    slip: OptionalFloat = None
    """Probability of slipping (ring 0.1, gridworld 0.1)."""
    mdp_seed: OptionalInt = None
    """Seed of the MDP (synthetic 0, garnet 0)."""

    def build(self) -> FiniteMDP:
        """The MDP that they describe."""
        mdp = build_mdp(self, _FAMILY_OPTIONS)
        if self.mdp != "synthetic":
            return mdp
        # Its features are random.
        return FiniteMDP(mdp.transition, mdp.reward, mdp.initial, mdp.discount, jnp.eye(mdp.num_states))
