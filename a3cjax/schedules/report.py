"""What a pipeline did beside its schedule: lags, drops, idle times."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class PipelineReport:
    """What became of the samples that a pipeline's learner took off the queue, in the order of taking, and who idled.

    Times are in the unit of the laws, and lags in updates. A sample's lag is its staleness: of the learner's versions,
    those made while it was under way (``lag_in_flight``, with what the weights' way has cost) and those made while it
    waited (``lag_in_queue``). Both are of the samples that were trained on, each counted once, at the first of replays.

    Attributes:
        duration: from the start to the end of the last update.
        updates: how many there were.
        generator: [n], who made each sample.
        started, finished, taken: [n], when it was begun, done and taken off the queue.
        first_version, last_version: [n], the versions that it was begun and done with; one and the same unless weights
            change in flight.
        version_finished, version_taken: [n], the learner's version when it was done and when it was taken.
        dropped: [n], whether it was too stale to be trained on.
        learner_idle: the share of the duration in which the learner waited for samples.
        generator_idle: [N], the shares in which each generator was blocked or not admitted.
        mean_waiting: how many finished samples waited to be taken, on average over the duration.

    >>> import jax, a3cjax
    >>> law = a3cjax.compute_times.Deterministic
    >>> options = dict(batch=1, queue=1, max_staleness=2)
    >>> schedule = a3cjax.Schedule.from_pipeline(jax.random.key(0), [law(1.0)] * 3, law(1.0), 400, **options)
    >>> print(schedule.report)
    Pipeline of 3 generators: 400 updates in 401 units of time
      trained on   400 samples, 0.998 per unit of time; 266 of 666 taken (39.9 %) dropped as stale
      lag          1.99 updates on average; 99 % at most 2, all at most 2
        in flight  0.99 updates on average; 99 % at most 1, all at most 1
        in queue   1.00 updates on average; 99 % at most 1, all at most 2
      idle         the learner 0.2 % of the time, generators 44.3 % (from 33.2 % to 66.3 %)
      waiting      2.33 finished samples on average
      generation   samples trained on took 1.00 of the mean time of all that were taken
    """

    duration: float
    updates: int
    generator: Int[np.ndarray, " n"]
    started: Float[np.ndarray, " n"]
    finished: Float[np.ndarray, " n"]
    taken: Float[np.ndarray, " n"]
    first_version: Int[np.ndarray, " n"]
    last_version: Int[np.ndarray, " n"]
    version_finished: Int[np.ndarray, " n"]
    version_taken: Int[np.ndarray, " n"]
    dropped: Bool[np.ndarray, " n"]
    learner_idle: float
    generator_idle: Float[np.ndarray, " N"]
    mean_waiting: float

    @property
    def lag_in_flight(self) -> Int[np.ndarray, " trained"]:
        """Versions made between a sample's first version and its end."""
        return (self.version_finished - self.first_version)[~self.dropped]

    @property
    def lag_in_queue(self) -> Int[np.ndarray, " trained"]:
        """Versions made between a sample's end and its being taken."""
        return (self.version_taken - self.version_finished)[~self.dropped]

    @property
    def lag(self) -> Int[np.ndarray, " trained"]:
        """Both together: the staleness by the first version, which is the schedule's delay."""
        return (self.version_taken - self.first_version)[~self.dropped]

    @property
    def lag_of_last_version(self) -> Int[np.ndarray, " trained"]:
        """The staleness by the last version, of what a sample ends with if weights change in flight."""
        return (self.version_taken - self.last_version)[~self.dropped]

    @property
    def share_dropped(self) -> float:
        """Of the samples that were taken, those dropped as stale."""
        return float(self.dropped.mean())

    @property
    def samples_per_time(self) -> float:
        """Samples trained on in a unit of time, each once."""
        return float((~self.dropped).sum() / self.duration)

    @property
    def trained_generation(self) -> float:
        """By how much dropping favours quick samples: the mean time that those trained on took to be made, over that
        of all that were taken. 1 if none was dropped."""
        took = self.finished - self.started
        return float(took[~self.dropped].mean() / took.mean())

    def __str__(self) -> str:
        trained, taken = int((~self.dropped).sum()), len(self.dropped)
        idle = self.generator_idle
        lags = {"lag": self.lag, "  in flight": self.lag_in_flight, "  in queue": self.lag_in_queue}
        if (self.last_version != self.first_version).any():
            lags["  of last"] = self.lag_of_last_version
        lines = [
            f"Pipeline of {len(idle)} generators: {self.updates:,} updates in {self.duration:,.4g} units of time",
            _line(
                "trained on",
                f"{trained:,} samples, {self.samples_per_time:,.3g} per unit of time; {taken - trained:,} of "
                f"{taken:,} taken ({self.share_dropped:.1%}) dropped as stale".replace("%", " %"),
            ),
            *(_line(name, _lag(lag)) for name, lag in lags.items()),
            _line(
                "idle", f"the learner {self.learner_idle:.1%} of the time, {_of_generators(idle)}".replace("%", " %")
            ),
            _line("waiting", f"{self.mean_waiting:,.3g} finished samples on average"),
            _line(
                "generation",
                f"samples trained on took {self.trained_generation:.2f} of the mean time of all that were taken",
            ),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"PipelineReport({self.updates:,} updates, {len(self.dropped):,} samples taken)"


def _line(name: str, what: str) -> str:
    return f"  {name:<11}  {what}"


def _lag(lag: np.ndarray) -> str:
    most = math.ceil(np.percentile(lag, 99))
    return f"{lag.mean():.2f} updates on average; 99 % at most {most:,}, all at most {lag.max():,}"


def _of_generators(idle: np.ndarray) -> str:
    if f"{idle.min():.1%}" == f"{idle.max():.1%}":
        return f"generators {idle.mean():.1%}"
    return f"generators {idle.mean():.1%} (from {idle.min():.1%} to {idle.max():.1%})"
