"""What a remedy costs an update of the tabular engine, over the plain step timed in turn in the same process.

    python -m benchmarks.remedies [--rounds 7] [--all]

The workload is that of ``benchmarks.engine``: the paper's dense MDP, Markov option, projection on, 256 runs with
schedules of their own on one core. ``plain`` has steps α and β; each other learner has for both an optax chain of the
remedy and ``optax.scale`` by −α and −β. The table shows the median over rounds of the ratio to the plain step, and its
span; the last column says what the chain is shown of θ: nothing where all it does is to multiply by one number, one row
where it works entry by entry, or the whole table; and what of the stale view.
"""

import argparse
import statistics
from typing import Any

import jax
import numpy as np
import optax

import a3cjax
from a3cjax import remedies
from benchmarks.workload import (
    ACTOR_STEP,
    CRITIC_STEP,
    RADIUS,
    History,
    own_schedules,
    paper_learner,
    paper_mdp,
    time_rounds,
    use_one_core,
)

RUNS, SIZE, UPDATES = 256, 16, 1 << 14
REMEDIES: dict[str, Any] = {
    "optax.sgd": optax.identity(),
    "inverse": remedies.scale_by_delay("inverse"),
    "drop_above": remedies.drop_above(8),
    "adaptive_window": remedies.adaptive_window(variant=2, max_delay=255),
    "drop_far": remedies.drop_far(1.0),
    "compensate": remedies.compensate(),
}
MORE: dict[str, Any] = {
    "gap_aware": remedies.gap_aware(),
    "optax.trace": optax.trace(0.5),
    "clip_by_norm": remedies.clip_by_norm(1.0),
}


def main() -> None:
    """Time every remedy and print the table."""
    parser = argparse.ArgumentParser(description="Time remedies beside the plain step.")
    parser.add_argument("--rounds", type=int, default=7, help="timings of each, of which the median is shown")
    parser.add_argument("--all", action="store_true", help="those too that see whole tables at every update")
    parser.add_argument("--history", choices=["mailbox", "ring"], help="one history only")
    options = parser.parse_args()
    use_one_core()
    mdp = paper_mdp()
    print("history  remedy              ns      ratio to plain             first call   shown")
    for history in [options.history] if options.history else ("mailbox", "ring"):
        measure(mdp, history, REMEDIES | (MORE if options.all else {}), options.rounds)


def measure(mdp: a3cjax.FiniteMDP, history: History, chosen: dict[str, Any], rounds: int) -> None:
    """Time the plain step and each remedy in turn, with one history."""
    schedule = own_schedules(history, RUNS, UPDATES, SIZE)
    keys = jax.random.split(jax.random.key(1), RUNS)
    record = a3cjax.Record(every=UPDATES, metrics=[])

    def seconds_of(learner: Any) -> Any:
        def call() -> None:
            result = a3cjax.simulate(learner, schedule, keys, history=history, record=record)
            assert np.isfinite(np.asarray(result.params.theta)).all()

        return call

    plain = seconds_of(paper_learner(mdp))
    base = time_rounds(plain, 1)
    print(f"{history:<8} {'plain':<16}{_nanoseconds(base.seconds):>8.1f}{base.first:>45.1f} s")
    for name, remedy in chosen.items():
        learner = a3cjax.A3C(
            mdp,
            radius=RADIUS,
            actor_optimizer=optax.chain(remedy, optax.scale(-ACTOR_STEP)),
            critic_optimizer=optax.chain(remedy, optax.scale(-CRITIC_STEP)),
        )
        timed = time_rounds(seconds_of(learner), rounds, beside=lambda: tuple(time_rounds(plain, 1).seconds))
        ratios = [ours / theirs for ours, (theirs,) in zip(timed.seconds, timed.beside, strict=True)]
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        uses = learner.uses[0]
        kept = "one number" if uses.multiplies else "one row" if uses.entrywise else "whole table"
        kept += (", stale view" if learner.needs_stale else ", stale row") if uses.stale else ""
        print(
            f"{history:<8} {name:<16}{_nanoseconds(timed.seconds):>8.1f}{statistics.median(ratios):>10.2f}  "
            f"{spread:<18}{timed.first:>13.1f} s   {kept}",
            flush=True,
        )


def _nanoseconds(seconds: list[float]) -> float:
    return statistics.median(seconds) / (RUNS * UPDATES) * 1e9


if __name__ == "__main__":
    main()
