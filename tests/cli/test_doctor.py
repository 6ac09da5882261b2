"""What ``a3cjax doctor`` says of machines that are well, and of some that are not."""

import re
from pathlib import Path
from typing import Any

import jax
import pytest

import a3cjax
from a3cjax.cli import doctor, main

PINS = Path(__file__).parents[2] / "constraints.txt"


@pytest.fixture(autouse=True)
def few_updates(monkeypatch):
    monkeypatch.setattr(doctor, "_UPDATES", 256)


def test_a_machine_that_is_well(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"a3cjax {a3cjax.__version__}, Python 3.")
    assert f"jax         {jax.__version__}" in said
    assert re.search(r"jax .*; tests run with [\d.]+ \(Python 3\.11\), [\d.]+ \(Python 3\.12 and later\)\n", said)
    assert "'kernel', ready after" in said
    assert said.rstrip().endswith("To mend\n  nothing")
    assert max(map(len, said.splitlines())) <= 120


def test_tests_run_with_the_versions_that_are_pinned():
    pins = re.findall(r"^jax==(\S+) ; python_full_version (<|>=) '3\.(\d+)'", PINS.read_text(), flags=re.MULTILINE)
    told = {"<": doctor.TESTED[3, 11], ">=": doctor.TESTED[3, 12]}
    assert {bound: version for version, bound, _ in pins} == told
    assert {minor for *_, minor in pins} == {"12"}


def test_what_is_too_old_or_not_there_is_told_with_the_command_that_mends_it(monkeypatch):
    monkeypatch.setattr(doctor, "_version", {"jax": "0.9.1", "optax": None}.get)
    monkeypatch.setattr(doctor, "_requirements", lambda: [doctor.Requirement(r) for r in ("jax>=0.10", "optax>=0.2.6")])
    lines, mend = doctor.versions()
    assert [line.split()[:2] for line in lines] == [["jax", "0.9.1"], ["optax", "not"]]
    assert mend == [
        "jax must be >=0.10: pip install 'jax>=0.10'.",
        "optax must be >=0.2.6: pip install 'optax>=0.2.6'.",
    ]


@pytest.mark.parametrize(
    ("asked", "why"),
    [("", "this JAX has no plugin for it: pip install 'jax[cuda13]'"), ("cpu", "JAX_PLATFORMS is cpu")],
)
def test_a_gpu_that_lies_idle_is_told(asked, why, monkeypatch):
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidia0" or exists(path))
    monkeypatch.setenv("JAX_PLATFORMS", asked)
    lines, mend = doctor.devices()
    assert lines[-1] == "an NVIDIA GPU is there, and not used"
    assert mend == [f"An NVIDIA GPU is not used, for {why}."]


def test_a_run_whose_delays_are_not_those_of_the_schedule_is_told(monkeypatch, capsys):
    simulate = a3cjax.simulate

    def fresh(learner: Any, schedule: Any, key: Any, **options: Any) -> Any:
        return simulate(learner, a3cjax.Schedule.sequential(schedule.num_updates), key, **options)

    assert doctor.delayed_error() < 1e-6
    monkeypatch.setattr(a3cjax, "simulate", fresh)
    assert doctor.delayed_error() > 0.01
    monkeypatch.setattr(doctor, "SECTIONS", {"A run": doctor.a_run})
    assert main(["doctor"]) == 1
    assert "What this machine computes is not what it should be" in capsys.readouterr().out
