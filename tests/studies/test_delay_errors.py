"""The bound against runs made to strain it, the binning against curves of a known power, the command."""

import csv
import re
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

import a3cjax
from a3cjax import cli
from a3cjax.studies import DelayBound, DelayErrorStudy, delay_bound, delay_errors
from a3cjax.studies.delay_errors import study as run

wrong: Any = 2.5


# -------------------------------------------------------------------------------------------------------- the bound


def test_the_critics_bound_is_attained():
    """One state, one action, φ = 1, r = 1, γ = ½: L = 1 − γ and δ̂ = 1 − ω/2. From ω_0 = −R with R = 2, δ̂ = 2 = C_δ,
    so ω_1 = ω_0 + β C_δ and at delay 1 the error is L β C_δ = ½ · 0.1 · 2 = 0.1: all inequalities are equations. One
    action leaves no choice, ψ = 0, and the actor no error."""
    mdp = a3cjax.FiniteMDP([[[1.0]]], [[1.0]], [1.0], 0.5, [[1.0]])
    learner = a3cjax.A3C(mdp, actor_step=0.3, critic_step=0.1, radius=2.0, omega=[-2.0])
    schedule = a3cjax.Schedule.from_law(jax.random.key(0), a3cjax.delays.Constant(1), 3)
    record = a3cjax.Record(every=1, metrics=["critic_delay_error_sq", "actor_delay_error_sq"])
    metrics = a3cjax.simulate(learner, schedule, jax.random.key(0), record=record).metrics
    bound = delay_bound(learner, 3)
    assert bound is not None
    np.testing.assert_allclose(np.sqrt(metrics["critic_delay_error_sq"][:2]), [0, 0.1], rtol=1e-6)
    np.testing.assert_allclose(bound.critic([0, 1, 2]), [0, 0.1, 0.2], rtol=1e-6)
    assert float(bound.critic(1e9)) == pytest.approx(4)  # 2 Φ C_δ
    np.testing.assert_array_equal(metrics["actor_delay_error_sq"], 0)


def test_the_bounds_constants_are_those_of_the_derivation():
    """Unit features on 4 states, γ = ½, R = 3, r_max = 1, α = .2, β = .1, λ = .4, a table: Φ = 1, L = √1.25, C_ψ = √2,
    L_ψ = ½. A visited radius of 1 takes the place of 3. "q": W = 1 + ½R, L_w = ½; "reinforce": W = 2, L_w = 0. A
    baseline of at most 5 adds 5 to W. A linear policy: D is its features' largest distance, here 2 − (−1) = 3."""
    mdp = a3cjax.families.ring(4, discount=0.5)
    options: dict[str, Any] = {"actor_step": 0.2, "critic_step": 0.1, "prior": a3cjax.Prior.uniform(0.4, 4, 2)}
    stretch = 1.25**0.5

    def check(learner, delta, size, slope, spread, visited=None):
        bound = delay_bound(learner, 100, visited)
        critic = stretch * delta * 0.1
        actor = spread * slope * delta * 0.1 + size * spread**2 / 4 * spread * (size + 0.4) * 0.2
        expected = DelayBound(critic, 2 * delta, actor, 2 * spread * size)
        assert bound is not None
        for name in ("critic_rate", "critic_most", "actor_rate", "actor_most"):
            assert getattr(bound, name) == pytest.approx(getattr(expected, name), rel=1e-5), name

    three, one = 1 + 3 * stretch, 1 + stretch
    check(a3cjax.A3C(mdp, radius=3.0, **options), three, three, stretch, 2**0.5)
    check(a3cjax.A3C(mdp, radius=3.0, **options), one, one, stretch, 2**0.5, visited=1.0)
    check(a3cjax.A3C(mdp, **options), one, one, stretch, 2**0.5, visited=1.0)
    check(a3cjax.A3C(mdp, radius=3.0, estimator="q", **options), three, 2.5, 0.5, 2**0.5)
    check(a3cjax.A3C(mdp, radius=3.0, estimator="reinforce", **options), three, 2.0, 0.0, 2**0.5)
    check(a3cjax.A3C(mdp, radius=3.0, baseline=[0, 1, -5, 2], **options), three, three + 5, stretch, 2**0.5)
    features = np.zeros((4, 2, 1))
    features[2, :, 0] = 2, -1
    check(
        a3cjax.A3C(mdp, radius=3.0, policy=a3cjax.policies.LinearSoftmax(features), **options), three, three, stretch, 3
    )
    options["critic_step"] = lambda k: 0.1 / (1 + k)
    check(a3cjax.A3C(mdp, radius=3.0, **options), three, three, stretch, 2**0.5)

    assert delay_bound(a3cjax.A3C(mdp, **options), 100) is None
    assert delay_bound(a3cjax.A3C(mdp, radius=3.0, omega=[4.0, 0, 0, 0], **options), 100) is None


