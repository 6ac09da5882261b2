"""The linear-quadratic regulator: continuous states and actions, and everything still known in closed form."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.known import numpy_if_known
from a3cjax._core.tree import pytree
from a3cjax._xla.marks import rounded, staged
from a3cjax._xla.small_matrices import quadratic
from a3cjax.problems.lqr_evaluation import LQREvaluation
from a3cjax.problems.matrix_equations import riccati

_MOST_OFF = 1e-2  # relative error of the cost matrix that is computed, beside SciPy's in double precision


@pytree
class LQR:
    """A discounted linear-quadratic regulator with quadratic features: (A, B, W, Q, R, η, γ, φ), as arrays.

        s' = A s + B a + w,  w ~ N(0, W);    r(s, a) = −(sᵀQ s + aᵀR a);    s_0 ~ η = N(m_0, Σ_0)

    The critic is linear in φ(s) = (1, z_1 z_1, z_1 z_2, …, z_n z_n) / √d, with z = s / ``feature_scale`` and
    d = 1 + n(n+1)/2. The value of every policy a ~ N(θs, σ²I) is a quadratic in s, so it has no approximation error.

    What differs from the finite problem of Shen et al. 2023: ‖φ(s)‖ ≤ 1 cannot hold on an unbounded state, nor can a
    bound on r. If ``feature_scale`` is about the standard deviation of each coordinate, E‖φ(s)‖² is about two; critic
    steps β that are stable in a finite MDP have to be smaller here by a factor of ten or so, as ‖φ‖² has heavy tails.

    Args:
        state_matrix: A, shape [n, n].
        input_matrix: B, shape [n, m].
        noise_covariance: W, shape [n, n], positive semidefinite.
        state_cost: Q, shape [n, n], positive semidefinite.
        action_cost: R, shape [m, m], positive definite.
        initial_mean: m_0, shape [n]; zero if not given.
        initial_covariance: Σ_0, shape [n, n], positive semidefinite; W if not given.
        discount: γ, in [0, 1).
        feature_scale: the unit of each coordinate in the features, shape [n], positive; ones if not given.

    Numbers become arrays of JAX's default floating type. An instance is a pytree; values that are being traced are
    checked for shape only.

    Raises ValueError for a wrong shape, a NaN or infinity, a matrix that is not symmetric or not (semi)definite, a
    discount outside [0, 1), or a problem without a best gain that stabilises, that is, makes √γ·ρ(A + Bθ) < 1: every
    mode of A of modulus 1/√γ or more must be reached by B and seen by Q, and not by rounding alone.

    >>> import a3cjax, jax.numpy as jnp
    >>> lqr = a3cjax.LQR([[0.5]], [[1.0]], [[1.0]], [[1.0]], [[1.0]], discount=0.9)
    >>> lqr.state_dim, lqr.action_dim, lqr.num_features
    (1, 1, 2)
    >>> float(lqr.reward_at(jnp.array([2.0]), jnp.array([1.0])))
    -5.0
    """

    state_matrix: Float[Array, "n n"]
    input_matrix: Float[Array, "n m"]
    noise_covariance: Float[Array, "n n"]
    state_cost: Float[Array, "n n"]
    action_cost: Float[Array, "m m"]
    initial_mean: Float[Array, " n"]
    initial_covariance: Float[Array, "n n"]
    discount: Float[Array, ""]
    feature_scale: Float[Array, " n"]
    inverse_scale: Float[Array, " n"] = dataclasses.field(init=False)

    def __init__(
        self,
        state_matrix: ArrayLike,
        input_matrix: ArrayLike,
        noise_covariance: ArrayLike,
        state_cost: ArrayLike,
        action_cost: ArrayLike,
        initial_mean: ArrayLike | None = None,
        initial_covariance: ArrayLike | None = None,
        discount: ArrayLike = 0.9,
        feature_scale: ArrayLike | None = None,
    ) -> None:
        state_matrix = check.float_array("state_matrix", state_matrix, (None, None))
        n = state_matrix.shape[0]
        if n == 0 or state_matrix.shape != (n, n):
            raise ValueError(f"state_matrix has shape {state_matrix.shape}, but must be square with at least one row.")
        input_matrix = check.float_array("input_matrix", input_matrix, (n, None))
        m = input_matrix.shape[1]
        if m == 0:
            raise ValueError(f"input_matrix has shape {input_matrix.shape}; give at least one column, one per action.")
        noise = _semidefinite("noise_covariance", noise_covariance, n)
        zeros, ones = np.zeros(n), np.ones(n)
        scale = check.float_array("feature_scale", ones if feature_scale is None else feature_scale, (n,))
        check.number("feature_scale", scale, above=0)
        _, unit = numpy_if_known(scale)
        discount = check.discount(discount)
        fields = {
            "state_matrix": state_matrix,
            "input_matrix": input_matrix,
            "noise_covariance": noise,
            "state_cost": _semidefinite("state_cost", state_cost, n),
            "action_cost": _semidefinite("action_cost", action_cost, m, definite=True),
            "initial_mean": check.float_array("initial_mean", zeros if initial_mean is None else initial_mean, (n,)),
            "initial_covariance": _semidefinite(
                "initial_covariance", noise if initial_covariance is None else initial_covariance, n
            ),
            "discount": discount,
            "feature_scale": scale,
            # Kept, because a division by it in the loop is a product in some programs and not in others.
            "inverse_scale": check.floats(1 / unit),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if check.is_concrete(fields):
            _stabilisable(fields)

    @property
    def state_dim(self) -> int:
        """The dimension n of the state."""
        return self.input_matrix.shape[-2]

    @property
    def action_dim(self) -> int:
        """The dimension m of the action."""
        return self.input_matrix.shape[-1]

    @property
    def num_features(self) -> int:
        """d = 1 + n(n+1)/2, the length of φ(s)."""
        return 1 + self.state_dim * (self.state_dim + 1) // 2

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The (i, j), i ≤ j, of the features z_i z_j in order."""
        return tuple((i, j) for i in range(self.state_dim) for j in range(i, self.state_dim))

    def features_at(self, state: Float[Array, " n"]) -> Float[Array, " d"]:
        """φ(s) = (1, z_1 z_1, z_1 z_2, …, z_n z_n) / √d.

        >>> import a3cjax, jax.numpy as jnp
        >>> lqr = a3cjax.families.double_integrator(feature_scale=[1.0, 2.0])
        >>> (2 * lqr.features_at(jnp.array([3.0, 4.0]))).tolist()  # z = (3, 2), d = 4
        [1.0, 9.0, 6.0, 4.0]
        """
        return _quadratic_features(state, self.inverse_scale)

    def feature_change_at(self, state: Float[Array, " n"], next_state: Float[Array, " n"]) -> Float[Array, " d"]:
        """γφ(s') − φ(s), which δ̂ weighs with ω."""
        return _discounted_change(self.discount, self.features_at(next_state), self.features_at(state))

    def reward_at(
        self, state: Float[Array, " n"], action: Float[Array, " m"], next_state: Any = None
    ) -> Float[Array, ""]:
        """r(s, a) = −(sᵀQ s + aᵀR a), whatever comes next."""
        del next_state
        return _reward(self.state_cost, self.action_cost, state, action)

    def evaluate(self, policy: Any, theta: ArrayLike) -> LQREvaluation:
        """The exact quantities of the policy a ~ N(θs, σ²I): J, ∇J, V, ω*, laws of the state.

        Args:
            policy: a ``policies.LinearGaussian``, or anything with its ``std``.
            theta: the gain θ, shape [m, n].

        >>> import a3cjax
        >>> lqr = a3cjax.LQR([[0.5]], [[1.0]], [[1.0]], [[1.0]], [[1.0]], discount=0.0)  # r(s_0, a_0) alone
        >>> found = lqr.evaluate(a3cjax.policies.LinearGaussian(1, 1, std=2.0), [[3.0]])
        >>> float(found.objective)  # −(E s² + E a²) = −(1 + 9 + 4)
        -14.0
        """
        theta = check.float_array("theta", theta, (self.action_dim, self.state_dim))
        return LQREvaluation(self, theta, jnp.asarray(policy.std))

    def optimal_gain(self) -> Float[Array, "m n"]:
        """θ* = −γ (R + γ BᵀPB)⁻¹ BᵀPA with P of the discounted Riccati equation: it maximises J whatever σ and η are.

        >>> import a3cjax
        >>> lqr = a3cjax.LQR([[0.5]], [[1.0]], [[1.0]], [[1.0]], [[1.0]], discount=0.0)
        >>> abs(float(lqr.optimal_gain()[0, 0]))  # nothing counts but the action's own cost
        0.0
        """
        root = jnp.sqrt(self.discount)
        state, control = root * self.state_matrix, root * self.input_matrix
        value = riccati(state, control, self.state_cost, self.action_cost)
        seen = jnp.matmul(control.T, value, precision="highest")
        both = (jnp.matmul(seen, x, precision="highest") for x in (control, state))
        return -jnp.linalg.solve(self.action_cost + next(both), next(both))

    def optimal_objective(self, policy: Any) -> Float[Array, ""]:
        """J* = max_θ J(θ) for the σ of ``policy``, which is not learned; without it every policy would gain as much.

        >>> import a3cjax
        >>> lqr = a3cjax.families.double_integrator()
        >>> quiet, loud = (a3cjax.policies.LinearGaussian(2, 1, std) for std in (0.0001, 1.0))
        >>> bool(lqr.optimal_objective(quiet) > lqr.optimal_objective(loud))
        True
        """
        return self.evaluate(policy, self.optimal_gain()).objective


