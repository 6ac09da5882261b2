"""Options of XLA's compiler for CPUs: what it is told to leave out, and what that takes."""

import functools
from typing import Any

import jax

# At level 3, the usual one, loops over 40 lanes and fewer are unrolled, and then not vectorised. A program is one part
# of code for the machine: XLA would cut it into as many as 32, each of which goes all the way by itself, though only
# those of different programs are needed side by side.
_ALL: dict[str, Any] = {"xla_backend_optimization_level": 2, "xla_cpu_parallel_codegen_split_count": 1}

# The newer of XLA's two ways to write a fused operation takes twice as long for one, and gains where many numbers go
# through it: in networks, which take 1.6 times as long without it. A kernel is written in the other way in any case.
_OF_SMALL_OPERATIONS: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False}


def for_cpu(small_operations: bool = False) -> dict[str, Any]:
    """Options for a loop over updates; with ``small_operations`` for one whose time does not go into fused operations.

    Options of a compiler come and go with its version, so one that this one does not know is left out.
    """
    wanted = {**_ALL, **(_OF_SMALL_OPERATIONS if small_operations else {})}
    return {name: value for name, value in wanted.items() if is_known(name, value)}


@functools.cache
def is_known(option: str, value: Any) -> bool:
    """Whether this version of XLA has such an option, which it only says when it is used."""
    try:
        jax.jit(lambda: 0, compiler_options={option: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
