import json
import sys
from typing import Any

import numpy as np
import pytest

import a3cjax
from a3cjax.cli.process import main
from a3cjax.studies import RegularisationStudy, StudyInterrupted, regularisation, typical_priors
from a3cjax.studies.regularisation import Landscape


class Plain:
    """J_λ of tabular softmax policies on one MDP, in plain NumPy and double precision, for a stack of θ [n, S, A]."""

    def __init__(self, rng, states, actions, discount, start=None):
        self.transition = rng.dirichlet(np.full(states, 0.5), size=(states, actions))
        self.reward = rng.random((states, actions))
        self.initial = rng.dirichlet(np.full(states, 2.0)) if start is None else np.asarray(start)
        self.discount = discount
        self.size = states, actions
        tables = np.stack(np.meshgrid(*[np.arange(actions)] * states, indexing="ij"), -1).reshape(-1, states)
        values = [self.objective(np.eye(actions)[table]) for table in tables]  # every deterministic policy
        self.best = np.eye(actions)[tables[int(np.argmax(values))]]
        self.optimum = max(values)
        self.best_visitation = self.visitation(self.best)

    def mdp(self):
        return a3cjax.FiniteMDP(self.transition, self.reward, self.initial, self.discount, np.eye(self.size[0]))

    def visitation(self, pi):
        kernel = np.einsum("...sa,sat->...st", pi, self.transition)
        system = np.eye(self.size[0]) - self.discount * np.swapaxes(kernel, -1, -2)
        start = np.broadcast_to(self.initial[:, None], (*kernel.shape[:-1], 1))
        return (1 - self.discount) * np.linalg.solve(system, start)[..., 0]

    def objective(self, pi):
        return (self.visitation(pi)[..., None] * pi * self.reward).sum((-2, -1))

    def advantage(self, pi):
        kernel = np.einsum("...sa,sat->...st", pi, self.transition)
        right = (pi * self.reward).sum(-1)[..., None]
        values = np.linalg.solve(np.eye(self.size[0]) - self.discount * kernel, right)[..., 0]
        action_values = self.reward + self.discount * np.einsum("sat,...t->...sa", self.transition, values)
        return action_values - values[..., None]

    def gradient(self, theta, weight, states, prior):
        pi = softmax(theta)
        ascent = self.visitation(pi)[..., None] * pi * self.advantage(pi)
        return ascent + weight * states[:, None] * (prior - pi)

    def divergence(self, pi, states, prior):
        ratio = np.where(prior > 0, prior * np.log(np.where(prior > 0, prior, 1) / pi), 0)
        return (states * ratio.sum(-1)).sum(-1)

    def uniform(self):
        return np.full(self.size[0], 1 / self.size[0]), np.full(self.size, 1 / self.size[1])


def softmax(theta):
    raised = np.exp(theta - theta.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def problem():
    return Plain(np.random.default_rng(0), 3, 2, 0.8)


@pytest.fixture(scope="module")
def land(problem):
    return Landscape(problem.mdp())


def arbitrary(problem, weight=1.0):
    rng = np.random.default_rng(1)
    return a3cjax.Prior(weight, rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(2), size=3))


# ------------------------------------------------------------------------------------------------------------- bounds


def test_gradient_dominance_on_many_problems():
    """Theorem 5's bound and the sharper one, wherever their premises hold: at 15 problems × 4 weights × 1000 points."""
    rng = np.random.default_rng(2)
    held = sharply = outside = 0
    closest = 0.0
    for number in range(15):
        states, actions = int(rng.integers(2, 5)), int(rng.integers(2, 4))
        problem = Plain(rng, states, actions, rng.choice([0.0, 0.5, 0.9]))
        law, even = problem.uniform()
        for weight in (0.01, 0.1, 1.0, 5.0):
            # Gradient ascent from three starts, points near its ends, and random policies from mild to extreme.
            theta, path = rng.normal(size=(3, states, actions)), []
            for step in range(600):
                theta = theta + 1 / (0.5 + weight / states) * problem.gradient(theta, weight, law, even)
                path += [theta] * (step % 3 == 2)
            near = theta + rng.normal(size=(100, 1, states, actions)) * rng.choice([0.01, 0.1, 1], (100, 1, 1, 1))
            spread = rng.normal(size=(100, 1, states, actions)) * rng.choice([0.1, 1, 5], (100, 1, 1, 1))
            points = np.concatenate([np.concatenate([*path]), near.reshape(-1, states, actions), spread[:, 0]])
            assert len(points) == 1000
            gradient = problem.gradient(points, weight, law, even)
            pi = softmax(points)
            gap = problem.optimum - problem.objective(pi)
            norm = np.sqrt((gradient**2).sum((1, 2)))
            epsilon = 2 * weight / (1 - problem.discount) * (problem.best_visitation / problem.initial).max()
            premise = norm <= weight / (2 * states * actions)
            assert (gap[premise] <= epsilon + 1e-12).all(), number
            # Half of it, under twice the premise, by a mean over states instead of the maximum.
            ratio = problem.best_visitation / problem.visitation(pi)
            sharp = weight * ratio.mean(-1)
            wide = norm <= weight / (states * actions)
            assert (gap[wide] <= sharp[wide] + 1e-12).all(), number
            assert (sharp <= epsilon / 2 + 1e-12).all()
            held, sharply = held + premise.sum(), sharply + wide.sum()
            outside += (gap > epsilon).sum()
            closest = max(closest, (gap[wide] / sharp[wide]).max(initial=0))
    assert held > 5000
    assert sharply > held
    assert outside > 100  # without its premise the bound is no bound
    assert closest > 0.5  # and the sharper one is sharp to a factor of two