@staged
def _discounted_change(
    discount: Float[Array, ""], ahead: Float[Array, " d"], here: Float[Array, " d"]
) -> Float[Array, " d"]:
    return rounded(discount * ahead) - here


@staged
def _reward(
    state_cost: Float[Array, "n n"],
    action_cost: Float[Array, "m m"],
    state: Float[Array, " n"],
    action: Float[Array, " m"],
) -> Float[Array, ""]:
    return -(quadratic(state_cost, state) + quadratic(action_cost, action))


@staged
def _quadratic_features(state: Float[Array, " n"], unit: Float[Array, " n"]) -> Float[Array, " d"]:
    z, n = state * unit, state.shape[0]
    products = [z[i] * z[j] for i in range(n) for j in range(i, n)]
    return jnp.stack([jnp.ones_like(z[0]), *products]) / (1 + len(products)) ** 0.5


def _semidefinite(name: str, value: Any, size: int, definite: bool = False) -> Float[Array, "k k"]:
    """A symmetric matrix without negative eigenvalues, or if ``definite`` without any that is not positive."""
    array = check.float_array(name, value, (size, size))
    if not check.is_concrete(array):
        return array
    matrix = np.asarray(array, np.float64)
    off = np.abs(matrix - matrix.T)
    largest = np.abs(matrix).max()
    if off.max() > 1e-6 * largest:
        i, j = (int(k) for k in np.unravel_index(off.argmax(), off.shape))
        raise ValueError(
            f"{name}[{i}, {j}] is {matrix[i, j]:g} but {name}[{j}, {i}] is {matrix[j, i]:g}; a symmetric matrix is "
            f"needed, such as ({name} + {name}.T) / 2."
        )
    least = float(np.linalg.eigvalsh(matrix).min())
    if definite and least <= 0:
        raise ValueError(f"{name} has the eigenvalue {least:g}, but must be positive definite; add to its diagonal.")
    if least < -1e-6 * largest:
        raise ValueError(
            f"{name} has the eigenvalue {least:g}, but must be positive semidefinite; add to its diagonal."
        )
    working = np.asarray(array)
    return check.floats((working + working.T) / 2)


