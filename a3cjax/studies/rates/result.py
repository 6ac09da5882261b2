"""What the study of rates found: averages for each K, slopes, and what there is to say about them."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from a3cjax.studies.frame.statistics import OF_MEANS, OF_SLOPES, about_intervals, mean_interval, power_law
from a3cjax.studies.frame.study import Study, about
from a3cjax.studies.rates.table import rates_text

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

RATE = -0.4  # with few delays
QUANTITIES = {"critic": "critic_error_sq", "actor": "gradient_norm_sq"}


@dataclasses.dataclass(frozen=True)
class RatesRow:
    """One line of ``rates.csv``: the averages of one quantity, sampling and delay; NaN where a run was lost.

    ``bound``: the exponent that the theorem promises, but for logarithms. ``slope``: over all K; ``tail_slope``: over
    the last decade. ``last``: the mean average at the greatest K.
    """

    quantity: str
    sampling: str
    delay: str
    max_delay: int
    bound: float
    slope: float
    slope_low: float
    slope_high: float
    tail_slope: float
    tail_slope_low: float
    tail_slope_high: float
    last: float
    last_low: float
    last_high: float


@dataclasses.dataclass(frozen=True)
class RatesStudy(Study):
    """The outcome of ``rates``.

    ``curves``: an ``xarray.Dataset`` over (sampling, delay, num_updates, seed): the averages ``critic_error_sq`` and
    ``gradient_norm_sq``, with their intervals over seeds, local slopes between neighbouring K, and how exact they are.
    ``rows``: a ``RatesRow`` for each quantity, sampling and delay. ``confidence``: coverage of the intervals.
    """

    name: ClassVar[str] = "rates"

    curves: "xr.Dataset"
    rows: tuple[RatesRow, ...]
    confidence: float = 0.95
    interrupted: bool = False

    @classmethod
    def of(cls, curves: "xr.Dataset", confidence: float = 0.95, *, interrupted: bool = False) -> "RatesStudy":
        """Fit the slopes; the last decade is every K from a tenth of the greatest on, and at least the last two."""
        counts = curves.num_updates.values
        tail = slice(min(int(np.searchsorted(counts, counts[-1] / 10)), len(counts) - 2), None)
        pairs = [slice(i, i + 2) for i in range(len(counts) - 1)]
        dims = ("sampling", "delay", "num_updates")
        rows = []
        for quantity, variable in QUANTITIES.items():
            samples = curves[variable].values
            mean = mean_interval(samples, confidence=confidence)
            local = np.full((*samples.shape[:3], 3), np.nan)
            for i, j in np.ndindex(*samples.shape[:2]):
                own = samples[i, j]
                whole, last = (power_law(counts[s], list(own[s]), confidence=confidence) for s in (slice(None), tail))
                local[i, j, 1:] = [power_law(counts[s], list(own[s]), confidence=confidence)[:3] for s in pairs]
                rows.append(
                    RatesRow(
                        quantity,
                        str(curves.sampling.values[i]),
                        str(curves.delay.values[j]),
                        int(curves.max_delay.values[j, -1]),
                        float(curves.bound.values[i, j]),
                        *whole[:3],
                        *last[:3],
                        *(float(end[i, j, -1]) for end in mean),
                    )
                )
            parts = {"low": mean.low, "high": mean.high}
            kept = {f"{variable}_{end}": (dims, x, curves[variable].attrs) for end, x in parts.items()}
            for part, name in enumerate(("local_slope", "local_slope_low", "local_slope_high")):
                meaning = about(f"slope of {variable} from the K before, mean over seeds", "1")
                kept[f"{variable}_{name}"] = (dims, local[..., part], meaning)
            curves = curves.assign(kept)
        curves = curves.assign_attrs(about_intervals(confidence, OF_MEANS, OF_SLOPES))
        return cls(curves, tuple(rows), confidence, interrupted)

    def summary(self) -> str:
        """What was averaged, and whether its slopes agree with the bounds."""
        counts, attrs = self.curves.num_updates.values, self.curves.attrs
        delays = "constant K_0" if attrs["delay_law"] == "constant" else "uniform on 0, ..., K_0"
        lines = [
            f"Averages over runs of K = {counts[0]:,} to {counts[-1]:,} updates with α = {attrs['actor_constant']:g} "
            f"K^(-3/5), β = {attrs['critic_constant']:g} K^(-2/5), λ = {attrs['weight']:g}; delays {delays}.",
            "The theorems bound them from above: a slope at or below the bound's exponent agrees with them.",
        ]
        for quantity in QUANTITIES:
            lines += self._verdict(quantity)
        empty = [row for row in self.rows if row.bound >= 0]
        if empty:
            named = ", ".join(dict.fromkeys(row.delay for row in empty))
            slopes = [row.tail_slope for row in empty if row.quantity == "critic" and np.isfinite(row.tail_slope)]
            there = f"; the critic's slopes there are {min(slopes):.2f} to {max(slopes):.2f}" if slopes else ""
            lines.append(f"For K_0 = {named} some bound does not fall with K, and promises nothing{there}.")
        return "\n".join(lines)

    def _verdict(self, quantity: str) -> list[str]:
        """Whether the slopes of the last decade agree with the bounds that fall with K."""
        known = [row for row in self.rows if row.quantity == quantity and np.isfinite(row.tail_slope_low)]
        rows = [row for row in known if row.bound < 0]
        if not rows:
            return []
        above = [row for row in rows if row.tail_slope_low > row.bound]
        slopes = [row.tail_slope for row in rows]
        reach = f"{min(slopes):.2f} to {max(slopes):.2f}" if len(rows) > 1 else f"{slopes[0]:.2f}"
        said = f"{quantity}: where the bound falls with K, slopes of {reach} over the last decade; "
        if above:
            named = ", ".join(f"{row.sampling} {row.delay} ({row.tail_slope:.2f} > {row.bound:.2f})" for row in above)
            said += f"{len(above)} of {len(rows)} lie above the bound: not consistent with it at these K for {named}."
        else:
            fast = sum(row.tail_slope_low <= RATE for row in rows)
            said += (
                f"none of {len(rows)} lies above the bound's exponent: consistent. {fast} of them reach "
                f"{RATE:g} within their intervals."
            )
        return [said]

    def notes(self) -> list[str]:
        """A sentence for each thing that a reader of the rows must know: how exact the averages are, runs lost."""
        curves, said = self.curves, []
        if self.interrupted:
            said.append("The study was interrupted: what would need the other runs is a dash.")
        lost = curves.nonfinite_from.values
        for i, j, k in np.argwhere((lost >= 0).any(-1)):
            runs = lost[i, j, k][lost[i, j, k] >= 0]
            said.append(
                f"{curves.sampling.values[i]}, K_0 = {curves.delay.values[j]}, K = {curves.num_updates.values[k]:,}: "
                f"{runs.size} of {lost.shape[-1]} runs stopped being finite, the first by update {runs.min()}; take "
                "smaller constants."
            )
        if curves.attrs["delay_law"] == "constant":
            beyond = curves.critic_step.values > curves.critic_limit.values
            for j in np.flatnonzero(beyond.any(1)):
                which = ", ".join(f"{count:,}" for count in curves.num_updates.values[beyond[j]])
                said.append(
                    f"K_0 = {curves.delay.values[j]}, K = {which}: β is above the largest step that is stable under "
                    "this delay in the mean (at the start), so the critic diverges until its projection stops it."
                )
        error = curves.quadrature_error.values
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

    def table(self) -> str:
        """The rows as text, beside the theorems' exponents."""
        return rates_text(self.rows, self.confidence)

    def figure(self) -> "Figure":
        """Averages against K beside K^(−2/5), and their local slopes beside −2/5."""
        from a3cjax.studies.rates.figure import rates_figure  # here: only those who draw wait for matplotlib

        return rates_figure(self.curves, self.confidence)

    def facts(self) -> dict[str, float]:
        """The constants, and how well the features fit."""
        missing = self.curves.approximation_error.values
        attrs = self.curves.attrs
        known = {"approximation_error": float(np.nanmax(missing))} if np.isfinite(missing).any() else {}
        return {name: float(attrs[name]) for name in ("actor_constant", "critic_constant", "weight")} | known
