"""Finite Markov chains: the law they settle into, and how fast any of them contracts."""

from functools import partial

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from a3cjax._xla.compiler import quickly_compiled
from a3cjax.problems.mdp import FiniteMDP


@quickly_compiled
def long_run_law(kernel: Float[Array, "S S"], initial: Float[Array, "S"]) -> Float[Array, "S"]:
    """lim (1/T) Σ_{t<T} η Pᵗ: where a chain spends its time in the long run.

    With one recurrent class this is the unique stationary law, whatever ``initial`` is, and transient states get
    exactly zero. With several classes each gets the probability that a chain started from ``initial`` ends in it.
    Periodic chains are no different.

    The elimination of Grassmann, Taksar and Heyman (1985) censors the chain one state at a time and never
    subtracts, so every entry comes out with a small *relative* error however slowly the chain mixes. What is added
    to it here:

    - The state censored next is the one with the largest outflow. Then no multiplier exceeds one and nothing
      overflows, even where the law spans more orders of magnitude than a float does.
    - The initial law and the mean duration of a censored step are carried along. States that are left without
      outflow are the roots, one for each recurrent class; by then the first holds the probability of absorption
      into the class, the second the mean return time of the root, and their ratio is the law at the root.

    An outflow below the smallest normal float counts as none, and entries within a few decades of that float (1e-38
    in single precision) lose relative accuracy, as products underflow on the way to them. The diagonal of ``kernel``
    is not used.

    >>> import jax.numpy as jnp
    >>> flip = jnp.array([[0.0, 1.0], [1.0, 0.0]])
    >>> [float(p) for p in long_run_law(flip, jnp.array([1.0, 0.0]))]
    [0.5, 0.5]
    """
    index = jnp.arange(kernel.shape[0])
    diagonal = index[:, None] == index[None, :]
    smallest = jnp.finfo(kernel.dtype).tiny

    def next_pivot(flow):
        outflow = flow.sum(1)
        state = jnp.argmax(outflow)
        some = outflow[state] >= smallest
        return state, (index == state) & some, 1 / jnp.where(some, outflow[state], 1)

    def censor(carry, _):
        # The pivot is chosen one step ahead: chosen here, it would be fused into the update and recomputed per entry.
        flow, mass, duration, (state, censored, scale) = carry
        onward = lax.dynamic_index_in_dim(flow, state, 0, keepdims=False) * scale
        into = lax.dynamic_index_in_dim(flow, state, 1, keepdims=False)
        visits = into * scale
        flow = flow + into[:, None] * onward[None, :]
        flow = jnp.where(diagonal | censored[:, None] | censored[None, :], 0, flow)
        mass = jnp.where(censored, 0, mass + mass[state] * onward)
        duration = jnp.where(censored, 0, duration + visits * duration[state])
        return (flow, mass, duration, next_pivot(flow)), (state, visits)

    def restore(law, step):
        state, visits = step
        # A step without a pivot has no visits; it leaves the law of a root as it is.
        return jnp.where(index == state, law + (visits * law).sum(), law), None

    flow = jnp.where(diagonal, 0, kernel)
    start = (flow, initial, jnp.ones_like(initial), next_pivot(flow))
    (_, mass, duration, _), steps = lax.scan(censor, start, length=kernel.shape[0] - 1)
    law = jnp.where(duration == 0, 0, mass / jnp.where(duration == 0, 1, duration))
    law, _ = lax.scan(restore, law, steps, reverse=True)
    return law / law.sum()


@quickly_compiled
def dobrushin(mdp: FiniteMDP) -> Float[Array, ""]:
    """Dobrushin's coefficient c: the largest total variation between two rows P(·|s,a) and P(·|s',a').

    One step under any policy, even one that changes with time, brings two laws of the state closer by the factor c:
    the mixing rate ρ in the theorems of Shen et al. 2023 is at most c. It is 1 as soon as two rows share no successor,
    whatever the chain does later.

    Takes O((SA)² S) time and O(S² + SA) memory.

    >>> import a3cjax
    >>> float(a3cjax.exact.dobrushin(a3cjax.families.ring(5)))
    1.0
    """
    by_action = partial(lax.dynamic_index_in_dim, mdp.transition, axis=1, keepdims=False)
    actions = jnp.arange(mdp.num_actions)

    def farthest_of_action(other):
        # Summing over the leading axis is what vectorises on a CPU.
        successors = by_action(other).T

        def farthest_from_action(action):
            def farthest(row):
                return jnp.abs(successors - row[:, None]).sum(0).max()

            return lax.map(farthest, by_action(action)).max()

        return lax.map(farthest_from_action, actions).max()

    return lax.map(farthest_of_action, actions).max() / 2


@quickly_compiled
def factor(matrix: Float[Array, "n n"]) -> tuple[Float[Array, "n n"], Int[Array, "n"]]:
    """L and U in one matrix, and the permutation of rows: LU is ``matrix[permutation]``."""
    both, _, permutation = lax.linalg.lu(matrix)
    return both, permutation


@partial(quickly_compiled, static_argnames="transpose")
def solve_factored(
    factored: tuple[Float[Array, "n n"], Int[Array, "n"]], right: Float[Array, "n *m"], transpose: bool = False
) -> Float[Array, "n *m"]:
    """Solve M x = ``right``, or Mᵀ x = ``right``, for an M that has been factored.

    >>> import jax.numpy as jnp
    >>> factored, right = factor(jnp.array([[0.0, 2.0], [4.0, 0.0]])), jnp.array([2.0, 8.0])
    >>> solve_factored(factored, right).tolist(), solve_factored(factored, right, transpose=True).tolist()
    ([2.0, 1.0], [4.0, 0.5])
    """
    both, permutation = factored
    x = right.reshape(right.shape[0], -1)
    # Lᵀ and Uᵀ: a transposed array lies in memory by columns, as the solver wants it, and is not copied.
    lower = partial(lax.linalg.triangular_solve, both.T, left_side=True, lower=False, unit_diagonal=True)
    upper = partial(lax.linalg.triangular_solve, both.T, left_side=True, lower=True)
    if transpose:
        x = lower(upper(x))[jnp.argsort(permutation)]
    else:
        x = upper(lower(x[permutation], transpose_a=True), transpose_a=True)
    return x.reshape(right.shape)
