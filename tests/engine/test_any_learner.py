"""Any learner that keeps the protocol learns what a plain loop makes of it, and never ends the process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("drawn_learner.py")

# A worker that counts its proposals, alone in a ring with one lane: its loop before the first update changes nothing,
# and was once folded to a constant that left the kernel's inputs without a use.
COUNTS = {
    "x64": False, "state": [[[2], "float32"]], "view": [0], "own": [[[], "int32"]], "message": [[[2], "float32"]],
    "structure": 0, "num_words": 0, "init_draws": False, "worker_draws": False, "reads_view": True,
    "reads_own": False, "reads_words": True, "reads_state": True, "reads_message": True, "reads_delay": False,
    "own_next": "counts", "still": [], "logs": False, "scatters": False, "schedule": "law", "history": "ring",
    "runs": 0, "shifts": False, "updates": 9, "every": 3, "how": "plain", "seed": 0,
}  # fmt: skip


@pytest.mark.parametrize("cases", [[COUNTS, 1], [3, 6]])
def test_drawn_learners_are_a_plain_loop(cases):
    """In a process of its own: states, messages and keys of many types, in every history, batch and way to run it."""
    package = str(Path(__file__).parents[2])
    paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    words = [case if isinstance(case, int) else json.dumps(case) for case in cases]
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.splitlines()[1::2] == ["ok"] * len(cases)
