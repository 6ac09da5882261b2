"""What is sampled, and how one step of the MDP is drawn."""

import functools
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int, Num, UInt32

from a3cjax._core.tree import pytree, static
from a3cjax.learners.sampling.words import alias_draw, alias_table, softmax, softmax_draw
from a3cjax.problems import FiniteMDP


class Transition(NamedTuple):
    """One step of a chain: x = (s, a, s'), numbers of a finite MDP's states and actions, or an LQR's vectors."""

    state: Num[Array, "*M"]
    action: Num[Array, "*M"]
    next_state: Num[Array, "*M"]


class StateAction(NamedTuple):
    """x^p = (s^p, a^p)."""

    state: Int[Array, "*M"]
    action: Int[Array, "*M"]


class Draw(NamedTuple):
    """A sampler's answer: the two transitions of one update, and π(·|ŝ), or its mean θŝ, for the actor's direction."""

    critic: Transition
    actor: Transition
    actor_probabilities: Float[Array, " A"]


@pytree
class Dynamics:
    """Alias tables of P(·|s,a) and η: one word, one draw.

    ``start_words``, ``act_words`` and ``move_words`` say how many words each draw takes.
    """

    transition: UInt32[Array, "SAS 2"]
    initial: UInt32[Array, "S 2"]
    num_states: int = static()
    num_actions: int = static()

    start_words = act_words = move_words = 1

    @classmethod
    def of(cls, mdp: FiniteMDP) -> "Dynamics":
        """The tables of an MDP."""
        return cls(alias_table(mdp.transition), alias_table(mdp.initial), mdp.num_states, mdp.num_actions)

    def start(self, word: UInt32[Array, ""]) -> Int[Array, ""]:
        """s ~ η."""
        return alias_draw(self.initial, 0, self.num_states, word)

    def act(
        self, policy: Any, theta: Any, state: Int[Array, ""], word: UInt32[Array, ""]
    ) -> tuple[Int[Array, ""], Any]:
        """a ~ π_θ(·|s), and π_θ(·|s)."""
        return softmax_draw(policy.logits(theta, state), word)

    def law(self, policy: Any, theta: Any, state: Int[Array, ""]) -> Any:
        """π_θ(·|s) as ``act`` gives it, without a draw."""
        return softmax(policy.logits(theta, state))

    def choose(self, policy: Any, theta: Any, state: Int[Array, ""], word: UInt32[Array, ""]) -> Int[Array, ""]:
        """a ~ π_θ(·|s) alone."""
        return self.act(policy, theta, state, word)[0]

    def move(self, state: Int[Array, ""], action: Int[Array, ""], word: UInt32[Array, ""]) -> Int[Array, ""]:
        """s' ~ P(·|s,a)."""
        return alias_draw(self.transition, state * self.num_actions + action, self.num_states, word)


@functools.singledispatch
def dynamics_of(problem: FiniteMDP) -> Any:
    """How a step of a problem is drawn; another kind of problem registers its own."""
    return Dynamics.of(problem)
