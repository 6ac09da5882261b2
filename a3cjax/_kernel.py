"""Where the compiled loop is cut into stages, and where a whole loop becomes one kernel.

On a CPU, XLA runs every fused operation as a kernel of its own, called by an interpreter, and fuses cheap arithmetic
into each kernel that uses its result. For a loop of a hundred small operations the calls cost as much as the work, and
the arithmetic is done several times over. Two marks on a function say what to do instead:

- ``stage``: compute this once and store the result; nothing is fused across its border.
- ``kernel``: compile all of this, loops included, to one function of machine code.

Both are attributes of a call in the compiled program. They change no result, and a compiler that does not know them
ignores them. Within a kernel a few operations are not supported (``fits_kernel``), scatters among them, so rows of
tables are read and written by ``_rows.py``. Between stages what is short lies with its lanes last (``_lanes.py``).
"""

import contextlib
import functools
import math
import operator
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer, eval_jaxpr
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Bool, Float, Int

from a3cjax._lanes import lane_axis, settled

try:
    from jax.experimental.xla_metadata import set_xla_metadata
except ImportError:  # an experimental module: without it everything is right, and slower

    def set_xla_metadata(x: Any, **marks: str) -> Any:
        """Mark nothing."""
        del marks
        return x


T = TypeVar("T")
Target = Literal["kernel", "loops", "accelerator", "persistent kernel"]

_target: ContextVar[Target] = ContextVar("target", default="accelerator")
_zero: ContextVar[Any] = ContextVar("zero")  # within a kernel: an integer 0 that the compiler does not know to be one
_SMALL = 1024  # elements
_FOLD, _MOST_BLOCKS = 8, 64  # a sum is written out up to 8·64 terms


@contextlib.contextmanager
def compiling_for(target: Target) -> Iterator[None]:
    """What is traced within is meant for one CPU kernel, for kernels of single operations, or for an accelerator.

    That takes operations one by one, or a step of one run for its "persistent kernel" (``engine/persistent.py``).
    """
    token = _target.set(target)
    try:
        yield
    finally:
        _target.reset(token)


