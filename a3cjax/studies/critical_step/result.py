"""The critical steps found, each between two steps that were tried."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from a3cjax.studies.frame.study import Study, about
from a3cjax.studies.frame.tables import interval, number, text_table

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class CriticalStepRow:
    """One line of ``critical-step.csv``.

    ``measured`` is half-way, as a ratio, between ``stable``, up to which all steps tried were stable, and
    ``unstable``, the next; NaN where the steps tried do not tell. ``ratio``: measured over closed form.
    """

    system: str
    delay: int
    eigenvalue_real: float
    eigenvalue_imag: float
    closed_form: float
    measured: float
    stable: float
    unstable: float
    ratio: float


@dataclasses.dataclass(frozen=True)
class CriticalStepStudy(Study):
    """The outcome of ``critical_step``.

    ``curves``: an ``xarray.Dataset`` over (system, delay, factor). ``rows``: a ``CriticalStepRow`` for each system and
    delay. ``interrupted``: whether Ctrl-C ended the study early.
    """

    name: ClassVar[str] = "critical-step"

    curves: "xr.Dataset"
    rows: tuple[CriticalStepRow, ...]
    interrupted: bool = False

    @classmethod
    def of(cls, curves: "xr.Dataset", *, interrupted: bool = False) -> "CriticalStepStudy":
        """Find where growth begins."""
        growth = curves.growth.values
        unstable = growth > 1
        curves = curves.assign(
            unstable=(curves.growth.dims, unstable.astype(np.int8), about("1 if unstable, else 0", "1"))
        )
        rows = []
        for i, j in np.ndindex(*growth.shape[:2]):
            steps, first = curves.step.values[i, j], int(unstable[i, j].argmax())
            bracketed = first > 0  # 0 also where none is unstable, or nothing was done
            low, high = (float(steps[first - 1]), float(steps[first])) if bracketed else (np.nan, np.nan)
            limit = float(curves.closed_form.values[i, j])
            rows.append(
                CriticalStepRow(
                    system=str(curves.system.values[i]),
                    delay=int(curves.delay.values[j]),
                    eigenvalue_real=float(curves.eigenvalue_real.values[i, j]),
                    eigenvalue_imag=float(curves.eigenvalue_imag.values[i, j]),
                    closed_form=limit,
                    measured=float(np.sqrt(low * high)),
                    stable=low,
                    unstable=high,
                    ratio=float(np.sqrt(low * high)) / limit,
                )
            )
        return cls(curves, tuple(rows), interrupted)

    def summary(self) -> str:
        """How far measured steps are from the closed form."""
        ratios = np.array([row.ratio for row in self.rows])
        told = ratios[np.isfinite(ratios)]
        if not told.size:
            return "No critical step was found among the steps tried."
        return (
            f"x_(k+1) = x_k − β H x_(k−τ), {self.curves.attrs['num_updates']:,} updates for each step: the "
            f"{told.size} critical steps found are {told.min():.3f} to {told.max():.3f} times the closed form, with "
            f"steps {self.curves.attrs['resolution']:.1%} apart."
        )

    def notes(self) -> list[str]:
        """What a reader of the rows must know."""
        said = ["The closed form is 2 sin((π/2 − |arg λ|)/(2τ+1))/|λ|, for a real λ 2 sin(π/(2(2τ+1)))/λ."]
        if self.interrupted:
            said.append("The study was interrupted; what was not done is a dash.")
        missing = [row for row in self.rows if not np.isfinite(row.measured)]
        if missing and not self.interrupted:
            first = missing[0]
            said.append(
                f"{len(missing)} critical steps were not bracketed by the steps tried, the first for "
                f"{first.system!r} at delay {first.delay}; a larger resolution reaches further, more updates see more."
            )
        return said

    def table(self) -> str:
        """The rows as text."""
        header = [
            "iteration", "delay", "critical\neigenvalue", "closed\nform", "measured", "between", "measured /\nclosed",
        ]  # fmt: skip
        lines = [
            (
                row.system,
                str(row.delay),
                f"{row.eigenvalue_real:.4f}" + (f" ± {abs(row.eigenvalue_imag):.4f}i" if row.eigenvalue_imag else ""),
                number(row.closed_form, ".6f"),
                number(row.measured, ".4f"),
                interval(row.stable, row.unstable, ".4f"),
                number(row.ratio, ".3f"),
            )
            for row in self.rows
        ]
        return text_table(header, lines)

    def figure(self) -> "Figure":
        """Critical steps against delay beside the closed form, and their ratio."""
        from a3cjax.studies.critical_step.figure import critical_figure  # only those who draw wait for matplotlib

        return critical_figure(self.curves, self.rows)
