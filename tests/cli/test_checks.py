"""Every option of every command: a bad value is refused by the option's own name, before anything is done or said."""

import dataclasses
import functools
import importlib
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from a3cjax import Schedule, Team, compute_times, environments
from a3cjax.cli.commands import COMMANDS
from a3cjax.cli.groups import ProblemOptions, SmallProblemOptions
from a3cjax.cli.process import run

LOG = Path(__file__).parents[1] / "data" / "a3c_lock_n4.csv"
NAN, INF = float("nan"), float("inf")
MAY_BE_ZERO = {"seed", "mdp_seed", "lqr_seed", "delays", "counts_from", "first_version"}
GROUPS = ("problem", "team", "network", "reading")
MAY_BE_ANY_LIST = {"hidden"}  # empty, or with a value twice
MAY_BE_NEGATIVE = {"target_value"}
# With what an option has an effect at all.
BESIDE: dict[str, dict[str, Any]] = {
    "branching": {"mdp": "garnet"},
    "height": {"mdp": "gridworld"},
    "width": {"mdp": "gridworld"},
    "slip": {"mdp": "ring"},
    "cv": {"compute_time": "lognormal"},
    "shape": {"compute_time": "pareto"},
    "low": {"compute_time": "uniform"},
    "high": {"compute_time": "uniform"},
    "straggler_factor": {"straggler_share": 0.5},
}


def bad_values(name: str, kind: Any, default: Any = None) -> list[Any]:
    """What no option of that type takes; texts and choices are tyro's to check one by one."""
    kinds = [one for one in get_args(kind) if one not in (type(None), Ellipsis)] or [kind]
    if get_origin(kind) is tuple:
        whole = [] if name in MAY_BE_ANY_LIST else [(), default + default[:1]]
        return [*whole, *[(bad,) for bad in bad_values(name, kinds[0])]]
    if int in kinds:
        return [-1] if name in MAY_BE_ZERO else [-1, 0]
    if float not in kinds:
        return []
    return [NAN, INF] if name in MAY_BE_NEGATIVE else [-1.0, NAN, INF]


def cases() -> list[Any]:
    found = []
    for command, options in COMMANDS.items():
        groups = {f.name: get_args(f.type)[0] for f in dataclasses.fields(options) if f.name in GROUPS}
        for owner, group in {None: options, **groups}.items():
            kinds = get_type_hints(group)
            for name, kind in kinds.items():
                for bad in (
                    bad_values(name, kind, getattr(group, name, None)) if name not in ("study", "out", *GROUPS) else []
                ):
                    found.append(pytest.param(command, owner, name, bad, id=f"{command} {name} {bad}"))
    return found


CONTRADICTIONS = [
    ("compare", {"workers": (1, 2, 4)}, "--workers"),
    ("speedup", {"workers": (2, 4)}, "--workers"),
    ("speedup", {"workers": (1, 2, 2)}, "--workers"),
    ("knee", {"workers": (1,)}, "--workers"),
    ("compare", {"samples": 4, "workers": (2, 8)}, "--samples"),
    ("speedup", {"updates": 100, "record_every": 101}, "--record-every"),
    ("sweep", {"updates": 100, "record_every": 101}, "--record-every"),
    ("delay-errors", {"updates": 100, "record_every": 101}, "--record-every"),
    ("rates", {"updates": (100, 200), "record_every": 101}, "--record-every"),
    ("rates", {"updates": (100,)}, "--updates"),
    ("rates", {"delays": ("K^2",)}, "--delays"),
    ("rates", {"law": "uniform", "delays": ("0",)}, "--law"),
    ("sweep", {"laws": ("geometric",), "delay_is": "maximum"}, "--delay-is"),
    ("sweep", {"laws": ("constant", "constant")}, "--laws"),
    ("compare", {"laws": ("pareto",), "straggler_factor": 3.0}, "--straggler-factor"),
    ("knee", {"states": 1}, "--states"),
    ("knee", {"target": 1.5}, "--target"),
    ("knee", {"states": 3, "branching": 4}, "--branching"),
]


# Building problems is most of the time that these tests take: one small one serves all cases that ask for no other.
CACHED = {options: functools.cache(options.build) for options in (ProblemOptions, SmallProblemOptions)}


def small(command: str, out: Path, name: str) -> Any:
    """A command's options, with little to build beside the option of that name."""
    options = dataclasses.replace(COMMANDS[command](), out=out)
    if hasattr(options, "radius") and command != "knee":
        options = dataclasses.replace(options, radius=10.0)
    if hasattr(options, "problem"):
        options = dataclasses.replace(options, problem=type(options.problem)(mdp="ring", states=5))
    if command == "replay":
        options = dataclasses.replace(options, file=LOG)
    if command == "forecast":
        Team([compute_times.Deterministic(1.0)] * 2).save(out.with_name("team"))
        options = dataclasses.replace(options, file=out.with_name("team"))
    if command == "knee" and name not in ("problems", "branching", "stay"):
        options = dataclasses.replace(options, problems=("ring",))
    return options


@pytest.fixture
def nothing_computed(monkeypatch):
    for options, build in CACHED.items():
        monkeypatch.setattr(options, "build", build)

    def computed(*_, **__):
        raise AssertionError("something was computed")

    monkeypatch.setattr(importlib.import_module("a3cjax.engine.simulate"), "drive", computed)
    monkeypatch.setattr(environments, "MinAtar", lambda game: environments.CartPole())  # whose library is an extra
    for draw in ("from_workers", "from_law", "barrier", "stack"):
        monkeypatch.setattr(Schedule, draw, computed)


def refused(options: Any, option: str, capsys: Any) -> None:
    assert run(options) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("a3cjax: ")
    assert said.err.count("\n") == 1
    assert said.err.endswith(".\n")
    assert option in said.err.replace("[", " ").split()
    assert not options.out.exists()


@pytest.mark.parametrize(("command", "owner", "name", "bad"), cases())
@pytest.mark.usefixtures("nothing_computed")
def test_a_bad_value_is_refused_by_its_options_name(command, owner, name, bad, tmp_path, capsys):
    options = small(command, tmp_path / "none", name)
    if owner == "problem":
        options = dataclasses.replace(options, problem=type(options.problem)())
    whole = options if owner is None else getattr(options, owner)
    beside = {key: value for key, value in BESIDE.get(name, {}).items() if hasattr(whole, key)}
    changed = dataclasses.replace(whole, **beside, **{name: bad})
    options = changed if owner is None else dataclasses.replace(options, **{owner: changed})
    refused(options, f"--{name.replace('_', '-')}", capsys)


@pytest.mark.parametrize(("command", "given", "option"), CONTRADICTIONS)
@pytest.mark.usefixtures("nothing_computed")
def test_options_that_contradict_each_other_are_refused(command, given, option, tmp_path, capsys):
    refused(dataclasses.replace(small(command, tmp_path / "none", option[2:]), **given), option, capsys)
