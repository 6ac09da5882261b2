"""Averages over the updates of a run from what was recorded of it, exact where every update was."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from a3cjax._xla.compiler import quickly_compiled
from a3cjax.engine import Record, Result
from a3cjax.learners import A3C
from a3cjax.problems import FiniteMDP, exact
from a3cjax.studies.frame.target import initial_value

_POINTS = 4096  # evaluated at once
LAWS = ("error_mu", "error_d")


def average_weights(num_updates: int, spacing: int) -> Float[np.ndarray, " R"]:
    """Weights of the values at 0, n, 2n, …, Rn whose sum is (1/K) Σ_{k=1}^{K}, linear between records.

    After the last record, less than n updates before the end, the value stays.

    >>> average_weights(num_updates=4, spacing=1).tolist()
    [0.0, 0.25, 0.25, 0.25, 0.25]
    >>> average_weights(num_updates=4, spacing=2).tolist()  # f(1) is (f(0) + f(2)) / 2
    [0.125, 0.5, 0.375]
    """
    records = num_updates // spacing
    weights = np.full(records + 1, float(spacing))
    # Σ_{k=1}^{n} of a line from f(0) to f(n) is n (f(0) + f(n)) / 2 + (f(n) − f(0)) / 2.
    weights[0] = (spacing - 1) / 2
    weights[-1] = (spacing + 1) / 2 + num_updates - records * spacing
    return weights / num_updates


def is_exact(learner: Any) -> bool:
    """Whether the metrics are evaluated after the run, for many parameters at once, as ω* and ∇J_λ are best."""
    return isinstance(learner, A3C) and isinstance(learner.mdp, FiniteMDP)


def recorded(learner: Any, metrics: Sequence[str], every: int) -> Record:
    """What ``curves_of`` has to be given of a run: the metrics, or the parameters that they are functions of."""
    return Record(every=every, metrics=[_theta, _omega] if is_exact(learner) else tuple(metrics))


def curves_of(learner: Any, metrics: Sequence[str], result: Result) -> dict[str, Float[np.ndarray, "runs R"]]:
    """The metrics at the start and at every record; of an exact learner ε_app under μ and under d, too."""
    if not is_exact(learner):
        found = {name: np.asarray(result.metrics[name], np.float64) for name in metrics}
        starts = {name: np.full((len(curve), 1), initial_value(learner, name)) for name, curve in found.items()}
        return {name: np.concatenate([starts[name], curve], axis=1) for name, curve in found.items()}
    tables = (
        np.concatenate([np.broadcast_to(start, (table.shape[0], 1, *start.shape)), table], axis=1)
        for start, table in (
            (np.asarray(learner.theta), np.asarray(result.metrics["_theta"])),
            (np.asarray(learner.omega), np.asarray(result.metrics["_omega"])),
        )
    )
    return _evaluate(learner, tuple(metrics), *tables)


def _theta(state: Any) -> Any:
    return state.theta


def _omega(state: Any) -> Any:
    return state.omega


@partial(quickly_compiled, static_argnums=1)
def _measure(learner: A3C, metrics: tuple[str, ...], theta: Any, omega: Any) -> dict[str, Any]:
    """The metrics at many parameters, and ε_app there under μ and under d."""

    def one(theta, omega):
        state = learner.init(jax.random.key(0))._replace(theta=theta, omega=omega)
        error = exact.approximation_error(learner.mdp, learner.policy.probabilities(theta))
        return learner.measure(state, metrics) | {"error_mu": error[0], "error_d": error[1]}

    return jax.vmap(one)(theta, omega)


def _evaluate(learner: A3C, metrics: tuple[str, ...], theta: np.ndarray, omega: np.ndarray) -> dict[str, np.ndarray]:
    """``_measure`` of parameters [runs, R, ...], a fixed number at a time so that it is compiled once."""
    runs = theta.shape[:2]
    flat = [table.reshape(-1, *table.shape[2:]) for table in (theta, omega)]
    parts = []
    for first in range(0, flat[0].shape[0], _POINTS):
        block = [table[first : first + _POINTS] for table in flat]
        some = block[0].shape[0]
        full = [np.concatenate([table, np.repeat(table[-1:], _POINTS - some, axis=0)]) for table in block]
        found = _measure(learner, metrics, *full)
        parts.append({name: np.asarray(x, np.float64)[:some] for name, x in found.items()})
    return {name: np.concatenate([part[name] for part in parts]).reshape(runs) for name in parts[0]}
