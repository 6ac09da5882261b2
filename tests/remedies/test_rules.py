"""Each rule beside its formula in NumPy and float64, over one sequence of gradients, delays and parameters.

The transcriptions go through the sequence by themselves, keep what they need of it, and share no code with the rules.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from a3cjax import remedies

K, SHAPE = 24, (3, 2)
RNG = np.random.default_rng(5)
GRADIENTS = RNG.normal(size=(K, *SHAPE))
PARAMS = np.cumsum(RNG.normal(size=(K, *SHAPE)), axis=0)  # the server's, before each update
DELAYS = np.minimum(RNG.integers(0, 7, K), np.arange(K))
DELAYS[[0, 5, 6]], DELAYS[[10, 15]] = 0, 3  # none, and the bound of ``drop_above``
wrong: Any = None


def stale(k):
    return PARAMS[k - DELAYS[k]]


def gap(k):
    return np.sqrt(((PARAMS[k] - stale(k)) ** 2).sum())


def by_factor(factor):
    return lambda: [factor(k, DELAYS[k]) * GRADIENTS[k] for k in range(K)]


def windowed(step):
    """Wu et al., eq. by eq.: all steps in a list, γ′ = 1."""

    def changes():
        steps: list[float] = []
        for k, delay in enumerate(DELAYS):
            steps.append(step(1 - sum(steps[k - delay : k]), delay))
        return [one * g for one, g in zip(steps, GRADIENTS, strict=True)]

    return changes


def compensated():
    return [g + 0.3 * g * g * (PARAMS[k] - stale(k)) for k, g in enumerate(GRADIENTS)]


def compensated_adaptively():
    square, found = np.zeros(SHAPE), []
    for k, g in enumerate(GRADIENTS):
        square = 0.95 * square + 0.05 * g**2
        found.append(g + 2 / np.sqrt(square + 1e-7) * g**2 * (PARAMS[k] - stale(k)))
    return found


def penalised_by_gap():
    square, found = np.zeros(SHAPE), []
    for k, g in enumerate(GRADIENTS):
        square = 0.9 * square + 0.1 * g**2
        usual = 0.5 * (np.sqrt(square / (1 - 0.9 ** (k + 1))) + 1e-8)
        found.append(g / (np.abs(PARAMS[k] - stale(k)) / usual + 1))
    return found


def with_less_momentum():
    """β = .9 − (1 − ¼) = .15, as a sum over all that came before."""
    return [sum(0.15 ** (k - j) * GRADIENTS[j] for j in range(k + 1)) for k in range(K)]


RULES: dict[str, Any] = {
    "inverse": (remedies.scale_by_delay("inverse"), by_factor(lambda k, d: 1 / d if d else 1)),
    "threshold": (remedies.scale_by_delay("threshold", threshold=3), by_factor(lambda k, d: 3 / max(3, d))),
    "ceiling": (
        remedies.scale_by_delay("threshold", threshold=2, ceiling=1.5),
        by_factor(lambda k, d: 1 if d <= 2 else min(1, 1.5 / d)),
    ),
    "high ceiling": (
        remedies.scale_by_delay("threshold", threshold=1, ceiling=4),
        by_factor(lambda k, d: 1 if d <= 1 else min(1, 4 / d)),
    ),
    "polynomial": (remedies.scale_by_delay("polynomial"), by_factor(lambda k, d: 1 / np.sqrt(1 + d))),
    "steep polynomial": (remedies.scale_by_delay("polynomial", exponent=2), by_factor(lambda k, d: (1 + d) ** -2.0)),
    "hinge": (
        remedies.scale_by_delay("hinge", slope=10, threshold=4),
        by_factor(lambda k, d: 1 if d <= 4 else 1 / (10 * (d - 4) + 1)),
    ),
    "function": (remedies.scale_by_delay(lambda d: jnp.exp(-0.5 * d)), by_factor(lambda k, d: np.exp(-d / 2))),
    "adadelay": (remedies.scale_by_delay("adadelay"), by_factor(lambda k, d: 1 / np.sqrt(k + 1 + d))),
    "window 1": (remedies.adaptive_window(1, 6), windowed(lambda left, d: 0.9 * max(left, 0))),
    "window 2": (
        remedies.adaptive_window(2, 6),
        windowed(lambda left, d: 1 / (d + 1) if 1 / (d + 1) <= left + 1e-12 else 0),
    ),
    "drop_above": (remedies.drop_above(3), by_factor(lambda k, d: d <= 3)),
    "drop_far": (remedies.drop_far(3.0), by_factor(lambda k, d: gap(k) <= 3)),
    "clip_by_gap": (remedies.clip_by_gap(2.0), by_factor(lambda k, d: min(1, 2 / gap(k)) if d else 1)),
    "clip_by_norm": (
        remedies.clip_by_norm(2.0),
        by_factor(lambda k, d: min(1, 2 / np.sqrt((GRADIENTS[k] ** 2).sum()))),
    ),
    "compensate": (remedies.compensate(0.3), compensated),
    "adaptively": (remedies.compensate(adaptive=True), compensated_adaptively),
    "gap_aware": (remedies.gap_aware(step=0.5, decay=0.9), penalised_by_gap),
    "momentum": (remedies.correct_implicit_momentum(0.9, workers=4), with_less_momentum),
}
# What decays, accumulates or clips without any delay, too, and a step of which variant 1 takes nine tenths.
NOT_IDENTICAL = {"adadelay", "window 1", "clip_by_norm", "momentum"}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_its_formula(name):
    """Also within a chain, whose other members take no extra arguments, and compiled."""
    rule, by_hand = RULES[name]
    chain = optax.chain(optax.identity(), rule, optax.scale(-2.0))

    def step(state, at):
        gradient, params, then, delay = at
        changes, state = chain.update(gradient, state, params, delay=delay, stale=then)
        return state, changes

    given = [jnp.asarray(x, jnp.float32) for x in (GRADIENTS, PARAMS, np.stack([stale(k) for k in range(K)]))]
    _, found = jax.jit(lambda given: jax.lax.scan(step, chain.init(given[1][0]), given))((*given, jnp.asarray(DELAYS)))
    np.testing.assert_allclose(found, -2 * np.stack(by_hand()), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in RULES if name not in NOT_IDENTICAL])
def test_without_delay_nothing_changes(name):
    """To the bit, update after update; pytrees as they come."""
    rule, _ = RULES[name]
    params = {"w": jnp.asarray(PARAMS[3], jnp.float32), "b": jnp.float32(0.1)}
    gradient = {"w": jnp.asarray(GRADIENTS[3], jnp.float32), "b": jnp.float32(-0.7)}
    state = rule.init(params)
    for _ in range(3):
        changes, state = rule.update(gradient, state, params, delay=jnp.int32(0), stale=params)
        for leaf in params:
            assert changes[leaf].tolist() == gradient[leaf].tolist()


def test_a_constant_delay_fills_the_window_for_ever():
    """Variant 2 takes γ′/(τ + 1) at each of τ + 1 updates: the last just fits, however many have come before.

    The first one takes all of γ′, which has left the window after seven. So has that of variant 1 with a = 1, and with
    it the whole of γ′ is free again: one step in seven is taken, and all of it.
    """
    rule, second = remedies.adaptive_window(1, 6, fraction=1.0), remedies.adaptive_window(2, 6)
    delays = jnp.minimum(jnp.arange(100_000), 6)

    def factors(rule):
        def step(state, delay):
            change, state = rule.update(jnp.float32(1.0), state, delay=delay)
            return state, change

        return np.asarray(jax.jit(lambda: jax.lax.scan(step, rule.init(None), delays)[1])())

    np.testing.assert_allclose(factors(second)[7:], 1 / 7, rtol=1e-6)
    assert factors(rule).tolist() == [float(k % 7 == 0) for k in range(100_000)]


def test_a_delay_beyond_the_window_is_no_number():
    rule: Any = remedies.adaptive_window(2, 2)
    state = rule.init(None)
    for delay in (0, 1, 2):
        change, state = rule.update(jnp.float32(1.0), state, delay=jnp.int32(delay))
        assert np.isfinite(change)
    assert np.isnan(rule.update(jnp.float32(1.0), state, delay=jnp.int32(3))[0])


def test_a_dropped_gradient_may_be_anything():
    """Zero, also where it is infinite."""
    rule: Any = remedies.drop_above(0)
    assert float(rule.update(jnp.float32(np.inf), rule.init(None), delay=jnp.int32(1))[0]) == 0


def test_a_long_gap_is_summed_like_a_short_one():
    """500 entries, which are added as vectors, and 5,000, which are not written out: ‖3 … 3‖ = 3 √n."""
    for size in (500, 5000):
        rule: Any = remedies.clip_by_gap(1.0)
        ones = jnp.ones((size // 5, 5))
        changes, _ = rule.update(ones, rule.init(None), 3 * ones, stale=0 * ones)
        np.testing.assert_allclose(changes, 1 / (3 * np.sqrt(size)), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: remedies.scale_by_delay(wrong), "rule is None, but must be one of 'inverse', 'threshold'"),
        (
            lambda: remedies.scale_by_delay("inverse", exponent=1),
            "exponent is given, but the rule 'inverse' takes no par",
        ),
        (lambda: remedies.scale_by_delay("hinge", slope=1), "the rule 'hinge' needs threshold; give threshold=…"),
        (lambda: remedies.scale_by_delay("polynomial", exponent=-1), "exponent is -1, but must be at least 0"),
        (lambda: remedies.scale_by_delay(lambda d: d, exponent=1), "exponent is given, but rule is a function"),
        (
            lambda: remedies.scale_by_delay(lambda d: jnp.ones(2)),
            r"rule\(0\) has shape \(2,\), but a rule must give one",
        ),
        (lambda: remedies.scale_by_delay(lambda d: 1.0 if d else 2.0), "rule looks at a value while it is compiled"),
        (lambda: remedies.adaptive_window(3, 4), "variant is 3, but must be 1 or 2"),
        (lambda: remedies.adaptive_window(2, 4, fraction=0.5), "fraction is 0.5, but variant 2 has none; leave it out"),
        (lambda: remedies.adaptive_window(1, -1), "max_delay is -1, but must be at least 0"),
        (lambda: remedies.adaptive_window(1, 4, fraction=1.5), "fraction is 1.5, but must be at most 1"),
        (lambda: remedies.drop_above(-1), "delay is -1, but must be at least 0"),
        (lambda: remedies.drop_far(np.nan), "distance is nan"),
        (lambda: remedies.compensate(decay=0.5), "decay is 0.5, but with adaptive=False there is no running mean"),
        (lambda: remedies.compensate(lam=-1.0), "lam is -1, but must be at least 0"),
        (lambda: remedies.compensate(adaptive=wrong), "adaptive must be True or False, but is None"),
        (lambda: remedies.gap_aware(step=0), "step is 0, but must be greater than 0"),
        (lambda: remedies.clip_by_gap(0), "gap is 0, but must be greater than 0"),
        (lambda: remedies.clip_by_norm(0), "norm is 0, but must be greater than 0"),
        (lambda: remedies.correct_implicit_momentum(1, 2), "momentum is 1, but must be less than 1"),
        (lambda: remedies.correct_implicit_momentum(0.5, 0), "workers is 0, but must be at least 1"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "given", "missing"),
    [
        ("inverse", {}, "scale_by_delay is not given delay, the delay of the gradient, in updates; call update"),
        ("drop_above", {"stale": jnp.ones(SHAPE)}, "drop_above is not given delay"),
        (
            "drop_far",
            {"delay": 1, "params": jnp.ones(SHAPE)},
            "drop_far is not given stale, the parameters that the grad",
        ),
        ("compensate", {"stale": jnp.ones(SHAPE)}, "compensate is not given params, the parameters that it is applied"),
        ("gap_aware", {"stale": jnp.ones(2), "params": jnp.ones(SHAPE)}, r"gap_aware is given stale of shapes \(2,\)"),
    ],
)
def test_what_is_not_handed_over_is_missed(name, given, missing):
    rule = RULES[name][0]
    with pytest.raises(ValueError, match=missing):
        rule.update(jnp.ones(SHAPE), rule.init(jnp.ones(SHAPE)), **given)
