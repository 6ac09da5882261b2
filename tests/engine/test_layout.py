"""Runs as tiles of lanes: every run has a place, and gets it back."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from a3cjax._xla.backend import ACCELERATOR
from a3cjax._xla.cpu_kernel import CPU_KERNEL
from a3cjax._xla.lane_kernel import LANE_KERNEL
from a3cjax._xla.loops import LOOPS
from a3cjax._xla.matrices import matrices
from a3cjax.engine import driver, way
from a3cjax.engine.layout import Layout
from a3cjax.engine.plan import Plan

CASES = [(1, 1), (2, 2), (9, 1), (67, 2), (128, 1), (129, 1), (4097, 2)]


BACKENDS = CPU_KERNEL, LOOPS, matrices(20_000), ACCELERATOR, LANE_KERNEL


@pytest.mark.parametrize(("runs", "shares"), CASES)
def test_every_run_has_a_place(runs, shares):
    """On every backend and in every history; layouts that come to the same are looked at once."""
    layouts = {}
    for backend in BACKENDS:
        for history in ("mailbox", "ring", "versions"):
            layout = Layout.of(runs, shares, history, 16, backend)
            assert layout.tiles % shares == 0
            assert backend is not LANE_KERNEL or layout.lanes % 32 == 0
            assert layout.tiles * layout.lanes >= runs
            layouts[layout.tiles, layout.lanes] = layout
    for layout in layouts.values():
        assert layout.real_lanes().sum() == runs
        for module in (np, jnp):
            leaf = module.arange(3 * runs).reshape(runs, 3)
            tiles = layout.split(leaf)
            assert tiles.shape == (layout.tiles, layout.lanes, 3)
            np.testing.assert_array_equal(layout.join(tiles), leaf)
            steps = layout.join(module.stack([tiles, -tiles, 2 * tiles], axis=1), steps=np.array([0, 2]))
            np.testing.assert_array_equal(steps, np.stack([leaf, 2 * leaf], axis=1))


def test_surplus_lanes_repeat_the_first_run():
    layout = Layout.of(67, 2, "ring", 16, CPU_KERNEL)
    flat = layout.split(np.arange(67)).ravel()
    assert flat[:67].tolist() == list(range(67))
    assert set(flat[67:].tolist()) <= {0}


def test_tiles_are_no_larger_than_said():
    assert Layout.of(256, 1, "mailbox", 16, CPU_KERNEL).lanes == CPU_KERNEL.most_lanes["mailbox"]
    assert Layout.of(256, 1, "ring", 16, CPU_KERNEL).lanes == CPU_KERNEL.most_lanes["ring"]
    assert Layout.of(256, 1, "mailbox", 4096, CPU_KERNEL).lanes == CPU_KERNEL.most_lanes["mailbox"] // 2
    assert Layout.of(256, 1, "mailbox", 16, ACCELERATOR).tiles == 1


@pytest.mark.parametrize("backend", [CPU_KERNEL, LOOPS])
def test_few_lanes_are_a_power_of_two(backend):
    """Counted out: so that batches of about as many runs share a program."""
    lanes = [Layout.of(runs, 1, "ring", 16, backend).lanes for runs in range(2, 17)]
    assert lanes == [2, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16, 16, 16, 16, 16]
    assert Layout.of(18, 2, "ring", 16, backend).lanes == 16  # nine in each of two tiles


def test_blocks_get_shorter_with_more_runs_but_not_without_end():
    """A call for each tile costs a tenth of a millisecond, so a tile's block keeps at least two hundred updates."""
    plan = Plan("mailbox", 16, 0, 1 << 20, (), (), False, (), CPU_KERNEL)

    def updates(runs):
        layout = Layout.of(runs, 1, "mailbox", 16, CPU_KERNEL)
        block, segments, shaped = driver._shape_blocks(plan, layout, 1 << 30)
        assert block == segments * shaped.segment
        return block

    assert updates(1) == driver.LONGEST_BLOCK
    assert updates(4096) == way.BLOCK_WORK // 4096
    assert updates(10**5) == updates(10**6) == 256
    assert driver._shape_blocks(
        dataclasses.replace(plan, segment=10), Layout.of(10**6, 1, "ring", 16, CPU_KERNEL), 30
    ) == (
        30,
        3,
        dataclasses.replace(plan, segment=10),
    )
