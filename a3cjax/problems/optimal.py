"""The best that any policy can do."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from a3cjax._xla.compiler import quickly_compiled
from a3cjax.problems.evaluation import evaluate
from a3cjax.problems.mdp import FiniteMDP
from a3cjax.problems.resolvent import advantages, discounted_values, factored


def optimal_objective(mdp: FiniteMDP) -> Float[Array, ""]:
    """J* = max_π J(π), the level that Theorem 5 of Shen et al. 2023 measures from.

    >>> import a3cjax, math
    >>> mdp = a3cjax.families.gridworld(2, 2, slip=0.0, discount=0.5)  # reward at steps 2, 5, 8, ...
    >>> math.isclose(a3cjax.exact.optimal_objective(mdp), 0.5 * 0.5**2 / (1 - 0.5**3), rel_tol=1e-6)
    True
    """
    return evaluate(mdp, optimal_policy(mdp)).objective


def optimal_policy(mdp: FiniteMDP) -> Float[Array, "S A"]:
    """A deterministic optimal policy, as rows with a single one; optimal from every state.

    Found by policy iteration; optimal up to the rounding of its values.

    >>> import a3cjax
    >>> mdp = a3cjax.families.ring(5, slip=0.0)  # the reward is at state 0
    >>> a3cjax.exact.optimal_policy(mdp).argmax(1)[1:].tolist()  # 0: left, 1: right
    [0, 0, 1, 1]
    """
    actions, _ = policy_iteration(mdp)
    return jax.nn.one_hot(actions, mdp.num_actions, dtype=mdp.transition.dtype)


@quickly_compiled
def policy_iteration(mdp: FiniteMDP) -> tuple[Int[Array, "S"], Int[Array, ""]]:
    """The best action in each state, and the number of policies that were evaluated to find them.

    Howard's policy iteration with exact evaluation. An action is given up only for one that is better by more than
    rounding, so ties cannot make it go round in circles; the number of rounds is bounded by SA + 100 all the same,
    well above what the iteration takes.

    >>> import a3cjax
    >>> actions, rounds = policy_iteration(a3cjax.families.ring(5))
    >>> actions.shape, bool(rounds < 5)
    ((5,), True)
    """
    states = jnp.arange(mdp.num_states)
    reward = mdp.expected_reward()

    def improve(carry):
        actions, _, rounds = carry
        system = factored(mdp.transition[states, actions], mdp.discount)
        values = discounted_values(system, reward[states, actions], mdp.discount)
        gains = advantages(mdp.transition, reward, values, mdp.discount)
        scale = jnp.abs(reward).max() + jnp.abs(values.relative).max()
        better = gains.max(1) > gains[states, actions] + 4 * jnp.finfo(gains.dtype).eps * scale
        return jnp.where(better, gains.argmax(1), actions), better.any(), rounds + 1

    def go_on(carry):
        _, changed, rounds = carry
        return changed & (rounds < mdp.num_states * mdp.num_actions + 100)

    start = (reward.argmax(1), jnp.array(True), jnp.array(0))
    actions, _, rounds = lax.while_loop(go_on, improve, start)
    return actions, rounds
