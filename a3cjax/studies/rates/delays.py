"""Maximal delays K_0 that are given, or grow with the number of updates K, and what the theorems promise for them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.schedules import Schedule
from a3cjax.schedules import delays as laws
from a3cjax.studies.frame.runs import seed_keys

DELAYS = ("0", "K^1/5", "K^2/5", "K^1/2")

_RATE = Fraction(-2, 5)
_POWER = re.compile(r"K\^(\d+/[1-9]\d*|\d*\.?\d+)")


@dataclass(frozen=True)
class MaximalDelay:
    """K_0 = ⌈K^exponent⌉, or with ``exponent`` 0 the number ``value`` whatever K is."""

    label: str
    exponent: Fraction
    value: int = 0

    @classmethod
    def parse(cls, name: str, text: str | int) -> "MaximalDelay":
        """Read "0", "16" or 16, "K^1/5" or "K^0.2"; ``name`` is the argument's, for the complaint.

        >>> MaximalDelay.parse("delays[0]", "K^1/5").at(100_000)
        10
        """
        if isinstance(text, str) and (found := _POWER.fullmatch(text)):
            exponent = Fraction(found[1])
            if not 0 < exponent < 1:
                raise ValueError(f"{name} is {text!r}, but the exponent must lie between 0 and 1.")
            return cls(text, exponent)
        if isinstance(text, str) and not text.isdecimal():
            raise ValueError(f"{name} is {text!r}, but must be a whole number or a power of K such as 'K^1/5'.")
        value = check.integer(name, int(text) if isinstance(text, str) else text, 0)
        return cls(str(value), Fraction(0), value)

    def at(self, num_updates: int) -> int:
        """K_0 for K updates."""
        if not self.exponent:
            return self.value
        power = num_updates ** float(self.exponent)
        # 100000^(1/5) is 10, and a rounding above it must not become 11.
        return round(power) if math.isclose(power, round(power), rel_tol=1e-9) else math.ceil(power)

    def bound(self, sampling: str) -> Fraction:
        """The exponent of K in the theorems' bound on the averages, but for logarithms; ε_app aside.

        Theorems 1 and 2, i.i.d.: K_0² K^(−4/5) + K_0 K^(−3/5) + K^(−2/5). Theorems 3 and 4, Markovian:
        K_0² K^(−3/5) log² K + K_0 K^(−2/5) log K + K^(−2/5). The largest term counts.

        >>> delay = MaximalDelay.parse("delays[0]", "K^1/5")
        >>> str(delay.bound("iid")), str(delay.bound("markov"))
        ('-2/5', '-1/5')
        """
        if not self.exponent and not self.value:
            return _RATE
        square, product = {"iid": (-4, -3), "markov": (-3, -2)}[sampling]
        return max(2 * self.exponent + Fraction(square, 5), self.exponent + Fraction(product, 5), _RATE)


def maximal_delays(delays: Sequence[str | int]) -> tuple[MaximalDelay, ...]:
    """Those that are given as text or numbers, each once."""
    found = tuple(MaximalDelay.parse(f"delays[{i}]", text) for i, text in enumerate(delays))
    if not found or len({delay.label for delay in found}) < len(found):
        raise ValueError(f"delays is {list(delays)}; give one or more, each once.")
    return found


def draw_schedules(key: jax.Array, law: str, longest: Sequence[int], seeds: int, num_updates: int) -> Schedule:
    """One schedule for each delay and seed, a batch [delays × seeds, K]."""
    keys = jnp.tile(seed_keys(key, num_updates, seeds), len(longest))
    high = jnp.repeat(jnp.asarray(longest), seeds)

    def one(run_key, high):
        return Schedule.from_law(
            run_key, laws.Constant(high) if law == "constant" else laws.Uniform(0, high), num_updates
        )

    return jax.tree.map(np.asarray, jax.vmap(one)(keys, high))
