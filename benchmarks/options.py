"""How long ``simulate``'s programs take to trace, lower and compile, for combinations of its and A3C's options.

    python -m benchmarks.options                                       # every pair of values, about an hour
    python -m benchmarks.options --strength 3 --shard 0/8              # an eighth of a cover of every three
    python -m benchmarks.options --of sampling prior minibatch x64     # all combinations of these, others at default
    python -m benchmarks.options --climb 3                             # and from the worst to whatever is worse

Without a persistent cache, and with all that JAX remembers forgotten before each combination. *Seconds* are processor
time, and the ratio is to the default configuration, ``A3C(mdp, actor_step, critic_step)`` with one run, which the same
process compiles after every fourth combination. The table shows the worst first, with what differs from the default.

A simulation has three programs: ``start`` and ``advance`` (the loop over updates), which depend on almost all options
and are added up; and ``measure``, exact values of a state, of which neither schedule nor history nor most of the
learner is part (``a3cjax/engine/apart.py``). That one is timed once for each combination of what it depends on, and
shown apart. All combinations are too many for anybody; what is refused is counted and not timed.

Combinations are timed one by one in a process that is stopped where one takes longer than ``--limit``. Each is written
to ``--file`` as it is done, and what that holds is not timed again.
"""

import argparse
import itertools
import json
import math
import multiprocessing
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.combinations import DEFAULT, OPTIONS, refusal
from benchmarks.compiling import serve
from benchmarks.covering import Combination, covering, neighbours

_BETWEEN = 4  # combinations between two timings of the default
_OF_A_PROCESS = 40  # combinations, after which a fresh one goes on


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strength", type=int, default=2, help="cover every so many options' values (default: 2)")
    parser.add_argument("--of", nargs="+", choices=list(OPTIONS), metavar="OPTION", help="all combinations of these")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="every N-th combination, from the I-th on")
    parser.add_argument("--climb", type=int, default=0, metavar="ROUNDS", help="then try all neighbours of the worst")
    parser.add_argument("--limit", type=float, default=600, help="seconds of one combination (default: 600)")
    parser.add_argument("--file", type=Path, default=Path("out/options.jsonl"), help="what is done")
    parser.add_argument("--worst", type=int, default=10, help="rows of the table (default: 10)")
    parser.add_argument("--table", action="store_true", help="only the table of what the file holds")
    options = parser.parse_args()
    rows: list[Combination] = []
    if not options.table:
        rows, refused = chosen(options.of, options.strength)
        part, of = (int(number) for number in options.shard.split("/"))
        rows = rows[part::of]
        print(f"{math.prod(map(len, OPTIONS.values())):,} combinations in all; {len(rows):,} chosen to be timed")
        print(f"refused: {len(refused)}", *(f"  {named(dict(what))}: {why}" for what, why in refused.items()), sep="\n")
    done = Done(options.file)
    with Worker(options.limit) as worker:
        for row in rows:
            done.add(row, worker)
        for _ in range(options.climb):
            if not done.climb(worker):
                break
    print(*table(done.found, options.worst), sep="\n")


def chosen(of: Sequence[str] | None, strength: int) -> tuple[list[Combination], dict[Any, str]]:
    """The combinations to be timed, and what is refused: combinations, or tuples that no combination can hold."""
    if of is None:
        # The default history takes schedules of one kind, and would be what refuses the others.
        rows, given_up = covering(OPTIONS, strength, refusal, DEFAULT | {"history": "ring"})
        return [DEFAULT, *rows], dict(given_up)
    every = [DEFAULT | dict(zip(of, values, strict=True)) for values in itertools.product(*(OPTIONS[o] for o in of))]
    why = [refusal(row) for row in every]
    refused = {tuple((o, row[o]) for o in of): no for row, no in zip(every, why, strict=True) if no is not None}
    return [row for row, no in zip(every, why, strict=True) if no is None], refused


