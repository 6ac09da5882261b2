"""The study of a log's asynchrony: against plain NumPy, with the same draws in both runs, and in words."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import a3cjax
from a3cjax.cli import main
from a3cjax.cli.groups import ProblemOptions
from a3cjax.cli.logs import ReplayOptions
from a3cjax.studies import StudyInterrupted, replay
from a3cjax.studies.frame import runs

DATA = Path(__file__).parents[1] / "data"
STEP, NOISE, START, K, SEEDS = 0.02, 0.5, 10.0, 40, 3
FACTORS = (1.0, 2.0)
# Three workers; of the rows 7, 19 and 20 the messages are discarded.
WORKER = np.arange(K) % 3
WEIGHT = np.where(np.isin(np.arange(K), (7, 19, 20)), 0, 1)
VERSION = np.cumsum(WEIGHT) - WEIGHT
DELAY = np.minimum(np.arange(K) * 7 % 5, VERSION)
TIME = 100 + 0.5 * np.arange(K)
SCHEDULE = a3cjax.Schedule(WORKER, DELAY, TIME, weight=WEIGHT)
LEARNER = a3cjax.QuadraticSGD([1.0], step=STEP, noise=NOISE, start=[START])
OPTIONS: dict[str, Any] = dict(metric="distance_sq", target_value=49.0, records=K, seeds=SEEDS)


@pytest.fixture(scope="module")
def study():
    return replay(SCHEDULE, LEARNER, factors=FACTORS, **OPTIONS)


def descent(step, delay, draws):
    """x before the first row and after each: x ← x − a (x of so many versions ago + ξ), unless it is discarded."""
    versions, after = [START], [START]
    for k in range(K):
        if WEIGHT[k]:
            versions.append(versions[-1] - step * (versions[VERSION[k] - delay[k]] + NOISE * draws[k]))
        after.append(versions[-1])
    return np.array(after)


def test_both_runs_have_the_same_draws_and_differ_by_the_delays_alone(study):
    distance = np.sqrt(study.curves.distance_sq.values)  # x stays positive
    for f, factor in enumerate(FACTORS):
        for s in range(SEEDS):
            x = np.append(START, distance[1, f, s])
            # Without delay x − a (x + ξ) says what was drawn.
            draws = (x[:-1] * (1 - STEP * factor) - x[1:]) / (STEP * factor * NOISE)
            assert draws[WEIGHT == 1].std() > 0.5
            stale = descent(STEP * factor, DELAY, draws)
            np.testing.assert_allclose(distance[0, f, s], stale[1:], rtol=1e-4)
            assert (x[1:][WEIGHT == 0] == x[:-1][WEIGHT == 0]).all()
    drawn = study.curves.distance_sq.values[1, 0]
    assert len(np.unique(drawn[:, -1])) == SEEDS


def crossing(values, clock):
    """Where a falling curve first meets 49, between two records."""
    k = int(np.argmax(values <= 49))
    return clock[k - 1] + (values[k - 1] - 49) / (values[k - 1] - values[k]) * (clock[k] - clock[k - 1])


def test_the_rows_are_paired_by_seed(study):
    known = study.curves.distance_sq.values
    for f, row in enumerate(study.rows):
        stale, fresh = (np.c_[np.full(SEEDS, START**2), known[d, f]] for d in range(2))
        difference = stale[:, -1] - fresh[:, -1]
        assert row.difference == pytest.approx(difference.mean())
        assert (row.end, row.fresh_end) == pytest.approx((stale[:, -1].mean(), fresh[:, -1].mean()))
        assert row.difference_low < row.difference < row.difference_high
        of_updates = [np.mean([crossing(one, np.arange(K + 1)) for one in each]) for each in (stale, fresh)]
        assert (row.updates_to_target, row.fresh_updates) == pytest.approx(of_updates)
        assert row.ratio == pytest.approx(of_updates[0] / of_updates[1])
        since = np.append(0, TIME - TIME[0])
        of_time = [np.mean([crossing(one, since) for one in each]) for each in (stale, fresh)]
        assert (row.time_to_target, row.fresh_time) == pytest.approx(of_time)
        assert (row.factor, row.reached, row.fresh_reached) == (FACTORS[f], SEEDS, SEEDS)
    assert f"delay {DELAY[WEIGHT == 1].mean():.2f} on average, 99 % at most 4, all at most 4" in study.summary()
    assert "40 rows by 3 workers" in study.summary()
    assert study.facts()["mean_delay"] == pytest.approx(DELAY[WEIGHT == 1].mean())


def test_who_never_meets_the_target_counts_as_if_at_the_end_and_who_is_lost_not_at_all():
    far = replay(SCHEDULE, LEARNER, factors=(1.0, 1e30), **{**OPTIONS, "target_value": 1e-9})
    row, lost = far.rows
    assert (row.updates_to_target, row.fresh_updates, row.reached, row.ratio) == (K, K, 0, 1.0)
    assert np.isnan([lost.difference, lost.ratio, lost.updates_to_target]).all()
    assert "At 1e+30 times the step: nothing can be said, for a run was lost" in far.summary()
    notes = "\n".join(far.notes())
    assert "recorded, 1e+30 times the step: 3 of 3 runs stopped being finite" in notes
    assert "In 2 rows some run did not meet the target" in notes
    far.figure()


def test_interrupted_in_the_second_it_keeps_the_first(monkeypatch):
    simulate, calls = runs.simulate, []

    def interrupted(*args, **options):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return simulate(*args, **options)

    monkeypatch.setattr(runs, "simulate", interrupted)
    with pytest.raises(StudyInterrupted, match="Interrupted in the runs without delay") as caught:
        replay(SCHEDULE, LEARNER, factors=FACTORS, **OPTIONS)
    row = caught.value.study.rows[0]
    assert np.isfinite(row.end)
    assert np.isnan([row.fresh_end, row.difference, row.ratio]).all()
    assert "interrupted" in caught.value.study.notes()[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"schedule": a3cjax.Schedule.sequential(5)}, "has delay 0 everywhere, so there is nothing to compare"),
        ({"schedule": a3cjax.Schedule.stack([SCHEDULE] * 2)}, r"must be one Schedule .* batch\[b\]"),
        ({"schedule": "log.csv"}, "must be one Schedule whose values are known"),
        ({"factors": (1.0, 0.0)}, "factors"),
        ({"factors": (1.0, 1.0)}, "each once"),
        ({"records": K + 1}, "records is 41"),
        ({"metric": "objectivity"}, "which has no metric 'objectivity'"),
        ({"seeds": 0}, "seeds is 0"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(given, words):
    given = {"schedule": SCHEDULE, "learner": LEARNER, **OPTIONS, **given}
    with pytest.raises(ValueError, match=words):
        replay(given.pop("schedule"), given.pop("learner"), **given)


def test_the_command(tmp_path, capsys, monkeypatch):
    """What it reads and asks for, and what it says of a study that is compiled already."""
    asked: list[Any] = []

    def function(**given):
        asked.append(given)
        return replay(SCHEDULE, LEARNER, factors=FACTORS, **OPTIONS)

    monkeypatch.setattr(ReplayOptions, "build_learner", lambda self: LEARNER)
    monkeypatch.setattr(ReplayOptions, "function", staticmethod(function))
    log, out = str(DATA / "a3c_lock_n4.csv"), ["--out", str(tmp_path)]
    for wrong, words in (
        (["replay"], "There is no log to read; give its path"),
        (["replay", log, "--rows", "900"], "--rows is 900, but must be at most 300"),
        (["replay", str(DATA / "a3c_nolock_n8.csv")], "give --first-version 1650 to have them"),
        (["replay", log, "--gaps", "fill", "--order", "clock"], "--gaps is 'fill', which has no effect when"),
    ):
        assert main([*wrong, *out]) == 2
        assert words in capsys.readouterr().err.replace("\n", " ")
    assert main(["replay", log, "--seeds", "2", "--factors", "1", "4", "--rows", "200", *out]) == 0
    (given,) = asked
    whole = a3cjax.Schedule.from_log(log)
    np.testing.assert_array_equal(given["schedule"].delay, whole.delay[:200])
    assert given["learner"] is LEARNER
    assert (given["factors"], given["seeds"], given["target"]) == ((1.0, 4.0), 2, 0.4)
    said = capsys.readouterr().out
    assert "Replaying 40 rows with their delays and without: 3 seeds of 2 steps ..." in said
    assert "40 rows by 3 workers; delay 1." in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["replay.csv", "replay.nc", "replay.png", "run.json"]
    with (tmp_path / "replay.csv").open() as file:
        assert [float(row["factor"]) for row in csv.DictReader(file)] == list(FACTORS)
    told = json.loads((tmp_path / "run.json").read_text())
    assert (told["problem"]["rows"], told["options"]["rows"], told["options"]["actor_step"]) == (40, 200, 0.5)


def test_the_commands_learner_has_what_was_asked_for():
    problem, options = ProblemOptions(mdp="ring", states=3), dict(actor_step=0.25, radius=9.0)
    fresh = ReplayOptions(problem=problem, gradient="fresh", correction="truncated", **options).build_learner()
    assert (fresh.gradient, type(fresh.correction).__name__, fresh.sampling) == ("fresh", "Truncated", "markov")
    assert (fresh.actor_step, fresh.radius) == (0.25, 9.0)
    assert fresh.policy.shape == (3, 2)
