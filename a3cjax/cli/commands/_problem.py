"""Which MDP a command works on."""

import dataclasses
from typing import Any, Literal

import jax

from a3cjax import families
from a3cjax._core import check
from a3cjax.cli.commands._choices import own_options
from a3cjax.cli.commands._words import OptionalFloat, OptionalInt
from a3cjax.problems import FiniteMDP

Family = Literal["synthetic", "garnet", "ring", "gridworld"]

# Which of the options below each family has, and what it takes them to be when they are not given.
_FAMILY_OPTIONS: dict[str, dict[str, Any]] = {
    "synthetic": {"states": 100, "actions": 5, "features": 10, "mdp_seed": 0},
    "garnet": {"states": 100, "actions": 5, "features": None, "branching": 5, "mdp_seed": 0},
    "ring": {"states": 20, "features": None, "slip": 0.1},
    "gridworld": {"height": 5, "width": 5, "slip": 0.1},
}


@dataclasses.dataclass(frozen=True)
class ProblemOptions:
    """The MDP."""

    mdp: Family = "synthetic"
    """Family of the MDP; synthetic is the paper's."""
    discount: float = 0.9
    """Discount γ."""
    stay: float = 0.0
    """Probability of staying put at every step: a lazy, slower chain."""
    states: OptionalInt = None
    """States (synthetic 100, garnet 100, ring 20)."""
    actions: OptionalInt = None
    """Actions (synthetic 5, garnet 5)."""
    features: OptionalInt = None
    """Features of the critic (synthetic 10; garnet and ring: one for each state)."""
    branching: OptionalInt = None
    """Successors of each state and action (garnet 5)."""
    height: OptionalInt = None
    """Rows of the room (gridworld 5)."""
    width: OptionalInt = None
    """Columns of the room (gridworld 5)."""
    slip: OptionalFloat = None
    """Probability of slipping (ring 0.1, gridworld 0.1)."""
    mdp_seed: OptionalInt = None
    """Seed of the MDP (synthetic 0, garnet 0)."""

    def build(self) -> FiniteMDP:
        """The MDP that they describe."""
        return build_mdp(self, _FAMILY_OPTIONS)


def build_mdp(given: Any, table: dict[str, dict[str, Any]]) -> FiniteMDP:
    """The MDP of the family ``given.mdp`` with the options that it has according to ``table``."""
    check.number("--stay", given.stay, least=0, below=1)
    own = own_options(given, "--mdp", given.mdp, table)
    if "mdp_seed" in own:
        own["key"] = jax.random.key(check.integer("--mdp-seed", own.pop("mdp_seed"), 0))
    named = {f"num_{name}" if name in ("states", "actions", "features") else name: own[name] for name in own}
    mdp = getattr(families, given.mdp)(**named, discount=given.discount)
    return families.lazy(mdp, given.stay) if given.stay else mdp
