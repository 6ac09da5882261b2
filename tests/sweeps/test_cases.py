"""Studies whose grid is cut into cases, each of which tries steps and then runs at the best, whoever makes which."""

from typing import Any

import jax
import pytest

import a3cjax
from a3cjax import studies
from a3cjax.engine.tiles import at_most_cores
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


RING = a3cjax.families.ring(3, discount=0.5)


def of_rates(**more):
    learner = a3cjax.A3C(RING, actor_step=0.1, critic_step=0.1, prior=a3cjax.Prior.uniform(0.1, 3, 2))
    few: dict[str, Any] = dict(num_updates=(20, 40), delays=(0, 2), sampling=["markov"], seeds=3)
    return studies.rates(learner, **few, **more)


def of_knees(**more):
    learners = {name: a3cjax.A3C(RING, 0.5, 0.2, radius=10.0) for name in ("a", "b")}
    few: dict[str, Any] = dict(factors=(1, 2), workers=(1, 2), seeds=2, num_updates=200, target=0.2)
    return studies.knee(learners, **few | more)


def of_delay_errors(**more):
    learner = a3cjax.A3C(RING, 0.1, 0.1, radius=10.0)
    return studies.delay_errors(learner, workers=[1, 3], seeds=2, num_updates=50, **more)


def of_priors(**more):
    priors = {"uniform": a3cjax.Prior.uniform(1.0, 3, 2), "again": a3cjax.Prior.uniform(1.0, 3, 2)}
    return studies.regularisation(RING, priors=priors, weights=[0.01, 1], seeds=2, num_updates=200, **more)


def of_critical_steps(resolution=0.1):
    return studies.critical_step(RING, delays=(0, 1), resolution=resolution)


def of_replays(**more):
    schedule = constant(jax.random.key(0), 40)
    return studies.replay(schedule, a3cjax.A3C(RING, 0.5, 0.2, radius=10.0), seeds=2, records=20, **more)


def of_forecasts(**more):
    team = a3cjax.Team([a3cjax.compute_times.Exponential(2.0)] * 2)
    learner = a3cjax.A3C(RING, 0.5, 0.2, radius=10.0)
    return studies.forecast(team, learner, workers=(1, 2), num_updates=200, seeds=2, **more)


# From a study's name to the study, and how many runs or cases are half of it.
STUDIES = {
    "remedies": (of_remedies, "case", 2),
    "bound": (of_bounds, "case", 2),
    "rates": (of_rates, "cell", 1),
    "knee": (of_knees, "cell", 2),
    "delay_errors": (of_delay_errors, "run", 2),
    "regularisation": (of_priors, "cell", 1),
    "critical_step": (of_critical_steps, "cell", 2),
    "replay": (of_replays, "run", 6),
    "forecast": (of_forecasts, "run", 4),
}


@pytest.mark.parametrize("name", STUDIES)
def test_shards_merge_to_the_study_of_one_machine(name, tmp_path, capsys):
    study, unit, half = STUDIES[name]
    with at_most_cores(1):  # by which the blocks of learners are cut whose last digits depend on it
        whole = study()
    for i in (1, 2):
        with in_blocks(tmp_path / str(i), shard=(i, 2), size=half, progress=False):
            study()
    assert f"Shard 2/2 is done: {half} of {2 * half} {unit}s" in capsys.readouterr().out
    with in_blocks(tmp_path / "all", merge=[tmp_path / "1", tmp_path / "2"]):
        merged = study()
    assert merged.curves.identical(whole.curves)
    assert merged.table() == whole.table()


@pytest.mark.parametrize("name", STUDIES)
def test_blocks_of_another_study_are_refused(name, tmp_path):
    study, _, half = STUDIES[name]
    other = {"resolution": 0.09} if name == "critical_step" else {"seed": 1}
    with in_blocks(tmp_path, shard=(1, 2), size=half, progress=False):
        study()
    with (
        in_blocks(tmp_path, size=half, progress=False),
        pytest.raises(ValueError, match="with another"),
    ):
        study(**other)


def test_blocks_of_fewer_seeds_are_refused(tmp_path):
    with in_blocks(tmp_path, shard=(1, 2), size=2, progress=False):
        of_knees()
    with (
        in_blocks(tmp_path, progress=False),
        pytest.raises(ValueError, match=r"another seeds \(\[0, 1\], not \[0, 1, 2"),
    ):
        of_knees(seeds=3)


def test_what_memory_a_block_takes_is_told_before_it_is_made(tmp_path, capsys):
    for study, *_ in STUDIES.values():
        with in_blocks(tmp_path, dry_run=True):
            study()
    said = capsys.readouterr().out
    assert "0 of 4 cases are there already" in said
    assert said.count("are there already") == len(STUDIES)
    assert not list(tmp_path.iterdir())
