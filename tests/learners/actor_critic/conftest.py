"""The learner's formulas in NumPy and float64, for one-hot observations, sharing no code with it."""

from types import SimpleNamespace

import numpy as np
import pytest


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def advantages(reward, values, next_values, terminated, truncated, discount, trace):
    """A_t = Σ_l (γλ)^l δ_{t+l}, up to the first end of an episode, or of the rollout; summed as it stands."""
    n, found = len(reward), []
    errors = [reward[t] + discount * next_values[t] * (not terminated[t]) - values[t] for t in range(n)]
    for t in range(n):
        total, weight = 0.0, 1.0
        for later in range(t, n):
            total += weight * errors[later]
            weight *= discount * trace
            if terminated[later] or truncated[later]:
                break
        found.append(total)
    return np.array(found)


def gradient(theta, omega, features, rollout, discount, trace, entropy, critic_weight, normalize=False):
    """Of the mean over t of −A log π − h H + c (R − V)²: ∇θ[s] = −A (e_a − π) + h π (log π + H), ∇ω = −2c A φ."""
    states, following = (np.argmax(x, -1) for x in (rollout.observation, rollout.next_observation))
    action = np.asarray(rollout.action)
    plain = [np.asarray(x) for x in (rollout.reward, rollout.terminated, rollout.truncated)]
    reward, terminated, truncated = plain[0].astype(np.float64), plain[1], plain[2]
    values, next_values = features[states] @ omega, features[following] @ omega
    advantage = advantages(reward, values, next_values, terminated, truncated, discount, trace)
    pulled = (advantage - advantage.mean()) / (advantage.std() + 1e-8) if normalize else advantage
    to_theta, to_omega = np.zeros_like(theta), np.zeros_like(omega)
    for t, state in enumerate(states):
        policy = softmax(theta[state])
        randomness = -(policy * np.log(policy)).sum()
        to_theta[state] -= pulled[t] * (np.eye(len(policy))[action[t]] - policy) / len(states)
        to_theta[state] += entropy * policy * (np.log(policy) + randomness) / len(states)
        to_omega -= 2 * critic_weight * advantage[t] * features[state] / len(states)
    return to_theta, to_omega


@pytest.fixture(scope="session")
def reference():
    """The three functions above."""
    return SimpleNamespace(softmax=softmax, advantages=advantages, gradient=gradient)
