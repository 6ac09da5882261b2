"""What XLA's compiler for CPUs is told."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax

from a3cjax._core import check
from a3cjax._xla.choice import told_apart

R = TypeVar("R")

# At level 3, the usual one, loops over 40 lanes and fewer are unrolled, and then not vectorised. And a program stays in
# one part: XLA would cut it into as many as 32, to be compiled side by side, each of them at a price.
FOR_CPU: dict[str, Any] = {"xla_backend_optimization_level": 2, "xla_cpu_parallel_codegen_split_count": 1}

# Of the two ways in which XLA 0.10 writes a fused operation, the older compiles in half the time and the newer runs
# faster: networks take 1.6 times as long without it. Kernels are written in the older way whatever is said here, so it
# is told where the rest of a program is short.
FOR_KERNELS: dict[str, Any] = FOR_CPU | {"xla_cpu_use_fusion_emitters": False}

# As machine code comes: compiled in half the time or less, to loops that take four times as long.
FOR_LITTLE: dict[str, Any] = FOR_KERNELS | {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def known_options(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Those that this version of XLA has: options of a compiler come and go, and a program with another is refused."""
    if options is None:
        return None
    if options.keys() <= FOR_LITTLE.keys() and _are_known(*FOR_LITTLE.items()):  # all of ours, asked for at once
        return dict(options)
    return {name: value for name, value in options.items() if _are_known((name, value))}


@functools.cache
def _are_known(*options: tuple[str, Any]) -> bool:
    """XLA only says so when options are used, of several whether it knows them all."""
    try:
        jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def quickly_compiled(function: Callable[..., R], **static: Any) -> Callable[..., R]:
    """``jax.jit(function, **static)`` that is compiled in half the time, on a CPU and where it is a program of its own.

    Where JAX is tracing, it is a part of a program like any other function: only whole programs are told anything.

    >>> import jax
    >>> twice = quickly_compiled(lambda x: 2 * x)
    >>> twice(1), jax.grad(twice)(1.0)
    (Array(2, dtype=int32, weak_type=True), Array(2., dtype=float32, weak_type=True))
    """

    def part_of_a_program() -> Callable[..., R]:
        @functools.wraps(function)
        def again(*args: Any, **kwargs: Any) -> R:
            return function(*args, **kwargs)

        return jax.jit(again, **static)

    part = told_apart(part_of_a_program)

    @functools.cache
    def whole() -> Callable[..., R]:
        return jax.jit(function, compiler_options=known_options(FOR_KERNELS), **static)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> R:
        return (part if check.is_tracing(args, kwargs) or jax.default_backend() != "cpu" else whole())(*args, **kwargs)

    return called
