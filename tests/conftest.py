"""Two CPU devices, so that batches can be sharded by tests that ask for it; and the problems that several folders use.

Otherwise a batch is on one, as it is for users: each device has programs of its own to compile.
"""

import signal

import jax
import numpy as np
import pytest

import a3cjax

jax.config.update("jax_num_cpu_devices", 2)
_local_devices = jax.local_devices
pytest.MonkeyPatch().setattr(jax, "local_devices", lambda *args, **kwargs: _local_devices(*args, **kwargs)[:1])

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as where tests run in the background: some press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def x64():
    """Double precision for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def x32():
    """Single precision for one test, also where the suite runs in double."""
    with jax.enable_x64(False):
        yield


@pytest.fixture
def mixing_mdp():
    """Draws an MDP whose Dobrushin coefficient is at most ``spread``: rows of P = (1 − spread)·common + spread·own."""

    def draw(seed=0, states=6, actions=3, features=4, *, discount=0.8, reward_on="action", spread=0.1):
        rng = np.random.default_rng(seed)
        own = rng.dirichlet(np.ones(states), size=(states, actions))
        phi = rng.standard_normal((states, features))
        return a3cjax.FiniteMDP(
            transition=(1 - spread) * rng.dirichlet(np.ones(states)) + spread * own,
            reward=rng.random((states, actions) + (() if reward_on == "action" else (states,))),
            initial=rng.dirichlet(np.ones(states)),
            discount=discount,
            features=phi / np.linalg.norm(phi, axis=1).max(),
        )

    return draw
