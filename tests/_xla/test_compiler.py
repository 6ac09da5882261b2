"""What XLA's compiler for CPUs is told: no more than it knows, and to each backend what suits it."""

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax._xla import compiler
from a3cjax._xla.compiler import FOR_CPU, FOR_KERNELS, FOR_LITTLE, known_options, quickly_compiled
from a3cjax._xla.cpu_kernel import CPU_KERNEL, CPUKernel
from a3cjax._xla.loops import LOOPS
from a3cjax._xla.matrices import matrices
from a3cjax.engine import apart

OF_NOBODY = {"xla_cpu_switch_of_the_past": True}


def test_an_option_that_this_version_does_not_know_is_left_out():
    with pytest.raises(jax.errors.JaxRuntimeError, match="switch_of_the_past"):
        jax.jit(lambda: 0, compiler_options=OF_NOBODY).lower().compile()
    assert known_options({"xla_backend_optimization_level": 2, **OF_NOBODY}) == {"xla_backend_optimization_level": 2}
    assert known_options(None) is None  # an accelerator's compiler is told nothing


def test_our_options_are_asked_for_at_once(monkeypatch):
    """By a program that does nothing; by one for each if this version does not know them all."""
    compiler._are_known.cache_clear()
    ours = [FOR_CPU, FOR_KERNELS, FOR_LITTLE]
    if [known_options(options) for options in ours] == ours:
        assert compiler._are_known.cache_info().misses == 1
    monkeypatch.setattr(compiler, "FOR_LITTLE", FOR_LITTLE | OF_NOBODY)
    assert known_options(FOR_CPU | OF_NOBODY) == known_options(FOR_CPU)


def test_start_loop_and_metrics_compile_where_the_compiler_knows_less_than_it_is_told(monkeypatch):
    def simulated():
        for cached in (apart.program, apart._prepared):
            cached.cache_clear()
        learner, record = a3cjax.QuadraticSGD(curvature=[1.0], step=0.5), a3cjax.Record(every=1, metrics=["objective"])
        return a3cjax.simulate(learner, a3cjax.Schedule.sequential(3), jax.random.key(0), record=record)

    usual = simulated()
    monkeypatch.setattr(CPUKernel, "compiler_options", FOR_KERNELS | OF_NOBODY)
    told_more = simulated()
    np.testing.assert_array_equal(told_more.params.x, usual.params.x)
    np.testing.assert_array_equal(told_more.metrics["objective"], usual.metrics["objective"])


def test_networks_keep_the_way_of_fusing_that_runs_faster():
    assert FOR_KERNELS.keys() - FOR_CPU.keys() == {"xla_cpu_use_fusion_emitters"}
    assert CPU_KERNEL.compiler_options is FOR_KERNELS
    assert LOOPS.compiler_options is matrices(1000).compiler_options is FOR_CPU


@pytest.fixture
def told(monkeypatch):
    """What the compiler has been told."""
    seen = []
    monkeypatch.setattr(compiler, "known_options", lambda options: seen.append(options))
    return seen


def test_a_whole_program_is_compiled_quickly_and_once(told):
    add = quickly_compiled(lambda x, n: x + n, static_argnames="n")
    assert (add(1, n=2), add(3, n=2), add(3, n=5)) == (3, 5, 8)
    assert told == [FOR_KERNELS]


@pytest.mark.parametrize("around", [jax.jit, jax.grad, jax.checkpoint, lambda f: lambda x: jax.vmap(f)(x[None])[0]])
def test_a_part_of_a_program_is_told_nothing(told, around):
    square = quickly_compiled(lambda x: x * x)
    assert around(lambda x: square(3 * x))(jax.numpy.float32(2)) == 36  # d/dx (3x)² = 18x, too
    assert jax.jit(lambda: square(3))() == 9  # from what is known, and still a part
    assert not told


def test_the_compiler_of_an_accelerator_is_told_nothing(told, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert quickly_compiled(lambda x: x + 1)(1) == 2
    assert not told
