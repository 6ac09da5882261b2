"""What the engine asks of a learner: the paper's two views of one update."""

import abc
import dataclasses
import math
from typing import Any, ClassVar, Protocol, dataclass_transform, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from a3cjax._core.tree import pytree, static
from a3cjax._xla.marks import read_row

METHODS = ("init", "init_worker", "view", "propose", "apply")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field, static))
class AbstractLearner(abc.ABC):
    """Hyper-parameters, and pure methods on the state of one run; the engine batches runs and owns staleness.

    A subclass is a frozen dataclass and a pytree by inheritance: declare fields as in a dataclass, those that belong to
    the program rather than to the data with ``a3cjax.static()``. Five methods are to be written. State, views, messages
    and workers' states are pytrees of arrays, whose shapes and dtypes stay what ``init`` and ``init_worker`` made them.

    A message may be a NamedTuple with a field ``samples``: what the update was computed from, logged with
    ``transitions=True`` and dropped otherwise.

    Everything else has a default:

    - ``num_words``: 0 hands ``propose`` a JAX key; n > 0 hands it n 32-bit random words, which the engine makes for
      many updates at once. Both belong to the worker.
    - ``needs_stale``: whether ``apply`` and ``gather`` are handed the view that the message was computed from.
    - ``run_scalars``: names of fields ("step"), or of fields of fields ("prior.weight"), that may be given one for each
      run, as [B]; a field that is a pytree ("optimizer") stands for all scalars in it.
    - ``metric_names``, ``measure``: what is recorded of a state; ``measures_together`` says whether all runs of a batch
      are measured side by side, which is faster where a metric takes a simulation of its own, and whose last digits may
      then depend on the batch. A run's own bits never depend on what is measured.
    - ``worker_metric_names``, ``measure_workers``: what is recorded of the workers' own states.
    - ``measurer``: what of the learner its metrics depend on.
    - ``delay_metric_names``, ``measure_delay``: what a delay has done to one update.
    - ``optimum``: the best that a metric can come to, for studies that speak of the way there.
    - ``changed_rows``: the few rows of large tables that a message changes, of which the ring then keeps a log.
    - ``gather``, ``apply_mean``: how messages are averaged where a schedule says so.
    - ``at_hand``: what a message becomes, before it is gathered, at the view that it finds at the server.

    >>> import a3cjax, jax, jax.numpy as jnp
    >>> class SignDescent(a3cjax.AbstractLearner):
    ...     '''x ← x − step · sign(x + noise).'''
    ...     step: jax.Array
    ...     metric_names = ("distance",)
    ...
    ...     def init(self, key):
    ...         return jnp.ones(3)
    ...
    ...     def init_worker(self, key):
    ...         return ()
    ...
    ...     def view(self, state):
    ...         return state
    ...
    ...     def propose(self, view, worker_state, key):
    ...         return jnp.sign(view + jax.random.normal(key, (3,))), worker_state
    ...
    ...     def apply(self, state, message, delay, stale=None):
    ...         return state - self.step * message / (1 + delay)
    ...
    ...     def measure(self, state, names, key):
    ...         return {"distance": jnp.linalg.norm(state)}
    >>> schedule = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Uniform(0, 3), num_updates=200)
    >>> result = a3cjax.simulate(SignDescent(jnp.float32(0.1)), schedule, jax.random.key(1))
    >>> bool(result.metrics["distance"][-1] < 0.7)
    True
    """

    num_words: ClassVar[int] = 0
    needs_stale: ClassVar[bool] = False
    # Run-updates up to which a program is compiled quickly and not well; only where the bits are the same either way.
    little_work: ClassVar[int] = 0
    # Whether metrics of most states need only the quick one of two ways, see ``_xla.choice.general_left_out``.
    quickly_measured: ClassVar[bool] = False
    run_scalars: ClassVar[tuple[str, ...]] = ()
    metric_names: ClassVar[tuple[str, ...]] = ()
    measures_together: ClassVar[bool] = False
    worker_metric_names: ClassVar[tuple[str, ...]] = ()
    delay_metric_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        pytree(cls)

    @abc.abstractmethod
    def init(self, key: jax.Array) -> Any:
        """The server's state before the first update."""

    @abc.abstractmethod
    def init_worker(self, key: jax.Array) -> Any:
        """One worker's own state (A3C: its two chains)."""

    @abc.abstractmethod
    def view(self, state: Any) -> Any:
        """What a worker copies when it reads."""

    @abc.abstractmethod
    def propose(self, view: Any, worker_state: Any, key: Array) -> tuple[Any, Any]:
        """The worker's side: from a possibly stale view, what it sends, and its own next state."""

    @abc.abstractmethod
    def apply(self, state: Any, message: Any, delay: Int[Array, ""], stale: Any = None) -> Any:
        """The server's side: the update. ``stale``: see ``needs_stale``."""

    def measure(self, state: Any, names: tuple[str, ...], key: jax.Array) -> dict[str, Any]:
        """The metrics ``names`` of a state, each an array.

        The key belongs to the run and its update count; no proposal ever draws from it.
        """
        raise unwritten(self, "measure", "metric_names")

    def measure_workers(self, workers: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """The metrics ``names`` of all workers' own states, which are stacked, [N, …]."""
        raise unwritten(self, "measure_workers", "worker_metric_names")

    def measure_delay(self, stale: Any, view: Any, samples: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """The metrics ``names`` of an update computed from the view ``stale``, and applied where ``view`` was newest.

        ``samples`` is what its message logs, or None. Both views are whole; for a delay of 0 they are the same bits.
        """
        raise unwritten(self, "measure_delay", "delay_metric_names")

    def measurer(self) -> Any:
        """Who has ``measure``, ``measure_workers`` and ``view``: the learner itself, or what of it they depend on.

        Simulations that measure the same share its program, so what differs between them is best left out: a pytree
        with these methods and the class's names of metrics, whose leaves are called as the learner's are.
        """
        return self

    def optimum(self, metric: str) -> float:
        """The best value that a metric can come to, or NaN where nobody knows."""
        del metric
        return math.nan

    def changed_rows(self, message: Any) -> Any:
        """For each leaf of the view in order the rows [r] of a table that the message changes, or None for any.

        A table whose changed rows are told is read through ``table_row``. None in place of them all: no leaf is one.
        """
        del message

    def at_hand(self, message: Any, view: Any) -> Any:
        """What is gathered of a message where ``view`` is the newest; by default the message itself.

        For messages of data, of which the server computes the gradient. The view stays until a commit.
        """
        del view
        return message

    def gather(self, sums: Any, message: Any, delay: Int[Array, ""], stale: Any = None) -> Any:
        """The sums of messages, any floats, with one more; None stands for no sums, and so do zeros.

        By default messages are added leaf by leaf, without their samples, whatever their delays.
        """
        del delay, stale
        message = without_samples(message)
        return message if sums is None else jax.tree.map(jnp.add, sums, message)

    def apply_mean(self, state: Any, mean: Any, delay: Int[Array, ""]) -> Any:
        """One update by the sums divided by the number of messages; ``delay`` is the greatest of theirs.

        By default the mean is a message like any other.
        """
        check_means(self, self.needs_stale)
        return self.apply(state, mean, delay)


@runtime_checkable
class Learner(Protocol):
    """The five methods of ``AbstractLearner``. A class that has them is a learner, if JAX knows it as a pytree.

    It may have any of the optional attributes and methods too.
    """

    def init(self, key: jax.Array) -> Any:
        """The server's state before the first update."""
        ...

    def init_worker(self, key: jax.Array) -> Any:
        """One worker's own state."""
        ...

    def view(self, state: Any) -> Any:
        """What a worker copies when it reads."""
        ...

    def propose(self, view: Any, worker_state: Any, key: Array) -> tuple[Any, Any]:
        """What a worker sends, and its own next state."""
        ...

    def apply(self, state: Any, message: Any, delay: Int[Array, ""]) -> Any:
        """The server's state after a message."""
        ...


def apply_message(learner: AbstractLearner, state: Any, message: Any, delay: Int[Array, ""], stale: Any) -> Any:
    """``learner.apply``, with the stale view if the learner needs it."""
    return learner.apply(state, message, delay, *((stale,) if learner.needs_stale else ()))


def gather_message(
    learner: AbstractLearner, sums: Any, message: Any, delay: Int[Array, ""], stale: Any, view: Any
) -> Any:
    """Likewise ``learner.gather``, of what the message becomes at the server's ``view``."""
    message = learner.at_hand(message, view)
    return learner.gather(sums, message, delay, *((stale,) if learner.needs_stale else ()))


def check_means(learner: AbstractLearner, needs_stale: bool) -> None:
    """Refuse to apply a mean of messages where the learner needs a stale view."""
    if needs_stale:
        kind = type(learner).__name__
        raise ValueError(
            f"The schedule averages messages, and {kind} needs the stale view of each, which a mean does not have; "
            f"give {kind} gather, which is handed it, and apply_mean."
        )


def samples_of(message: Any) -> Any:
    """What the message logs, or None."""
    return getattr(message, "samples", None)


def without_samples(message: Any) -> Any:
    """The message with nothing to log."""
    return message if samples_of(message) is None else message._replace(samples=None)


def table_row(table: Any, index: Int[Array, ""]) -> Array:
    """Row ``index`` of a leaf of a view: an array, or a past version that the engine looks up row by row.

    Reading a large table through this function spares the ring history a copy of the whole table per update.
    """
    if hasattr(table, "row"):
        return table.row(index)
    return read_row(table, index)


def unwritten(learner: Any, method: str, names: str) -> ValueError:
    """The error of a learner that promises metrics and has no method for them."""
    kind = type(learner).__name__
    return ValueError(f"{kind}.{names} promises metrics, but {kind} has no method {method}; write it, or promise none.")
