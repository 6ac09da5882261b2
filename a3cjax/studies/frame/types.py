"""Names of types for annotations; what they are of is imported where it is used, since it takes long."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from xarray import Dataset
else:
    Axes = Dataset = Figure = Any

__all__ = ["Axes", "Dataset", "Figure"]
