"""What the CPU's compiler of kernels can make one function of."""

from collections.abc import Callable
from typing import Any

import jax

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


def multiplies_matrices(function: Callable[..., Any], *args: Any) -> bool:
    """Whether ``function`` takes products of matrices at arguments like these, or convolutions."""
    return _holds(jax.make_jaxpr(function)(*args).jaxpr, ("dot_general", "conv_general_dilated"))


def _holds(jaxpr: Any, names: tuple[str, ...]) -> bool:
    return any(
        equation.primitive.name in names or any(_holds(part, names) for part in _parts(equation))
        for equation in jaxpr.eqns
    )


def _parts(equation: Any) -> list[Any]:
    """The programs that an equation calls."""
    parts = jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns"))
    return [inner for part in parts if hasattr(inner := getattr(part, "jaxpr", part), "eqns")]


def _supported(jaxpr: Any, within_row: bool) -> bool:
    """``within_row``: inside a write of ``rows.py``, which knows how to update a slice for all lanes."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name not in _SUPPORTED and not (within_row and name == "dynamic_update_slice"):
            return False
        writes = name == "custom_vmap_call" and getattr(equation.params["rule"], "__name__", "") == "_write_lanes"
        if not all(_supported(part, within_row or writes) for part in _parts(equation)):
            return False
    return True
