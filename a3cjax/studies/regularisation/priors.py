"""The priors that the study tries."""

from collections.abc import Mapping

import numpy as np

from a3cjax.problems import FiniteMDP, Prior, exact


def typical_priors(mdp: FiniteMDP) -> dict[str, Prior]:
    """Three priors of weight 1: one that knows nothing, one that helps, and one that misleads at a single state.

    "uniform" is that of eq. (23). "informed" has uniform η_p and π_p half an optimal policy, half uniform. "misled"
    has η_p all at the state that an optimal policy visits most, and π_p uniform except that it takes the action that is
    worst there with probability 0.9.

    >>> import a3cjax
    >>> priors = a3cjax.studies.typical_priors(a3cjax.families.ring(4, slip=0.0))
    >>> priors["misled"].states.tolist(), [round(float(p), 2) for p in priors["informed"].policy[1]]
    ([1.0, 0.0, 0.0, 0.0], [0.75, 0.25])
    """
    num_states, num_actions = mdp.num_states, mdp.num_actions
    best = exact.optimal_policy(mdp)
    even = np.full((num_states, num_actions), 1 / num_actions)
    priors = {
        "uniform": Prior.uniform(1.0, num_states, num_actions),
        "informed": Prior(1.0, np.full(num_states, 1 / num_states), (even + np.asarray(best)) / 2),
    }
    if num_actions > 1:
        at = exact.evaluate(mdp, best)
        state = int(np.argmax(at.visitation))
        wrong = even.copy()
        wrong[state] = 0.1 / (num_actions - 1)
        wrong[state, int(np.argmin(at.action_values[state]))] = 0.9
        priors["misled"] = Prior(1.0, np.eye(num_states)[state], wrong)
    return priors


def check_priors(mdp: FiniteMDP, priors: Mapping[str, Prior]) -> dict[str, Prior]:
    """Priors that fit the MDP, or a ValueError."""
    if not priors:
        raise ValueError("priors is empty; give at least one.")
    for name, prior in priors.items():
        if not isinstance(prior, Prior):
            raise ValueError(f"priors[{name!r}] must be an a3cjax.Prior, but is {prior!r}.")
        if prior.policy.shape != (mdp.num_states, mdp.num_actions):
            raise ValueError(
                f"priors[{name!r}] has a policy of shape {prior.policy.shape}, but the MDP has {mdp.num_states} states "
                f"and {mdp.num_actions} actions."
            )
    return dict(priors)
