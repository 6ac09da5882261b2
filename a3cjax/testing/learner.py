"""Whether a learner keeps the contract: every promise that the engine relies on, and every one that it makes."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._xla.compiler import quickly_compiled
from a3cjax.engine import Record, Result, simulate
from a3cjax.engine.randomness import (
    INIT_SERVER,
    INIT_WORKER,
    derived_key,
    key_from_words,
    proposal_words,
    run_key_words,
)
from a3cjax.engine.runs import may_differ, paths
from a3cjax.learners.protocol import AbstractLearner, apply_message
from a3cjax.learners.wrapped import adds_leaf_by_leaf, adopted, name_of
from a3cjax.schedules import Schedule, compute_times, delays

WORKERS = 3


def check_learner(learner: Any, *, num_updates: int = 24, key: Any = None, tolerance: float = 1e-4) -> tuple[str, ...]:
    """Try a learner under every kind of schedule and history, against a plain Python loop; say what was checked.

    1. "pytree": JAX takes it apart and puts it together again.
    2. "pure": each method gives the same for the same, and the shapes and dtypes of the states stay.
    3. "replay": under delays from a law, and with workers, its parameters are those of a plain Python loop that keeps a
       list of all views and hands ``propose`` the one of version k − τ_k.
    4. "histories": the mailbox and the ring give the same on a schedule that both can replay.
    5. "batch": a run in a batch of three is the run alone.
    6. "resume": a run that is stopped and continued is the run that was not.
    7. "metrics": all promised metrics are there, and recording them changes no parameter.
    8. "run axes": hyper-parameters given one for each run give each the run of its own.
    9. "averages": messages gathered by twos are applied as their mean; left out where the learner's own ``gather`` is
       not a sum.

    Args:
        learner: an ``AbstractLearner``, or a class with its five methods, for one run.
        num_updates: length of the runs, at least 4.
        key: of all randomness; ``jax.random.key(0)`` if not given.
        tolerance: how far parameters may be apart, absolutely and relatively, where compilers round otherwise.

    Returns:
        What was checked, by the names above; one that does not apply is left out.

    Raises:
        ValueError: at the first promise that is not kept, with what was expected and what was found.

    >>> import a3cjax
    >>> a3cjax.testing.check_learner(a3cjax.QuadraticSGD(curvature=[1.0, 2.0], step=0.1, noise=0.5))
    ('pytree', 'pure', 'replay', 'histories', 'batch', 'resume', 'metrics', 'run axes', 'averages')
    """
    check = _Check(adopted(learner), num_updates, jax.random.key(0) if key is None else key, tolerance)
    return tuple(name for name, look in check.looks().items() if look() is not False)


class _Check:
    """The learner, what it is tried with, and a look for each promise, which is False where there is nothing to see."""

    def __init__(self, learner: AbstractLearner, num_updates: int, key: Any, tolerance: float) -> None:
        if num_updates < 4:
            raise ValueError(f"num_updates is {num_updates}, but must be at least 4.")
        self.learner, self.key, self.tolerance = learner, key, tolerance
        own, law = jax.random.split(jax.random.key(7))
        self.by_law = Schedule.from_law(law, delays.Uniform(0, 3), num_updates, num_workers=WORKERS)
        self.by_workers = Schedule.from_workers(own, [compute_times.Exponential(1.0)] * WORKERS, num_updates)
        # One depth and one spacing for all runs of the ring, so that most are one program, compiled once.
        self.depth = max(self.by_law.max_delay, self.by_workers.max_delay) + 1
        self.every = num_updates // 4
        self._jitted_propose, self._jitted_apply = (
            quickly_compiled(self._propose),
            quickly_compiled(functools.partial(apply_message, learner)),
        )

    def looks(self) -> dict[str, Callable[[], Any]]:
        """By name, in the order in which a fault is best explained."""
        return {
            "pytree": self.pytree,
            "pure": self.pure,
            "replay": self.replay,
            "histories": self.histories,
            "batch": self.batch,
            "resume": self.resume,
            "metrics": self.metrics,
            "run axes": self.run_axes,
            "averages": self.averages,
        }

    def pytree(self) -> None:
        """Taken apart and put together."""
        leaves, structure = jax.tree.flatten(self.learner)
        again = jax.tree.structure(jax.tree.unflatten(structure, leaves))
        if again != structure:
            self._complain("pytree", f"flattened, rebuilt and flattened again it is {again}, but was {structure}")

    def pure(self) -> None:
        """The same from the same; shapes that stay."""
        learner, key = self.learner, jax.random.key(1)
        state, own = learner.init(key), learner.init_worker(key)
        view = learner.view(state)
        message, own_after = self._propose(view, own, key)
        after = apply_message(learner, state, message, jnp.int32(0), view)
        again = (learner.init(key), learner.init_worker(key), learner.view(state), *self._propose(view, own, key))
        named = zip(("init", "init_worker", "view", "propose", "propose"), again, strict=True)
        for (name, found), expected in zip(named, (state, own, view, message, own_after), strict=True):
            self._same("pure", found, expected, 0, f"{name}, called again with the same arguments,")
        for name, before, later in (("apply", state, after), ("propose", own, own_after)):
            now, then = (jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), tree) for tree in (later, before))
            if now != then:
                self._complain("pure", f"{name} returns a state of {now}, but was handed one of {then}")

    def replay(self) -> None:
        """The loop in plain Python."""
        for schedule in (self.by_law, self.by_workers):
            expected = self._looped(schedule)
            for history in ("ring", "mailbox") if schedule.own_reads else ("ring",):
                found = self._run(schedule, history=history).params
                self._same("replay", found, expected, self.tolerance, f"the {history} ends with parameters that")

    def histories(self) -> None:
        """Both histories on one schedule."""
        ring, mailbox = (self._run(self.by_workers, history=name).params for name in ("ring", "mailbox"))
        self._same("histories", mailbox, ring, self.tolerance, "the mailbox's parameters, beside the ring's,")

    def batch(self) -> None:
        """Three runs, and each alone."""
        keys = jax.random.split(self.key, 3)
        together = self._run(self.by_law, key=keys).params
        for b in range(3):
            one = self._run(self.by_law, key=keys[b]).params
            mine = jax.tree.map(lambda leaf, b=b: leaf[b], together)
            self._same("batch", mine, one, self.tolerance, f"run {b} of a batch of three, beside the same run alone,")

    def resume(self) -> None:
        """Stopped half-way."""
        whole, half = self._run(self.by_law), len(self.by_law.worker) // 2
        first = self._run(self.by_law[:half])
        rest = self._run(self.by_law, resume=first.state)
        self._same("resume", rest.params, whole.params, self.tolerance, "the run stopped half-way and continued")

    def metrics(self) -> Any:
        """Each promised one is there, and none leaves a trace."""
        learner = self.learner
        names = [*learner.metric_names, *learner.worker_metric_names, *learner.delay_metric_names]
        if not names:
            return False
        silent, told = self._run(self.by_law), self._run(self.by_law, metrics=names)
        missing = [name for name in names if name not in told.metrics]
        if missing:
            self._complain("metrics", f"{missing} are promised, and not recorded")
        self._same("metrics", told.params, silent.params, self.tolerance, "the run with metrics, beside one without,")
        return True

    def run_axes(self) -> Any:
        """All scalars that may differ from run to run: as they are, and each divided by another number."""
        leaves, structure = jax.tree.flatten(self.learner)
        named = [i for i, path in enumerate(paths(self.learner)) if may_differ(self.learner, path)]
        scalars = [
            i for i in named if not np.ndim(leaves[i]) and jnp.issubdtype(jnp.result_type(leaves[i]), jnp.floating)
        ]
        if not scalars:
            return False

        def with_scalars(change):
            return jax.tree.unflatten(structure, [change(i, x) if i in scalars else x for i, x in enumerate(leaves)])

        other = with_scalars(lambda i, x: x / (2 + scalars.index(i)))
        each = with_scalars(lambda i, x: jnp.stack([jnp.asarray(x), jnp.asarray(x) / (2 + scalars.index(i))]))
        together = self._run(self.by_law, learner=each).params
        for b, one in enumerate((self.learner, other)):
            mine = jax.tree.map(lambda leaf, b=b: leaf[b], together)
            alone = self._run(self.by_law, learner=one).params
            self._same("run axes", mine, alone, self.tolerance, f"with scalars as [B], run {b}, beside that run alone,")
        return True

    def averages(self) -> Any:
        """Groups of two: the mean of what both would have sent."""
        learner, schedule = self.learner, Schedule([0, 1] * 2, [0] * 4, range(1, 5), commit=[0, 1] * 2)
        if not adds_leaf_by_leaf(learner):
            return False
        words = self._words(schedule)
        state, own = self._start(schedule.num_workers)
        for k in range(0, 4, 2):
            sent = []
            for j, worker in enumerate((0, 1)):
                message, own[worker] = self._jitted_propose(learner.view(state), own[worker], words[k + j])
                at_hand = learner.at_hand(message, learner.view(state))
                sent.append(learner.gather(None, at_hand, jnp.int32(0)))
            mean = jax.tree.map(lambda a, b: (a + b) / 2, *sent)
            state = learner.apply_mean(state, mean, jnp.int32(0))
        found = self._run(schedule).params
        self._same("averages", found, learner.view(state), self.tolerance, "after messages by twos, the parameters")
        return True

    def _looped(self, schedule: Schedule) -> Any:
        """The last view of a plain loop over the schedule, which keeps every view there was."""
        learner, words = self.learner, self._words(schedule)
        state, own = self._start(schedule.num_workers)
        views = [learner.view(state)]
        for k, (worker, delay) in enumerate(zip(schedule.worker, schedule.delay, strict=True)):
            stale = views[k - int(delay)]
            message, own[int(worker)] = self._jitted_propose(stale, own[int(worker)], words[k])
            state = self._jitted_apply(state, message, jnp.int32(delay), stale)
            views.append(learner.view(state))
        return views[-1]

    def _start(self, num_workers: int) -> tuple[Any, list[Any]]:
        words = run_key_words(self.key)
        pair = words[0], words[1]
        state = self.learner.init(derived_key(pair, 0, INIT_SERVER))
        return state, [self.learner.init_worker(derived_key(pair, i, INIT_WORKER)) for i in range(num_workers)]

    def _words(self, schedule: Schedule) -> jax.Array:
        """The words of every row's proposal, [K, words]."""
        key = run_key_words(self.key)
        worker, turn = jnp.asarray(schedule.worker), jnp.asarray(schedule.ranks())
        return jnp.stack(proposal_words((key[0], key[1]), worker, turn, self.learner.num_words or 2), axis=-1)

    def _propose(self, view: Any, own: Any, words: Any) -> tuple[Any, Any]:
        learner = self.learner
        if jnp.issubdtype(words.dtype, jax.dtypes.prng_key):
            words = jax.random.bits(words, (learner.num_words or 2,), jnp.uint32)
        return learner.propose(view, own, words if learner.num_words else key_from_words([words[0], words[1]]))

    def _run(
        self,
        schedule: Schedule,
        *,
        learner: Any = None,
        key: Any = None,
        metrics: Any = (),
        history: Any = "ring",
        **more: Any,
    ) -> Result:
        averaged = schedule.commit is not None
        record = Record(every=len(schedule.worker) if averaged else self.every, metrics=list(metrics))
        depth = self.depth if history == "ring" and not averaged else None
        learner, key = self.learner if learner is None else learner, self.key if key is None else key
        return simulate(learner, schedule, key, record=record, history=history, depth=depth, progress=False, **more)

    def _same(self, name: str, found: Any, expected: Any, tolerance: float, what: str) -> None:
        if jax.tree.structure(found) != jax.tree.structure(expected):
            self._complain(name, f"{what} are {jax.tree.structure(found)} instead of {jax.tree.structure(expected)}")
        paths = jax.tree_util.tree_flatten_with_path(expected)[0]
        for (path, want), got in zip(paths, jax.tree.leaves(found), strict=True):
            got, want = (_numbers(leaf) for leaf in (got, want))
            if got.shape != want.shape:
                self._complain(name, f"{what} have shape {got.shape} instead of {want.shape} at {_at(path)}")
            if not np.allclose(got, want, tolerance, tolerance, equal_nan=True):
                apart = np.max(np.abs(got.astype(float) - want.astype(float)))
                self._complain(name, f"{what} differ by up to {apart:.3g} at {_at(path)}, and may by {tolerance:g}")

    def _complain(self, name: str, found: str) -> None:
        raise ValueError(f"{name_of(self.learner)} does not keep the contract of a learner ({name}): {found}.")


def _numbers(leaf: Any) -> np.ndarray:
    leaf = jnp.asarray(leaf)
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def _at(path: Any) -> str:
    return jax.tree_util.keystr(path) or "their only leaf"
