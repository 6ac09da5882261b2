import dataclasses
import json
import sys
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import a3cjax
from a3cjax.cli.process import main
from a3cjax.studies import RatesStudy, StudyInterrupted, power_law
from a3cjax.studies.frame.runs import seed_keys

RUN: Any = sys.modules["a3cjax.studies.rates.study"]
DELAYS: Any = sys.modules["a3cjax.studies.rates.delays"]
COUNTS = (64, 640)


def learner():
    mdp = a3cjax.families.garnet(jax.random.key(1), 3, 2, branching=3, discount=0.5)
    return a3cjax.A3C(mdp, actor_step=0.7, critic_step=0.7, prior=a3cjax.Prior.uniform(0.1, 3, 2), radius=50.0)


def small(**options):
    given = {"num_updates": COUNTS, "delays": (0, 3), "sampling": ["markov"], "seeds": 3, "progress": False}
    return a3cjax.studies.rates(learner(), **(given | options))


@pytest.fixture(scope="module")
def exact_sums():
    """Every update recorded."""
    return small(record_every=1)


# ------------------------------------------------------------------------------------------------------------- slopes


def test_a_power_law_without_noise_has_its_exponent_and_no_interval_to_speak_of():
    x = np.array([10.0, 100.0, 1e3, 1e4])
    law = power_law(x, [np.full(5, 3 * value**-0.4) for value in x])
    assert law == pytest.approx((-0.4, -0.4, -0.4, 3.0))


def test_the_fit_is_of_the_log_of_the_mean_and_by_least_squares():
    # Means 1, 2, 8 at 1, e, e²: logs 0, log 2, 3 log 2; the slope is (3 log 2 − 0) / 2.
    law = power_law(np.exp([0.0, 1.0, 2.0]), [[0.5, 1.5], [1.0, 3.0], [8.0, 8.0]])
    assert law.exponent == pytest.approx(1.5 * np.log(2))
    assert law.low < law.exponent < law.high


def test_the_interval_of_an_exponent_covers_as_often_as_it_says():
    # Exponential noise of mean one, 24 seeds, four K. In such skewed samples the intervals are a little short: the
    # misses of 200 nominal 90 % intervals are binomial(200, p) with p from 0.1 to 0.14, four deviations around which
    # are 3 to 48.
    rng, x = np.random.default_rng(0), np.array([1e2, 1e3, 1e4, 1e5])
    misses = 0
    for _ in range(200):
        noise = rng.exponential(size=(4, 24))
        law = power_law(x, list(x[:, None] ** -0.4 * noise), confidence=0.9)
        misses += not law.low <= -0.4 <= law.high
    assert 4 <= misses <= 48


def test_the_interval_agrees_with_the_normal_one_for_many_seeds():
    # Var log mean ≈ σ²/(m μ²) at each x, so the slope's variance is Σ w_i² times that, with w the weights of least
    # squares: for x = 1, 10, 100 they are (−1, 0, 1) / (2 log 10).
    m, relative = 400, 0.3
    noise = np.random.default_rng(1).normal(1, relative, (3, m))
    law = power_law([1, 10, 100], list(np.array([[1.0], [0.4], [0.16]]) * noise))
    deviation = np.sqrt(2 * relative**2 / m) / (2 * np.log(10))
    assert law.high - law.low == pytest.approx(2 * 1.96 * deviation, rel=0.12)


def test_the_interval_of_an_exponent_is_the_delta_methods():
    # At 1, e, e² the weights are −1/2, 0, 1/2. Relative variances of the means: of (9, 11) 1/100, of (4, 5, 6) 1/75; a
    # quarter of these has shares 3/7 and 4/7, so f = 1/((3/7)²/2 + (4/7)²/3) − 1 = 294/59 − 1, whatever is at e.
    law = power_law(np.exp([0.0, 1.0, 2.0]), [[9.0, 11.0], [1.0, 100.0], [4.0, 5.0, 6.0]])
    reach = stats.t(294 / 59 - 1).ppf(0.975) * np.sqrt(7 / 300) / 2
    assert law.exponent == pytest.approx(np.log(0.5) / 2)
    assert (law.low, law.high) == pytest.approx((law.exponent - reach, law.exponent + reach))


