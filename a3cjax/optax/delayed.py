"""Any delays in any loop: the loop's parameters are stale, the optimiser's state holds the server's."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from a3cjax.optax.door import check_arguments, check_end, check_extra, check_memory, check_params, nan_where
from a3cjax.schedules import Schedule
from a3cjax.schedules.slots import alive


class DelayedState(NamedTuple):
    """After so many ``updates``: what the server has, and what the next gradient is computed from.

    ``worker`` and ``delay`` are those of the next update, of the last one when the schedule is over. ``server``: the
    newest parameters. ``past``: versions still to be read, [slots, …] each leaf; ``slot``: which one the loop's
    parameters are. ``inner``: the optimiser's own state.
    """

    updates: Int[Array, ""]
    worker: Int[Array, ""]
    delay: Int[Array, ""]
    slot: Int[Array, ""]
    server: Any
    past: Any
    inner: Any


def delayed(inner: optax.GradientTransformation, schedule: Schedule) -> optax.GradientTransformationExtraArgs:
    """An optimiser whose update k lands on the server's parameters w_k, computed from w_{k−τ_k}: exact for any delays.

    The training loop stays as it is. What it takes for its parameters is the version that the worker of the next update
    has read, v_k = w_{k−τ_k}, and the update that it is given leads from there to the next worker's:

        w_{k+1} = w_k + inner(gradient at v_k),        update = v_{k+1} − v_k.

    After the schedule's last update the loop's parameters are w_K, the server's. Until then evaluate
    ``server_params(state)``. ``inner`` is handed w_k as its parameters, as for weight decay, and, if it takes extra
    arguments, τ_k as ``delay`` and v_k as ``stale``: ``a3cjax.remedies``.

    - It comes last: in a chain, transformations before it see stale gradients as a worker would, and none may follow.
      Nothing but ``optax.apply_updates`` may change the loop's parameters.
    - v_k + (v_{k+1} − v_k) rounds, so the loop's parameters may be off v_{k+1} in their last digit. That does not add
      up, for versions are kept as they are; ``stale_params(state)`` is v_k to the bit.
    - A schedule has an end. One call more raises an error; in a compiled loop, where the count is not known, every
      update from there on is NaN.

    Args:
        inner: the server's optimiser, any optax transformation.
        schedule: K updates, drawn from workers or a law, without averaging.

    Raises:
        ValueError: if one of them is none, the schedule is a batch, is traced or averages messages; on ``init`` if some
            parameter has no gradient or the versions do not fit into memory; on ``update`` without ``params``, with a
            ``delay`` or ``stale`` of the caller's, and beyond the schedule's end.

    >>> import a3cjax, jax, jax.numpy as jnp, optax
    >>> schedule = a3cjax.Schedule(worker=[0, 1, 0], delay=[0, 1, 1], time=[1.0, 2.0, 3.0])
    >>> optimizer = a3cjax.optax.delayed(optax.sgd(0.5), schedule)
    >>> params = jnp.float32(8.0)
    >>> state = optimizer.init(params)
    >>> for _ in range(3):  # w ← w − ½ v with v the newest w, that before, and that before
    ...     gradient = params
    ...     changes, state = optimizer.update(gradient, state, params)
    ...     params = optax.apply_updates(params, changes)
    ...     print(float(gradient), float(a3cjax.optax.server_params(state)))
    8.0 4.0
    8.0 0.0
    4.0 -2.0
    >>> float(params)
    -2.0
    """
    check_arguments(inner, schedule)
    takes_more = isinstance(inner, optax.GradientTransformationExtraArgs)
    inner = optax.with_extra_args_support(inner)
    last = schedule.num_updates
    reads, worker, delay = (np.asarray(column) for column in (schedule.reads, schedule.worker, schedule.delay))
    place = alive(np.append(reads, last))  # in the end the newest version is read
    to = jnp.asarray(place.write, jnp.int32)
    columns = [jnp.asarray(np.append(column, column[-1:]), jnp.int32) for column in (worker, delay)]
    columns.append(jnp.asarray(place.read, jnp.int32))

    def state_at(count, server, past, own):
        worker, delay, slot = (column[jnp.minimum(count, last)] for column in columns)
        return DelayedState(count, worker, delay, slot, server, past, own)

    def init(params):
        check_params(params)
        check_memory("The number of past versions", place.slots, params)
        server = jax.tree.map(jnp.asarray, params)
        past = jax.tree.map(lambda leaf: jnp.zeros((place.slots, *leaf.shape), leaf.dtype).at[0].set(leaf), server)
        return state_at(jnp.int32(0), server, past, inner.init(params))

    def update(updates, state, params=None, **extra_args):
        if params is None:
            raise ValueError("update needs the loop's parameters; call update(gradient, state, params).")
        check_end(state.updates, last, f"{last:,} updates")
        check_extra(extra_args, "delay", "stale")
        if takes_more:
            extra_args |= {"delay": state.delay, "stale": stale_params(state)}
        changes, own = inner.update(updates, state.inner, state.server, **extra_args)
        server = optax.apply_updates(state.server, changes)
        count = state.updates + 1
        here = to[jnp.minimum(count, last)]
        past = jax.tree.map(lambda kept, leaf: kept.at[here].set(leaf), state.past, server)
        state = state_at(count, server, past, own)
        moves = jax.tree.map(lambda view, leaf: view - leaf, stale_params(state), params)
        return nan_where(count > last, moves), state

    return optax.GradientTransformationExtraArgs(init, update)


def server_params(state: Any) -> Any:
    """The server's parameters, the newest, in the state of a ``delayed`` optimiser or of a chain that holds one.

    Raises:
        ValueError: if there is none in it, or more than one.
    """
    return _delayed_state(state).server


def stale_params(state: Any) -> Any:
    """What the next gradient is computed from, to the bit; ``state`` as for ``server_params``."""
    found = _delayed_state(state)
    return jax.tree.map(lambda kept: kept[found.slot], found.past)


def _delayed_state(state: Any) -> DelayedState:
    def is_one(node):
        return isinstance(node, DelayedState)

    found = [node for node in jax.tree.leaves(state, is_leaf=is_one) if is_one(node)]
    if len(found) != 1:
        raise ValueError(
            f"state holds {len(found) or 'no'} states of a3cjax.optax.delayed, but must hold one; with mailbox the "
            "loop's own parameters are the server's."
        )
    return found[0]
