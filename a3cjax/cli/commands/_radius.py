"""The radius of the critic's projection that a command takes when none is given."""

import jax.numpy as jnp

from a3cjax.learners import A3C
from a3cjax.problems import exact


def paper_radius(learner: A3C) -> float | None:
    """r_max / (√λ_td (1−γ)), a bound on ‖ω*‖ at the start; None where λ_td is not positive."""
    mdp = learner.mdp
    matrix, _ = exact.critic_system(mdp, learner.policy.probabilities(learner.theta))
    lambda_td = -float(jnp.linalg.eigvalsh((matrix + matrix.T) / 2).max())
    if lambda_td <= 1e-9:
        return None
    largest = float(abs(mdp.reward).max())
    return largest / (lambda_td**0.5 * (1 - float(mdp.discount)))
