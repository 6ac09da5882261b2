"""The barrier against asynchronous workers: what waiting costs, and who is said to win."""

import csv
import dataclasses
import json
import shlex
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

import a3cjax
from a3cjax.cli.process import main
from a3cjax.studies import CompareRow, CompareStudy, StudyInterrupted, compare
from a3cjax.studies.compare import expected_round, idle_shares, rounds
from a3cjax.studies.frame import runs as run

ct = a3cjax.compute_times
KEY = jax.random.key(0)


def harmonic(n):
    return sum(1 / i for i in range(1, n + 1))


# --------------------------------------------------------------------------------------------------- rounds and waiting


def test_equal_workers_never_wait():
    schedule = a3cjax.Schedule.barrier(KEY, [ct.Deterministic(1.0)] * 5, 20)
    assert idle_shares(schedule).tolist() == [0] * 5
    assert expected_round([ct.Deterministic(1.0)] * 5) == 1


def test_one_straggler_keeps_everybody_waiting():
    """Ten times slower: a round lasts 10, so the others wait 9 of 10, and it never. Throughput: N samples in 10, or at
    rate N − 1 + 1/10 without a barrier, N / 3.1 for N = 4: 3.1 · 10 / 4 = 7.75 times as many samples in a time."""
    team = [ct.Deterministic(1.0)] * 3 + [ct.Deterministic(10.0)]
    barrier, free = a3cjax.Schedule.barrier(KEY, team, 50), a3cjax.Schedule.from_workers(KEY, team, 200)
    np.testing.assert_allclose(idle_shares(barrier), [0.9, 0.9, 0.9, 0], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(barrier.time[3::4], 10.0 * np.arange(1, 51))
    assert expected_round(team) == 10
    assert rounds.expected_samples_time(team) == pytest.approx(4 / 3.1)
    assert free.time[-1] == 65  # at time 65: 3 · 65 samples, which are 195, and 6 of the straggler; the 200th is there
    assert barrier.time[-1] / (4 / 3.1 * 50) == pytest.approx(7.75)


@pytest.mark.parametrize(
    ("team", "expected"),
    [
        ([ct.Exponential(2.0)] * 6, 2 * harmonic(6)),
        ([ct.Exponential(1.0), ct.Exponential(10.0)], 1 + 10 - 1 / (1 + 1 / 10)),  # E max = E a + E b − E min
        ([ct.Uniform(0.0, 1.0)] * 4, 4 / 5),  # N/(N + 1)
        ([ct.Deterministic(1.0), ct.Exponential(1.0)], 1 + np.exp(-1)),  # E max(1, c) = 1 + ∫_1^∞ e^{−t}
        ([ct.Pareto(3.0, shape=3.0)] * 2, 3.6),  # scale 2, E max = 2 E c − E min = 6 − 2 · 6/5
        ([ct.Gamma(1.0, cv=1.0)] * 3, harmonic(3)),  # CV 1 is exponential
        ([ct.Empirical([1.0, 2.0])], np.nan),
    ],
)
def test_the_mean_round_in_closed_form(team, expected):
    assert expected_round(team) == pytest.approx(expected, rel=1e-7, nan_ok=True)


def test_the_mean_round_of_lognormals_is_that_of_the_schedule():
    """4000 rounds; five standard errors from their own spread."""
    team = [ct.Lognormal(1.0, cv=0.8)] * 4
    schedule = a3cjax.Schedule.barrier(KEY, team, 4000)
    rounds = np.diff(schedule.time[3::4], prepend=0)
    assert abs(rounds.mean() - expected_round(team)) < 5 * rounds.std() / np.sqrt(4000)
    assert abs(idle_shares(schedule).mean() - (1 - 1 / expected_round(team))) < 0.01


def test_another_schedule_has_no_idle_shares():
    for schedule in (
        a3cjax.Schedule.buffered(KEY, [ct.Exponential(1.0)] * 3, 10, 3),
        a3cjax.Schedule.from_workers(KEY, [ct.Exponential(1.0)] * 3, 30),
        a3cjax.Schedule.barrier(KEY, [ct.Exponential(1.0)] * 3, 10)[:2],
    ):
        with pytest.raises(ValueError, match=r"give one that Schedule\.barrier made"):
            idle_shares(schedule)


# ------------------------------------------------------------------------------------------------------------ the study


@pytest.fixture(scope="module")
def learner():
    mdp = a3cjax.families.synthetic(KEY, num_states=5, num_actions=2, num_features=5)
    return a3cjax.A3C(mdp, actor_step=0.04, critic_step=0.1, radius=100.0)  # as the command's has one


@pytest.fixture(scope="module")
def study(learner):
    one = ct.Deterministic(1.0)
    laws = {"equal": one, "one slow": lambda n: [one] * (n - 1) + [one.scaled(10.0)]}
    return compare(learner, workers=(2, 4), laws=laws, seeds=3, num_samples=6000, target=0.4)


def test_every_law_number_and_method_has_a_row(study):
    assert [(row.law, row.workers, row.method) for row in study.rows] == [
        (law, n, method)
        for law in ("equal", "one slow")
        for n in (2, 4)
        for method in ("async", "barrier", "barrier, N × step")
    ]
    for row in study.rows:
        assert row.step_factor == (row.workers if "×" in row.method else 1)
        assert row.reached == 3
        waits = row.law == "one slow" and row.method != "async"
        assert row.idle_most == pytest.approx(0.9 if waits else 0)
        assert row.idle == pytest.approx(0.9 * (row.workers - 1) / row.workers if waits else 0)
        assert row.idle == pytest.approx(row.expected_idle)
        assert row.samples_time == pytest.approx(row.expected_samples_time, rel=0.01)


def test_the_same_samples_with_and_without_waiting(study):
    """Both laws give a barrier the same updates, 10 times later; async has its own interleaving, and never waits."""
    rows = {(row.law, row.workers, row.method): row for row in study.rows}
    for n in (2, 4):
        for method in ("barrier", "barrier, N × step"):
            equal, slow = (rows[law, n, method] for law in ("equal", "one slow"))
            assert equal.samples_to_target == slow.samples_to_target
            assert slow.time_to_target == pytest.approx(10 * equal.time_to_target)
            assert equal.updates_to_target == pytest.approx(equal.samples_to_target / n, rel=1e-6)
        # N times the step at a barrier does per sample about what the step does without one, here within a third.
        free, scaled, same = (rows["equal", n, name] for name in ("async", "barrier, N × step", "barrier"))
        assert scaled.samples_to_target == pytest.approx(free.samples_to_target, rel=0.33)
        assert same.samples_to_target > 1.5 * free.samples_to_target
        assert rows["one slow", n, "barrier"].time_ratio < 0.5
    assert "one slow, N = 4: async takes" in study.summary()
    assert study.summary().count("async wins") >= 2


def test_a_barrier_run_is_what_simulate_gives(study, learner):
    """The last seed of the last cell, put together by hand from the same keys."""
    key, n, s = jax.random.key(0), 4, 2
    team = [ct.Deterministic(1.0)] * 3 + [ct.Deterministic(10.0)]
    own = [jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, part), n), s) for part in (0, 1)]
    scaled = dataclasses.replace(learner, actor_step=learner.actor_step * 4, critic_step=learner.critic_step * 4)
    spacing = int(study.curves.samples.values[1])
    record = a3cjax.Record(every=spacing, metrics=("objective",))
    schedule = a3cjax.Schedule.barrier(own[0], team, 1500)
    alone = a3cjax.simulate(scaled, schedule, own[1], record=record)
    np.testing.assert_allclose(study.curves.objective.values[2, 1, 1, 2, 1:], alone.metrics["objective"], rtol=1e-6)
    np.testing.assert_array_equal(study.curves.time.values[2, 1, 1, 2, 1:], alone.time)
    assert spacing % 4 == 0


