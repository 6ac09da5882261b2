from typing import Any

import jax
import numpy as np
import pytest

from a3cjax import families
from a3cjax.cli.commands import SpeedupOptions
from a3cjax.cli.groups import ProblemOptions, TeamOptions


def same(mdp, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(mdp), jax.tree.leaves(other), strict=True))


def test_every_family_is_built_as_asked():
    key = jax.random.key(3)
    assert same(ProblemOptions().build(), families.synthetic(jax.random.key(0)))
    garnet = ProblemOptions(mdp="garnet", states=6, actions=2, branching=3, features=4, stay=0.5, mdp_seed=3)
    assert same(garnet.build(), families.lazy(families.garnet(key, 6, 2, 3, 4), 0.5))
    ring = ProblemOptions(mdp="ring", states=6, slip=0.2, discount=0.8)
    assert same(ring.build(), families.ring(6, slip=0.2, discount=0.8))
    room = ProblemOptions(mdp="gridworld", height=2, width=3)
    assert same(room.build(), families.gridworld(2, 3))


def test_the_radius_not_given_is_the_papers_bound():
    # A ring where every policy that is the same everywhere is uniform: with tabular features and μ = 1/S,
    # A_θ = (γP − I)/S, symmetric for the uniform policy, with largest eigenvalue −(1 − γ)/S. r_max = 1.
    learner = SpeedupOptions(problem=ProblemOptions(mdp="ring", states=5, discount=0.8)).build_learner()
    assert learner.radius == pytest.approx(1 / ((0.2 / 5) ** 0.5 * 0.2), rel=1e-4)
    assert SpeedupOptions(problem=ProblemOptions(mdp="ring"), radius=3.0).build_learner().radius == 3


def test_every_law_is_built_as_asked(tmp_path):
    def law(name, **options) -> Any:
        return TeamOptions(compute_time=name, **options).build()(1)[0]

    (tmp_path / "times.csv").write_text("1.0\n3.0\n")
    assert law("exponential", mean=2.0).mean == 2
    assert law("deterministic").mean == 1
    assert law("lognormal", cv=0.2).cv == pytest.approx(0.2)
    assert law("gamma").cv == pytest.approx(0.5)
    assert law("pareto", shape=3.0).shape == 3
    assert law("uniform", low=1.0, high=2.0).mean == 1.5
    assert law("empirical", times_file=tmp_path / "times.csv").mean == 2
