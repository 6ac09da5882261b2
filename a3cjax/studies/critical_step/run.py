"""Finding the step at which a constant delay makes an iteration unstable, beside its closed form."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from a3cjax._core import check
from a3cjax.engine import Record, simulate
from a3cjax.engine.host import at_work
from a3cjax.problems import FiniteMDP
from a3cjax.schedules import Schedule
from a3cjax.schedules.delays import Constant
from a3cjax.studies.critical_step.result import CriticalStepStudy
from a3cjax.studies.critical_step.systems import System, systems
from a3cjax.studies.frame.beginning import begin
from a3cjax.studies.frame.study import StudyInterrupted, about
from a3cjax.studies.stability import critical_mode, stability_limit

if TYPE_CHECKING:
    import xarray as xr

DELAYS = (0, 1, 2, 3, 7, 15, 31)
_STEPS = 10  # tried on either side of the closed form


def critical_step(
    mdp: FiniteMDP,
    pi: ArrayLike | None = None,
    *,
    delays: Sequence[int] = DELAYS,
    resolution: float = 0.01,
    num_updates: int | None = None,
    progress: bool | None = None,
) -> CriticalStepStudy:
    """The critical step of delayed updates, measured and beside 2 sin(π/(2(2τ+1)))/|λ|.

    For each constant delay τ, steps around the closed form (``stability_limit``) are run in one batch, from
    (1 + resolution)^−9.5 to (1 + resolution)^9.5 times it. A run is unstable if the greatest ‖x‖² of its last quarter
    is above that of the quarter before. The critical step lies between the largest step up to which all are stable and
    the next.

    Four iterations are tried: gradient descent on a quadratic; the critic of ``A3C`` on a single state, where a sample
    is its mean; TD(0) with its mean update on ``mdp``; and the same round a cycle of five states, which has complex
    eigenvalues.

    Args:
        mdp: the problem of the third, and the discount of the second and the fourth.
        pi: its policy [S, A]; uniform if not given.
        delays: constant delays τ, in updates.
        resolution: ratio of neighbouring steps, less one; above 0, at most 0.1.
        num_updates: K, of every run; 1.3 (2τ + 1)/resolution for the largest τ if not given: half a grid step beyond
            its limit a run's ‖x‖² then grows by half between the quarters.
        progress: see ``simulate``.

    Raises:
        ValueError: if an argument is out of range.
        StudyInterrupted: on Ctrl-C, with the iterations that were done.

    >>> import a3cjax
    >>> study = a3cjax.studies.critical_step(a3cjax.families.ring(3), delays=(0, 2), resolution=0.1)
    >>> study.rows[0].closed_form, round(study.rows[1].closed_form, 4), 1.9 < study.rows[0].measured < 2.1
    (2.0, 0.618, True)
    """
    if not isinstance(mdp, FiniteMDP):
        raise ValueError(f"mdp must be an a3cjax.FiniteMDP, but is a {type(mdp).__name__}.")
    pi = np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions) if pi is None else np.asarray(pi)
    delays = tuple(sorted(check.integer(f"delays[{i}]", tau, 0) for i, tau in enumerate(delays)))
    if not delays or len(set(delays)) < len(delays):
        raise ValueError(f"delays is {list(delays)}; give one or more, each once.")
    check.number("resolution", resolution, above=0, most=0.1)
    if num_updates is None:
        num_updates = max(400, math.ceil(1.3 * (2 * delays[-1] + 1) / resolution))
    num_updates = check.integer("num_updates", num_updates, 8)
    tried = systems(mdp, pi)
    curves = _frame(tried, delays, resolution, num_updates)
    begin()
    with at_work("drawing schedules", progress):
        schedules = [Schedule.from_law(jax.random.key(0), Constant(tau), num_updates) for tau in delays]
        batch = Schedule.stack([schedule for schedule in schedules for _ in range(curves.sizes["factor"])])
    keys = jnp.broadcast_to(jax.random.key(0), (len(batch.delay),))
    for i, system in enumerate(tried):
        steps = jnp.asarray(curves.step.values[i].reshape(-1))
        record = Record(every=1, metrics={"energy": system.energy})
        try:
            result = simulate(
                system.build(steps), batch, keys, record=record, history="ring", throw=False, progress=progress
            )
        except KeyboardInterrupt as error:
            study = CriticalStepStudy.of(curves, interrupted=True)
            raise StudyInterrupted(f"Interrupted in {system.name!r}, the {i + 1}. of {len(tried)}.", study) from error
        energy = np.asarray(result.metrics["energy"], np.float64)
        curves["growth"].values[i] = _growth(energy).reshape(len(delays), -1)
    return CriticalStepStudy.of(curves)


def _growth(energy: np.ndarray) -> np.ndarray:
    """The greatest energy of the last quarter over that of the quarter before; 0 if all has died out."""
    quarter = energy.shape[-1] // 4
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        late, before = energy[:, -quarter:].max(-1), energy[:, -2 * quarter : -quarter].max(-1)
        ratio = np.where(late == 0, 0, late / before)
    return np.where(np.isfinite(ratio), ratio, np.inf)


def _frame(tried: Sequence[System], delays: tuple[int, ...], resolution: float, num_updates: int) -> "xr.Dataset":
    import xarray as xr  # here, because it brings pandas, which only a study needs

    factors = (1 + resolution) ** (np.arange(-_STEPS, _STEPS) + 0.5)
    limits = np.array([stability_limit(system.eigenvalues, delays) for system in tried])
    modes = np.array([critical_mode(system.eigenvalues, delays) for system in tried])
    for system, limit in zip(tried, limits, strict=True):
        if not (np.isfinite(limit) & (limit > 0)).all():
            raise ValueError(
                f"In {system.name!r} no step is stable: −A_θ has an eigenvalue whose real part is not positive. Choose "
                "features that are linearly independent on the states that the policy visits."
            )
    shape = (len(tried), len(delays), factors.size)
    return xr.Dataset(
        {
            "closed_form": (("system", "delay"), limits, about("critical step of the theory", "1")),
            "eigenvalue_real": (
                ("system", "delay"),
                np.real(modes),
                about("real part of the critical eigenvalue", "1"),
            ),
            "eigenvalue_imag": (("system", "delay"), np.imag(modes), about("its imaginary part", "1")),
            "step": (("system", "delay", "factor"), limits[..., None] * factors, about("step β tried", "1")),
            "growth": (
                ("system", "delay", "factor"),
                np.full(shape, np.nan),
                about("greatest energy of the last quarter over that of the quarter before", "1"),
            ),
        },
        coords={
            "system": ("system", [system.name for system in tried], {"long_name": "iteration"}),
            "delay": ("delay", list(delays), about("constant delay τ", "updates")),
            "factor": ("factor", factors, about("step over the closed form", "1")),
        },
        attrs={
            "title": "Critical step of delayed linear iterations",
            "resolution": resolution,
            "num_updates": num_updates,
        },
    )