def test_what_cannot_be_fitted_is_nan():
    assert np.isnan(power_law([1, 2], [[1.0, np.nan], [1.0, 2.0]])).all()
    assert np.isnan(power_law([1, 2], [[0.0, 0.0], [1.0, 2.0]])).all()
    law = power_law([1, 2], [[1.0], [2.0]])
    assert law.exponent == pytest.approx(1)
    assert np.isnan(law[1:3]).all()


# ----------------------------------------------------------------------------------------------------------- averages


@pytest.mark.parametrize(("count", "spacing"), [(10, 1), (12, 3), (13, 3), (100, 7), (5, 5)])
def test_the_weights_are_exact_for_lines_up_to_the_last_record(count, spacing):
    weights = RUN.average_weights(count, spacing)
    assert weights.sum() == pytest.approx(1)
    at = np.arange(0, count + 1, spacing)
    # Σ_{k ≤ K} min(k, last record), the line that stays after the last record.
    assert weights @ at == pytest.approx(np.minimum(np.arange(1, count + 1), at[-1]).mean())


def test_the_averages_are_those_of_the_engines_own_metrics_on_a_sequential_schedule(exact_sums):
    # K_0 = 0 is the sequential algorithm, and ``simulate`` records both quantities at every update.
    for at, count in enumerate(COUNTS):
        own = dataclasses.replace(learner(), actor_step=5 * count**-0.6, critic_step=3 * count**-0.4)
        keys = seed_keys(jax.random.fold_in(jax.random.key(0), 1), count, 3)
        record = a3cjax.Record(every=1, metrics=RUN.METRICS)
        result = a3cjax.simulate(own, a3cjax.Schedule.sequential(count), keys, record=record, progress=False)
        for name in RUN.METRICS:
            found = exact_sums.curves[name].values[0, 0, at]
            np.testing.assert_allclose(found, np.asarray(result.metrics[name], np.float64).mean(1), rtol=2e-5)


def test_with_every_update_recorded_the_averages_are_exact_and_said_to_be(exact_sums):
    assert (exact_sums.curves.quadrature_error == 0).all()
    assert exact_sums.notes() == ["Every update is in the averages."]


def test_the_error_of_coarse_records_is_of_the_size_that_is_told(exact_sums):
    coarse = small(record_every=8)
    told = coarse.curves.quadrature_error.mean("seed").values
    for q, name in enumerate(RUN.METRICS):
        change = np.abs(coarse.curves[name].mean("seed") / exact_sums.curves[name].mean("seed") - 1).values
        assert (change > 0).all()
        # Told is the change from spacing 8 to 16, for a smooth curve three times the error of spacing 8; of the noise
        # between records it is an estimate only.
        assert (change <= 2 * told[..., q]).all()
    assert "Records lie up to 8 updates apart" in coarse.notes()[0]


def test_fewer_seeds_and_delays_are_the_same_runs(exact_sums):
    again = small(record_every=1, delays=(3,), seeds=2)
    for name in RUN.METRICS:
        assert np.array_equal(again.curves[name].values, exact_sums.curves[name].values[:, 1:, :, :2])


def test_square_features_of_full_rank_have_no_approximation_error(exact_sums):
    assert exact_sums.curves.approximation_error.max() < 1e-4
    assert exact_sums.facts()["approximation_error"] < 1e-4


# ------------------------------------------------------------------------------------------------------------- delays


