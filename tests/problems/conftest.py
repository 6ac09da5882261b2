import numpy as np
import pytest

import a3cjax


@pytest.fixture
def random_mdp():
    """Draws an MDP with NumPy: nothing to compile, and nothing shared with the families under test."""

    def draw(seed=0, states=7, actions=3, features=4, *, discount=0.9, reward_on="action", initial=None, branching=7):
        rng = np.random.default_rng(seed)
        transition = rng.random((states, actions, states))
        if branching < states:
            transition *= transition >= np.sort(transition, axis=-1)[..., -branching, None]
        phi = rng.random((states, features))
        return a3cjax.FiniteMDP(
            transition=transition / transition.sum(-1, keepdims=True),
            reward=rng.random((states, actions) + (() if reward_on == "action" else (states,))),
            initial=np.full(states, 1 / states) if initial is None else initial,
            discount=discount,
            features=phi / np.linalg.norm(phi, axis=1).max(),
        )

    return draw


@pytest.fixture
def random_case(random_mdp):
    """Draws an MDP and a policy for it."""

    def draw(seed=0, **options):
        mdp = random_mdp(seed, **options)
        return mdp, np.random.default_rng(seed + 1000).dirichlet(np.ones(mdp.num_actions), size=mdp.num_states)

    return draw
