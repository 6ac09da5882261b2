"""Compile the programs of one combination of options, and say how long that took, for ``benchmarks.options``."""

import dataclasses
import sys
import time
import warnings
from concurrent.futures import wait
from multiprocessing.connection import Connection
from typing import Any

import jax
import jax.numpy as jnp

from a3cjax.engine.apart import Apart, is_measured_apart
from a3cjax.engine.driver import _Course, programs
from a3cjax.engine.simulate import _Asked
from benchmarks.combinations import made
from benchmarks.covering import Combination


def serve(pipe: Connection) -> None:
    """Answer until the other end is closed: each stage as it begins, and then what was found."""
    jax.config.update("jax_enable_compilation_cache", False)
    warnings.simplefilter("ignore")
    while True:
        try:
            row, known = pipe.recv()
        except EOFError:
            return
        try:
            found = seconds_of(row, set(known), lambda stage: pipe.send((stage, None)))
        except ValueError as error:
            found = {"refused": str(error)}
        pipe.send(("done", found))


def seconds_of(of: Combination, known: set[str], begins: Any) -> dict[str, Any]:
    """Seconds of processor time: of looking at the arguments, and of each program to trace, lower and compile it.

    A fourth number of ``start`` and ``advance`` is how many lines the lowered program has. ``measure`` is one number,
    and missing where nothing is measured apart, or ``known`` holds the program's ``measured`` already.
    """
    jax.config.update("jax_enable_x64", of["x64"])
    _forget()
    begins("look")
    call, clock = made(of), _Clock()
    run = _Asked.of(call.learner, call.schedule, call.keys, **call.options)
    found: dict[str, Any] = {"look": clock.lap(), "backend": run.plan.backend.name, "measured": ""}
    apart = is_measured_apart(run.plan)
    # Without metrics the driver does not begin to compile what measures, which would be timed with the loop.
    bare = dataclasses.replace(run.plan, metrics=()) if apart else run.plan
    course = _Course.over(bare, run.runs, jax.local_devices()[:1])
    # And as well as it is for much work, of which there is none here.
    tile, plan = course.shares[0][0], dataclasses.replace(course.plan, apart=apart, backend=run.plan.backend)
    if apart:
        found["measured"] = _measured(of, run.plan.backend.name)
        if found["measured"] not in known:
            begins("measure")
            clock.lap()
            wait((Apart.of(run.plan, run.runs, tile).compiled,))
            found["measure"] = clock.lap()
    block = course._block_of_each(0)[0][0]
    go = programs(plan.backend)
    begins("start")
    given = plan, tile.learner, tile.keys, jnp.int32(run.runs.num_workers)
    found["start"], begin = _stages(go.start, given)
    carry = begin(*given[1:])
    segments = course.room_for[1]
    lengths = jnp.zeros(segments, jnp.int32), jnp.zeros(segments, bool)
    begins("advance")
    given = plan, tile.learner, carry, tile.keys, block, jnp.int32(0), *lengths, tile.real
    found["advance"], _ = _stages(go.advance, given)
    return found


class _Clock:
    """Processor time, of all threads, between laps."""

    def __init__(self) -> None:
        self.at = time.process_time()

    def lap(self) -> float:
        """Since the last."""
        before, self.at = self.at, time.process_time()
        return round(self.at - before, 3)


def _stages(program: Any, given: tuple[Any, ...]) -> tuple[list[float], Any]:
    """Seconds to trace, lower and compile, the lines of what was lowered; and the compiled program."""
    clock = _Clock()
    traced = program.trace(*given)
    times = [clock.lap()]
    lowered = traced.lower()
    times.append(clock.lap())
    compiled = lowered.compile()
    times.append(clock.lap())
    return [*times, lowered.as_text().count("\n")], compiled


def _measured(of: Combination, backend: str) -> str:
    """Names what the program that measures depends on."""
    names = ["mdp", "policy", "prior", "x64", *(["scalars"] if of["prior"] else [])]
    return ", ".join([backend, *(f"{name} {of[name]}" for name in names)])


def _forget() -> None:
    """Whatever JAX and the package remember of programs, so that each combination is as in a fresh process."""
    jax.clear_caches()
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "a3cjax":
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
