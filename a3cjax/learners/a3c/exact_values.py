"""What is exactly known of a state of A3C."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from a3cjax._core.tree import pytree
from a3cjax.learners.a3c.messages import Params
from a3cjax.problems import Prior, exact


@pytree
class Exact:
    """The problem, the policy and the prior: all that the metrics of A3C depend on.

    Learners that sample, step or weigh otherwise have the same, and share the program that measures.
    """

    mdp: Any  # a FiniteMDP or an LQR
    policy: Any
    prior: Prior | None

    metric_names: ClassVar[tuple[str, ...]] = (
        "objective",
        "gradient_norm_sq",
        "critic_error_sq",
        "regularized_objective",
    )
    worker_metric_names: ClassVar[tuple[str, ...]] = ()
    measures_together: ClassVar[bool] = False

    def view(self, state: Any) -> Params:
        """θ and ω."""
        return Params(state.theta, state.omega)

    def measure(self, state: Any, names: tuple[str, ...], key: jax.Array | None = None) -> dict[str, Float[Array, ""]]:
        """Exact values at the current parameters.

        ``objective`` J(θ); ``regularized_objective`` J_λ(θ); ``gradient_norm_sq`` ‖∇J_λ(θ)‖²; ``critic_error_sq``
        ‖ω − ω*(θ)‖², with the ω* that TD(0) reaches from zero where features are linearly dependent.
        """
        del key
        at = exact.evaluate_policy(self.mdp, self.policy, state.theta, self.prior)
        values = {
            "objective": lambda: at.objective,
            "regularized_objective": lambda: at.regularized_objective,
            "gradient_norm_sq": lambda: jnp.sum(at.policy_gradient(self.policy, state.theta) ** 2),
            "critic_error_sq": lambda: jnp.sum((state.omega - at.critic_optimum) ** 2),
        }
        return {name: values[name]() for name in names}
