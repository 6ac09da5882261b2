"""Networks under delay: the engine beside the same learner in a plain scan, and beside what one would run instead.

    python -m benchmarks.networks [--rounds 5] [--quick] [--part a2c]
    python -m benchmarks.networks --runs 1024        # that many runs on whatever device JAX has, a GPU if there is one

CartPole, n = 5, Adam, sixteen workers with exponential compute times. The comparator is ``jit(vmap(scan))`` of the
very methods of the learner, from the newest parameters, without delay, history or record. Both are timed in turn on one
core, in processor time, which other processes of the machine disturb less than the clock; the ratio is of each round.
Compilation is the first call less a later one.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

import a3cjax
from a3cjax import environments, networks
from benchmarks.workload import use_cores, use_one_core

WORKERS, ROLLOUT = 16, 5
PARTS = ("scan", "copies", "a2c", "processes")
SMALL, LARGE = 64, 128  # units of both hidden layers: 4,675 and 17,539 parameters


def learner_of(hidden: int) -> Any:
    """Actor and critic with a common trunk."""
    network = networks.MLP(hidden=(hidden, hidden))
    return a3cjax.ActorCritic(environments.CartPole(), network, optax.adam(1e-3), rollout=ROLLOUT)


def schedule_of(seed: int, updates: int, law: Any = None) -> a3cjax.Schedule:
    """Workers that read after their own writes."""
    workers = [a3cjax.compute_times.Exponential(1.0) if law is None else law] * WORKERS
    with jax.default_device(jax.devices("cpu")[0]):
        return a3cjax.Schedule.from_workers(jax.random.key(seed), workers, updates)


def plain(learner: Any, updates: int) -> Callable[[Any], Any]:
    """The learner's updates one after the other, as a loop of one's own would make them."""

    def run(key):
        of_server, of_worker, of_updates = jax.random.split(key, 3)
        start = learner.init(of_server), learner.init_worker(of_worker)

        def take(carry, key):
            state, worker = carry
            message, worker = learner.propose(learner.view(state), worker, key)
            return (learner.apply(state, message, jnp.int32(0)), worker), None

        (state, _), _ = lax.scan(take, start, jax.random.split(of_updates, updates))
        return state.params

    return jax.jit(jax.vmap(run))


def synchronous(learner: Any, updates: int, environments_in_step: int) -> Callable[[Any], Any]:
    """Environments in step, and one update by the mean of their gradients: A2C in plain JAX."""

    def run(key):
        of_server, of_workers, of_updates = jax.random.split(key, 3)
        start = (
            learner.init(of_server),
            jax.vmap(learner.init_worker)(jax.random.split(of_workers, environments_in_step)),
        )

        def take(carry, key):
            state, workers = carry
            keys = jax.random.split(key, environments_in_step)
            messages, workers = jax.vmap(learner.propose, (None, 0, 0))(learner.view(state), workers, keys)
            mean = messages._replace(gradient=jax.tree.map(lambda g: g.mean(0), messages.gradient), samples=None)
            return (learner.apply(state, mean, jnp.int32(0)), workers), None

        (state, _), _ = lax.scan(take, start, jax.random.split(of_updates, updates))
        return state.params

    return jax.jit(jax.vmap(run))


class Timed(NamedTuple):
    """Seconds of the engine and of its comparator, round by round, and of the compilation of each."""

    ours: list[float]
    theirs: list[float]
    compiled: tuple[float, float]

    @property
    def ratios(self) -> list[float]:
        """Of the rounds."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True)]


