import jax.numpy as jnp
import numpy as np
import pytest

from a3cjax import families
from a3cjax.studies import critic_eigenvalues, proportion_interval, stability_limit
from a3cjax.studies.stability import critical_mode

# 2 sin(π/(2(2τ+1))), worked out elsewhere.
KNOWN = {0: 2, 1: 1, 2: 0.618034, 3: 0.445042, 7: 0.209057, 15: 0.101298, 31: 0.049861}


def spectral_radius(eigenvalue, step, delay):
    """Of z^{τ+1} − z^τ + βλ, from the polynomial's roots."""
    coefficients = np.zeros(delay + 2, complex)
    coefficients[0] = 1
    coefficients[1] -= 1
    coefficients[-1] += step * eigenvalue
    return np.abs(np.roots(coefficients)).max()


def test_the_real_limits_are_the_known_ones():
    np.testing.assert_allclose(stability_limit(1.0, list(KNOWN)), list(KNOWN.values()), atol=1e-6)
    np.testing.assert_allclose(stability_limit([0.1, 0.25], list(KNOWN)), 4 * np.array(list(KNOWN.values())), atol=4e-6)


@pytest.mark.parametrize("delay", [0, 1, 2, 5, 31])
@pytest.mark.parametrize("eigenvalue", [0.3, 1 + 0.5j, 0.2 - 0.7j, 0.05 + 1j])
def test_the_roots_leave_the_circle_at_the_limit(eigenvalue, delay):
    limit = float(stability_limit(eigenvalue, delay))
    assert spectral_radius(eigenvalue, 0.999 * limit, delay) < 1 < spectral_radius(eigenvalue, 1.001 * limit, delay)


def test_a_mode_that_grows_by_itself_has_no_stable_step_and_one_that_stands_still_limits_nothing():
    assert stability_limit([1.0, -0.1], 3) == 0
    assert stability_limit([1.0, 0.1j], 3) == pytest.approx(0, abs=1e-12)
    assert stability_limit([1.0, -1e-9], 0) == pytest.approx(2)


def test_the_critical_mode_is_the_one_with_the_least_limit():
    modes = np.array([1.0, 0.4 + 0.7j, 0.01])
    for delay in (0, 4, 100):
        each = [float(stability_limit(mode, delay)) for mode in modes]
        assert critical_mode(modes, delay) == modes[np.argmin(each)]


def test_the_critics_eigenvalues_round_a_cycle_are_roots_of_unity():
    # Always right and no slips: P is the cyclic shift, μ uniform, −A = (I − γP)/S.
    pi = jnp.tile(jnp.array([0.0, 1.0]), (5, 1))
    found = critic_eigenvalues(families.ring(5, slip=0.0, discount=0.8), pi)
    expected = (1 - 0.8 * np.exp(2j * np.pi * np.arange(5) / 5)) / 5
    assert np.abs(found[:, None] - expected).min(0).max() < 1e-6


def test_wilsons_interval_is_that_of_scipy():
    import scipy.stats

    for successes in (0, 1, 4, 9, 10):
        mine = proportion_interval(successes, 10, confidence=0.9)
        ends = scipy.stats.binomtest(successes, 10).proportion_ci(0.9, method="wilson")
        assert (float(mine.low), float(mine.high)) == pytest.approx((ends.low, ends.high), abs=1e-12)


def test_a_negative_delay_is_refused():
    with pytest.raises(ValueError, match="delay is -1, but must be at least 0"):
        stability_limit(1.0, -1)
