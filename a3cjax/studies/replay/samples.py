"""The samples of a real run replayed: the same numbers, if the log says what the run did."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.engine import Record, simulate
from a3cjax.learners.a3c.recorded import RecordedA3C, RecordedSamples, RecordedState, check_replayable
from a3cjax.learners.sampling.samples import Transition
from a3cjax.schedules import Schedule
from a3cjax.schedules.logs.entries import read_entries


@dataclasses.dataclass(frozen=True)
class SampleReplay:
    """What the samples of a log come to; ``str`` of it says so in a sentence.

    Attributes:
        schedule: who updated when and how stale.
        theta: θ after the last update.
        omega: ω after it.
        policy_off: the greatest difference of a recorded probability from that of the θ which its row read; NaN if the
            log holds no policies.
        first_off: the first update at which one is off by more than √ε of the working precision, or None.
    """

    schedule: Schedule
    theta: np.ndarray
    omega: np.ndarray
    policy_off: float
    first_off: int | None

    def __str__(self) -> str:
        said = f"{self.schedule.num_updates:,} updates replayed"
        if np.isnan(self.policy_off):
            return f"{said}; the log holds no policies to look at."
        if self.first_off is None:
            return f"{said}; each worker's policy was that of the version it read, to {self.policy_off:.1g}."
        return (
            f"{said}; from update {self.first_off} on policies are not those of the versions that were read (by up to "
            f"{self.policy_off:.1g}): the log is of another learner, or a row of it is not what happened."
        )


def replay_samples(
    source: Any,
    learner: Any,
    *,
    critic: str = "critic",
    actor: str = "actor",
    policy: str | None = None,
    run: str | None = None,
) -> SampleReplay:
    """Replay a log that holds the samples of every update, through the learner that made it.

    Update k is computed by eq. (13) from the recorded x_k and x̂_k at the recorded version k − τ_k. With ``policy`` the
    direction of θ is of the recorded π(·|ŝ), so that no exponential is taken again: in double precision a run that does
    the same sums and products in the same order comes to the same θ and ω, to the bit. Without, they agree to rounding.

    Args:
        source: the log, as for ``Schedule.from_log``; every version must be written by one row, as under a lock.
        learner: an ``A3C`` on a ``FiniteMDP``, of one sample an update, from the θ and ω at which the run began.
        critic: column of the critic's transitions, (s, a, s') each, as numbers of states and actions.
        actor: column of the actor's.
        policy: column of π(·|ŝ), [A] each, as the worker computed it; None if the log has none.
        run: which run, where the recorder's lines are of several.

    Raises:
        ValueError: if the log does not say which version each update read and wrote, begins in mid-run, or holds
            samples that are none of the learner's; if the learner needs more than these samples.

    >>> import a3cjax
    >>> learner = a3cjax.A3C(a3cjax.families.ring(3), actor_step=0.5, critic_step=0.5)
    >>> x = [0, 1, 2]  # from state 0 with action 1 to state 2, for which the reward is 1
    >>> log = {"worker": [0, 1], "read": [0, 0], "written": [0, 1], "critic": [x, x], "actor": [x, x]}
    >>> replay = a3cjax.studies.replay_samples(log, learner)
    >>> replay.theta[0].tolist(), replay.omega.tolist()  # twice 0.5 · δ̂ (e_1 − (½, ½)), twice 0.5 · δ̂
    ([-0.5, 0.5], [1.0, 0.0, 0.0])
    """
    check_replayable(learner)
    schedule = Schedule.from_log(source, run=run)
    told = schedule.report
    if told.order != "counter" or schedule.commit is not None or schedule.weight is not None:
        raise ValueError(
            f"{told.source} does not say of every update which version it read and wrote ({told.why}), so nobody knows "
            "what its samples were computed with; record a run under a lock."
        )
    if told.first_version:
        raise ValueError(
            f"{told.source} begins in mid-run, at version {told.first_version}, whose parameters are not known; give "
            "the log from its start."
        )
    names = [critic, actor, *([] if policy is None else [policy])]
    entries = read_entries(source, names, run=run)
    sizes = learner.mdp.num_states, learner.mdp.num_actions
    samples = RecordedSamples(
        _transitions(critic, entries[critic], *sizes),
        _transitions(actor, entries[actor], *sizes),
        None if policy is None else _policies(policy, entries[policy], sizes[1]),
    )
    tolerance = jnp.sqrt(jnp.finfo(learner.theta.dtype).eps)
    # Nothing is drawn, so any key will do, and nothing of the learner's is looked at on the way.
    record = Record(every=schedule.num_updates, metrics=_OF_POLICIES)
    recorded = RecordedA3C(learner, samples, tolerance)
    result = simulate(recorded, schedule, jax.random.key(0), record=record, history="ring", progress=False)
    off, first = (np.asarray(result.metrics[name])[-1] for name in _OF_POLICIES)
    return SampleReplay(
        schedule, np.asarray(result.params.theta), np.asarray(result.params.omega),
        float("nan") if policy is None else float(off), None if first < 0 else int(first),
    )  # fmt: skip


def _off(state: RecordedState) -> jax.Array:
    return state.off


def _first(state: RecordedState) -> jax.Array:
    return state.first


_OF_POLICIES = {"off": _off, "first": _first}  # the same objects in every call, for one compiled program


def _transitions(name: str, entries: list[Any], num_states: int, num_actions: int) -> Transition:
    limits = np.array([num_states, num_actions, num_states])
    for k, entry in enumerate(entries):
        row = _row(entry)
        if row.shape != (3,) or row.dtype.kind not in "iu" or (row < 0).any() or (row >= limits).any():
            raise ValueError(
                f"{name} of update {k} is {entry!r}, but must be (s, a, s'), whole numbers with s and s' below "
                f"{num_states} and a below {num_actions}."
            )
    return Transition(*(jnp.asarray(column, jnp.int32) for column in np.array(entries).T))


def _policies(name: str, entries: list[Any], num_actions: int) -> jax.Array:
    for k, entry in enumerate(entries):
        row = _row(entry)
        if row.shape != (num_actions,) or row.dtype.kind != "f":
            raise ValueError(f"{name} of update {k} is {entry!r}, but must be {num_actions} probabilities of actions.")
        check.number(f"{name} of update {k}", row, least=0, most=1)
    return jnp.asarray(np.array(entries))


def _row(entry: Any) -> np.ndarray:
    """One entry as an array; of what is none, an empty one."""
    try:
        return np.asarray(entry)
    except ValueError:
        return np.empty(0)
