"""The study of bounds: pipelines whose throughput is a closed form, times beside plain NumPy, and an interruption."""

import importlib
from typing import Any

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax.schedules.compute_times import Deterministic
from a3cjax.studies import StudyInterrupted, bound
from a3cjax.studies.bound.clocks import clocks
from a3cjax.studies.frame import runs

STEP, TARGET = 0.03, 0.019
FEW: dict[str, Any] = dict(
    generators=4, bounds=(0, None), batches=(1,), queues=(4,), corrections=("none",), factors=(1, 2), num_samples=400,
    records=400, target_value=TARGET, seeds=2, trials=1,
)  # fmt: skip


def study(**options):
    learner = a3cjax.QuadraticSGD([1.0], step=STEP)
    return bound(learner, Deterministic(8.0), Deterministic(1.0), **{**FEW, **options})


def by_hand(schedule, factor):
    """Time at which ½ x² first meets the target, between updates; one sample an update."""
    x, before, then = [1.0], 0.5, 0.0
    kept = np.ones(len(schedule), int) if schedule.weight is None else np.asarray(schedule.weight)
    for delay, time, weight in zip(schedule.delay.tolist(), schedule.time.tolist(), kept.tolist(), strict=True):
        if not weight:
            continue
        x.append(x[-1] - STEP * factor * x[len(x) - 1 - delay])
        value = 0.5 * x[-1] ** 2
        if value <= TARGET:
            return then + (time - then) * (before - TARGET) / (before - value)
        before, then = value, time
    return np.nan


def test_throughput_and_time_to_the_target_beside_a_closed_form_and_numpy():
    found = study()
    rows = {row.bound: row for row in found.rows}
    # Four generators of 8 units each and a learner of 1: half a sample a unit.
    assert rows["none"].throughput == pytest.approx(4 / 8, rel=0.05)
    assert (rows["none"].dropped, rows["none"].quick) == (0, 1)
    # With bound 0 one of what was begun together counts, and all begin again: one update in 8, or in 16.
    assert 1 / 16 - 0.01 < rows["0"].throughput < 1 / 8
    assert rows["0"].dropped > 0.5
    assert rows["0"].staleness == 0
    key = runs.seed_keys(jax.random.fold_in(jax.random.key(0), 0), 1, 2)[0]  # the laws draw nothing
    laws = [Deterministic(8.0)] * 4, Deterministic(1.0)
    for name, most in (("0", 0), ("none", None)):
        updates = 400 if most is None else 100
        schedule = a3cjax.Schedule.from_pipeline(key, *laws, updates, batch=1, queue=4, max_staleness=most)[:400]
        times = [by_hand(schedule, factor) for factor in (1, 2)]
        assert rows[name].factor == (1, 2)[int(np.nanargmin(times))]
        assert rows[name].time_to_target == pytest.approx(np.nanmin(times), rel=1e-4)
    assert rows["none"].verdict == "soonest"
    assert rows["0"].verdict == "later"
    assert "Soonest: no bound, batch 1, queue 4, without correction" in found.summary()


def test_clocks_stand_still_until_a_batch_is_whole_and_leave_out_what_is_dropped():
    schedule = a3cjax.Schedule(
        [0, 0, 0, 0], [0, 0, 0, 0], [1.0, 2.0, 3.0, 4.0], commit=[False, True, False, True], weight=[1, 1, 0, 1]
    )
    samples, times = clocks(a3cjax.Schedule.stack([schedule]))
    assert samples.tolist() == [[0, 0, 2, 2, 3]]
    assert times.tolist() == [[0, 0, 2, 2, 4]]


def test_it_goes_on_after_an_interruption_to_the_same_bits(tmp_path, monkeypatch):
    whole = study()
    simulate, calls = runs.simulate, []

    def interrupted(*args, **options):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return simulate(*args, **options)

    monkeypatch.setattr(runs, "simulate", interrupted)
    with pytest.raises(StudyInterrupted, match="The same command goes on from there") as caught:
        study(partial=tmp_path / "kept")
    assert {row.verdict for row in caught.value.study.rows} == {"not done"}
    resumed = study(partial=tmp_path / "kept")
    assert len(calls) == 3  # the trials are not run again
    for name, values in whole.curves.variables.items():
        np.testing.assert_array_equal(values, resumed.curves[name])
    with pytest.raises(ValueError, match="unsaved study of bounds with another generators"):
        study(partial=tmp_path / "kept", generators=5)
    assert all(path.is_file() for path in resumed.save(tmp_path / "out"))
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bounds": ()}, "bounds is"),
        ({"bounds": (0, -1)}, r"bounds\[1\]"),
        ({"queues": (4, 4)}, "queues is"),
        ({"batches": (0,)}, r"batches\[0\]"),
        ({"generators": 0}, "generators is 0"),
        ({"on_stale": "cry"}, "on_stale"),
        ({"corrections": ("none", "truncated")}, "QuadraticSGD has none"),
        ({"records": 401}, "num_samples is 400"),
        ({"factors": (0.0,)}, "factors"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        study(**options)


def test_a_learners_own_correction_keeps_its_thresholds():
    """C = 1.5 of its own; the usual ρ̄ = 1 of the other; and none."""
    module: Any = importlib.import_module("a3cjax.studies.bound.study")
    own = a3cjax.A3C(a3cjax.families.ring(3), 0.1, 0.1, gradient="fresh", correction="truncated", clip=1.5)
    none, truncated, vtrace = module._learners(own, ("none", "truncated", "vtrace")).values()
    assert none.correction is None
    assert (float(truncated.correction.clip), float(vtrace.correction.clip)) == (1.5, 1.0)
