"""The distance that a study's runs have to cover."""

from a3cjax.learners import A3C
from a3cjax.problems import exact


def objective_gap(learner: A3C) -> tuple[float, float]:
    """J(θ_0) and J*.

    Raises:
        ValueError: if the start is optimal already.

    >>> import a3cjax
    >>> start, optimum = objective_gap(a3cjax.A3C(a3cjax.families.ring(5), actor_step=0.1, critic_step=0.1))
    >>> start < optimum
    True
    """
    start = float(exact.evaluate_policy(learner.mdp, learner.policy, learner.theta).objective)
    optimum = float(exact.best_objective(learner.mdp, learner.policy))
    if optimum - start <= 1e-5 * max(abs(optimum), abs(start)):
        raise ValueError(
            f"The start already has J(θ_0) = {start:.6g}, and no policy has more than J* = {optimum:.6g}, so there is "
            "nothing to learn; choose another MDP."
        )
    return start, optimum
