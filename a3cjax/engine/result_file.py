"""A result as a file: netCDF, which other programs read with their axes named, or a NumPy archive."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from a3cjax._core import check, files
from a3cjax.engine import labelled
from a3cjax.engine.asked import remember
from a3cjax.engine.saved import SavedState, arrays_of, as_plain, from_plain, state_of, type_name
from a3cjax.engine.structure import described, rebuilt

FORMAT = 1
_GROUP = "a3cjax"  # of a netCDF file, with what is no variable of the dataset
_IS = "a saved result", "give a file that Result.save wrote"
_TREES = "params", "metrics", "transitions"
_COLUMNS = "updates", "time", "nonfinite_from"


def save(result: Any, path: str | os.PathLike[str], runs: Any, with_state: bool) -> None:
    """See ``Result.save``."""
    suffix = os.path.splitext(os.fspath(path))[1]
    if suffix not in (".nc", ".npz"):
        raise ValueError(
            f"path is {os.fspath(path)!r}, whose suffix says no format; use .nc for netCDF or .npz for a NumPy archive."
        )
    labelled.check_known(result, "to save")
    labels = labelled.labels_of(result, runs)
    about, arrays = _taken_apart(result, labels)
    kept: dict[str, np.ndarray] = {}
    if with_state and result.state is not None:
        kept = arrays_of(result.state, result.state.fingerprint)
        about["state"] = str(kept.pop("about"))
    if suffix == ".npz":
        named = {f"state.{name}": leaf for name, leaf in kept.items()} | arrays
        text = np.array(json.dumps(about))
        files.write_whole(path, lambda file: np.savez(file, allow_pickle=False, about=text, **named))
    else:
        files.write_whole(path, _netcdf(labelled.dataset(result, labels), json.dumps(about), kept, path))


def load(path: str | os.PathLike[str], make: Callable[..., Any]) -> Any:
    """See ``Result.load``; ``make`` is the class."""
    what, remedy = _IS
    with open(path, "rb") as file:
        start = file.read(8)
    if start == b"\x89HDF\r\n\x1a\n":
        about, arrays = _read_netcdf(path)
    else:
        arrays = files.read_arrays(path, what, remedy)
        about = str(arrays.pop("about", ""))
    try:
        told = json.loads(about)
        number = told.get("format")
    except (ValueError, AttributeError) as error:
        raise files.refusal(path, what, "it holds other arrays", remedy) from error
    if number is None:
        remedy = "give it to SavedState.load" if "fingerprint" in told else remedy
        raise files.refusal(path, what, "it holds where a simulation stands", remedy)
    if number != FORMAT:
        raise files.refusal(
            path, what, f"its format is {number!r}, and this a3cjax knows {FORMAT}", "read it with a newer a3cjax"
        )
    try:
        return _put_together(told, arrays, os.fspath(path), make)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = str(error).rstrip(".") if isinstance(error, ValueError) else f"it lacks some of its parts: {error}"
        raise files.refusal(path, "a whole saved result", reason, remedy) from error


# ------------------------------------------------------------------------------------------------- parts and wholes


def _taken_apart(result: Any, labels: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What of a result is no array, as JSON, and the arrays by name."""
    arrays: dict[str, np.ndarray] = {}

    def leaf(path, array):
        if path in arrays:
            raise ValueError(f"two arrays of the result go by the name {path!r}; give one of them another.")
        arrays[path] = as_plain(array)
        return {"array": path, "type": type_name(array), "shape": list(arrays[path].shape)}

    parts = {name: described(getattr(result, name), name, leaf) for name in (*_TREES, *_COLUMNS)}
    about = {
        "format": FORMAT,
        "parts": parts,
        "num_updates": result.num_updates,
        "backend": result.backend,
        "asked": dict(result.asked),
        "runs": {name: _plain_labels(name, values) for name, values in labels.items()},
        "state": None,
    }
    return about, arrays


