"""Whether an environment keeps its contract."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from a3cjax._xla.compiler import quickly_compiled
from a3cjax.environments.adopted import (
    OpaqueEnvironment,
    action_like,
    adopted,
    check_space,
    name_of,
    shapes_of,
    stepped,
)

_ALONE = 4  # steps that are also taken one by one


def check_environment(
    environment: Any, *, num_steps: int = 256, key: Any = None, tolerance: float = 1e-4
) -> tuple[str, ...]:
    """Act at random in an environment for a while, restarting it where an episode ends, and look at what comes.

    1. "pytree": JAX takes it apart and puts it together again; left out for one that JAX cannot look inside.
    2. "spaces": it has ``num_actions`` or ``action_size``.
    3. "shapes": states and observations stay what ``reset`` made them; rewards and ends are one number each.
    4. "finite": observations and rewards are finite numbers.
    5. "ends": where ``endless`` is False, no episode is truncated and one is terminated; left out otherwise.
    6. "pure": ``reset`` and ``step`` give the same for the same, compiled or not.
    7. "batch": several at once are each alone.

    Args:
        environment: an ``AbstractEnvironment``, or a class with its two methods.
        num_steps: how many to take, at least 4.
        key: of all randomness; ``jax.random.key(0)`` if not given.
        tolerance: how far numbers may be apart, absolutely and relatively, where compilers round otherwise.

    Returns:
        What was checked, by the names above.

    Raises:
        ValueError: at the first promise that is not kept.

    >>> import a3cjax
    >>> a3cjax.testing.check_environment(a3cjax.environments.Pendulum())
    ('pytree', 'spaces', 'shapes', 'finite', 'pure', 'batch')
    """
    if num_steps < _ALONE:
        raise ValueError(f"num_steps is {num_steps}, but must be at least {_ALONE}.")
    environment = adopted(environment)  # refuses spaces and shapes in a sentence
    check = _Check(environment, num_steps, jax.random.key(0) if key is None else key, tolerance)
    looks = {
        "pytree": check.pytree,
        "spaces": lambda: check_space(environment),
        "shapes": lambda: shapes_of(environment),
        "finite": check.finite,
        "ends": check.ends,
        "pure": check.pure,
        "batch": check.batch,
    }
    return tuple(name for name, look in looks.items() if look() is not False)


class _Seen(NamedTuple):
    observation: Any
    next_observation: Any
    reward: Any
    terminated: Any
    truncated: Any


class _Check:
    """The environment, and what it does when it is acted in at random."""

    def __init__(self, environment: Any, num_steps: int, key: Any, tolerance: float) -> None:
        self.environment, self.tolerance = environment, tolerance
        self.keys = jax.random.split(key, num_steps)
        self.run = quickly_compiled(self._walk)(self.keys)

    def pytree(self) -> Any:
        """Taken apart and put together."""
        if isinstance(self.environment, OpaqueEnvironment):
            return False
        leaves, structure = jax.tree.flatten(self.environment)
        again = jax.tree.structure(jax.tree.unflatten(structure, leaves))
        if again != structure:
            self._complain("pytree", f"flattened, rebuilt and flattened again it is {again}, but was {structure}")
        return True

    def pure(self) -> None:
        """The first steps once more, without compiling them."""
        at = self._begun(self.keys[0])
        for i, key in enumerate(self.keys[:_ALONE]):
            at, seen = self._take(at, key)
            expected = jax.tree.map(lambda leaf, i=i: leaf[i], self.run)
            self._same("pure", seen, expected, f"step {i}, taken again with the same keys,")

    def batch(self) -> None:
        """Three walks together."""
        keys = jnp.stack([self.keys, self.keys[::-1], self.keys])
        together = quickly_compiled(jax.vmap(self._walk))(keys)
        self._same("batch", jax.tree.map(lambda leaf: leaf[2], together), self.run, "one of a batch, beside it alone,")

    def finite(self) -> None:
        """Every number."""
        seen = {"observation": self.run.observation, "reward": self.run.reward}
        for path, leaf in jax.tree_util.tree_leaves_with_path(seen):
            values = np.asarray(leaf)
            bad = ~np.isfinite(values) if jnp.issubdtype(leaf.dtype, jnp.inexact) else np.zeros(values.shape, bool)
            if bad.any():
                where = tuple(int(i) for i in np.argwhere(bad)[0])
                what = jax.tree_util.keystr(path, simple=True, separator=".")
                self._complain("finite", f"{what} is {values[where]} at step {where[0]}, but must be a finite number")

    def ends(self) -> Any:
        """Whether episodes end as they promise."""
        if self.environment.endless:
            return False
        terminated, truncated = np.asarray(self.run.terminated), np.asarray(self.run.truncated)
        if (truncated & ~terminated).any():
            step = int(np.argmax(truncated & ~terminated))
            self._complain("ends", f"endless is False, but step {step} truncates an episode, which goes on unseen")
        if not terminated.any():
            self._complain(
                "ends", f"endless is False, but none of {len(terminated)} steps terminates an episode; take more steps"
            )
        return True

    def _walk(self, keys: Any) -> Any:
        """Observations, rewards and ends of a walk with an action and a restart from each key."""
        return lax.scan(self._take, self._begun(keys[0]), keys)[1]

    def _begun(self, key: Any) -> Any:
        return self.environment.reset(jax.random.fold_in(key, 0))

    def _take(self, at: Any, key: Any) -> tuple[Any, Any]:
        reset_key, act_key, step_key = (jax.random.fold_in(key, i) for i in range(3))
        like = action_like(self.environment)
        if jnp.issubdtype(like.dtype, jnp.integer):
            action = jax.random.randint(act_key, (), 0, self.environment.num_actions, like.dtype)
        else:
            action = jax.random.normal(act_key, like.shape, like.dtype)
        step = stepped(self.environment, step_key, at[0], action)
        ended = step.terminated | step.truncated
        fresh = self.environment.reset(reset_key)
        following = jax.tree.map(lambda x, y: jnp.where(ended, x, y), fresh, (step.state, step.observation))
        return following, _Seen(at[1], step.observation, step.reward, step.terminated, step.truncated)

    def _same(self, name: str, found: Any, expected: Any, what: str) -> None:
        for (path, want), got in zip(
            jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(found), strict=True
        ):
            got, want = np.asarray(got), np.asarray(want)
            if not np.allclose(got, want, self.tolerance, self.tolerance, equal_nan=True):
                where = path[0].name
                apart = np.max(np.abs(got.astype(float) - want.astype(float)))
                self._complain(name, f"{what} gives another {where}: they are {apart:.3g} apart")

    def _complain(self, name: str, found: str) -> None:
        raise ValueError(f"{name_of(self.environment)} does not keep the contract of an environment ({name}): {found}.")
