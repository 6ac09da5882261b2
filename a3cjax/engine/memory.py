"""What a simulation keeps, estimated before anything is allocated."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from a3cjax._core import check
from a3cjax._xla.backend import compiling_for
from a3cjax.engine.history.protocol import Kind, shapes_of
from a3cjax.engine.plan import Plan, backend_for
from a3cjax.engine.runs import Runs
from a3cjax.learners.protocol import samples_of


def check_memory(plan: Plan, runs: Runs, metrics: tuple[tuple[str, Any], ...], spacing: int) -> None:
    """Refuse a simulation whose records, samples or history do not fit the machine; all but they is small beside."""
    one = runs.one_learner()
    shapes = shapes_of(Kind.of(one))
    records = runs.num_updates // spacing
    each = sum(_size_of(metric, shapes.state) for _, metric in metrics)
    needed = 2 * records * each * runs.count  # where they are measured, and put together
    check.memory("record.every", spacing, needed, "record less often, or fewer metrics or runs")
    if plan.log:
        samples = runs.num_updates * runs.count * bytes_of(samples_of(shapes.message))
        check.memory("transitions", True, 2 * samples, "leave it out, or simulate fewer updates or runs at a time")
    kept = plan.depth * bytes_of(shapes.view) + plan.num_workers * bytes_of(
        (shapes.message, shapes.worker_state, shapes.view)
    )
    if kept * runs.count <= check.memory_of_machine():
        return
    # That was a bound: of a table's past only the rows that change are kept.
    with compiling_for(plan.backend):
        carry = jax.eval_shape(lambda: plan.build(one).start(one, jnp.zeros(2, jnp.uint32)))
    if plan.history in ("ring", "versions"):
        name = "depth" if plan.history == "ring" else "the number of versions alive at once"
        value, remedy = plan.depth, "cut the longest delays"
    else:
        name, value, remedy = "schedule.num_workers", plan.num_workers, "use fewer workers"
    needed = bytes_of(carry) * runs.count
    check.memory(name, value, needed, f"{remedy}, or simulate fewer of the {runs.count} runs at a time")


def _size_of(metric: Any, state: Any) -> int:
    """Bytes of one value of a metric, which is a number unless a function of the user makes it."""
    if isinstance(metric, str):
        return check.float_size()
    try:
        return bytes_of(jax.eval_shape(metric, state))
    except Exception:  # it is told where the metric is measured
        return 0


def bytes_of(shapes: Any) -> int:
    """Of all arrays of these shapes."""
    return sum(math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(shapes))


# Of a row of a schedule: worker, delay, rank and time, the same as they were drawn, and while they are put in order.
# Measured: 65 to 73 at the peak.
_BYTES_OF_AN_UPDATE = 72


def bytes_of_a_run(learner: Any, num_updates: int, spacing: int, metrics: int, depth: int) -> dict[str, float]:
    """What one run of a batch takes, by part: its schedule, its records, and its parameters with their past.

    Args:
        learner: of one run.
        num_updates: rows of its schedule.
        spacing: updates between records.
        metrics: how many numbers a record has.
        depth: versions that a ring keeps.
    """
    backend = backend_for(learner, jax.default_backend())
    plan = Plan("ring", 1, depth, spacing, (), (), False, (), backend)
    with compiling_for(backend):
        carry = jax.eval_shape(lambda: plan.build(learner).start(learner, jnp.zeros(2, jnp.uint32)))
    records = (num_updates // spacing) * metrics * (2 * check.float_size() + 8)  # measured, joined, as float64
    return {
        "schedule": float(_BYTES_OF_AN_UPDATE * num_updates),
        "records": float(records),
        "parameters": float(bytes_of(carry)),
    }
