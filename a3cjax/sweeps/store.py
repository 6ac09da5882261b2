"""Finished blocks on the disk: a file for each, written whole or not at all, which says whose it is."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from a3cjax._core import files
from a3cjax.sweeps.claims import claimed
from a3cjax.sweeps.fingerprint import other_option
from a3cjax.sweeps.job import Block, Job, gaps_in

_ABOUT = "about"  # whose the block is, as JSON
_VALUE = "value_"
_NOTES = "blocks.json"


class NotKept(OSError):
    """A block could not be written; ``strerror`` is a whole sentence but for its full stop."""


class Store:
    """The finished blocks of a job in one folder, and in others that are only read."""

    def __init__(self, folder: Path, job: Job, others: Sequence[Path] = ()) -> None:
        self.folder, self.job = folder, job
        self._folders = tuple(dict.fromkeys((folder, *others)))
        self._options = json.loads(json.dumps(job.options))
        self._known: dict[Path, tuple[Block, float]] = {}

    # ------------------------------------------------------------------------------------------------- what is there

    def finished(self) -> list[Block]:
        """The blocks that are there.

        Raises:
            ValueError: if a file is damaged, or of a job with other options.
        """
        there = [path for folder in self._folders for path in sorted(folder.glob(f"{self.job.unit}s-*.npz"))]
        for path in there:
            if path not in self._known:
                about, _ = self._read(path)
                self._known[path] = Block(about["start"], about["stop"]), float(about["seconds"])
        self._known = {path: self._known[path] for path in there}
        return [block for block, _ in self._known.values()]

    def gaps(self, within: Block | None = None) -> list[Block]:
        """What is missing of the job, or of a block."""
        return list(gaps_in(self.job.whole if within is None else within, self.finished()))

    def missing(self) -> int:
        """How many units are not there."""
        return sum(gap.size for gap in self.gaps())

    def gather(self) -> dict[str, np.ndarray]:
        """All units' arrays, once they are all there."""
        assert not self.gaps()
        whole: dict[str, np.ndarray] = {}
        for path, (block, _) in self._known.items():
            for name, rows in self._read(path)[1].items():
                if name not in whole:
                    whole[name] = np.empty((self.job.count, *rows.shape[1:]), rows.dtype)
                whole[name][block.start : block.stop] = rows
        return whole

    def seconds_per_unit(self) -> float | None:
        """What a unit took in the quickest of the finished blocks."""
        self.finished()
        return min((seconds / block.size for block, seconds in self._known.values()), default=None)

    # ------------------------------------------------------------------------------------------------- what is written

    def save(self, block: Block, arrays: Mapping[str, np.ndarray], seconds: float) -> None:
        """Keep a finished block.

        Raises:
            NotKept: if it cannot be written; those that are there stay.
        """
        about = {"options": self._options, "start": block.start, "stop": block.stop, "seconds": seconds}
        everything: dict[str, Any] = {_VALUE + name: array for name, array in arrays.items()}
        everything[_ABOUT] = np.array(json.dumps(about))
        for name, array in arrays.items():
            if np.shape(array)[:1] != (block.size,):
                raise ValueError(f"{name} has shape {np.shape(array)}, but must have a row for each {self.job.unit}.")
        path = self.path(block)
        with self._or_told(path):
            files.write_whole(path, lambda file: np.savez(file, **everything))
        self._known[path] = block, seconds

    def path(self, block: Block) -> Path:
        """Of a block's file."""
        wide = len(str(max(0, self.job.count - 1)))
        return self.folder / f"{self.job.unit}s-{block.start:0{wide}}-{block.stop - 1:0{wide}}.npz"

    def claimed(self, block: Block | None = None) -> AbstractContextManager[bool]:
        """Within, whether the block, or the choice of a size, is this process' to make."""
        path = self.folder / "size.lock" if block is None else self.path(block).with_suffix(".lock")
        return claimed(path)

    def prepare(self) -> None:
        """Make the folder."""
        with self._or_told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def remove(self) -> None:
        """Forget the blocks that this job has in its own folder. What else is in it stays."""
        ours = [path for path in self._known if path.parent == self.folder]
        stale = [
            path for path in self.folder.glob(".*") if re.match(rf"\.({self.job.unit}s-[\d-]+|blocks)\.", path.name)
        ]
        for path in (*ours, *stale, *self.folder.glob("*.lock"), self.folder / _NOTES):
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    # ------------------------------------------------------------------------------------------------- what is noted

    def note(self, **notes: Any) -> None:
        """Keep a few words beside the blocks, such as how many units a block has."""
        path = self.folder / _NOTES
        text = json.dumps(notes_in(self.folder) | notes, indent=2) + "\n"
        with self._or_told(path):
            files.write_whole(path, lambda file: file.write(text.encode()))

    def noted_size(self) -> int | None:
        """How many units a block has, if that was chosen already."""
        size = notes_in(self.folder).get("size")
        return size if isinstance(size, int) and size > 0 else None

    @contextlib.contextmanager
    def _or_told(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = sum(block.size for block, _ in self._known.values())
            said = f"{error.strerror or error}; {kept:,} finished {self.job.unit}s are kept, and the same command goes "
            raise NotKept(error.errno, f"{said}on from them once it can write there", os.fspath(path)) from error

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What a file says of itself, and its arrays."""
        what, remedy = f"a block of a {self.job.study}", f"delete it, and its {self.job.unit}s are made again"
        arrays = files.read_arrays(path, what, remedy)
        try:
            about = json.loads(str(arrays.pop(_ABOUT)))
            block = Block(int(about["start"]), int(about["stop"]))
            options = dict(about["options"])
            about["seconds"] = float(about["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            raise files.refusal(path, what, "it holds other arrays", remedy) from error
        self._check_options(path, options)
        values = {name.removeprefix(_VALUE): array for name, array in arrays.items()}
        inside = 0 <= block.start < block.stop <= self.job.count
        if not inside or any(array.shape[:1] != (block.size,) for array in values.values()):
            raise files.refusal(path, what, "it has other units than it says", remedy)
        return about, values

    def _check_options(self, path: Path, options: Mapping[str, Any]) -> None:
        other = other_option(self._options, options)
        if other is not None:
            raise ValueError(
                f"{path} is a block of a {self.job.study} with another {other}; finish that one with its own options, "
                f"write to another folder, or remove {path.parent}."
            )


def notes_in(folder: Path) -> dict[str, Any]:
    """What is noted in a folder of blocks; nothing if that cannot be read, for no bits depend on it."""
    try:
        notes = json.loads((folder / _NOTES).read_text())
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}
