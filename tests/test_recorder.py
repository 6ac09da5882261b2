"""The recorder: what its lines are, that it needs the standard library alone, and what a kill leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from a3cjax import recorder
from a3cjax.recorder import Recorder

FILE = Path(recorder.__file__)
# One file imported by its path, as a copy in another trainer is; nothing of any site is there.
WRITER = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("recorder", {str(FILE)!r})
recorder = importlib.util.module_from_spec(spec)
spec.loader.exec_module(recorder)
"""


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def alone(code, *arguments):
    return [sys.executable, "-I", "-S", "-c", WRITER + code, *arguments]


def test_one_copied_file_is_enough(tmp_path):
    code = """
with recorder.Recorder(sys.argv[1], "a") as one:
    one.read(0)
    one.write(0)
site = [name for name in sys.modules if name.split(".")[0] in ("numpy", "jax", "a3cjax", "site")]
print(site, one.path)
"""
    done = subprocess.run(alone(code, str(tmp_path / "run")), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ")
    assert [line.get("written") for line in lines_of(done.stdout.split()[1])] == [None, 0]


def test_lines(tmp_path):
    """Every line and field, in an order of times that must hold."""
    before = time.monotonic_ns()
    with Recorder(tmp_path / "run", 3, run="mine") as one:
        one.read(17)
        one.got()
        one.ready()
        one.write(19, loss=0.5)
        one.read()
        one.write()
        one.event("trained", samples=["2-18"], version=19, tokens=5)
        one.event("paused")
    header, first, second, trained, paused = lines_of(one.path)
    assert header["a3cjax_log"] == 1
    assert (header["pid"], header["worker"], header["run"]) == (os.getpid(), 3, "mine")
    times = [before, header["ns"], *(first.pop(name) for name in ("read_ns", "got_ns", "ready_ns", "ns"))]
    times += [second.pop("read_ns"), second.pop("ns"), trained.pop("ns"), paused.pop("ns"), time.monotonic_ns()]
    assert times == sorted(times)
    who = {"run": "mine", "worker": 3}
    assert first == {**who, "read": 17, "written": 19, "loss": 0.5}
    assert second == {**who, "read": None, "written": None}
    assert trained == {**who, "event": "trained", "samples": ["2-18"], "version": 19, "tokens": 5}
    assert paused == {**who, "event": "paused"}


def test_a_read_without_a_write_is_forgotten(tmp_path):
    with Recorder(tmp_path / "log.jsonl", 0) as one:
        one.read(1)
        one.ready()
        one.read(2)
        one.write(5)
    (line,) = lines_of(tmp_path / "log.jsonl")[1:]
    assert line["read"] == 2
    assert "ready_ns" not in line


def test_a_file_cut_within_a_line_is_not_gone_on_with(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"run": "x", "wor')
    with Recorder(path, 0):
        pass
    cut, header = path.read_text().splitlines()
    assert cut == '{"run": "x", "wor'
    assert json.loads(header)["worker"] == 0


FORK = """
import multiprocessing, os
context = multiprocessing.get_context("fork")
def child(folder, queue):
    with recorder.Recorder(folder, "child") as one:
        queue.put(one.run)
def grandchild(one, queue):
    try:
        one.event("x")
    except RuntimeError as error:
        queue.put(str(error))
def in_child(work, *arguments):
    queue = context.Queue()
    process = context.Process(target=work, args=(*arguments, queue))
    process.start()
    said = queue.get(timeout=30)
    process.join()
    return said
"""


def forked(code, folder, **environment):
    """What a program without JAX, whose threads a fork would fear, prints."""
    kept = {name: value for name, value in os.environ.items() if name != "A3CJAX_RUN"} | environment
    done = subprocess.run(alone(FORK + code, str(folder)), capture_output=True, text=True, check=True, env=kept)
    return done.stdout.splitlines()


def test_children_share_the_run_of_their_parent(tmp_path):
    code = """
with recorder.Recorder(sys.argv[1], "parent") as one:
    print(one.run)
    print(in_child(child, sys.argv[1]))
"""
    parent, child = forked(code, tmp_path)
    assert parent == child
    assert len(list(tmp_path.iterdir())) == 2
    assert forked(code, tmp_path, A3CJAX_RUN="named") == ["named"] * 2
    assert forked(code, tmp_path)[0] != parent


def test_bad_input(tmp_path):
    for worker in (1.5, True, None):
        with pytest.raises(ValueError, match="whole number or text"):
            Recorder(tmp_path, worker)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="run is ''"):
        Recorder(tmp_path, 0, run="")
    one = Recorder(tmp_path, 0)
    with pytest.raises(RuntimeError, match="write comes without a read"):
        one.write(0)
    one.read(0)
    with pytest.raises(ValueError, match=r"write was given 0\.5"):
        one.write(0.5)  # pyright: ignore[reportArgumentType]
    one.read(0)
    with pytest.raises(ValueError, match="ns is a name of the log's own"):
        one.write(0, ns=3)
    one.close()
    one.close()
    one.read(0)
    with pytest.raises(RuntimeError, match="is closed"):
        one.write(0)


def test_a_fork_needs_its_own(tmp_path):
    code = "print(in_child(grandchild, recorder.Recorder(sys.argv[1], 0)))"
    assert "made before a fork" in forked(code, tmp_path)[0]


def test_killed_at_random_moments(tmp_path):
    """Three writers append to one file and are killed; each had told how many calls returned: those lines are whole."""
    path, marker = tmp_path / "log.jsonl", "x" * 3000  # long lines, so that a kill may fall within one
    code = """
import os
one = recorder.Recorder(sys.argv[1], sys.argv[2], run="r")
done = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT)
k = 0
while True:
    one.read(k)
    one.write(k, text=sys.argv[4])
    k += 1
    os.pwrite(done, b"%020d" % k, 0)
"""
    told = [tmp_path / f"told{i}" for i in range(3)]
    writers = [subprocess.Popen(alone(code, str(path), str(i), str(told[i]), marker)) for i in range(3)]
    try:
        for i, writer in enumerate(writers):
            while not told[i].exists() or told[i].stat().st_size < 20:
                assert writer.poll() is None
                time.sleep(0.002)
        for i, writer in enumerate(writers):
            time.sleep(0.003 * (i + 1))
            writer.send_signal(signal.SIGKILL)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    counts = {str(i): 0 for i in range(3)}
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            row = json.loads(line[max(line.rfind(b'{"run": '), 0) :])  # a cut line goes on as another's whole one
        except ValueError:
            continue
        if "written" in row:
            assert row["written"] == counts[row["worker"]]
            assert row["text"] == marker
            counts[row["worker"]] += 1
    for i in range(3):
        assert int(told[i].read_text()) >= 1
        assert counts[str(i)] - int(told[i].read_text()) in (0, 1)
