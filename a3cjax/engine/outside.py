"""Where the caller's own transformations reach a simulation: values that they trace, and derivatives.

Runs are not differentiable, and say so wherever a derivative reaches them: through an argument, or through a value that
a learner's method, a step function or a metric has from the function that it was written in.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.core import Tracer, eval_jaxpr

from a3cjax.engine.history.protocol import Kind, shapes_of
from a3cjax.engine.measure import called

T = TypeVar("T")


def without_derivatives(tree: T) -> T:
    """The same pytree, through which no derivative goes: JAX asks for one now, or when it differentiates the caller's
    jitted program, and is refused.

    Samples are drawn by comparisons, and the loops run inside kernels and over lengths that the program does not know:
    a derivative of that would be zero where the mean has another.
    """
    leaves, structure = jax.tree.flatten(tree)
    traced = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tracer)]
    if not traced:
        return tree
    for i, leaf in zip(traced, _identity(*(leaves[i] for i in traced)), strict=True):
        leaves[i] = leaf
    return jax.tree.unflatten(structure, leaves)


@jax.custom_jvp
def _identity(*leaves):
    return leaves


@_identity.defjvp
def _refuse(primals, tangents):
    del primals, tangents
    raise ValueError(
        "simulate is being differentiated, but runs are not differentiable: their samples are drawn by comparisons, "
        "whose derivative is zero. Take differences of runs with the same key (common random numbers), or the exact "
        "gradients of a3cjax.exact; keep a run out of a derivative with jax.lax.stop_gradient on what it is given."
    )


@functools.lru_cache(maxsize=64)
def takes_from_outside(kind: Kind, metrics: tuple[tuple[str, Any], ...]) -> bool:
    """Whether a learner's methods, or metrics that are functions of its state, use traced values that are no leaves."""
    shapes = shapes_of(kind)
    functions = [functools.partial(called, name, metric) for name, metric in metrics if callable(metric)]
    programs = [jax.make_jaxpr(function)(shapes.state) for function in functions]
    return shapes.outside or any(isinstance(value, Tracer) for program in programs for value in program.consts)


def taken_in(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The same function of the same arguments and, before them, of the traced values that it took from outside."""
    program, shape = jax.make_jaxpr(function, return_shape=True)(*args)
    traced = [isinstance(value, Tracer) for value in program.consts]

    def of_all(values, *args):
        values = iter(values)
        consts = [next(values) if is_traced else value for is_traced, value in zip(traced, program.consts, strict=True)]
        results = eval_jaxpr(program.jaxpr, consts, *jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    values = [value for is_traced, value in zip(traced, program.consts, strict=True) if is_traced]
    return of_all, (without_derivatives(values), *args)
