"""Generators that put samples into a queue, and a learner that takes them off in batches; all recorded.

    python examples/queue_of_generators.py out/queue --generators 4 --seconds 2
    a3cjax log out/queue

The shape of asynchronous training of language models. Here a generation is a sleep with a heavy tail and a batch a
short one, so that what can be seen is who waits for whom. Samples staler than --max-lag are dropped when they come off
the queue.
"""

import argparse
import multiprocessing
import queue
import random
import time

from a3cjax.recorder import Recorder

BATCH, TRAINING, GENERATION, TAIL = 4, 0.01, 0.012, 1.5  # seconds; Pareto's exponent


def generate(index, version, samples, stop, folder):
    """Make samples until told to stop; a full queue makes it wait."""
    rng = random.Random(index)
    number = 0
    with Recorder(folder, f"generator {index}") as recorder:
        while not stop.is_set():
            name, number = f"{index}-{number}", number + 1
            recorder.event("submitted", sample=name, version=version.value)
            time.sleep(GENERATION * (1 - 1 / TAIL) * rng.paretovariate(TAIL))
            recorder.event("done", sample=name, version=version.value)
            while not stop.is_set():
                try:
                    samples.put((name, version.value), timeout=0.05)
                    break
                except queue.Full:
                    continue
    samples.cancel_join_thread()  # what is left in the queue is nobody's any more


def learn(version, samples, seconds, folder, max_lag):
    """Train on batches until the time is up; the version is the number of batches so far."""
    with Recorder(folder, "learner") as recorder:
        end = time.monotonic() + seconds
        batch = []
        while time.monotonic() < end:
            try:
                name, made_at = samples.get(timeout=0.05)
            except queue.Empty:
                continue
            if max_lag is not None and version.value - made_at > max_lag:
                recorder.event("dropped", sample=name, version=version.value)
                continue
            batch.append(name)
            if len(batch) == BATCH:
                recorder.event("trained", samples=batch, version=version.value)
                time.sleep(TRAINING)
                version.value += 1
                recorder.event("published", version=version.value)
                batch = []


def main(folder, generators=4, seconds=2.0, bound=16, max_lag=None):
    """Run all of them; return the number of batches."""
    context = multiprocessing.get_context("spawn")
    version, samples, stop = context.Value("q", 0), context.Queue(bound), context.Event()
    processes = [
        context.Process(target=generate, args=(index, version, samples, stop, folder)) for index in range(generators)
    ]
    for process in processes:
        process.start()
    learn(version, samples, seconds, folder, max_lag)
    stop.set()
    for process in processes:
        process.join()
    return version.value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder for the log; a new one for each run")
    parser.add_argument("--generators", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--bound", type=int, default=16, help="of the queue")
    parser.add_argument("--max-lag", type=int, help="staler samples are dropped")
    options = parser.parse_args()
    print(f"{main(options.folder, options.generators, options.seconds, options.bound, options.max_lag)} batches.")
