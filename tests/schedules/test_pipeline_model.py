"""The events of a pipeline against a plain loop in rational numbers, over many small pipelines full of ties."""

from fractions import Fraction
from typing import Any

import jax
import numpy as np
import pytest

from a3cjax import Schedule
from a3cjax import compute_times as ct

KEY = jax.random.key(0)


def exact(number):
    return Fraction(float(np.float32(number)))


def replayed(generation, learning, updates, *, batch, queue, max_staleness=None, on_stale="drop", publish_every=1,
             publish_time=0.0, publish_lag=0, order="fifo", in_flight=False, replays=1):  # fmt: skip
    """The model of events/pipeline.py, step by step: rows, samples, waiting samples times how long, busy learner.

    ``generation(i, t)`` and ``learning(u)`` are times. A sample is a dictionary; at each instant the five steps follow.
    """
    now, version, started, area, busy = Fraction(0), 0, 0, Fraction(0), Fraction(0)
    landings, rows, samples, turns = [], [], [], [0] * len(generation.laws)
    making: dict[int, dict[str, Any]] = {}
    store: list[dict[str, Any]] = []  # the queue
    held: list[dict[str, Any]] = []
    idle = [(Fraction(0), i) for i in range(len(turns))]  # since when, who
    group: list[dict[str, Any]] = []
    ends, left = None, 0

    def seen():
        known = [0]
        for p in range(publish_every, version + 1, publish_every):
            if p + publish_lag <= version and landings[p + publish_lag - 1] + exact(publish_time) <= now:
                known.append(p)
        return max(known)

    def log(sample, weight):
        rows.append([sample["by"], version - sample["first"], now, False, weight])

    def begin():
        nonlocal ends, busy
        ends = now + learning(version)
        busy += ends - now
        rows[-1][2:4] = [ends, True]

    def start():
        nonlocal started
        idle.sort()
        while idle:
            ahead = (started // batch) * replays - seen()
            if on_stale == "wait" and ahead > (max_staleness or 0):
                return
            _, i = idle.pop(0)
            sample = {"by": i, "start": now, "first": seen(), "end": now + generation(i, turns[i])}
            turns[i], started, making[i] = turns[i] + 1, started + 1, sample
            samples.append(sample)

    start()
    while True:
        moments = [sample["end"] for sample in making.values()] + ([] if ends is None else [ends])
        arrivals = [moment + exact(publish_time) for moment in landings]
        then = min(moment for moment in moments + arrivals if moment > now)
        area += (then - now) * (len(store) + len(held))
        now = then
        if ends == now:
            version, ends = version + 1, None
            landings.append(now)
            if version == updates:
                return rows, samples, area, busy, now
            if left:
                left -= 1
                for sample in group:
                    log(sample, 1)
                begin()
            else:
                group = []
        for i in sorted(making):
            if making[i]["end"] == now:
                sample = making.pop(i)
                sample |= {"version_end": version, "last": seen() if in_flight else sample["first"]}
                if queue is None or len(store) < queue:
                    store.append(sample)
                    idle.append((now, i))
                else:
                    held.append(sample)
        while ends is None and (store or held):
            sample = (store.pop(0) if order == "fifo" else store.pop()) if store else None
            while held and (sample is None or len(store) < (queue or 0)):
                moved = held.pop(0)
                idle.append((now, moved["by"]))
                if sample is None:
                    sample = moved
                    break
                store.append(moved)
            assert sample is not None
            sample |= {"taken": now, "version_taken": version}
            fresh = max_staleness is None or on_stale == "wait" or version - sample["first"] <= max_staleness
            log(sample, int(fresh))
            group += [sample] * fresh
            if len(group) == batch:
                left = replays - 1
                begin()
        start()


class Fixed:
    """Times of deterministic laws, as the floats that JAX has of them."""

    def __init__(self, *means):
        self.laws = means

    def __call__(self, i, t):
        return exact(self.laws[i])


def compare(schedule, expected, *, batch):
    rows, samples, area, busy, end = expected
    worker, delay, time, commit, weight = (list(column) for column in zip(*rows, strict=True))
    assert schedule.worker.tolist() == worker
    assert schedule.delay.tolist() == delay
    assert schedule.time.tolist() == [float(moment) for moment in time]
    kept = schedule.weight if schedule.weight is not None else np.ones(len(rows), int)
    assert kept.tolist() == weight
    assert (kept == 1 if schedule.commit is None else schedule.commit).tolist() == commit
    assert schedule.num_updates == sum(commit)
    report = schedule.report
    taken = sorted((s for s in samples if "taken" in s), key=lambda s: s["taken"])
    assert sorted(report.taken) == [float(sample["taken"]) for sample in taken]
    told = zip(report.generator, report.started, report.finished, report.first_version, report.last_version,
               report.version_finished, report.version_taken, strict=True)  # fmt: skip
    names = "by", "start", "end", "first", "last", "version_end", "version_taken"
    assert sorted(told) == sorted(tuple(float(sample[name]) for name in names) for sample in taken)
    assert report.mean_waiting == pytest.approx(float(area / end))
    assert report.learner_idle == pytest.approx(float(1 - busy / end))
    made = [
        sum(min(s["end"], end) - s["start"] for s in samples if s["by"] == i) for i in range(len(report.generator_idle))
    ]
    np.testing.assert_allclose(report.generator_idle, [float(1 - one / end) for one in made], rtol=1e-12, atol=1e-12)


def drawn(seed):
    """A pipeline with few different times, so that much happens at once, and any of the options."""
    rng = np.random.default_rng(seed)
    times = [1.0, 2.0, 3.0, 0.5, 1.5, 0.1, 0.3]
    means = rng.choice(times, rng.integers(1, 5))
    replays, batch = int(rng.choice([1, 1, 2, 3])), int(rng.integers(1, 5))
    options: dict[str, Any] = {"batch": batch, "queue": [None, 0, 1, 2, 4][rng.integers(5)], "replays": replays}
    if rng.random() < 0.4:
        options |= {"publish_every": int(rng.integers(1, 4)), "publish_lag": int(rng.integers(0, 3))}
    if rng.random() < 0.4:
        options["publish_time"] = float(rng.choice(times))
    every, lag = options.get("publish_every", 1), options.get("publish_lag", 0)
    if rng.random() < 0.7:
        # At v = 0, replays, … the version seen is publish_every · ⌊(v − publish_lag)/publish_every⌋.
        least = max(v - max(0, every * ((v - lag) // every)) for v in range(0, 200 * replays, replays))
        options["max_staleness"] = least + int(rng.integers(0, 3))
        options["on_stale"] = str(rng.choice(["drop", "wait"]))
    if rng.random() < 0.3 and options["queue"] not in (0, 1):
        options["order"] = "newest"
    options["in_flight"] = bool(rng.random() < 0.5)
    return [float(mean) for mean in means], float(rng.choice(times)), replays * int(rng.integers(4, 16)), options


@pytest.mark.parametrize("first", range(0, 300, 60))
def test_sixty_pipelines_event_by_event(first):
    dropped = waited = blocked = 0
    for seed in range(first, first + 60):
        means, learner, updates, options = drawn(seed)
        laws = [ct.Deterministic(mean) for mean in means]
        schedule = Schedule.from_pipeline(KEY, laws, ct.Deterministic(learner), updates, **options)
        expected = replayed(Fixed(*means), lambda u, mean=learner: exact(mean), updates, **options)
        compare(schedule, expected, batch=options["batch"])
        dropped += schedule.report.share_dropped > 0
        idle = schedule.report.generator_idle.max() > 1e-9
        waited += options.get("on_stale") == "wait" and idle
        blocked += options["queue"] is not None and options.get("on_stale") != "wait" and idle
    assert min(dropped, waited, blocked) >= 3


def test_each_draw_belongs_to_its_stream():
    """Generator i's t-th time is its law's at fold_in(fold_in(key, i), t), the learner's at its own stream; a longer
    schedule begins like a shorter one."""
    laws = [ct.Exponential(1.0), ct.Pareto(2.0, 1.5), ct.Exponential(3.0)]
    learner = ct.Lognormal(0.7, 0.5)
    options: dict[str, Any] = {"batch": 2, "queue": 2, "max_staleness": 1}
    number, drawn = np.uint32(2**32 - 1), {}

    def generation(i, t):
        if (i, t) not in drawn:
            key = jax.random.fold_in(jax.random.fold_in(KEY, i), t)
            drawn[i, t] = Fraction(float(laws[i].sample(key)))
        return drawn[i, t]

    generation.laws = laws  # type: ignore[attr-defined]
    schedule = Schedule.from_pipeline(KEY, laws, learner, 12, **options)
    own = jax.random.fold_in(KEY, number)
    times = [Fraction(float(learner.sample(jax.random.fold_in(own, u)))) for u in range(12)]
    rows = replayed(generation, lambda u: times[u], 12, **options)[0]
    assert schedule.worker.tolist() == [row[0] for row in rows]
    assert schedule.delay.tolist() == [row[1] for row in rows]
    np.testing.assert_allclose(schedule.time, [float(row[2]) for row in rows], rtol=1e-6)  # compiled or not
    longer = Schedule.from_pipeline(KEY, laws, learner, 500, **options)
    assert len(longer) > 600  # more than two chunks of times
    np.testing.assert_array_equal(longer[: len(schedule)].delay, schedule.delay)
    np.testing.assert_array_equal(longer.time[: len(schedule)], schedule.time)
