"""What a study's runs have to meet, by any metric of any learner: where it starts, the optimum, and the target."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from a3cjax._core import check
from a3cjax.learners import A3C
from a3cjax.learners.wrapped import adopted
from a3cjax.problems import exact
from a3cjax.studies.frame.crossing import Crossing, first_crossing
from a3cjax.studies.frame.runs import distinct_samplings
from a3cjax.studies.frame.types import Dataset

AS_GIVEN = "as given"  # the sampling of a learner that has no such field


class Target(NamedTuple):
    """A metric's value at the start, at the optimum (NaN if that is not known) and at the target.

    ``share``: how much of the gap from the start to the optimum the target closes.
    """

    metric: str
    start: float
    optimum: float
    value: float
    share: float

    def attributes(self, learner: Any) -> dict[str, Any]:
        """What a dataset says of it."""
        known = {"initial": self.start, "optimal": self.optimum, "target": self.value}
        told = {f"{which}_{self.metric}": value for which, value in known.items()} | {"target_share": self.share}
        return told if _is_exact(learner, self.metric) else told | {"metric": self.metric}

    def met_by(self, result: Any) -> tuple[np.ndarray, Crossing]:
        """Where each run of a batch [B] first meets it, among the start and then the records; the updates at these.

        What a run says from the record on at which it was lost means nothing.
        """
        updates = np.append(0, np.asarray(result.updates))
        values, lost = np.asarray(result.metrics[self.metric], np.float64), np.asarray(result.nonfinite_from)[:, None]
        known = np.where((lost >= 0) & (updates[1:] >= lost), np.nan, values)
        curves = np.concatenate([np.full((len(known), 1), self.start), known], axis=1)
        return updates, _crossing(curves, self.start, self.value)


def find_target(learner: Any, metric: str, share: float, value: float | None = None) -> Target:
    """The target ``value``, or what closes a ``share`` of the gap from the start to the optimum.

    The optimum is asked from the learner, by ``optimum(metric)``.

    Raises:
        ValueError: if the learner has no such metric, its optimum is needed and not known, or there is no gap.

    >>> import a3cjax
    >>> find_target(a3cjax.QuadraticSGD([1.0], step=0.1), "distance_sq", 0.8, value=0.25).start
    1.0
    """
    check.number("target", share, above=0, most=1)
    start, optimum = initial_value(learner, metric), adopted(learner).optimum(metric)
    if math.isnan(start):
        raise ValueError(
            f"The start has {metric} = nan, which comes to no target; look at what {type(learner).__name__} measures."
        )
    if value is not None:
        check.number("target_value", value)
        if value == start:
            raise ValueError(f"target_value is {value:g}, which the start has already; give another.")
        return Target(metric, start, optimum, float(value), (value - start) / (optimum - start))
    kind = type(learner).__name__
    if math.isnan(optimum):
        raise ValueError(
            f"target is a share of the way to the optimum, but {kind} does not say what the best {metric} is; give "
            f"target_value, a {metric} to be met, or give {kind} a method optimum(metric)."
        )
    if abs(optimum - start) <= 1e-5 * max(abs(optimum), abs(start)) or (_is_exact(learner, metric) and optimum < start):
        if not _is_exact(learner, metric):
            raise ValueError(f"The start has {metric} = {start:.6g}, the optimum already; there is nothing to learn.")
        raise ValueError(
            f"The start already has J(θ_0) = {start:.6g}, and no policy has more than J* = {optimum:.6g}, so there is "
            "nothing to learn; choose another MDP."
        )
    return Target(metric, start, optimum, start + share * (optimum - start), share)


def initial_value(learner: Any, metric: str) -> float:
    """A metric before the first update."""
    check_metrics(learner, (metric,))
    if _is_exact(learner, metric):
        return float(exact.evaluate_policy(learner.mdp, learner.policy, learner.theta).objective)
    key = jax.random.key(0)
    return float(learner.measure(learner.init(key), (metric,), key)[metric])


def check_metrics(learner: Any, metrics: Sequence[str]) -> None:
    """Refuse a learner that does not have them all.

    >>> import a3cjax
    >>> check_metrics(a3cjax.QuadraticSGD([1.0], step=0.1), ["gap"])
    Traceback (most recent call last):
    ValueError: learner is a QuadraticSGD, which has no metric 'gap', but objective, distance_sq; name one of these.
    """
    offered = tuple(getattr(learner, "metric_names", ()))
    for metric in metrics:
        if metric not in offered:
            known = f"but {', '.join(offered)}; name one of these" if offered else "nor any other; give it metric_names"
            raise ValueError(f"learner is a {type(learner).__name__}, which has no metric {metric!r}, {known}.")


def by_sampling(learner: Any, sampling: str | Sequence[str]) -> dict[str, Any]:
    """The learner with each sampling that is asked for; one that has no such field as it is.

    Raises:
        ValueError: if that is asked for a sampling, or one is not known.
    """
    if hasattr(learner, "sampling"):
        return {name: dataclasses.replace(learner, sampling=name) for name in distinct_samplings(sampling)}
    if sampling != "both":
        raise ValueError(f"sampling is {sampling!r}, but {type(learner).__name__} has no field sampling; leave it out.")
    return {AS_GIVEN: learner}


def step_fields(learner: Any) -> tuple[str, ...]:
    """The learner's step sizes: its fields that may be one for each run and whose names end in "step".

    Raises:
        ValueError: if it has none, or one is no number.
    """
    names = tuple(name for name in getattr(learner, "run_scalars", ()) if name.endswith("step"))
    if not names:
        raise ValueError(
            f"learner is a {type(learner).__name__}, which has no step size to be multiplied; put a field whose name "
            "ends in 'step' among its run_scalars."
        )
    for name in names:
        step = getattr(learner, name)
        if step is None or callable(step) or np.ndim(step):
            raise ValueError(f"the learner's {name} must be one number here, for the study multiplies it.")
    return names


def titled(curves: Dataset, learner: Any) -> Dataset:
    """The dataset, whose title speaks of the learner if that is no actor-critic."""
    if not isinstance(learner, A3C):
        curves.attrs["title"] = curves.attrs["title"].replace("advantage actor-critic", type(learner).__name__)
    return curves


def metric_of(attributes: Mapping[str, Any]) -> str:
    """The metric that a dataset's levels are of."""
    return attributes.get("metric", "objective")


