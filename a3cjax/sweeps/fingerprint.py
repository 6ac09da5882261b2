"""What bits depend on beside a study's options, and whether what is kept was made with the same ones."""

import json
import platform
from collections.abc import Mapping
from typing import Any

import a3cjax

_DIGESTS = "learner", "batch "  # options that only a digest is known of


def versions_and_platform() -> dict[str, Any]:
    """By name, in values that JSON has.

    >>> versions_and_platform()["platform"]
    'cpu'
    """
    import importlib.metadata

    import jax

    versions = {"python": platform.python_version(), "a3cjax": a3cjax.__version__}
    versions |= {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")}
    return {
        "platform": jax.default_backend(), "precision": jax.numpy.result_type(float).name,
        **{f"version of {name}": version for name, version in versions.items()},
    }  # fmt: skip


def other_option(ours: Mapping[str, Any], kept: Mapping[str, Any]) -> str | None:
    """The first option, by name, in which those of what is kept are not ours, with both values; None if all are.

    A word of the command says more than a digest of what was made with it, which comes last and without its values.

    >>> other_option({"seed": 1, "learner": "8f"}, {"seed": 0, "learner": "2a"})
    'seed (0, not 1)'
    >>> other_option({"seed": 1, "learner": "8f"}, {"seed": 1, "learner": "2a"})
    'learner'
    """
    for name in sorted(ours.keys() | kept.keys(), key=lambda name: (name.startswith(_DIGESTS), name)):
        mine, theirs = json.dumps(ours.get(name)), json.dumps(kept.get(name))  # as text: NaN is NaN
        if mine != theirs:
            return name if name.startswith(_DIGESTS) else f"{name} ({_brief(theirs)}, not {_brief(mine)})"
    return None


def _brief(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
