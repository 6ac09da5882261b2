"""Real processes, recorded with one number of workers, and what is forecast of them with others.

    python -m benchmarks.forecast [--seconds 30] [--workers 2 4 8 16] [--calibrate 4]
    python -m benchmarks.forecast --kinds computing --cores 2 --workers 2 4 8 --calibrate 4
    python -m benchmarks.forecast --kinds pipeline
    python -m benchmarks.forecast --log FILE --seen 8:-:7.00:34 --seen 16:-:15.0:70

Workers are processes that share a count of updates and record each read and write with ``a3cjax.recorder``. Between the
two they sleep for a drawn time, of mean 20 ms, or compute for a drawn time of their processor's. The run with
``--calibrate`` workers becomes a team (``a3cjax.calibrate``), and schedules of that team with the other numbers of
workers stand beside what really happened: updates a second, the delays' mean, 99 % quantile and variance, as ratios of
forecast to real. A ratio further from 1 than is allowed (5, 10 and 25 %; for workers that compute 15, 10 and 25 %, and
the variance a factor of 1.5) is marked with an asterisk. The last column says whether the real rate is in the 95 %
interval that ``a3cjax forecast`` would give, from resampled calibrations.

The pipeline has generators, a queue and a learner, as in examples/queue_of_generators.py. Generation and training times
are taken from its log with a queue of 4, and ``Schedule.from_pipeline`` forecasts other queues and generators.

``--log`` compares a forecast from a log that is there already with numbers that are known otherwise: workers, rate,
mean and 99 % quantile, ``-`` for what is not known.

Sleeping workers bear a machine that is busy with other things, but for tenths of a millisecond; computing ones do not.
"""

import argparse
import contextlib
import math
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from a3cjax.recorder import Recorder

# Nothing here imports JAX at the top: a worker imports this module, and has no use for it.

MEAN, GRADIENT = 0.020, 0.003  # seconds: of a sleep, and of a computation
DRAWS, SCHEDULES = 20, 4  # of the interval, and of the numbers beside it

KINDS = ("exponential", "lognormal", "straggler", "pareto")
ALL = (*KINDS, "computing", "pipeline")


class Numbers(NamedTuple):
    """What a schedule comes to; NaN where it is not known."""

    rate: float
    mean: float
    p99: float
    variance: float = math.nan


ALLOWED = {"rate": 0.05, "mean": 0.10, "p99": 0.25}
ALLOWED_COMPUTING = {"rate": 0.15, "mean": 0.10, "p99": 0.25, "variance": 0.5}


# ------------------------------------------------------------------------------------------------------ real processes


def draw(kind: str, worker: int, rng: random.Random) -> float:
    """One time of a worker, in seconds."""
    if kind == "lognormal":
        sigma = math.sqrt(math.log(1.25))  # cv 0.5
        return MEAN * math.exp(rng.gauss(-(sigma**2) / 2, sigma))
    if kind == "pareto":
        return MEAN / 2 * rng.paretovariate(2.0)
    if kind == "computing":
        sigma = math.sqrt(math.log(1.04))  # cv 0.2
        return GRADIENT * math.exp(rng.gauss(-(sigma**2) / 2, sigma))
    return rng.expovariate(1 / (MEAN * (5 if kind == "straggler" and worker == 0 else 1)))


def spend(kind: str, seconds: float) -> None:
    """Sleep, or compute until this process has had so much of a processor."""
    if kind != "computing":
        time.sleep(seconds)
        return
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def work(index: int, kind: str, count: Any, lock: Any, start: Any, seconds: float, folder: str, seed: int) -> None:
    """One worker, until the time is up."""
    rng = random.Random(1000 * seed + index)
    with Recorder(folder, index) as recorder:
        start.wait()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            recorder.read(count.value)
            spend(kind, draw(kind, index, rng))
            recorder.ready()
            with lock:
                version = count.value
                count.value = version + 1
                recorder.write(version)


