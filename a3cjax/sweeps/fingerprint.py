"""What bits depend on beside a study's options: the platform, and the versions of what makes them."""

import platform
from typing import Any

import a3cjax


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
