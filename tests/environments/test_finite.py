"""An MDP as an environment: laws of its steps, ends of its episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import a3cjax
from a3cjax.environments import Finite

DRAWS = 20_000


@pytest.fixture(scope="module")
def mdp():
    """Three states; the first action leads nowhere with certainty, the second leaves one state out."""
    transition = np.array(
        [
            [[0.0, 1.0, 0.0], [0.25, 0.75, 0.0]],
            [[0.0, 0.0, 1.0], [0.0, 0.5, 0.5]],
            [[1.0, 0.0, 0.0], [0.1, 0.2, 0.7]],
        ]
    )
    reward = np.arange(18.0).reshape(3, 2, 3)
    return a3cjax.FiniteMDP(transition, reward, [0.0, 0.3, 0.7], 0.8, np.eye(3))


def test_steps_follow_the_mdp(mdp):
    """χ² of next states at its 1e-4 quantile; nothing that has probability 0; the reward is that of (s, a, s')."""
    environment = Finite(mdp)
    keys = jax.random.split(jax.random.key(0), DRAWS)
    steps = jax.jit(jax.vmap(environment.step, in_axes=(0, None, None)))
    for state, action in ((0, 0), (0, 1), (1, 1), (2, 1)):
        step = steps(keys, jnp.int32(state), jnp.int32(action))
        law = np.asarray(mdp.transition[state, action], np.float64)
        counts = np.bincount(step.state, minlength=3)
        assert not counts[law == 0].any()
        expected = DRAWS * law[law > 0]
        statistic = ((counts[law > 0] - expected) ** 2 / expected).sum()
        assert statistic <= stats.chi2.ppf(1 - 1e-4, max(len(expected) - 1, 1))
        np.testing.assert_array_equal(step.reward, 6 * state + 3 * action + np.asarray(step.state))
        np.testing.assert_array_equal(step.observation, np.eye(3)[np.asarray(step.state)])
        assert not step.terminated.any()
        ends = stats.binomtest(int(step.truncated.sum()), DRAWS, 1 - 0.8)
        assert ends.pvalue > 1e-4
    begun = np.bincount(jax.jit(jax.vmap(environment.reset))(keys)[0], minlength=3)
    assert begun[0] == 0
    assert stats.binomtest(int(begun[1]), DRAWS, 0.3).pvalue > 1e-4


def test_restarts_are_as_asked(mdp):
    keys = jax.random.split(jax.random.key(1), 1000)
    ends = jax.jit(lambda environment: jax.vmap(environment.step, in_axes=(0, None, None))(keys, jnp.int32(0), 1)[4])
    for restart in (0.0, 1.0):
        assert set(np.asarray(ends(Finite(mdp, restart))).tolist()) == {bool(restart)}
    with pytest.raises(ValueError, match=r"restart is 1.5, but must be at most 1"):
        Finite(mdp, 1.5)
    with pytest.raises(ValueError, match=r"mdp must be an a3cjax.FiniteMDP, but is a LQR"):
        Finite(a3cjax.families.double_integrator())  # type: ignore[arg-type]


def test_an_mdp_that_is_traced_steps_the_same(mdp):
    """Where the MDP is made inside jit the ends are cut in float32: the same draws but for 2⁻²⁴ of them."""
    keys = jax.random.split(jax.random.key(2), 500)

    def draw(environment):
        return jax.vmap(environment.step, in_axes=(0, None, None))(keys, jnp.int32(2), 1).state

    inside = jax.jit(lambda mdp: draw(Finite(mdp)))(mdp)
    np.testing.assert_array_equal(inside, jax.jit(draw)(Finite(mdp)))
