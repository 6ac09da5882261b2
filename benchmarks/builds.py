"""The engine's cases with this build beside another one of this repository.

    python -m benchmarks.builds --against REVISION [--rounds 9] [--processes 3] [--quick]

The other build is taken out of git, and given the benchmarks of this one. A case is simulated by a process of each
build, both on the same core, which take turns: a call of one while the other waits, so that what else the machine does
falls on both. Where a process happens to lie in memory is worth some percent, so each case has several pairs of
processes. A row holds medians in nanoseconds per update and run, the median ratio of the rounds of all pairs, and the
least and the greatest median of a pair.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.engine import CASES, Case, simulation
from benchmarks.revision import ROOT, revision
from benchmarks.workload import paper_mdp, use_one_core

_SHORT = 0.25  # seconds: a call that takes less is repeated, for a turn to be worth its switch


class Build:
    """A process that has compiled a case with the package at ``build``, and simulates it when it is told to."""

    def __init__(self, build: Path, index: int) -> None:
        command = [sys.executable, "-m", "benchmarks.builds", "--serve", str(index)]
        environment = os.environ | {"PYTHONPATH": str(build)}
        self._process = subprocess.Popen(
            command, cwd=build, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._told()

    def _told(self) -> float:
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            self.end()
            raise RuntimeError(f"a build's process ended with {self._process.returncode}; what it said is above")
        return float(said)

    def nanoseconds(self) -> float:
        """Of an update of one run, in one turn."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._told()

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()


def serve(case: Case) -> None:
    """As the process of a build: simulate the case for each line that comes in, and say how long an update took."""
    use_one_core()
    simulate, _ = simulation(case, paper_mdp())
    for _ in range(2):  # compiled, and what is drawn once is drawn
        simulate()
    began = time.perf_counter()
    simulate()
    calls = max(1, round(_SHORT / (time.perf_counter() - began)))
    print(0.0, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(calls):
            simulate()
        print((time.perf_counter() - began) / calls / (case.runs * case.updates) * 1e9, flush=True)


def measure(builds: Sequence[Path], index: int, rounds: int) -> list[list[float]]:
    """Of one pair of processes: of each build the nanoseconds of each round."""
    processes = []
    try:
        for build in builds:
            processes.append(Build(build, index))
        turns = [[process.nanoseconds() for process in processes] for _ in range(rounds)]
    finally:
        for process in processes:
            process.end()
    return [list(column) for column in zip(*turns, strict=True)]


def line(case: Case, pairs: Sequence[Sequence[Sequence[float]]]) -> str:
    """A row of the table."""
    here, there = ([ns for pair in pairs for ns in pair[which]] for which in (0, 1))
    ratios = [[a / b for a, b in zip(*pair, strict=True)] for pair in pairs]
    each = [statistics.median(pair) for pair in ratios]
    return (
        f"{case.history:<8}{case.runs:>5}{case.size:>9}{statistics.median(here):>9.1f} ns"
        f"{statistics.median(there):>9.1f} ns{statistics.median([r for pair in ratios for r in pair]):>9.3f}"
        f"  ({min(each):.3f} to {max(each):.3f})  {case.kind}"
    )


def main(args: Sequence[str] | None = None) -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description="Time the engine beside another build of it.")
    parser.add_argument("--against", metavar="REVISION", help="the other build")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each pair of processes")
    parser.add_argument("--processes", type=int, default=3, help="pairs of processes of each case")
    parser.add_argument("--quick", action="store_true", help="only 256 runs and 16 workers or versions")
    parser.add_argument("--serve", type=int, metavar="CASE", help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    if options.serve is not None:
        serve(CASES[options.serve])
        return
    if options.against is None:
        parser.error("--against REVISION says which build to time beside this one")
    with revision(options.against) as other:
        shutil.rmtree(other / "benchmarks")
        shutil.copytree(ROOT / "benchmarks", other / "benchmarks")
        print("history  runs  N/depth        here       there    ratio  (of pairs)")
        for index, case in enumerate(CASES):
            if case.kind == "all cores" or (options.quick and (case.runs, case.size) != (256, 16)):
                continue
            pairs = [measure([ROOT, other], index, options.rounds) for _ in range(options.processes)]
            print(line(case, pairs), flush=True)


if __name__ == "__main__":
    main()