class Worker:
    """The process that compiles, and another one in its place after a combination that took too long."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._process: Any = None
        self._pipe: Any = None
        self._asked = 0
        self._default: dict[str, Any] = {}

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stop()

    def time(self, row: Combination, known: set[str]) -> dict[str, Any]:
        """What was found out about a combination, beside the default's seconds of the last time."""
        if self._asked % _OF_A_PROCESS == 0:
            self._stop()
        if self._asked % _BETWEEN == 0 or self._process is None:
            self._default = self._default | self._ask(DEFAULT, {self._default.get("measured", "")})
        self._asked += 1
        return self._ask(row, known) | {"default": self._default}

    def _ask(self, row: Combination, known: set[str]) -> dict[str, Any]:
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=serve, args=(theirs,), daemon=True)
            self._process.start()
            self._ask(DEFAULT, set())  # for what is done once in a process
        self._pipe.send((row, sorted(known)))
        stage = "begin"
        while self._pipe.poll(self.limit):
            stage, found = self._pipe.recv()
            if stage == "done":
                return found
        self._stop()
        return {"late": f"not done with {stage} after {self.limit:g} s"}

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


class Done:
    """What is known so far, in memory and in the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.found: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self._climbed: list[Combination] = []

    def add(self, row: Combination, worker: Worker) -> None:
        """Time a combination, unless that was done."""
        if any(one["combination"] == row for one in self.found):
            return
        measured = {one["measured"] for one in self.found if "measure" in one}
        found = {"combination": row} | worker.time(row, measured)
        self.found.append(found)
        with self.path.open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(f"{len(self.found):5}  {line(found)}", flush=True)

    def climb(self, worker: Worker) -> bool:
        """Try what differs from the worst in one option; whether that was not done before."""
        worst = max(filter(timed, self.found), key=ratio)["combination"]
        if worst in self._climbed:
            return False
        self._climbed.append(worst)
        for row in neighbours(OPTIONS, worst):
            if refusal(row) is None:
                self.add(row, worker)
        return True


def timed(found: dict[str, Any]) -> bool:
    """Whether the loop was compiled within the limit."""
    return "advance" in found


def seconds(found: dict[str, Any]) -> float:
    """Of ``start`` and ``advance``."""
    return sum(found["start"][:3]) + sum(found["advance"][:3])


def ratio(found: dict[str, Any]) -> float:
    """To the default."""
    return seconds(found) / seconds(found["default"])


def named(part: Combination) -> str:
    """Options and their values."""
    return ", ".join(f"{name} {value}" for name, value in part.items())


def words(combination: Combination) -> str:
    """What differs from the default."""
    return named({name: value for name, value in combination.items() if value != DEFAULT[name]})


def line(found: dict[str, Any]) -> str:
    """A row of the table."""
    if not timed(found):
        return f"{found.get('late') or found.get('refused')}: {words(found['combination'])}"
    parts = "  ".join("/".join(f"{part:.1f}" for part in found[name][:3]) for name in ("start", "advance"))
    lines = found["advance"][3] / 1000
    return f"{ratio(found):5.1f}  {seconds(found):6.1f} s  {parts:30} {lines:6.1f}   {words(found['combination'])}"


def table(found: Sequence[dict[str, Any]], worst: int) -> Iterator[str]:
    """The worst combinations, and the worst programs that measure."""
    late = [one for one in found if "late" in one]
    refused = [one for one in found if "refused" in one]
    done = sorted(filter(timed, found), key=ratio, reverse=True)
    yield f"\n{len(done)} timed, {len(late)} longer than the limit, {len(refused)} refused by simulate"
    yield from map(line, late + refused)
    if not done:
        return
    ratios = [ratio(one) for one in done]
    default = statistics.median(seconds(one["default"]) for one in done)
    yield f"the default: {default:.1f} s; ratios: median {statistics.median(ratios):.2f}, largest {max(ratios):.2f}"
    yield "\nratio   seconds  start and advance: trace/lower/compile, thousands of lines, what differs"
    yield from map(line, done[:worst])
    measured = sorted((one for one in done if "measure" in one), key=lambda one: one["measure"], reverse=True)
    yield f"\nmeasuring, {len(measured)} programs\nratio   seconds"
    for one in measured[: worst // 2]:
        yield f"{one['measure'] / one['default']['measure']:5.1f}  {one['measure']:6.1f} s  {one['measured']}"


if __name__ == "__main__":
    main()
