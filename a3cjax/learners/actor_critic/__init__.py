"""Actor and critic networks trained on any environment."""

from a3cjax.learners.actor_critic.learner import ActorCritic

__all__ = ["ActorCritic"]
