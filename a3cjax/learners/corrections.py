"""Weights for data that an older policy has sampled, made of the ratio ρ = π_{θ_k}(a|s) / μ(a|s).

θ_k are the server's parameters, at which the gradient is taken, and μ = π_{θ_{k−τ}} drew the action. For any f,
E_{a~μ}[ρ f(s,a)] = E_{a~π_{θ_k}}[f(s,a)]: the untruncated ratio corrects the law of the action, and leaves that of the
state. A bound on it trades bias for variance:

- "truncated", min(ρ, C), Ionides 2008;
- "vtrace", min(ρ̄, ρ), and along a rollout traces of min(c̄, ρ), Espeholt et al. 2018 (arXiv:1802.01561);
- "masked", ρ inside [low, high] and 0 outside;
- "decoupled", (π_prox/μ) min(u A, clip(u, 1 ± ε) A) with u = π/π_prox, Hilton et al. 2022 (arXiv:2110.00641): needs
  several steps an update.
"""

from typing import Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax._core.tree import pytree
from a3cjax._xla.marks import staged

Gradient = Literal["stale", "fresh"]
CorrectionName = Literal["vtrace", "truncated", "masked", "decoupled"]


@pytree
class Truncated:
    """min(ρ, C)."""

    clip: Float[Array, "*B"]

    of: ClassVar[dict[str, float]] = {"clip": 2.0}

    def weight(self, ratio: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """Of each ratio."""
        return at_most(ratio, self.clip)


@pytree
class VTrace:
    """min(ρ̄, ρ), and min(c̄, ρ) for what is traced back."""

    clip: Float[Array, "*B"]
    trace_clip: Float[Array, "*B"]

    of: ClassVar[dict[str, float]] = {"clip": 1.0, "trace_clip": 1.0}

    def weight(self, ratio: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """min(ρ̄, ρ)."""
        return at_most(ratio, self.clip)


@pytree
class Masked:
    """ρ if low ≤ ρ ≤ high, else 0."""

    mask: tuple[Float[Array, "*B"], Float[Array, "*B"]]

    of: ClassVar[dict[str, tuple[float, float]]] = {"mask": (0.5, 5.0)}

    def weight(self, ratio: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """Of each ratio."""
        return _inside(ratio, *self.mask)


@pytree
class Decoupled:
    """How far from 1 the ratio u = π/π_prox may go before it is no more rewarded for it."""

    ratio_clip: Float[Array, "*B"]

    of: ClassVar[dict[str, float]] = {"ratio_clip": 0.2}

    def surrogate(self, ratio: Float[Array, "*n"], advantage: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """min(u A, clip(u, 1 ± ε) A)."""
        kept = jnp.clip(ratio, 1 - self.ratio_clip, 1 + self.ratio_clip)
        return jnp.minimum(ratio * advantage, kept * advantage)


CORRECTIONS: dict[str, Any] = {"vtrace": VTrace, "truncated": Truncated, "masked": Masked, "decoupled": Decoupled}


def correction_of(gradient: Any, name: Any, thresholds: dict[str, Any]) -> Any:
    """The correction of that name with its thresholds, of which None stands for the usual; None for no correction.

    Raises:
        ValueError: if it would have no effect, or a threshold is of another correction or outside its range.
    """
    check.choice("gradient", gradient, ("stale", "fresh"))
    if name is not None:
        check.choice("correction", name, tuple(CORRECTIONS))
    kind = None if name is None else CORRECTIONS[name]
    if kind is not None and gradient == "stale":
        raise ValueError(
            f"correction is {name!r}, but gradient is 'stale': it is taken at the parameters whose policy drew the "
            "sample, so that every ratio is 1; use gradient='fresh', or leave the correction out."
        )
    for threshold, value in thresholds.items():
        if value is not None and (kind is None or threshold not in kind.of):
            owners = " or ".join(repr(other) for other, its in CORRECTIONS.items() if threshold in its.of)
            raise ValueError(
                f"{threshold} is {value!r}, but correction is {name!r}, which has none; leave it out, or use "
                f"correction {owners}."
            )
    if kind is None:
        return None
    given = {key: usual if thresholds.get(key) is None else thresholds[key] for key, usual in kind.of.items()}
    return kind(**{key: _mask(value) if key == "mask" else _threshold(key, value) for key, value in given.items()})


@staged
def at_most(ratio: Float[Array, "*n"], bound: Float[Array, ""]) -> Float[Array, "*n"]:
    """min(ρ, bound); NaN stays."""
    return jnp.where(ratio > bound, bound, ratio)


@staged
def _inside(ratio: Float[Array, "*n"], low: Float[Array, ""], high: Float[Array, ""]) -> Float[Array, "*n"]:
    return jnp.where((ratio < low) | (ratio > high), 0, ratio)


def _threshold(name: str, value: ArrayLike) -> Array:
    """A positive number, which may be infinite: no bound."""
    array = check.run_scalar(name, _numbers(name, value))
    if name == "ratio_clip":
        check.number(name, array, above=0)
    elif check.is_concrete(array) and not (np.asarray(array) > 0).all():
        where = tuple(int(i) for i in np.argwhere(~(np.asarray(array) > 0))[0])
        raise ValueError(
            f"{name}{check.index(where)} is {np.asarray(array)[where]:g}, but must be greater than 0; jnp.inf leaves "
            "the ratio as it is."
        )
    return array


def _mask(value: Any) -> tuple[Array, Array]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"mask is {value!r}, but must be a pair (low, high); outside it a weight is 0.")
    low, high = (check.run_scalar(f"mask[{i}]", _numbers(f"mask[{i}]", bound)) for i, bound in enumerate(value))
    if not check.is_concrete(low, high):
        return low, high
    check.number("mask[0]", low, least=0)
    bounds = np.asarray(low), np.asarray(high)
    if low.ndim and high.ndim and low.shape != high.shape:
        raise ValueError(f"mask has {low.shape[0]} low bounds and {high.shape[0]} high ones; give as many of both.")
    if not (bounds[0] < bounds[1]).all():
        raise ValueError(f"mask is {value!r}, but its low bound must be below its high one.")
    return low, high


def _numbers(name: str, value: Any) -> Any:
    if check.is_concrete(value):
        try:
            np.asarray(value, np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} must be a number, but is {value!r}.") from error
    return value
