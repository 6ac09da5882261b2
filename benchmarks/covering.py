"""Few combinations of options that hold every pair of values, or every three: what is refused stays out.

A greedy cover: each row begins with a tuple of values that no row holds yet, and takes of every other option that value
which covers most of what is left.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Options = Mapping[str, Sequence[Any]]
Combination = dict[str, Any]
Part = tuple[tuple[str, Any], ...]  # some options' values, in the options' order


def parts(options: Options, strength: int) -> list[Part]:
    """All tuples of ``strength`` options' values."""
    found: list[Part] = []
    for names in itertools.combinations(options, strength):
        for values in itertools.product(*(options[name] for name in names)):
            found.append(tuple(zip(names, values, strict=True)))
    return found


def covering(
    options: Options, strength: int, refusal: Callable[[Combination], str | None], start: Combination
) -> tuple[list[Combination], dict[Part, str]]:
    """Rows that hold each tuple of ``strength`` values that some accepted row can hold, and the tuples that none can.

    A tuple is given up if it is refused with all other options as they are in ``start`` and with any one of those
    changed; it stands beside the first sentence that refused it. ``refusal`` says why a combination is, or None.
    """
    rng = random.Random(0)
    left = dict.fromkeys(parts(options, strength))
    rows: list[Combination] = []
    given_up: dict[Part, str] = {}
    while left:
        part = next(iter(left))
        row, why = _accepted(options, part, refusal, start)
        if row is None:
            given_up[part] = why
            del left[part]
            continue
        fixed = {name for name, _ in part}
        rest = [name for name in options if name not in fixed]
        rng.shuffle(rest)
        for name in rest:
            row = _best(options, strength, row, fixed, name, left, refusal, rng)
            fixed.add(name)
        rows.append(row)
        for names in itertools.combinations(options, strength):
            left.pop(tuple((name, row[name]) for name in names), None)
    return rows, given_up


def neighbours(options: Options, row: Combination) -> Iterator[Combination]:
    """The combinations that differ from it in one option."""
    for name, values in options.items():
        yield from (row | {name: value} for value in values if value != row[name])


def _accepted(
    options: Options, part: Part, refusal: Callable[[Combination], str | None], start: Combination
) -> tuple[Combination | None, str]:
    row = start | dict(part)
    why = refusal(row)
    if why is None:
        return row, ""
    kept = dict(part)
    for other in neighbours(options, row):
        if all(other[name] == value for name, value in kept.items()) and refusal(other) is None:
            return other, ""
    return None, why


def _best(
    options: Options,
    strength: int,
    row: Combination,
    fixed: set[str],
    name: str,
    left: Mapping[Part, None],
    refusal: Callable[[Combination], str | None],
    rng: random.Random,
) -> Combination:
    """The row with that value of an option that covers most, if it is accepted, else the next."""
    order = {option: place for place, option in enumerate(options)}
    beside = list(itertools.combinations(sorted(fixed, key=order.__getitem__), strength - 1))

    def gain(value: Any) -> int:
        held = row | {name: value}
        names = (sorted((*others, name), key=order.__getitem__) for others in beside)
        return sum(tuple((option, held[option]) for option in some) in left for some in names)

    gains = [(gain(value), rng.random(), value) for value in options[name]]
    for _, _, value in sorted(gains, key=lambda one: one[:2], reverse=True):
        if value == row[name] or refusal(row | {name: value}) is None:
            return row | {name: value}
    return row
