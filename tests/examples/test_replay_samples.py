"""A run of real processes, replayed from its log: the same θ and ω, unless a row of the log is changed."""

import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import a3cjax
from a3cjax.studies import replay_samples

EXAMPLE = Path(__file__).parents[2] / "examples" / "numpy_a3c.py"
NAMES = ("worker", "read", "written", "critic", "actor", "policy")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two processes that shared θ and ω under a lock: the folder of their log, its updates in order, θ and ω after."""
    folder = tmp_path_factory.mktemp("real") / "run"
    options = ["--workers", "2", "--seconds", "60", "--updates", "300", "--pause", "0.001"]
    done = subprocess.run([sys.executable, EXAMPLE, folder, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for path in folder.iterdir() for line in path.read_text().splitlines()]
    rows = sorted((line for line in lines if "written" in line), key=lambda line: line["written"])
    assert len({row["pid"] for row in lines if "pid" in row}) == 3  # and who started them
    assert sum(row["read"] < row["written"] for row in rows) > 50  # many were stale
    end = next(line for line in lines if line.get("event") == "end")
    return folder, rows, np.array(end["theta"]), np.array(end["omega"])


def learner():
    spec = importlib.util.spec_from_file_location("numpy_a3c", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    transition, reward = example.problem()
    start = np.full(example.STATES, 1 / example.STATES)
    mdp = a3cjax.FiniteMDP(transition, reward, start, example.DISCOUNT, features=example.FEATURES)
    return a3cjax.A3C(mdp, actor_step=example.ACTOR_STEP, critic_step=example.CRITIC_STEP)


def table(rows):
    return {name: [row[name] for row in rows] for name in NAMES}


def tells_versions_apart(rows, k):
    """Whether row k would be another with a version older: of its actor's policy, and of a value that it looks at."""
    before, row = rows[rows[k]["read"] - 1], rows[k]
    looked_at = (*row["critic"][::2], *row["actor"][::2])
    return before["actor"][0] == row["actor"][0] and before["critic"][0] in looked_at


def test_in_double_precision_it_is_the_run_to_the_bit(x64, run):
    folder, rows, theta, omega = run
    replay = replay_samples(folder, learner(), policy="policy")
    np.testing.assert_array_equal(replay.theta, theta)
    np.testing.assert_array_equal(replay.omega, omega)
    assert replay.schedule.delay.tolist() == [row["written"] - row["read"] for row in rows]
    assert replay.first_off is None
    assert replay.policy_off < 1e-14
    assert "each worker's policy was that of the version it read" in str(replay)


def test_a_log_that_is_changed_in_one_row_is_another_run(x64, run):
    _, rows, theta, omega = run
    k = min(
        (k for k in range(50, 290) if tells_versions_apart(rows, k)), key=lambda k: rows[k]["written"] - rows[k]["read"]
    )

    def changed(change):
        log = copy.deepcopy(rows)
        change(log)
        return replay_samples(table(log), learner(), policy="policy")

    def older(log):
        log[k]["read"] -= 1

    def elsewhere(log):
        log[k]["critic"][2] = (log[k]["critic"][2] + 1) % 8

    def another_action(log):
        log[k]["actor"][1] = (log[k]["actor"][1] + 1) % 3

    def another_policy(log):
        log[k]["policy"][0] += 1e-6

    def exchanged(log):
        j = next(j for j in range(k, len(log)) if log[j]["actor"][0] != log[k]["actor"][0])
        log[j]["actor"], log[k]["actor"] = log[k]["actor"], log[j]["actor"]

    replays = {change: changed(change) for change in (older, elsewhere, another_action, another_policy, exchanged)}
    for change, replay in replays.items():
        assert not (np.array_equal(replay.theta, theta) and np.array_equal(replay.omega, omega)), change.__name__
    for change in (older, another_policy, exchanged):  # no worker that read that version had such a policy
        assert replays[change].first_off == k, change.__name__
    assert f"from update {k} on policies are not those of the versions that were read" in str(replays[older])
    # What came of another action is seen as soon as somebody looks there.
    assert k < (replays[another_action].first_off or 0) < k + 80


def test_in_single_precision_and_without_policies_it_is_the_run_to_rounding(x32, run):
    folder, _, theta, omega = run
    replay = replay_samples(folder, learner())
    np.testing.assert_allclose(replay.theta, theta, rtol=0, atol=2e-6)
    np.testing.assert_allclose(replay.omega, omega, rtol=0, atol=2e-6)
    assert np.isnan(replay.policy_off)
    assert "no policies to look at" in str(replay)


def test_what_cannot_be_replayed_is_refused(run):
    log = table(run[1][:20])
    one, mdp = learner(), learner().mdp
    last = log["critic"][:-1]
    for change, words in (
        ({"critic": [*last, [8, 0, 0]]}, r"critic of update 19 is \[8, 0, 0\], but must be \(s, a, s'\), whole"),
        ({"actor": [*last, [1, 0]]}, r"actor of update 19 is \[1, 0\], but must be \(s"),
        ({"actor": [*last, [[0], 1, 2]]}, r"actor of update 19 is \[\[0\], 1, 2\], but must be \(s"),
        ({"actor": [None, *log["actor"][1:]]}, "row 0: actor is missing; record it with each update"),
        ({"policy": [[1.0], *log["policy"][1:]]}, r"policy of update 0 is \[1.0\], but must be 3 probabilities"),
        ({name: [v + 5 for v in log[name]] for name in ("read", "written")}, "begins in mid-run, at version 5"),
        ({"written": [0, *log["written"][:-1]], "time": [1.0 * k for k in range(20)], "read": [0] * 20,
          "read_time": [k - 0.5 for k in range(20)]}, "does not say of every update which version it read and wrote"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            replay_samples(log | change, one, policy="policy")
    with pytest.raises(ValueError, match="has no column 'actors'; it has worker, read"):
        replay_samples(log, one, actor="actors")
    steps: dict[str, Any] = dict(actor_step=0.1, critic_step=0.1)
    for other, words in (
        (a3cjax.QuadraticSGD([1.0], step=0.1), "learner is a QuadraticSGD, but recorded samples"),
        (a3cjax.A3C(mdp, minibatch=2, **steps), "the learner's minibatch is 2, but recorded samples .* with 1"),
        (a3cjax.A3C(mdp, gradient="fresh", **steps), "gradient is 'fresh'"),
        (a3cjax.A3C(mdp, estimator="reinforce", **steps), "whose returns are of a rollout that no sample holds"),
        (a3cjax.A3C(mdp, prior=a3cjax.Prior.uniform(0.1, 8, 3), **steps), "the learner's prior is"),
    ):
        with pytest.raises(ValueError, match=words):
            replay_samples(log, other)
