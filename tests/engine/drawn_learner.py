"""Small learners drawn at random, run by the engine and by a plain Python loop; ``python drawn_learner.py SEED …``.

A process of its own, because a fault of a compiler ends the process: the last line printed names the case. All
arithmetic is on whole numbers below 2¹⁶, so both sides must agree bit for bit whatever is fused; the leaves that hold
the numbers have the types and shapes that are to be tried. The loop is NumPy's: a list of past views, a worker's state
each, and JAX's own cipher for the draws.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np

import a3cjax
from a3cjax._core.tree import pytree, static

SHAPES = [(), (), (1,), (2,), (3,), (1, 1), (2, 3), (0,), (2, 0), (40,), (5, 9)]
SMALL = ["float32", "int32", "uint32", "bool", "float16", "bfloat16", "int8", "uint8", "int16", "uint16"]
OTHER = ["complex64", "float8_e4m3fn", "int4", "threefry2x32", "threefry2x32", "rbg"]
WIDE = ["float64", "int64", "uint64", "complex128"]
KEYS = {"threefry2x32": 2, "rbg": 4}  # words
MANY = 6  # entries that a digest looks at
MASK = 0xFFFF


class Message(NamedTuple):
    """A message that logs something."""

    body: Any
    samples: Any


# --------------------------------------------------------------------- whole numbers as leaves of any type, and back


def numbers(leaf, dtype, xp):
    """The whole numbers that a leaf holds, flat."""
    if dtype in KEYS:
        leaf = jax.random.key_data(leaf) if xp is jnp else leaf
    elif "complex" in dtype:
        leaf = xp.real(leaf) * 4 + xp.imag(leaf)
    elif "float" in dtype:
        leaf = leaf.astype("float32") * 4
    return xp.reshape(leaf.astype("int32") & MASK, (-1,))


def leaf_of(total: Any, shape: Any, dtype: str, xp: Any) -> Any:
    """A leaf that shows a whole number, another in each entry."""
    full = (*shape, KEYS[dtype]) if dtype in KEYS else shape
    values = (total + np.arange(np.prod(full, dtype=int), dtype=np.int32).reshape(full) * 7) & MASK
    if dtype in KEYS:
        words = values.astype("uint32")
        return jax.random.wrap_key_data(words, impl=dtype) if xp is jnp else words
    values = values % (8 if dtype in ("float8_e4m3fn", "int4") else 97)
    if dtype == "bool":
        return values % 2 == 1
    if "complex" in dtype:
        real, imaginary = (
            part.astype("float64" if dtype == "complex128" else "float32") for part in (values, values % 5)
        )
        return jax.lax.complex(real * 0.25, imaginary) if xp is jnp else (real * 0.25 + 1j * imaginary).astype(dtype)
    if "float" in dtype:
        return (values.astype("float32") * np.float32(0.25)).astype(jnp.dtype(dtype))
    return (values - 4 if dtype == "int4" else values).astype(jnp.dtype(dtype))


def digest(leaves, kinds, xp):
    """One whole number that depends on the first and last entries of every leaf; no reduction, which no kernel has."""
    total = np.int32(0)
    for i, (leaf, (_, dtype)) in enumerate(zip(leaves, kinds, strict=True)):
        flat = numbers(leaf, dtype, xp)
        size = flat.shape[0]
        for j in [*range(min(size, MANY)), *range(max(size - 2, MANY), size)]:
            total = (total * 3 + flat[j] * (i + j + 1)) & MASK
    return total


# ------------------------------------------------------------------------------------------------------- the learners


@pytree
class Drawn:
    """A learner that does what its case says; ``shift`` may differ from run to run."""

    shift: Any
    case: str = static()

    run_scalars = ("shift",)
    metric_names = ("seen",)

    @property
    def num_words(self):
        return self.of["num_words"]

    @property
    def of(self):
        return json.loads(self.case)

    def init(self, key):
        start = digest([key], [((), "threefry2x32")], jnp) if self.of["init_draws"] else np.int32(5)
        return self._tree("state", first_state(self.of, start, jnp))

    def init_worker(self, key):
        start = digest([key], [((), "threefry2x32")], jnp) if self.of["worker_draws"] else np.int32(0)
        return self._tree("own", first_own(self.of, start, jnp))

    def view(self, state):
        return [jax.tree.leaves(state)[i] for i in self.of["view"]]

    def propose(self, view, worker_state, key):
        words = key if self.num_words else jax.random.key_data(key)
        message, own = proposed(self.of, view, jax.tree.leaves(worker_state), words, jnp)
        if self.of["scatters"]:  # which no kernel does
            words = jnp.zeros(3, jnp.int32).at[words[0] % 3].add(1)
            message = [m if m.dtype != jnp.int32 else m + (words[0] + words[1] + words[2] - 1) for m in message]
        body = self._tree("message", message)
        return (Message(body, own[:1]) if self.of["logs"] else body), self._tree("own", own)

    def apply(self, state, message, delay):
        body = jax.tree.leaves(message.body if self.of["logs"] else message)
        shift = jnp.asarray(self.shift)
        return self._tree("state", applied(self.of, jax.tree.leaves(state), body, delay, shift, jnp))

    def measure(self, state, names):
        return {name: digest(jax.tree.leaves(state), self.of["state"], jnp) for name in names}

    def _tree(self, which, leaves):
        """Leaves alone, nested or in a dictionary, as the case says."""
        structure = self.of["structure"]
        if len(leaves) == 1 and structure == 0:
            return leaves[0]
        return {f"a{i}": leaf for i, leaf in enumerate(leaves)} if structure == 1 else (leaves[:1], tuple(leaves[1:]))


def made(kinds: Any, total: Any, salt: int, xp: Any) -> list[Any]:
    """Leaves of these kinds, each with a number of its own."""
    return [leaf_of((total + salt + 31 * i) & MASK, kind[0], kind[1], xp) for i, kind in enumerate(kinds)]


def first_state(of, start, xp):
    return made(of["state"], start, 1, xp)


def first_own(of, start, xp):
    return made(of["own"], start, 0, xp)


def proposed(of, view, own, words, xp):
    total = np.int32(0)
    if of["reads_view"]:
        total = total + digest(view, [of["state"][i] for i in of["view"]], xp)
    if of["reads_own"]:
        total = total * 3 + digest(own, of["own"], xp)
    if of["reads_words"]:
        total = total * 3 + (words[0].astype("int32") & MASK)
    message = made(of["message"], total & MASK, 3, xp)
    kept = {
        "counts": lambda: digest(own, of["own"], xp) + 1,
        "stays": lambda: None,
        "follows": lambda: total,
        "draws": lambda: (words[-1].astype("int32") & MASK) + np.int32(0),
        "forgets": lambda: np.int32(9),
    }[of["own_next"]]()
    return message, own if kept is None else made(of["own"], kept & MASK, 4, xp)


def applied(of, state, message, delay, shift, xp):
    total = np.int32(0)
    if of["reads_state"]:
        total = total + digest(state, of["state"], xp)
    if of["reads_message"]:
        total = total * 3 + digest(message, of["message"], xp)
    if of["reads_delay"]:
        total = total * 3 + delay
    total = total + shift.astype("int32")
    new = made(of["state"], total & MASK, 5, xp)
    return [leaf if i in of["still"] else other for i, (leaf, other) in enumerate(zip(state, new, strict=True))]


# -------------------------------------------------------------------------------------------------------- the two sides


def drawn_case(seed: int) -> dict[str, Any]:
    """All that a case consists of."""
    rng = np.random.default_rng(seed)

    def chance(p):
        return bool(rng.random() < p)

    x64 = chance(0.2)
    dtypes = SMALL + OTHER + ["float32", "int32"] * 4 + WIDE * x64

    def kinds(least, most):
        return [
            (SHAPES[rng.integers(len(SHAPES))], dtypes[rng.integers(len(dtypes))])
            for _ in range(rng.integers(least, most + 1))
        ]

    state = kinds(1, 3)
    schedule = ["sequential", "law", "laws", "workers", "own"][rng.integers(5)]
    own_reads = schedule in ("sequential", "own")
    return {
        "x64": x64,
        "state": state,
        "view": sorted(rng.permutation(len(state))[: rng.integers(1, len(state) + 1)].tolist()),
        "own": kinds(0, 2),
        "message": kinds(1, 2),
        "structure": int(rng.integers(3)),
        "num_words": int(rng.integers(4)),
        "init_draws": chance(0.2),
        "worker_draws": chance(0.4),
        "reads_view": chance(0.8),
        "reads_own": chance(0.5),
        "reads_words": chance(0.7),
        "reads_state": chance(0.8),
        "reads_message": chance(0.8),
        "reads_delay": chance(0.2),
        "own_next": ["counts", "stays", "follows", "draws", "forgets"][rng.integers(5)],
        "still": [i for i in range(len(state)) if chance(0.15)],
        "logs": chance(0.2),
        "scatters": chance(0.3),
        "schedule": schedule,
        "history": "mailbox" if own_reads and chance(0.6) else "ring",
        "runs": int(rng.integers(0, 10)) if chance(0.6) else int(rng.integers(0, 2)),  # 0: no run axis
        "shifts": chance(0.3),
        "updates": int(rng.integers(1, 24)),
        "every": int(rng.integers(1, 8)),
        "how": ["plain", "plain", "jit", "resume"][rng.integers(4)],
        "seed": seed,
    }


def schedule_of(case):
    key, updates = jax.random.key(case["seed"]), case["updates"]
    exponential = [a3cjax.compute_times.Exponential(1.0)]
    match case["schedule"]:
        case "sequential":
            return a3cjax.Schedule.sequential(updates)
        case "own":
            return a3cjax.Schedule.from_workers(key, exponential * 3, updates)
        case "workers":
            return a3cjax.Schedule.from_workers(key, exponential * 3, updates, read_latency=0.4, write_time=0.1)
        case kind:
            workers = 1 if kind == "law" else 3
            return a3cjax.Schedule.from_law(key, a3cjax.delays.Uniform(0, 4), updates, num_workers=workers)


def by_engine(case, learner, schedule, keys):
    """The last view, the measured digests and the samples of every run."""
    options: dict[str, Any] = {"history": case["history"], "transitions": case["logs"], "throw": False}
    record = a3cjax.Record(every=min(case["every"], case["updates"]))
    if case["how"] == "jit":
        depth = 32 if case["history"] == "ring" else None

        def run(learner, schedule, keys):
            return a3cjax.simulate(learner, schedule, keys, record=record, depth=depth, **options)

        result = jax.jit(run)(learner, schedule, keys)
    elif case["how"] == "resume" and case["updates"] > 1:
        every = a3cjax.Record(every=1)
        deep = 32 if case["history"] == "ring" else None
        half = a3cjax.simulate(learner, schedule[: case["updates"] // 2], keys, record=every, depth=deep, **options)
        assert half.state is not None
        with tempfile.TemporaryDirectory() as folder:
            half.state.save(Path(folder) / "half.npz")
            state = a3cjax.SavedState.load(Path(folder) / "half.npz")
        result = a3cjax.simulate(learner, schedule, keys, record=record, resume=state, **options)
        return result, None
    else:
        result = a3cjax.simulate(learner, schedule, keys, record=record, **options)
    return result, result.transitions


def words_of(key, worker, turn, count):
    """JAX's own cipher of the counters (worker · pairs + pair, turn), two words each."""
    pairs = -(-count // 2)
    low = np.uint32((np.uint64(worker) * pairs + np.arange(pairs, dtype=np.uint64)) & np.uint64(0xFFFFFFFF))
    high = np.full(pairs, turn, np.uint32)
    both = np.asarray(jax.extend.random.threefry_2x32(key, np.concatenate([low, high])))
    return both.reshape(2, pairs).T.ravel()[:count]


def by_loop(case, schedule, key, shift):
    """The same for one run: propose from the view τ_k versions ago, apply."""

    kind = [((), "threefry2x32")]
    start = digest([words_of(key, 0, 0xFFFFFFFE, 2)], kind, np) if case["init_draws"] else np.int32(5)
    state = first_state(case, start, np)
    own = []
    for worker in range(schedule.num_workers):
        words = words_of(key, worker, 0xFFFFFFFF, 2)
        own.append(first_own(case, digest([words], kind, np) if case["worker_draws"] else np.int32(0), np))
    turns = [0] * schedule.num_workers
    versions, seen, samples = [], [], []
    for k, (worker, delay) in enumerate(zip(schedule.worker, schedule.delay, strict=True)):
        versions.append([state[i] for i in case["view"]])
        words = words_of(key, worker, turns[worker], case["num_words"] or 2)
        turns[worker] += 1
        message, own[worker] = proposed(case, versions[k - delay], own[worker], words, np)
        samples.append(own[worker][:1])
        state = applied(case, state, message, np.int32(delay), np.asarray(shift), np)
        seen.append(digest(state, case["state"], np))
    return [state[i] for i in case["view"]], seen, samples


def bits(leaf, dtype):
    return np.asarray(jax.random.key_data(leaf) if dtype in KEYS and not isinstance(leaf, np.ndarray) else leaf)


def compare(case: dict[str, Any]) -> None:
    """Raise if the two sides differ in a bit."""
    schedule = schedule_of(case)
    runs = max(case["runs"], 1)
    key = jax.random.key(case["seed"] + 1)
    keys = jax.random.split(key, runs) if case["runs"] else key
    shift = np.arange(runs, dtype=np.int32) * 3 if case["shifts"] and case["runs"] else np.int32(4)
    learner = Drawn(jnp.asarray(shift), json.dumps(case))
    result, transitions = by_engine(case, learner, schedule, keys)
    for b in range(runs):
        raw = np.asarray(jax.random.key_data(keys[b] if case["runs"] else key))
        view, seen, samples = by_loop(case, schedule, raw, np.broadcast_to(shift, runs)[b])

        def own(leaf, b=b):
            return leaf[b] if case["runs"] else leaf

        for i, want in enumerate(view):
            dtype = case["state"][case["view"][i]][1]
            got = bits(own(result.params[i]), dtype)
            np.testing.assert_array_equal(got.astype(want.dtype), want, err_msg=f"run {b}, leaf {i} of the view")
            assert dtype in KEYS or str(got.dtype) == dtype, (got.dtype, dtype)
        at = np.asarray(result.updates) - 1
        np.testing.assert_array_equal(own(result.metrics["seen"]), np.asarray(seen)[at], err_msg=f"run {b}, records")
        if case["logs"] and transitions is not None and case["own"]:
            got = bits(own(transitions[0]), case["own"][0][1])
            want = np.stack([leaves[0] for leaves in samples])
            np.testing.assert_array_equal(got.astype(want.dtype), want, err_msg=f"run {b}, samples")


def main(words: list[str]) -> None:
    """Each word is the seed of a case, or the case itself."""
    for word in words:
        given = json.loads(word)
        case = drawn_case(given) if isinstance(given, int) else given
        print(json.dumps(case), flush=True)
        with jax.enable_x64(case["x64"]):
            compare(case)
        print("ok", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
