"""The layout of a study's dataset, declared: every variable's dimensions, meaning, units and what it holds at first."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from a3cjax.studies.frame.types import Dataset


class Var(NamedTuple):
    """One variable: its dimensions ("workers seed"), what it means, its units if it is a number.

    ``fill``: what it holds until something is known. None: it comes with its values, or not at all.
    """

    dims: str
    long_name: str
    units: str | None = None
    fill: Any = None

    @property
    def attributes(self) -> dict[str, str]:
        """As xarray and netCDF have them."""
        return {"long_name": self.long_name} | ({} if self.units is None else {"units": self.units})


WORKERS = Var("workers", "number of workers N", "1")
SEED = Var("seed", "seed", "1")
UPDATES = Var("record", "updates applied", "updates")


def lost_from(dims: str) -> Var:
    """The update at which each run was lost."""
    return Var(dims, "first recorded update with a parameter that is not finite, or -1", "updates", -1)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A dataset's title, coordinates and variables.

    >>> layout = Layout("Heads", {"seed": SEED}, {"share": Var("seed", "share of heads", "1", np.nan)})
    >>> curves = layout.dataset({"seed": 3}, coins=10)
    >>> curves.share.values.tolist(), curves.attrs
    ([nan, nan, nan], {'title': 'Heads', 'coins': 10})
    """

    title: str
    coordinates: Mapping[str, Var]
    variables: Mapping[str, Var]

    def dataset(self, values: Mapping[str, Any], **attributes: Any) -> Dataset:
        """The dataset with these values; the other variables hold their ``fill``, or come later by ``add``.

        A coordinate given as a whole number n is 0, 1, …, n − 1.
        """
        import xarray as xr  # here, because it brings pandas, which only those who run a study need

        given = {
            name: np.arange(value) if name in self.coordinates and isinstance(value, int) else np.asarray(value)
            for name, value in values.items()
        }
        places = {name: self.coordinates[name] for name in self.coordinates if name in given}
        sizes = {place.dims: given[name].size for name, place in places.items()}
        filled = {
            name: np.full([sizes[dim] for dim in place.dims.split()], place.fill)
            for name, place in self.variables.items()
            if place.fill is not None and name not in given
        }
        known = given | filled
        parts = [
            {name: (place.dims.split(), known[name], place.attributes) for name, place in some.items() if name in known}
            for some in (self.variables, places)
        ]
        return xr.Dataset(parts[0], parts[1], {"title": self.title, **attributes})

    def add(self, curves: Dataset, **arrays: Any) -> Dataset:
        """The dataset with more of the declared variables."""
        places = {name: self.variables[name] for name in arrays}
        return curves.assign(
            {name: (place.dims.split(), arrays[name], place.attributes) for name, place in places.items()}
        )
