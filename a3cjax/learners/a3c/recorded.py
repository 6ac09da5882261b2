"""A3C on the samples of a real run: what was drawn is given, and what was computed from it is computed again."""

import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from a3cjax._xla.marks import read_row, reshape, staged
from a3cjax.learners.a3c.learner import A3C
from a3cjax.learners.a3c.messages import Params
from a3cjax.learners.a3c.proposal import message_of
from a3cjax.learners.sampling.samples import Draw, Transition
from a3cjax.learners.wrapped import WrappedLearner


class RecordedSamples(NamedTuple):
    """What each of K updates was made of; ``policy`` is π(·|ŝ) as its worker computed it, None if that is not known."""

    critic: Transition
    actor: Transition
    policy: Float[Array, "K A"] | None


class RecordedState(NamedTuple):
    """The learner's state, the number of updates, and how far recorded policies were from those that were replayed.

    ``off``: the greatest difference of a probability so far. ``first``: the first update at which one was greater than
    the tolerance, or −1.
    """

    learner: Any
    updates: Int[Array, ""]
    off: Float[Array, ""]
    first: Int[Array, ""]


class RecordedA3C(WrappedLearner):
    """Eq. (13) with x_k and x̂_k as a real run has logged them, at the parameters that update k read.

    Workers draw nothing. The direction of θ is δ̂ (e_a − π), with the recorded π if it is there, so that nothing but
    sums, products and quotients is computed again, which every machine rounds alike; else with that of the replayed θ.

    Args:
        learner: an ``A3C`` of one sample an update, a stale gradient and no prior.
        samples: of the updates, in their order.
        tolerance: how far a recorded probability may be from the replayed one.
    """

    samples: RecordedSamples
    tolerance: Float[Array, ""]

    num_words: ClassVar[Any] = 1
    needs_stale: ClassVar[Any] = True
    delay_metric_names: ClassVar[Any] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_replayable(self.learner)

    def init(self, key: jax.Array) -> RecordedState:
        """The start, and nothing that was off."""
        inner = self.learner.init(key)
        return RecordedState(inner, jnp.int32(0), jnp.zeros((), self.tolerance.dtype), jnp.int32(-1))

    def init_worker(self, key: jax.Array) -> Any:
        """Nothing: what a worker would draw is known."""
        del key
        return ()

    def view(self, state: RecordedState) -> Params:
        """θ and ω."""
        return self.learner.view(state.learner)

    def propose(self, view: Params, worker_state: Any, key: Array) -> tuple[Any, Any]:
        """Nothing: the server knows which update it is."""
        del view, key
        return jnp.int32(0), worker_state

    def apply(self, state: RecordedState, message: Any, delay: Int[Array, ""], stale: Params | None = None) -> Any:
        """The update of that row's samples, as its worker computed it."""
        del message
        assert stale is not None
        learner, k = self.learner, state.updates
        critic, actor = (
            Transition(*(read_row(column, k) for column in part)) for part in (self.samples.critic, self.samples.actor)
        )
        law = learner.sampler.dynamics.law(learner.policy, stale.theta, actor.state)
        off = jnp.zeros((), self.tolerance.dtype)
        if self.samples.policy is not None:
            recorded = read_row(self.samples.policy, k)
            off, law = _greatest(law, recorded).astype(off.dtype), recorded
        weight = learner.weight_of(actor, stale, None)
        made = message_of(learner, stale, Draw(critic, actor, law), None, weight)
        made = jax.tree.map(lambda leaf: reshape(leaf, (1, *leaf.shape)), made)
        made = made._replace(direction=learner.policy.merge(made.direction))
        first = jnp.where((state.first < 0) & ~(off <= self.tolerance), k, state.first)
        after = learner.apply(state.learner, made, delay, stale)
        return RecordedState(after, k + 1, jnp.maximum(state.off, off), first)

    def measure(self, state: RecordedState, names: tuple[str, ...], key: jax.Array) -> dict[str, Any]:
        """The learner's."""
        return self.learner.measure(state.learner, names, key)

    def changed_rows(self, message: Any) -> None:
        """Not known from what a worker sends."""
        del message


@staged
def _greatest(law: Float[Array, " A"], recorded: Float[Array, " A"]) -> Float[Array, ""]:
    """max |π − π'|, entry by entry, as a kernel can have it."""
    apart = jnp.abs(law - recorded)
    return functools.reduce(lambda x, y: jnp.where(x > y, x, y), (apart[a] for a in range(apart.shape[0])))


def check_replayable(learner: Any) -> None:
    """Refuse what recorded transitions do not determine."""
    if not isinstance(learner, A3C) or not hasattr(learner.policy, "num_actions"):
        raise ValueError(
            f"learner is a {type(learner).__name__}, but recorded samples are replayed through an A3C on a FiniteMDP; "
            "a learner of your own computes its message from them in apply, as RecordedA3C does."
        )
    for name, there, needed in (
        ("minibatch", learner.minibatch, 1),
        ("gradient", learner.gradient, "stale"),
        ("prior", learner.prior, None),
        ("shared_chain", learner.shared_chain, False),
    ):
        if there != needed:
            raise ValueError(f"the learner's {name} is {there!r}, but recorded samples are replayed with {needed!r}.")
    if learner.estimator == "reinforce":
        raise ValueError(
            "the learner's estimator is 'reinforce', whose returns are of a rollout that no sample holds; use 'td', "
            "'advantage' or 'q'."
        )
