"""What ``simulate`` is handed, looked at before anything is compiled: learner, steps, scalars, record."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine.history.gathering import check_update
from a3cjax.engine.history.protocol import Kind
from a3cjax.engine.record import Record
from a3cjax.engine.runs import Runs, paths
from a3cjax.learners.wrapped import name_of, unwrapped

_AT_ONCE = 1 << 16  # step sizes that are looked at together


def check_record(record: Any) -> Record:
    """``record``, or a Record that says nothing if it is None."""
    if record is None:
        return Record()
    if not isinstance(record, Record):
        metrics = [record] if isinstance(record, str) else record
        raise ValueError(f"record is {record!r}, but must be a Record; use record=a3cjax.Record(metrics={metrics!r}).")
    return record


def check_pytree(learner: Any) -> None:
    """Refuse a learner that JAX cannot look inside."""
    if isinstance(learner, type):
        raise ValueError(f"learner is the class {learner.__name__}; give an instance, such as {learner.__name__}(…).")
    name = type(learner).__name__
    remedy = (
        f"register its class, as in @jax.tree_util.register_dataclass above @dataclasses.dataclass(frozen=True) above "
        f"class {name}; what is no array, such as a name, is a field with metadata={{'static': True}}."
    )
    for path, leaf in jax.tree_util.tree_flatten_with_path(learner)[0]:
        if leaf is learner:
            raise ValueError(f"learner is a {name}, which is no pytree, so that JAX cannot look inside it; {remedy}")
        try:
            jnp.result_type(leaf)
            known = not isinstance(leaf, str | type)
        except (TypeError, ValueError):
            known = False
        if not known:
            where = jax.tree_util.keystr(path)
            raise ValueError(f"learner{where} of {name} is {leaf!r}, which is neither a number nor an array; {remedy}")


def check_scalars(learner: Any, runs: Runs) -> None:
    """Refuse one value per run in a field that is not among ``run_scalars``, where only a single number would work."""
    bare = unwrapped(learner)
    if type(bare).__module__.startswith("a3cjax."):  # ours have looked at their own fields
        return
    leaves, names = runs.learner_leaves, paths(bare)
    vectors = [i for i, axis in enumerate(runs.axes) if axis is None and np.ndim(leaves[i]) == 1]
    kind = Kind.of(runs.one_learner())
    trouble = _trouble(kind) if vectors else None
    if trouble is None:
        return
    # One number in its place would mend it; or one in the place of each, if there are several.
    for meant in (*([i] for i in vectors), vectors):
        if _trouble(_with_scalars(kind, meant)) is None:
            i = meant[0]
            listed = ", ".join(sorted(getattr(bare, "run_scalars", ()))) or "none"
            raise ValueError(
                f"learner.{names[i]} of {name_of(learner)} has shape {np.shape(leaves[i])}, which every run gets "
                f"whole, and then {trouble}. If it is one number per run, name {names[i]!r} in the class's run_scalars "
                f"(now: {listed})."
            )


def _with_scalars(kind: Kind, places: list[int]) -> Kind:
    """The kind whose leaves in these places are single numbers."""
    leaves = [((), dtype) if i in places else (shape, dtype) for i, (shape, dtype) in enumerate(kind.leaves)]
    return kind._replace(leaves=tuple(leaves))


def _trouble(kind: Kind) -> str | None:
    """What is wrong with one update of learners of this kind, in a few words."""
    try:
        check_update(kind, gathers=False)
    except (TypeError, ValueError) as error:
        return f"an update fails: {str(error).splitlines()[0].partition(';')[0].rstrip('.')}"
    return None


def check_steps(learner: Any, num_updates: int) -> None:
    """Refuse a step function that is negative or not finite at one of the first ``num_updates`` updates.

    A step function is a field ``…step`` that can be called with the update count. One that closes over something
    traced cannot be looked at, and passes.
    """
    bare = unwrapped(learner)
    for name, step in vars(bare).items() if hasattr(bare, "__dict__") else ():
        if not (name.endswith("step") and callable(step) and check.is_concrete(step)):
            continue
        partial = step if isinstance(step, jax.tree_util.Partial) else jax.tree_util.Partial(step)
        for first in range(0, num_updates, _AT_ONCE):
            values = check.traceable(name, lambda p=partial, k=first: _values(p, jnp.int32(k)), check.STEP_MEND)
            if not check.is_concrete(values):
                break
            values = np.asarray(values)[: num_updates - first]
            bad = ~(np.isfinite(values) & (values >= 0))
            if bad.any():
                at = int(np.argmax(bad))
                raise ValueError(
                    f"{name}({first + at}) is {values[at]:g}, but a step must be finite and at least 0 at every one of "
                    f"the {num_updates:,} updates; use jnp.maximum(…, 0) in it if updates are to end there."
                )


@jax.jit
def _values(step: Any, first: Any) -> Any:
    return jax.vmap(step)(first + jnp.arange(_AT_ONCE, dtype=jnp.int32))
