"""Compiled programs that the next process finds on the disk, where JAX keeps them: which folder, and what may be in it.

JAX names an entry by what was compiled, with which compiler and options, and believes what it finds under the name.
What is added here: a folder for each kind of processor, since a home may be shared by several and programs use what one
can do; a checksum beside each entry, so that what a killed process or a failing disk left is taken away and not loaded;
and an end to growth.
"""

import atexit
import contextlib
import hashlib
import os
import platform
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

from a3cjax._core import terminal

SWITCH = "A3CJAX_CACHE"
_FOLDER = "jax_compilation_cache_dir"
_OFF = ("off", "0", "no", "false", "")
_ENTRY, _SUM = "-cache", "-cache.crc32"
_MOST_BYTES = 1 << 28  # a command's programs are one or two megabytes


def compilation_cache(folder: str | os.PathLike[str] | None = None) -> Path:
    """Keep compiled programs in ``folder``, for this process and later ones; the commands do so by themselves.

    A program from there is, bit for bit, the one that was put there; a process that finds all of its programs starts
    in a fraction of the time. Call it before the first ``simulate``: what is compiled already is not looked for again.

    Args:
        folder: where; not given: ``a3cjax`` in the user's cache folder (``XDG_CACHE_HOME``, or ``~/.cache``; on macOS
            ``~/Library/Caches``, on Windows ``LOCALAPPDATA``). Each kind of processor has a folder of its own in it.
            Beyond 256 MB the oldest programs go. It can be deleted at any time.

    Returns:
        The folder of this processor's programs.

    Raises:
        OSError: if the folder cannot be made or written to.

    >>> import a3cjax, jax, tempfile
    >>> before = jax.config.jax_compilation_cache_dir
    >>> with tempfile.TemporaryDirectory() as folder:  # here for a moment only
    ...     a3cjax.compilation_cache(folder).is_relative_to(folder)
    True
    >>> jax.config.update("jax_compilation_cache_dir", before)
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache as programs

    kept = Path(_users() if folder is None else folder) / machine()
    kept.mkdir(parents=True, exist_ok=True)
    if not os.access(kept, os.W_OK):
        raise PermissionError(13, "Compiled programs cannot be written there; choose another folder", str(kept))
    tidy(kept)
    for name, value in (
        (_FOLDER, str(kept)),
        ("jax_persistent_cache_min_compile_time_secs", 0.0),  # small ones too: a command has a hundred of them
        ("jax_persistent_cache_min_entry_size_bytes", 0),
    ):
        jax.config.update(name, value)
    programs.reset_cache()  # JAX asks for the folder once, when it first compiles
    # What another process has taken away, or not yet written to its end, is compiled.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    atexit.register(sign, kept)
    return kept


@contextlib.contextmanager
def of_commands() -> Iterator[None]:
    """The cache while a command runs, unless the environment says otherwise; without a place for it, none.

    ``A3CJAX_CACHE`` is ``off`` or another folder. Where JAX has been given a cache of its own, that one is used.
    """
    import jax

    asked = os.environ.get(SWITCH)
    if getattr(jax.config, _FOLDER) or (asked is not None and asked.strip().lower() in _OFF):
        yield
        return
    try:
        kept = compilation_cache(asked)
    except OSError as error:
        if asked is not None:
            terminal.complain(f"{SWITCH}: {error}; compiling without it.")
        yield
        return
    try:
        yield
    finally:
        sign(kept)


def tidy(folder: Path) -> None:
    """Take away the entries that are not what was signed, and the oldest of too many."""
    sizes: dict[Path, tuple[float, int]] = {}
    for entry in folder.glob(f"*{_ENTRY}"):
        with contextlib.suppress(OSError):  # another process is as tidy
            known = entry.stat()
            if _signature(entry).read_text() == _checksum(entry):
                sizes[entry] = known.st_mtime, known.st_size
                continue
        _remove(entry)
    most = sum(size for _, size in sizes.values()) - _MOST_BYTES
    for entry, (_, size) in sorted(sizes.items(), key=lambda known: known[1]):
        if most <= 0:
            return
        most -= size
        _remove(entry)


def sign(folder: Path) -> None:
    """Put a checksum beside each entry that has none: what this process has written is whole."""
    for entry in folder.glob(f"*{_ENTRY}"):
        with contextlib.suppress(OSError):
            if not _signature(entry).exists():
                _signature(entry).write_text(_checksum(entry))


def _signature(entry: Path) -> Path:
    return entry.with_name(entry.name.removesuffix(_ENTRY) + _SUM)


def _checksum(entry: Path) -> str:
    return f"{zlib.crc32(entry.read_bytes()):08x}"


def _remove(entry: Path) -> None:
    for path in (entry, _signature(entry)):
        with contextlib.suppress(OSError):
            path.unlink()


def machine() -> str:
    """A name for what this processor can do, and which version of XLA has made use of it."""
    import jaxlib

    said = [platform.machine(), platform.processor(), jaxlib.__version__]
    with contextlib.suppress(OSError):  # where Linux says it
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        said += [next((line for line in lines if line.startswith(("flags", "Features"))), "")]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]


def _users() -> Path:
    """The folder for what a user's programs may lose."""
    given = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    usual = Path("~/Library/Caches" if sys.platform == "darwin" else "~/.cache").expanduser()
    return (Path(given) if given else usual) / "a3cjax"
