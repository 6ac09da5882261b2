"""Record what a real asynchronous trainer does: who read which version when, and who wrote which.

This file needs nothing but Python's standard library. ``a3cjax.recorder`` is one way to import it; the other is to copy
it, this one file, into the trainer's own folder, and write ``from recorder import Recorder``.

Each process has a recorder of its own::

    with Recorder("out/run", worker=rank) as recorder:
        while training:
            with lock:
                recorder.read(counter.value)
                copy_parameters()
            recorder.got()                       # if you like: the copy is there
            gradient = compute()
            recorder.ready()                     # if you like: before waiting for the lock
            with lock:
                apply(gradient)
                recorder.write(counter.value)    # the count of updates before this one: 0 for the first
                counter.value += 1

and ``a3cjax.Schedule.from_log("out/run")`` reads what all of them wrote. A trainer without a counter calls ``read()``
and ``write()``; then the clock has to tell the order.

**The file.** JSON lines in UTF-8. If ``path`` ends in a suffix such as ``.jsonl`` it is one file, to which all
processes append; else it is a folder, made if need be, in which every recorder has a file of its own. The first line of
a recorder says what it is::

    {"a3cjax_log": 1, "run": ..., "worker": ..., "pid": ..., "host": ..., "clock": ..., "unix_ns": ..., "ns": ...}

and then there is a line for each update, when it is written, and for each event::

    {"run": "4f1c09aa-812", "worker": 3, "read": 17, "read_ns": ..., "written": 19, "ns": ...}
    {"run": "4f1c09aa-812", "worker": "learner", "event": "trained", "ns": ..., "sample": "2-18", "version": 19}

``got_ns`` and ``ready_ns`` are there if ``got`` and ``ready`` were called, and so is whatever else was handed over.

**The clock** is ``time.monotonic_ns``: nanoseconds since some moment of this boot. Processes on one machine share it,
those on two do not; ``clock`` names the boot, and files with different ones are never ordered by their times.

**Kills.** A line is one ``os.write`` to a descriptor opened with ``O_APPEND``: no lock, no buffer. A process killed at
any moment has left every line whose call had returned; what the kill may cut is the line being written. It is the last
of its file, unless others append to the same one; readers leave it out and say so. ``flush`` is for power cuts, not for
kills. Appending is whole on local file systems; on network file systems give a folder.

**The run.** ``run`` tells the logs of two runs in one folder apart. It is the same for a process and the children that
``multiprocessing`` started for it. Processes started otherwise, by a launcher or on several machines, need one name for
all, as ``run=`` or in the environment variable ``A3CJAX_RUN``.
"""

import itertools
import json
import os
import re
import socket
import sys
import time
from typing import Any

__all__ = ["Recorder"]

_OF_US = ("a3cjax_log", "run", "worker", "event", "read", "read_ns", "got_ns", "ready_ns", "written", "ns")
_made = itertools.count()  # recorders in this process, which have files of their own