@pytest.mark.parametrize("weight", [0.02, 0.5])
def test_a_point_is_what_plain_numpy_makes_of_it(problem, land, weight):
    prior = arbitrary(problem)
    states, policy = (np.asarray(x, np.float64) for x in (prior.states, prior.policy))
    thetas = np.random.default_rng(3).normal(scale=2, size=(40, 3, 2))
    thetas = np.concatenate([thetas, land.maximise(prior, [weight])])
    point, pi = land.at(prior, weight, thetas), softmax(thetas)
    gradient = problem.gradient(thetas, weight, states, policy)
    assert land.optimal_objective == pytest.approx(problem.optimum, abs=1e-6)  # the MDP was rounded to single precision
    np.testing.assert_allclose(point.objective, problem.objective(pi), atol=1e-6)
    np.testing.assert_allclose(point.divergence, problem.divergence(pi, states, policy), rtol=1e-5)
    np.testing.assert_allclose(point.regularized_objective, point.objective - weight * point.divergence, atol=1e-14)
    np.testing.assert_allclose(point.gradient_norm, np.sqrt((gradient**2).sum((1, 2))), rtol=1e-5, atol=1e-7)
    bound = weight * (states * problem.best_visitation / problem.visitation(pi)).sum(-1)
    np.testing.assert_allclose(point.bound, bound, rtol=1e-5)
    wanted = (gradient <= weight * states[:, None] * policy) | (problem.best == 0)
    assert (point.dominated == wanted.all((1, 2))).all()
    gap = land.optimal_objective - point.objective
    assert (gap[point.dominated] <= point.bound[point.dominated]).all()
    assert point.dominated[-1]  # the maximiser
    assert point.dominated.sum() < 41


def test_epsilon_is_infinite_where_the_start_does_not_reach(problem):
    # η is all at state 0, and the optimal policy goes on from there.
    away = Plain(np.random.default_rng(4), 3, 2, 0.8, start=[1.0, 0.0, 0.0])
    assert Landscape(away.mdp()).epsilon(0.1) == np.inf
    ratio = (problem.best_visitation / problem.initial).max()
    assert Landscape(problem.mdp()).epsilon(0.1) == pytest.approx(2 * 0.1 / 0.2 * ratio, rel=1e-5)


# --------------------------------------------------------------------------------------------------------- maximisers


def test_a_bandit_by_hand():
    # One state: ∂J_λ/∂θ_a = π(a)(r_a − J) + λ(π_p(a) − π(a)) = 0, so π(a)(λ + J − r_a) = λ π_p(a). With r = (1, 0),
    # π_p = (½, ½) and p = π(0) = J: p(λ + p − 1) = λ/2, hence p = ((1 − λ) + √((1 − λ)² + 2λ)) / 2.
    mdp = a3cjax.FiniteMDP(np.ones((1, 2, 1)), [[1.0, 0.0]], [1.0], 0.0, [[1.0]])
    land, prior, weights = Landscape(mdp), a3cjax.Prior.uniform(1.0, 1, 2), np.array([0.01, 0.1, 1.0, 10.0])
    point = land.at(prior, weights, land.maximise(prior, weights))
    expected = ((1 - weights) + np.sqrt((1 - weights) ** 2 + 2 * weights)) / 2
    np.testing.assert_allclose(point.objective, expected, rtol=1e-7)
    # d* = d = η = 1: the sharper bound is λ, and ε_λ = 2λ.
    np.testing.assert_allclose(point.bound, weights, rtol=1e-12)
    assert land.epsilon(0.1) == pytest.approx(0.2)


