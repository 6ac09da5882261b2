"""The kernel that holds the loop, on a GPU: its throughput case by case, and the whole command ``a3cjax speedup``.

    python -m benchmarks.gpu --all [--yardstick FILE.cu]     # about ten minutes

First the accelerator's results against the CPU's, then the cases, then a hand-written CUDA program if one is given and
nvcc is there (its own output, in the same minutes), then the command as a process of its own on the GPU and on two
cores of the CPU. Each line is printed as soon as it is known, with what is aimed at and the least that will do.
A case's figure is the time of a call less that of a call of one update; so it has the columns' way to the device in it,
and not the way of the result.
"""

import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import a3cjax
from benchmarks.workload import History, looked_at, own_schedules, paper_learner, paper_mdp, shared_schedule

WORKERS = DEPTH = 16
ROUNDS = 3
_COMPILE_LIMIT, _PROGRAM_LIMIT, _COMMAND_LIMIT = 60, 60, 100  # seconds


@dataclass(frozen=True)
class Case:
    """What is timed, and updates per second: aimed at, and the least; None where nothing is aimed at."""

    history: History
    runs: int
    updates: int
    own: bool
    aim: float | None
    least: float | None
    options: tuple[tuple[str, Any], ...] = ()
    double: bool = False

    @property
    def name(self) -> str:
        """One line's beginning."""
        about = ", ".join(str(value) for _, value in self.options)
        kind = "own schedules" if self.own else "one schedule"
        return f"{self.history}, {kind}{', ' + about if about else ''}{', float64' if self.double else ''}"


CASES = (
    Case("mailbox", 100_000, 1 << 15, False, 5e9, 3e9),
    Case("mailbox", 10_000, 1 << 16, False, 2.5e9, 1.5e9),
    Case("mailbox", 1_000, 1 << 16, False, 3.5e8, 2e8),
    Case("mailbox", 100_000, 1_000, True, 3e9, 1.5e9),
    Case("ring", 100_000, 1 << 13, False, 2.5e9, 1e9),
    Case("ring", 100_000, 1_000, True, None, None),
    Case("mailbox", 100_000, 1 << 12, False, None, None, (("sampling", "iid"),)),
    Case("mailbox", 100_000, 1 << 12, False, None, None, double=True),
)


def run_all(device: Any, yardstick: str | None) -> None:
    """Every case, then the programs beside."""
    print(f"{'case':<34}{'runs':>9}{'updates':>9}{'updates/s':>12}{'aim':>9}{'least':>9}  what it ran as, first call")
    for case in CASES:
        try:
            with jax.enable_x64(case.double):
                print(_line(case, device), flush=True)
        except Exception as error:  # the next case may do better
            print(f"{case.name:<34}{case.runs:>9,}   {type(error).__name__}: {str(error)[:600]}", flush=True)
    if yardstick is not None:
        _time_yardstick(Path(yardstick))
    time_command(device.platform)


def _line(case: Case, device: Any) -> str:
    learner = paper_learner(paper_mdp(), **dict(case.options))
    schedule = _schedule(case)
    keys = jax.random.split(jax.random.key(1), case.runs)

    def seconds(updates: int) -> tuple[float, str]:
        cut = schedule
        if updates < case.updates:
            columns = {name: getattr(schedule, name)[..., :updates] for name in ("worker", "delay", "time")}
            cut = looked_at(dataclasses.replace(schedule, **columns))
        record = a3cjax.Record(every=updates, metrics=[])
        began = time.perf_counter()
        result = a3cjax.simulate(
            learner, cut, keys, history=case.history, record=record, devices=[device], progress=False
        )
        jax.block_until_ready(result.params)
        return time.perf_counter() - began, result.backend

    first, backend = seconds(case.updates)
    seconds(1)
    fixed = min(seconds(1)[0] for _ in range(2))
    whole = statistics.median(seconds(case.updates)[0] for _ in range(ROUNDS))
    rate = case.runs * (case.updates - 1) / (whole - fixed)
    aims = "".join(f"{'–' if value is None else format(value, '.2g'):>9}" for value in (case.aim, case.least))
    return f"{case.name:<34}{case.runs:>9,}{case.updates:>9,}{rate:>12.3g}{aims}  {backend}, {first:.1f} s"


def _schedule(case: Case) -> a3cjax.Schedule:
    if case.own:
        return own_schedules(case.history, case.runs, case.updates, WORKERS)
    if case.history == "mailbox":
        return shared_schedule(case.updates, WORKERS)
    delay = np.minimum(np.random.default_rng(0).integers(0, DEPTH, case.updates), np.arange(case.updates))
    times = np.arange(1.0, case.updates + 1)
    return looked_at(a3cjax.Schedule(np.zeros(case.updates, np.int32), delay, times, num_workers=1))


def _time_yardstick(source: Path) -> None:
    """Compile a CUDA program for this card and show what it prints."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        print("\nThere is no nvcc here, so the CUDA program is left out.", flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "yardstick")
        subprocess.run([nvcc, "-O3", "-arch=native", str(source), "-o", program], check=True, timeout=_COMPILE_LIMIT)
        shown = subprocess.run([program], capture_output=True, text=True, timeout=_PROGRAM_LIMIT, check=False)
    print(f"\n{source.name}:\n{shown.stdout}{shown.stderr}", flush=True)


def time_command(platform: str) -> None:
    """Seconds of ``a3cjax speedup`` at its defaults, a process from its start to its end, on each platform."""
    print("\na3cjax speedup, the whole process:", flush=True)
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else []
    places = (
        {"two cores": {"JAX_PLATFORMS": "cpu"}}
        if platform == "cpu"
        else {platform: {}, "two cores": {"JAX_PLATFORMS": "cpu"}}
    )
    for place, variables in places.items():
        on_cores = place == "two cores" and bool(cores)
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "a3cjax", "speedup", "--out", folder]
            began = time.perf_counter()
            try:
                done = subprocess.run(
                    command,
                    env=os.environ | variables,
                    capture_output=True,
                    text=True,
                    timeout=_COMMAND_LIMIT,
                    check=False,
                    preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if on_cores else None,
                )
            except subprocess.TimeoutExpired:
                print(f"  {place:<12} not done after {_COMMAND_LIMIT} s", flush=True)
                continue
        seconds = time.perf_counter() - began
        ended = "" if done.returncode == 0 else f"; it failed: {done.stderr.strip()[-300:]}"
        print(f"  {place:<12} {seconds:.1f} s{ended}", flush=True)
