"""What to do about a delay: rules that change a stale gradient before a server applies it.

Each is an optax transformation whose ``update`` is handed, as keywords, the ``delay`` of the gradient, in updates, and
where it asks for them ``stale``, the parameters that the gradient was computed at, and ``params``, those that it is
applied to. So a rule stands in ``optax.chain`` beside any optimiser, and ``A3C``, ``ActorCritic``, ``QuadraticSGD``,
``a3cjax.optax.delayed`` and ``mailbox`` hand over what they need. A rule's numbers may be one for each run:
``jax.tree_util.Partial(a3cjax.remedies.drop_above, delay=bounds)``. docs/choose/remedies.md shows them side by side.
"""

from a3cjax._core.public import listing
from a3cjax.remedies.clip import clip_by_norm
from a3cjax.remedies.compensation import CompensateState, compensate
from a3cjax.remedies.drop import drop_above, drop_far
from a3cjax.remedies.gap import GapAwareState, clip_by_gap, gap_aware
from a3cjax.remedies.momentum import MomentumState, correct_implicit_momentum
from a3cjax.remedies.scale import CountState, scale_by_delay
from a3cjax.remedies.window import WindowState, adaptive_window

__all__ = [
    "CompensateState",
    "CountState",
    "GapAwareState",
    "MomentumState",
    "WindowState",
    "adaptive_window",
    "clip_by_gap",
    "clip_by_norm",
    "compensate",
    "correct_implicit_momentum",
    "drop_above",
    "drop_far",
    "gap_aware",
    "scale_by_delay",
]
__dir__ = listing(__all__)
