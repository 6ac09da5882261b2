"""A place for each version of the parameters that is still to be read, as compilers give variables registers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int32


class Registers(NamedTuple):
    """``write[v]``: where version v goes; ``read[k]``: where the version of read k is; ``number``: of registers."""

    write: Int32[np.ndarray, " versions"]
    read: Int32[np.ndarray, " reads"]
    number: int


def registers(reads: Int32[np.ndarray, " reads"]) -> Registers:
    """Registers for versions 0, 1, …, of which ``reads[k]`` ≤ k is read right after version k has been written.

    A version keeps its register until its last read, so there are as many as versions are alive at once, whatever the
    largest delay.

    >>> registers(np.array([0, 0, 1, 0]))  # version 1 is read after version 2 is written, version 0 to the end
    Registers(write=array([0, 1, 2, 2], dtype=int32), read=array([0, 0, 1, 0], dtype=int32), number=3)
    """
    last = np.full(len(reads), -1)
    np.maximum.at(last, reads, np.arange(len(reads)))
    write, free, number = [], [], 0
    for version, (read, final) in enumerate(zip(reads.tolist(), last[reads].tolist(), strict=True)):
        if not free:
            free.append(number)
            number += 1
        write.append(free.pop())
        if final == version:
            free.append(write[read])
        if last[version] < 0:  # nobody reads it
            free.append(write[version])
    placed = np.array(write, np.int32)
    return Registers(placed, placed[reads], number)
