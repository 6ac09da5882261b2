"""The sums of episodes after a rollout are those that are kept step by step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax.learners.actor_critic.rollout import Episode, Rollout, Worker, _episodes


def test_episodes_are_those_of_a_loop():
    """Forty rollouts of five steps with whole rewards, of which some end often and some never."""
    rng, runs = np.random.default_rng(0), 40
    reward = rng.integers(-3, 4, (runs, 5)).astype(np.float32)
    terminated, truncated = rng.random((runs, 5)) < 0.3, rng.random((runs, 5)) < 0.2
    totals, lengths = rng.integers(0, 9, (2, runs)).astype(np.float32), rng.integers(0, 9, (2, runs)).astype(np.int32)
    ended = rng.integers(0, 5, runs).astype(np.int32)
    nothing: Any = None
    at: Any = list(zip(totals, lengths, strict=True))
    own: Any = (nothing, nothing, Episode(*at[0]), Episode(*at[1]), ended)
    before = Worker(*own)
    columns: Any = (nothing, nothing, reward, nothing, terminated, truncated, nothing)
    rollout = Rollout(*columns)
    before, rollout = jax.tree.map(jnp.asarray, (before, rollout))
    running, last, count = jax.vmap(_episodes)(before, rollout)
    for b in range(runs):
        now, latest, ends = (totals[0, b], lengths[0, b]), (totals[1, b], lengths[1, b]), ended[b]
        for t in range(5):
            now = now[0] + reward[b, t], now[1] + 1
            if terminated[b, t] or truncated[b, t]:
                now, latest, ends = (0, 0), now, ends + 1
        found = running.total[b], running.length[b], last.total[b], last.length[b], count[b]
        assert [float(x) for x in found] == [*map(float, (*now, *latest, ends))]
