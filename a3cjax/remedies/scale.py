"""Steps that shrink with the delay."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from a3cjax._core import check
from a3cjax.remedies.rule import rule as rule_of
from a3cjax.remedies.rule import scaled

Name = Literal["inverse", "threshold", "polynomial", "hinge", "adadelay"]


class CountState(NamedTuple):
    """Updates so far."""

    updates: Int[Array, ""]


def scale_by_delay(rule: Name | Callable[[Any], Any], **parameters: Any) -> optax.GradientTransformationExtraArgs:
    """g ← s(τ) g, with a factor that is a function of the delay τ alone, or of one of these names:

    - "inverse": s = 1 / max(τ, 1). Zhang, Gupta, Lian, Liu 2015, arXiv:1511.05950.
    - "threshold": s = 1 if τ ≤ ``threshold``, else min(1, ``ceiling`` / τ). With N workers and threshold N, and the
      ceiling left out, which then is the threshold, it is N / max(N, τ), the steps of Mishchenko, Bach, Even, Woodworth
      2022, arXiv:2206.07638. With threshold τ_C and ceiling 1/(4Lη), for steps η and gradients of Lipschitz constant L,
      it is that of Koloskova, Stich, Jaggi 2022, arXiv:2206.08307; to drop instead is ``drop_above(τ_C)``.
    - "polynomial": s = (1 + τ)^(−``exponent``), ½ if not given. FedAsync, Xie, Koyejo, Gupta 2019, arXiv:1903.03934.
    - "hinge": s = 1 if τ ≤ ``threshold``, else 1 / (``slope`` (τ − ``threshold``) + 1). FedAsync.
    - "adadelay": s = 1 / √(k + τ) at update k = 1, 2, …, the decay of AdaDelay's steps, Sra, Yu, Li, Smola 2015,
      arXiv:1508.05003, which is 1/√k without delay.

    All others are 1 without delay.

    Args:
        rule: one of the names, or a function of τ, a whole number, that gives one number.
        parameters: those of the named rule, and of no other; numbers, which may be traced.

    Raises:
        ValueError: if the rule is neither, a parameter is not one of its own, is missing or is outside its range; on
            ``update`` without ``delay``.

    >>> import a3cjax, jax.numpy as jnp
    >>> rule = a3cjax.remedies.scale_by_delay("inverse")
    >>> gradient = jnp.array([4.0, 8.0])
    >>> changes, _ = rule.update(gradient, rule.init(gradient), delay=jnp.int32(4))
    >>> changes.tolist()
    [1.0, 2.0]
    """
    factor = _factor(rule, parameters)
    if rule == "adadelay":

        def with_count(updates, state, delay):
            return scaled(updates, factor(_float(delay) + _float(state.updates) + 1)), CountState(state.updates + 1)

        return rule_of("scale_by_delay", ("delay",), with_count, lambda params: CountState(jnp.int32(0)))

    def update(updates, state, delay):
        return scaled(updates, factor(delay)), state

    return rule_of("scale_by_delay", ("delay",), update)


def _factor(rule: Any, parameters: dict[str, Any]) -> Callable[[Any], Any]:
    if callable(rule):
        if parameters:
            raise ValueError(
                f"{next(iter(parameters))} is given, but rule is a function, which has its parameters in itself; leave "
                "it out, or use functools.partial."
            )
        shape = check.traceable("rule", lambda: jax.eval_shape(rule, jnp.int32(0)), "use jnp.where in place of if")
        if getattr(shape, "shape", ()) != ():
            raise ValueError(f"rule(0) has shape {shape.shape}, but a rule must give one number.")
        return rule
    check.choice("rule", rule, tuple(_RULES))
    function = _RULES[rule]
    known = list(inspect.signature(function).parameters.values())[1:]
    for name, value in parameters.items():
        if name not in [one.name for one in known]:
            takes = " and ".join(one.name for one in known) or "no parameters"
            raise ValueError(f"{name} is given, but the rule {rule!r} takes {takes}; leave it out.")
        if value is not None:
            check.number(name, value, **_BOUNDS[name])
    for one in known:
        if one.default is inspect.Parameter.empty and one.name not in parameters:
            raise ValueError(f"the rule {rule!r} needs {one.name}; give {one.name}=….")
    return functools.partial(function, **parameters)


def _float(delay: Any) -> Float[Array, ""]:
    return jnp.asarray(delay, jnp.result_type(float))


def _inverse(delay: Any) -> Any:
    return 1 / jnp.maximum(_float(delay), 1)


def _threshold(delay: Any, threshold: Any, ceiling: Any = None) -> Any:
    delay = _float(delay)
    ceiling = threshold if ceiling is None else ceiling
    return jnp.where(delay <= threshold, 1, jnp.minimum(1, ceiling / jnp.maximum(delay, 1)))


def _polynomial(delay: Any, exponent: Any = 0.5) -> Any:
    return (1 + _float(delay)) ** jnp.negative(jnp.asarray(exponent, jnp.result_type(float)))


def _hinge(delay: Any, slope: Any, threshold: Any) -> Any:
    return 1 / (slope * jnp.maximum(_float(delay) - threshold, 0) + 1)


def _adadelay(count: Any) -> Any:
    return 1 / jnp.sqrt(count)


_RULES: dict[str, Callable[..., Any]] = {
    "inverse": _inverse,
    "threshold": _threshold,
    "polynomial": _polynomial,
    "hinge": _hinge,
    "adadelay": _adadelay,
}
_BOUNDS: dict[str, dict[str, float]] = {
    "threshold": {"least": 0},
    "ceiling": {"above": 0},
    "exponent": {"least": 0},
    "slope": {"least": 0},
}
