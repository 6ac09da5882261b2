"""When a curve first meets a target."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


class Crossing(NamedTuple):
    """Where curves first meet a target: ``before`` + ``fraction`` records in; both NaN where they never do."""

    before: Float[np.ndarray, "*runs"]
    fraction: Float[np.ndarray, "*runs"]

    def at(self, positions: ArrayLike) -> Float[np.ndarray, "*runs"]:
        """The crossing on another axis, given that axis's value at every record, [R] or [*runs, R]."""
        positions = np.asarray(positions, np.float64)
        positions = np.broadcast_to(positions, (*self.before.shape, positions.shape[-1]))
        reached = np.isfinite(self.before)
        low = np.where(reached, self.before, 0).astype(int)
        high = np.minimum(low + 1, positions.shape[-1] - 1)
        left, right = (np.take_along_axis(positions, i[..., None], -1)[..., 0] for i in (low, high))
        return np.where(reached, left + self.fraction * (right - left), np.nan)


def first_crossing(curves: ArrayLike, target: float) -> Crossing:
    """Where each curve [*runs, R] is first at least ``target``, linearly interpolated from the record before.

    A record that is not a number meets no target; the crossing after one is at the record itself.

    >>> import numpy as np
    >>> crossing = first_crossing([[0.0, 0.5, 1.0, 0.9], [0.0, 0.2, 0.3, 0.4]], target=0.75)
    >>> crossing.at([0, 10, 20, 30]).tolist()  # halfway between the second record and the third; never
    [15.0, nan]
    """
    values = np.asarray(curves, np.float64)
    met = values >= target
    reached = met.any(-1)
    after = met.argmax(-1)
    before = np.maximum(after - 1, 0)
    left, right = (np.take_along_axis(values, i[..., None], -1)[..., 0] for i in (before, after))
    rise = np.where((after > 0) & np.isfinite(left), right - left, 0)
    fraction = np.where(rise > 0, (target - left) / np.where(rise > 0, rise, 1), after - before)
    return Crossing(np.where(reached, before, np.nan), np.where(reached, fraction, np.nan))