def fabricated(slopes):
    """Straight lines J = slope · samples, slopes [3, seeds], one law of ten virtual units per sample at the barrier."""
    slopes, at = np.array(slopes, float), np.arange(0, 1001, 10)
    shape = (3, 1, 1, slopes.shape[1])
    dims = ("method", "law", "workers", "seed")
    zero = np.zeros(shape)
    pace = np.array([1, 10, 10])[:, None, None, None, None]
    cell = (("method", "law", "workers"), zero[..., 0])
    return xr.Dataset(
        {
            "objective": ((*dims, "record"), slopes[:, None, None, :, None] * at),
            "time": ((*dims, "record"), np.broadcast_to(pace * at, (*shape, at.size))),
            "updates": (("method", "workers", "record"), np.broadcast_to(at, (3, 1, at.size))),
            **{name: (dims, zero) for name in ("idle", "idle_most")},
            **dict.fromkeys(("expected_time", "expected_idle"), cell),
            "nonfinite_from": (dims, zero.astype(int) - 1),
        },
        coords={
            "method": ["async", "barrier", "barrier, N × step"],
            "law": ["some"],
            "workers": [2],
            "samples": ("record", at),
        },
        attrs={"target_objective": 0.8, "target_share": 0.8, "initial_objective": 0.0, "optimal_objective": 1.0,
               "num_samples": 1000},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("slopes", "words"),
    [
        (
            [[0.002] * 4, [0.004] * 4, [0.001] * 4],
            ["0.20 (0.20 to 0.20)", "the barrier with the same step: async wins"],
        ),
        ([[0.002] * 4, [0.02] * 4, [0.04] * 4], ["2.00 (2.00 to 2.00)", "N × the step: the barrier wins"]),
        ([[0.001, 0.002, 0.004], [0.0] * 3, [0.02] * 3], ["no difference that 3 seeds can tell"]),
        ([[0.002] * 3, [0.0] * 3, [0.0] * 3], ["async wins; with no barrier did every seed meet the target"]),
        ([[0.0, 0.1], [0.1] * 2, [0.0] * 2], ["the barrier with the same step wins; async met", "1 of 2 seeds only"]),
        ([[0.0] * 2, [0.0, 1.0], [0.0] * 2], ["neither async nor a barrier met the target with every seed"]),
    ],
)
def test_who_wins(slopes, words):
    """To J = .8: 400 samples at slope .002 take 400 without a barrier; 200 at slope .004 take 2000 with one."""
    study = CompareStudy.of(fabricated(slopes))
    (said,) = study.verdicts()
    assert said.startswith("some, N = 2: ")
    for piece in words:
        assert piece in said
    missed = [m for m, row in enumerate(slopes) if min(row) == 0]
    assert len(study.notes()) == len(missed)


