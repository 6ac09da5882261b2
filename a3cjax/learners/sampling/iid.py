"""Option 1: independent samples of μ and d of the very policy that is read.

Two ways to draw a state from the law of π_θ, chosen for each chain by how fast the MDP mixes:

- *rollout*: n steps from η leave a total-variation error of at most cⁿ for every policy, where c is the Dobrushin
  coefficient of P; for d, whose chain P̂ contracts by γc, min(T, m) steps with T geometric leave (γc)ᵐ.
- *solve*: when that takes too many steps, the law itself is computed from P_π at each update and inverted.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int, UInt32

from a3cjax._core.check import is_concrete
from a3cjax._core.tree import pytree, static
from a3cjax.learners.sampling.samples import Draw, Dynamics, Transition
from a3cjax.learners.sampling.words import geometric, law_draw
from a3cjax.problems import FiniteMDP, exact
from a3cjax.problems.chains import long_run_law
from a3cjax.problems.resolvent import factored, visits

TOLERANCE = 2.0**-24  # of a rollout, in total variation: the resolution of the working precision's unit interval
LONGEST_ROLLOUT = 2048  # steps; beyond, solving costs less (engine benchmarks)


@pytree
class IIDSampler:
    """s ~ μ_π and ŝ ~ d_π afresh for every update, then one step of the MDP from each.

    ``critic_steps`` and ``actor_steps`` are the rollout lengths, or None where the law is solved for. With ``shared``
    the actor uses the critic's sample: its states follow μ_π, and what is said of the actor's law is said of that.
    """

    dynamics: Dynamics
    mdp: FiniteMDP
    critic_steps: int | None = static()
    actor_steps: int | None = static()
    critic_error: float = static()
    actor_error: float = static()
    shared: bool = static(default=False)

    @classmethod
    def of(cls, mdp: FiniteMDP, shared: bool = False) -> "IIDSampler":
        """The sampler of an MDP; an MDP that is being traced cannot be looked at, so its laws are solved for."""
        rounding = mdp.num_states * float(jnp.finfo(mdp.transition.dtype).eps)
        steps: list[int | None] = [None, None]
        errors = [rounding, rounding]
        if is_concrete(mdp):
            contraction = float(exact.dobrushin(mdp))
            for chain, factor in enumerate((contraction, float(np.max(mdp.discount)) * contraction)):
                length = _rollout_length(factor)
                if length is not None:
                    steps[chain], errors[chain] = length, factor**length
        if shared:
            steps[1], errors[1] = steps[0], errors[0]
        return cls(Dynamics.of(mdp), mdp, steps[0], steps[1], errors[0], errors[1], shared)

    @property
    def total_variation(self) -> tuple[float, float]:
        """Bounds on the distance of the drawn states' laws from (μ_π, d_π), or (μ_π, μ_π) if shared, for every policy.

        A rollout's bound is cⁿ, a solved law's is its rounding, S·eps.
        """
        return self.critic_error, self.actor_error

    @property
    def num_words(self) -> int:
        """Words of both transitions, or of the one that is shared."""
        return _words_of(self.critic_steps) + (0 if self.shared else _words_of(self.actor_steps))

    def init(self, key: jax.Array) -> tuple[()]:
        """Independent samples leave nothing to keep."""
        del key
        return ()

    def sample(
        self, policy: Any, theta: Any, nothing: tuple[()], words: UInt32[Array, " num_words"]
    ) -> tuple[Draw, tuple[()]]:
        """Fresh samples of both kinds."""
        laws: list[Any] = [None, None]
        if self.critic_steps is None or self.actor_steps is None:
            kernel = exact.evaluate(self.mdp, policy.probabilities(jnp.asarray(theta))).kernel
            start, discount = self.mdp.initial, self.mdp.discount
            # By elimination, whose sums take the same order in every lane: a walk's products need not.
            laws[0] = long_run_law(kernel, start) if self.critic_steps is None else None
            solves = self.actor_steps is None and not self.shared
            laws[1] = visits(factored(kernel, discount), start, discount) if solves else None
        of_critic = _words_of(self.critic_steps)
        critic = self._draw(policy, theta, laws[0], self.critic_steps, False, words[:of_critic])
        actor = critic
        if not self.shared:
            actor = self._draw(policy, theta, laws[1], self.actor_steps, True, words[of_critic:])
        _, probabilities = self.dynamics.act(policy, theta, actor.state, words[0])
        return Draw(critic, actor, probabilities), nothing

    def _draw(
        self, policy: Any, theta: Any, law: Any, steps: int | None, restarts: bool, words: UInt32[Array, " n"]
    ) -> Transition:
        """A transition whose state follows ``law``, or that of a rollout."""
        if steps is None:
            state = law_draw(law, words[0])
            action = self.dynamics.choose(policy, theta, state, words[1])
        else:
            stop = geometric(words[3], self.mdp.discount, steps) if restarts else jnp.int32(steps)
            state, action = self._rollout(policy, theta, steps, stop, words)
        return Transition(state, action, self.dynamics.move(state, action, words[2]))

    def _rollout(
        self, policy: Any, theta: Any, steps: int, stop: Int[Array, ""], words: UInt32[Array, " n"]
    ) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """State and action after min(stop, steps) steps from η."""

        def advance(t, at):
            state, action = at
            ahead = self.dynamics.move(state, action, words[2 * t + 4])
            # The next action is drawn here, at the end: what leaves an iteration is computed in a loop of its own,
            # while an action that is only an index into the next draw would be computed inside that, slowly.
            chosen = self.dynamics.choose(policy, theta, ahead, words[2 * t + 5])
            return jnp.where(t < stop, ahead, state), jnp.where(t < stop, chosen, action)

        state = self.dynamics.start(words[0])
        action = self.dynamics.choose(policy, theta, state, words[1])
        return lax.fori_loop(0, steps, advance, (state, action))


def _words_of(steps: int | None) -> int:
    """Words of one transition: of its state, its action, its next state, the rollout's length, and two a step."""
    return 3 if steps is None else 4 + 2 * steps


def _rollout_length(contraction: float) -> int | None:
    """The least n with contractionⁿ ≤ TOLERANCE, or None where that is too long."""
    if contraction <= 0:
        return 1
    steps = math.log(TOLERANCE) / math.log(contraction) if contraction < 1 else math.inf
    return max(1, math.ceil(steps)) if steps <= LONGEST_ROLLOUT else None