@pytest.mark.parametrize("policy", ["table", "linear"])
def test_no_error_exceeds_its_bound(policy, mixing_mdp):
    """Large steps, a small ball that the critic keeps being projected on, a strong prior: both with the ball and with
    what the runs visited. And the errors are not small for want of a delay: some reach 2 % of a bound."""
    mdp = mixing_mdp(5, spread=0.9)
    table = np.random.default_rng(0).standard_normal((6, 3, 4))
    learner = a3cjax.A3C(
        mdp,
        actor_step=0.5,
        critic_step=0.5,
        radius=1.5,
        policy=a3cjax.policies.LinearSoftmax(table) if policy == "linear" else a3cjax.policies.TabularSoftmax,
        prior=a3cjax.Prior.uniform(1.0, 6, 3),
    )
    study = delay_errors(learner, workers=[2, 8], seeds=3, num_updates=200)
    balls = (None, float(study.curves.largest_omega.max()))
    assert balls[1] == pytest.approx(1.5, rel=1e-5)
    delay = study.curves.delay.values
    for visited in balls:
        bound = delay_bound(learner, 200, visited)
        assert bound is not None
        for term in ("critic", "actor"):
            errors = study.curves[f"{term}_error"].values
            assert (errors <= getattr(bound, term)(delay) * (1 + 1e-5) + 1e-6).all()
            assert (errors[delay == 0] == 0).all()
    assert 0.02 < study.bound_reached["critic"] <= 1
    assert 0 < study.bound_reached["actor"] <= 1
    for row in study.rows:
        assert row.critic_error <= row.critic_bound
        assert row.actor_error <= row.actor_bound
    assert sum(row.updates for row in study.rows) == 2 * 3 * 200


# ------------------------------------------------------------------------------------------------------ the binning


def fabricate(powers=(0.5, 1.0), seeds=3, num_updates=64):
    """Delays 0, 1, 2, …, 15, 0, … and errors c_s τ^p of directions of norm 4, with c_s = 1, 2, … over seeds."""
    delay = np.broadcast_to(np.arange(num_updates) % 16, (1, seeds, num_updates))
    scale = np.arange(1, seeds + 1)[:, None]
    dims = ("workers", "seed", "update")
    variables: dict[str, Any] = {"delay": (dims, delay), "nonfinite_from": (dims[:2], np.full((1, seeds), -1))}
    for term, power in zip(("critic", "actor"), powers, strict=True):
        variables[f"{term}_error"] = (dims, scale * delay.astype(float) ** power)
        variables[f"{term}_direction"] = (dims, np.full(delay.shape, 4.0))
    return xr.Dataset(variables, coords={"workers": [4]}, attrs={"num_updates": num_updates, "updates_done": 32})


def test_errors_of_a_known_power_are_binned_and_their_power_is_found():
    study = DelayErrorStudy.of(fabricate(), DelayBound(10.0, 100.0, 1.0, 100.0))
    assert [(row.delay_low, row.delay_high, row.updates) for row in study.rows] == [
        (0, 0, 12), (1, 1, 12), (2, 2, 12), (3, 4, 24), (5, 8, 48), (9, 16, 84),
    ]  # fmt: skip
    row = study.rows[3]  # delays 3 and 4, scales 1, 2 and 3
    assert row.mean_delay == 3.5
    assert row.critic_error == pytest.approx(2 * (3**0.5 + 2) / 2)
    assert row.actor_error == pytest.approx(2 * 3.5)
    assert row.actor_error_sq == pytest.approx((1 + 4 + 9) / 3 * (9 + 16) / 2)
    assert row.actor_share == pytest.approx(7 / 4)
    assert row.actor_error_low < 7 < row.actor_error_high
    assert (row.critic_bound, row.actor_bound) == (35, 3.5)
    # Linear errors lie on a line whatever the bins; a root's mean lies a little below the root of the mean.
    np.testing.assert_allclose(study.curves.actor_slope, 1, rtol=1e-12)
    np.testing.assert_allclose(study.curves.critic_slope, 0.5, atol=0.01)
    assert study.bound_reached["actor"] == pytest.approx(3)  # seed 3: errors 3τ over a bound of τ
    assert "mean delay 7.5" in study.summary()
    assert study.notes() == []


