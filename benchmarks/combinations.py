"""The options of ``A3C`` and ``simulate`` that shape a compiled program, and what they are made of.

Values are words, so that a combination can be written to a file; ``made`` turns one into what ``simulate`` takes. The
first value of each option is the default. Numbers that a program is handed, such as θ or a step, are none of them;
whole numbers that shape a program stand with a small and a large value.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import Partial

import a3cjax
from a3cjax import remedies
from a3cjax.engine.choice import choose
from a3cjax.learners.protocol import check_means
from benchmarks.covering import Combination

_WAYS = ("number", "function", "sgd", "window", "compensate", "adam", "drop_far")
LEARNER: dict[str, tuple[Any, ...]] = {
    "mdp": ("dense", "slow", "lqr"),
    "policy": ("usual", "linear"),
    "actor": _WAYS,
    "critic": _WAYS,
    "radius": (False, True),
    "prior": (False, True),
    "sampling": ("markov", "iid"),
    "minibatch": (1, 4, 32),
    "estimator": ("td", "advantage", "q", "reinforce", "reinforce, horizon 1"),
    "baseline": (False, True),
    "shared_chain": (False, True),
    "gradient": ("stale", "fresh", "fresh, truncated", "fresh, vtrace", "fresh, masked"),
    "scalars": ("one", "each"),
}
ENGINE: dict[str, tuple[Any, ...]] = {
    "history": ("mailbox", "ring", "versions"),
    "schedule": ("plain", "commit", "weight"),
    "schedules": ("one", "each"),
    "record": ("default", "nothing", "delays", "function"),
    "transitions": (False, True),
    "x64": (False, True),
    "runs": (1, 4, 64),
}
OPTIONS = LEARNER | ENGINE
DEFAULT: Combination = {name: values[0] for name, values in OPTIONS.items()}

# Which option has a parameter in it, for those whose names differ.
WITHIN = {
    "actor_step": "actor",
    "critic_step": "critic",
    "actor_optimizer": "actor",
    "critic_optimizer": "critic",
    "horizon": "estimator",
    "correction": "gradient",
    "clip": "scalars",
    "mask": "scalars",
    "learner": "mdp",
    "key": "runs",
}
# And what no program is another for: values that it is handed, or what the host does with it.
SHAPELESS = {
    "theta": "the start",
    "omega": "the start",
    "depth": "a size of the history",
    "resume": "the carry that the program is handed",
    "throw": "the host's",
    "progress": "the host's",
    "devices": "where it runs",
}

_UPDATES, _WORKERS = 200, 4


class Call(NamedTuple):
    """What ``simulate`` is given."""

    learner: Any
    schedule: Any
    keys: Any
    options: dict[str, Any]


def made(of: Combination) -> Call:
    """The call, in the precision that is set."""
    learner, runs = learner_of(of), of["runs"]
    metrics: dict[str, Any] = {
        "default": None,
        "nothing": [],
        "delays": [*learner.metric_names, *learner.delay_metric_names],
        "function": {"size": _size},
    }
    options = {"history": of["history"], "transitions": of["transitions"]}
    keys = jax.random.split(jax.random.key(1), runs) if runs > 1 else jax.random.key(1)
    schedule = schedule_of(of["schedule"], runs if of["schedules"] == "each" else None)
    return Call(learner, schedule, keys, options | {"record": a3cjax.Record(metrics=metrics[of["record"]])})


def learner_of(of: Combination) -> a3cjax.A3C:
    """The learner of a combination; ValueError if the constructor refuses it."""
    runs = of["runs"] if of["scalars"] == "each" else None
    mdp = _problem(of["mdp"], jnp.result_type(float) == jnp.float64)
    estimator, _, horizon = of["estimator"].partition(", horizon ")
    gradient, _, correction = of["gradient"].partition(", ")
    given: dict[str, Any] = _way("actor", of["actor"], runs) | _way("critic", of["critic"], runs)
    if horizon:
        given["horizon"] = int(horizon)
    if correction:
        given["correction"] = correction
    if correction and runs:
        bound = jnp.full(runs, 2.0)
        given |= {"mask": (bound / 4, bound)} if correction == "masked" else {"clip": bound}
    if of["policy"] == "linear":
        given["policy"] = a3cjax.policies.LinearSoftmax(jax.random.uniform(jax.random.key(2), (100, 5, 50)) / 5)
    if of["radius"]:
        given["radius"] = _number(100.0, runs)
    if of["prior"]:
        given["prior"] = a3cjax.Prior.uniform(_number(0.1, runs), 100, 5)
    if of["baseline"]:
        given["baseline"] = np.ones(100)
    same = {name: of[name] for name in ("sampling", "minibatch", "shared_chain")}
    return a3cjax.A3C(mdp, estimator=estimator, gradient=gradient, **same, **given)


@functools.cache
def _refused_learner(values: tuple[Any, ...]) -> str | tuple[bool, Any]:
    """Why the constructor refuses these, or whether an optimiser looks at a stale view, and the learner."""
    try:
        learner = learner_of(dict(zip(LEARNER, values, strict=True)) | {"runs": 4})
    except ValueError as error:
        return str(error)
    return any(one.stale for one in learner.uses), learner


def refusal(of: Combination) -> str | None:
    """Why the library refuses a combination, or None: its constructor, its choice of a history, its averaging.

    These are the library's own checks, apart from the rest of ``simulate``'s, which take a second of tracing.
    """
    found = _refused_learner(tuple(of[name] for name in LEARNER))
    if isinstance(found, str):
        return found
    needs_stale, learner = found
    try:
        schedule = schedule_of(of["schedule"])
        choose(of["history"], None, schedule, None, learner)
        if schedule.commit is not None:
            check_means(learner, needs_stale)
    except ValueError as error:
        return str(error)
    return None


@functools.cache
def _problem(name: str, x64: bool) -> Any:
    """The paper's MDP; the same made slow, whose laws are solved for under the i.i.d. option; and an LQR."""
    del x64  # part of the key
    if name == "lqr":
        return a3cjax.families.random_lqr(jax.random.key(0))
    mdp = a3cjax.families.synthetic(jax.random.key(0))
    return a3cjax.families.lazy(mdp, 0.999) if name == "slow" else mdp


