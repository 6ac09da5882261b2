"""What a3cjax finds on a machine: versions, devices, what a run is compiled to, and what there is to mend."""

import dataclasses
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from packaging.requirements import Requirement

import a3cjax
from a3cjax._core import terminal
from a3cjax._xla import compilation_cache
from a3cjax.cli.command import Report

# What constraints.txt has the tests run with, which begins at this Python.
TESTED = {(3, 11): "0.10.2", (3, 12): "0.12.0.1"}
EXTRAS = {
    "gymnax": "gymnax 1.0 needs jax < 0.12, and six, which it does not declare; 1.1 may change what its step returns",
    "jumanji": "",
    "brax": "",
    "ray": "",
}
_RUNS, _UPDATES, _WORKERS = 64, 4096, 4
_SETTINGS = ("A3CJAX_CACHE", "CUDA_VISIBLE_DEVICES", "JAX_", "XLA_")

_CONFIG: Any = jax.config  # whose settings are attributes that no type checker knows

Found = tuple[list[str], list[str]]  # what is said, and what should be mended


@dataclasses.dataclass(frozen=True)
class DoctorOptions(Report):
    """Look at this machine: versions, devices, what a run is compiled to, and how fast and how right it is.

    Prints what it finds and what there is to mend; the status is 1 if there is anything.
    """

    def report(self, say: Callable[[str], None]) -> bool:
        """Say what is found, section by section, and what there is to mend last; whether that is nothing."""
        say(f"a3cjax {a3cjax.__version__}, Python {platform.python_version()}, {platform.platform()}, {_cores()}")
        wrong: list[str] = []
        for title, look in SECTIONS.items():
            lines, mend = look()
            wrong += mend
            if lines:
                say(_section(title, lines))
        say(_section("To mend", wrong or ["nothing"]))
        return not wrong


def versions() -> Found:
    """Of each package that a3cjax needs, and whether it is one that it works with."""
    lines, mend = [], []
    for requirement in _requirements():
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        tested = f"; tests run with {_tested()}" if requirement.name == "jax" else ""
        lines.append(f"{requirement.name:<11} {version or 'not there':<12} needs {requirement.specifier}{tested}")
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            mend.append(f"{requirement.name} must be {requirement.specifier}: pip install '{requirement}'.")
    return lines, mend


def devices() -> Found:
    """What JAX computes on, and whether a GPU lies idle."""
    used = jax.default_backend()
    counts: dict[str, int] = {}
    for device in jax.devices():
        counts[device.device_kind] = counts.get(device.device_kind, 0) + 1
    lines = [f"{used}: " + ", ".join(f"{count} × {kind}" for kind, count in counts.items()) + "; runs go there"]
    asked = os.environ.get("JAX_PLATFORMS") or _CONFIG.jax_platforms
    for kind, plugin, trace in (("NVIDIA", "cuda13", "/dev/nvidia0"), ("AMD", "rocm7-local", "/dev/kfd")):
        if used == "cpu" and Path(trace).exists():
            why = (
                f"JAX_PLATFORMS is {asked}" if asked else f"this JAX has no plugin for it: pip install 'jax[{plugin}]'"
            )
            return [*lines, f"an {kind} GPU is there, and not used"], [f"An {kind} GPU is not used, for {why}."]
    return lines, []


def a_run() -> Found:
    """What the paper's actor-critic is compiled to, how long that and an update take, and whether delays are exact."""
    learner = a3cjax.A3C(a3cjax.families.synthetic(jax.random.key(0)), 0.1, 0.03, radius=10.0)
    team = [a3cjax.compute_times.Exponential(1.0)] * _WORKERS
    schedule = a3cjax.Schedule.from_workers(jax.random.key(1), team, _UPDATES)
    keys, record = jax.random.split(jax.random.key(2), _RUNS), a3cjax.Record(every=_UPDATES, metrics=["delay"])

    def simulated() -> tuple[a3cjax.Result, float]:
        begun = time.perf_counter()
        result = a3cjax.simulate(learner, schedule, keys, record=record)
        jax.block_until_ready(result.params)
        return result, time.perf_counter() - begun

    (result, first), (_, again) = simulated(), simulated()
    error = delayed_error()
    lines = [
        f"{_RUNS} runs × {_UPDATES:,} updates of the paper's actor-critic: {result.backend!r}, ready after "
        f"{max(0.0, first - again):.1f} s, then {1e9 * again / (_RUNS * _UPDATES):,.0f} ns an update of a run",
        f"{_UPDATES:,} stale gradient steps on a quadratic differ from a loop in NumPy by {error:.1g} at most",
        f"numbers have {'double' if _CONFIG.jax_enable_x64 else 'single'} precision (jax_enable_x64)",
    ]
    wrong = "What this machine computes is not what it should be: delayed gradient steps differ from a loop in NumPy."
    return lines, [wrong] if not error < 1e-4 else []


def delayed_error(step: float = 0.1) -> float:
    """The largest error of x_{k+1} = x_k − step·x_{k−τ_k} along workers' delays, beside the same in NumPy."""
    team = [a3cjax.compute_times.Exponential(1.0)] * _WORKERS
    schedule = a3cjax.Schedule.from_workers(jax.random.key(3), team, _UPDATES)
    learner = a3cjax.QuadraticSGD(curvature=[1.0], step=step)
    record = a3cjax.Record(every=1, metrics=["distance_sq"])
    found = a3cjax.simulate(learner, schedule, jax.random.key(4), record=record).metrics["distance_sq"]
    past = [1.0]
    for k, delay in enumerate(np.asarray(schedule.delay)):
        past.append(past[k] - step * past[k - delay])
    return float(abs(np.asarray(found, np.float64) - np.square(past[1:])).max())


def programs() -> Found:
    """Where compiled programs are kept for the next command."""
    folder = _CONFIG.jax_compilation_cache_dir
    if not folder:
        return [f"kept nowhere; unset {compilation_cache.SWITCH} to keep them for the next command"], []
    sizes = [path.stat().st_size for path in Path(folder).glob("*-cache")]
    return [f"{len(sizes):,} in {folder}, {sum(sizes) / 1e6:.0f} MB; {compilation_cache.SWITCH}=off does without"], []


def extras() -> Found:
    """Which of other libraries' environments are there, and which versions of them will do."""
    lines = []
    for extra, why in EXTRAS.items():
        version = _version(extra)
        wanted = next((one.specifier for one in _requirements() if one.name == extra), "")
        there = version or f"not there; pip install 'a3cjax[{extra}]'"
        lines.append(f"{extra:<11} {there}, needs {wanted}" + (f": {why}" if why else ""))
    return lines, []


def settings() -> Found:
    """What the environment tells JAX, XLA and a3cjax."""
    return [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(_SETTINGS)], []


SECTIONS: dict[str, Callable[[], Found]] = {
    "Packages": versions,
    "Devices": devices,
    "A run": a_run,
    "Compiled programs": programs,
    "Extras": extras,
    "Environment": settings,
}


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"\n{title}", *(terminal.wrapped(f"  {line}", indent="    ") for line in lines)])


def _requirements() -> list[Requirement]:
    try:
        return [Requirement(line) for line in importlib.metadata.requires("a3cjax") or []]
    except importlib.metadata.PackageNotFoundError:  # a checkout that was put on the path
        return []


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _tested() -> str:
    said = [f"{version} (Python {'.'.join(map(str, since))}" for since, version in TESTED.items()]
    return "), ".join(said) + " and later)"


def _cores() -> str:
    count = os.cpu_count()
    return f"{count} core{'' if count == 1 else 's'}"
