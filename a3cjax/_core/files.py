"""Files that are there whole or not at all, and archives of arrays that are looked at before they are believed."""

import contextlib
import errno
import math
import os
import secrets
import stat
import zipfile
from collections.abc import Callable
from typing import IO

import numpy as np


def write_whole(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    """Have ``write`` fill a file beside ``path``, and move it into place once it is on the disk.

    Whatever happens, ``path`` holds what it held or all of what is written. A new file has the mode that the umask
    allows, an old one keeps its mode and owner; a symbolic link stays, and the file that it points to is written. What
    is no file, such as a pipe or /dev/null, is written to as it is.

    Raises:
        OSError: with ``path`` as its file name, if the file cannot be written; then nothing is left beside it.
    """
    folder, name = os.path.split(os.path.realpath(path))
    temporary = os.path.join(folder, f".{name[:40]}.{secrets.token_hex(8)}")
    try:
        known = _known(path)
        if known is not None and not stat.S_ISREG(known.st_mode):
            with open(path, "wb") as file:
                write(file)
            return
        if known is not None and not os.access(path, os.W_OK):
            raise OSError(errno.EACCES, "It may not be overwritten")  # though its folder would let it be replaced
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if known is not None:
            if hasattr(os, "chown"):
                with contextlib.suppress(OSError):  # only root may give files away; the mode is what matters
                    os.chown(temporary, known.st_uid, known.st_gid)
            os.chmod(temporary, stat.S_IMODE(known.st_mode))
        os.replace(temporary, os.path.join(folder, name))
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (None, temporary):
            raise _named(error, path, folder) from error
        raise
    _sync_folder(folder)


def read_arrays(path: str | os.PathLike[str], what: str, remedy: str) -> dict[str, np.ndarray]:
    """The arrays of an archive that ``np.savez`` wrote, by name.

    The sizes that its headers declare are compared with the bytes that are there before anything is allocated, so that
    a small file, however it was made, cannot ask for much memory.

    Raises:
        OSError: if there is no such file, or it may not be read.
        ValueError: if it is anything else: "``path`` is not ``what`` (why); ``remedy``."
    """
    with open(path, "rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise _Foreign("it is empty")
            if not zipfile.is_zipfile(file):
                raise _Foreign("it is another kind of file, or the end of it is missing")
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                packed = next((one for one in members if one.compress_type != zipfile.ZIP_STORED), None)
                if packed is not None:
                    raise _Foreign(f"{packed.filename} is compressed, and a3cjax does not compress")
                if sum(member.file_size for member in members) > size:
                    raise _Foreign("it declares more than it holds")
                return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
        except Exception as error:  # a file that was cut, changed or made by another program fails in many ways
            reason = str(error) if isinstance(error, _Foreign) else f"it is damaged: {error}".rstrip(".")
            raise refusal(path, what, reason, remedy) from error


def refusal(path: str | os.PathLike[str], what: str, reason: str, remedy: str) -> ValueError:
    """The error of a file that is not what it should be."""
    return ValueError(f"{os.fspath(path)} is not {what} ({reason}); {remedy}.")


class _Foreign(Exception):
    """What is wrong with a file, as part of a sentence."""


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    name = member.filename
    with archive.open(member) as part:
        if np.lib.format.read_magic(part) != (1, 0):
            raise _Foreign(f"{name} has a header that a3cjax does not write")
        try:
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(part)
        except Exception as error:  # a header is parsed as Python, which fails in as many ways as Python has
            raise _Foreign(f"{name} has a header that cannot be read") from error
        size = member.file_size - part.tell()
        if dtype.hasobject:
            raise _Foreign(f"{name} holds {dtype}, not numbers")
        if math.prod(shape) * dtype.itemsize != size:
            raise _Foreign(f"{name} says that it has shape {shape} of {dtype}, but has {size:,} bytes")
        return np.ndarray(shape, dtype, part.read(), order="F" if fortran else "C")


def _known(path: str | os.PathLike[str]) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _named(error: OSError, path: str | os.PathLike[str], folder: str) -> OSError:
    """``error``, told of the file that the caller knows."""
    words = error.strerror or str(error)
    if not os.path.isdir(folder):
        words = f"There is no folder {folder}"
    elif error.filename is not None and isinstance(error, PermissionError):
        words = f"{words}: a file is written beside it first, so its folder must allow that"
    return OSError(error.errno, words, os.fspath(path))


def _sync_folder(folder: str) -> None:
    """Put the new name on the disk too, where folders can be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
