"""Peak memory of a simulation, each measured in a process of its own.

    python -m benchmarks.flat --memory [--full]      # 10 000 runs, and what 10^6 updates would take
    python -m benchmarks.memory '{"runs": 16, "updates": 1000, "records": 10, "again": false}'      # one, here; as JSON

Memory has a part for the runs (parameters, slots, records) and one for the schedule, which the runs share: [K] arrays
of worker, delay, rank and time, and what drawing and sorting them takes for a moment. Only the second grows with K.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import a3cjax
from benchmarks.workload import paper_learner, paper_mdp, shared_schedule

AIM = 1 << 30
RUNS = 10_000
FULL = 10**6
_FEW = 16  # runs enough to see what the schedule takes
_SLOPE = (FULL // 4, FULL // 2, FULL)
_MIB = 1 << 20


class Peak(NamedTuple):
    """Peak resident bytes of one process: before it drew its schedule, when it had drawn it, and at the end.

    ``growth`` is what a second call, with nothing to compile, added to what was resident; 0 if there was none.
    """

    idle: int
    drawn: int
    end: int
    seconds: float
    growth: int


def peak_of(runs: int, updates: int, records: int = 100, *, again: bool = False) -> Peak:
    """The peak of a fresh process that simulates with 16 workers and records the largest logit."""
    how = json.dumps({"runs": runs, "updates": updates, "records": records, "again": again})
    # Compilation leaves free memory behind in which a second call's arrays would hide; so each has pages of its own.
    apart = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"} if again else {}
    command = [sys.executable, "-m", "benchmarks.memory", how]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | apart)
    return Peak(**json.loads(done.stdout))


def largest_logit(state: Any) -> jax.Array:
    """A metric that costs next to nothing."""
    return state.theta.max()


def report(updates: int, full: bool) -> None:
    """Measure 10 000 runs, fit what an update adds, and print the peak at 10^6 updates beside the aim."""
    print("memory = a part for the runs + a part for the schedule, which all runs share and which alone grows with K\n")
    print("  runs         K   idle process   schedule drawn   peak of all      time")
    few = [_line(_FEW, k) for k in _SLOPE]
    base, short, many = _line(_FEW, updates), _line(RUNS, max(updates // 4, 100)), _line(RUNS, updates)
    slope = float(np.polyfit(_SLOPE, [peak.end for peak in few], 1)[0])
    print(f"\nAn update of the schedule takes {slope:.0f} bytes at the peak (fit to {_FEW} runs, which are quick).")
    each = (many.end - base.end) / (RUNS - _FEW)
    print(f"A run takes {each / 1024:.1f} KiB; the process, with what compiles the program, {_mib(base.end)}.")
    print(f"With {RUNS:,} runs, K = {updates:,} and a quarter of it differ by {_mib(abs(many.end - short.end))}.")
    guess = many.end + slope * (FULL - updates)
    print(f"At K = {FULL:,} the peak would be at most {_mib(guess)}; the aim is under {_mib(AIM)}: {_verdict(guess)}.")
    if full:
        print(f"\nThe same, really run:\nmeasured at K = {FULL:,}: {_verdict(_line(RUNS, FULL).end)}.")


def _line(runs: int, updates: int) -> Peak:
    peak = peak_of(runs, updates)
    columns = f"{_mib(peak.idle):>15}{_mib(peak.drawn):>17}{_mib(peak.end):>14}"
    print(f"{runs:>6,}{updates:>10,}{columns}{peak.seconds:>8.1f} s", flush=True)
    return peak


def _verdict(size: float) -> str:
    return "kept" if size < AIM else "missed"


def _mib(size: float) -> str:
    return f"{size / _MIB:,.0f} MiB"


def _resident(which: str) -> int:
    """Resident bytes of this process as the kernel counts them: VmRSS, now, or VmHWM, the most so far.

    On Linux ``ru_maxrss`` is at least what the parent held when it started the child, so it serves elsewhere only, and
    for the peak only.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(which):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _forget_peak() -> None:
    """Let VmHWM start again from what is resident now, where the kernel can."""
    control = Path("/proc/self/clear_refs")
    if control.exists():
        control.write_text("5")


def main() -> None:
    """Simulate once, or twice, and print the peaks."""
    how = json.loads(sys.argv[1])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jax.config.update("jax_num_cpu_devices", cores)
    learner = paper_learner(paper_mdp())
    keys = jax.random.split(jax.random.key(2), how["runs"])
    idle = _resident("VmHWM")
    schedule = shared_schedule(how["updates"])
    drawn = _resident("VmHWM")

    def simulate() -> a3cjax.Result:
        record = a3cjax.Record(every=how["updates"] // how["records"], metrics=[largest_logit])
        return a3cjax.simulate(learner, schedule, keys, record=record)

    began = time.perf_counter()
    result = simulate()
    seconds = time.perf_counter() - began
    assert np.isfinite(result.metrics["largest_logit"]).all()
    end, growth = _resident("VmHWM"), 0
    if how["again"]:
        del result
        _forget_peak()
        before = _resident("VmRSS")
        result = simulate()
        growth = _resident("VmHWM") - before
    print(json.dumps(Peak(idle, drawn, end, seconds, growth)._asdict()))


if __name__ == "__main__":
    main()