def _stabilisable(fields: dict[str, Any]) -> None:
    """Refuse a problem whose discounted Riccati equation has no stabilising solution, or none that can be computed.

    By the test of Popov, Belevitch and Hautus a mode λ is unreached if [λI − A, B] has not full rank, and unseen if
    [λI − A; Q] has not. Both may be no more than rounding away from it, so a margin is asked for.
    """
    precision = fields["state_matrix"].dtype
    margin = float(np.sqrt(np.finfo(precision).eps))
    given = {name: np.asarray(value, np.float64) for name, value in fields.items()}
    root, costs = np.sqrt(given["discount"]), (given["state_cost"], given["action_cost"])
    state, control = root * given["state_matrix"], root * given["input_matrix"]
    for mode in np.linalg.eigvals(state):
        if abs(mode) < 1 - 4 * np.finfo(precision).eps:
            continue
        apart = (mode * np.eye(len(state)) - state) / max(1, np.linalg.norm(state, 2))
        reached, seen = (np.c_[apart, _unit(control)], np.r_[apart, _unit(costs[0])])
        for name, mend, pair in (
            ("input_matrix does not reach", "give it an action", reached),
            ("state_cost does not see", "give it a cost", seen),
        ):
            if np.linalg.svd(pair, compute_uv=False)[-1] < max(16 * np.finfo(precision).eps, 1e-8):
                raise ValueError(
                    "The discounted Riccati equation has no stabilising solution, so no best gain θ exists: "
                    "input_matrix must reach, and state_cost must see, every mode of state_matrix whose modulus is "
                    f"1/√γ = {1 / root:.4g} or more, but {name} the one of modulus {abs(mode) / root:.4g}; "
                    f"{mend}, or take a smaller discount."
                )
    import scipy.linalg  # here, because it takes long to import

    try:
        value = scipy.linalg.solve_discrete_are(state, control, *costs)
        computed = np.asarray(riccati(*(jnp.asarray(x, precision) for x in (state, control, *costs))), np.float64)
        loops = [_closed_loop(state, control, costs[1], one) for one in (value, computed)]
        radius = max(np.abs(np.linalg.eigvals(loop)).max() for loop in loops)
        missing = costs[0] + state.T @ value @ loops[0] - value
        off = max(np.abs(wrong).max() for wrong in (missing, computed - value)) / max(np.abs(value).max(), 1e-300)
    except (np.linalg.LinAlgError, ValueError):
        radius, off = np.nan, np.nan
    if not (radius <= 1 - margin and off <= _MOST_OFF):
        raise ValueError(
            f"The discounted Riccati equation cannot be solved in {precision}: the best gain leaves √γ·ρ(A + Bθ) at "
            f"{radius:.6g}, which must be at most 1 − {margin:.1g}, and its cost is known to {off:.1g} of its size, "
            f"which must be {_MOST_OFF:g} at most; take a smaller discount, move the modes of state_matrix that "
            "input_matrix hardly reaches away from 1/√γ, or turn on double precision (jax_enable_x64)."
        )


def _closed_loop(state: np.ndarray, control: np.ndarray, action_cost: np.ndarray, value: np.ndarray) -> np.ndarray:
    """√γ(A + Bθ) for the gain that the cost matrix P makes best."""
    gain = np.linalg.solve(action_cost + control.T @ value @ control, control.T @ value @ state)
    return state - control @ gain


def _unit(matrix: np.ndarray) -> np.ndarray:
    """A matrix of norm one, or zero."""
    size = np.linalg.norm(matrix, 2)
    return matrix / size if size else matrix
