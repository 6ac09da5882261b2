"""What a user waits for at first: a command, a call and an import, each in a process of its own.

    python -m benchmarks.first_seconds [--rounds 3] [--against REVISION] [--only import simulate]

Beside another revision of this repository, taken out of git, in turn: one process of each build after the other. *Cold*
is with an empty folder of compiled programs, *warm* with what the same command left there the time before. Seconds are
medians, by the clock and of processor time; of two builds the ratio is the median of the rounds' ratios.
"""

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.revision import ROOT, revision

COMMAND = "from a3cjax.cli import script; script()"
IMPORT = "import a3cjax; a3cjax.simulate, a3cjax.Schedule, a3cjax.A3C"
SIMULATE = """
import jax, a3cjax
mdp = a3cjax.families.synthetic(jax.random.key(0))
learner = a3cjax.A3C(mdp, actor_step=0.2, critic_step=0.05)
workers = [a3cjax.compute_times.Exponential(1.0)] * 16
schedule = a3cjax.Schedule.from_workers(jax.random.key(1), workers, num_updates=6400)
a3cjax.simulate(learner, schedule, jax.random.split(jax.random.key(2), 64))
"""
TINY = ("--workers", "1", "2", "--seeds", "2", "--updates", "2000")


class Case(NamedTuple):
    """What is run."""

    title: str
    code: str
    args: tuple[str, ...] = ()
    warm: bool = False


CASES = {
    "import": Case("import a3cjax", IMPORT),
    "simulate": Case("import, MDP, schedule and a first simulate, 64 runs", SIMULATE),
    "tiny": Case("a3cjax speedup, tiny settings, cold", COMMAND, ("speedup", *TINY)),
    "tiny-warm": Case("a3cjax speedup, tiny settings, warm", COMMAND, ("speedup", *TINY), warm=True),
    "speedup": Case("a3cjax speedup, cold", COMMAND, ("speedup",)),
    "speedup-warm": Case("a3cjax speedup, warm", COMMAND, ("speedup",), warm=True),
}


class Seconds(NamedTuple):
    """Of one process."""

    clock: float
    processor: float


def timed(build: Path, case: Case, programs: Path) -> Seconds:
    """One process of ``case`` with the package at ``build`` and compiled programs in ``programs``."""
    environment = os.environ | {"PYTHONPATH": str(build), "A3CJAX_CACHE": str(programs), "MPLBACKEND": "Agg"}
    with tempfile.TemporaryDirectory() as folder:
        out = ("--out", folder) if case.args else ()
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-c", case.code, *case.args, *out]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{case.title} with {build} ended with {done.returncode}:\n{done.stderr}")
    return Seconds(clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measure(builds: Sequence[Path], case: Case, rounds: int) -> list[list[Seconds]]:
    """Of each build the seconds of each round; builds take turns."""
    found: list[list[Seconds]] = [[] for _ in builds]
    with tempfile.TemporaryDirectory() as kept:
        folders = [Path(kept, str(i)) for i in range(len(builds))]
        if case.warm:
            for build, folder in zip(builds, folders, strict=True):
                timed(build, case, folder)
        for _ in range(rounds):
            for build, folder, seconds in zip(builds, folders, found, strict=True):
                with tempfile.TemporaryDirectory() as empty:
                    seconds.append(timed(build, case, folder if case.warm else Path(empty)))
    return found


def line(case: Case, found: Sequence[Sequence[Seconds]]) -> str:
    """A row of the table: this build first, then another one and the ratios to it."""
    columns = [[statistics.median(column) for column in zip(*seconds, strict=True)] for seconds in found]
    text = f"{case.title:<52}" + "".join(f"{clock:>8.2f}{processor:>8.2f}" for clock, processor in columns)
    if len(found) == 2:
        for here, there in zip(zip(*found[0], strict=True), zip(*found[1], strict=True), strict=True):
            text += f"{statistics.median(a / b for a, b in zip(here, there, strict=True)):>8.2f}"
    return text


def main(args: Sequence[str] | None = None) -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description="Time the first seconds.")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each case, of which the median is shown")
    parser.add_argument("--against", metavar="REVISION", help="another build, in turn")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="these cases")
    options = parser.parse_args(args)
    with contextlib.ExitStack() as stack:
        builds = [ROOT]
        if options.against:
            builds.append(stack.enter_context(revision(options.against)))
        heads = "".join(f"{which:>8}{'cpu':>8}" for which in ("here", "there")[: len(builds)])
        print(f"{'seconds':<52}{heads}" + (f"{'ratio':>8}{'of cpu':>8}" if options.against else ""))
        for name in options.only:
            case = CASES[name]
            print(line(case, measure(builds, case, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
