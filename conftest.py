"""What all tests share, doctests and notebooks among them: compiled programs, and how much memory they may take."""

import contextlib
import ctypes
import gc
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

import a3cjax.studies  # noqa: F401 – first: pytest, importing by path, would put modules where studies are
from a3cjax._xla import compilation_cache

_MUCH_MEMORY, _MOST_MEMORY = 3 << 29, 15 << 27  # bytes of a process: after a file, and after any test; below 2 GiB
_KEPT_FOR = 7 * 24 * 3600  # seconds, since a program was compiled


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled programs in one folder for all processes: workers, notebooks' kernels, commands that tests start.

    A program from there is the one that was put there, bit for bit; JAX knows it by what it was compiled from, with
    which compiler and options. The folder is pytest's, so that the next session compiles only what is new. What another
    process has written only half yet is told by a warning and compiled.
    """
    gc.set_threshold(50_000, 20, 20)  # tracing makes many objects, and few circles
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR") or _programs(config)
    shared = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,  # small ones, too: there are thousands
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    for name, value in shared.items():
        os.environ[name.upper()] = str(value)
        jax.config.update(name, value)
    told = os.environ.get("PYTHONWARNINGS"), "ignore:Error reading persistent compilation cache entry"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, told))


def _programs(config: pytest.Config) -> str:
    """A folder for this machine's programs, without those of weeks ago."""
    cache = getattr(config, "cache", None)
    if cache is None:  # as with -p no:cacheprovider
        made = tempfile.TemporaryDirectory(prefix="a3cjax-programs-")
        config.add_cleanup(made.cleanup)
        return made.name
    folder = cache.mkdir(f"programs-{compilation_cache.machine()}")
    for program in folder.iterdir():
        with contextlib.suppress(OSError):  # another session is as tidy
            if time.time() - program.stat().st_mtime > _KEPT_FOR:
                program.unlink()
    return str(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[Any]:
    """Let go of compiled programs once they fill the process, between files if that is soon enough.

    The folder has them still. Memory runs out long before the mappings of it that Linux grants, four for each megabyte.
    """
    done = yield
    limit = _MUCH_MEMORY if nextitem is None or nextitem.path != item.path else _MOST_MEMORY
    if _is_full(limit):
        _give_back()  # what the compiler has left: programs that stay need not be traced and loaded once more
        if _is_full(limit * 4 // 5):
            jax.clear_caches()
            _give_back()
    return done


def _give_back() -> None:
    gc.collect()
    with contextlib.suppress(AttributeError):  # where the C library is another one
        ctypes.CDLL(None).malloc_trim(0)


def _is_full(limit: int) -> bool:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # where there is no /proc
        return False
    return pages * os.sysconf("SC_PAGE_SIZE") > limit