def levels(attributes: Mapping[str, Any]) -> dict[str, float]:
    """The levels of the metric that a study speaks of, by name."""
    metric = metric_of(attributes)
    names = (f"initial_{metric}", f"optimal_{metric}", f"target_{metric}", "target_share")
    return {name: float(attributes[name]) for name in names}


def target_sentence(attributes: Mapping[str, Any]) -> str:
    """Where the runs start, what the optimum is, and what they have to meet."""
    start, optimum, value, share = levels(attributes).values()
    if "metric" not in attributes:
        return (
            f"At the start J(θ_0) = {start:.4f}; the optimum is J* = {optimum:.4f}. The target J = {value:.4f} closes "
            f"{share:.0%} of the gap."
        )
    said = f"At the start {metric_of(attributes)} = {start:.4g}; the target is {value:.4g}"
    return said + ("." if math.isnan(share) else f", {share:.0%} of the way to the optimum {optimum:.4g}.")


def target_crossing(curves: Dataset) -> Crossing:
    """Where each curve of a dataset's metric first meets the target, from the side on which it starts."""
    metric = metric_of(curves.attrs)
    start = curves.attrs.get(f"initial_{metric}", -math.inf)
    return _crossing(curves[metric].values, start, curves.attrs[f"target_{metric}"])


def _crossing(curves: np.ndarray, start: float, value: float) -> Crossing:
    side = -1.0 if value < start else 1.0
    return first_crossing(side * curves, side * value)


def _is_exact(learner: Any, metric: str) -> bool:
    """Whether the metric is J of an actor-critic, whose start and optimum are solved for."""
    return isinstance(learner, A3C) and metric == "objective"
