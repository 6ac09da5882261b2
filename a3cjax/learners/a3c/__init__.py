"""The advantage actor-critic with TD(0): one update, eq. (13), and what it is made of."""

from a3cjax.learners.a3c.learner import A3C

__all__ = ["A3C"]
