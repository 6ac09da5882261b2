"""Gradients that are moved to where they are applied."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from a3cjax._core import check
from a3cjax._xla.marks import rounded
from a3cjax.remedies.rule import rule


class CompensateState(NamedTuple):
    """The running mean of g², entry by entry."""

    mean_square: Any


_LEAST_SQUARE = 1e-7


def compensate(lam: Any = None, adaptive: bool = False, decay: Any = None) -> optax.GradientTransformationExtraArgs:
    """g ← g + λ g ⊙ g ⊙ (θ_k − θ_{k−τ}), a Taylor step in which g ⊙ g stands for the Hessian's diagonal.

    Delay-compensated ASGD, Zheng et al. 2017, arXiv:1609.08326. With ``adaptive`` λ is λ₀ / √(m_k + 10⁻⁷) for each
    entry, m_k = d m_{k−1} + (1 − d) g² with the gradient at hand in it. Nothing changes without delay.

    Args:
        lam: λ, at least 0, the paper's 0.04 if not given; with ``adaptive`` λ₀, the paper's 2.
        adaptive: whether λ is scaled by the size of the gradients.
        decay: d in [0, 1), the paper's 0.95; for ``adaptive`` only.

    Raises:
        ValueError: if a number is outside its range, or ``decay`` would have no effect; on ``update`` without ``stale``
            and ``params``.

    >>> import a3cjax, jax.numpy as jnp
    >>> rule = a3cjax.remedies.compensate(lam=0.5)
    >>> stale, params = jnp.array([0.0, 0.0]), jnp.array([1.0, -1.0])
    >>> rule.update(jnp.array([2.0, 2.0]), rule.init(params), params, stale=stale)[0].tolist()  # 2 ± ½ · 4
    [4.0, 0.0]
    """
    if not isinstance(adaptive, bool):
        raise ValueError(f"adaptive must be True or False, but is {adaptive!r}.")
    if decay is not None and not adaptive:
        raise ValueError(f"decay is {decay!r}, but with adaptive=False there is no running mean; leave it out.")
    lam = (2.0 if adaptive else 0.04) if lam is None else lam
    decay = 0.95 if decay is None else decay
    check.number("lam", lam, least=0)
    check.number("decay", decay, least=0, below=1)

    def moved(gradient, now, then, strength):
        square = rounded(gradient * gradient)
        return gradient + rounded(rounded(strength * square) * (now - then))

    def update(updates, state, stale, params):
        return jax.tree.map(lambda g, now, then: moved(g, now, then, lam), updates, params, stale), state

    def mean(kept, gradient):
        return rounded(decay * kept) + rounded((1 - decay) * rounded(gradient * gradient))

    def update_adaptively(updates, state, stale, params):
        squares = jax.tree.map(mean, state.mean_square, updates)
        changes = jax.tree.map(
            lambda g, now, then, square: moved(g, now, then, lam / jnp.sqrt(square + _LEAST_SQUARE)),
            updates, params, stale, squares,
        )  # fmt: skip
        return changes, CompensateState(squares)

    if adaptive:
        return rule("compensate", ("stale", "params"), update_adaptively, _start)
    return rule("compensate", ("stale", "params"), update)


def _start(params: Any) -> CompensateState:
    return CompensateState(jax.tree.map(jnp.zeros_like, params))
