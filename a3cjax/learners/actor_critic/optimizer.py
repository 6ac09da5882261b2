"""An optimiser from optax, one for all runs or one for each."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import Partial

from a3cjax._core.tree import pytree, static

_REMEDY = (
    "use an optax transformation such as optax.adam(1e-3), or jax.tree_util.Partial(optax.adam, learning_rate=rates) "
    "for one in each run"
)


@pytree
class Fixed:
    """An optimiser that is part of the program."""

    transformation: Any = static()

    def __call__(self) -> Any:
        """The optimiser."""
        return self.transformation


def adopted_optimizer(optimizer: Any, params: Any) -> Any:
    """What gives the optimiser when it is called; ``params`` are shapes that it has to fit.

    Raises:
        ValueError: if it is none, or does not fit.
    """
    if isinstance(optimizer, Partial):
        made = _made(optimizer)
    elif _is_optimizer(optimizer):
        optimizer = Fixed(optimizer)
        made = optimizer()
    else:
        what = f"is {optimizer!r}"
        if callable(optimizer):
            what = f"is the function {getattr(optimizer, '__name__', optimizer)}, which makes one"
        raise ValueError(f"optimizer {what}, but must be an optimiser; {_REMEDY}.")
    try:
        state = jax.eval_shape(made.init, params)
        changes, after = jax.eval_shape(made.update, params, state, params)
    except (TypeError, ValueError) as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"optimizer does not fit the network's parameters: {first}; {_REMEDY}.") from error
    shapes, wanted = (jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (changes, params))
    if shapes != wanted or jax.tree.structure(after) != jax.tree.structure(state):
        raise ValueError(f"optimizer does not keep the shapes of the network's parameters; {_REMEDY}.")
    return optimizer


def _made(optimizer: Partial) -> Any:
    """The optimiser of the first run."""
    first = jax.tree.map(lambda leaf: leaf[0] if jnp.ndim(leaf) == 1 else leaf, optimizer)
    try:
        made = first()
    except TypeError as error:
        raise ValueError(f"optimizer is a Partial that cannot be called: {error}; {_REMEDY}.") from error
    if not _is_optimizer(made):
        raise ValueError(f"optimizer is a Partial that makes {made!r}; {_REMEDY}.")
    return made


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, optax.GradientTransformation) or (
        not isinstance(value, type)
        and callable(getattr(value, "init", None))
        and callable(getattr(value, "update", None))
    )