def test_ascent_ends_where_plain_gradient_ascent_does(problem, land):
    prior, weights = arbitrary(problem), np.array([0.1, 1.0])
    states, policy = (np.asarray(x, np.float64) for x in (prior.states, prior.policy))
    for weight, found in zip(weights, land.maximise(prior, weights), strict=True):
        theta = np.zeros((3, 2))
        for _ in range(20_000):
            theta = theta + 1 / (0.5 + weight) * problem.gradient(theta, weight, states, policy)
        np.testing.assert_allclose(softmax(found), softmax(theta), atol=2e-6)


def test_the_largest_value_falls_with_the_weight_at_the_rate_of_the_distance(problem, land):
    # Envelope theorem: d/dλ max J_λ = ∂J_λ/∂λ at the maximiser = −E KL.
    for prior in (a3cjax.Prior.uniform(1.0, 3, 2), arbitrary(problem)):
        middle = np.array([0.01, 0.1, 1.0, 10.0])
        step = 1e-3 * middle
        at = np.sort(np.concatenate([middle - step, middle, middle + step]))
        point = land.at(prior, at, land.maximise(prior, at))
        slope = (point.regularized_objective[2::3] - point.regularized_objective[::3]) / (2 * step)
        np.testing.assert_allclose(slope, -point.divergence[1::3], rtol=1e-4)  # the differences' error is O(10⁻⁶)
        for values in (point.objective, point.regularized_objective, point.divergence):
            assert (np.diff(values) < 1e-9).all()  # more weight: nearer to the prior, and less reward
        assert (point.regularized_objective <= point.objective).all()


def test_without_weight_the_maximum_is_the_optimum(problem, land):
    weights = np.array([1e-5, 1e-4, 1e-3])
    for prior in typical_priors(problem.mdp()).values():
        point = land.at(prior, weights, land.maximise(prior, weights))
        gap = land.optimal_objective - point.objective
        assert (gap > 0).all()
        assert (gap <= point.bound * (1 + 1e-3)).all()
        assert gap[0] < 1e-4


def test_with_all_weight_the_policy_is_the_prior_on_its_support(problem, land):
    weights = np.array([100.0, 1000.0])
    prior = arbitrary(problem)
    thetas = land.maximise(prior, weights)
    point = land.at(prior, weights, thetas)
    np.testing.assert_allclose(softmax(thetas[1]), prior.policy, atol=2e-3)
    # θ differs from the prior's by O(1/λ), so KL is O(1/λ²).
    assert point.divergence[0] / point.divergence[1] == pytest.approx(100, rel=0.05)
    assert point.objective[1] == pytest.approx(land.prior_objective(prior), abs=1e-3)


def test_a_prior_at_one_state_leaves_the_others_free(problem, land):
    # As λ → ∞ the policy is π_p at that state and optimal elsewhere: the best of an MDP whose actions there are all
    # replaced by a draw from π_p.
    prior = typical_priors(problem.mdp())["misled"]
    where = int(np.argmax(prior.states))
    law = np.asarray(prior.policy, np.float64)[where]
    tied = Plain.__new__(Plain)
    tied.__dict__ = dict(problem.__dict__)
    tied.transition, tied.reward = problem.transition.copy(), problem.reward.copy()
    tied.transition[where] = law @ problem.transition[where]
    tied.reward[where] = law @ problem.reward[where]
    expected = a3cjax.exact.optimal_objective(tied.mdp())
    point = land.at(prior, [1000.0], land.maximise(prior, [1000.0]))
    assert point.objective[0] == pytest.approx(float(expected), abs=1e-3)
    assert point.divergence[0] < 1e-6


# -------------------------------------------------------------------------------------------------------------- study


@pytest.fixture(scope="module")
def study(problem):
    priors = {"uniform": a3cjax.Prior.uniform(1.0, 3, 2), "arbitrary": arbitrary(problem)}
    return regularisation(problem.mdp(), priors=priors, weights=[1.0, 0.05], seeds=3, num_updates=6000, progress=False)


