"""The schedule of a pipeline: its arguments looked at, its events simulated, and what is told of them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.schedules import _columns, _random
from a3cjax.schedules.compute_times import ComputeTime
from a3cjax.schedules.events.pipeline import Pipeline, Rules, columns, least_staleness
from a3cjax.schedules.events.stacked_laws import stack_laws
from a3cjax.schedules.events.streams import Stream, Ticks, own_key
from a3cjax.schedules.report import PipelineReport

_LEARNER = (1 << 32) - 1  # the number of its stream


@jax.ensure_compile_time_eval()  # also inside a jit: nothing here depends on its arguments
def draw_pipeline(
    key: Any, generators: Sequence[ComputeTime], learner_time: ComputeTime, *, publish_time: Any, **rules: Any
) -> tuple[dict[str, Any], PipelineReport]:
    """The columns of the schedule and the report; arguments and errors as in ``Schedule.from_pipeline``."""
    if not check.is_concrete(key, generators, learner_time, publish_time):
        raise ValueError(
            "Schedule.from_pipeline is being traced, but how many rows its schedule has is known only once it is "
            "drawn; draw it outside of jit and vmap."
        )
    key = _random.random_key(key)
    ticks = Ticks()
    checked = _checked(**rules, publish_time=_travel(publish_time, ticks))
    laws = stack_laws(generators, key, name="generators")
    if not isinstance(learner_time, ComputeTime):
        raise ValueError(f"learner_time is {learner_time!r}, but must be one law; see a3cjax.compute_times.")
    learning = Stream("learner_time", learner_time, stack_laws([learner_time], key, name="learner_time"), 0,
                      own_key(key, _LEARNER), ticks)  # fmt: skip
    streams = [
        Stream(f"generators[{i}]", law, laws, i, own_key(key, i), ticks) for i, law in enumerate(generators)
    ]  # fmt: skip
    pipeline = Pipeline(checked, [stream.next for stream in streams], learning.next)
    pipeline.run()
    return columns(pipeline.rows) | {"time": ticks.as_floats(pipeline.rows.time)}, _report(pipeline, ticks)


def _checked(
    *,
    num_updates: Any,
    batch: Any,
    queue: Any,
    max_staleness: Any,
    on_stale: str,
    publish_every: Any,
    publish_time: int,
    publish_lag: Any,
    order: str,
    in_flight: Any,
    replays: Any,
) -> Rules:
    num_updates = check.integer("num_updates", num_updates, least=1)
    batch, replays = check.integer("batch", batch, least=1), check.integer("replays", replays, least=1)
    if num_updates % replays:
        raise ValueError(
            f"num_updates is {num_updates}, but each batch makes {replays} (replays); use a multiple of that."
        )
    _columns.check_size("num_updates times batch", num_updates * batch)
    queue = None if queue is None else check.integer("queue", queue, least=0)
    publish_every = check.integer("publish_every", publish_every, least=1)
    publish_lag = check.integer("publish_lag", publish_lag, least=0)
    check.choice("on_stale", on_stale, ("drop", "wait"))
    check.choice("order", order, ("fifo", "newest"))
    if in_flight not in (True, False):
        raise ValueError(f"in_flight is {in_flight!r}, but must be True or False.")
    if order == "newest" and queue in (0, 1):
        raise ValueError(
            f"order is 'newest', which has no effect on a queue of {queue}; leave it out, or use a longer queue."
        )
    if max_staleness is None:
        if on_stale == "wait":
            raise ValueError(
                "on_stale is 'wait', which has no effect without a bound; give max_staleness, or leave on_stale out."
            )
    else:
        max_staleness = check.integer("max_staleness", max_staleness, least=0)
        least = least_staleness(publish_every, publish_lag, replays)
        if max_staleness < least:
            raise ValueError(
                f"max_staleness is {max_staleness}, but the newest version that generators see is up to {least} "
                f"updates old (publish_every={publish_every}, publish_lag={publish_lag}, replays={replays}), so that "
                f"nothing would go on; use at least {least}."
            )
    return Rules(
        num_updates=num_updates,
        batch=batch,
        queue=queue,
        max_staleness=max_staleness,
        waits=on_stale == "wait",
        publish_every=publish_every,
        publish_time=publish_time,
        publish_lag=publish_lag,
        newest=order == "newest",
        in_flight=bool(in_flight),
        replays=replays,
    )


def _travel(publish_time: Any, ticks: Ticks) -> int:
    """How long weights travel, in ticks: a float of JAX's default type, as compute times are."""
    check.number("publish_time", publish_time, least=0)
    if np.ndim(publish_time):
        raise ValueError(f"publish_time has shape {np.shape(publish_time)}, but must be one number.")
    return ticks.of(float(jnp.asarray(publish_time, jnp.result_type(float))))


def _report(pipeline: Pipeline, ticks: Ticks) -> PipelineReport:
    taken, end = pipeline.taken, pipeline.now

    def each(name: str) -> list[int]:
        return [getattr(sample, name) for sample in taken]

    busy = [0] * pipeline.num_generators
    for sample in pipeline.made:
        busy[sample.generator] += _until(sample.finished, end) - sample.started
    waited = sum(_until(sample.taken, end) - sample.finished for sample in pipeline.made if sample.finished >= 0)
    rules = pipeline.rules
    bound = np.inf if rules.max_staleness is None or rules.waits else rules.max_staleness
    versions = {name: np.array(each(name), np.int64) for name in ("version_finished", "version_taken")}
    first, last = (np.array(each(name), np.int64) for name in ("first", "last"))
    return PipelineReport(
        duration=end / ticks.one,
        updates=pipeline.version,
        generator=np.array(each("generator"), np.int64),
        started=ticks.as_floats(each("started")),
        finished=ticks.as_floats(each("finished")),
        taken=ticks.as_floats(each("taken")),
        first_version=first,
        last_version=last,
        **versions,
        dropped=versions["version_taken"] - first > bound,
        learner_idle=1 - pipeline.busy / end,
        generator_idle=np.array([1 - time / end for time in busy]),
        mean_waiting=waited / end,
    )


def _until(instant: int, end: int) -> int:
    """An instant, or the end if it has not come by then."""
    return instant if 0 <= instant <= end else end
