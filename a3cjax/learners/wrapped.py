"""Learners around learners: a base for wrappers, and what takes in a class that only has the methods."""

import inspect
import math
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Int

from a3cjax.learners.protocol import METHODS, AbstractLearner, apply_message, unwritten


class WrappedLearner(AbstractLearner):
    """Another learner, to the same bits: a base for wrappers, which change one method and forward all others.

    Metrics, run axes, changed rows, averaging and the need for a stale view are the inner learner's, so that a wrapper
    loses none of them. Scalars of the wrapper's own that may be given one for each run are named in
    ``own_run_scalars``.

    Args:
        learner: the learner inside.

    >>> import a3cjax, jax, jax.numpy as jnp
    >>> class Clipped(a3cjax.WrappedLearner):
    ...     '''Messages no longer than one.'''
    ...     def propose(self, view, worker_state, key):
    ...         message, worker_state = self.learner.propose(view, worker_state, key)
    ...         return message / jnp.maximum(1, jnp.linalg.norm(message)), worker_state
    >>> inner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.5, start=[10.0])
    >>> result = a3cjax.simulate(Clipped(inner), a3cjax.Schedule.sequential(3), jax.random.key(0))
    >>> float(result.params.x[0])  # 10 − 3 · ½
    8.5
    """

    learner: Any

    own_run_scalars: ClassVar[tuple[str, ...]] = ()

    num_words: ClassVar[Any] = property(lambda self: self.learner.num_words)
    needs_stale: ClassVar[Any] = property(lambda self: self.learner.needs_stale)
    metric_names: ClassVar[Any] = property(lambda self: self.learner.metric_names)
    measures_together: ClassVar[Any] = property(lambda self: self.learner.measures_together)
    worker_metric_names: ClassVar[Any] = property(lambda self: self.learner.worker_metric_names)
    delay_metric_names: ClassVar[Any] = property(lambda self: self.learner.delay_metric_names)
    run_scalars: ClassVar[Any] = property(
        lambda self: (*self.own_run_scalars, *(f"learner.{name}" for name in self.learner.run_scalars))
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "learner", adopted(self.learner))

    def init(self, key: jax.Array) -> Any:
        """The inner learner's."""
        return self.learner.init(key)

    def init_worker(self, key: jax.Array) -> Any:
        """The inner learner's."""
        return self.learner.init_worker(key)

    def view(self, state: Any) -> Any:
        """The inner learner's."""
        return self.learner.view(state)

    def propose(self, view: Any, worker_state: Any, key: Array) -> tuple[Any, Any]:
        """The inner learner's."""
        return self.learner.propose(view, worker_state, key)

    def apply(self, state: Any, message: Any, delay: Int[Array, ""], stale: Any = None) -> Any:
        """The inner learner's."""
        return apply_message(self.learner, state, message, delay, stale)

    def measure(self, state: Any, names: tuple[str, ...], key: jax.Array) -> dict[str, Any]:
        """The inner learner's."""
        return self.learner.measure(state, names, key)

    def measure_workers(self, workers: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """The inner learner's."""
        return self.learner.measure_workers(workers, names)

    def measure_delay(self, stale: Any, view: Any, samples: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """The inner learner's."""
        return self.learner.measure_delay(stale, view, samples, names)

    def optimum(self, metric: str) -> float:
        """The inner learner's."""
        return self.learner.optimum(metric)

    def changed_rows(self, message: Any) -> Any:
        """The inner learner's."""
        return self.learner.changed_rows(message)

    def at_hand(self, message: Any, view: Any) -> Any:
        """The inner learner's."""
        return self.learner.at_hand(message, view)

    def gather(self, sums: Any, message: Any, delay: Int[Array, ""], stale: Any = None) -> Any:
        """The inner learner's."""
        return self.learner.gather(sums, message, delay, *((stale,) if self.needs_stale else ()))

    def apply_mean(self, state: Any, mean: Any, delay: Int[Array, ""]) -> Any:
        """The inner learner's, or this wrapper's ``apply`` where a mean is a message like any other."""
        if type(self.learner).apply_mean is AbstractLearner.apply_mean:
            return self.apply(state, mean, delay)
        if type(self).apply is not WrappedLearner.apply:
            kind, inner = type(self).__name__, name_of(self.learner)
            raise ValueError(
                f"The schedule averages messages, and {kind} changes apply but not apply_mean, by which a mean of "
                f"{inner}'s messages is applied; give {kind} an apply_mean too."
            )
        return self.learner.apply_mean(state, mean, delay)


class PlainLearner(WrappedLearner):
    """A class with the five methods, and with whatever else of a learner it has."""

    num_words: ClassVar[Any] = property(lambda self: getattr(self.learner, "num_words", 0))
    needs_stale: ClassVar[Any] = property(lambda self: getattr(self.learner, "needs_stale", False))
    metric_names: ClassVar[Any] = property(lambda self: tuple(getattr(self.learner, "metric_names", ())))
    measures_together: ClassVar[Any] = property(lambda self: getattr(self.learner, "measures_together", False))
    worker_metric_names: ClassVar[Any] = property(lambda self: tuple(getattr(self.learner, "worker_metric_names", ())))
    delay_metric_names: ClassVar[Any] = property(lambda self: tuple(getattr(self.learner, "delay_metric_names", ())))
    run_scalars: ClassVar[Any] = property(
        lambda self: tuple(f"learner.{name}" for name in getattr(self.learner, "run_scalars", ()))
    )

    def __post_init__(self) -> None:
        """It is taken as it is."""

    def apply(self, state: Any, message: Any, delay: Int[Array, ""], stale: Any = None) -> Any:
        """The class's own."""
        return self.learner.apply(state, message, delay, *((stale,) if self.needs_stale else ()))

    def measure(self, state: Any, names: tuple[str, ...], key: jax.Array) -> dict[str, Any]:
        """The class's own, which may leave the key out."""
        method = self._own("measure", "metric_names")
        return method(state, names, *((key,) if _takes(method, 3) else ()))

    def measure_workers(self, workers: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """The class's own."""
        return self._own("measure_workers", "worker_metric_names")(workers, names)

    def measure_delay(self, stale: Any, view: Any, samples: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """The class's own."""
        return self._own("measure_delay", "delay_metric_names")(stale, view, samples, names)

    def optimum(self, metric: str) -> float:
        """The class's own, if it knows any."""
        return self.learner.optimum(metric) if hasattr(self.learner, "optimum") else math.nan

    def changed_rows(self, message: Any) -> Any:
        """The class's own, if it has any."""
        return self.learner.changed_rows(message) if hasattr(self.learner, "changed_rows") else None

    def at_hand(self, message: Any, view: Any) -> Any:
        """The class's own, if it has any."""
        return self.learner.at_hand(message, view) if hasattr(self.learner, "at_hand") else message

    def gather(self, sums: Any, message: Any, delay: Int[Array, ""], stale: Any = None) -> Any:
        """The class's own, which may leave the delay out, or leaf by leaf."""
        method = getattr(self.learner, "gather", None)
        if method is None:
            return AbstractLearner.gather(self, sums, message, delay, stale)
        more = (delay, stale) if self.needs_stale else (delay,) if _takes(method, 3) else ()
        return method(sums, message, *more)

    def apply_mean(self, state: Any, mean: Any, delay: Int[Array, ""]) -> Any:
        """The class's own, or its ``apply``."""
        if hasattr(self.learner, "apply_mean"):
            return self.learner.apply_mean(state, mean, delay)
        return AbstractLearner.apply_mean(self, state, mean, delay)

    def _own(self, method: str, names: str) -> Any:
        if not hasattr(self.learner, method):
            raise unwritten(self.learner, method, names)
        return getattr(self.learner, method)


def adopted(learner: Any) -> AbstractLearner:
    """``learner``, or what takes in a class that has the five methods.

    Raises:
        ValueError: if it has not.
    """
    if isinstance(learner, AbstractLearner):
        return learner
    kind = type(learner).__name__
    missing = [name for name in METHODS if not callable(getattr(learner, name, None))]
    if missing:
        raise ValueError(
            f"learner is a {kind}, which has no method {' nor '.join(missing)}; derive it from a3cjax.AbstractLearner "
            f"and write {', '.join(METHODS)}."
        )
    if hasattr(learner, "gather") != hasattr(learner, "apply_mean"):
        raise ValueError(
            f"a {kind} has one of gather and apply_mean; give it both, or neither if its messages are to be averaged "
            "leaf by leaf."
        )
    return PlainLearner(learner)


def adds_leaf_by_leaf(learner: AbstractLearner) -> bool:
    """Whether messages are averaged as the contract has it by default."""
    if isinstance(learner, PlainLearner):
        return not hasattr(learner.learner, "gather")
    if isinstance(learner, WrappedLearner) and type(learner).gather is WrappedLearner.gather:
        return adds_leaf_by_leaf(learner.learner)
    return type(learner).gather is AbstractLearner.gather


def unwrapped(learner: Any) -> Any:
    """The learner as the user gave it."""
    return learner.learner if isinstance(learner, PlainLearner) else learner


def name_of(learner: Any) -> str:
    """What a user calls the learner's class."""
    return type(unwrapped(learner)).__name__


def _takes(method: Any, count: int) -> bool:
    """Whether a method can be given so many positional arguments."""
    try:
        inspect.signature(method).bind(*range(count))
    except TypeError:
        return False
    return True
