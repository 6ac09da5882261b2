"""What is recorded, and when."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a3cjax import _check

Metric = str | Callable[[Any], Any]

SCHEDULE_METRICS = ("mean_delay", "max_delay")


@dataclass(frozen=True)
class Record:
    """Record metrics of the state after updates n, 2n, 3n, …, or messages where a schedule averages them.

    Args:
        every: n, updates between records; None records about 100 times in a run.
        metrics: names of the learner's metrics (``A3C``: "objective", "gradient_norm_sq", "critic_error_sq",
            "regularized_objective"), "mean_delay" or "max_delay" (of the n updates before the record), and functions
            ``state -> array``; a function goes by its ``__name__``, or give a mapping from names to functions or
            names. None records what the learner has to offer, and "mean_delay".

    Memory is the number of records times the size of the metrics; it does not grow with the number of updates.

    Raises:
        ValueError: if ``every`` is not a positive whole number.

    >>> import a3cjax
    >>> record = a3cjax.Record(every=10, metrics={"largest_logit": lambda state: state.theta.max()})
    """

    every: int | None = None
    metrics: Sequence[Metric] | Mapping[str, Metric] | None = None

    def __post_init__(self) -> None:
        if self.every is not None:
            object.__setattr__(self, "every", _check.integer("every", self.every, 1))
        if isinstance(self.metrics, str):
            raise ValueError(
                f"metrics is the string {self.metrics!r}; give a sequence of names such as [{self.metrics!r}]."
            )

    def spacing(self, num_updates: int) -> int:
        """n for a run of ``num_updates``; a spacing that would record nothing is refused."""
        if self.every is None:
            return max(1, num_updates // 100)
        if self.every > num_updates:
            raise ValueError(
                f"every is {self.every}, but the schedule has {num_updates} updates, so nothing would be recorded; "
                f"use at most {num_updates}."
            )
        return self.every

    def resolve(self, learner: Any) -> tuple[tuple[str, Metric], ...]:
        """Pairs (name, how), each ``how`` a name that exists or a function."""
        offered = tuple(getattr(learner, "metric_names", ()))
        if self.metrics is None:
            chosen: Any = {name: name for name in (*offered, "mean_delay")}
        elif isinstance(self.metrics, Mapping):
            chosen = dict(self.metrics)
        else:
            chosen = {}
            for position, metric in enumerate(self.metrics):
                name = metric if isinstance(metric, str) else getattr(metric, "__name__", "")
                if not name:
                    raise ValueError(f"metrics[{position}] has no __name__; give a mapping from names to functions.")
                if name in chosen:
                    raise ValueError(f"metrics[{position}] is {name!r} a second time; give a mapping with other names.")
                chosen[name] = metric
        for name, how in chosen.items():
            known = (*offered, *SCHEDULE_METRICS)
            if isinstance(how, str) and how not in known:
                listed = ", ".join(known)
                raise ValueError(f"metrics names {how!r}, which this learner does not have; it has {listed}.")
            if not isinstance(how, str) and not callable(how):
                raise ValueError(
                    f"metrics[{name!r}] is {how!r}, but must be a metric's name or a function of the state."
                )
        return tuple(chosen.items())
