"""What is exactly known of a state of A3C."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from a3cjax._core.tree import pytree
from a3cjax.learners.a3c.ergodicity import probabilities
from a3cjax.learners.a3c.messages import Params
from a3cjax.learners.policies import LinearSoftmax, TabularSoftmax
from a3cjax.problems import FiniteMDP, Prior, exact
from a3cjax.problems.mixing import FAST


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


def begins_fast(learner: Any) -> bool:
    """Whether the chain mixes fast under the policy at the start, so that walks will most often do; by our own code.

    Of the start, which a learner's records have in common, lest a value depend on the records before it. κ as in
    ``problems.mixing``, but in NumPy: it says which program is compiled first, and should not be another one.
    """
    if type(learner.mdp) is not FiniteMDP or type(learner.policy) not in (TabularSoftmax, LinearSoftmax):
        return False
    taken = np.asarray(probabilities(learner.policy, learner.theta))
    kernel = np.einsum("sa,sat->st", taken, np.asarray(learner.mdp.transition))
    return bool(np.abs(kernel - kernel.mean(0)).sum(1).max() <= FAST)