def test_what_cannot_be_said_is_said():
    """No bound, a run that stopped being finite, an early end; and no delays at all."""
    curves = fabricate()
    curves.nonfinite_from.values[0, 1] = 40
    for name in ("critic_error", "actor_error", "critic_direction", "actor_direction"):
        curves[name].values[0, 1, 39:] = np.nan
    study = DelayErrorStudy.of(curves, interrupted=True)
    notes = " ".join(study.notes())
    assert "interrupted after 32 of 64 updates" in notes
    assert "No bound is known" in notes
    assert "N = 4: 1 of 3 runs stopped being finite, the first by update 40" in notes
    assert all(np.isfinite(row.critic_error) for row in study.rows)
    assert sum(row.updates for row in study.rows) == 64 + 39 + 64
    none = fabricate()
    for name in ("delay", "critic_error", "actor_error"):
        none[name] = none[name] * 0
    assert "No update had a delay" in DelayErrorStudy.of(none).summary()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": []}, r"workers is \[\]; give one or more numbers"),
        ({"workers": [4, 4]}, r"workers is \[4, 4\]; give one or more numbers of workers, each once"),
        ({"seeds": 0}, "seeds is 0, but must be at least 1"),
        ({"record_every": 11}, "every is 11, but the schedule has 10 updates"),
        ({"compute_times": lambda n: []}, r"compute_times\(4\) gave 0 laws"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    mdp = a3cjax.families.ring(4)
    learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1)
    with pytest.raises(ValueError, match=message):
        delay_errors(learner, **({"num_updates": 10} | options))
    if "seeds" in options:
        many = a3cjax.A3C(mdp, actor_step=[0.1, 0.2], critic_step=0.1)
        with pytest.raises(ValueError, match=r"learner.actor_step has shape \(2,\); the study takes one number"):
            delay_errors(many, num_updates=10)


def test_each_axis_of_the_figure_has_one_notation():
    """Plain numbers above, percentages below, also where less than a decade is in sight."""
    figure = DelayErrorStudy.of(fabricate()).figure()
    figure.canvas.draw()
    for ax, pattern in zip(figure.axes, [r"[\d.e+-]+"] * 2 + [r"[\d.e+-]+ %"] * 2, strict=True):
        low, high = ax.get_ylim()
        labels = [*ax.yaxis.get_ticklabels(minor=False), *ax.yaxis.get_ticklabels(minor=True)]
        told = [label.get_text() for label in labels if label.get_text() and low <= label.get_position()[1] <= high]
        assert len(told) > 1
        assert all(re.fullmatch(pattern, text) for text in told)


# ------------------------------------------------------------------------------------------------------ the command


def test_the_command_prints_and_writes(tmp_path, capsys, monkeypatch):
    """And what was done before Ctrl-C is written too."""
    options = f"delay-errors --workers 3 --seeds 2 --updates 60 --mdp ring --states 5 --out {tmp_path}"
    kept = []
    simulate = run.simulate
    monkeypatch.setattr(run, "simulate", lambda *args, **rest: kept.append(simulate(*args, **rest)) or kept[-1])
    assert cli.main(options.split()) == 0
    printed = capsys.readouterr().out
    assert "Measuring the delay errors of 2 seeds × N = 3 workers × 60 updates" in printed
    assert "The largest error of any update, as a share of its bound" in printed
    with (tmp_path / "delay-errors.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["delay_low"] for row in rows][:3] == ["0", "1", "2"]
    assert all(float(row["critic_error"]) <= float(row["critic_bound"]) for row in rows)
    with xr.open_dataset(tmp_path / "delay-errors.nc", engine="h5netcdf") as curves:
        assert curves.critic_error.shape == (1, 2, 60)
        assert all({"long_name", "units"} <= set(curves[name].attrs) for name in curves.variables)
    assert (tmp_path / "delay-errors.png").stat().st_size > 10_000

    def stopped(*args, **rest):
        raise a3cjax.Interrupted("Stopped.", kept[0])

    monkeypatch.setattr(run, "simulate", stopped)
    assert cli.main(options.split()) == 130
    assert "Interrupted after 60 of 60 updates." in capsys.readouterr().err
