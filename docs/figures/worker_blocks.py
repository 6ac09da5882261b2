"""Draw worker_blocks.png and its dark twin: python docs/figures/worker_blocks.py."""

from pathlib import Path
from typing import NamedTuple

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import a3cjax

FOLDER = Path(__file__).parent
MARKED = 5  # the update whose delay is spelled out
INKS = {"": "#1f2430", "-dark": "#ced6dd"}


class Block(NamedTuple):
    """From a worker's read to its write."""

    worker: int
    begin: float
    end: float
    read: int  # the version
    delay: int


def schedule() -> a3cjax.Schedule:
    """Three workers that need 1, 1.6 and 2.7 units of time for a gradient."""
    laws = [a3cjax.compute_times.Deterministic(mean) for mean in (1.0, 1.6, 2.7)]
    return a3cjax.Schedule.from_workers(jax.random.key(0), laws, num_updates=10)


def blocks(drawn: a3cjax.Schedule) -> list[Block]:
    """One for each update, in the order of their writes; a worker reads when it has written."""
    found, begun = [], {}
    for worker, delay, time, read in zip(drawn.worker, drawn.delay, drawn.time, drawn.reads, strict=True):
        found.append(Block(int(worker), begun.get(int(worker), 0.0), float(time), int(read), int(delay)))
        begun[int(worker)] = float(time)
    return found


def draw(suffix: str) -> None:
    """Write the figure for a light page, or a dark one."""
    ink = INKS[suffix]
    colours = plt.get_cmap("viridis_r")
    with plt.rc_context(
        {"text.color": ink, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink, "font.size": 9}
    ):
        figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
        all_blocks = blocks(schedule())
        for k, block in enumerate(all_blocks):
            colour = colours(0.1 + 0.25 * block.delay)
            wide = block.end - block.begin
            ax.barh(block.worker, wide - 0.04, left=block.begin + 0.02, height=0.62, color=colour)
            on = "white" if block.delay >= 2 else "black"
            text = f"k = {k}\nreads {block.read}, τ = {block.delay}"
            ax.text(block.begin + wide / 2, block.worker, text, ha="center", va="center", fontsize=7.5, color=on)
        marked = all_blocks[MARKED]
        within = [block for block in all_blocks if marked.begin < block.end < marked.end]
        for block in within:
            ax.plot([block.end] * 2, [-0.55, 2.5], color=ink, linewidth=0.9, linestyle=(0, (3, 3)), zorder=0)
            ax.text(block.end, -0.62, "lands", ha="center", fontsize=7.5)
        ax.barh(
            marked.worker, marked.end - marked.begin, left=marked.begin, height=0.7, fill=False, edgecolor=ink, lw=2
        )
        ax.set(xlabel="time", yticks=range(3), yticklabels=[f"worker {i}" for i in range(3)], ylim=(2.5, -0.85))
        ax.set_xlim(0, all_blocks[-1].end + 0.03)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
        figure.savefig(FOLDER / f"worker_blocks{suffix}.png", dpi=130, transparent=True, metadata={"Software": None})
        plt.close(figure)


if __name__ == "__main__":
    for name in INKS:
        draw(name)
