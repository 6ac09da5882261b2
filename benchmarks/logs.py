"""What reading a long log takes: seconds, and memory beyond that of the package itself.

    python -m benchmarks.logs [--megabytes 300] [--reads]

A CSV file of so many megabytes is made in a temporary folder: worker, versions, and the time of the write; with
--reads also the time of the read, and two columns that nobody asks for. It is read in a process of its own, in order
by the counter and, where reads have times, by the clock.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

WORKERS = 8


def write_log(path: Path, megabytes: float, *, reads: bool) -> None:
    """A log of workers in turn, each reading at its last write."""
    with path.open("w") as file:
        file.write("worker,read,written,t_write" + (",t_read,steps,loss\n" if reads else "\n"))
        k = 0
        while file.tell() < megabytes * 1e6:
            for _ in range(10_000):
                moment = 7000 + 0.001 * k
                more = f",{moment - 0.0075:.7f},5,0.12345678901234567" if reads else ""
                file.write(f"{k % WORKERS},{max(k - WORKERS + 1, 0)},{k},{moment:.7f}{more}\n")
                k += 1


def read_log(path: str, order: str) -> None:
    """Read it, and print what that took."""
    import a3cjax

    a3cjax.Schedule.from_log({"worker": [0], "read": [0], "written": [0], "time": [0.0]})  # all is imported
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    schedule = a3cjax.Schedule.from_log(path, order=order)  # pyright: ignore[reportArgumentType]
    seconds = time.perf_counter() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = schedule.num_messages
    print(
        f"{order:<8} {rows:>11,} rows {seconds:>7.1f} s {1e6 * seconds / rows:>6.2f} µs a row   "
        f"{before:.0f} MiB before, {most:.0f} at most: {(most - before) * 2**20 / rows:.1f} bytes a row more"
    )


def main() -> None:
    """Make the file and read it."""
    parser = argparse.ArgumentParser(description="Read a long log.")
    parser.add_argument("--megabytes", type=float, default=300.0)
    parser.add_argument("--reads", action="store_true", help="with times of reading")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        write_log(path, options.megabytes, reads=options.reads)
        for order in ("counter", "clock") if options.reads else ("counter",):
            process = multiprocessing.get_context("spawn").Process(target=read_log, args=(str(path), order))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
