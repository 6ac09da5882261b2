"""Throughput on an accelerator: updates per second over all runs, and what bounds them.

    python -m benchmarks.gpu [--runs 1000 10000] [--seconds 1]     # times
    python -m benchmarks.gpu --check                                # the accelerator's results against the CPU's
    python -m benchmarks.gpu --all [--yardstick FILE.cu]            # both, case by case (benchmarks/gpu_kernel.py)

Runs on whatever JAX finds first; on a CPU with fewer runs by default. Mailbox, 16 workers, one schedule for all runs.
What one update of the whole batch costs is the time of a call less that of a call of one update, which holds start,
transfers and result. Two limits are measured in the same run: the memory's, by copying a large array on the device,
and the launches', by loops of small kernels each of which needs the one before. Compilation is apart.
"""

import argparse
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

import a3cjax
from benchmarks.gpu_kernel import run_all
from benchmarks.workload import Rounds, looked_at, paper_learner, paper_mdp, shared_schedule, time_rounds

WORKERS = 16
ROUNDS = 3
DEFAULT_RUNS = {"cpu": (10**3, 10**4)}
ACCELERATOR_RUNS = (10**3, 10**4, 10**5, 10**6)
PILOT_UPDATES = 256
MOST_UPDATES = 1 << 17
MEMORY_SHARE = 0.8
# A run's state goes into a block of the loop, comes out of it, and goes back once more to be read.
_COPIES = 3

# Words of 4 bytes that one update of one run moves if nothing of it stays on the chip until the next, by the algorithm:
#   slot   2 (2 + A + 3 + 2): read and write the critic's state and δ, the actor's state, action, δ and A probabilities,
#          and the worker's two chains
#   θ      2 A + 2 A: read and write the row of the message, read the rows of the two states where actions are drawn
#   ω      2 d
#   words  2 · 6: six random words, made for some updates at once and read later
# and, from tables that all runs share and a cache may hold:
#   φ      5 d: the message's state, and both ends of the two transitions;   2 rewards;   3 alias entries of 2
# Caches move whole sectors of 32 bytes, so the real traffic is higher.


def own_bytes(num_actions: int, num_features: int) -> int:
    """Bytes of its own arrays that an update moves; see the count above."""
    return 4 * (2 * (num_actions + 7) + 4 * num_actions + 2 * num_features + 12)


def table_bytes(num_features: int) -> int:
    """Bytes that an update reads from tables shared by all runs."""
    return 4 * (5 * num_features + 2 + 6)


def main() -> None:
    """Time, or check."""
    parser = argparse.ArgumentParser(description="Throughput on an accelerator, and what bounds it.")
    parser.add_argument("--runs", type=int, nargs="+", help="batch sizes; by default 10^3 to 10^6, on a CPU to 10^4")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long one timing should take")
    parser.add_argument("--check", action="store_true", help="compare results with the CPU's instead")
    parser.add_argument("--all", action="store_true", help="check, and time the kernel's cases and the whole command")
    parser.add_argument("--yardstick", help="with --all, a CUDA program to compile and run beside")
    options = parser.parse_args()
    device = jax.devices()[0]
    print(f"{device.device_kind} ({device.platform}), jax {jax.__version__}\n")
    if options.check:
        check(device)
        return
    if options.all:
        check(device)
        print()
        run_all(device, options.yardstick)
        return
    bandwidth = copy_bandwidth(device)
    print(f"Memory: a copy of a large array reads and writes {bandwidth / 1e9:,.0f} GB/s.")
    launches = launch_times()
    kernels = kernels_per_update()
    turn = None if launches is None else launches.turn + kernels * launches.kernel
    if launches is None:
        print("Launches: the small kernels were fused into one another, so there is no figure for one.")
    else:
        print(
            f"Launches: {1e6 * launches.kernel:.2f} µs for a small kernel, {1e6 * launches.turn:.2f} µs for a turn of "
            f"a loop; {kernels} kernels in an update."
        )
    bench(options.runs or DEFAULT_RUNS.get(device.platform, ACCELERATOR_RUNS), options.seconds, device, bandwidth, turn)


# -------------------------------------------------------------------------------------------------------------- timing


