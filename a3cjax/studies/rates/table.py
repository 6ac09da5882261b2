"""The study of rates as text, beside the theorems' exponents."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from a3cjax.studies.frame.tables import interval, number, text_table

if TYPE_CHECKING:
    from a3cjax.studies.rates.result import RatesRow


def rates_text(rows: Sequence["RatesRow"], confidence: float) -> str:
    """An aligned table; a dash stands where there is no number.

    >>> from a3cjax.studies import RatesRow
    >>> row = RatesRow("actor", "iid", "0", 0, -0.4, -0.38, -0.39, -0.37, -0.4, -0.41, -0.39, 1e-4, 9e-5, 1.1e-4)
    >>> print(rates_text([row], confidence=0.95).splitlines()[-1])
    actor    iid       0             0  -0.40  -0.38  -0.39 to -0.37         -0.40  -0.41 to -0.39  0.0001
    """
    share = f"{100 * confidence:g} %"
    header = [
        "average", "sampling", "K_0", "K_0 at\nlast K", "bound", "slope", share, "last\ndecade", share, "at\nlast K",
    ]  # fmt: skip
    lines = [
        (
            row.quantity,
            row.sampling,
            row.delay,
            f"{row.max_delay:,}",
            number(row.bound, ".2f"),
            number(row.slope, ".2f"),
            interval(row.slope_low, row.slope_high, ".2f"),
            number(row.tail_slope, ".2f"),
            interval(row.tail_slope_low, row.tail_slope_high, ".2f"),
            number(row.last, ".3g"),
        )
        for row in rows
    ]
    return text_table(header, lines)