@pytest.mark.parametrize(
    ("text", "count", "longest", "iid", "markov"),
    [
        ("0", 100_000, 0, "-2/5", "-2/5"),
        (7, 100, 7, "-2/5", "-2/5"),
        ("K^1/5", 100_000, 10, "-2/5", "-1/5"),  # exactly: a rounding up would give 11
        ("K^0.2", 100_001, 11, "-2/5", "-1/5"),
        ("K^2/5", 100, 7, "0", "1/5"),
        ("K^1/2", 100, 10, "1/5", "2/5"),
    ],
)
def test_maximal_delays_and_the_exponents_of_their_bounds(text, count, longest, iid, markov):
    # K_0 = K^κ in the largest of K_0²K^(−4/5), K_0K^(−3/5), K^(−2/5), or with K^(−3/5), K^(−2/5) for Markov chains.
    delay = DELAYS.MaximalDelay.parse("delays[0]", text)
    assert delay.at(count) == longest
    assert (delay.bound("iid"), delay.bound("markov")) == (Fraction(iid), Fraction(markov))


def test_the_schedules_have_the_delays_that_were_asked_for():
    constant = DELAYS.draw_schedules(jax.random.key(0), "constant", [0, 5], 2, 50)
    assert constant.delay.shape == (4, 50)
    assert (constant.delay[:2] == 0).all()
    assert (constant.delay[2:] == np.minimum(5, np.arange(50))).all()
    uniform = DELAYS.draw_schedules(jax.random.key(0), "uniform", [5], 1, 2000)
    # Six values, each Binomial(1995, 1/6) after the start: mean 332.5, four deviations 67.
    shares = np.bincount(uniform.delay[0, 5:], minlength=6)
    assert (abs(shares - 332.5) < 67).all()


def test_steps_beyond_the_stability_limit_are_told(exact_sums):
    # A ring where every policy that is the same everywhere is uniform over S = 3 states: −A = (I − γP)/3 with P
    # symmetric and rows (0, ½, ½): eigenvalues 1 and −½ (twice), so those of −A are 1/6 and 5/12 at γ = ½, and
    # the limit at delay τ is 2 sin(π/(2(2τ + 1))) / (5/12).
    own = a3cjax.A3C(a3cjax.families.ring(3, discount=0.5), actor_step=0.1, critic_step=0.1)
    delays = tuple(DELAYS.MaximalDelay.parse("delays[0]", text) for text in ("0", "K^1/2"))
    curves = RUN._empty(own, (100, 10_000), delays, "constant", ("iid",), 2, None, (5.0, 3.0))
    tau = np.array([[0, 0], [10, 100]])
    np.testing.assert_allclose(curves.critic_limit, 2 * np.sin(np.pi / 2 / (2 * tau + 1)) / (5 / 12), rtol=1e-5)
    # β = 3 · 100^(−2/5) = 0.475 > 0.359, and 3 · 10000^(−2/5) = 0.0754 > 0.0375.
    (said,) = RatesStudy.of(curves).notes()
    assert said.startswith("K_0 = K^1/2, K = 100, 10,000: β is above the largest step")
    assert not any("largest step" in note for note in exact_sums.notes())


# ------------------------------------------------------------------------------------------------------------ verdict


def fabricated(study, exponent):
    curves = study.curves.copy(deep=True)
    noise = np.linspace(0.999, 1.001, 3)
    for name in RUN.METRICS:
        curves[name].values[:] = (np.array(COUNTS)[:, None] ** exponent) * noise
    return RatesStudy.of(curves)


def test_slopes_at_or_below_the_bound_are_consistent_with_it(exact_sums):
    steep = fabricated(exact_sums, -0.55)
    assert [row.slope for row in steep.rows] == pytest.approx([-0.55] * 4)
    assert [row.bound for row in steep.rows] == [-0.4] * 4
    assert steep.rows[0].last == pytest.approx(640**-0.55)
    assert "critic: where the bound falls with K, slopes of -0.55 to -0.55" in steep.summary()
    assert "none of 2 lies above the bound's exponent: consistent. 2 of them reach -0.4" in steep.summary()


