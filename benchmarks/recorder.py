"""What recording costs a trainer: microseconds of a call, and of an update of one read and one write.

    python -m benchmarks.recorder [--calls 20000] [--rounds 5] [--folder FOLDER]

Every line is one append to a file, so it depends on the file system of the folder: a temporary one if not given. Beside
each median are the least and the greatest of the rounds, and the append alone, without making the line.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable

from a3cjax.recorder import Recorder


def microseconds(call: Callable[[], object], calls: int) -> float:
    """Of one call, in a loop whose own cost is in it."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls * 1e6


def measure(folder: str, calls: int, rounds: int) -> dict[str, list[float]]:
    """What each kind of call took in each round."""
    with Recorder(folder, "timed") as recorder:

        def update() -> None:
            recorder.read(12345)
            recorder.write(12347)

        def marked() -> None:
            recorder.read(12345)
            recorder.got()
            recorder.ready()
            recorder.write(12347)

        line = b"x" * 110 + b"\n"
        handle = os.open(os.path.join(folder, "bare"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        timed: dict[str, Callable[[], object]] = {
            "read": lambda: recorder.read(12345),
            "read and write": update,
            "read, got, ready, write": marked,
            "event": lambda: recorder.event("done", sample="3-17", version=12345),
            "append of 111 bytes": lambda: os.write(handle, line),
        }
        seen: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(rounds):
            for name, call in timed.items():
                seen[name].append(microseconds(call, calls))
        os.close(handle)
    return seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time the recorder.")
    parser.add_argument("--calls", type=int, default=20_000, help="calls of a round")
    parser.add_argument("--rounds", type=int, default=5, help="timings, of which the median is shown")
    parser.add_argument("--folder", help="where the log goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        seen = measure(folder, options.calls, options.rounds)
    print(f"{'':<26}microseconds (least to greatest of {options.rounds} rounds)")
    for name, times in seen.items():
        print(f"{name:<26}{statistics.median(times):.2f}  ({min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    main()
