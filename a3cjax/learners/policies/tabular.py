"""One logit per state and action."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from a3cjax._core import check
from a3cjax._core.tree import pytree, static
from a3cjax._xla.arithmetic import moved, over
from a3cjax._xla.marks import read_row, reshape, staged, write_row
from a3cjax._xla.repeated import one_by_one
from a3cjax.learners.protocol import table_row


class Scores(NamedTuple):
    """A sparse direction in θ: ``change[m]`` belongs to row ``state[m]``; a state may occur more than once."""

    state: Int[Array, " M"]
    change: Float[Array, "M A"]


@pytree
class TabularSoftmax:
    """π_θ(a|s) = exp θ[s,a] / Σ_b exp θ[s,b], with θ of shape [S, A].

    ψ_θ(s,a) = ∇_θ log π_θ(a|s) is zero outside row s, where it is e_a − π_θ(·|s).

    Raises:
        ValueError: if a size is not a positive whole number.

    >>> import a3cjax
    >>> policy = a3cjax.policies.TabularSoftmax(num_states=2, num_actions=4)
    >>> policy.probabilities(policy.init())[0]
    Array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """

    num_states: int = static()
    num_actions: int = static()

    def __post_init__(self) -> None:
        check.integer("num_states", self.num_states, 1)
        check.integer("num_actions", self.num_actions, 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of θ."""
        return (self.num_states, self.num_actions)

    def init(self) -> Float[Array, "S A"]:
        """θ = 0, the uniform policy."""
        return jnp.zeros(self.shape)

    def probabilities(self, theta: Float[Array, "S A"]) -> Float[Array, "S A"]:
        """π_θ as a table."""
        return jax.nn.softmax(theta, axis=-1)

    def logits(self, theta: Float[Array, "S A"], state: Int[Array, ""]) -> Float[Array, " A"]:
        """The logits at one state."""
        return table_row(theta, state)

    def describe(self, theta: Float[Array, "S A"], state: Int[Array, ""]) -> Float[Array, " A"]:
        """π_θ(·|s), as ``score`` takes it."""
        return jax.nn.softmax(self.logits(theta, state))

    def score(
        self,
        state: Int[Array, ""],
        action: Int[Array, ""],
        probabilities: Float[Array, " A"],
        weight: Float[Array, ""],
    ) -> Scores:
        """weight·ψ_θ(s,a), from π_θ(·|s)."""
        change = _scaled_score(action, probabilities, weight)
        return Scores(reshape(state, (1,)), reshape(change, (1, self.num_actions)))

    def likelihood(self, probabilities: Float[Array, " A"], action: Int[Array, ""]) -> Float[Array, ""]:
        """π_θ(a|s), which a sample carries so that another policy's ratio to it can be taken."""
        return read_row(probabilities, action)

    def ratio(
        self, probabilities: Float[Array, " A"], action: Int[Array, ""], likelihood: Float[Array, ""]
    ) -> Float[Array, ""]:
        """π_θ(a|s) over the ``likelihood`` under the policy that acted."""
        return over(self.likelihood(probabilities, action), likelihood)

    def merge(self, directions: Scores) -> Scores:
        """A stack [M, 1, …] of directions as one direction of M terms."""
        terms = directions.state.size
        return Scores(reshape(directions.state, (terms,)), reshape(directions.change, (terms, self.num_actions)))

    def ascend(self, theta: Float[Array, "S A"], direction: Scores, step: Float[Array, ""]) -> Float[Array, "S A"]:
        """θ + step·direction, term after term: states may repeat, and the order of additions is fixed."""

        def add(m, table):
            state, change = direction.state[m], direction.change[m]
            row = moved(read_row(table, state), step, change)
            return write_row(table, state, row)

        return one_by_one(direction.state.shape[0], add, theta)

    def only_row(self, direction: Scores) -> tuple[Int[Array, ""], Float[Array, " A"]] | None:
        """The one row that a direction of one term changes, and by what; None for several terms."""
        return None if direction.state.shape[0] != 1 else (direction.state[0], direction.change[0])

    def changed_rows(self, direction: Scores) -> Int[Array, " M"]:
        """The rows of θ that ``ascend`` changes."""
        return direction.state


@staged
def _scaled_score(
    action: Int[Array, ""], probabilities: Float[Array, " A"], weight: Float[Array, ""]
) -> Float[Array, " A"]:
    """weight·(e_a − π)."""
    chosen = (action == jnp.arange(probabilities.shape[0])).astype(probabilities.dtype)
    return weight * (chosen - probabilities)
