"""Workers that read after their own writes, in any loop: gradients wait where they were computed."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from a3cjax.optax.door import check_arguments, check_end, check_extra, check_memory, check_params, nan_where
from a3cjax.schedules import Schedule


class MailboxState(NamedTuple):
    """After so many ``calls``: the gradient that each worker will send next, [N, …] each leaf.

    ``worker``: whose gradient the next call takes. ``inner``: the optimiser's own state.
    """

    calls: Int[Array, ""]
    worker: Int[Array, ""]
    waiting: Any
    inner: Any


def mailbox(inner: optax.GradientTransformation, schedule: Schedule) -> optax.GradientTransformationExtraArgs:
    """An optimiser whose gradients land when the schedule's workers do: exact for workers that read after their writes.

    The training loop stays as it is, and its parameters are the server's. N workers have one gradient each under way,
    so one is needed from each before any can land: the first N calls take the gradients, at the start w_0, of workers
    0, …, N − 1, and the first N − 1 of them change nothing. Call N − 1 + k makes update k, with the gradient that its
    worker left, and the next call takes that worker's next gradient, at what it has just made: ``state.worker`` says
    whose. K updates take N − 1 + K calls.

    - In a chain, transformations before it work on gradients as they are computed, those after it, like ``inner``, as
      they land. Extra arguments are handed to ``inner`` as they are when a gradient lands, and the schedule's ``delay``
      with them; rules of ``a3cjax.remedies`` that need ``stale`` too are for ``delayed``, which keeps old parameters.
    - A schedule has an end. One call more raises an error; in a compiled loop, where the count is not known, every
      update from there on is NaN.

    Args:
        inner: the server's optimiser, any optax transformation.
        schedule: K updates of N workers, ``own_reads`` as from ``Schedule.from_workers`` without latencies.

    Raises:
        ValueError: if one of them is none, the schedule is a batch, is traced, averages messages or has an update that
            is not computed from what its worker read after its last; on ``init`` if some parameter has no gradient or
            the gradients do not fit into memory; on ``update`` if a gradient is of another type than its parameter, and
            beyond the schedule's end.

    >>> import a3cjax, jax, jax.numpy as jnp, optax
    >>> schedule = a3cjax.Schedule(worker=[0, 1, 0], delay=[0, 1, 1], time=[1.0, 2.0, 3.0])
    >>> optimizer = a3cjax.optax.mailbox(optax.sgd(0.5), schedule)
    >>> params = jnp.float32(8.0)
    >>> state = optimizer.init(params)
    >>> for _ in range(2 - 1 + 3):
    ...     changes, state = optimizer.update(params, state, params)  # of ½ w² the gradient is w
    ...     params = optax.apply_updates(params, changes)
    ...     print(float(params), int(state.worker))
    8.0 1
    4.0 0
    0.0 1
    -2.0 0
    """
    check_arguments(inner, schedule)
    worker = np.asarray(schedule.worker, np.int32)
    _check_own_reads(schedule, worker)
    inner = optax.with_extra_args_support(inner)
    first, last = schedule.num_workers - 1, schedule.num_updates
    calls = first + last
    # Call c takes the gradient of readers[c]; the last update has a reader too, whom nobody asks any more.
    readers = jnp.asarray(np.append(np.arange(schedule.num_workers, dtype=np.int32), worker))
    writers, delays = jnp.asarray(worker), jnp.asarray(schedule.delay, jnp.int32)

    def init(params):
        check_params(params)
        check_memory("The number of workers", schedule.num_workers, params)
        waiting = jax.tree.map(lambda leaf: jnp.zeros((first + 1, *jnp.shape(leaf)), jnp.result_type(leaf)), params)
        return MailboxState(jnp.int32(0), jnp.int32(0), waiting, inner.init(params))

    def update(updates, state, params=None, **extra_args):
        told = f"{calls:,} calls, {first:,} that begin and {last:,} updates"
        check_end(state.calls, calls, told)
        _check_types(updates, state.waiting)
        k = state.calls - first
        waiting = jax.tree.map(lambda kept, new: kept.at[state.worker].set(new), state.waiting, updates)
        lands = writers[jnp.clip(k, 0, last - 1)]
        check_extra(extra_args, "delay")
        landing = jax.tree.map(lambda kept: kept[lands], waiting)
        delay = delays[jnp.clip(k, 0, last - 1)]
        changes, own = inner.update(landing, state.inner, params, **extra_args, delay=delay)
        changes = jax.tree.map(lambda leaf: jnp.where(k < 0, jnp.zeros_like(leaf), leaf), changes)
        own = jax.tree.map(lambda before, after: jnp.where(k < 0, before, after), state.inner, own)
        count = state.calls + 1
        reader = readers[jnp.minimum(count, calls)]
        return nan_where(k >= last, changes), MailboxState(count, reader, waiting, own)

    return optax.GradientTransformationExtraArgs(init, update)


def _check_own_reads(schedule: Schedule, worker: np.ndarray) -> None:
    if schedule.own_reads:
        return
    last = np.full(schedule.num_workers, -1)
    for k, (i, delay) in enumerate(zip(worker.tolist(), np.asarray(schedule.delay).tolist(), strict=True)):
        if delay != k - 1 - last[i]:
            raise ValueError(
                f"schedule.delay[{k}] is {delay}, but worker {i}, which last wrote "
                f"{'never' if last[i] < 0 else f'update {last[i]}'}, would have {k - 1 - last[i]} had it read after "
                "that; a mailbox of gradients is exact for such workers only, so use a3cjax.optax.delayed."
            )
        last[i] = k


def _check_types(gradient: Any, waiting: Any) -> None:
    leaves = jax.tree.leaves(waiting)
    for (path, leaf), kept in zip(jax.tree_util.tree_leaves_with_path(gradient), leaves, strict=False):
        if jnp.result_type(leaf) != kept.dtype or jnp.shape(leaf) != kept.shape[1:]:
            raise ValueError(
                f"gradient{jax.tree_util.keystr(path)} is {jnp.result_type(leaf)}{list(jnp.shape(leaf))}, but its "
                f"parameter is {kept.dtype}{list(kept.shape[1:])}; a gradient waits in the type of its parameter, so "
                "cast it."
            )
