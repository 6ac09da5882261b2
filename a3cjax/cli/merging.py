"""The command that makes one study of blocks, wherever they were made."""

import dataclasses
from pathlib import Path
from typing import Any

from a3cjax.cli.blocks import BlockOptions, MergeOptions, without_blocks, words_given
from a3cjax.cli.command import Command
from a3cjax.cli.parse import Refused, parse
from a3cjax.sweeps.store import notes_in

_ENDING = ".blocks"


def merged(options: MergeOptions) -> Command:
    """The command that the blocks are of, which will make its study from them.

    Raises:
        ValueError: if a folder holds no blocks, or they are of several studies.
    """
    if not options.folders:
        raise ValueError("There is nothing to merge; give the folders, as in a3cjax merge out/a out/b --out out/all.")
    if options.out is None:
        raise ValueError("--out is missing: the folder for the files of the whole study; give it.")
    blocks = [found for folder in options.folders for found in _blocks_in(folder)]
    words = [_words(folder) for folder in blocks]
    for folder, said in zip(blocks, words, strict=True):
        if said[:1] != words[0][:1]:
            raise ValueError(
                f"{folder} holds blocks of {said[0]}, and {blocks[0]} of {words[0][0]}; merge those of one study."
            )
    try:
        command: Any = parse(without_blocks(words[0]))
    except Refused as error:
        raise ValueError(f"{blocks[0]} was made by a command that is none here: {error}") from error
    words_given.set(words[0])
    return dataclasses.replace(command, out=options.out, blocks=BlockOptions(merge=tuple(blocks)))


def _blocks_in(folder: Path) -> list[Path]:
    if folder.name.endswith(_ENDING) and folder.is_dir():
        return [folder]
    found = sorted(folder.glob(f"*{_ENDING}")) if folder.is_dir() else []
    if not found:
        raise ValueError(f"{folder} holds no blocks; give the --out of a command with --shard or --on.")
    return found


def _words(folder: Path) -> list[str]:
    words = notes_in(folder).get("words")
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError(
            f"{folder}/blocks.json does not say which command made the blocks; give that command with --on here and "
            f"--out {folder.parent}, and it goes on from them."
        )
    return words
