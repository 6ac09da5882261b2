"""Optimisers from optax at the server: taken in, looked through, and used on dense and on sparse gradients."""

from a3cjax.learners.optimizers.adopted import Uses, adopted_optimizer, one_of_both, update_of
from a3cjax.learners.optimizers.step import multiplier, stepped, stepped_in_part

__all__ = ["Uses", "adopted_optimizer", "multiplier", "one_of_both", "stepped", "stepped_in_part", "update_of"]
