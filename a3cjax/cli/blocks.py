"""Options of the studies that can be made in blocks, over processes and machines."""

import contextlib
import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, ClassVar

from tyro.conf import Positional, Suppress, arg

from a3cjax._core import terminal
from a3cjax.sweeps import in_blocks

_NUM: Any = {"metavar": "NUMBER", "help_behavior_hint": ""}
_WITH_A_VALUE = ("--shard", "--on", "--address", "--cores-per-block", "--block-seconds", "--block-size", "--out")

words_given: ContextVar[Sequence[str]] = ContextVar("words_given", default=())


@dataclasses.dataclass(frozen=True)
class BlockOptions:
    """Whether a study is made in blocks, which are files until it is whole; the numbers are the same either way."""

    recorded: ClassVar[bool] = False  # among what run.json says of the numbers

    shard: Annotated[
        str | None,
        arg(help="Make only blocks i, i + n, …, for i/n; a3cjax merge makes the study of them.", metavar="I/N",
            help_behavior_hint=""),
    ] = None  # fmt: skip
    on: Annotated[
        str | None,
        arg(help="Make blocks one after the other here, or on Ray's workers (pip install 'a3cjax[ray]').",
            metavar="here|ray", help_behavior_hint=""),
    ] = None  # fmt: skip
    address: Annotated[
        str | None,
        arg(help="Of a running Ray cluster; not given: one on this machine.", metavar="ADDRESS", help_behavior_hint=""),
    ] = None
    cores_per_block: Annotated[int | None, arg(help="Cores of each of Ray's workers (1).", **_NUM)] = None
    block_seconds: Annotated[float | None, arg(help="What a block should take, by a pilot (30).", **_NUM)] = None
    block_size: Annotated[int | None, arg(help="Runs of a block, in place of a pilot; networks need it.", **_NUM)] = (
        None
    )
    dry_run: bool = False
    """Print what memory a block takes, and make none."""
    merge: Suppress[tuple[Path, ...]] = ()

    @contextlib.contextmanager
    def asked(self, folder: Path) -> Iterator[None]:
        """Within, the study is made in blocks, if that is asked for or some are in the folder."""
        wanted = [f for f in ("shard", "on", "block_seconds", "block_size") if getattr(self, f) is not None]
        for name in ("address", "cores_per_block"):
            if getattr(self, name) is not None and self.on != "ray":
                raise ValueError(f"--{name.replace('_', '-')} has no effect without --on ray; leave it out.")
        if not (wanted or self.dry_run or self.merge or folder.is_dir()):
            yield
            return
        if self.shard is not None and self.block_seconds is not None:
            raise ValueError("--block-seconds has no effect with --shard, whose blocks are cut alike everywhere; give "
                             "--block-size.")  # fmt: skip
        if self.block_size is not None and self.block_seconds is not None:
            raise ValueError("--block-seconds has no effect with --block-size; give one of them.")
        words = list(words_given.get())
        with in_blocks(
            folder, on=self.on or "here", shard=self.shard, address=self.address, cores=self.cores_per_block,
            seconds=30.0 if self.block_seconds is None else self.block_seconds, size=self.block_size,
            merge=self.merge or None, dry_run=self.dry_run, say=_say, notes={"words": words} if words else {},
            remake=lambda where, shard, size: _command(words, Path(where).parent, shard, size),
        ):  # fmt: skip
            yield


@dataclasses.dataclass(frozen=True)
class MergeOptions:
    """Make the table, figure and files of a study from the blocks that shards made of it, in one folder or several.

    What comes is what one machine would have made, byte for byte. If some are missing it says which, and the commands
    that make them.
    """

    folders: Annotated[
        Positional[tuple[Path, ...]], arg(help="The --out of each shard.", metavar="DIR", help_behavior_hint="")
    ] = ()
    out: Path | None = None
    """Folder for the files of the whole study."""


def without_blocks(words: Sequence[str]) -> list[str]:
    """The words of a command without those that say where, and in which blocks.

    >>> without_blocks(["sweep", "--seeds", "2", "--shard", "1/4", "--out=here", "--dry-run"])
    ['sweep', '--seeds', '2']
    """
    kept, skip = [], False
    for word in words:
        name = word.split("=")[0].replace("_", "-")
        if skip:
            skip = False
        elif name in _WITH_A_VALUE:
            skip = "=" not in word
        elif name != "--dry-run":
            kept.append(word)
    return kept


def _command(words: Sequence[str], out: Path, shard: tuple[int, int] | None, size: int | None) -> str:
    how = ["--on", "here"] if shard is None else ["--shard", "{}/{}".format(*shard)]
    how += [] if size is None else ["--block-size", str(size)]
    return shlex.join(["a3cjax", *without_blocks(words), *how, "--out", str(out)])


def _say(text: str) -> None:
    terminal.Output().say(text if text.startswith(" ") or "\n" in text else terminal.wrapped(text))
