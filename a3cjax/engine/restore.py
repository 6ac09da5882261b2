"""A saved state, where a simulation is to go on from it."""

from typing import Any

import jax
import numpy as np

from a3cjax.engine.history.protocol import Carry
from a3cjax.engine.layout import Layout
from a3cjax.engine.plan import Plan
from a3cjax.engine.runs import Runs
from a3cjax.engine.saved import SavedState
from a3cjax.schedules.slots import held


def restored(saved: SavedState, plan: Plan, runs: Runs, layout: Layout, expected: Carry) -> Carry:
    """A saved state in the loop's layout, or a sentence why it does not fit."""
    k, depth = saved.updates, saved.depth
    if k > runs.num_updates:
        raise ValueError(
            f"resume stands after update {k}, but the schedule has {runs.num_updates}; give a schedule "
            "that continues the one it was made with."
        )
    if saved.leaves[0].shape[0] != runs.count:
        raise ValueError(
            f"resume holds {saved.leaves[0].shape[0]} runs, but there are {runs.count}; give the number of runs that "
            "it was made with."
        )
    saved.check_origin(runs.origin(k))
    wanted, structure = jax.tree.flatten(expected)
    if len(saved.leaves) != len(wanted) + len(known_versions(runs, k)):
        raise ValueError("resume belongs to another learner; give the learner that it was made with.")
    leaves, known = saved.leaves[: len(wanted)], saved.leaves[len(wanted) :]
    pairs = zip(leaves, wanted, strict=True)
    carry = jax.tree.unflatten(structure, [_typed(np.asarray(leaf), want.dtype) for leaf, want in pairs])
    if known:
        carry = plan.build(runs.one_learner()).rearranged(carry, _place_of_each(np.asarray(known[0]), runs, k))
    elif depth != plan.depth:
        for now, oldest in runs.oldest_reads(k):
            if oldest < now - depth + 1:
                raise ValueError(
                    f"resume holds versions {max(now - depth + 1, 0)} to {now}, but the schedule goes on to read "
                    f"version {oldest}; run its first part with depth={now - oldest + 1} or more."
                )
        carry = plan.build(runs.one_learner()).adopt(carry, k)
    for leaf, want in zip(jax.tree.leaves(carry), wanted, strict=True):
        shape = (layout.runs, *want.shape[1:])
        if leaf.shape != shape or leaf.dtype != want.dtype:
            raise ValueError(
                f"resume holds an array {leaf.dtype}{list(leaf.shape)} where {want.dtype}{list(shape)} is needed; "
                "give the learner, the number of runs, the schedule and the delay metrics that it was made with."
            )
    return jax.tree.map(layout.split, carry)


def known_versions(runs: Runs, k: int) -> tuple[Any, ...]:
    """What a saved state holds besides the carry: of versions that have slots, which lies in each, [B, slots]."""
    if runs.places is None:
        return ()
    known = held(runs.versions, runs.places, k)
    return (np.broadcast_to(known, (runs.count, runs.places.slots)),)


def _place_of_each(known: np.ndarray, runs: Runs, k: int) -> np.ndarray:
    """For each slot that the schedule, which may go on otherwise, gives to a version, the one where it lies, [B, …]."""
    (wanted,) = known_versions(runs, k)
    shape = runs.count, runs.num_updates - k
    newest = np.broadcast_to(runs.versions[..., k:], shape)
    reads = newest - runs.delay[:, k:]
    for new, mine, there, here in zip(newest, reads, wanted, known, strict=True):
        lost = np.setdiff1d(np.intersect1d(mine, there), here)
        if lost.size:
            raise ValueError(
                f"resume holds those past versions that its schedule was still to read, but this one goes on to read "
                f"version {lost[0]}; run its first part with history='ring' and depth={new[0] - lost[0] + 1} or more."
            )
    return np.argmax(known[:, None, :] == wanted[:, :, None], axis=2)  # what is lost is not read


def _typed(leaf: np.ndarray, dtype: Any) -> np.ndarray:
    """A leaf from a file, which keeps the bits of the types that NumPy does not know and not their names."""
    unnamed = leaf.dtype.kind == "V" and leaf.dtype.names is None and leaf.dtype.itemsize == np.dtype(dtype).itemsize
    return leaf.view(dtype) if unnamed and np.dtype(dtype).kind == "V" else leaf
