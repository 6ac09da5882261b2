"""An optimiser from optax, one for all runs or one for each."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from a3cjax._core.tree import pytree, static
from a3cjax.learners.optimizers.programs import NotEntrywiseError, NotMultipleError, Program

_REMEDY = (
    "use an optax transformation such as optax.adam(1e-3), or jax.tree_util.Partial(optax.adam, learning_rate=rates) "
    "for one in each run"
)
_PARAMS, _STALE = 2, 4  # their places among an update's arguments


@pytree
class Fixed:
    """An optimiser that is part of the program."""

    transformation: Any = static()

    def __call__(self) -> Any:
        """The optimiser."""
        return self.transformation


@dataclass(frozen=True)
class Uses:
    """What an optimiser's updates depend on.

    ``stale``: whether on the parameters that a gradient was computed at; ``params``: on those that it is applied to.
    ``multiplies``: whether all they do is to multiply one array of gradients by a number that does not depend on it, so
    that a sparse gradient stays sparse. ``entrywise``: whether an entry is changed only where its gradient is not zero,
    and by what is known of this entry.
    """

    stale: bool = False
    params: bool = False
    multiplies: bool = False
    entrywise: bool = False


def adopted_optimizer(optimizer: Any, params: Any, name: str = "optimizer", of: str = "the network's") -> Any:
    """What gives the optimiser when it is called, and what it uses; ``params`` are shapes that it has to fit.

    Raises:
        ValueError: if it is none, or does not fit.
    """
    if isinstance(optimizer, Partial):
        made = _made(optimizer, name)
    elif isinstance(optimizer, Fixed) or _is_optimizer(optimizer):
        optimizer = optimizer if isinstance(optimizer, Fixed) else Fixed(optimizer)
        made = optimizer()
    else:
        what = f"is {optimizer!r}"
        if callable(optimizer):
            what = f"is the function {getattr(optimizer, '__name__', optimizer)}, which makes one"
        raise ValueError(f"{name} {what}, but must be an optimiser; {_REMEDY}.")
    try:
        state = jax.eval_shape(made.init, params)
        given = params, state, params, jax.ShapeDtypeStruct((), jnp.int32), params
        changes, after = jax.eval_shape(update_of(made), *given)
    except (TypeError, ValueError) as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"{name} does not fit {of} parameters: {first}; {_REMEDY}.") from error
    shapes, wanted = (jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (changes, params))
    if shapes != wanted or jax.tree.structure(after) != jax.tree.structure(state):
        raise ValueError(f"{name} does not keep the shapes of {of} parameters; {_REMEDY}.")
    program = Program.of(update_of(made), *given)
    multiplies, entrywise = _multiplies(made, given), _is_entrywise(made, given)
    return optimizer, Uses(program.uses(_STALE), program.uses(_PARAMS), multiplies, entrywise)


def update_of(optimizer: Any) -> Any:
    """``update(gradient, memory, params, delay, stale)`` of an optimiser that may take no extra arguments."""
    import optax  # here, because it takes time to import, and whoever has an optimiser has it already

    optimizer = optax.with_extra_args_support(optimizer)

    def update(gradient, memory, params, delay, stale):
        return optimizer.update(gradient, memory, params, delay=delay, stale=stale)

    return update


def one_of_both(step_name: str, step: Any, optimizer_name: str, optimizer: Any) -> None:
    """Refuse a step and an optimiser, and neither."""
    if (step is None) == (optimizer is None):
        have = "are both given" if step is not None else "are both left out"
        raise ValueError(
            f"{step_name} and {optimizer_name} {have}; give one of them, a step size or an optax transformation such "
            "as optax.sgd(0.1)."
        )


def _multiplies(made: Any, given: tuple[Any, ...]) -> bool:
    def multiplier(*rest):
        return Program.of(update_of(made), given[0], *rest).run_multiplying()

    try:
        jax.eval_shape(multiplier, *given[1:])
    except NotMultipleError:
        return False
    return True


def _is_entrywise(made: Any, given: tuple[Any, ...]) -> bool:
    def change(gradient, *rest):
        program = Program.of(update_of(made), gradient, *rest)
        return program.run_on_part(gradient, gradient, gradient)

    if len(jax.tree.leaves(given[0])) != 1:
        return False
    try:
        jax.eval_shape(change, *given)
    except NotEntrywiseError:
        return False
    return True


def _made(optimizer: Partial, name: str) -> Any:
    """The optimiser of the first run."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(optimizer):
        if not isinstance(leaf, int | float | np.ndarray | np.generic | jax.Array):
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)} is {leaf!r}, but a Partial's arguments must be numbers, one or "
                "one for each run; put anything else into its function."
            )
    first = jax.tree.map(lambda leaf: jnp.asarray(leaf)[0] if jnp.ndim(leaf) == 1 else jnp.asarray(leaf), optimizer)
    try:
        made = first()
    except TypeError as error:
        raise ValueError(f"{name} is a Partial that cannot be called: {error}; {_REMEDY}.") from error
    if not _is_optimizer(made):
        raise ValueError(f"{name} is a Partial that makes {made!r}; {_REMEDY}.")
    return made


def _is_optimizer(value: Any) -> bool:
    """Whether it has what every one of optax's has."""
    parts = (getattr(value, name, None) for name in ("init", "update"))
    return not isinstance(value, type) and all(callable(part) for part in parts)
