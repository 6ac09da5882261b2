"""A result drawn: each metric over the run, a line for each kind of run, and how sure their means are."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from a3cjax._core import check
from a3cjax._core.statistics import mean_interval
from a3cjax.engine import labelled
from a3cjax.schedules._plot import ACCENT, INK, tidy

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AVERAGED = ("run", "seed", "key")  # axes over which means are taken where nobody says
_PALETTE = (INK, ACCENT, "#3a8a5a", "#8a5ca8", "#b08a1e", "#5a6a7a")
_MOST_LINES, _MOST_ENTRIES = 200, 6
_NAMED = 5  # lines in the legend, where there are more than colours
_POINTS_A_LETTER, _POINTS_A_LINE = 4.5, 40  # how wide an entry of a legend is, about
_WIDE_RANGE = 100  # from the least to the greatest, from which on the axis is logarithmic


class _Line(NamedTuple):
    label: str
    kind: str  # the label but for which of some equal runs it is
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


class _View(NamedTuple):
    """What is asked of every panel."""

    over: tuple[str, ...]
    lines: tuple[str, ...]  # the axes of runs that are not averaged
    against: str
    confidence: float


def plot(
    result: Any, metric: Any, runs: Any, over: Any, against: str, confidence: float, ax: "Axes | None"
) -> "Figure | Any":
    """See ``Result.plot``."""
    labelled.check_known(result, "to draw")
    check.choice("against", against, ("updates", "time"))
    check.number("confidence", confidence, above=0, below=1)
    labels = labelled.labels_of(result, runs)
    data = labelled.dataset(result, labels)
    averaged = _averaged(over, labels)
    view = _View(averaged, tuple(name for name in labels if name not in averaged), against, confidence)
    names, left_out = _chosen(metric, data, labels)
    if not data.sizes["record"]:
        raise ValueError("the result holds no record to draw; record more often, with Record(every=).")
    if ax is not None:
        if len(names) != 1:
            raise ValueError(f"ax takes one metric, but metric names {', '.join(names)}; choose one of them.")
        _panel(ax, data[names[0]], _lines(data, names[0], view), _xlabel(result, data, view), _legend_title(view))
        return ax.figure
    return _figure(result, data, names, left_out, view)


def _figure(result: Any, data: "xarray.Dataset", names: list[str], left_out: list[str], view: _View) -> "Figure":
    from matplotlib import pyplot as plt

    columns = len(names) if len(names) < 4 else math.ceil(math.sqrt(len(names)))
    rows = math.ceil(len(names) / columns)
    figure = plt.figure(figsize=(max(5.0, 3.4 * columns), 2.6 * rows + 0.8), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    drawn = [_lines(data, name, view) for name in names]
    told = {tuple(line.label for line in lines) for lines in drawn}
    shared = len(names) > 1 and len(told) == 1
    for place, (ax, name, lines) in enumerate(zip(panels, names, drawn, strict=False)):
        is_last = place + columns >= len(names)
        xlabel = _xlabel(result, data, view) if is_last else ""
        _panel(ax, data[name], lines, xlabel, None if shared else _legend_title(view))
    for ax in panels[len(names) :]:
        ax.remove()
    if shared:
        handles, words = panels[0].get_legend_handles_labels()
        title = _legend_title(view)
        if words or title:
            points = _POINTS_A_LETTER * max(map(len, words), default=0) + _POINTS_A_LINE
            ncols = max(1, int(72 * figure.get_figwidth() / points))
            look: Any = {"frameon": False, "fontsize": "small", "title_fontsize": "small"}
            figure.legend(handles, words, title=title, loc="outside lower center", ncols=ncols, **look)
    if left_out:
        figure.suptitle(f"Not drawn: {'; '.join(left_out)}", fontsize="small", color=ACCENT)
    return figure


# ------------------------------------------------------------------------------------------------------ what is drawn


def _averaged(over: Any, labels: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The axes of runs over which means are taken."""
    if over is None:
        return tuple(name for name in labels if name in _AVERAGED and len(labels[name]) > 1)
    names = (over,) if isinstance(over, str) else tuple(over)
    for name in names:
        if name not in labels:
            listed = ", ".join(map(repr, labels)) or "no axis, for it is one run"
            raise ValueError(f"over names the axis {name!r}, but the result has {listed}; see runs.")
        if len(labels[name]) < 2:
            raise ValueError(f"over names the axis {name!r}, along which there is one run; a mean needs two or more.")
    return names


