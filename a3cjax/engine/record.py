"""What is recorded, and when."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a3cjax._core import check

Metric = str | Callable[[Any], Any]

SCHEDULE_METRICS = ("mean_delay", "max_delay", "delay")


@dataclass(frozen=True)
class Record:
    """Record metrics of the state after updates n, 2n, 3n, …, or messages where a schedule averages them.

    Args:
        every: n, updates between records; None records about 100 times in a run.
        metrics: names of the learner's metrics (``A3C``: "objective", "gradient_norm_sq", "critic_error_sq",
            "regularized_objective"), "mean_delay" or "max_delay" (of the n updates before the record), "delay" (of the
            last of them), the learner's delay metrics (below), and functions of the state, which return a number, an
            array, or a dict or a tuple of them, any pytree; a function goes by its
            ``__name__``, or give a mapping from names to functions or names. None records what the learner has to
            say of its state, and "mean_delay". A message that is discarded (``Schedule.weight``) is part of all but the
            mean, which is NaN where none counts.

    A delay metric says what the delay τ_k has done to the last update k before the record, the one that made version
    k + 1. ``A3C`` has "critic_delay_error_sq" ‖g(x_k, ω_{k−τ_k}) − g(x_k, ω_k)‖² and "actor_delay_error_sq"
    ‖v(x̂_k, θ_{k−τ_k}, ω_{k−τ_k}) − v(x̂_k, θ_k, ω_k)‖², and the sizes of what was applied,
    "critic_direction_sq" ‖g(x_k, ω_{k−τ_k})‖² and "actor_direction_sq" ‖v(x̂_k, θ_{k−τ_k}, ω_{k−τ_k})‖²;
    ``QuadraticSGD`` has "delay_error_sq" ‖h ⊙ (x_{k−τ_k} − x_k)‖². With every=1 they are those of every update.
    Recording one changes no parameter; it costs time, and the mailbox then keeps the view behind each waiting message.

    What is exact of ``A3C`` is so up to rounding: in float32 about six digits, and of ω* fewer as γ → 1; see
    ``a3cjax.exact``.

    Memory is the number of records times the size of the metrics; it does not grow with the number of updates.

    Raises:
        ValueError: if ``every`` is not a positive whole number.

    >>> import a3cjax
    >>> record = a3cjax.Record(every=10, metrics={"largest_logit": lambda state: state.theta.max()})
    >>> of_every_update = a3cjax.Record(every=1, metrics=["delay", "critic_delay_error_sq", "actor_delay_error_sq"])
    """

    every: int | None = None
    metrics: Sequence[Metric] | Mapping[str, Metric] | None = None

    def __post_init__(self) -> None:
        if self.every is not None:
            object.__setattr__(self, "every", check.integer("every", self.every, 1))
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
        """Pairs (name, metric), each metric a name that exists or a function."""
        offered = (*learner.metric_names, *learner.worker_metric_names)
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
        for name, metric in chosen.items():
            known = (*offered, *learner.delay_metric_names, *SCHEDULE_METRICS)
            if isinstance(metric, str) and metric not in known:
                listed = ", ".join(known)
                raise ValueError(f"metrics names {metric!r}, which this learner does not have; it has {listed}.")
            if not isinstance(metric, str) and not callable(metric):
                raise ValueError(
                    f"metrics[{name!r}] is {metric!r}, but must be a metric's name or a function of the state."
                )
        return tuple(chosen.items())