def test_slopes_above_the_bound_are_not(exact_sums):
    said = fabricated(exact_sums, -0.3).summary()
    assert "2 of 2 lie above the bound: not consistent with it at these K for markov 0 (-0.30 > -0.40)" in said


def test_a_lost_run_makes_its_cell_unknown(exact_sums):
    curves = exact_sums.curves.copy(deep=True)
    curves.critic_error_sq.values[0, 0, 1, 2] = np.nan
    curves.nonfinite_from.values[0, 0, 1, 2] = 80
    study = RatesStudy.of(curves)
    assert np.isnan(study.rows[0].slope)
    assert np.isfinite(study.rows[1].slope)
    assert "markov, K_0 = 0, K = 640: 1 of 3 runs stopped being finite, the first by update 80" in study.notes()[0]
    assert "–" in study.table()


def test_ctrl_c_leaves_what_was_done(tmp_path, monkeypatch):
    nothing: Any = None  # the study keeps whole batches only, and does not look at the result of the one in hand

    def stopped(*_, **__):
        raise a3cjax.Interrupted("stopped", nothing)

    monkeypatch.setattr(RUN, "simulate", stopped)
    with pytest.raises(StudyInterrupted, match="Interrupted in the markov runs of 64 updates") as caught:
        small()
    study: Any = caught.value.study
    assert study.interrupted
    assert np.isnan(study.curves.critic_error_sq).all()
    assert "interrupted" in study.notes()[0]
    assert "–" in study.table()
    study.save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["interrupted"]


def test_features_that_represent_nothing_are_told(exact_sums):
    curves = exact_sums.curves.copy(deep=True)
    curves.approximation_error.values[..., 0] = 0.25
    assert "ε_app is up to 0.25" in RatesStudy.of(curves).notes()[-1]


# ------------------------------------------------------------------------------------------------------------ command


def test_the_command_writes_its_files_and_says_what_it_found(tmp_path, capsys):
    options = "rates --updates 50 500 --delays 0 K^2/5 --law uniform --sampling iid --seeds 2 --states 3"
    assert main([*options.split(), "--out", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "delays uniform on 0, ..., K_0" in said
    assert "For K_0 = K^2/5 some bound does not fall with K" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rates.csv", "rates.nc", "rates.png", "run.json"]
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["options"]["delays"] == ["0", "K^2/5"]
    assert run["problem"]["approximation_error"] < 1e-3
    assert len((tmp_path / "rates.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_updates": (100,)}, "a slope needs two different numbers"),
        ({"num_updates": (100, 1)}, r"num_updates\[1\] is 1, but must be at least 2"),
        ({"delays": ("K^2",)}, "the exponent must lie between 0 and 1"),
        ({"delays": ("many",)}, "a whole number or a power of K such as"),
        ({"delays": (-1,)}, r"delays\[0\] is -1"),
        ({"delays": (0, "0")}, "each once"),
        ({"delays": (0,), "law": "uniform"}, "every delay is 0, so it has no effect"),
        ({"sampling": ["some"]}, r"sampling\[0\] is 'some'"),
        ({"actor_constant": 0.0}, "actor_constant is 0"),
        ({"record_every": 65}, "must be at most the least K, 64"),
        ({"seeds": 0}, "seeds is 0"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        small(**options)


def test_a_problem_without_exact_tables_is_refused():
    own: Any = a3cjax.QuadraticSGD(curvature=[1.0], step=0.1)
    with pytest.raises(ValueError, match=r"an a3cjax\.A3C on an a3cjax\.FiniteMDP"):
        a3cjax.studies.rates(own)


def test_a_weight_for_each_run_is_refused():
    own = dataclasses.replace(
        learner(), prior=a3cjax.Prior(jnp.array([0.1, 0.2]), np.full(3, 1 / 3), np.full((3, 2), 0.5))
    )
    with pytest.raises(ValueError, match=r"one prior\.weight per run"):
        a3cjax.studies.rates(own)
