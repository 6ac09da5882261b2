"""Rules by name: what each operation of a run's program does to entries of lanes (``lane_values.py``)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from a3cjax._xla.lane_values import MOST_IN_REGISTERS, Entry, Index, Long, Value, entries_of

Rule = Callable[..., Any]
MOST_UNROLLED = 1024  # operations written out for one of the program's

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """The function is the rule for operations of these names."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def made(shape: Sequence[int], dtype: Any, read: Callable[[Index], Entry], part_of: Value = None) -> Value:
    """The array of entries ``read(index)``: at once if they are few, else when they are asked for.

    ``part_of``: of what it is a part, which may be costly.
    """
    costly = isinstance(part_of, Long) and part_of.costly
    whole = Long(shape, dtype, read, costly)
    return entries_of(whole) if math.prod(shape) <= (1 if costly else MOST_IN_REGISTERS) else whole
