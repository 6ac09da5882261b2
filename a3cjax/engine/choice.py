"""Which history a simulation keeps, and how much of it."""

from typing import Any

import jax
import numpy as np

from a3cjax._core import check
from a3cjax.engine.history.protocol import Kind, shapes_of
from a3cjax.engine.memory import bytes_of
from a3cjax.engine.saved import SavedState
from a3cjax.learners.protocol import without_samples
from a3cjax.schedules import Schedule
from a3cjax.schedules.slots import Places, allocated

_LARGE = 1 << 12  # bytes of a view; the rows of smaller ones cost less than leaves apart


def choose(
    history: str, depth: int | None, schedule: Schedule, resume: SavedState | None, learner: Any
) -> tuple[str, int, Places | None]:
    """The history's name, how many versions it keeps, and where these lie if the schedule says so.

    A mailbox keeps N messages and versions N views, so that views are kept where messages are no smaller, if they are
    large. A ring can go on with any delays that it has room for, and versions with those alone that were known; so
    these have to take half of the ring's memory at most.
    """
    kept = _choose_history(history, schedule, resume)
    if kept == "versions":
        places = _places(depth, schedule)
        return kept, places.slots, places
    depth_of_ring = _choose_depth(depth, kept, schedule)
    if history == "auto" and resume is None and depth is None and _is_large(learner):
        places = _places(None, schedule)
        if kept == "mailbox" or 2 * places.slots <= depth_of_ring:
            return "versions", places.slots, places
    return kept, depth_of_ring, None


def _is_large(learner: Any) -> bool:
    """Whether views are large, messages no smaller, and no leaf of a view a table of which few rows change."""
    shapes = shapes_of(Kind.of(learner))
    view = bytes_of(shapes.view)
    if view < _LARGE or bytes_of(without_samples(shapes.message)) < view:
        return False
    return not jax.tree.leaves(jax.eval_shape(learner.changed_rows, shapes.message))


def _places(depth: int | None, schedule: Schedule) -> Places:
    if not check.is_concrete(schedule):
        raise ValueError(
            "history is 'versions', but the schedule is being traced, and versions are given their slots before a run "
            "begins; close over the schedule instead of passing it to jit, or use history='ring'."
        )
    if depth is not None:
        raise ValueError(
            f"depth is {depth}, but the schedule says how many versions are alive at once; leave it out or use 'ring'."
        )
    reads, worker = (np.atleast_2d(np.asarray(column)) for column in (schedule.reads, schedule.worker))
    return allocated(np.asarray(schedule.versions), reads, worker, schedule.num_workers, schedule.own_reads)


def _choose_history(history: str, schedule: Schedule, resume: SavedState | None) -> str:
    concrete = check.is_concrete(schedule)
    if resume is not None:
        if history not in ("auto", resume.history):
            raise ValueError(
                f"history is {history!r}, but resume was saved with {resume.history!r}; leave it at 'auto'."
            )
        history = resume.history
    if history == "versions":
        return history
    if schedule.commit is not None:
        if history == "mailbox":
            raise ValueError(
                "history is 'mailbox', but the schedule has a commit column, so that messages are averaged and reads "
                "are not the workers' own writes; use history='ring'."
            )
        return "ring"
    if history == "auto" and not concrete:
        raise ValueError(
            "history is 'auto', but the schedule is being traced and cannot be looked at; give 'mailbox' if every "
            "worker reads right after its own write (Schedule.from_workers without latencies), else 'ring'."
        )
    own_reads = concrete and bool(np.all(schedule.own_reads))
    if history == "auto":
        return "mailbox" if own_reads else "ring"
    if history == "mailbox" and concrete and not own_reads:
        raise ValueError(
            "history is 'mailbox', but in this schedule some worker does not read right after its own write "
            "(schedule.own_reads is False); use history='ring'."
        )
    return history


def _choose_depth(depth: int | None, history: str, schedule: Schedule) -> int:
    if history == "mailbox":
        if depth is not None:
            raise ValueError(f"depth is {depth}, but the mailbox keeps no past versions; leave it out or use 'ring'.")
        return 0
    concrete = check.is_concrete(schedule)
    needed = int(np.max(schedule.max_delay)) + 1 if concrete else schedule.num_messages
    if depth is None:
        return 1 << (needed - 1).bit_length()
    depth = check.integer("depth", depth, 1)
    if concrete and depth < needed:
        raise ValueError(f"depth is {depth}, but the largest delay is {needed - 1}; use at least {needed}.")
    return depth
