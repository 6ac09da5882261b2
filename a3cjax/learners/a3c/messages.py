"""What goes back and forth between A3C's server and its workers."""

from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from a3cjax.learners.sampling.samples import StateAction, Transition


class Params(NamedTuple):
    """What a worker copies: the actor's θ and the critic's ω."""

    theta: Float[Array, "*theta"]
    omega: Float[Array, " d"]


class A3CState(NamedTuple):
    """What the server keeps."""

    theta: Float[Array, "*theta"]
    omega: Float[Array, " d"]
    updates: Int[Array, ""]


class OptimizedState(NamedTuple):
    """What the server keeps where the actor or the critic has an optimiser: the memory of each too, () for none."""

    theta: Float[Array, "*theta"]
    omega: Float[Array, " d"]
    updates: Int[Array, ""]
    optimizers: tuple[Any, Any]


class Samples(NamedTuple):
    """Every sample that one update used; with minibatch M > 1 each leaf has a leading axis M.

    Of the rollouts of estimator "reinforce" only the ``returns`` G are kept; with another estimator that is None.
    """

    critic: Transition
    actor: Transition
    prior: StateAction | None
    returns: Float[Array, "*M"] | None = None


class FreshMessage(NamedTuple):
    """What a worker sends where the server computes: samples [M], and how likely their actions were, if that is asked.

    Likelihoods are as the policy's ``likelihood`` gives them; the prior's pull needs none.
    """

    critic: Transition
    actor: Transition
    prior: StateAction | None
    likelihoods: tuple[Float[Array, " M"], Float[Array, " M"]] | None  # of the critic's and the actor's action
    samples: Samples | None


class Message(NamedTuple):
    """What a worker sends: g as (state, δ̂), and the actor's direction, both means over the mini-batch.

    ``stale``: where an optimiser looks at them, the one row of θ that the direction changes, and ω, as they were read.
    """

    critic_state: Int[Array, " M"]
    critic_delta: Float[Array, " M"]
    direction: Any
    samples: Samples | None
    stale: Any = ()
