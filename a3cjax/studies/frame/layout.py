"""How a study lays out its runs: the numbers that name them, their keys, their schedules."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from a3cjax._core import check
from a3cjax.learners.sampling import SAMPLERS
from a3cjax.schedules import Schedule
from a3cjax.schedules.compute_times import ComputeTime

Team = Callable[[int], Sequence[ComputeTime]]


def distinct_workers(workers: Sequence[int], least: int = 1) -> tuple[int, ...]:
    """Numbers of workers in ascending order; none at all, or one twice, is refused.

    >>> distinct_workers([4, 1])
    (1, 4)
    """
    numbers = tuple(check.integer(f"workers[{i}]", n, least) for i, n in enumerate(workers))
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"workers is {list(numbers)}; give one or more numbers of workers, each once.")
    return tuple(sorted(numbers))


def distinct_samplings(sampling: Sequence[str]) -> tuple[str, ...]:
    """Names of sampling options; none at all, or one twice, is refused.

    >>> distinct_samplings("iid")
    ('iid',)
    """
    names = (sampling,) if isinstance(sampling, str) else tuple(sampling)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"sampling is {list(names)}; give one or more of {list(SAMPLERS)}, each once.")
    for i, name in enumerate(names):
        check.choice(f"sampling[{i}]", name, tuple(SAMPLERS))
    return names


def seed_keys(key: jax.Array, group: int, seeds: int) -> jax.Array:
    """A key for each seed of a group of runs, [seeds]; the n-th is the same however many seeds there are."""
    own = jax.random.fold_in(key, group)
    return jax.vmap(lambda s: jax.random.fold_in(own, s))(jnp.arange(seeds))


def worker_schedules(key: jax.Array, team: Team, workers: Sequence[int], seeds: int, num_updates: int) -> Schedule:
    """Every seed's schedule of ``from_workers`` for every N, one batch [N × seeds, K]."""
    batches = []
    for n in workers:
        laws = list(team(n))
        if len(laws) != n:
            raise ValueError(f"compute_times({n}) gave {len(laws)} laws, but must give one for each of {n} workers.")
        draw = jax.vmap(lambda own, laws=laws: Schedule.from_workers(own, laws, num_updates))
        batch = draw(seed_keys(key, n, seeds))
        batches.append([np.asarray(column) for column in (batch.worker, batch.delay, batch.time)])
    columns = [np.concatenate(column) for column in zip(*batches, strict=True)]
    return Schedule(*columns, num_workers=max(workers))
