"""The study of regularisation as text."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from a3cjax.studies.frame.tables import interval, number, text_table

if TYPE_CHECKING:
    from a3cjax.studies.regularisation.result import RegularisationRow


def regularisation_text(rows: Sequence["RegularisationRow"], confidence: float) -> str:
    """An aligned table; a dash stands where there is no number. KL is the distance to the prior.

    >>> from a3cjax.studies import RegularisationRow
    >>> row = RegularisationRow("uniform", 0.1, 0.5, 0.4, 1.0, 0.1, 0.2, 0.9, *(0.5,) * 3, *(0.4,) * 3, *(1.1,) * 3)
    >>> print(regularisation_text([row], confidence=0.95).splitlines()[-1])
    uniform  0.1  0.5000   0.4000    1  0.5000  0.5000 to 0.5000  0.4000  1.1  1.1 to 1.1      0.1      0.2  0.9
    """
    share = f"{100 * confidence:g} %"
    header = [
        "prior", "λ", "largest\nJ_λ: J", "\nJ_λ", "\nKL", "A3C:\nJ", f"\n{share}", "\nJ_λ", "\nKL", f"\n{share}",
        "J* − J\nat the\nlargest", "sharper\nbound", "ε_λ",
    ]  # fmt: skip
    lines = [
        (
            row.prior,
            f"{row.weight:g}",
            number(row.best_objective, ".4f"),
            number(row.best_regularized_objective, ".4f"),
            number(row.best_divergence, ".3g"),
            number(row.objective, ".4f"),
            interval(row.objective_low, row.objective_high, ".4f"),
            number(row.regularized_objective, ".4f"),
            number(row.divergence, ".3g"),
            interval(row.divergence_low, row.divergence_high, ".3g"),
            number(row.gap, ".2g"),
            number(row.bound, ".2g"),
            "∞" if math.isinf(row.epsilon) else number(row.epsilon, ".2g"),
        )
        for row in rows
    ]
    return text_table(header, lines)
