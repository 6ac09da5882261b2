"""Stale gradients as optax transformations, in anybody's training loop.

``delayed`` is exact for every schedule: the loop's parameters are what a worker has read, and the state keeps the
server's. ``mailbox`` is for workers that read after their own writes: the loop's parameters are the server's, and
gradients wait until they land.

To keep the last few *gradients* and apply an old one, as is often done, is neither. Where delays vary it applies some
gradients twice and others never: with delays uniform on 0, …, 7 that nearly doubles the noise of an iterate.
"""

from a3cjax._core.public import listing
from a3cjax.optax.delayed import DelayedState, delayed, server_params, stale_params
from a3cjax.optax.mailbox import MailboxState, mailbox

__all__ = ["DelayedState", "MailboxState", "delayed", "mailbox", "server_params", "stale_params"]
__dir__ = listing(__all__)