@functools.cache
def schedule_of(name: str, runs: int | None = None) -> a3cjax.Schedule:
    """Workers in turn, which read right after they write; messages are applied, averaged in pairs, or discarded."""
    k = np.arange(_UPDATES)
    column = {"plain": np.ones_like(k), "commit": k % 2, "weight": k % 5 > 0}[name].astype(np.int32)
    before = np.cumsum(column) - column  # versions before each row
    delay = before - before[np.maximum(k - _WORKERS + 1, 0)]
    given = {} if name == "plain" else {name: column.astype(bool) if name == "commit" else column}
    schedule = a3cjax.Schedule(k % _WORKERS, delay, k + 1.0, num_workers=_WORKERS, **given)
    return schedule if runs is None else a3cjax.Schedule.stack([schedule] * runs)


def _way(whose: str, way: str, runs: int | None) -> dict[str, Any]:
    """A step, or an optimiser: each uses something else of the parameters (``learners/optimizers``)."""
    step = _number(0.05, runs)
    if way == "number":
        return {f"{whose}_step": step}
    if way == "function":
        return {f"{whose}_step": _decreasing}
    return {f"{whose}_optimizer": Partial(OPTIMIZERS[way], step) if runs else OPTIMIZERS[way](0.05)}


def _chain(*remedy: Any) -> Any:
    return lambda step: optax.chain(*remedy, optax.scale_by_learning_rate(step))


OPTIMIZERS = {
    "sgd": _chain(),
    "window": _chain(remedies.adaptive_window(variant=2, max_delay=255)),
    "compensate": _chain(remedies.compensate()),
    "adam": optax.adam,
    "drop_far": _chain(remedies.drop_far(1.0)),
}


def _number(value: float, runs: int | None) -> Any:
    return value if runs is None else jnp.full(runs, value)


def _decreasing(k: Any) -> Any:
    return 0.05 / (1 + k) ** 0.4


def _size(state: Any) -> Any:
    return jnp.max(jnp.abs(state.theta))
