"""Metrics of a batch of runs, measured run by run."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

from a3cjax._core import check
from a3cjax.engine.randomness import measuring_key
from a3cjax.learners.wrapped import name_of

FINITE = "_finite"  # the metric that every run records


class Shown(NamedTuple):
    """What a metric may be of: the server's state, and the workers' own [N, …] if some metric is of them."""

    state: Any
    workers: Any = ()


def measure_state(
    metrics: tuple[tuple[str, Any], ...],
    learner: Any,
    shown: Shown,
    keys: UInt32[Array, "lanes 2"],
    updates: Int[Array, " lanes"],
    real: Int[Array, ""],
) -> dict[str, Any]:
    """Metrics of the first ``real`` lanes, each after its ``updates``, and whether their parameters are finite."""
    named = _names(metrics)
    one_of_all = learner.of_run(0)
    of_workers = tuple(name for name in named if name in one_of_all.worker_metric_names)
    of_state = tuple(name for name in named if name not in of_workers)

    def one(single, at):
        (state, workers), key, updates = at
        known = {}
        if of_state:
            known |= _promised(
                "measure", single, of_state, lambda: single.measure(state, of_state, measuring_key(key, updates))
            )
        if of_workers:
            known |= _promised(
                "measure_workers", single, of_workers, lambda: single.measure_workers(workers, of_workers)
            )
        values = {
            name: _array(repr(name), known[metric]) if isinstance(metric, str) else called(name, metric, state)
            for name, metric in metrics
        }
        return values | {FINITE: all_finite(single.view(state))}

    if one_of_all.measures_together:
        return learner.vmap(one, in_axes=(0,))((shown, keys, updates))
    return _run_by_run(one, learner, (shown, keys, updates), real)


def measure_delay(
    metrics: tuple[tuple[str, str], ...], learner: Any, samples: Any, stale: Any, state: Any, real: Int[Array, ""]
) -> dict[str, Any]:
    """Metrics of updates [lanes] computed from ``samples`` and the views ``stale``, and applied to ``state``."""
    names = _names(metrics)

    def one(single, at):
        samples, stale, state = at
        known = _promised(
            "measure_delay", single, names, lambda: single.measure_delay(stale, single.view(state), samples, names)
        )
        return {name: _array(repr(name), known[metric]) for name, metric in metrics}

    return _run_by_run(one, learner, (samples, stale, state), real)


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every number in ``tree`` is finite."""
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.all(jnp.stack(leaves)) if leaves else jnp.bool_(True)


def _promised(method: str, learner: Any, names: tuple[str, ...], call: Callable[[], Any]) -> Mapping[str, Any]:
    """What ``measure`` or ``measure_delay`` gives, or a ValueError if that is not all of ``names``."""
    whose = f"{name_of(learner)}.{method}"
    known = check.traceable(whose, call, "use jnp.where in place of if")
    if not isinstance(known, Mapping):
        raise ValueError(f"{whose} must return a dict of metrics by name, but returned a {type(known).__name__}.")
    for name in names:
        if name not in known:
            listed = ", ".join(map(repr, known)) or "nothing"
            raise ValueError(
                f"{whose} was asked for {names}, but returned {listed}; return {name!r} too, or take it out of the "
                f"class's {'metric_names' if method == 'measure' else 'delay_metric_names'}."
            )
        if not jax.tree_util.all_leaves([known[name]]):
            kind = type(known[name]).__name__
            raise ValueError(f"{whose} returned a {kind} for {name!r}, but a learner's metric is one number.")
        shape = np.shape(known[name])
        if shape:
            raise ValueError(f"{whose} returned {name!r} of shape {shape}, but a learner's metric is one number.")
    return known


def called(name: str, metric: Callable[[Any], Any], state: Any) -> Any:
    """What a user's own function makes of the state: an array, or a dict, a tuple, any pytree of them."""
    value = check.traceable(f"the metric {name!r}", lambda: metric(state), "use jnp.where in place of if")
    paths = jax.tree_util.tree_flatten_with_path(value)[0]
    if not paths:
        raise ValueError(f"the metric {name!r} is {value!r}, in which there is no number to record; return one.")
    leaves = [_array(f"{name!r}{jax.tree_util.keystr(path)}", leaf) for path, leaf in paths]
    return jax.tree.unflatten(jax.tree.structure(value), leaves)


def _array(name: str, value: Any) -> Array:
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the metric {name} is a {type(value).__name__}, but must be a number or an array, or a dict or a tuple of "
            "them."
        ) from error
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        raise ValueError(f"the metric {name} is a JAX key, which cannot be recorded; return jax.random.key_data of it.")
    return array


def _names(metrics: tuple[tuple[str, Any], ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(metric for _, metric in metrics if isinstance(metric, str)))


def _run_by_run(
    one: Callable[[Any, Any], dict[str, Any]], learner: Any, known: Any, real: Int[Array, ""]
) -> dict[str, Any]:
    """``one`` of every real lane, one after the other: a run's numbers do not depend on who is beside it."""

    def load(b):
        return learner.of_run(b), jax.tree.map(lambda leaf: leaf[b], known)

    def write(out, b, values):
        return jax.tree.map(lambda o, v: o.at[b].set(v), out, values)

    def measure_run(b, loop):
        # A run's state comes in, and its values go out, through the loop's carry, so that what is computed between
        # is compiled the same for any number of lanes.
        out, values, loaded = loop
        out = write(out, jnp.maximum(b - 1, 0), values)
        return out, one(*loaded), load(jnp.minimum(b + 1, lanes - 1))

    lanes = jax.tree.leaves(known)[0].shape[0]
    shapes = jax.eval_shape(lambda: one(*load(0)))
    values = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), shapes)
    out = jax.tree.map(lambda v: jnp.zeros((lanes, *v.shape), v.dtype), shapes)
    out, values, _ = lax.fori_loop(0, real, measure_run, (out, values, load(0)))
    return write(out, real - 1, values)
