"""Speedup against workers on several MDPs and with several steps."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from a3cjax._core import check
from a3cjax.learners import A3C
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.study import StudyInterrupted, about
from a3cjax.studies.gap import objective_gap
from a3cjax.studies.knee.result import KneeStudy
from a3cjax.studies.speedup import speedup
from a3cjax.studies.speedup.run import check_arguments

if TYPE_CHECKING:
    import xarray as xr


def knee(
    learners: Mapping[str, A3C],
    *,
    factors: Sequence[float] = (0.25, 0.5, 1.0),
    workers: Sequence[int] = (1, 16, 64, 256, 1024),
    sampling: Literal["markov", "iid"] = "markov",
    seeds: int = 8,
    num_updates: int = 40_000,
    target: float = 0.8,
    threshold: float = 0.5,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> KneeStudy:
    """N*, the largest number of workers at which the efficiency speedup(N)/N is still at least ``threshold``.

    Each learner, with its actor's step multiplied by each factor, goes through ``speedup``. The efficiency is
    ū(1)/ū(N), with ū the mean over seeds of the updates to the target; N* lies where it last crosses the threshold,
    interpolated linearly in log N. Its interval reaches over the N whose efficiency Student's t cannot tell from the
    threshold, by the delta method for log ū. A run that never met the target is taken to meet it at the last update, so
    that the efficiency is at most what is shown, and N* too.

    Learners of equal shapes share one compiled program, whatever their numbers.

    Args:
        learners: a name and an ``A3C`` for each problem; the actor's step must be a number.
        factors: what the actor's step is multiplied by.
        workers: numbers N; 1 must be among them, and one more at least.
        sampling: "markov" or "iid".
        seeds: runs for each N, at least 2.
        num_updates: K; more than 1/threshold times what one worker needs, or the knee cannot be seen.
        target: share of J* − J(θ_0) to close.
        threshold: the efficiency at the knee, between 0 and 1.
        confidence: coverage of the intervals over seeds.
        seed: of all randomness.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with the MDPs and steps that were done.

    >>> import a3cjax, jax
    >>> mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=5, num_features=5)
    >>> learner = a3cjax.A3C(mdp, actor_step=0.5, critic_step=0.1)
    >>> few = dict(factors=(1,), workers=(1, 2), seeds=3, num_updates=2000)
    >>> study = a3cjax.studies.knee({"dense": learner}, **few)
    >>> study.rows[0].knee, study.rows[0].largest  # still efficient with 2
    (inf, 2)
    """
    for name, learner in learners.items():
        if not isinstance(learner, A3C):
            raise ValueError(f"learners[{name!r}] must be an a3cjax.A3C, but is a {type(learner).__name__}.")
        if callable(learner.actor_step) or np.ndim(learner.actor_step):
            raise ValueError(
                f"The actor_step of learners[{name!r}] must be one number, to be multiplied by the factors."
            )
    factors = tuple(sorted(float(factor) for factor in factors))
    for what, given in (("learners", learners), ("factors", factors)):
        if not given or len(set(given)) < len(given):
            raise ValueError(f"{what} is {list(given)}; give one or more, each once.")
    check.number("factors", factors, above=0)
    check.choice("sampling", sampling, ("markov", "iid"))
    check.integer("seeds", seeds, 2)
    check.number("threshold", threshold, above=0, below=1)
    check.number("confidence", confidence, above=0, below=1)
    numbers = tuple(sorted(check.integer(f"workers[{i}]", n, 1) for i, n in enumerate(workers)))
    if len(set(numbers)) < 2 or numbers[0] != 1:
        raise ValueError(f"workers is {list(numbers)}, but must hold 1 and at least one greater number.")
    options: Any = dict(sampling=[sampling], seeds=seeds, num_updates=num_updates, target=target, seed=seed)
    check_arguments(workers=numbers, record_every=None, confidence=confidence, **options)
    for learner in learners.values():
        objective_gap(learner)
    begin()
    curves = _frame(learners, factors, numbers, sampling, seeds, num_updates, threshold, target)
    for i, (name, learner) in enumerate(learners.items()):
        for j, factor in enumerate(factors):
            step: Any = float(learner.actor_step) * factor
            scaled = dataclasses.replace(learner, actor_step=step)
            try:
                found = speedup(scaled, workers=numbers, progress=progress, **options)
            except KeyboardInterrupt as error:
                study = KneeStudy.of(curves, confidence, interrupted=True)
                raise StudyInterrupted(f"Interrupted in {name} with α = {step:g}.", study) from error
            curves["updates_to_target"].values[i, j] = found.curves.updates_to_target.values[0]
            curves["done"].values[i, j] = 1
    return KneeStudy.of(curves, confidence)


def _frame(
    learners: Mapping[str, A3C], factors: tuple[float, ...], workers: tuple[int, ...], sampling: str, seeds: int,
    num_updates: int, threshold: float, target: float,
) -> "xr.Dataset":  # fmt: skip
    import xarray as xr  # here, because it brings pandas, which only a study needs

    shape = (len(learners), len(factors), len(workers), seeds)
    own = np.array([float(learner.actor_step) for learner in learners.values()])
    critic = [np.nan if callable(x.critic_step) else float(x.critic_step) for x in learners.values()]
    return xr.Dataset(
        {
            "updates_to_target": (
                ("problem", "step", "workers", "seed"),
                np.full(shape, np.nan),
                about("updates to the target; nan: never met", "updates"),
            ),
            "done": (("problem", "step"), np.zeros(shape[:2], np.int8), about("1 if it was run, else 0", "1")),
            "actor_step": (("problem", "step"), own[:, None] * factors, about("step α of the actor", "1")),
            "critic_step": ("problem", critic, about("step β of the critic", "1")),
            "relaxation_time": (
                "problem",
                [_relaxation(learner) for learner in learners.values()],
                about("1/(1 − Re λ_2) of the chain under the start's policy", "steps"),
            ),
        },
        coords={
            "problem": ("problem", list(learners), {"long_name": "MDP"}),
            "step": ("step", list(factors), about("factor on the actor's step", "1")),
            "workers": ("workers", list(workers), about("number of workers N", "1")),
            "seed": ("seed", np.arange(seeds), about("seed", "1")),
        },
        attrs={
            "title": "Where linear speedup breaks",
            "sampling": sampling,
            "num_updates": num_updates,
            "threshold": threshold,
            "target_share": target,
        },
    )


def _relaxation(learner: A3C) -> float:
    pi = np.asarray(learner.policy.probabilities(learner.theta), np.float64)
    kernel = (pi[:, :, None] * np.asarray(learner.mdp.transition, np.float64)).sum(1)
    second = np.sort(np.linalg.eigvals(kernel).real)[-2] if len(kernel) > 1 else 0.0
    return float(np.inf if second > 1 - 1e-9 else 1 / (1 - second))