def bench(
    sizes: tuple[int, ...] | list[int], seconds: float, device: Any, bandwidth: float, turn: float | None
) -> None:
    """Time each number of runs that fits, and print a line for it."""
    mdp = paper_mdp()
    num_actions, num_features = mdp.num_actions, mdp.num_features
    own = own_bytes(num_actions, num_features)
    print(
        f"An update of one run moves {own} bytes of its own, and reads {table_bytes(num_features)} of shared tables.\n"
    )
    learner = paper_learner(mdp)
    schedule = shared_schedule(MOST_UPDATES, WORKERS)
    per_run = _COPIES * bytes_per_run(learner, schedule)
    free = free_memory(device)
    print("of memory: the run's own bytes against the copy; launches: one loop's turn for all runs, and its share\n")
    print("     runs   updates    updates/s     one update of all   fixed   of memory         launches   first call")
    for runs in sizes:
        if runs * per_run > MEMORY_SHARE * free:
            print(
                f"{runs:>9,}   skipped: it needs about {runs * per_run / 2**30:.1f} GiB, more than "
                f"{100 * MEMORY_SHARE:.0f} % of the {free / 2**30:.1f} GiB that are free."
            )
            continue
        row = _measure(runs, learner, schedule, device, seconds)
        limit = "" if turn is None else f"{1e6 * turn:>10.1f} µs {turn / row.step:>4.0%}"
        print(
            f"{runs:>9,}{row.updates:>10,}{runs / row.step:>13.3g}{1e6 * row.step:>13.1f} µs ± {row.spread:>3.0%}"
            f"{row.fixed:>6.2f} s{own * runs / row.step / bandwidth:>12.1%}{limit:>17}{row.first:>11.1f} s",
            flush=True,
        )


@dataclass(frozen=True)
class Row:
    """Seconds: of an update of all runs, of a call's fixed part, of the calls that compiled; spread is relative."""

    updates: int
    step: float
    spread: float
    fixed: float
    first: float


def _measure(runs: int, learner: a3cjax.A3C, schedule: a3cjax.Schedule, device: Any, seconds: float) -> Row:
    keys = jax.random.split(jax.random.key(1), runs)

    def call(cut: a3cjax.Schedule) -> None:
        record = a3cjax.Record(every=cut.num_updates, metrics=[])
        options: dict[str, Any] = dict(history="mailbox", record=record, devices=[device], progress=False)
        jax.block_until_ready(a3cjax.simulate(learner, cut, keys, **options).params)

    def timed(updates: int, rounds: int) -> Rounds:
        return time_rounds(partial(call, looked_at(schedule[:updates])), rounds)

    one = timed(1, ROUNDS)
    fixed = statistics.median(one.seconds)
    pilot = timed(PILOT_UPDATES, 1)
    step = max(pilot.seconds[0] - fixed, 0.1 * pilot.seconds[0]) / (PILOT_UPDATES - 1)
    updates = int(np.clip(seconds / step, PILOT_UPDATES, MOST_UPDATES))
    long = timed(updates, ROUNDS)
    steps = [(each - fixed) / (updates - 1) for each in long.seconds]
    step = statistics.median(steps)
    spread = (max(steps) - min(steps)) / 2 / step
    return Row(updates, step, spread, fixed, one.first + pilot.first + long.first)


def bytes_per_run(learner: a3cjax.A3C, schedule: a3cjax.Schedule) -> int:
    """What a run keeps between updates (θ, ω, the workers' slots), as a saved state holds it."""
    keys = jax.random.split(jax.random.key(1), 2)
    result = a3cjax.simulate(learner, schedule[:1], keys, history="mailbox", record=a3cjax.Record(every=1, metrics=[]))
    assert result.state is not None
    return sum(np.asarray(leaf).nbytes for leaf in result.state.leaves) // 2


def free_memory(device: Any) -> int:
    """Bytes that arrays may take: the device's own count, or the machine's memory where it keeps none."""
    stats = device.memory_stats()
    if stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


# -------------------------------------------------------------------------------------------------------------- limits