def _chosen(metric: Any, data: "xarray.Dataset", labels: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The metrics to be drawn, and in words those that cannot be."""
    known = {str(name): _entries(variable, labels) for name, variable in data.data_vars.items() if _is_metric(variable)}
    if metric is not None:
        asked = [metric] if isinstance(metric, str) else list(metric)
        names = []
        for one in asked:
            parts = [name for name in known if name == one or name.startswith(f"{one}.")]
            if not parts:
                raise ValueError(
                    f"metric names {one!r}, which was not recorded; there is {', '.join(known) or 'none'}."
                )
            names += parts
    else:
        names = list(known)
    left_out = {
        name: f"{name} ({known[name]} entries)" if known[name] > _MOST_ENTRIES else f"{name} ({data[name].dtype})"
        for name in names
        if known[name] > _MOST_ENTRIES or data[name].dtype.kind == "c"
    }
    drawn = [name for name in names if name not in left_out]
    if not drawn or (metric is not None and left_out):
        there = next(iter(left_out.values()), "none")
        raise ValueError(
            f"there is no metric of at most {_MOST_ENTRIES} real entries to draw, but {there}; record those that are "
            "to be seen, or draw them from to_xarray()."
        )
    return drawn, list(left_out.values())


def _is_metric(variable: Any) -> bool:
    return "record" in variable.dims


def _entries(variable: Any, labels: Mapping[str, Any]) -> int:
    rest = [size for name, size in variable.sizes.items() if name not in labels and name != "record"]
    return math.prod(rest)


def _lines(data: "xarray.Dataset", name: str, view: _View) -> list[_Line]:
    """A line for each combination of the axes that are not averaged, and each entry of a vector."""
    values = data[name]
    rest = [str(dim) for dim in values.dims if dim not in (*view.over, *view.lines, "record")]
    count = math.prod(values.sizes[dim] for dim in (*view.lines, *rest))
    if count > _MOST_LINES:
        raise ValueError(
            f"{name} would have {count} lines, and nobody tells so many apart; name an axis of runs in over to draw "
            "means, or choose runs from to_xarray()."
        )
    lines = []
    for place in itertools.product(*(range(values.sizes[dim]) for dim in (*view.lines, *rest))):
        where = dict(zip((*view.lines, *rest), place, strict=True))
        runs = values.isel(where).transpose("record", *view.over).values.astype(np.float64)
        runs = runs.reshape(runs.shape[0], -1)
        low = high = None
        mean = runs[:, 0]
        if view.over:
            with np.errstate(invalid="ignore"):
                mean, low, high = mean_interval(runs, confidence=view.confidence)
        kind = _label(data, {dim: i for dim, i in where.items() if dim not in _AVERAGED}, view.lines)
        lines.append(_Line(_label(data, where, view.lines), kind, _x(data, where, view), mean, low, high))
    return lines


def _x(data: "xarray.Dataset", where: Mapping[str, int], view: _View) -> np.ndarray:
    at = data[view.against]
    at = at.isel({dim: i for dim, i in where.items() if dim in at.dims})
    return at.transpose("record", ...).values.reshape(data.sizes["record"], -1).mean(1)


def _label(data: "xarray.Dataset", where: Mapping[str, int], axes: Sequence[str]) -> str:
    parts = []
    for axis in axes:
        if axis in where and data.sizes[axis] > 1:
            label = data[axis].values[where[axis]]
            parts.append(str(label) if isinstance(label, str) else f"{axis} = {label:g}")
    entry = [i for dim, i in where.items() if dim not in axes]
    return ", ".join(parts + [f"[{', '.join(map(str, entry))}]"] * bool(entry))


# ------------------------------------------------------------------------------------------------------- how it looks


def _panel(ax: "Axes", variable: Any, lines: list[_Line], xlabel: str, legend: str | None) -> None:
    """One metric; ``legend`` is the title of a legend of its own, None for none."""
    mark = "o" if len(lines[0].x) == 1 else None
    named: set[str] = set()
    for line, (label, colour, width) in zip(lines, _looks(lines), strict=True):
        ax.plot(line.x, line.mean, color=colour, linewidth=width, marker=mark, label="_" if label in named else label)
        named |= {label}
        if line.low is not None and line.high is not None:
            ax.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)
    values = np.concatenate([part for line in lines for part in line[3:] if part is not None])
    finite = values[np.isfinite(values)]
    tidy(ax)
    if finite.size and finite.min() > 0 and finite.max() > _WIDE_RANGE * finite.min():
        ax.set_yscale("log")
    lost = sum(int((~np.isfinite(line.mean)).sum()) for line in lines)
    if lost:
        of = sum(len(line.mean) for line in lines)
        ax.set_title(f"{lost} of {of} values are not finite", fontsize="small", color=ACCENT, loc="right")
    unit = variable.attrs.get("units")
    ax.set_ylabel(f"{variable.name} [{unit}]" if unit else str(variable.name))
    ax.set_xlabel(xlabel)
    labelled_lines = ax.get_legend_handles_labels()
    if legend is not None and (labelled_lines[1] or legend):
        ax.legend(*labelled_lines, title=legend or None, frameon=False, fontsize="small", title_fontsize="small")


def _looks(lines: list[_Line]) -> list[tuple[str, Any, float]]:
    """For each line its name in the legend, its colour and its width."""
    import matplotlib

    if len(lines) <= len(_PALETTE):
        return [(line.label or "_", colour, 1.3) for line, colour in zip(lines, _PALETTE, strict=False)]
    kinds = list(dict.fromkeys(line.kind for line in lines))
    if len(kinds) <= len(_PALETTE):
        return [(line.kind or "_", _PALETTE[kinds.index(line.kind)], 0.6) for line in lines]
    shades = matplotlib.colormaps["viridis_r"](np.linspace(0.12, 1, len(kinds)))
    shown = {kinds[round(i)] for i in np.linspace(0, len(kinds) - 1, _NAMED)}
    return [(line.kind if line.kind in shown else "_", shades[kinds.index(line.kind)], 0.8) for line in lines]


def _legend_title(view: _View) -> str:
    return f"mean, {100 * view.confidence:g} % interval over {', '.join(view.over)}" if view.over else ""


def _xlabel(result: Any, data: "xarray.Dataset", view: _View) -> str:
    if view.against == "updates":
        return "messages" if " messages by " in result.asked.get("schedule", "") else "updates"
    over = tuple(axis for axis in data.time.dims if axis in view.over)
    differs = over and bool((data.time.max(over) > data.time.min(over)).any())
    return f"virtual time [unit of compute times]{', mean over runs' if differs else ''}"
