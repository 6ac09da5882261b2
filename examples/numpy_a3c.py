"""Asynchronous actor-critic in NumPy on shared memory, recorded, with the samples of every update.

    python examples/numpy_a3c.py out/numpy-a3c --workers 2 --seconds 2
    a3cjax log out/numpy-a3c
    a3cjax replay out/numpy-a3c

A random MDP; the policy is a softmax of θ[s], the critic a table ω. A worker copies both, draws one transition for the
critic and one for the actor, and changes the shared tables, with a lock or, with --no-lock, as Hogwild does. Each line
of the log holds the two transitions and the actor's policy, and the last one θ and ω at the end, so that
a3cjax.studies.replay_samples can compute them again: under a lock, to the bit.
"""

import argparse
import multiprocessing
import time
from multiprocessing.sharedctypes import RawArray

import numpy as np

from a3cjax.recorder import Recorder  # or a copy of that one file, and: from recorder import Recorder

STATES, ACTIONS, DISCOUNT, ACTOR_STEP, CRITIC_STEP = 8, 3, 0.9, 0.05, 0.1
FEATURES = np.eye(STATES)


def problem(seed=0):
    """P(s'|s, a) and r(s, a)."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(STATES), (STATES, ACTIONS)), rng.random((STATES, ACTIONS))


def tables(memory):
    """θ, ω and the count of updates, as arrays over the memory that all processes share."""
    numbers = np.frombuffer(memory, np.float64)
    theta, omega, count = np.split(numbers, [STATES * ACTIONS, STATES * ACTIONS + STATES])
    return theta.reshape(STATES, ACTIONS), omega, count


def softmax(logits):
    """The policy in one state."""
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def td_error(omega, reward, transition):
    """δ = r + (γ φ(s') − φ(s))ᵀω, with a feature for each state."""
    s, a, after = transition
    change = DISCOUNT * FEATURES[after] - FEATURES[s]
    return reward[s, a] + (change * omega).sum()


def gradient(omega, reward, critic, actor, policy):
    """What one update changes: δ φ(s) of the critic's transition, and δ ∇ log π(a|s) of the actor's."""
    chosen = np.arange(ACTIONS) == actor[1]
    direction = td_error(omega, reward, actor) * (chosen - policy)
    return CRITIC_STEP * td_error(omega, reward, critic), ACTOR_STEP * direction


def work(index, memory, lock, start, seconds, updates, pause, folder):
    """One worker, until the time is up or enough updates are made."""
    theta, omega, count = tables(memory)
    transition, reward = problem()
    rng = np.random.default_rng(index)
    states = rng.integers(STATES, size=2)  # of the critic's chain and of the actor's
    with Recorder(folder, index) as recorder:
        start.wait()
        end = time.monotonic() + seconds
        while time.monotonic() < end and (updates is None or count[0] < updates):
            with lock:
                recorder.read(int(count[0]))
                own_theta, own_omega = theta.copy(), omega.copy()
            samples = []
            for state in states.tolist():
                policy = softmax(own_theta[state])  # of the actor's state in the end
                action = int(rng.choice(ACTIONS, p=policy))
                samples.append((state, action, int(rng.choice(STATES, p=transition[state, action]))))
            critic_change, actor_change = gradient(own_omega, reward, *samples, policy)
            time.sleep(pause)
            states = np.array([after for _, _, after in samples])
            recorder.ready()
            with lock:
                omega[samples[0][0]] += critic_change
                theta[samples[1][0]] += actor_change
                version = int(count[0])
                count[0] = version + 1
                recorder.write(version, critic=samples[0], actor=samples[1], policy=policy.tolist())


class NoLock:
    """In place of a lock: nobody waits, and counts may get lost."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def main(folder, workers=2, seconds=2.0, lock=True, updates=None, pause=0.0):
    """Run the workers; return θ and ω at the end, which the log holds too."""
    context = multiprocessing.get_context("spawn")
    memory = RawArray("d", STATES * ACTIONS + STATES + 1)
    start = context.Barrier(workers)
    guard = context.Lock() if lock else NoLock()
    processes = [
        context.Process(target=work, args=(index, memory, guard, start, seconds, updates, pause, folder))
        for index in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("A worker failed.")
    theta, omega, _ = tables(memory)
    with Recorder(folder, "end") as recorder:
        recorder.event("end", theta=theta.tolist(), omega=omega.tolist())
    return theta, omega


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder for the log; a new one for each run")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--updates", type=int, help="stop after about so many")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds that a gradient takes besides")
    parser.add_argument("--no-lock", action="store_true")
    options = parser.parse_args()
    theta, _ = main(
        options.folder, options.workers, options.seconds, not options.no_lock, options.updates, options.pause
    )
    print(f"The best action has {np.mean([softmax(row).max() for row in theta]):.2f} of the policy, 0.33 at the start.")
