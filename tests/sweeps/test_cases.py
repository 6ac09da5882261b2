"""Studies whose grid is cut into cases, each of which tries steps and then runs at the best, whoever makes which."""

from typing import Any

import numpy as np
import pytest

import a3cjax
from a3cjax.studies import Problem, bound, remedies
from a3cjax.sweeps import in_blocks


def noisy(chain):
    return a3cjax.QuadraticSGD([1.0, 0.5], noise=0.3, optimizer=chain(0.05))


def varying(key, num_updates):
    return a3cjax.Schedule.from_law(key, a3cjax.delays.Uniform(0, 8), num_updates)


def constant(key, num_updates):
    return a3cjax.Schedule.from_law(key, a3cjax.delays.Constant(3), num_updates)


def of_remedies(**more):
    problems = {name: Problem(noisy, 60, target_value=value, records=60) for name, value in (("a", 0.3), ("b", 0.2))}
    few: dict[str, Any] = dict(remedies=["none", "inverse"], factors=(1, 4), seeds=4, trials=2)
    return remedies(problems, {"varying": varying, "constant": constant}, **few, **more)


def of_bounds(**more):
    times = a3cjax.compute_times
    few: dict[str, Any] = dict(bounds=(0, None), batches=(1, 2), queues=(4,), corrections=("none",), factors=(1, 2))
    few |= dict(generators=4, num_samples=60, records=30, target_value=0.5, seeds=4, trials=2)
    learner = a3cjax.QuadraticSGD([1.0, 0.5], noise=0.3, step=0.1)
    return bound(learner, times.Exponential(8.0), times.Deterministic(1.0), **few, **more)


STUDIES = {"remedies": (of_remedies, 4), "bound": (of_bounds, 4)}


@pytest.mark.parametrize("name", STUDIES)
def test_shards_of_cases_merge_to_the_study_of_one_machine(name, tmp_path, capsys):
    study, cases = STUDIES[name]
    whole = study()
    with in_blocks(tmp_path / "whole", size=cases, progress=False):
        one_block = study()
    for i in (1, 2):
        with in_blocks(tmp_path / str(i), shard=(i, 2), size=1, progress=False):
            study()
    assert f"Shard 2/2 is done: {cases // 2} of {cases} cases" in capsys.readouterr().out
    with in_blocks(tmp_path / "all", merge=[tmp_path / "1", tmp_path / "2"]):
        merged = study()
    assert merged.curves.identical(one_block.curves)
    assert merged.table() == one_block.table() == whole.table()
    for variable in whole.curves.data_vars:  # tiles are cut by the number of cores, and last digits with them
        np.testing.assert_allclose(merged.curves[variable], whole.curves[variable], rtol=1e-5, err_msg=str(variable))


@pytest.mark.parametrize("name", STUDIES)
def test_blocks_of_another_study_are_refused(name, tmp_path):
    study, cases = STUDIES[name]
    with in_blocks(tmp_path, shard=(1, cases), size=1, progress=False):
        study()
    with in_blocks(tmp_path, size=1, progress=False), pytest.raises(ValueError, match="seed"):
        study(seed=1)


def test_what_memory_a_block_takes_is_told_before_it_is_made(tmp_path, capsys):
    with in_blocks(tmp_path, dry_run=True):
        of_remedies()
    said = capsys.readouterr().out
    assert "0 of 4 cases are there already" in said
    assert not list(tmp_path.iterdir())
