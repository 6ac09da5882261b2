"""What a simulation was asked for, in words and numbers that a file can hold."""

import functools
import importlib.metadata
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from a3cjax._core.text import text_of
from a3cjax.engine.runs import key_words, paths, run_axes
from a3cjax.engine.typed_keys import words
from a3cjax.learners.wrapped import unwrapped
from a3cjax.schedules import Schedule

_LONGEST = 4000  # characters of a learner's description: attributes of files are short


def asked(
    learner: Any, schedule: Schedule, key: Any, metrics: tuple[tuple[str, Any], ...], **options: Any
) -> dict[str, Any]:
    """See ``Result.asked``."""
    text = text_of(unwrapped(learner))
    leaves = zip(paths(unwrapped(learner)), jax.tree.leaves(learner), run_axes(learner), strict=True)
    return {
        "learner": text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …",
        "schedule": _summary(schedule),
        "key": np.asarray(key_words(key)).tolist(),
        "by_run": {name: np.asarray(words(leaf)).tolist() for name, leaf, axis in leaves if axis == 0},
        "metrics": [name for name, _ in metrics],
        **options,
        "versions": dict(versions()),
    }


def remember(result: Any, asked: Callable[[], dict[str, Any]] | dict[str, Any], runs: Any = None) -> None:
    """Beside a result's fields, for as fields they would make pytrees of two kinds of results of two learners."""
    object.__setattr__(result, "_asked", asked)
    object.__setattr__(result, "_runs", runs)


@functools.cache
def versions() -> tuple[tuple[str, str], ...]:
    """Of this package and of JAX, by name."""
    return tuple((name, importlib.metadata.version(name)) for name in ("a3cjax", "jax"))


def _summary(schedule: Schedule) -> str:
    mean, most = np.mean(schedule.mean_delay), np.max(schedule.max_delay)
    return f"{schedule!r}, mean delay {mean:.6g}, greatest {most}"
