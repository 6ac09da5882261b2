"""Studies in blocks, over processes and machines: a file for each finished block, and one study of them in the end."""

from a3cjax._core.public import listing
from a3cjax.sweeps.asked import Blocks, Unfinished, as_a_whole, asked_for, in_blocks
from a3cjax.sweeps.here import Stopped
from a3cjax.sweeps.job import Job
from a3cjax.sweeps.store import NotKept

__all__ = ["Blocks", "Job", "NotKept", "Stopped", "Unfinished", "as_a_whole", "asked_for", "in_blocks"]
__dir__ = listing(__all__)