def copy_bandwidth(device: Any) -> float:
    """Bytes per second, read and written, of a pass over an array that no cache holds."""
    size = min(1 << 30, free_memory(device) // 16) // 4
    array = jax.block_until_ready(jnp.arange(size, dtype=jnp.float32))
    # Negated, so that it is a pass over the data whatever becomes of plain copies; several passes, so that neither the
    # launch nor the pages of a new array count; their number an argument, so that no two of them cancel.
    passes = 10

    @partial(jax.jit, donate_argnums=0)
    def copy(array: Float[Array, " size"], count: Int[Array, ""]) -> Float[Array, " size"]:
        return lax.fori_loop(0, count, lambda _, x: -x, array)

    array = jax.block_until_ready(copy(array, jnp.int32(passes)))
    seconds: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        array = jax.block_until_ready(copy(array, jnp.int32(passes)))
        seconds.append(time.perf_counter() - began)
    return 2 * array.nbytes * passes / statistics.median(seconds)


@dataclass(frozen=True)
class Launches:
    """Seconds that a small dependent kernel takes, and those of a turn of a loop besides its kernels."""

    kernel: float
    turn: float


def launch_times(turns: int = 2000, few: int = 8, many: int = 40) -> Launches | None:
    """Time loops of small kernels, each a mean that needs the one before; None if the compiler joined them.

    The number of turns is an argument of the program, as the simulator's is, so that the loop cannot be unrolled.
    """

    def seconds_and_kernels(chain: int) -> tuple[float, int]:
        rows = jax.random.uniform(jax.random.key(0), (chain, 1024))

        def body(_: Any, x: Float[Array, ""], rows: Float[Array, "chain width"]) -> Float[Array, ""]:
            for row in rows:
                x = jnp.mean(jnp.maximum(row, x))
            return x

        def loop(rows: Float[Array, "chain width"], count: Int[Array, ""]) -> Float[Array, ""]:
            return lax.fori_loop(0, count, partial(body, rows=rows), jnp.float32(0.5))

        compiled = jax.jit(loop).lower(rows, jnp.int32(turns)).compile()
        return _median_seconds(compiled, rows, jnp.int32(turns)) / turns, kernels_of_loop(compiled.as_text())

    (short, fewer), (long, more) = seconds_and_kernels(few), seconds_and_kernels(many)
    if more - fewer < (many - few) / 2 or long <= short:
        return None
    kernel = (long - short) / (more - fewer)
    return Launches(kernel, max(0.0, short - fewer * kernel))


def kernels_per_update(runs: int = 256) -> int:
    """Kernels in the simulator's loop over updates, counted in the compiled program."""
    learner = paper_learner(paper_mdp())
    schedule = shared_schedule(PILOT_UPDATES, WORKERS)
    record = a3cjax.Record(every=PILOT_UPDATES, metrics=[])

    @jax.jit
    def run(schedule: a3cjax.Schedule, keys: Any) -> Any:
        return a3cjax.simulate(learner, schedule, keys, history="mailbox", record=record).params

    keys = jax.random.split(jax.random.key(1), runs)
    return kernels_of_loop(run.lower(schedule, keys).compile().as_text())


# What costs no launch: these only name memory, or end what another line began.
_FREE = {"parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "partition-id", "opt-barrier"}
_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_LINE = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = .*?\s([a-z][a-z0-9-]*)\(")
_CALLED = re.compile(r"(body|condition|to_apply)=%?([\w.-]+)")
_BRANCHES = re.compile(r"(?:branch_computations=\{([^}]*)\}|(?:true|false)_computation=(%?[\w.-]+))")


class _Program:
    """The computations of a compiled program's text: for each instruction its opcode and what it calls."""

    def __init__(self, text: str) -> None:
        self.entry = ""
        self.computations: dict[str, list[tuple[str, dict[str, str], list[str]]]] = {}
        lines: list[tuple[str, dict[str, str], list[str]]] = []
        for line in text.splitlines():
            if head := _HEAD.match(line):
                lines = self.computations[head[2]] = []
                self.entry = head[2] if head[1] else self.entry
            elif found := _LINE.match(line):
                branches = ",".join(a or b for a, b in _BRANCHES.findall(line)).replace("%", "").replace(" ", "")
                lines.append((found[1], dict(_CALLED.findall(line)), [b for b in branches.split(",") if b]))

    def kernels(self, name: str) -> int:
        """Instructions that compute, each one kernel: a fusion, a scatter, a copy. Calls are looked into."""
        total = 0
        for opcode, called, _ in self.computations[name]:
            if opcode == "call":
                total += self.kernels(called["to_apply"])
            elif opcode not in _FREE and not opcode.endswith("-done"):
                total += 1
        return total

    def loops(self, name: str, depth: int = 0) -> Iterator[tuple[int, int]]:
        """Depth, and kernels of one turn with its condition, of every loop that is entered from this computation."""
        for opcode, called, branches in self.computations[name]:
            if opcode == "while":
                yield depth, self.kernels(called["body"]) + self.kernels(called["condition"])
                yield from self.loops(called["body"], depth + 1)
            for inner in ([called["to_apply"]] if opcode == "call" else []) + branches:
                yield from self.loops(inner, depth)


def kernels_of_loop(text: str | None) -> int:
    """Kernels of one turn of the innermost loop in a compiled program's text; of several, the longest."""
    program = _Program(text or "")
    return max(program.loops(program.entry), default=(0, 0))[1] if program.entry else 0


def _median_seconds(function: Callable[..., Any], *args: Any, rounds: int = 5) -> float:
    jax.block_until_ready(function(*args))
    seconds: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        jax.block_until_ready(function(*args))
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


# --------------------------------------------------------------------------------------------------------------- check


def check(device: Any, runs: int = 64, updates: int = 300) -> None:
    """Print how far the device's results are from the CPU's, for both histories.

    The random words are the same bits, but exponentials and sums may round differently. A draw that falls in between
    goes another way, and from there on the run is another one; so parameters are compared in the runs that drew alike.
    """
    try:
        cpu = jax.devices("cpu")[0]
    except RuntimeError as error:
        sys.exit(f"The check needs JAX's CPU backend beside the accelerator's: {error}")
    if device.platform == "cpu":
        print("There is no accelerator here, so the CPU is compared with itself.\n")
    with jax.default_device(cpu):
        learner = paper_learner(paper_mdp())
        keys = jax.random.split(jax.random.key(2), runs)
    schedule = shared_schedule(updates, WORKERS)
    for history in ("mailbox", "ring"):
        there, here = (_simulate(learner, schedule, keys, history, where) for where in (device, cpu))
        print(f"{history}: {compare(there, here)}")


def _simulate(learner: a3cjax.A3C, schedule: a3cjax.Schedule, keys: Any, history: Any, device: Any) -> Any:
    """Parameters and samples, on the host."""
    # What is not on the device, the simulator puts there; the keys come with their own.
    with jax.default_device(device):
        result = a3cjax.simulate(
            learner, schedule, jax.device_put(keys, device), history=history, transitions=True, devices=[device]
        )
    print(f"{history} on {device.platform}: it ran as {result.backend!r}", flush=True)
    return jax.tree.map(np.asarray, (result.params, result.transitions))


def compare(there: Any, here: Any) -> str:
    """One sentence on draws and parameters of (params [B, …], transitions [B, K])."""
    (params, samples), (params_here, samples_here) = there, here
    same = [a == b for a, b in zip(jax.tree.leaves(samples), jax.tree.leaves(samples_here), strict=True)]
    alike = np.all(same, axis=0)  # [B, K]
    kept = alike.all(axis=1)
    if kept.all():
        draws = f"all samples of {alike.shape[0]} runs × {alike.shape[1]} updates are the same"
    else:
        first = int(np.argmax(~alike.all(axis=0)))
        draws = (
            f"{alike.mean():.2%} of the updates have the same samples; {int((~kept).sum())} of {len(kept)} runs "
            f"differ, the first at update {first}"
        )
    if not kept.any():
        return f"{draws}; no run drew alike throughout, so parameters say nothing."
    off = {name: _relative(getattr(params, name)[kept], getattr(params_here, name)[kept]) for name in params._fields}
    listed = ", ".join(f"{name} {value:.1e}" for name, value in off.items())
    return f"{draws}. In runs that drew alike, the largest difference over the largest entry: {listed}."


def _relative(there: Float[np.ndarray, "B *shape"], here: Float[np.ndarray, "B *shape"]) -> float:
    return float(np.abs(there - here).max() / max(np.abs(here).max(), np.finfo(here.dtype).tiny))


if __name__ == "__main__":
    main()
