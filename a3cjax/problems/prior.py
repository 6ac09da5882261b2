"""The regulariser that keeps a policy from becoming deterministic."""

import jax.numpy as jnp
from jax.scipy.special import rel_entr
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.tree import pytree


@pytree
class Prior:
    """A pull of the policy towards a prior policy: J_λ = J − λ E_{s~η_p} KL(π_p(·|s) ‖ π(·|s)).

    The regularised objective of Shen et al. 2023; eq. (23) is the case of ``Prior.uniform``. Arguments, with S
    states and A actions:

    - ``weight``: λ, at least zero; or one per run [B], for a batch of simulations.
    - ``states``: η_p, the law of the states at which the policies are compared, shape [S].
    - ``policy``: π_p, rows that sum to one, shape [S, A].

    Raises ValueError for a negative or non-finite weight, a wrong shape, or a law that does not sum to one.

    >>> import a3cjax
    >>> prior = a3cjax.Prior(weight=0.1, states=[0.5, 0.5], policy=[[0.5, 0.5], [1.0, 0.0]])
    >>> prior.policy.shape
    (2, 2)
    """

    weight: Float[Array, ""]
    states: Float[Array, "S"]
    policy: Float[Array, "S A"]

    def __init__(self, weight: ArrayLike, states: ArrayLike, policy: ArrayLike):
        weight = check.run_scalar("weight", weight)
        states = check.laws("states", states, (None,))
        policy = check.laws("policy", policy, (states.shape[0], None))
        check.number("weight", weight, least=0)
        for name, value in (("weight", weight), ("states", states), ("policy", policy)):
            object.__setattr__(self, name, value)

    @classmethod
    def uniform(cls, weight: ArrayLike, num_states: int, num_actions: int) -> "Prior":
        """The prior of eq. (23): η_p and π_p both uniform, so J_λ = J + λ/(SA) Σ log π(a|s) + λ log A.

        >>> import a3cjax
        >>> a3cjax.Prior.uniform(0.1, num_states=2, num_actions=4).policy[0].tolist()
        [0.25, 0.25, 0.25, 0.25]
        """
        num_states = check.integer("num_states", num_states, 1)
        num_actions = check.integer("num_actions", num_actions, 1)
        needed = 2 * num_states * num_actions * check.float_size()
        check.memory("num_states", num_states, needed, "use fewer states or actions")
        return cls(weight, jnp.full(num_states, 1 / num_states), jnp.full((num_states, num_actions), 1 / num_actions))

    def regularizer(self, pi: Float[Array, "S A"]) -> Float[Array, ""]:
        """R(π) = −E_{s~η_p} KL(π_p ‖ π): zero at the prior policy, below it elsewhere; J_λ = J + ``weight`` · R.

        An action that the prior never takes adds nothing (0 log 0 = 0); one that it takes and ``pi`` does not
        gives −inf.

        >>> import a3cjax
        >>> prior = a3cjax.Prior.uniform(0.1, num_states=2, num_actions=4)
        >>> float(prior.regularizer(prior.policy))
        0.0
        """
        divergence = rel_entr(self.policy, pi).sum(-1)
        # A state of no weight must not turn an infinite divergence into 0 · inf.
        return jnp.where(self.states > 0, -self.states * divergence, 0).sum()
