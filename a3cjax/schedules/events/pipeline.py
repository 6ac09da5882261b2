"""Samples on their way from generators through a queue to a learner, and weights on their way back.

The model
---------
Times are those of laws: c(i, t) of generator i's t-th sample, l(u) of the learner's u-th update. All begins at time 0.

* **Generators.** A generator makes one sample at a time. It starts with the newest version of the parameters that it
  can see, the sample's *first version*, and needs c(i, t). Then it puts the sample into the queue and starts the next.
* **Queue.** The queue holds ``queue`` finished samples, or any number. If it is full the generator is blocked: it holds
  its sample until there is room. Who has been blocked longest is first. A queue of 0 hands samples over from hand to
  hand.
* **Learner.** Whenever it is not computing, the learner takes samples off the queue, the oldest or the newest first,
  until it has ``batch`` that count. Taking takes no time, and makes room for who is blocked. With these it makes
  ``replays`` updates, one after the other; update u takes l(u), and at its end there is version u + 1. Meanwhile the
  learner takes nothing.
* **Staleness.** A sample's staleness is the learner's version when the sample is taken less the sample's first version,
  in updates: what it gathers while it is made and while it waits. With ``on_stale="drop"`` a sample staler than
  ``max_staleness`` is discarded, and the learner takes another.
* **Admission.** With ``on_stale="wait"`` nothing is dropped, and a generator waits before it starts. The n-th sample to
  be started, n = 0, 1, …, is meant for batch ⌊n / batch⌋, whose first update is made of version ⌊n / batch⌋ · replays:
  it may start once that is at most ``max_staleness`` more than the newest version v that generators can see. That is
  while fewer than (⌊(max_staleness + v) / replays⌋ + 1) · batch are started, trained on or not. If samples finish in
  the order in which they started, none is staler than ``max_staleness``. A slow one that others overtake may be: what
  is bounded always is how many are under way. Of generators that wait, who has waited longest is first.
* **Weights.** Every ``publish_every``-th version is published. It sets out when ``publish_lag`` more updates have been
  made, travels ``publish_time``, and is then seen by all generators; version 0 is seen at the start. The learner does
  not wait for it. With ``in_flight`` a generator goes on with the newest version that it sees, within a sample too,
  which then has a *last version* as well: the newest that is seen when the sample is finished.

At one instant things happen in this order, so that all ties are decided:

1. the update under way ends, and if replays are left the next begins;
2. what has travelled arrives;
3. samples are finished, that of the generator of lowest index first, and put or held;
4. the learner, if it is not computing, takes samples until it has a batch, and begins an update;
5. generators that are free start samples; of those that have waited equally long the one of lowest index is first.

The schedule
------------
A row is a sample that was taken, in the order of taking: its worker is the generator, its delay its staleness, its
weight 0 if it was dropped. The last of a batch commits. A row's time is when the sample was taken, and that of a row
that commits is when the update has ended. A replay is the rows of its batch once more, with delays one greater for each
update in between. A schedule says when a sample was made and of which version, not what was drawn for it: a learner's
draws for the rows of a replay are new ones. Delays are counted from the first version, with ``in_flight`` too.

What is in the queue when the last update ends, or under way, has no row.

Randomness and precision
------------------------
c(i, t) is ``law.sample(fold_in(fold_in(key, i), t))``, as in ``workers.py``, and l(u) is drawn from a stream of its
own, of number 2³² − 1: each depends on the key and its place alone, and a shorter schedule is the beginning of a longer
one. Times are added and compared as whole numbers of the smallest positive float, exactly, and rounded once when they
are told.
"""

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

_LONGEST = 1 << 24  # samples in a queue without bound


class Rules(NamedTuple):
    """The arguments of ``Schedule.from_pipeline``; ``publish_time`` is in ticks."""

    num_updates: int
    batch: int
    queue: int | None
    max_staleness: int | None
    waits: bool
    publish_every: int
    publish_time: int
    publish_lag: int
    newest: bool
    in_flight: bool
    replays: int


class Rows(NamedTuple):
    """The columns of the schedule; times are in ticks."""

    worker: list[int]
    delay: list[int]
    time: list[int]
    commit: list[bool]
    weight: list[int]


class Sample:
    """What has become of a sample; instants are in ticks, versions are numbers of updates."""

    __slots__ = ("finished", "first", "generator", "last", "started", "taken", "version_finished", "version_taken")

    def __init__(self, generator: int, started: int, first: int):
        self.generator, self.started, self.first = generator, started, first
        self.finished = self.taken = self.last = self.version_finished = self.version_taken = -1


