"""The laws that a sweep knows by name: each from one number of updates."""

from collections.abc import Callable
from typing import Literal

from a3cjax._core import check
from a3cjax.schedules import delays as d
from a3cjax.schedules.delays import DelayLaw

DelayIs = Literal["mean", "maximum"]

# A law with a given mean, and one with a given maximum where there is one.
LAWS: dict[str, dict[DelayIs, Callable[[int], DelayLaw]]] = {
    "constant": {"mean": d.Constant, "maximum": d.Constant},
    "uniform": {"mean": lambda m: d.Uniform(0, 2 * m), "maximum": lambda m: d.Uniform(0, m)},
    "geometric": {"mean": d.Geometric},
    "poisson": {"mean": d.Poisson},
    "sawtooth": {
        "mean": lambda m: d.Cyclic(list(range(2 * m + 1))),
        "maximum": lambda m: d.Cyclic(list(range(m + 1))),
    },
    "zipf": {"maximum": lambda m: d.Zipf(1.0, m) if m else d.Constant(0)},
}


def find_law(name: str, delay_is: DelayIs) -> Callable[[int], DelayLaw]:
    """From a delay to the law of that name whose mean, or maximum, it is.

    Raises:
        ValueError: if there is no such law.

    >>> int(find_law("uniform", "mean")(3).high)
    6
    """
    check.choice("delay_is", delay_is, ("mean", "maximum"))
    check.choice("laws", name, tuple(LAWS))
    if delay_is not in LAWS[name]:
        able = [law for law, ways in LAWS.items() if delay_is in ways]
        raise ValueError(
            f"The {name} law has no {delay_is} to choose; with delay_is={delay_is!r} use {', '.join(able)}."
        )
    return LAWS[name][delay_is]