class Recorder:
    """One process' log of its reads, writes and events.

    A recorder belongs to the process and the thread that made it; a child made by fork must make its own.

    Args:
        path: a folder for the files of all processes, made if need be; or with a suffix, ``log.jsonl``, one file.
        worker: the name of this process, a whole number or text, which no other process of the run has.
        run: a name that all processes of the run share; see the module's text for what it is if not given.

    Raises:
        ValueError: if ``worker`` is neither a whole number nor text, or ``run`` is not text.
        OSError: if the file cannot be opened; later, from any call, if it cannot be written.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Recorder(pathlib.Path(folder) / "run", worker=0) as recorder:
    ...         recorder.read(0)
    ...         recorder.write(0, loss=1.5)
    ...     lines = pathlib.Path(recorder.path).read_text().splitlines()
    >>> [json.loads(line).get(name) for name in ("worker", "read", "written", "loss") for line in lines[1:]]
    [0, 0, 0, 1.5]
    """

    def __init__(self, path: "str | os.PathLike[str]", worker: "int | str", *, run: "str | None" = None) -> None:
        if isinstance(worker, bool) or not isinstance(worker, (int, str)):
            raise ValueError(f"worker is {worker!r}, but must be a whole number or text; give int(rank), for example.")
        run = _default_run() if run is None else run
        if not isinstance(run, str) or not run:
            raise ValueError(f"run is {run!r}, but must be text that all processes of the run share.")
        self.worker, self.run = worker, run
        self.path = _file(os.fspath(path), worker)
        self._who = json.dumps({"run": run, "worker": worker})[:-1]
        self._pid = os.getpid()
        # A file of ours that was cut, as by a kill, ends within a line, and ours must not go on with it.
        self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._read: tuple[int | None, int] | None = None
        self._marks = ""
        header = {"a3cjax_log": 1, "run": run, "worker": worker, "pid": self._pid, "host": socket.gethostname()}
        header |= {"clock": _clock(), "unix_ns": time.time_ns(), "ns": time.monotonic_ns()}
        self._append(("\n" if _ends_within_a_line(self._handle) else "") + json.dumps(header) + "\n")

    def read(self, version: "int | None" = None) -> None:
        """The parameters are read now; they are version ``version``, those after that many updates.

        Call it right before they are copied, under the lock if there is one. Nothing is written yet: the line comes
        with ``write``. A read that no write follows, as when its gradient is thrown away, is forgotten with the next
        read.
        """
        self._read = (version, time.monotonic_ns())
        self._marks = ""

    def got(self) -> None:
        """The copy of the parameters is there."""
        self._marks += f', "got_ns": {time.monotonic_ns()}'

    def ready(self) -> None:
        """The gradient is ready, and from now on waits for the lock."""
        self._marks += f', "ready_ns": {time.monotonic_ns()}'

    def write(self, version: "int | None" = None, **more: Any) -> None:
        """The update has just been applied; ``version`` updates came before it, so the first is 0.

        Call it under the lock if there is one, for then times have the order of versions.

        Args:
            version: what the shared counter says before it is raised, if there is one.
            more: whatever else the line is to hold, such as the samples; anything that ``json.dumps`` takes.

        Raises:
            RuntimeError: if there was no ``read`` since the last ``write``, or another process made this recorder.
            ValueError: if a name in ``more`` is one of the log's own.
        """
        now = time.monotonic_ns()
        if self._read is None:
            raise RuntimeError("write comes without a read before it; call read when the parameters are read.")
        read, at = self._read
        self._read = None
        line = f'{self._who}, "read": {_whole("read", read)}, "read_ns": {at}{self._marks}, '
        line += f'"written": {_whole("write", version)}, "ns": {now}'
        self._append(f"{line}{_others(more) if more else ''}}}\n")

    def event(
        self,
        kind: str,
        *,
        sample: "int | str | None" = None,
        samples: "list[Any] | None" = None,
        version: "int | None" = None,
        **more: Any,
    ) -> None:
        """Something happened to a sample, or to the parameters; what pipelines have in place of reads and writes.

        ``from_log`` understands the kinds ``submitted`` (the generation of ``sample`` begins with ``version``),
        ``done`` (it ends, and the newest version is ``version``), ``trained`` (an update of ``samples``, before which
        there were ``version`` others), ``dropped`` (thrown away, when there were ``version``) and ``published``
        (generators can read ``version`` from now on). Any other kind is kept and left alone.

        Args:
            kind: what happened.
            sample: which one, a name that no other sample of the run has.
            samples: those of a batch.
            version: see above.
            more: whatever else the line is to hold.

        Raises:
            ValueError: if a kind, a sample or a version is none, or a name in ``more`` is one of the log's own.
        """
        now = time.monotonic_ns()
        line = f'{self._who}, "event": {_name("kind", kind)}, "ns": {now}'
        if sample is not None:
            line += f', "sample": {_name("sample", sample)}'
        if samples is not None:
            line += f', "samples": [{", ".join([_name("samples", one) for one in samples])}]'
        if version is not None:
            line += f', "version": {_whole("version", version)}'
        self._append(f"{line}{_others(more) if more else ''}}}\n")

    def flush(self) -> None:
        """Have the operating system put on the disk what it was given, which a loss of power could take away."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0 and os.getpid() == self._pid:
            os.close(handle)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, line: str) -> None:
        if self._handle < 0:
            raise RuntimeError(f"The recorder of {self.worker!r} is closed; make a new one.")
        if os.getpid() != self._pid:
            raise RuntimeError(f"The recorder of {self.worker!r} was made before a fork; make one in each process.")
        data = line.encode()
        written = os.write(self._handle, data)
        if written != len(data):  # a full disk takes a part
            raise OSError(f"Only {written} of {len(data)} bytes could be written to {self.path}.")


def _whole(what: str, version: Any) -> str:
    if type(version) is int:
        return str(version)
    if version is None:
        return "null"
    try:
        return str(version.__index__())  # a NumPy integer
    except (AttributeError, TypeError):
        raise ValueError(f"{what} was given {version!r}, but a version is a whole number or None.") from None


def _name(what: str, name: Any) -> str:
    """A whole number or text as JSON."""
    if isinstance(name, str):
        return json.encoder.encode_basestring_ascii(name)
    if type(name) is int:
        return str(name)
    raise ValueError(f"{what} was given {name!r}, but must be text or, for samples, a whole number.")


def _others(more: "dict[str, Any]") -> str:
    ours = [name for name in more if name in _OF_US]
    if ours:
        raise ValueError(f"{ours[0]} is a name of the log's own; choose another.")
    return f", {json.dumps(more)[1:-1]}" if more else ""


def _file(path: str, worker: "int | str") -> str:
    """The file: ``path`` itself, or in that folder one of this process' own."""
    if os.path.splitext(path)[1] and not os.path.isdir(path):
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        return path
    os.makedirs(path, exist_ok=True)
    name = re.sub(r"[^\w.-]", "_", str(worker))[:80]
    return os.path.join(path, f"{name}.{os.getpid()}.{time.monotonic_ns():x}.{next(_made)}.jsonl")


def _ends_within_a_line(handle: int) -> bool:
    size = os.fstat(handle).st_size
    if not size:
        return False
    os.lseek(handle, size - 1, os.SEEK_SET)
    return os.read(handle, 1) != b"\n"


def _default_run() -> str:
    given = os.environ.get("A3CJAX_RUN")
    if given:
        return given
    processes = sys.modules.get("multiprocessing.process")  # imported in every child that multiprocessing started
    parent = None if processes is None else processes.parent_process()
    return f"{_clock()[:8]}-{os.getpid() if parent is None else parent.pid}"


def _clock() -> str:
    """What tells this machine's boot, and so its monotonic clock, from others."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        # Where there is no such name: the moment of the boot, to 10 s, on this host.
        return f"{socket.gethostname()} {round(time.time() - time.monotonic(), -1):.0f}"
