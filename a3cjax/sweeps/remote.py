"""What runs in another process, which may know nothing of JAX yet: so little is imported here."""

import os
import time
from typing import Any

_jobs: dict[str, Any] = {}  # of this process, so that a job's programs are compiled once


def settings_here() -> dict[str, Any]:
    """What a worker has to have in common with the driver beside the job: JAX's precision."""
    import jax

    return {"jax_enable_x64": jax.numpy.result_type(float).name == "float64"}


def make(job: list[Any], name: str, block: tuple[int, int], cores: int, settings: dict[str, Any]) -> Any:
    """Make a block on so many cores; its arrays, and the seconds that it took.

    Args:
        job: a list with a reference to the job, which is fetched the first time.
        name: of that job.
        block: where it starts and stops.
        cores: that it may keep busy.
        settings: of JAX.
    """
    os.environ["NPROC"] = str(cores)  # how many threads XLA's compiler and programs have; read when JAX starts
    import jax

    from a3cjax._xla import compilation_cache
    from a3cjax.engine.tiles import at_most_cores

    for key, value in settings.items():
        jax.config.update(key, value)
    with compilation_cache.of_commands(), at_most_cores(cores):
        if name not in _jobs:
            import ray  # pyright: ignore[reportMissingImports]  # an extra

            _jobs.clear()
            _jobs[name] = ray.get(job[0])
            _check_same(_jobs[name].options)
        began = time.monotonic()
        arrays = _jobs[name].make(*block)
        return arrays, time.monotonic() - began


def _check_same(options: Any) -> None:
    """Refuse to make what would have other bits than the driver's own."""
    import platform

    from a3cjax.sweeps.fingerprint import versions_and_platform

    for name, here in versions_and_platform().items():
        if options.get(name, here) != here:
            raise ValueError(
                f"The worker on {platform.node()} has another {name} ({here}, not {options[name]}); give all machines "
                "the same one, or bits would depend on who makes a block."
            )
