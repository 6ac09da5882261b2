"""What a record of exact values costs: as it is found, and by elimination alone, in turn and on one core.

    python -m benchmarks.exact [--rounds 7]

Of each problem a batch of random policies is measured run by run, as `simulate` measures them. Chains that mix fast are
walked (`a3cjax/problems/mixing.py`); *elimination* is the same program told that none of them does. Medians of several
rounds, in microseconds of processor time a run; compilation is apart.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

CASES = {
    "dense, |S| = 100": lambda families, key: families.synthetic(key),
    "ring, |S| = 100": lambda families, key: families.ring(100),
    "lazy .97, |S| = 100": lambda families, key: families.lazy(families.synthetic(key), 0.97),
    "Garnet, |S| = 100": lambda families, key: families.garnet(key, 100, 5, 3),
    "dense, |S| = 1000": lambda families, key: families.synthetic(key, 1000),
}
RECORDS = {
    "default record": ("objective", "regularized_objective", "gradient_norm_sq", "critic_error_sq"),
    "J": ("objective",),
    "gradient": ("gradient_norm_sq",),
    "critic gap": ("critic_error_sq",),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each program (default: 7)")
    rounds = parser.parse_args().rounds
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    import jax

    import a3cjax

    print(f"{'problem':20} {'record':16} {'as found':>10} {'elimination':>12}   ratio")
    for case, make in CASES.items():
        mdp = make(a3cjax.families, jax.random.key(0))
        for record, names in RECORDS.items():
            ways = [_program(mdp, names, eliminate) for eliminate in (False, True)]
            times = [[way() for way in ways] for _ in range(rounds)]
            found, eliminated = (statistics.median(column) for column in zip(*times, strict=True))
            ratio = statistics.median(one / other for one, other in times)
            print(f"{case:20} {record:16} {found:7.1f} µs {eliminated:9.1f} µs   {ratio:5.2f}", flush=True)


def _program(mdp: Any, names: tuple[str, ...], eliminate: bool) -> Callable[[], float]:
    """A function that measures a batch once and gives the microseconds a run."""
    import jax

    import a3cjax
    from a3cjax.problems import mixing

    runs = 64 if mdp.num_states <= 100 else 4
    learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1)
    start = learner.init(jax.random.key(0))
    thetas = jax.random.normal(jax.random.key(1), (runs, mdp.num_states, mdp.num_actions))

    def measure(thetas: Any) -> Any:
        return jax.lax.map(lambda theta: learner.measure(start._replace(theta=theta), names), thetas)

    usual = mixing.FAST
    mixing.FAST = -1.0 if eliminate else usual
    try:
        program = jax.jit(measure).lower(thetas).compile()
    finally:
        mixing.FAST = usual
    jax.clear_caches()  # the inner functions remember what FAST was

    def timed() -> float:
        began = time.process_time()
        jax.block_until_ready(program(thetas))
        return (time.process_time() - began) / runs * 1e6

    timed()
    return timed


if __name__ == "__main__":
    main()
