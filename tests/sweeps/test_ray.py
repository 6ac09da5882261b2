"""A Ray cluster of two nodes on this machine's loopback: the same bytes, whoever is killed. `make test-ray`."""

import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from a3cjax.cli.process import main
from a3cjax.sweeps import Job, in_blocks

# Ray keeps to the loopback, and asks nobody to report to; both are read when it is imported.
os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
pytest.importorskip("ray", reason="Ray is an extra: pip install 'a3cjax[ray]'")

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of forks and of files that it leaves open

UNITS = 12
TINY = shlex.split(
    "sweep --laws constant uniform --delays 3 --factors 1 4 --seeds 10 --updates 40 --states 5 --block-size 5"
)
FILES = ("sweep.csv", "sweep.nc", "sweep.png")


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each; their address."""
    from ray import cloudpickle  # pyright: ignore[reportMissingImports]
    from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # which workers cannot import
    node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20}
    made = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    made.add_node(**node)
    yield made.address
    made.shutdown()


def job_in(folder, last_words=None):
    """n² of unit n; who made it is noted in the folder, and unit 4 kills who makes it, as often as is said."""

    def make(start, stop):
        import ray  # pyright: ignore[reportMissingImports]

        with open(folder / "made", "a") as file:
            file.write(json.dumps([start, stop, ray.get_runtime_context().get_node_id()]) + "\n")
        if start <= 4 < stop and len(list(folder.glob("death-*"))) < (last_words or 0):
            (folder / f"death-{time.monotonic_ns()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.3)
        return {"square": np.arange(start, stop) ** 2}

    return Job("sweep", UNITS, {"seed": 0}, make, lambda runs: {"rows": 8.0 * runs})


def made_by(folder):
    return [json.loads(line) for line in (folder / "made").read_text().splitlines()]


def test_a_killed_workers_block_is_made_again(cluster, tmp_path):
    with in_blocks(tmp_path / "blocks", on="ray", address=cluster, size=2, progress=False) as blocks:
        found = blocks.run(job_in(tmp_path, last_words=1))
    np.testing.assert_array_equal(found["square"], np.arange(UNITS) ** 2)
    tried = made_by(tmp_path)
    assert sorted(start for start, _, _ in tried) == [0, 2, 4, 4, 6, 8, 10]
    assert len({node for _, _, node in tried}) == 2
    assert len(list(tmp_path.glob("death-*"))) == 1


def test_a_block_that_kills_every_worker_is_told(cluster, tmp_path):
    with (
        pytest.raises(ValueError, match=r"^Runs 4 to 5 ended the worker 4 times .*; it may lack memory"),
        in_blocks(tmp_path / "blocks", on="ray", address=cluster, size=2, progress=False) as blocks,
    ):
        blocks.run(job_in(tmp_path, last_words=99))
    assert len(list((tmp_path / "blocks").glob("*.npz"))) >= 2  # what was finished is kept


def test_a_pilot_on_a_worker_tells_the_size(cluster, tmp_path):
    with in_blocks(tmp_path / "blocks", on="ray", address=cluster, seconds=0.6, progress=False) as blocks:
        found = blocks.run(job_in(tmp_path))
    np.testing.assert_array_equal(found["square"], np.arange(UNITS) ** 2)
    assert [entry[:2] for entry in made_by(tmp_path)[:2]] == [[0, 1], [1, 2]]


def test_a_killed_driver_goes_on_from_the_finished_blocks(cluster, tmp_path, capsys):
    assert main([*TINY[:-2], "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "out"
    command = [*TINY, "--on", "ray", "--address", cluster, "--out", str(out)]
    code = "from a3cjax.cli.process import script; script()"
    with subprocess.Popen([sys.executable, "-c", code, *command], stdout=subprocess.DEVNULL) as driver:
        while not list(out.glob("sweep.blocks/*.npz")):
            assert driver.poll() is None
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
    finished = {path: path.stat().st_mtime_ns for path in out.glob("sweep.blocks/*.npz")}
    assert not (out / "sweep.csv").exists()
    # The rest as a shard of one, which keeps the blocks: those from before were not made again.
    assert main([*TINY, "--shard", "1/1", "--out", str(out)]) == 0
    assert finished == {path: path.stat().st_mtime_ns for path in finished}
    assert main(command) == 0
    for name in FILES:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (out / "sweep.blocks").exists()
    capsys.readouterr()


def test_nobody_at_the_address_is_a_sentence(tmp_path, capsys):
    assert main([*TINY, "--on", "ray", "--address", "127.0.0.1:1", "--out", str(tmp_path)]) == 2
    assert "--address is '127.0.0.1:1', but no Ray cluster answers there" in capsys.readouterr().err
    assert main([*TINY, "--on", "ray", "--cores-per-block", "0", "--out", str(tmp_path)]) == 2
    assert "is 0, but must be at least 1" in capsys.readouterr().err


def test_more_cores_than_a_machine_has_is_a_sentence(cluster, tmp_path):
    with (
        pytest.raises(ValueError, match="cores is 2, but no machine of the cluster has so many"),
        in_blocks(tmp_path, on="ray", address=cluster, cores=2, progress=False) as blocks,
    ):
        blocks.run(dataclasses.replace(job_in(tmp_path)))
