"""What all tests share, doctests and notebooks among them: compiled programs, and how much memory they may take."""

import contextlib
import ctypes
import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

_MOST_MEMORY = 1 << 30  # bytes of a process that are worth keeping programs in
_MOST_MAPPINGS = 16_000  # of memory; Linux gives a process 65,530, and the compiler does not survive the last


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled programs in one folder for all processes: workers, notebooks' kernels, commands that tests start.

    A program from there is the one that was put there, bit for bit. The folder is new for each session, unless the
    environment names one that stays. What another process has written only half yet is told by a warning and compiled.
    """
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not folder:
        made = tempfile.TemporaryDirectory(prefix="a3cjax-programs-")
        config.add_cleanup(made.cleanup)
        folder = made.name
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[Any]:
    """After a file, let go of compiled programs once they fill the process: the folder has them."""
    done = yield
    if (nextitem is None or nextitem.path != item.path) and _is_full():
        jax.clear_caches()
        gc.collect()
        with contextlib.suppress(AttributeError):  # where the C library is another one
            ctypes.CDLL(None).malloc_trim(0)
    return done


def _is_full() -> bool:
    try:
        pages, mappings = Path("/proc/self/statm").read_text().split()[1], Path("/proc/self/maps").read_bytes()
    except OSError:  # where there is no /proc
        return False
    return int(pages) * os.sysconf("SC_PAGE_SIZE") > _MOST_MEMORY or mappings.count(b"\n") > _MOST_MAPPINGS
