"""The speedup study as text, beside the paper's figures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from a3cjax.studies.frame.tables import DASH, interval, number, short, text_table

if TYPE_CHECKING:
    from a3cjax.studies.speedup.result import SpeedupRow

# Read off Figs. 3 and 4 of arXiv:2012.15511.
PAPER = {
    "iid": {1: 1.0, 2: 2.0, 4: 4.0, 8: 7.0, 16: 14.0},
    "markov": {1: 1.0, 2: 1.63, 4: 3.19, 8: 5.56, 16: 7.95},
}


def speedup_text(
    rows: Sequence["SpeedupRow"], reached: Sequence[int], seeds: int, confidence: float, beside_paper: bool = True
) -> str:
    """An aligned table; a dash stands where there is no number.

    >>> from a3cjax.studies import SpeedupRow
    >>> row = SpeedupRow("iid", 2, 900.0, 450.0, 1.9, 1.8, 2.0, 451.0, 1.91, 0.95)
    >>> print(speedup_text([row], [3], seeds=3, confidence=0.95).splitlines()[-1])
    iid             2     1.90  1.80 to 2.00      2        0.95        900         450      451     1.91     3 of 3
    """
    header = [
        "sampling", "workers", "speedup", f"{100 * confidence:g} %", "paper", "efficiency", "updates\nto target",
        "samples\nper worker", "virtual\ntime", "time\nspeedup", "runs that\nmet it",
    ]  # fmt: skip
    lines = []
    for row, count in zip(rows, reached, strict=True):
        paper = PAPER.get(row.sampling, {}).get(row.workers)
        lines.append(
            [
                row.sampling,
                str(row.workers),
                short(row.speedup),
                interval(row.speedup_low, row.speedup_high) if row.workers > 1 else DASH,
                DASH if paper is None else f"{paper:g}",
                number(row.efficiency, ".2f"),
                number(row.updates_to_target, ",.0f"),
                number(row.samples_per_worker, ",.0f"),
                number(row.time_to_target, ",.4g" if row.time_to_target < 100 else ",.0f"),
                short(row.time_speedup),
                f"{count} of {seeds}",
            ]
        )
    if not beside_paper:
        column = header.index("paper")
        for line in [header, *lines]:
            del line[column]
    return text_table(header, lines)
