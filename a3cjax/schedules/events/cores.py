"""Workers that wait before they read, or share cores: the model of ``workers.py``, extended.

The model
---------
c(i, t), write_time and read_latency are those of ``workers.py``. Every worker is ready at time 0, from version 0.

* **Waits.** With ``wait`` a worker does one thing after another. It computes, c(i, t). Then it writes, unless another
  is writing: then it waits until all who came before it have written, of those that came at one instant the lowest
  index first. Its write takes write_time and lands at its end, L. It waits w(i, t) ≥ 0, and reads at L + w(i, t), at
  which it is ready to compute again. Without ``wait`` it hands over and reads as in ``workers.py``: while its write is
  under way, it computes.
* **Read.** A worker that reads at s reads version #{j: L_j ≤ s − read_latency}, of landings that are not behind it in
  the order of events (below). Update k is the k-th to land.
* **Cores.** A worker computes, and with ``wait`` writes, on a core; C cores are as good as each other. Who is ready
  lines up for one, first come first served. It has the core until it has to wait: for the write section, for its
  landing, or w > 0 before it reads. Who has not to wait goes on with its next computation on the same core. Who waits
  takes no core, nor does a write without ``wait``.
* **Time slice.** A worker that has had its core for q, on however many computations, goes to the end of the line, and
  the first in line takes the core, for a slice of q anew. If nobody is in line it goes on, and is asked again after
  another q. Nothing is lost by it: what is left to compute is computed later. Who is interrupted while it writes keeps
  the others from writing. Without ``time_slice`` nobody is interrupted.
* **At one instant** first the write that ends then lands (there is at most one, unless write_time is 0). Then workers
  act in the order of index, each doing all that it can do at that instant: it finishes, writes if that takes no time,
  reads if it does not wait, or has waited and reads. Then free cores go to those in line. Then slices end, in the order
  in which their workers were given their cores, one by one.

With as many cores as workers nobody stands in line, and without ``wait`` the schedule is that of ``workers.py``, to
the last bit; so it is with a wait of 0, if write_time is 0.

What lands between a worker's landing and its next read is no delay of its: with read_latency 0 the mean delay tends to
Σ_i (1 − ρ_i)(1 − x_i), ρ_i being worker i's share of the updates, and x_i the share of the others' landings that come
while it waits to read. For equal workers that is (N − 1)(1 − x). Where workers do not depend on each other, with
neither cores nor write_time, x_i is the share of the time that worker i waits.

Without waits, cores change the spread of delays and not their mean, N − 1. Gradients that are short beside q come in
bursts of about q / c by C workers, who are then away while the N − C others have theirs.

Randomness and precision
------------------------
w(i, t), the wait after worker i's t-th write, is drawn from a stream of its own, ``law.sample(fold_in(fold_in(fold_in(
key, 2³² − 1), i), t))``. It depends on (key, i, t) alone, as c(i, t) does, and a shorter schedule is the beginning of a
longer one. Times are added and compared as whole numbers of the smallest positive float, exactly, and rounded once
when they are told.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from math import lcm
from typing import NamedTuple

# An event is one whole number, which puts it in order: its instant, its phase, which of several, whose.
_INSTANT, _PHASE, _TURN = 98, 96, 32
_WHOSE = (1 << _TURN) - 1
_ACTS, _SLICE_ENDS = 1 << _PHASE, 2 << _PHASE  # and 0 for the end of a write
_NONE = -1

# What a worker is at, when its event comes.
_COMPUTING, _WRITING, _HOLDING, _WAITING = range(4)


class Rules(NamedTuple):
    """The arguments of ``Schedule.from_workers``; times are in ticks, ``time_slice`` None if nobody is interrupted."""

    num_updates: int
    read_latency: int
    write_time: int
    cores: int
    time_slice: int | None


class Cores:
    """The workers at one instant, and what has come of it so far: ``worker``, ``delay`` and ``landed`` of each update.

    ``computing`` and ``waiting`` give each worker's next compute time and wait, in ticks; ``waiting`` is None for
    workers whose writes are made while they compute.
    """

    def __init__(
        self, rules: Rules, computing: Sequence[Callable[[], int]], waiting: Sequence[Callable[[], int]] | None
    ):
        self.worker: list[int] = []
        self.delay: list[int] = []
        self.landed: list[int] = []
        count = len(computing)
        self._rules, self._computing, self._waiting = rules, computing, waiting
        self._events: list[int] = []
        self._line = deque(range(count))
        self._free = rules.cores
        self._handed_out = 0  # cores, so far
        self._interrupts = rules.time_slice is None  # whether all who run know when their slices end
        self._left = [compute() for compute in computing]  # ticks, of those that do not run
        self._at = [_COMPUTING] * count
        self._version = [0] * count
        self._landing = [0] * count
        self._runs = [False] * count
        self._ends = [0] * count  # the work of one that runs, if it is not interrupted
        self._since = [0] * count  # when its slice began
        self._rank = [0] * count  # which of the cores handed out it has
        self._due = [_NONE] * count  # the event at the end of work or of a wait
        self._cut = [_NONE] * count  # the event at the end of a slice
        self._writer: int | None = None
        self._to_write: deque[int] = deque()
        self._cuts = 0  # slices that have ended since work has

    def run(self) -> None:
        """Until ``num_updates`` have landed, or for workers that do not wait, are bound to."""
        events, line = self._events, self._line
        self._hand_out(0)
        while len(self.worker) < self._rules.num_updates:
            event = heappop(events)
            i, now = event & _WHOSE, event >> _INSTANT
            if event == self._due[i]:
                self._due[i] = _NONE
                self._cuts = 0
                self._act(i, now)
            elif event == self._cut[i]:
                self._cut[i] = _NONE
                self._end_slice(i, now)
            if line and (self._free or not self._interrupts):
                self._hand_out(now)

    # ------------------------------------------------------------------------------------------------ what workers do

    def _act(self, i: int, now: int) -> None:
        at = self._at[i]
        if self._waiting is None:
            if at == _COMPUTING and self._landing[i] > now:
                self._at[i] = _HOLDING
                self._wait(i, self._landing[i])
            else:
                self._hand_over(i, now)
        elif at == _COMPUTING and self._rules.write_time:
            self._at[i] = _WRITING
            if self._writer is None:
                self._writer = i
                self._go_on(i, now, self._rules.write_time)
            else:
                self._to_write.append(i)
                self._release(i)
        elif at == _WAITING:
            self._read(i, now)
        else:
            self._land(i, now)

    def _hand_over(self, i: int, now: int) -> None:
        last = self.landed[-1] if self.landed else 0
        self._landing[i] = max(now, last) + self._rules.write_time
        self._row(i, self._landing[i])
        self._read(i, now)

    def _land(self, i: int, now: int) -> None:
        self._row(i, now)
        if self._writer == i:
            self._writer = None
            if self._to_write:
                self._writer = after = self._to_write.popleft()
                self._left[after] = self._rules.write_time
                self._line.append(after)
        assert self._waiting is not None
        wait = self._waiting[i]()
        if wait:
            self._at[i] = _WAITING
            self._wait(i, now + wait)
        else:
            self._read(i, now)

    def _row(self, i: int, landed: int) -> None:
        self.delay.append(len(self.worker) - self._version[i])
        self.worker.append(i)
        self.landed.append(landed)

    def _read(self, i: int, now: int) -> None:
        rules = self._rules
        if rules.read_latency or (rules.write_time and self._waiting is None):
            self._version[i] = bisect_right(self.landed, now - rules.read_latency)
        else:
            self._version[i] = len(self.landed)
        self._at[i] = _COMPUTING
        if self._runs[i]:
            self._go_on(i, now, self._computing[i]())
        else:
            self._left[i] = self._computing[i]()
            self._line.append(i)

    def _wait(self, i: int, until: int) -> None:
        self._release(i)
        self._due[i] = event = (until << _INSTANT) + _ACTS + i
        heappush(self._events, event)

    # ------------------------------------------------------------------------------------------------------- the cores

    def _release(self, i: int) -> None:
        if self._runs[i]:
            self._runs[i] = False
            self._free += 1

    def _hand_out(self, now: int) -> None:
        line, interrupts = self._line, self._rules.time_slice is not None
        some_stay = len(line) > self._free
        while line and self._free:
            self._free -= 1
            self._start(line.popleft(), now, some_stay)
        if interrupts:
            if line and not self._interrupts:
                for i in range(len(self._runs)):
                    if self._runs[i] and self._cut[i] == _NONE:
                        self._see_slice(i, now)
            self._interrupts = bool(line)

    def _start(self, i: int, now: int, others_wait: bool) -> None:
        self._runs[i] = True
        self._since[i] = now
        self._rank[i] = self._handed_out
        self._handed_out += 1
        self._ends[i] = ends = now + self._left[i]
        if others_wait and self._rules.time_slice is not None and self._left[i] > self._rules.time_slice:
            self._cut[i] = event = self._slice_end(i, now + self._rules.time_slice)
            heappush(self._events, event)
        else:
            self._expect(i, ends)

    def _go_on(self, i: int, now: int, work: int) -> None:
        """Without leaving the core, in the same slice."""
        self._ends[i] = now + work
        if self._rules.time_slice is None or not self._line or not self._see_slice(i, now):
            self._expect(i, now + work)

    def _see_slice(self, i: int, now: int) -> bool:
        """Expect the end of a slice if it comes before that of the work; it may be now."""
        q, since = self._rules.time_slice, self._since[i]
        assert q is not None
        end = since + max(1, -((since - now) // q)) * q
        if end >= self._ends[i]:
            return False
        self._cut[i] = event = self._slice_end(i, end)
        heappush(self._events, event)
        return True

    def _slice_end(self, i: int, end: int) -> int:
        return (end << _INSTANT) + _SLICE_ENDS + (self._rank[i] << _TURN) + i

    def _expect(self, i: int, ends: int) -> None:
        self._due[i] = event = (ends << _INSTANT) + (0 if self._at[i] == _WRITING else _ACTS) + i
        heappush(self._events, event)

    def _end_slice(self, i: int, now: int) -> None:
        line = self._line
        if not line:
            if self._due[i] == _NONE:
                self._expect(i, self._ends[i])
            return
        self._left[i] = self._ends[i] - now
        self._due[i] = _NONE
        self._runs[i] = False
        line.append(i)
        self._start(line.popleft(), now, True)
        self._cuts += 1
        if self._cuts > 2 * len(self._runs):
            self._skip(now)

    def _skip(self, now: int) -> None:
        """Go round many times at once, where slices are short: nobody finishes, and nothing else happens, meanwhile.

        M workers go round C cores in one cyclic order. After lcm(M, C) ends of slices, which are lcm(M, C) / C slices
        one after the other, everybody has had lcm(M, C) / M of them and all is as it was.
        """
        self._cuts = 0
        q, count = self._rules.time_slice, len(self._runs)
        assert q is not None
        running = [i for i in range(count) if self._runs[i]]
        if any(self._cut[i] == _NONE or self._due[i] != _NONE for i in running):
            return
        away = {i for i in range(count) if self._due[i] != _NONE}
        events = lcm(len(running) + len(self._line), len(running))
        lasts, computes = events // len(running) * q, events // (len(running) + len(self._line)) * q
        left = [self._ends[i] - now for i in running] + [self._left[i] for i in self._line]
        rounds = (min(left) - q - 1) // computes
        if away:
            rounds = min(rounds, (min(self._due[i] >> _INSTANT for i in away) - now - 1) // lasts)
        if rounds < 1:
            return
        for i in self._line:
            self._left[i] -= rounds * computes
        for i in running:
            self._since[i] += rounds * lasts
            self._ends[i] += rounds * (lasts - computes)
            self._cut[i] += rounds * lasts << _INSTANT
        self._events[:] = [self._due[i] for i in away] + [self._cut[i] for i in running]
        heapify(self._events)