def _plain_labels(name: str, values: np.ndarray) -> list[Any]:
    if values.dtype.kind not in "biufU":
        raise ValueError(
            f"runs[{name!r}] holds {values.dtype}, which a file cannot keep as labels; use numbers or words."
        )
    return values.tolist()


def _put_together(told: dict[str, Any], arrays: Mapping[str, np.ndarray], path: str, make: Callable[..., Any]) -> Any:
    def leaf(one):
        array, shape = arrays[one["array"]], tuple(one["shape"])
        if one["array"] == "updates":  # of which a dataset has those of one run, for they are the same in all
            array = np.broadcast_to(array, shape)
        if array.size != np.prod(shape, dtype=int):
            raise ValueError(f"{one['array']} has {array.size} entries, not {shape}")
        return from_plain(array.reshape(shape), one["type"])

    parts = {name: rebuilt(told["parts"][name], leaf) for name in (*_TREES, *_COLUMNS)}
    state: SavedState | None = None
    if told["state"] is not None:
        prefix = "state."
        kept = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        state = state_of(kept | {"about": np.array(told["state"])}, path)
    num_updates = check.integer("num_updates", told["num_updates"], 0)
    result = make(**parts, state=state, num_updates=num_updates, backend=str(told["backend"]))
    remember(result, dict(told["asked"]), {name: np.asarray(values) for name, values in told["runs"].items()})
    return result


# ------------------------------------------------------------------------------------------------------------ netCDF


def _netcdf(data: Any, about: str, state: Mapping[str, np.ndarray], path: Any) -> Callable[[Any], None]:
    """What writes the dataset, and in a group beside it all that a result is more than that."""
    import xarray

    for name in [
        name for name, variable in data.variables.items() if variable.dtype.kind == "V"
    ]:  # types that netCDF does not know
        kind = data[name].dtype.name
        data[name] = data[name].dims, as_plain(data[name].values), {"bits_of": kind}
    axes = {name: tuple(f"{name}_{i}" for i in range(leaf.ndim)) for name, leaf in state.items()}
    beside = xarray.Dataset(
        {f"state.{name}": (axes[name], leaf) for name, leaf in state.items()}
        | {"about": ("byte", np.frombuffer(about.encode(), np.uint8))}
    )

    def write(file):
        try:
            plain = ({name: {"_FillValue": None} for name in part.variables} for part in (data, beside))
            data.to_netcdf(file.name, engine="h5netcdf", encoding=next(plain))
            beside.to_netcdf(file.name, mode="a", group=_GROUP, engine="h5netcdf", encoding=next(plain))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{os.fspath(path)} cannot hold this result as netCDF ({str(error).rstrip('.')}); save it as .npz."
            ) from error

    return write


def _read_netcdf(path: str | os.PathLike[str]) -> tuple[str, dict[str, np.ndarray]]:
    """The JSON and the arrays of a netCDF file, which is an HDF5 file too: every bit as it is there."""
    import h5py

    what, remedy = _IS
    try:
        with open(path, "rb") as file, h5py.File(file, "r") as root:
            beside = root.get(_GROUP)
            if not isinstance(beside, h5py.Group) or "about" not in beside:
                return "", {}
            about = json.loads(_array(beside["about"]).tobytes())
            arrays = {name: _array(beside[name]) for name in map(str, beside) if name.startswith("state.")}
            for one in jax.tree.leaves(about["parts"], is_leaf=lambda part: isinstance(part, dict) and "array" in part):
                if isinstance(one, dict):
                    arrays[one["array"]] = _array(root[labelled.name_in_dataset(one["array"])])
            return json.dumps(about), arrays
    except Exception as error:  # a file that was cut or changed fails in as many ways as HDF5 has
        raise files.refusal(path, what, f"it is damaged: {error}".rstrip("."), remedy) from error


def _array(variable: Any) -> np.ndarray:
    if variable.id.get_storage_size() < variable.size * variable.dtype.itemsize:
        raise ValueError(f"{variable.name} declares more than the file holds")
    return np.asarray(variable[()])
