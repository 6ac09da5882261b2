"""What XLA's compiler for CPUs is told: no more than it knows, and to each backend what suits it."""

import jax
import pytest

from a3cjax._xla import compiler
from a3cjax._xla.backend import Backend
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax._xla.loops import LOOPS
from a3cjax._xla.matrices import matrices


def test_an_option_that_this_version_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setattr(compiler, "_ALL", {"xla_backend_optimization_level": 2, "xla_cpu_switch_of_the_past": True})
    assert compiler.for_cpu() == {"xla_backend_optimization_level": 2}
    for backend in (CPU_KERNEL, LOOPS, matrices(1000)):
        with pytest.raises(jax.errors.JaxRuntimeError, match="switch_of_the_past"):
            jax.jit(lambda: 0, compiler_options=compiler._ALL).lower().compile()
        assert int(jax.jit(lambda: 0, compiler_options=backend.compiler_options)()) == 0


def test_fused_operations_are_written_in_the_quicker_way_except_where_a_loop_spends_its_time_in_them():
    (option,) = compiler._OF_SMALL_OPERATIONS
    of_kernels = dict(CPU_KERNEL.compiler_options or {})
    assert (option in of_kernels) == compiler.is_known(option, False)
    for backend in (LOOPS, matrices(1000)):
        of_loops = dict(backend.compiler_options or {})
        assert of_loops.items() <= of_kernels.items()
        assert option not in of_loops
    assert Backend().compiler_options is None  # an accelerator's are its own
