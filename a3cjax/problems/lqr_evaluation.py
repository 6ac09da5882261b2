"""Everything that can be known about one linear policy on a linear-quadratic regulator."""

from functools import cached_property
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from a3cjax._xla.small_matrices import product, quadratic, sandwich, trace
from a3cjax.problems.matrix_equations import discounted_lyapunov, lyapunov


class LQREvaluation:
    """The exact quantities of a ~ N(θs, σ²I) on an LQR; made by ``LQR.evaluate``. Each is computed once, if asked for.

    With M = A + Bθ the state follows s' = M s + w', w' ~ N(0, W + σ²BBᵀ). Where √γ·ρ(M) ≥ 1 the sums over time
    diverge: J, V, d and ∇J are NaN. Where ρ(M) ≥ 1 there is no stationary law, and what is taken under μ is NaN.
    As elsewhere its pieces are kept, so it must be made and used inside the same ``jit``, ``vmap`` or loop body.
    """

    def __init__(self, problem: Any, theta: Float[Array, "m n"], std: Float[Array, ""]):
        self.problem = problem
        self.theta = theta
        self.std = std

    @cached_property
    def closed_loop(self) -> Float[Array, "n n"]:
        """M = A + Bθ, which takes a state to the mean of the next."""
        return self.problem.state_matrix + product(self.problem.input_matrix, self.theta)

    @cached_property
    def noise_covariance(self) -> Float[Array, "n n"]:
        """W + σ²BBᵀ, the covariance of what is added to M s in one step."""
        control = self.problem.input_matrix
        return self.problem.noise_covariance + self.std**2 * product(control, control.T)

    @cached_property
    def stationary_covariance(self) -> Float[Array, "n n"]:
        """Σ of μ = N(0, Σ), the law of the critic's states: Σ = MΣMᵀ + W + σ²BBᵀ."""
        return lyapunov(self.closed_loop, self.noise_covariance)

    @cached_property
    def visitation_mean(self) -> Float[Array, " n"]:
        """E_d[s] = (1−γ)(I − γM)⁻¹ m_0."""
        problem = self.problem
        system = jnp.eye(problem.state_dim, dtype=self.theta.dtype) - problem.discount * self.closed_loop
        mean = jnp.linalg.solve(system, (1 - problem.discount) * problem.initial_mean)
        return jnp.where(jnp.isfinite(self.visitation_moment).all(), mean, jnp.nan)

    @cached_property
    def visitation_moment(self) -> Float[Array, "n n"]:
        """D = E_d[s sᵀ] under the discounted visitation d, a mixture: D = (1−γ)E_η[s sᵀ] + γ(MDMᵀ + W + σ²BBᵀ)."""
        discount = self.problem.discount
        right = (1 - discount) * self._initial_moment + discount * self.noise_covariance
        return discounted_lyapunov(self.closed_loop, right, discount)

    @cached_property
    def value_matrix(self) -> Float[Array, "n n"]:
        """P of V(s) = −(sᵀPs + c): P = Q + θᵀRθ + γ MᵀPM."""
        problem = self.problem
        cost = problem.state_cost + sandwich(self.theta.T, problem.action_cost)
        return discounted_lyapunov(self.closed_loop.T, cost, problem.discount)

    @cached_property
    def value_constant(self) -> Float[Array, ""]:
        """c of V(s) = −(sᵀPs + c): c = (σ² tr R + γ tr P(W + σ²BBᵀ)) / (1−γ)."""
        problem = self.problem
        spent = self.std**2 * jnp.trace(problem.action_cost)
        return (spent + problem.discount * trace(self.value_matrix, self.noise_covariance)) / (1 - problem.discount)

    def value(self, state: Float[Array, " n"]) -> Float[Array, ""]:
        """V(s)."""
        return -(quadratic(self.value_matrix, state) + self.value_constant)

    @cached_property
    def objective(self) -> Float[Array, ""]:
        """J(θ) = (1−γ) E_{s~η} V(s)."""
        return -(1 - self.problem.discount) * (trace(self.value_matrix, self._initial_moment) + self.value_constant)

    @cached_property
    def regularized_objective(self) -> Float[Array, ""]:
        """J(θ): there is no regulariser here."""
        return self.objective

    def policy_gradient(self, policy: Any = None, theta: Any = None) -> Float[Array, "m n"]:
        """∇_θ J = −2 (Rθ + γ BᵀPM) D; the arguments, which say again what was evaluated, are not used.

        From E_{s~d, a~π}[A(s,a) ψ_θ(s,a)]: Q(s,·) is a quadratic, and its mean slope at a ~ N(θs, σ²I) is its slope
        at θs.
        """
        del policy, theta
        problem = self.problem
        ahead = product(problem.input_matrix.T, product(self.value_matrix, self.closed_loop))
        slope = product(problem.action_cost, self.theta) + problem.discount * ahead
        return -2 * product(slope, self.visitation_moment)

    @cached_property
    def critic_optimum(self) -> Float[Array, " d"]:
        """ω*, the fixed point of TD(0): the coefficients of V in the features, V(s) = φ(s)ᵀω*.

        The features are linearly independent under μ, and the fixed point unique, if and only if Σ is definite.
        """
        return -self._coefficients(self.value_matrix, self.value_constant)

    @cached_property
    def critic_system(self) -> tuple[Float[Array, "d d"], Float[Array, " d"]]:
        """A_θ = E[φ(s)(γφ(s') − φ(s))ᵀ] and b_θ = E[r φ(s)], with s ~ μ, a ~ π, s' ~ P.

        E[φ(s')|s] = T φ(s) and E[r|s] = φ(s)ᵀρ are linear in the features, so with C = E_μ[φφᵀ], a matter of fourth
        moments, A_θ = C (γT − I)ᵀ and b_θ = C ρ.
        """
        problem = self.problem
        moments = self._feature_moments
        cost = problem.state_cost + sandwich(self.theta.T, problem.action_cost)
        reward = -self._coefficients(cost, self.std**2 * jnp.trace(problem.action_cost))
        onward = [jnp.eye(problem.num_features, dtype=moments.dtype)[0]]
        scale, root = problem.feature_scale, problem.num_features**0.5
        for i, j in problem.pairs:
            # z_i' z_j' = sᵀ(M_i M_jᵀ)s + W'_ij in mean, in units of the scale
            row, column = self.closed_loop[i], self.closed_loop[j]
            form = (row[:, None] * column[None, :] + column[:, None] * row[None, :]) / 2
            onward.append(self._coefficients(form, self.noise_covariance[i, j]) / (root * scale[i] * scale[j]))
        change = problem.discount * jnp.stack(onward) - jnp.eye(problem.num_features, dtype=moments.dtype)
        return product(moments, change.T), (moments * reward[None, :]).sum(1)

    @cached_property
    def approximation_error(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The root mean squared V − φᵀω*, under μ and under d: zero."""
        return jnp.zeros_like(self.objective), jnp.zeros_like(self.objective)

    @cached_property
    def _initial_moment(self) -> Float[Array, "n n"]:
        mean = self.problem.initial_mean
        return self.problem.initial_covariance + mean[:, None] * mean[None, :]

    def _coefficients(self, form: Float[Array, "n n"], constant: Float[Array, ""]) -> Float[Array, " d"]:
        """Of sᵀFs + constant in the features."""
        scale = self.problem.feature_scale
        twice = ((1 if i == j else 2) * form[i, j] * scale[i] * scale[j] for i, j in self.problem.pairs)
        return jnp.stack([jnp.asarray(constant), *twice]) * self.problem.num_features**0.5

    @cached_property
    def _feature_moments(self) -> Float[Array, "d d"]:
        """C = E_μ[φφᵀ], by Isserlis' theorem: E z_i z_j z_k z_l = S_ij S_kl + S_ik S_jl + S_il S_jk."""
        scale = self.problem.feature_scale
        s = self.stationary_covariance / (scale[:, None] * scale[None, :])
        second = jnp.stack([s[i, j] for i, j in self.problem.pairs])
        fourth = jnp.stack(
            [
                jnp.stack([s[i, j] * s[k, h] + s[i, k] * s[j, h] + s[i, h] * s[j, k] for k, h in self.problem.pairs])
                for i, j in self.problem.pairs
            ]
        )
        whole = jnp.block([[jnp.ones((1, 1), s.dtype), second[None, :]], [second[:, None], fourth]])
        return whole / self.problem.num_features
