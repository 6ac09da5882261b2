"""A schedule as a file: a NumPy archive, written whole or not at all."""

import math
import os
import zipfile
from typing import Any

import numpy as np

from a3cjax._core import files

_COLUMNS = ("worker", "delay", "time")


def save(path: str | os.PathLike[str], columns: tuple[Any, Any, Any], num_workers: int, commit: Any) -> None:
    """Write the columns, the number of workers and the commits, if any."""
    named: dict[str, Any] = dict(zip(_COLUMNS, map(np.asarray, columns), strict=True))
    if commit is not None:
        named["commit"] = np.asarray(commit)
    files.write_whole(path, lambda file: np.savez(file, num_workers=num_workers, **named))


def load(path: str | os.PathLike[str]) -> tuple[tuple[np.ndarray, ...], int, np.ndarray | None]:
    """The columns, the number of workers and the commits, if any, in a file that ``save`` wrote.

    What the file says of its arrays is looked at before any of them is read, so that a small file, however it was made,
    cannot ask for much memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            names = (*_COLUMNS, "num_workers", *(("commit",) if "commit" in members else ()))
            shapes = {name: _shape(archive, members[name]) for name in names}
            _check_shapes(shapes)
            arrays = {name: _read(archive, members[name]) for name in names}
            return tuple(arrays[name] for name in _COLUMNS), int(arrays["num_workers"]), arrays.get("commit")
    except KeyError as error:
        raise _not_one(path, f"it has no {error.args[0]}") from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _not_one(path, str(error)) from error


def _shape(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[int, ...]:
    """The shape of an array, or a ValueError if its header does not agree with its size in the archive."""
    name = member.filename
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise ValueError(f"{name} is compressed, and save does not compress")
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} has a header that save does not write")
        try:
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        except Exception as error:  # a header is parsed as Python, which fails in as many ways as Python has
            raise ValueError(f"{name} has a header that cannot be read") from error
        size = member.file_size - file.tell()
    if dtype.kind not in "iufb":
        raise ValueError(f"{name} holds {dtype}, not numbers")
    if math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} says that it has shape {shape} of {dtype}, but has {size:,} bytes")
    return shape


def _check_shapes(shapes: dict[str, tuple[int, ...]]) -> None:
    if shapes.pop("num_workers") != ():
        raise ValueError("num_workers is not one number")
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"its columns have different shapes, {listed}")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _not_one(path: str | os.PathLike[str], why: str) -> ValueError:
    return ValueError(
        f"{os.fspath(path)} is not a schedule; give a file written by Schedule.save, or columns of your own "
        f"to Schedule. What is wrong: {why.rstrip('.')}."
    )