def test_a3c_comes_near_the_maximum_and_never_above(study):
    assert [(row.prior, row.weight) for row in study.rows] == [
        ("uniform", 0.05), ("uniform", 1.0), ("arbitrary", 0.05), ("arbitrary", 1.0)
    ]  # fmt: skip
    curves = study.curves
    short = curves.best_regularized_objective - curves.regularized_objective
    assert (short > 0).all()
    for row in study.rows:
        start = float(curves.start_regularized_objective.sel(prior=row.prior, weight=row.weight))
        if row.weight == 0.05:
            assert row.regularized_objective > start + 0.7 * (row.best_regularized_objective - start)
    assert np.allclose(curves.regularized_objective, curves.objective - curves.weight * curves.divergence, atol=1e-12)


def test_the_bounds_were_looked_at_and_held(study):
    curves = study.curves
    # One maximiser and 3 seeds × 60 records for each prior and weight.
    assert (curves.points == 181).all()
    assert (curves.premise_points.sel(prior="uniform") > 0).all()
    assert (curves.premise_points.sel(prior="arbitrary") == 0).all()  # Theorem 5 speaks of uniform priors
    assert (curves.dominated_points > 0).all()
    assert (curves.violations == 0).all()
    assert "within its bound at all of them" in study.summary()
    uniform, other = study.rows[0], study.rows[2]
    assert 0 < uniform.gap <= uniform.bound <= uniform.epsilon / 2
    assert np.isnan(other.epsilon)


def test_ctrl_c_leaves_the_maximisers(problem, study, tmp_path, monkeypatch):
    nothing: Any = None  # the study keeps whole batches only, and does not look at the result of the one in hand

    def stopped(*_, **__):
        raise a3cjax.Interrupted("stopped", nothing)

    monkeypatch.setattr(sys.modules["a3cjax.studies.regularisation.study"], "simulate", stopped)
    priors = {"uniform": a3cjax.Prior.uniform(1.0, 3, 2)}
    with pytest.raises(StudyInterrupted, match="Interrupted in the runs with the uniform prior") as caught:
        regularisation(problem.mdp(), priors=priors, weights=[0.05, 1.0], seeds=2, num_updates=600)
    found: Any = caught.value.study
    assert [row.gap for row in found.rows] == pytest.approx([row.gap for row in study.rows[:2]], rel=1e-6)
    assert np.isnan(found.rows[0].objective)
    assert "interrupted" in found.notes()[0]
    assert found.summary()
    found.save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["interrupted"]


def test_broken_bounds_would_be_told(study):
    curves = study.curves.copy(deep=True)
    curves.violations.values[0, 0] = 2
    assert "J* − J is beyond its bound at 2." in RegularisationStudy.of(curves).summary()


def test_the_same_seed_gives_the_same_numbers_whatever_is_beside_it(study, problem):
    priors = {"arbitrary": arbitrary(problem)}
    # One weight with six seeds for two with three each, so that the program is that of as many runs.
    again = regularisation(problem.mdp(), priors=priors, weights=[0.05], seeds=6, num_updates=6000, progress=False)
    expected = study.curves.objective.sel(prior=["arbitrary"], weight=[0.05])
    assert np.array_equal(again.curves.objective.sel(seed=expected.seed).values, expected.values)


def test_the_figure_has_a_column_for_each_prior(study):
    axes = study.figure().axes
    assert len(axes) == 6
    assert [ax.get_xlabel() for ax in axes[-2:]] == ["λ", "λ"]


def test_the_command_says_where_theorem_5_is_silent(tmp_path, capsys):
    # A room that is always entered at its corner: η is zero elsewhere.
    options = "regularisation --mdp gridworld --height 1 --width 3 --weights 0.1 --seeds 2 --updates 600 --workers 2"
    assert main([*options.split(), "--out", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "ε_λ is infinite" in said
    names = [f"regularisation.{kind}" for kind in ("csv", "nc", "png")] + ["run.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert json.loads((tmp_path / "run.json").read_text())["problem"]["violations"] == 0
    assert len((tmp_path / "regularisation.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weights": [0.1, 0.0]}, r"weights\[1\] is 0, but must be greater than 0"),
        ({"weights": [0.1, 0.1]}, "each once"),
        ({"weights": []}, "one or more"),
        ({"priors": {}}, "priors is empty"),
        ({"priors": {"odd": 3}}, r"priors\['odd'\] must be an a3cjax\.Prior"),
        ({"priors": {"odd": a3cjax.Prior.uniform(1.0, 2, 2)}}, "the MDP has 3 states and 2 actions"),
        ({"num_updates": 100}, "num_updates is 100, but must be at least 120"),
        ({"actor_step": -1.0}, "actor_step is -1"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(problem, options, sentence):
    given: dict[str, Any] = options
    with pytest.raises(ValueError, match=sentence):
        regularisation(problem.mdp(), **given)
