"""What the study compares: remedies, sources of delays, and problems with a learner that takes a remedy."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax
from jax.tree_util import Partial

from a3cjax import remedies
from a3cjax._core.interning import interned
from a3cjax.schedules import Schedule

Draw = Callable[[jax.Array, int], Schedule]


class Delays(NamedTuple):
    """What a remedy is told of the schedules that it meets: ``mean`` for each run [B], and ``greatest`` of all."""

    mean: np.ndarray
    greatest: int


class Remedy(NamedTuple):
    """A rule, and the numbers that it takes.

    ``make``: gives the transformation, from numbers by name. ``numbers``: these, one for each run [B], from the delays
    and the steps; ``shapes``: what has to be the same for all runs, from the greatest delay. ``on``: whether it works
    on the gradient, or on the change that an optimiser has made of it.
    """

    make: Callable[..., optax.GradientTransformation]
    numbers: Callable[[Delays, np.ndarray], Mapping[str, np.ndarray]] = lambda delays, steps: {}
    shapes: Callable[[int], Mapping[str, Any]] = lambda greatest: {}
    on: Literal["gradient", "change"] = "change"


NONE = "none"

REMEDIES: dict[str, Remedy] = {
    NONE: Remedy(optax.identity),
    "inverse": Remedy(lambda: remedies.scale_by_delay("inverse")),
    "polynomial": Remedy(lambda: remedies.scale_by_delay("polynomial")),
    "threshold": Remedy(
        lambda threshold: remedies.scale_by_delay("threshold", threshold=threshold),
        lambda delays, steps: {"threshold": 1 + delays.mean},
    ),
    "adaptive-window": Remedy(
        lambda max_delay: remedies.adaptive_window(1, max_delay), shapes=lambda greatest: {"max_delay": greatest}
    ),
    "drop-above": Remedy(remedies.drop_above, lambda delays, steps: {"delay": 2 * delays.mean}),
    "drop-far": Remedy(remedies.drop_far, lambda delays, steps: {"distance": steps * np.sqrt(1 + delays.mean) / 4}),
    "compensate": Remedy(remedies.compensate, on="gradient"),
    "gap-aware": Remedy(remedies.gap_aware, lambda delays, steps: {"step": steps}, on="gradient"),
    "clip-by-norm": Remedy(lambda: remedies.clip_by_norm(1.0), on="gradient"),
}


class Chain(NamedTuple):
    """Gives the optimiser of a learner with a remedy: called with the step at factor 1, and what comes before it."""

    remedy: Remedy
    delays: Delays
    factors: np.ndarray

    def __call__(self, step: float, direction: optax.GradientTransformation | None = None) -> Partial:
        """Steps ``step`` × factor along ``direction`` of the gradient, which is the gradient itself if not given."""
        steps = step * self.factors
        shapes = tuple(self.remedy.shapes(self.delays.greatest).items())
        optimizer = _optimizer(self.remedy.make, shapes, self.remedy.on == "gradient", interned(direction))
        return Partial(optimizer, size=steps, **self.remedy.numbers(self.delays, steps))


@functools.cache
def _optimizer(make: Any, shapes: tuple[tuple[str, Any], ...], first: bool, direction: Any) -> Callable[..., Any]:
    """What makes a chain from its numbers: one object for equal chains, so that they share their compiled programs."""
    before = optax.identity() if direction is None else direction

    def optimizer(size, **numbers):
        rule = make(**numbers, **dict(shapes))
        return optax.chain(*((rule, before) if first else (before, rule)), optax.scale_by_learning_rate(size))

    return optimizer


class Problem(NamedTuple):
    """What is to be learned.

    ``build``: the learner, from a ``Chain`` that makes its optimisers. ``num_updates``: K. ``metric``, ``target``,
    ``target_value``: as in the other studies. ``records``: how often the metric is looked at.
    """

    build: Callable[[Chain], Any]
    num_updates: int
    metric: str = "objective"
    target: float = 0.7
    target_value: float | None = None
    records: int = 100

    def plain(self) -> Any:
        """The learner without a remedy, at factor 1."""
        return self.build(Chain(REMEDIES[NONE], Delays(np.zeros(1), 0), np.ones(1)))

    def digest(self) -> str:
        """Of the numbers that the learner holds, its steps among them: a kept study of another one is told by it."""
        known = hashlib.blake2b(digest_size=16)
        for leaf in map(np.asarray, jax.tree.leaves(self.plain())):
            known.update(f"{leaf.dtype}{leaf.shape}".encode() + leaf.tobytes())
        return known.hexdigest()
