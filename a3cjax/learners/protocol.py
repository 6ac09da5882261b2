"""What the engine asks of a learner: the paper's two views of one update."""

from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Int

from a3cjax._rows import read_row


@runtime_checkable
class Learner(Protocol):
    """A frozen pytree of hyper-parameters with pure methods on one run; the engine batches and owns staleness.

    State, views, messages and worker states are pytrees of arrays of any type, typed JAX keys among them. Structure,
    shapes and types are those that ``init`` and ``init_worker`` begin with; what changes them is refused. A message may
    have a field ``samples`` (then it is a NamedTuple): what the update was computed from, logged with
    ``transitions=True`` and dropped otherwise.

    ``num_words`` says how a proposal draws: 0 hands ``propose`` a JAX key, n > 0 hands it n 32-bit random words,
    which the engine makes for many updates at once. Both belong to the worker.

    A learner that reports metrics has ``metric_names`` and ``measure(state, names) -> {name: scalar}``. One that can
    say what a delay adds to an update has ``delay_metric_names`` and ``measure_delay(stale, view, samples, names) ->
    {name: scalar}``, for an update computed from the view ``stale`` with ``samples`` (None if it logs none) and applied
    where ``view`` was the newest; both views are whole, and for a delay of 0 they are the same bits. A learner whose
    hyper-parameters may differ from run to run has ``run_scalars``, the names of the scalars (such as "actor_step" or
    "prior.weight") that may be given as [B]. One whose messages change a few rows of a large table may say so with
    ``changed_rows(message)``: for each leaf of the view in order, the rows [r] of such a table, else None; it then
    reads the table through ``table_row``, and the ring keeps those rows instead of copies of the table.

    Where a schedule averages messages (its ``commit`` column) they are added leaf by leaf, their samples left out, and
    ``apply`` is handed their mean. A learner whose messages have no such mean, because they are sparse or hold whole
    numbers, has a pair of methods instead: ``gather(sums, message) -> sums`` adds one message to sums of any floats
    (None stands for no sums, and so do zeros), and ``apply_mean(state, mean, delay) -> state`` makes one update of the
    sums divided by the number of messages. In both cases ``delay`` is the greatest of the messages'.
    """

    num_words: int

    def init(self, key: jax.Array) -> Any:
        """Server state before the first update."""
        ...

    def init_worker(self, key: jax.Array) -> Any:
        """One worker's own state (A3C: its two chains)."""
        ...

    def view(self, state: Any) -> Any:
        """What a worker copies when it reads."""
        ...

    def propose(self, view: Any, worker_state: Any, key: Array) -> tuple[Any, Any]:
        """The worker's side: from a possibly stale view, what it sends, and its own next state."""
        ...

    def apply(self, state: Any, message: Any, delay: Int[Array, ""]) -> Any:
        """The server's side: the update."""
        ...


def table_row(table: Any, index: Int[Array, ""]) -> Array:
    """Row ``index`` of a leaf of a view: an array, or a past version that the engine looks up row by row.

    Reading a large table through this function spares the ring history a copy of the whole table per update.
    """
    if hasattr(table, "row"):
        return table.row(index)
    return read_row(table, index)