def record(kind: str, workers: int, locked: bool, seconds: float, folder: Path, seed: int) -> Path:
    """A run of real processes; the folder of its log."""
    context = multiprocessing.get_context("spawn")
    count, start = RawValue("q", 0), context.Barrier(workers)
    lock: Any = context.Lock() if locked else contextlib.nullcontext()
    path = folder / f"{kind}-{workers}-{'lock' if locked else 'free'}"
    given = (kind, count, lock, start, seconds, str(path), seed)
    processes = [context.Process(target=work, args=(index, *given)) for index in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("A worker failed.")
    return path


# ----------------------------------------------------------------------------------------------------------- forecasts


def numbers(schedule: Any) -> Numbers:
    """Of a schedule; the rate from the first landing to the last, as a log has it."""
    delay, at = np.asarray(schedule.delay, np.float64), np.asarray(schedule.time)
    return Numbers(
        (len(at) - 1) / float(at[-1] - at[0]), float(delay.mean()),
        float(np.quantile(delay, 0.99, method="inverted_cdf")), float(delay.var()),
    )  # fmt: skip


def forecast(team: Any, num_updates: int, seed: int) -> tuple[Numbers, tuple[float, float]]:
    """What a team comes to on average, and the interval of the rate of a run."""
    import jax

    from a3cjax.studies.forecast.ranking import of_a_run

    keys = [jax.random.fold_in(jax.random.key(seed), i) for i in range(max(DRAWS, SCHEDULES))]
    drawn = [numbers(team.schedule(key, num_updates)) for key in keys[:SCHEDULES]]
    mean = Numbers(*(float(np.mean(column)) for column in zip(*drawn, strict=True)))
    rates = [
        numbers(team.resampled(key).with_workers(team.num_workers).schedule(key, num_updates)).rate
        for key in keys[:DRAWS]
    ]
    interval = of_a_run(np.array(rates), 0.95, logarithms=True)
    return mean, (interval.low, interval.high)


_COLUMNS = (("updates/s", 11), ("mean", 8), ("99 %", 7), ("var", 9))
HEADER = f"{'run':<26}{'N':>4}" + "".join(f"{name:>{wide}}{'ratio':>7} " for name, wide in _COLUMNS) + "  in 95 %"


def line(
    name: str, workers: int, real: Numbers, told: Numbers, allowed: dict[str, float], inside: str
) -> tuple[str, int, int]:
    """A line of the table; how many of its ratios are allowed, and of how many."""
    text, good, all_of = f"{name:<26}{workers:>4}", 0, 0
    for field, form, wide in (("rate", ".1f", 11), ("mean", ".2f", 8), ("p99", ".0f", 7), ("variance", ".1f", 9)):
        was, says = getattr(real, field), getattr(told, field)
        if math.isnan(was):
            text += f"{'–':>{wide}}{'–':>7} "
            continue
        ratio = says / was if was else (1.0 if says == was else math.inf)
        mark = " "
        if field in allowed:
            fits = abs(ratio - 1) <= allowed[field]
            if field == "variance":
                fits = 1 / (1 + allowed[field]) <= ratio <= 1 + allowed[field]
            good, all_of, mark = good + fits, all_of + 1, " " if fits else "*"
        text += f"{was:>{wide}{form}}{ratio:>7.2f}{mark}"
    return f"{text}  {inside}", good, all_of


class Table:
    """Lines as they come, and the count of what was allowed."""

    def __init__(self) -> None:
        self.good: dict[str, list[int]] = {}
        self.inside: list[bool] = []
        print(HEADER, flush=True)

    def add(self, group: str, name: str, workers: int, real: Numbers, told: Numbers, allowed: dict[str, float],
            interval: tuple[float, float] | None = None) -> None:  # fmt: skip
        """Print one."""
        inside = ""
        if interval is not None and not math.isnan(real.rate):
            self.inside.append(interval[0] <= real.rate <= interval[1])
            inside = "yes" if self.inside[-1] else "no"
        text, good, all_of = line(name, workers, real, told, allowed, inside)
        counts = self.good.setdefault(group, [0, 0])
        counts[0], counts[1] = counts[0] + good, counts[1] + all_of
        print(text, flush=True)

    def close(self) -> None:
        """Print the counts."""
        for group, (good, all_of) in self.good.items():
            print(f"{group}: {good} of {all_of} ratios are within what is allowed.")
        if self.inside:
            print(f"The real rate is in {sum(self.inside)} of {len(self.inside)} intervals of 95 %.")


def forecast_workers(options: Any, kind: str, locked: bool, folder: Path, table: Table) -> None:
    """Record every number of workers, calibrate one, and forecast the others."""
    import a3cjax

    cores = options.cores if kind == "computing" else None
    logs = {}
    for workers in sorted({*options.workers, options.calibrate}):
        path = record(kind, workers, locked, options.seconds, folder, options.seed + workers)
        logs[workers] = a3cjax.Schedule.from_log(path), path
    team = a3cjax.calibrate(logs[options.calibrate][1], cores=cores)
    name = f"{kind}, {'lock' if locked else 'no lock'}"
    if options.verbose:
        print(team)
    if cores is not None:
        print(f"{name}: from N = {options.calibrate} a time slice of {1000 * (team.time_slice or 0):.2f} ms")
    for workers, (schedule, _) in logs.items():
        if workers == options.calibrate:
            continue
        told, interval = forecast(team.with_workers(workers), len(schedule), options.seed)
        allowed = ALLOWED if cores is None else ALLOWED_COMPUTING
        table.add("computing" if cores else "sleeping", name, workers, numbers(schedule), told, allowed, interval)
    if cores is not None and 2 in logs and team.time_slice is not None:
        few = a3cjax.calibrate(logs[2][1], cores=cores, time_slice=team.time_slice)
        for workers, (schedule, _) in logs.items():
            if workers > cores and workers != options.calibrate:
                told, interval = forecast(few.with_workers(workers), len(schedule), options.seed)
                table.add("computing", f"{name}, from N = 2", workers, numbers(schedule), told, ALLOWED_COMPUTING,
                          interval)  # fmt: skip


# ------------------------------------------------------------------------------------------------------- the pipeline

BATCH, TRAINING, GENERATION, TAIL = 4, 0.010, 0.012, 1.5


def generate(index: int, version: Any, samples: Any, stop: Any, folder: str, seed: int) -> None:
    """Make samples until told to stop; a full queue makes it wait."""
    import queue

    rng = random.Random(1000 * seed + index)
    number = 0
    with Recorder(folder, f"generator {index}") as recorder:
        while not stop.is_set():
            name, number = f"{index}-{number}", number + 1
            recorder.event("submitted", sample=name, version=version.value)
            time.sleep(GENERATION * (1 - 1 / TAIL) * rng.paretovariate(TAIL))
            recorder.event("done", sample=name, version=version.value)
            while not stop.is_set():
                with contextlib.suppress(queue.Full):
                    samples.put(name, timeout=0.05)
                    break
    samples.cancel_join_thread()


def record_pipeline(generators: int, bound: int, seconds: float, folder: Path, seed: int) -> Path:
    """A run of generators, a queue of ``bound`` and a learner; the folder of its log."""
    import queue

    path = folder / f"pipeline-{generators}-{bound}"
    context = multiprocessing.get_context("spawn")
    version, samples, stop = RawValue("q", 0), context.Queue(bound), context.Event()
    processes = [
        context.Process(target=generate, args=(index, version, samples, stop, str(path), seed))
        for index in range(generators)
    ]
    for process in processes:
        process.start()
    with Recorder(str(path), "learner") as recorder:
        batch = [samples.get(timeout=60)]  # processes take their time to start
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                batch.append(samples.get(timeout=0.05))
            if len(batch) == BATCH:
                recorder.event("trained", samples=batch, version=version.value)
                time.sleep(TRAINING)
                version.value += 1
                recorder.event("published", version=version.value)
                batch = []
    stop.set()
    for process in processes:
        process.join()
    return path


def pipeline_times(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of every generation that was done, and of every training."""
    import json

    begun: dict[Any, int] = {}
    generations, trainings = [], []
    for file in sorted(path.iterdir()):
        for text in file.read_text().splitlines():
            row = json.loads(text)
            kind = row.get("event")
            if kind == "submitted":
                begun[row["sample"]] = row["ns"]
            elif kind == "done":
                generations.append((row["ns"] - begun.pop(row["sample"])) / 1e9)
            elif kind == "trained":
                begun["update"] = row["ns"]
            elif kind == "published":
                trainings.append((row["ns"] - begun.pop("update")) / 1e9)
    return np.array(generations), np.array(trainings)


def forecast_pipelines(options: Any, folder: Path, table: Table) -> None:
    """Times from 4 generators and a queue of 4; other queues and numbers of generators beside what they did."""
    import jax

    import a3cjax

    laws: Any = None
    for generators, bound in ((4, 4), (4, 16), (2, 4), (8, 16)):
        path = record_pipeline(generators, bound, options.seconds, folder, options.seed + bound + generators)
        schedule = a3cjax.Schedule.from_log(path)
        if laws is None:
            laws = [a3cjax.compute_times.Empirical(times) for times in pipeline_times(path)]
        updates = int(np.sum(schedule.num_updates))
        drawn = a3cjax.Schedule.from_pipeline(
            jax.random.key(options.seed), [laws[0]] * generators, laws[1], updates, batch=BATCH, queue=bound
        )
        table.add("pipeline", f"pipeline, queue {bound}", generators, numbers(schedule), numbers(drawn), ALLOWED)


# -------------------------------------------------------------------------------------------------- logs that are there


def seen(text: str) -> tuple[int, Numbers]:
    """``workers:rate:mean:p99``, with a dash for what is not known."""
    workers, *parts = text.split(":")
    return int(workers), Numbers(*(math.nan if part == "-" else float(part) for part in parts))


def forecast_log(options: Any, table: Table) -> None:
    """From a log to numbers that are known otherwise."""
    import a3cjax

    team = a3cjax.calibrate(options.log, cores=options.cores)
    print(team)
    allowed = ALLOWED if options.cores is None else ALLOWED_COMPUTING
    for workers, real in options.seen:
        told, interval = forecast(team.with_workers(workers), 8000, options.seed)
        table.add("from the log", options.log.name, workers, real, told, allowed, interval)


def kinds(options: Any) -> Iterator[tuple[str, bool]]:
    """Each kind with a lock and without."""
    for kind in options.kinds:
        for locked in (True, False):
            if kind != "pipeline":
                yield kind, locked


def main(arguments: Sequence[str] | None = None) -> None:
    """Record, calibrate, forecast and print."""
    parser = argparse.ArgumentParser(description="Hold forecasts to real processes.")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--calibrate", type=int, default=4, help="the number of workers that is calibrated")
    parser.add_argument("--kinds", nargs="+", choices=ALL, default=list(KINDS))
    parser.add_argument("--cores", type=int, help="of the machine, for workers that compute")
    parser.add_argument("--folder", type=Path, help="keep the logs there")
    parser.add_argument("--log", type=Path, help="forecast from this log instead")
    parser.add_argument("--seen", type=seen, action="append", default=[], help="workers:rate:mean:p99 beside it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print every team")
    options = parser.parse_args(arguments)
    if "computing" in options.kinds and options.cores is None:
        parser.error("--kinds computing needs --cores, those of this machine")
    table = Table()
    if options.log is not None:
        forecast_log(options, table)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.folder or Path(temporary)
            for kind, locked in kinds(options):
                forecast_workers(options, kind, locked, folder, table)
            if "pipeline" in options.kinds:
                forecast_pipelines(options, folder, table)
    table.close()


if __name__ == "__main__":
    main()
