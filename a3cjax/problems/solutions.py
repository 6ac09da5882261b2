"""μ, d, V and A of one policy: by walking where its chain mixes fast, by elimination everywhere else.

Walking takes a tenth of the time. Which way it is, and every digit of what comes out, depends on the policy alone.
Derivatives are those of the eliminations, of which the walks are the limit.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from a3cjax._xla.choice import derived_from, either
from a3cjax._xla.compiler import quickly_compiled
from a3cjax.problems.chains import long_run_law
from a3cjax.problems.mixing import Laws, Mixing, walked_advantages, walked_laws, walked_values
from a3cjax.problems.resolvent import Values, advantages, discounted_values, factored, visits

System = tuple[Array, Array]


def _no_laws(kernel: Array, initial: Array, discount: Array, known: Mixing) -> Laws:
    del kernel, discount, known
    return Laws(jnp.zeros_like(initial), jnp.zeros_like(initial), jnp.bool_(False))


def _no_system(kernel: Array, discount: Array) -> System:
    del discount
    return jnp.zeros_like(kernel), jnp.zeros(kernel.shape[0], jnp.int32)


_laws = either(walked_laws, _no_laws)
_system = either(_no_system, factored)


@quickly_compiled
def laws_if_fast(
    kernel: Float[Array, "S S"], initial: Float[Array, "S"], discount: Float[Array, ""], known: Mixing
) -> Laws:
    """μ and d of a chain that mixes fast; of another one nothing."""
    return _laws(known.fast, *jax.lax.stop_gradient((kernel, initial, discount, known)))


@quickly_compiled
def system_if_slow(kernel: Float[Array, "S S"], discount: Float[Array, ""], known: Mixing) -> System:
    """I − γP, factored, of a chain that is not known to mix fast; of another one nothing."""
    return _system(known.fast, *jax.lax.stop_gradient((kernel, discount)))


@quickly_compiled
def stationary_law(kernel: Float[Array, "S S"], initial: Float[Array, "S"], walked: Laws) -> Float[Array, "S"]:
    """μ, or the long-run law from η where the chain has several recurrent classes."""
    return _stationary(walked, kernel, initial)


@quickly_compiled
def visitation_law(
    kernel: Float[Array, "S S"],
    initial: Float[Array, "S"],
    discount: Float[Array, ""],
    known: Mixing,
    walked: Laws,
    system: System,
) -> Float[Array, "S"]:
    """d = (1−γ) η (I − γP)⁻¹."""
    return _visitation((known.fast, walked.visitation, system), kernel, initial, discount)


@quickly_compiled
def state_values(
    kernel: Float[Array, "S S"], reward: Float[Array, "S"], discount: Float[Array, ""], known: Mixing, system: System
) -> Values:
    """V = (I − γP)⁻¹ r."""
    return _values((known, system), kernel, reward, discount)


@quickly_compiled
def action_advantages(
    transition: Float[Array, "S A S"],
    reward: Float[Array, "S A"],
    values: Values,
    discount: Float[Array, ""],
    known: Mixing,
) -> Float[Array, "S A"]:
    """A = Q − V."""
    return _advantages(known.fast, transition, reward, values, discount)


# Each of them: the derivative's source, and a value from what is known and the source's arguments.

_pick_law = either(lambda found, kernel, initial: found, lambda found, kernel, initial: long_run_law(kernel, initial))
_stationary = derived_from(long_run_law, lambda walked, *chain: _pick_law(walked.even, walked.stationary, *chain))

_pick_visits = either(
    lambda found, system, initial, discount: found,
    lambda found, system, initial, discount: visits(system, initial, discount),
)
_visitation = derived_from(
    lambda kernel, initial, discount: visits(factored(kernel, discount), initial, discount),
    lambda known, kernel, initial, discount: _pick_visits(*known, initial, discount),
)

_pick_values = either(
    lambda known, system, kernel, reward, discount: walked_values(kernel, reward, discount, known),
    lambda known, system, kernel, reward, discount: discounted_values(system, reward, discount),
)
_values = derived_from(
    lambda kernel, reward, discount: discounted_values(factored(kernel, discount), reward, discount),
    lambda known, *given: _pick_values(known[0].fast, *known, *given),
)

_advantages = derived_from(advantages, either(walked_advantages, advantages))
