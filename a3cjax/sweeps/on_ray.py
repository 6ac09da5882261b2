"""Blocks on the workers of a Ray cluster. They come back to the driver, which alone keeps them on its disk."""

import contextlib
import importlib
import importlib.util
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from a3cjax.engine.host import interruptible
from a3cjax.sweeps import remote
from a3cjax.sweeps.here import Stopped, stopped
from a3cjax.sweeps.job import Block, cut
from a3cjax.sweeps.reports import Report
from a3cjax.sweeps.sizes import chosen_size
from a3cjax.sweeps.store import Store

_RETRIES = 3  # of a block whose worker or machine has ended
_LOOPBACK = ("127.", "localhost")
_LOOK = 0.5  # seconds between two looks at Ctrl-C, and at what other processes do


def check_installed() -> None:
    """Refuse to go on without Ray, before anything is drawn."""
    if importlib.util.find_spec("ray") is None:
        raise ValueError("on is 'ray', but Ray is not installed; pip install 'a3cjax[ray]', or leave it out.")


def make_all(
    store: Store, report: Report, address: str | None, cores: int, size: int | None, seconds: float,
    announce: Callable[[Store, int, str], None],
) -> None:  # fmt: skip
    """Make all that is missing, in blocks of the size asked for or of one that a pilot on a worker tells."""
    with _cluster(address, cores) as workers, interruptible() as pressed:
        send = _sender(store, cores)

        def one(block: Block) -> None:
            _take(store, block, _wait(store, send(block), pressed))

        size = size or chosen_size(store, one, seconds, workers)
        store.note(size=size)
        announce(store, size, f", on {workers} worker{'' if workers == 1 else 's'} at a time")
        _make(store, size, workers, send, report, pressed)


def _make(
    store: Store, size: int, workers: int, send: Callable[[Block], Any], report: Report, pressed: Callable[[], bool]
) -> None:
    """Twice as many blocks as there are workers are on their way, each claimed for as long."""
    ray: Any = importlib.import_module("ray")
    left, going, claims = cut(store.gaps(), size), {}, {}
    with contextlib.ExitStack() as all_claims:
        while left or going:
            others = []
            while left and len(going) < 2 * workers:
                block, claim = left.pop(0), all_claims.enter_context(contextlib.ExitStack())
                if not claim.enter_context(store.claimed(block)):
                    claim.close()
                    others.append(block)
                elif not store.gaps(block):
                    claim.close()
                else:
                    going[send(block)], claims[block] = block, claim
            left += others
            if not going:
                report.waiting(len(left))
                time.sleep(_LOOK)
            if pressed():
                raise Stopped(stopped(store))
            done, _ = ray.wait(list(going), timeout=_LOOK) if going else ([], [])
            for task in done:
                block = going.pop(task)
                _take(store, block, _result(store, block, task))
                claims.pop(block).close()
            report.now(f", {min(len(going), workers)} blocks at work")


def _wait(store: Store, task: Any, pressed: Callable[[], bool]) -> Any:
    ray: Any = importlib.import_module("ray")
    while not ray.wait([task], timeout=_LOOK)[0]:
        if pressed():
            raise Stopped(stopped(store))
    return _result(store, None, task)


def _take(store: Store, block: Block, found: tuple[Mapping[str, np.ndarray], float]) -> None:
    store.save(block, *found)


def _result(store: Store, block: Block | None, task: Any) -> Any:
    """What a worker has sent, or a sentence."""
    ray: Any = importlib.import_module("ray")
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # as if it had happened here
    except ray.exceptions.RayError as error:
        what = "A block" if block is None else block.said(store.job.unit).capitalize()
        reason = type(error).__name__
        raise ValueError(
            f"{what} ended the worker {_RETRIES + 1} times ({reason}); it may lack memory: make blocks smaller (size), "
            f"or look into Ray's logs. What is finished is kept in {store.folder}."
        ) from error


def _sender(store: Store, cores: int) -> Callable[[Block], Any]:
    """Sends a block to whichever worker is free; the job goes to each machine once."""
    ray: Any = importlib.import_module("ray")
    job = ray.put(store.job)
    settings = remote.settings_here()
    task = ray.remote(num_cpus=cores, max_retries=_RETRIES)(remote.make)
    return lambda block: task.remote([job], job.hex(), tuple(block), cores, settings)


@contextlib.contextmanager
def _cluster(address: str | None, cores: int) -> Iterator[int]:
    """Within, Ray is connected; yields how many blocks can be made at a time."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what a worker without a GPU sees is as it was
    if address is None or address.startswith(_LOOPBACK):
        # Ray would put its machine's name on the network in place of the loopback. This keeps it to itself; it is read
        # when Ray is imported, which has been done nowhere else here.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray: Any = importlib.import_module("ray")
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address)
    try:
        there = int(ray.cluster_resources().get("CPU", 0))
        if there < cores:
            raise ValueError(f"cores is {cores}, but the whole cluster has {there}; ask for fewer.")
        each = [int(node["Resources"].get("CPU", 0)) // cores for node in ray.nodes() if node["Alive"]]
        if not sum(each):
            raise ValueError(f"cores is {cores}, but no machine of the cluster has so many; ask for fewer.")
        yield sum(each)
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    usual: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **usual)
        return
    try:
        _check_answers(address)
        ray.init(address=address, **usual)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(
            f"address is {address!r}, but no Ray cluster answers there ({reason}); start one by ray start --head, and "
            "give the address that it prints."
        ) from error


def _check_answers(address: str) -> None:
    """Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()