def test_a_study_without_a_finite_number_is_drawn_and_written(study, tmp_path):
    """Warnings are errors here: a legend of nothing is one."""
    curves = study.curves.copy(deep=True)
    for name in curves.data_vars:
        if curves[name].dtype.kind == "f":
            curves[name].values[...] = np.nan
    curves.attrs["target_objective"] = np.nan
    dataclasses.replace(study, curves=curves).save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["problem"]["target_objective"] == "nan"


def test_the_command_writes_what_it_says(tmp_path, capsys):
    options = shlex.split(
        "compare --workers 2 4 --laws deterministic straggler --straggler-factor 5 --seeds 3 --samples 6000 --states 5 "
        "--features 5 --actions 2 --target 0.4"
    )
    assert main([*options, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "one 5 × slower, N = 4: " in out
    with (tmp_path / "compare.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == [field.name for field in dataclasses.fields(CompareRow)]
    assert len(rows) == 12
    with xr.open_dataset(tmp_path / "compare.nc", engine="h5netcdf") as curves:
        for name, variable in curves.variables.items():
            assert variable.attrs["long_name"], name
            assert "units" in variable.attrs or name in ("method", "law")
    assert (tmp_path / "compare.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"workers": (1, 2)}, r"workers\[0\] is 1, but must be at least 2"),
        ({"workers": (2, 2)}, r"workers is \[2, 2\]; give one or more numbers of workers, each once"),
        ({"laws": {}}, "laws is empty"),
        ({"laws": {"odd": lambda n: [ct.Exponential(1.0)]}}, r"laws\['odd'\]\(2\) gave 1 laws, but must give one"),
        ({"num_samples": 3}, "num_samples is 3, but must be at least 8"),
        ({"target": 0.0}, "target is 0, but must be greater than 0"),
    ],
)
def test_bad_requests_are_refused(options, sentence, learner):
    with pytest.raises(ValueError, match=sentence):
        compare(learner, **options)


def test_steps_that_change_are_refused(learner):
    with pytest.raises(ValueError, match="the learner's actor_step must be one number here"):
        compare(dataclasses.replace(learner, actor_step=lambda k: 0.1))


def test_options_without_effect_are_refused(capsys):
    assert main(["compare", "--laws", "pareto", "--straggler-factor", "3"]) == 2
    assert "--straggler-factor has no effect without the law straggler" in capsys.readouterr().err
    assert main(["compare", "--laws", "pareto", "pareto"]) == 2
    assert "--laws is pareto pareto; name each law once" in capsys.readouterr().err


def test_ctrl_c_keeps_what_was_done(learner, monkeypatch):
    """Pressed in the barrier runs, after two of their records: the async curves are whole, the barriers' end there."""
    calls = []

    def simulate(learner, schedule, keys, *, record, throw, progress):
        updates = np.arange(record.every, 201, record.every)[: None if not calls else 2]
        calls.append(np.ravel(learner.actor_step))
        runs = len(keys)
        metrics = {"objective": np.full((runs, updates.size), 10.0)}
        result: Any = SimpleNamespace(updates=updates, metrics=metrics, nonfinite_from=np.full(runs, -1))
        if len(calls) == 2:
            raise a3cjax.Interrupted("stopped", result)
        return result

    monkeypatch.setattr(run, "simulate", simulate)
    with pytest.raises(StudyInterrupted, match="Interrupted in the barrier runs") as caught:
        compare(learner, workers=(2, 4), seeds=2, num_samples=200, record_every=20)
    study: Any = caught.value.study
    ends = np.isfinite(study.curves.objective.values).sum(-1)  # with the start
    assert (ends[0] == 11).all()
    assert (ends[1:] == 3).all()
    assert study.interrupted
    assert study.notes()[0].startswith("The study was interrupted")
    # Laws, then N, then seeds: the steps of the barrier, and N times the steps.
    np.testing.assert_allclose(calls[1] / calls[0], [1] * 8 + [2, 2, 4, 4] * 2, rtol=1e-6)
