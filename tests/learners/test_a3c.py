"""What A3C accepts and refuses, and what its hyper-parameters mean."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import a3cjax

KEY = jax.random.key(0)
MDP = a3cjax.families.ring(5)
OTHER = a3cjax.families.ring(4)
wrong: Any = "fast"


def a3c(mdp: Any = MDP, **options: Any) -> a3cjax.A3C:
    return a3cjax.A3C(mdp, **{"actor_step": 0.1, "critic_step": 0.1, **options})


def last(learner, num_updates=40, **options):
    record = a3cjax.Record(every=num_updates, metrics=())
    return a3cjax.simulate(learner, a3cjax.Schedule.sequential(num_updates), KEY, record=record, **options).params


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mdp": wrong}, "mdp must be an a3cjax.FiniteMDP or an a3cjax.LQR, but is a str"),
        ({"actor_step": -0.1}, "actor_step is -0.1, but must be at least 0"),
        ({"critic_step": [0.1, -0.2]}, r"critic_step\[1\] is -0.2, but must be at least 0"),
        ({"actor_step": np.nan}, "actor_step is nan; every entry must be a finite number"),
        ({"critic_step": np.inf}, "critic_step is inf"),
        ({"critic_step": wrong}, "critic_step must be a number, but is 'fast'"),
        ({"actor_step": [[0.1]]}, r"actor_step has shape \(1, 1\), but must be one number, or one per run"),
        ({"actor_step": lambda k: -1.0}, r"actor_step\(0\) is -1, but must be at least 0"),
        ({"critic_step": lambda k: jnp.ones(2)}, r"critic_step\(0\) has shape \(2,\); a step schedule must give one"),
        ({"critic_step": lambda: 0.1}, r"critic_step must be a function of the update count, but critic_step\(0\) fai"),
        ({"radius": 0.0}, "radius is 0, but must be greater than 0"),
        ({"radius": -1.0}, "radius is -1"),
        ({"radius": np.nan}, "radius is nan"),
        ({"sampling": "uniform"}, "sampling is 'uniform', but must be one of 'markov', 'iid'"),
        ({"minibatch": 0}, "minibatch is 0, but must be at least 1"),
        ({"minibatch": 2.0}, "minibatch must be a whole number, but is 2.0"),
        (
            {"policy": a3cjax.policies.TabularSoftmax(4, 2)},
            "policy is for 4 states and 2 actions, but the MDP has 5 and",
        ),
        ({"policy": a3cjax.policies.LinearSoftmax(np.ones((5, 3, 2)))}, "policy is for 5 states and 3 actions"),
        ({"policy": wrong}, "policy"),
        ({"prior": a3cjax.Prior.uniform(0.1, 5, 3)}, "prior.policy is for 5 states and 3 actions, but the MDP has 5"),
        ({"prior": wrong}, "prior"),
        ({"theta": np.zeros((5, 3))}, r"theta has shape \(5, 3\), but must have shape \(5, 2\)"),
        ({"omega": np.zeros(4)}, r"omega has shape \(4,\), but must have shape \(5\)"),
        ({"theta": np.full((5, 2), np.nan)}, r"theta\[0, 0\] is nan"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        a3c(**options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: a3cjax.policies.TabularSoftmax(0, 2), "num_states is 0, but must be at least 1"),
        (lambda: a3cjax.policies.TabularSoftmax(2, wrong), "num_actions must be a whole number, but is 'fast'"),
        (lambda: a3cjax.policies.LinearSoftmax(np.ones((2, 2))), r"features has shape \(2, 2\), but must have shape"),
        (lambda: a3cjax.policies.LinearSoftmax(np.full((1, 1, 1), np.nan)), r"features\[0, 0, 0\] is nan"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_probabilities_are_softmaxes():
    """exp θ / Σ exp θ by row: logits ln 1, ln 2, ln 5 give eighths, and (a, −a) with a = ln 3 / 2 quarters."""
    tabular = a3cjax.policies.TabularSoftmax(1, 3)
    np.testing.assert_allclose(tabular.probabilities(jnp.log(jnp.array([[1.0, 2, 5]]))), [[0.125, 0.25, 0.625]], 1e-6)
    linear = a3cjax.policies.LinearSoftmax(np.array([[[1.0], [-1.0]], [[0.0], [0.0]]]))
    np.testing.assert_allclose(linear.probabilities(jnp.log(jnp.array([3.0])) / 2), [[0.75, 0.25], [0.5, 0.5]], 1e-6)
    assert (tabular.shape, linear.shape) == ((1, 3), (1,))


def test_the_start_may_be_given():
    """With steps of zero the start is the end."""
    theta, omega = np.arange(10.0).reshape(5, 2), np.arange(5.0)
    params = last(a3c(actor_step=0.0, critic_step=0.0, theta=theta, omega=omega))
    np.testing.assert_array_equal(params.theta, theta)
    np.testing.assert_array_equal(params.omega, omega)


def test_steps_may_be_numbers_or_optax_schedules():
    """A constant in two spellings gives the same numbers; a schedule that is zero from update 20 on stops there."""
    number, constant = (last(a3c(actor_step=step, critic_step=step)) for step in (0.1, optax.constant_schedule(0.1)))
    np.testing.assert_allclose(number.theta, constant.theta, rtol=1e-6)
    np.testing.assert_allclose(number.omega, constant.omega, rtol=1e-6)
    stops = optax.piecewise_constant_schedule(0.1, {20: 0.0})
    record = a3cjax.Record(every=1, metrics={"omega": lambda state: state.omega, "theta": lambda state: state.theta})
    learner = a3c(actor_step=stops, critic_step=stops)
    result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(40), KEY, record=record)
    for name in ("omega", "theta"):
        moves = (np.diff(result.metrics[name], axis=0) != 0).reshape(39, -1).any(1)
        assert moves[:19].any()
        assert not moves[19:].any()


def test_a_function_sees_the_update_count_of_the_server():
    """One state, one action, r = 1, γ = 0: 1 − ω_{k+1} = (1 − β_k)(1 − ω_k); β_k = 1/(k+2) gives 1 − ω_n = 1/(n+1)."""
    mdp = a3cjax.FiniteMDP([[[1.0]]], [[1.0]], [1.0], 0.0, [[1.0]])
    record = a3cjax.Record(every=1, metrics={"omega": lambda state: state.omega[0]})
    learner = a3c(mdp, critic_step=lambda k: 1 / (k + 2))
    result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(30), KEY, record=record)
    np.testing.assert_allclose(result.metrics["omega"], 1 - 1 / np.arange(2, 32), rtol=1e-5)


def test_omega_is_projected_and_theta_is_not():
    """One state, r = 1, γ = 0, β = 1: ω would be 1 after one update, and a ball of radius ¼ stops it at ¼. θ, whose
    first step is α · 1 · (½, −½) with α = 5, leaves that ball."""
    mdp = a3cjax.FiniteMDP([[[1.0], [1.0]]], [[1.0, 1.0]], [1.0], 0.0, [[1.0]])
    params = last(a3c(mdp, actor_step=5.0, critic_step=1.0, radius=0.25), 1)
    assert float(params.omega[0]) == pytest.approx(0.25, rel=1e-6)
    np.testing.assert_allclose(np.abs(params.theta), [[2.5, 2.5]], rtol=1e-6)


def test_a_prior_alone_pulls_towards_itself():
    """r = 0 keeps δ̂ = 0: the actor sees λ ψ(x^p) only, ascent on −λ E KL(π_p ‖ π): π tends to π_p = (.8, .2).

    The pull, π_p − π in each of five states, vanishes at π_p. Near it a logit's noise has variance of order α = .02,
    so π's deviation is of order .16·√.04 = .03, and that of the mean of 60 runs .004; the bound leaves room for bias.
    """
    mdp = a3cjax.FiniteMDP(MDP.transition, np.zeros((5, 2)), MDP.initial, 0.9, MDP.features)
    policy = np.tile([0.8, 0.2], (5, 1))
    learner = a3c(mdp, actor_step=0.02, prior=a3cjax.Prior(1.0, np.full(5, 0.2), policy))
    record = a3cjax.Record(every=5000, metrics=())
    keys = jax.random.split(KEY, 60)
    theta = a3cjax.simulate(learner, a3cjax.Schedule.sequential(5000), keys, record=record).params.theta
    found = np.asarray(learner.policy.probabilities(jnp.asarray(theta))).mean(0)
    np.testing.assert_allclose(found, policy, atol=0.02)


def test_metrics_are_the_exact_oracles_of_the_recorded_state():
    """Each against the oracle of that name at the parameters of the same record."""
    prior = a3cjax.Prior.uniform(0.2, 5, 2)
    mdp = a3cjax.families.lazy(MDP, 0.2)
    learner = a3c(mdp, actor_step=0.5, critic_step=0.5, prior=prior)
    names = ["objective", "regularized_objective", "gradient_norm_sq", "critic_error_sq"]
    metrics = {name: name for name in names} | {"theta": lambda s: s.theta, "omega": lambda s: s.omega}
    result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(60), KEY, record=a3cjax.Record(30, metrics))

    @jax.jit
    @jax.vmap
    def expected(theta, omega):
        pi = learner.policy.probabilities(theta)
        return {
            "objective": a3cjax.exact.objective(mdp, pi),
            "regularized_objective": a3cjax.exact.objective(mdp, pi, prior),
            "gradient_norm_sq": jnp.sum(a3cjax.exact.policy_gradient(mdp, learner.policy, theta, prior) ** 2),
            "critic_error_sq": jnp.sum((omega - a3cjax.exact.critic_optimum(mdp, pi)) ** 2),
        }

    for name, values in expected(result.metrics["theta"], result.metrics["omega"]).items():
        np.testing.assert_allclose(result.metrics[name], values, rtol=1e-4, err_msg=name)
    assert result.metrics["objective"][1] != result.metrics["regularized_objective"][1]
