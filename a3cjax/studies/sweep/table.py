"""The sweep as text: a line for each law and delay."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from a3cjax.studies.frame.tables import DASH, interval, number, text_table

if TYPE_CHECKING:
    import xarray as xr

    from a3cjax.studies.sweep.result import DelayRow


def sweep_text(lines: Sequence["DelayRow"], curves: "xr.Dataset", confidence: float) -> str:
    """An aligned table; a dash stands where there is no number, or where the tried steps do not tell.

    The critical step is told in the critic's β, or in factors where the critic's step was not scaled.
    """
    critic = curves.attrs["scale"] != "actor"
    what = "β" if critic else "factor"
    header = [
        "law", f"{curves.attrs['delay_is']}\ndelay", "measured\nmean", "\nlargest", "best\nfactor", "\nJ there",
        f"\n{100 * confidence:g} %", f"stable\nup to {what}", f"diverging\nfrom {what}",
        *(["2 sin(π/(2(2τ+1)))\n/|λ|"] if critic else []),
    ]  # fmt: skip
    unit = float(curves.critic_step.values[0] / curves.step.values[0]) if critic else 1.0
    limits = dict(zip(curves.delay.values.tolist(), curves.stability_limit.values, strict=True))
    cells = []
    for line in lines:
        best = line.best
        told = (
            (DASH, DASH, DASH)
            if best is None
            else (
                f"{best.factor:g}",
                number(best.objective, ".4f"),
                interval(best.objective_low, best.objective_high, ".4f"),
            )
        )
        cells.append(
            (
                line.law,
                str(line.delay),
                number(line.mean_delay, ".2f"),
                str(line.max_delay),
                *told,
                *(number(unit * factor, ".4g") for factor in (line.stable_up_to, line.diverging_from)),
                *([number(limits[line.delay], ".4g") if np.isfinite(limits[line.delay]) else DASH] if critic else []),
            )
        )
    return text_table(header, cells)