def timed(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> Timed:
    """Both in turn; each is called once before, to be compiled."""
    first = [_seconds(call) for call in (ours, theirs)]
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    columns = [list(column) for column in zip(*pairs, strict=True)]
    compiled = [once - statistics.median(later) for once, later in zip(first, columns, strict=True)]
    return Timed(columns[0], columns[1], (compiled[0], compiled[1]))


def _seconds(call: Callable[[], Any]) -> float:
    began = time.process_time()
    jax.block_until_ready(call())
    return time.process_time() - began


def beside_plain_scan(hidden: int, runs: int, each: bool, updates: int, rounds: int) -> Timed:
    """One case: one schedule for all runs, or one each."""
    learner, keys = learner_of(hidden), jax.random.split(jax.random.key(1), runs)
    schedules = [schedule_of(seed, updates) for seed in range(runs if each else 1)]
    schedule = a3cjax.Schedule.stack(schedules) if each else schedules[0]
    schedule.ranks()
    loop, record = plain(learner, updates), a3cjax.Record(every=updates, metrics=[])
    return timed(lambda: a3cjax.simulate(learner, schedule, keys, record=record).params, lambda: loop(keys), rounds)


def main() -> None:
    """Print one table after the other."""
    parser = argparse.ArgumentParser(description="Time networks under delay.")
    parser.add_argument("--rounds", type=int, default=5, help="timings of each case, of which the median is shown")
    parser.add_argument("--quick", action="store_true", help="a tenth of the updates, to see whether all works")
    parser.add_argument("--runs", type=int, help="only this many runs of CartPole, on JAX's default device")
    parser.add_argument("--part", choices=PARTS, help="only this part")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    if options.runs is not None:
        _on_device(options.runs, 2000 // scale, options.rounds)
        return
    parts = PARTS if options.part is None else (options.part,)
    cores = use_one_core()
    if "scan" in parts:
        _beside_plain_scans(scale, options.rounds)
    if "copies" in parts:
        _copies(20_000 // scale)
    if "a2c" in parts:
        _beside_synchronous(6000 // scale, options.rounds)
    use_cores(cores)
    if "processes" in parts:
        _beside_processes(20_000 // scale, options.rounds)


def _beside_plain_scans(scale: int, rounds: int) -> None:
    print(f"{'parameters':>10} {'runs':>5} {'schedules':>10} {'engine':>9} {'plain':>9}   ratio        compiled: ratio")
    cases = [(LARGE, 16, False), (LARGE, 16, True), (SMALL, 8, False), (SMALL, 8, True), (SMALL, 64, False)]
    for hidden, runs, each in [*cases, (SMALL, 64, True), (SMALL, 1, False)]:
        updates = max(2, 60_000 // runs // (4 if hidden == LARGE else 1) // scale)
        _print(hidden, runs, each, updates, beside_plain_scan(hidden, runs, each, updates, rounds))


def _print(hidden: int, runs: int, each: bool, updates: int, case: Timed) -> None:
    parameters = sum(
        leaf.size for leaf in jax.tree.leaves(jax.eval_shape(learner_of(hidden).init, jax.random.key(0)).params)
    )
    ours, theirs = (statistics.median(column) / updates / runs * 1e6 for column in case[:2])
    print(
        f"{parameters:>10,} {runs:>5} {'one each' if each else 'one':>10} {ours:>6.1f} µs {theirs:>6.1f} µs  "
        f"{_spread(case.ratios)}  {case.compiled[0]:.1f} s / {case.compiled[1]:.1f} s: "
        f"{case.compiled[0] / case.compiled[1]:.2f}"
    )
    sys.stdout.flush()


def _copies(updates: int) -> None:
    """How many copies of the parameters a run keeps, beside the versions of a ring for the same delays."""
    print("\ncopies of the parameters that a run keeps, 16 workers without latency")
    laws = {"exponential": a3cjax.compute_times.Exponential(1.0), "Pareto(1.5)": a3cjax.compute_times.Pareto(1.0, 1.5)}
    learner, record = learner_of(SMALL), a3cjax.Record(every=2, metrics=[])
    for name, law in laws.items():
        schedule = schedule_of(0, updates, law)
        # The first two updates are enough to see what is chosen, but for all of the schedule.
        state = a3cjax.simulate(learner, schedule[:2], jax.random.key(0), record=record).state
        slots = _slots(learner, schedule)
        assert state is not None
        ring = 1 << int(schedule.max_delay).bit_length()
        print(f"{name:>14}: {slots} ({state.history}); a ring of {ring:,} for delays of up to {schedule.max_delay:,}")


def _slots(learner: Any, schedule: a3cjax.Schedule) -> int:
    from a3cjax.engine.choice import choose

    return choose("auto", None, schedule, None, learner)[1]


def _beside_synchronous(updates: int, rounds: int) -> None:
    """Sixteen environments in an update, as A2C has them, and one, so that an update has as many steps as here."""
    learner, schedule = learner_of(SMALL), schedule_of(0, updates)
    print("\nenvironment steps a second: 16 asynchronous workers here, environments in step in plain JAX (one core)")
    print(f"{'runs':>5} {'environments':>12} {'steps an update':>16} {'here':>12} {'in step':>12}   ratio")
    for runs, environments_in_step in ((1, 16), (16, 16), (1, 1), (16, 1)):
        keys = jax.random.split(jax.random.key(1), runs)
        fewer = max(1, updates // runs // environments_in_step)
        cut = schedule[: fewer * environments_in_step]
        loop = synchronous(learner, fewer, environments_in_step)
        record = a3cjax.Record(every=len(cut), metrics=[])
        case = timed(
            lambda cut=cut, keys=keys, record=record: a3cjax.simulate(learner, cut, keys, record=record).params,
            lambda loop=loop, keys=keys: loop(keys),
            rounds,
        )
        steps = runs * len(cut) * ROLLOUT
        ours, theirs = (steps / statistics.median(column) for column in case[:2])
        a_second = [1 / ratio for ratio in case.ratios]
        print(
            f"{runs:>5} {environments_in_step:>12} {environments_in_step * ROLLOUT:>10} and {ROLLOUT} {ours:>12,.0f} "
            f"{theirs:>12,.0f}   {_spread(a_second)}"
        )


def _beside_processes(updates: int, rounds: int) -> None:
    """Processor time of an update, beside that of real asynchronous processes."""
    from benchmarks import numpy_network

    learner, keys = learner_of(SMALL), jax.random.split(jax.random.key(1), 16)
    fewer = updates // 16
    schedule, record = schedule_of(0, fewer), a3cjax.Record(every=fewer, metrics=[])

    def call():
        return a3cjax.simulate(learner, schedule, keys, record=record).params

    real = {"NumPy": lambda: numpy_network.cpu_seconds_per_update(8, updates // 4)}
    if importlib.util.find_spec("torch") is not None:
        from benchmarks import torch_network

        real["torch"] = lambda: torch_network.cpu_seconds_per_update(8, updates // 20)
    print("\nprocessor time of an update, 4,675 parameters: 8 processes on shared memory, 16 runs here")
    call()
    ours: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in real}
    for _ in range(rounds):
        ours.append(_seconds(call) / fewer / 16)
        for name, seconds in real.items():
            theirs[name].append(seconds())
    for name, column in theirs.items():
        ratios = [one / simulated for one, simulated in zip(column, ours, strict=True)]
        medians = [statistics.median(times) * 1e6 for times in (column, ours)]
        print(f"{name:>5}: {medians[0]:,.0f} µs, {medians[1]:.1f} µs: {_spread(ratios)} times")
    if "torch" not in real:
        print("torch: not installed; pip install torch, and its processes are timed too.")


def _on_device(runs: int, updates: int, rounds: int) -> None:
    """By the clock, for the work is the device's."""
    device = jax.devices()[0]
    learner, keys = learner_of(SMALL), jax.random.split(jax.random.key(1), runs)
    schedule, loop = schedule_of(0, updates), plain(learner, updates)
    record = a3cjax.Record(every=updates, metrics=[])

    def rate(call: Callable[[], Any]) -> float:
        began = time.perf_counter()
        jax.block_until_ready(call())
        return runs * updates / (time.perf_counter() - began)

    calls = [lambda: a3cjax.simulate(learner, schedule, keys, record=record).params, lambda: loop(keys)]
    for call in calls:
        call()
    rates = [[rate(call) for call in calls] for _ in range(rounds)]
    ours, theirs = (statistics.median(column) for column in zip(*rates, strict=True))
    ratios = [there / here for here, there in rates]
    print(f"{device.device_kind}, {runs} runs: {ours:,.0f} updates a second, the plain scan {theirs:,.0f}")
    print(f"{_spread(ratios)} times as long")


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
