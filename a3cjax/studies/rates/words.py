"""What there is to say about slopes: whether they agree with the theorems, and how sure one can be of the averages."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from a3cjax.studies.frame.types import Dataset

RATE = -0.4  # with few delays


def verdict(rows: Sequence[Any], quantity: str) -> list[str]:
    """Whether the slopes of the last decade agree with the bounds that fall with K; nothing where none is known."""
    known = [row for row in rows if row.quantity == quantity and np.isfinite(row.tail_slope_low) and row.bound < 0]
    if not known:
        return []
    above = [row for row in known if row.tail_slope_low > row.bound]
    slopes = [row.tail_slope for row in known]
    reach = f"{min(slopes):.2f} to {max(slopes):.2f}" if len(known) > 1 else f"{slopes[0]:.2f}"
    said = f"{quantity}: where the bound falls with K, slopes of {reach} over the last decade; "
    if above:
        named = ", ".join(f"{row.sampling} {row.delay} ({row.tail_slope:.2f} > {row.bound:.2f})" for row in above)
        said += f"{len(above)} of {len(known)} lie above the bound: not consistent with it at these K for {named}."
    else:
        fast = sum(row.tail_slope_low <= RATE for row in known)
        said += (
            f"none of {len(known)} lies above the bound's exponent: consistent. {fast} of them reach {RATE:g} within "
            "their intervals."
        )
    return [said]


def limit_notes(curves: Dataset) -> list[str]:
    """For each constant delay the K whose critic's step it makes unstable."""
    if curves.attrs["delay_law"] != "constant" or "critic_step" not in curves:
        return []
    said = []
    beyond = curves.critic_step.values > curves.critic_limit.values
    for j in np.flatnonzero(beyond.any(1)):
        which = ", ".join(f"{count:,}" for count in curves.num_updates.values[beyond[j]])
        said.append(
            f"K_0 = {curves.delay.values[j]}, K = {which}: β is above the largest step that is stable under "
            "this delay in the mean (at the start), so the critic diverges until its projection stops it."
        )
    return said


def precision_notes(curves: Dataset) -> list[str]:
    """How exact the averages are, and how well the features fit."""
    said, error = [], curves.quadrature_error.values
    if np.isfinite(error).any():
        worst = np.nanmax(np.nanmean(error, axis=3)) if np.nanmax(error) else 0.0
        said.append(
            "Every update is in the averages."
            if not worst
            else f"Records lie up to {int(curves.spacing.max())} updates apart; without every second of them the "
            f"averages change by at most {worst:.1%}, on average over seeds."
        )
    missing = curves.approximation_error.values
    worst = np.nanmax(missing) if np.isfinite(missing).any() else 0.0
    if worst > 1e-3:
        said.append(
            f"The features do not represent the values: ε_app is up to {worst:.3g}, and the actor's average need "
            "not fall below a level O(ε_app)."
        )
    return said