class Pipeline:
    """The pipeline at one instant, and what has come of it so far.

    ``rows``: of the schedule. ``taken``: the samples of the queue that were taken, each once. ``made``: all samples.
    ``busy``: ticks that the learner has computed.
    """

    def __init__(self, rules: Rules, generations: Sequence[Callable[[], int]], learning: Callable[[], int]):
        self.rules, self._generations, self._learning = rules, generations, learning
        self.num_generators = len(generations)
        self.now = self.busy = self.version = self._seen = 0
        self.rows = Rows([], [], [], [], [])
        self.taken: list[Sample] = []
        self.made: list[Sample] = []
        self._making: list[tuple[int, int, Sample]] = []  # a heap of when, by whom, what
        self._queue: deque[Sample] = deque()
        self._blocked: deque[Sample] = deque()
        self._free = list(range(len(generations)))  # since this instant
        self._waiting: deque[int] = deque()  # who may not start yet
        self._travelling: deque[tuple[int, int]] = deque()  # when it arrives, and which version
        self._batch: list[Sample] = []
        self._ends: int | None = None  # of the update under way
        self._left = 0  # replays after it

    def run(self) -> None:
        """From the start to the end of the last update."""
        self._start()
        while True:
            self.now = self._next_instant()
            if self._ends == self.now:
                self._end_update()
                if self.version == self.rules.num_updates:
                    return
            while self._travelling and self._travelling[0][0] <= self.now:
                self._seen = self._travelling.popleft()[1]
            while self._making and self._making[0][0] == self.now:
                self._finish(heappop(self._making)[2])
            if self._ends is None:
                self._take()
            if self._free or self._waiting:
                self._start()

    def _next_instant(self) -> int:
        instants = [self._making[0][0]] if self._making else []
        if self._ends is not None:
            instants.append(self._ends)
        if self._waiting and self._travelling:
            instants.append(self._travelling[0][0])
        return min(instants)

    def _end_update(self) -> None:
        rules = self.rules
        self.version += 1
        published = self.version - rules.publish_lag
        if published > 0 and published % rules.publish_every == 0:
            self._travelling.append((self.now + rules.publish_time, published))
        self._ends = None
        if self._left:
            self._left -= 1
            for sample in self._batch:
                self._row(sample, 1)
            self._begin_update()

    def _finish(self, sample: Sample) -> None:
        sample.finished, sample.version_finished = self.now, self.version
        sample.last = self._seen if self.rules.in_flight else sample.first
        if self.rules.queue is None or len(self._queue) < self.rules.queue:
            self._queue.append(sample)
            self._free.append(sample.generator)
        else:
            self._blocked.append(sample)

    def _take(self) -> None:
        rules = self.rules
        if self._left == 0 and len(self._batch) == rules.batch:
            self._batch = []
        while len(self._batch) < rules.batch and (self._queue or self._blocked):
            sample = self._off_the_queue()
            sample.taken, sample.version_taken = self.now, self.version
            self.taken.append(sample)
            stale = rules.max_staleness is not None and self.version - sample.first > rules.max_staleness
            counts = rules.waits or not stale
            self._row(sample, int(counts))
            if counts:
                self._batch.append(sample)
        if len(self._batch) == rules.batch:
            self._left = rules.replays - 1
            self._begin_update()

    def _off_the_queue(self) -> Sample:
        if not self._queue:  # of no places
            sample = self._blocked.popleft()
            self._free.append(sample.generator)
            return sample
        if len(self._queue) > _LONGEST:
            raise ValueError(
                f"queue is None, and {_LONGEST:,} samples wait in it; the generators are faster than the learner, so "
                "bound the queue, or make the learner faster."
            )
        sample = self._queue.pop() if self.rules.newest else self._queue.popleft()
        if self._blocked:
            held = self._blocked.popleft()
            self._queue.append(held)
            self._free.append(held.generator)
        return sample

    def _begin_update(self) -> None:
        time = self._learning()
        self.busy += time
        self._ends = self.now + time
        self.rows.commit[-1] = True
        self.rows.time[-1] = self._ends

    def _row(self, sample: Sample, weight: int) -> None:
        worker, delay, time, commit, weights = self.rows
        worker.append(sample.generator)
        delay.append(self.version - sample.first)
        time.append(self.now)
        commit.append(False)
        weights.append(weight)

    def _start(self) -> None:
        self._free.sort()
        self._waiting.extend(self._free)
        self._free.clear()
        rules = self.rules
        may = None
        if rules.waits:
            assert rules.max_staleness is not None
            may = ((rules.max_staleness + self._seen) // rules.replays + 1) * rules.batch
        while self._waiting and (may is None or len(self.made) < may):
            i = self._waiting.popleft()
            sample = Sample(i, self.now, self._seen)
            self.made.append(sample)
            heappush(self._making, (self.now + self._generations[i](), i, sample))


def least_staleness(publish_every: int, publish_lag: int, replays: int) -> int:
    """The bound below which nothing would go on: the most by which the newest version that generators can see, once all
    has arrived, is behind the one that a batch is taken at.

    Batches are taken at versions v = 0, replays, 2 · replays, …, and the version seen is then
    publish_every · ⌊(v − publish_lag) / publish_every⌋, or 0.
    """
    shared = np.gcd(publish_every, replays)
    return int(publish_lag + publish_every - shared + (-publish_lag) % shared)


def columns(rows: Rows) -> dict[str, Any]:
    """The columns as arrays, but for the times."""
    return {
        "worker": np.array(rows.worker, np.int32),
        "delay": np.array(rows.delay, np.int32),
        "commit": np.array(rows.commit, bool),
        "weight": np.array(rows.weight, np.int32),
    }
