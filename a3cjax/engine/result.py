"""What a simulation returns, or raises."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from a3cjax._core.check import is_concrete
from a3cjax._core.tree import pytree, static
from a3cjax.engine import labelled, result_file
from a3cjax.engine import plot as drawn
from a3cjax.engine.grid import Grid
from a3cjax.engine.saved import SavedState

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@pytree
class Result:
    """What a simulation gives; a batch of runs adds a leading axis [B] to all but ``updates``.

    ``params``: the last view of the learner's state (A3C: ``.theta``, ``.omega``).
    ``updates`` [R], ``time`` [R]: the update counts and virtual times of the records.
    ``metrics``: name → [R]; of a function that makes a vector [R, …], of one that makes a dict or a tuple such a tree.
    ``transitions``: with ``transitions=True`` the samples that each update used, leaves [K]; otherwise None.
    ``nonfinite_from``: the first recorded update count at which a parameter was not finite, or −1. From there on the
    run's numbers mean nothing.
    ``backend``: what the loop over updates was compiled to. On a CPU "kernel" (one function of machine code) or "loops"
    (an operation at a time: a learner with operations that no kernel holds); on an accelerator "persistent kernel" (one
    kernel for a block of updates) or "accelerator" (an operation at a time).
    ``state``: what ``simulate(..., resume=state)`` continues from; ``state.save(path)`` keeps it.
    """

    params: Any
    updates: Int[Array | np.ndarray, " R"]
    time: Float[Array, "*B R"]
    metrics: dict[str, Any]
    transitions: Any
    nonfinite_from: Int[Array, "*B"]
    state: SavedState | None
    num_updates: int = static()
    backend: str = static(default="")

    def __repr__(self) -> str:
        lines = [f"Result of {self.num_updates} updates, {_size(self)} in all"]
        named = {"params": self.params, "updates": self.updates, "time": self.time, "transitions": self.transitions}
        named |= {f"metrics[{name!r}]": node for name, node in self.metrics.items()}
        rows = [row for name, node in named.items() for row in _leaves(name, node)]
        wide = max(len(name) for name, _ in rows)
        lines += [f"  {name:<{wide}}  {leaf.dtype}{list(leaf.shape)}  {_size(leaf)}" for name, leaf in rows]
        if is_concrete(self.nonfinite_from):
            lost = np.asarray(self.nonfinite_from)
            if (lost >= 0).any():
                lines.append(
                    f"  not finite: {int((lost >= 0).sum())} of {lost.size} runs, from update {lost[lost >= 0].min()}"
                )
        return "\n".join(lines)

    def to_xarray(self, runs: Grid | Mapping[str, Any] | str | None = None) -> "xarray.Dataset":
        """Metrics, last parameters and samples as a dataset, whose axes have names and labels.

        Args:
            runs: what the batch's runs are: the ``grid`` that they were made from; or names of axes and the labels
                along each, in the order in which the runs were laid out, the last axis fastest, as in ``{"step":
                steps, "seed": range(20)}``. A name alone has numbers for labels; "run" if not given.

        Returns:
            An ``xarray.Dataset``. Each metric has the axes of runs and "record", whose coordinates ``updates`` and
            ``time`` tell where it is; parameters are ``params.theta`` and so on, samples ``transitions.…`` over
            "update". Axes of vectors and tables are named after their variable. ``nonfinite_from`` has an entry a run.

        Raises:
            ValueError: if there is one run and ``runs`` is given, there are not as many runs as labels, a name is
                taken, or the result is traced.

        >>> import a3cjax, jax
        >>> grid = a3cjax.grid(step=[0.1, 0.2], seed=jax.random.split(jax.random.key(0), 3))
        >>> learner = a3cjax.QuadraticSGD(curvature=[1.0], step=grid.step, noise=0.1)
        >>> record = a3cjax.Record(every=10)
        >>> result = a3cjax.simulate(learner, a3cjax.Schedule.sequential(20), grid.seed, record=record)
        >>> runs = result.to_xarray(grid)
        >>> dict(runs.objective.sizes)
        {'step': 2, 'seed': 3, 'record': 2}
        >>> runs.objective.mean("seed").sel(step=0.2).dims
        ('record',)
        """
        labelled.check_known(self, "to put into a dataset")
        return labelled.dataset(self, labelled.labels_of(self, runs))

    @property
    def asked(self) -> dict[str, Any]:
        """What the simulation was asked for: words and numbers that a file can hold.

        ``learner`` and ``schedule`` in words; ``key``, its words, one pair or [B]; ``by_run``, the hyper-parameters
        that differ from run to run; names of ``metrics``; ``every``, ``history``, ``depth``, ``transitions``,
        ``precision``; ``versions`` of a3cjax and JAX. Empty of what came out of your own ``jit`` or a tree map.

        >>> import a3cjax, jax
        >>> learner = a3cjax.QuadraticSGD(curvature=[1.0], step=0.5)
        >>> asked = a3cjax.simulate(learner, a3cjax.Schedule.sequential(4), jax.random.key(7)).asked
        >>> asked["learner"], asked["key"], asked["every"]
        ('QuadraticSGD(curvature=[1.0], step=0.5, noise=0.0, start=[1.0])', [0, 7], 1)
        """
        known: Any = self.__dict__.get("_asked", {})
        if callable(known):
            known = known()
            object.__setattr__(self, "_asked", known)
        return known

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_asked": self.asked}

    def save(
        self, path: str | os.PathLike[str], runs: Grid | Mapping[str, Any] | str | None = None, *, state: bool = True
    ) -> None:
        """Write all of it to a file, complete or not at all: numbers bit for bit, and what was ``asked``.

        Args:
            path: ends in ``.nc`` for netCDF, which is the dataset of ``to_xarray`` for whoever opens it (what a3cjax
                alone needs is in a group beside it), or in ``.npz`` for a NumPy archive.
            runs: as in ``to_xarray``; the file keeps names and labels.
            state: whether ``state`` goes along, so that the loaded result can be resumed; it can be large, and holds
                every worker's own state and the past parameters that are still to be read.

        Raises:
            OSError: if the file cannot be written; what was there stays.
            ValueError: if the path ends otherwise, ``runs`` does not fit, a tree has keys that no file keeps, the
                result is traced, or netCDF has no type for an array.

        >>> import a3cjax, jax, tempfile, pathlib
        >>> learner, schedule = a3cjax.QuadraticSGD(curvature=[1.0], step=0.5), a3cjax.Schedule.sequential(4)
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.nc"
        >>> a3cjax.simulate(learner, schedule, jax.random.key(0)).save(path)
        >>> loaded = a3cjax.Result.load(path)
        >>> loaded.metrics["objective"].shape, loaded.params.x.shape, loaded.state.updates
        ((4,), (1,), 4)
        """
        result_file.save(self, path, runs, state)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Result":
        """Read what ``save`` wrote; which of the two formats it is, the file itself says.

        Arrays are NumPy's, in the types that they had. Lists, tuples and dicts come back as they were; an object, such
        as the parameters' named tuple, as one that has its arrays under the same names, ``loaded.params.theta``, and
        no methods: classes are not looked for. ``to_xarray()`` has the axes that the file names.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is another kind of file, is damaged, or a newer version wrote it.
        """
        return result_file.load(path, cls)

    def plot(
        self,
        metric: str | Sequence[str] | None = None,
        runs: Grid | Mapping[str, Any] | str | None = None,
        *,
        over: str | Sequence[str] | None = None,
        against: Literal["updates", "time"] = "updates",
        confidence: float = 0.95,
        ax: "Axes | None" = None,
    ) -> "Figure":
        """Draw each metric over the run: means over runs with their confidence intervals, or single lines.

        The axis of a metric is logarithmic where it is positive throughout and spans more than a factor of 100.

        Args:
            metric: its name, or several, as ``to_xarray`` has them: "both.size" or all of "both" for a part of a
                metric that is a dict. All if not given.
            runs: the axes of runs, as in ``to_xarray``; those that were saved, if the result was loaded.
            over: axes of runs over which means are taken, with an interval as ``a3cjax.interval`` gives it; each of
                the other axes' values has a line. Not given, it is those named "run", "seed" or "key"; () for a line
                for each run.
            against: "updates", or the virtual "time": the mean over the runs where that differs.
            confidence: of the intervals, between 0 and 1.
            ax: where to draw one metric; a new figure with a panel for each metric if not given.

        Returns:
            The figure, of matplotlib.

        Raises:
            ValueError: if a metric or an axis is not there, there are too many lines to tell apart, or the result is
                traced or has no record.
        """
        return drawn.plot(self, metric, runs, over, against, confidence, ax)


class Diverged(FloatingPointError):
    """A parameter stopped being a finite number; ``result`` holds everything up to the end."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.result), self.__dict__


class Interrupted(KeyboardInterrupt):
    """Ctrl-C: ``result`` holds the updates that were done; ``simulate(..., resume=error.result.state)`` goes on."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.result), self.__dict__


def _leaves(name: str, node: Any) -> list[tuple[str, Any]]:
    paths = jax.tree_util.tree_flatten_with_path(node)[0]
    return [(name + jax.tree_util.keystr(path), leaf) for path, leaf in paths]


def _size(node: Any) -> str:
    count = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(node) if hasattr(leaf, "dtype"))
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
