"""The study of remedies: against plain NumPy, gone on with after an interruption, and in words."""

from typing import Any

import numpy as np
import pytest

import a3cjax
from a3cjax.engine.tiles import at_most_cores
from a3cjax.studies import Problem, StudyInterrupted, remedies
from a3cjax.studies.frame import runs

K, STEP, DELAY, TARGET = 120, 0.05, 6, 0.019
FACTORS = (1.0, 2.0, 4.0, 8.0)
RULES = {"none": lambda tau: 1.0, "inverse": lambda tau: 1 / max(tau, 1), "polynomial": lambda tau: (1 + tau) ** -0.5}


def quadratic(chain):
    return a3cjax.QuadraticSGD([1.0], optimizer=chain(STEP))


def constant(key, num_updates):
    return a3cjax.Schedule.from_law(key, a3cjax.delays.Constant(DELAY), num_updates)


def noisy(chain):
    return a3cjax.QuadraticSGD([1.0, 0.5], noise=0.3, optimizer=chain(STEP))


def varying(key, num_updates):
    return a3cjax.Schedule.from_law(key, a3cjax.delays.Uniform(0, 8), num_updates)


PROBLEM = Problem(quadratic, K, target_value=TARGET, records=K)
NOISY = {"noisy": Problem(noisy, 60, target_value=0.3, records=60)}
FEW: dict[str, Any] = dict(remedies=["none", "inverse"], factors=(1, 4), seeds=4, trials=2)


def samples_to_target(rule, factor):
    """½ x² of x ← x − step · s(τ) · x_{k−τ} from 1 on, until it first meets the target, between two updates."""
    x, before = [1.0], 0.5
    for k in range(K):
        tau = min(DELAY, k)
        x.append(x[-1] - STEP * factor * RULES[rule](tau) * x[k - tau])
        value = 0.5 * x[-1] ** 2
        if value <= TARGET:
            return k + (before - TARGET) / (before - value)
        before = value
    return np.nan


def test_each_remedy_meets_the_target_when_numpy_does_at_the_step_that_is_best_there():
    study = remedies({"x": PROBLEM}, {"constant": constant}, remedies=list(RULES), factors=FACTORS, seeds=2, trials=1)
    known = {rule: [samples_to_target(rule, factor) for factor in FACTORS] for rule in RULES}
    np.testing.assert_allclose(study.curves.trial_samples.values[0, 0, :, :, 0], list(known.values()), rtol=1e-4)
    best = {rule: np.nanmin(samples) for rule, samples in known.items()}
    order = sorted(best, key=lambda rule: best[rule])
    assert [row.remedy for row in study.rows] == order
    for row in study.rows:
        assert row.factor == FACTORS[int(np.nanargmin(known[row.remedy]))]
        assert row.samples_to_target == pytest.approx(best[row.remedy], rel=1e-4)
        assert row.time_to_target == pytest.approx(row.samples_to_target)  # update k lands at time k + 1
        assert row.speedup == pytest.approx(best["none"] / best[row.remedy], rel=1e-4)
        assert (row.reached, row.at_edge) == (2, row.factor in (FACTORS[0], FACTORS[-1]))
    assert [row.verdict for row in study.rows] == ["soonest", "later", "later"]  # nothing varies here
    assert f"{order[0]} is soonest, and told apart from all others" in study.summary()


def test_who_never_meets_the_target_counts_as_if_at_the_end():
    far = Problem(quadratic, 10, target_value=1e-9, records=10)
    study = remedies({"x": far}, {"constant": constant}, remedies=["none", "inverse"], factors=(1,), seeds=2, trials=1)
    assert [(row.samples_to_target, row.reached) for row in study.rows] == [(10, 0)] * 2
    assert {row.verdict for row in study.rows} == {"never met the target"}
    assert "no remedy met the target" in study.summary()
    assert np.isnan(study.curves.samples.values).all()
    assert any("In 2 rows" in note for note in study.notes())


def test_it_goes_on_after_an_interruption_to_the_same_bits(tmp_path, monkeypatch):
    whole = remedies(NOISY, {"varying": varying}, **FEW)
    simulate, calls = runs.simulate, []

    def interrupted(*args, **options):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return simulate(*args, **options)

    monkeypatch.setattr(runs, "simulate", interrupted)
    with at_most_cores(1), pytest.raises(StudyInterrupted, match="The same command goes on from there") as caught:
        remedies(NOISY, {"varying": varying}, partial=tmp_path / "kept", **FEW)
    assert [row.verdict for row in caught.value.study.rows] == ["soonest", "not done"]
    resumed = remedies(NOISY, {"varying": varying}, partial=tmp_path / "kept", **FEW)
    assert len(calls) == 3 + 2  # the remedy that was done is not run again
    for name, values in whole.curves.variables.items():
        np.testing.assert_array_equal(values, resumed.curves[name])
    with pytest.raises(ValueError, match=r"holds an unsaved study of remedies with another seeds \(4, not 5\)"):
        remedies(NOISY, {"varying": varying}, partial=tmp_path / "kept", **{**FEW, "seeds": 5})
    paths = resumed.save(tmp_path / "out")
    assert all(path.is_file() for path in paths)
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"remedies": ["inverse"]}, "'none' must be among them"),
        ({"remedies": ["none", "prayer"]}, r"remedies\[1\]"),
        ({"remedies": ["none", "none"]}, "each once"),
        ({"factors": ()}, "factors is"),
        ({"trials": 0}, "trials is 0"),
        ({"delays": {}}, "delays is empty"),
        ({"problems": {}}, "problems is empty"),
        ({"delays": {"few": lambda key, n: a3cjax.Schedule.sequential(n - 1)}}, r"delays\['few'\] gives .*give 60"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(options, words):
    given: dict[str, Any] = {"problems": NOISY, "delays": {"varying": varying}, **FEW, **options}
    with pytest.raises(ValueError, match=words):
        remedies(given.pop("problems"), given.pop("delays"), **given)


def test_problems_with_other_numbers_are_told_apart():
    def problem(step, curvature=1.0):
        return Problem(lambda chain: a3cjax.QuadraticSGD([curvature], optimizer=chain(step)), num_updates=10)

    digests = [problem(0.1).digest(), problem(0.2).digest(), problem(0.1, 2.0).digest()]
    assert len(set(digests)) == 3
    assert problem(0.1).digest() == digests[0]
