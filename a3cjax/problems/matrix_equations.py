"""The two matrix equations of linear-quadratic control, under ``jit`` and ``vmap`` on every device."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from a3cjax._xla.compiler import quickly_compiled
from a3cjax._xla.small_matrices import product

_DOUBLINGS = 40  # of the horizon: 2⁴⁰ steps


@quickly_compiled
def lyapunov(matrix: Float[Array, "n n"], right: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The X = Σ_t Mᵗ S (Mᵗ)ᵀ that solves X = M X Mᵀ + S, for a symmetric S; NaN where ρ(M) ≥ 1.

    One solve of n² equations, (I − M⊗M) vec X = vec S. Where ρ(M) ≥ 1 the equation may well have a solution, but it is
    not that sum, which diverges. By Lyapunov's theorem ρ(M) < 1 if and only if the solution for S = I is positive
    definite, so that is solved beside it and looked at.

    >>> import jax.numpy as jnp
    >>> float(lyapunov(jnp.array([[0.5]]), jnp.array([[3.0]]))[0, 0])  # 3 / (1 − ¼)
    4.0
    >>> bool(jnp.isnan(lyapunov(jnp.array([[2.0]]), jnp.array([[3.0]]))[0, 0]))
    True
    """
    n = matrix.shape[0]
    system = jnp.eye(n * n, dtype=matrix.dtype) - jnp.kron(matrix, matrix)
    both = jnp.stack([right.reshape(-1), jnp.eye(n, dtype=matrix.dtype).reshape(-1)], axis=1)
    solved = jnp.linalg.solve(system, both)
    solution, witness = (solved[:, j].reshape(n, n) for j in range(2))
    stable = jnp.isfinite(jnp.linalg.cholesky((witness + witness.T) / 2)).all()
    return jnp.where(stable, (solution + solution.T) / 2, jnp.nan)


@quickly_compiled
def riccati(
    state: Float[Array, "n n"],
    action: Float[Array, "n m"],
    state_cost: Float[Array, "n n"],
    action_cost: Float[Array, "m m"],
) -> Float[Array, "n n"]:
    """The stabilising solution of P = Q + Aᵀ P A − Aᵀ P B (R + Bᵀ P B)⁻¹ Bᵀ P A.

    The structure-preserving doubling algorithm (Chu, Fan, Lin and Wang 2004): round j holds the cost of the first 2ʲ
    steps, so forty rounds see the infinite horizon of any problem that the working precision can tell from an unstable
    one.

    >>> import jax.numpy as jnp
    >>> one = jnp.ones((1, 1))
    >>> round(float(riccati(one, one, one, one)[0, 0]), 6)  # P² = P + 1
    1.618034
    """
    n = state.shape[0]
    identity = jnp.eye(n, dtype=state.dtype)

    def double(_, at):
        step, reach, cost = at
        inverse = jnp.linalg.solve(identity + product(reach, cost), jnp.concatenate([step, reach], axis=1))
        onward, spread = inverse[:, :n], inverse[:, n:]
        gained = product(product(step.T, cost), onward)
        reached = product(product(step, spread), step.T)
        return product(step, onward), reach + (reached + reached.T) / 2, cost + (gained + gained.T) / 2

    reach = product(action, jnp.linalg.solve(action_cost, action.T))
    return lax.fori_loop(0, _DOUBLINGS, double, (state, (reach + reach.T) / 2, state_cost))[2]


def square_root(covariance: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """An L with L Lᵀ equal to a positive semidefinite matrix, singular ones too.

    >>> import jax.numpy as jnp
    >>> half = square_root(jnp.array([[4.0, 0.0], [0.0, 0.0]]))
    >>> jnp.abs(half @ half.T).tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    values, vectors = jnp.linalg.eigh(covariance)
    return vectors * jnp.sqrt(jnp.maximum(values, 0))[None, :]


def discounted_lyapunov(
    matrix: Float[Array, "n n"], right: Float[Array, "n n"], discount: Float[Array, ""]
) -> Float[Array, "n n"]:
    """X = γ M X Mᵀ + S."""
    return lyapunov(jnp.sqrt(discount) * matrix, right)
