"""How much sooner networks come to a return: what is counted, by hand, and the commands on CartPole and MinAtar."""

import csv
import importlib
import shlex
import sys
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax import environments, studies
from a3cjax.cli.commands import COMMANDS
from a3cjax.cli.process import main


class Climbing(a3cjax.AbstractLearner):
    """x ← x + ½ (1 − x), each update of 4 samples; the return of an episode is 200 x."""

    environment: Any = a3cjax.static()
    start: Any
    metric_names = ("episode_return",)
    rollout = 4

    def init(self, key):
        return self.start

    def init_worker(self, key):
        return ()

    def view(self, state):
        return state

    def propose(self, view, worker_state, key):
        return 0.5 * (1 - view), worker_state

    def apply(self, state, message, delay, stale=None):
        return state + message

    def measure(self, state, names, key):
        return {"episode_return": 200 * state}


def climbed(name, start=0.0, **options):
    learner = Climbing(SimpleNamespace(name=name), jnp.float32(start))
    given: Any = {"workers": (1, 2), "seeds": 2, "num_updates": 20, "record_every": 1} | options
    return studies.speedup_to_return(learner, compute_times=a3cjax.compute_times.Deterministic(1.0), **given)


def test_samples_and_time_to_a_return():
    """Alone 200 (1 − 2^(−k)): 193.75 after 5 updates, 196.875 after 6, so 195 is met after 5.4, each of a unit of time.

    Two workers: both first messages are ½, so 100 after one update and 200 after two, and both land at time 1: the
    target is met after 1.95 updates, at time 1.
    """
    one, two = climbed("CartPole").rows
    assert (one.environment, one.speedup, one.time_speedup, one.paper, one.paper_time) == ("CartPole", 1, 1, 1, 1)
    assert (one.updates_to_target, one.samples_per_worker) == pytest.approx((5.4, 4 * 5.4))
    assert (two.updates_to_target, two.samples_per_worker) == pytest.approx((1.95, 4 * 1.95 / 2))
    assert (one.time_to_target, two.time_to_target) == pytest.approx((5.4, 1.0))
    assert (two.speedup, two.speedup_low, two.speedup_high) == pytest.approx((2 * 5.4 / 1.95,) * 3)
    assert (two.time_speedup, two.time_speedup_low, two.time_speedup_high) == pytest.approx((5.4,) * 3)
    assert (two.paper, two.paper_time, two.reached) == (1.97, 2.06, 2)


def test_the_papers_figures_stand_where_it_has_some():
    study = climbed("Breakout-MinAtar", workers=(1, 16), seeds=1)
    assert study.rows[1].paper == 15.8
    assert np.isnan(study.rows[1].paper_time)
    assert study.curves.sampling.values == ["Breakout-MinAtar"]
    assert "The paper's speedup is of Atari's Breakout." in study.summary()
    assert np.isnan(climbed("Walk").rows[1].paper)


def test_what_is_not_met_is_said():
    study = climbed("Walk", target_value=300.0, num_updates=40)
    assert study.summary() == (
        "Walk: at the start an episode's return is 0; the target is 300. After 40 updates of 4 samples it is 200 on "
        "average over all runs, 200 in the worst."
    )
    assert study.notes() == [
        "Walk: no run met the target in 40 updates. More updates or a lower target will tell.",
    ]
    assert [row.reached for row in study.rows] == [0, 0]
    labels = [text.get_text() for text in study.figure().axes[1].get_legend().get_texts()]  # type: ignore[union-attr]
    assert labels == ["ideal: N", "target not met by every run"]
    assert "The target is below the return at the start" in climbed("Walk", start=0.5, target_value=50.0).notes()[-1]


def test_a_return_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"The start has episode_return = nan, .*; look at what Climbing measures"):
        climbed("Walk", start=float("nan"))
    with pytest.raises(ValueError, match="QuadraticSGD, which has no metric 'episode_return', but objective"):
        studies.speedup_to_return(a3cjax.QuadraticSGD([1.0], step=0.1))


def test_ctrl_c_keeps_the_curves_under_the_environments_name(monkeypatch):
    frame: Any = importlib.import_module("a3cjax.studies.frame.runs")
    simulate = frame.simulate

    def stopped(learner, schedule, key, **options):
        raise a3cjax.Interrupted("stopped", simulate(learner, schedule[:10], key, **options))

    monkeypatch.setattr(frame, "simulate", stopped)
    with pytest.raises(studies.StudyInterrupted, match="Interrupted in the runs after 10 of 20 updates") as caught:
        climbed("Walk")
    study: Any = caught.value.study
    assert study.interrupted
    assert [row.environment for row in study.rows] == ["Walk", "Walk"]
    assert study.rows[1].speedup == pytest.approx(2 * 5.4 / 1.95)
    assert "After 10 updates" in study.summary()


def test_the_command_on_cartpole(tmp_path, capsys, monkeypatch):
    """It builds what it says; and here, where that would be trained, climbs, which takes no time to compile."""
    group = type(COMMANDS["speedup-cartpole"]().network)
    learner = COMMANDS["speedup-cartpole"](
        network=group(hidden=(4, 3), rollout=7, trace=0.5, episodes=2)
    ).build_learner()
    assert isinstance(learner.environment, environments.CartPole)
    assert (learner.network.hidden, learner.network.shared) == ((4, 3), False)
    assert (learner.rollout, learner.trace, learner.discount, learner.evaluation_episodes) == (7, 0.5, 0.99, 2)
    climbing = Climbing(SimpleNamespace(name="CartPole"), jnp.float32(0))
    monkeypatch.setattr(group, "build", lambda self, environment: climbing)
    command = (
        "speedup-cartpole --workers 1 2 --seeds 2 --updates 20 --record-every 1 --compute-time deterministic --out"
    )
    assert main([*shlex.split(command), str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Simulating 2 seeds × N = 1, 2 workers × 20 updates ...\n")
    (two,) = [line.split() for line in said.splitlines() if line.split()[:2] == ["CartPole", "2"]]
    assert [word for word in two if word in ("1.97", "2.06")] == ["1.97", "2.06"]
    with (tmp_path / "speedup.csv").open() as file:
        assert [(row["environment"], row["workers"], row["reached"]) for row in csv.DictReader(file)] == [
            ("CartPole", "1", "2"),
            ("CartPole", "2", "2"),
        ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "speedup.csv", "speedup.nc", "speedup.png"]


def test_the_command_of_minatar(monkeypatch, tmp_path, capsys):
    """Without its library it says what to install; with one, for which CartPole stands here, it builds what it says."""
    monkeypatch.setitem(sys.modules, "gymnax", None)  # as if it were not installed
    assert main(["speedup-minatar", "--game", "seaquest", "--out", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert "Gymnax('Seaquest-MinAtar') needs gymnax, which cannot be imported" in error
    assert "pip install 'a3cjax[gymnax]'" in error
    assert not (tmp_path / "none").exists()
    games = []
    monkeypatch.setattr(environments, "MinAtar", lambda game: games.append(game) or environments.CartPole())
    learner = COMMANDS["speedup-minatar"](game="asterix").build_learner()
    assert games == ["asterix"]
    assert (learner.network.hidden, learner.network.shared) == ((128,), False)