def stage(function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)``, computed once and stored before anything uses it."""
    target = _target.get()
    if target in ("accelerator", "persistent kernel"):
        return function(*args)
    if target == "loops":
        return stored(function, *args)
    # Values that the function closes over are arguments too: a rule for lanes may be applied where they are unknown.
    # A new function each time, for what JAX has traced before was perhaps not meant for this target.
    program, shapes = jax.make_jaxpr(lambda *args: function(*args), return_shape=True)(*args)
    places = [lane_axis(one.shape) for one in jax.tree.leaves(shapes)]

    def of_one(*inputs):
        count = len(program.consts)
        return eval_jaxpr(program.jaxpr, inputs[:count], *inputs[count:])

    def of_all(lanes, batched, *inputs):
        del lanes
        axes = [lane_axis(x.shape[1:]) if own else None for x, own in zip(inputs, batched, strict=True)]
        given = [settled(x) if own else x for x, own in zip(inputs, batched, strict=True)]
        results = stored(jax.vmap(of_one, axes, places), *given)
        return [jnp.moveaxis(x, place, 0) for x, place in zip(results, places, strict=True)], [True] * len(places)

    call = custom_vmap(functools.partial(stored, of_one))
    call.def_vmap(of_all)
    return jax.tree.unflatten(jax.tree.structure(shapes), call(*program.consts, *jax.tree.leaves(args)))


def stage_words(function: Callable[..., tuple[Array, Array]], *args: Any) -> tuple[Array, Array]:
    """``stage`` for a function that makes two arrays of 32-bit words together.

    The compiler writes a loop for each result, and would compute both in each. As the two parts of a complex number
    they are one result.
    """
    if not in_kernel():
        return stage(function, *args)

    def as_complex(*args):
        return lax.complex(*(lax.bitcast_convert_type(word, jnp.float32) for word in function(*args)))

    both = stage(as_complex, *args)
    first, second = (lax.bitcast_convert_type(part, jnp.uint32) for part in (lax.real(both), lax.imag(both)))
    return first, second


def in_kernel() -> bool:
    """Whether what is traced is meant for one CPU kernel."""
    return _target.get() == "kernel"


def in_lanes() -> bool:
    """Whether what is traced is one run's part of an accelerator's kernel."""
    return _target.get() == "persistent kernel"


def stored(function: Callable[..., Any], *args: Any) -> Any:
    """A stage of arrays as they lie."""

    def with_spare(*args):
        return function(*args), jnp.int32(0)

    return set_xla_metadata(jax.jit(with_spare)(*args)[0], inlineable="false")


def kernel(function: Callable[..., T], count: Int[Array, ""], *args: Any) -> T:
    """``function(count, *args)``, compiled to one kernel where that is the target.

    ``count`` is not negative nor a constant of the program: the length of the loop, say. The compiler of kernels stops
    the process if an input is used by nothing, which a constant soon is, and so is what a loop that changes nothing was
    given. So ``count`` is made to depend on each input and is a result of its own, and small inputs are made to depend
    on ``count``; larger ones that may be constants have to be ``hidden``.
    """
    if _target.get() != "kernel":
        return function(count, *args)

    def body(count, *args):
        token = _zero.set(count >> 31)
        try:
            return function(count, *args)
        finally:
            _zero.reset(token)

    program, result = jax.make_jaxpr(body, return_shape=True)(count, *args)
    # Arrays without elements are neither passed in nor out.
    inputs = [x if math.prod(x.shape) else _empty(x) for x in (*program.consts, *jax.tree.leaves(args))]
    passed = [isinstance(x, Tracer) for x in inputs]

    def whole(count, given):
        looks = sum((x[(0,) * x.ndim] == 0).astype(jnp.int32) for x in given)
        given = iter(given)
        everything = [next(given) if passes else x for x, passes in zip(inputs, passed, strict=True)]
        consts, own = everything[: len(program.consts)], everything[len(program.consts) :]
        count = count + (count >> 31) * looks
        return [x for x in eval_jaxpr(program.jaxpr, consts, count, *own) if x.size], count

    given = [x if x.size > _SMALL else _unless(count < 0, x) for x, p in zip(inputs, passed, strict=True) if p]
    marks = {"inlineable": "false", "xla_cpu_small_call": "true"}
    # What nobody uses would be left out of the program, ``count`` for one; a barrier asks for all of it together.
    results = iter(lax.optimization_barrier(set_xla_metadata(jax.jit(whole)(count, given), **marks))[0])
    return jax.tree.map(lambda x: next(results) if x.size else _empty(x), result)


def rounded(product: Array) -> Array:
    """A product that is to be added to something, rounded first.

    Compilers of kernels make one operation of a product and a sum, which rounds once, in some shapes of a loop and not
    in others; then a run's bits would depend on how many are beside it.
    """
    zero = _zero.get(None)
    if zero is None:
        return product
    bits = jnp.int32 if product.dtype.itemsize == 4 else jnp.int64
    return lax.bitcast_convert_type(lax.bitcast_convert_type(product, bits) ^ zero.astype(bits), product.dtype)


def dot(x: Float[Array, "*rows n"], y: Float[Array, "*#rows n"]) -> Float[Array, "*rows"]:
    """Σ_j x_j y_j over the last axis, always in the same order, and without a reduction, which no kernel can hold.

    Products eight apart are added first, as vectors.
    """
    columns = x.shape[-1]
    blocks = columns // _FOLD
    if blocks > _MOST_BLOCKS:
        return jnp.sum(rounded(x * y), axis=-1)

    def fold(x, y):
        return functools.reduce(operator.add, (part(slice(_FOLD * i, _FOLD * (i + 1)), x, y) for i in range(blocks)))

    def part(where, x, y):
        return rounded(x[..., where] * y[..., where])

    rest = part(slice(_FOLD * blocks, columns), x, y)
    entries = [rest[..., j] for j in range(columns - _FOLD * blocks)]
    if blocks:
        folded = stage(fold, x, y)
        entries = [folded[..., j] for j in range(_FOLD)] + entries
    return functools.reduce(operator.add, entries)


def hidden(tree: T) -> T:
    """``tree`` as values that the compiler cannot know, even where they are constants of the caller's program.

    What is known is folded into the arithmetic, which then rounds otherwise.
    """
    if _target.get() != "kernel":
        return lax.optimization_barrier(tree)
    # A random number below 2³¹ is never 2³¹ or more; the compiler does not look that far.
    never = lax.rng_uniform(jnp.uint32(0), jnp.uint32(1 << 31), ()) >= jnp.uint32(1 << 31)
    return jax.tree.map(lambda x: _unless(never, x), tree)


def _unless(never: Bool[Array, ""], x: Array) -> Array:
    """``x``, or if ``never`` something else everywhere."""
    return jnp.where(never, (x == 0).astype(x.dtype), x)


def _empty(like: Any) -> Any:
    """Without elements, and known to the program."""
    return np.zeros(like.shape, like.dtype)


_CALLS = "jit pjit closed_call custom_jvp_call custom_vjp_call custom_vmap_call while cond scan"
_SUPPORTED = frozenset(  # without reductions, which the compiler may hand to a library
    f"""
    {_CALLS}
    abs add and bitcast_convert_type broadcast_in_dim ceil clamp complex concatenate convert_element_type copy
    copy_p cos div dynamic_slice eq erf_inv exp exp2 expm1 floor gather ge gt imag integer_pow iota is_finite le log
    log1p logistic lt max min mul ne neg not or pad pow random_bits random_fold_in random_split random_unwrap
    random_wrap real rem reshape rev round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign
    sin slice split sqrt square squeeze stack stop_gradient sub tanh threefry2x32 transpose unstack
    xla_metadata_value xor
    """.split()
)


def fits_kernel(function: Callable[..., Any], *args: Any) -> bool:
    """Whether every operation of ``function`` at arguments like these can be part of a kernel."""
    return _supported(jax.make_jaxpr(function)(*args).jaxpr, within_row=False)


def _supported(jaxpr: Any, within_row: bool) -> bool:
    """``within_row``: inside a write of ``_rows.py``, which knows how to update a slice for all lanes."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name not in _SUPPORTED and not (within_row and name == "dynamic_update_slice"):
            return False
        writes = name == "custom_vmap_call" and getattr(equation.params["rule"], "__name__", "") == "_write_lanes"
        parts = jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns"))
        for part in parts:
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns") and not _supported(inner, within_row or writes):
                return False
    return True
