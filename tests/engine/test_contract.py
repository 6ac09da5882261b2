"""What a learner's methods must agree on, in sentences; and what may go through the engine unchanged."""

import pickle
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import a3cjax
from a3cjax._core.tree import pytree, static

KEY = jax.random.key(0)
SCHEDULE = a3cjax.Schedule.sequential(6)
HISTORIES = ["mailbox", "ring"]
HERE = a3cjax.Record(every=1, metrics={"x": lambda state: state["x"]})


@pytree
class Built:
    """A learner of functions: x_{k+1} = x_k + message, if nothing else is said."""

    start: Any = static(default=lambda key: {"x": jnp.float32(1)})
    begin: Any = static(default=lambda key: ())
    offer: Any = static(default=lambda view, own, key: (jnp.float32(1), own))
    update: Any = static(default=lambda state, message, delay: {"x": state["x"] + message})

    num_words = 0

    def init(self, key):
        return self.start(key)

    def init_worker(self, key):
        return self.begin(key)

    def view(self, state):
        return state

    def propose(self, view, worker_state, key):
        return self.offer(view, worker_state, key)

    def apply(self, state, message, delay):
        return self.update(state, message, delay)


class Sent(NamedTuple):
    """A message of keys, which logs what the worker saw."""

    keys: Any
    samples: Any


def run(learner: Any, history: Any = "ring", schedule: Any = SCHEDULE, **options: Any) -> Any:
    return a3cjax.simulate(learner, schedule, KEY, history=history, record=HERE, **options)


def counting(own, after):
    """A worker's state, and what propose makes of it."""
    return Built(begin=lambda key: own, offer=lambda view, own, key: (jnp.float32(1), after(own)))


@pytest.mark.parametrize(
    ("learner", "sentence"),
    [
        (
            counting({"n": jnp.int32(9)}, lambda own: {"n": own["n"] + 0.5}),
            r"propose of a Built returns worker_state\['n'\] as float32\[\], but init_worker gives int32\[\]; return "
            r"\.astype\(int32\), or let init_worker begin with float32\.",
        ),
        (counting(0, lambda own: own + 0.5), r"worker_state as float32\[\], but init_worker gives int32\[\]"),
        (
            counting([jnp.zeros(1)], lambda own: [jnp.zeros(3)]),
            r"worker_state\[0\] as float32\[3\], but init_worker gives float32\[1\]; return the same shape",
        ),
        (
            counting({"n": jnp.int32(0)}, lambda own: (own["n"],)),
            r"propose of a Built returns a worker_state of another structure than init_worker does: \(\*,\) instead of "
            r"\{'n': \*\}; return one of the same structure",
        ),
        (counting((), lambda own: jnp.int32(0)), "of another structure than init_worker does"),
        (
            counting(KEY, lambda own: jax.random.key_data(own)),
            r"worker_state as uint32\[2\], but init_worker gives key<fry>\[\]",
        ),
        (
            Built(begin=lambda key: {"name": "worker"}),
            r"init_worker of a Built returns a str at \['name'\]; return arr",
        ),
        (
            Built(offer=lambda view, own, key: view["x"]),
            "propose of a Built returns one array, but must return a pair",
        ),
        (Built(offer=lambda view, own, key: jnp.ones(2)), "must return a pair: return message, worker_state"),
        (Built(offer=lambda view, own, key: (own,)), "propose of a Built returns a tuple of 1, but must return a pair"),
        (Built(offer=lambda view, own, key: None), "propose of a Built returns one NoneType, but must return a pair"),
        (
            Built(update=lambda state, message, delay: {"x": state["x"].astype("float16")}),
            r"apply of a Built returns state\['x'\] as float16\[\], but init gives float32\[\]; return "
            r"\.astype\(float32\), or let init begin with float16",
        ),
        (
            Built(update=lambda state, message, delay: {"x": state["x"] + jnp.ones(2)}),
            r"apply of a Built returns state\['x'\] as float32\[2\], but init gives float32\[\]; return the same shape",
        ),
        (Built(update=lambda state, message, delay: state["x"]), r"state of another structure than init does: \* inst"),
        (Built(update=lambda state, message, delay: None), r"state of another structure than init does: None instead"),
    ],
)
def test_what_changes_on_its_way_is_refused(learner, sentence):
    """Read as bits of the first type, 9.5 would be 1,091,567,616; a shape of one entry would be repeated."""
    for history in HISTORIES:
        with pytest.raises(ValueError, match=sentence):
            run(learner, history)


def test_inside_jit_the_same_sentence():
    learner = counting(jnp.int32(0), lambda own: own + 0.5)
    with pytest.raises(ValueError, match="propose of a Built returns worker_state as float32"):
        jax.jit(lambda key: a3cjax.simulate(learner, SCHEDULE, key, history="ring").params)(KEY)


@pytest.mark.parametrize("history", HISTORIES)
def test_numbers_of_python_are_arrays(history):
    """A count that begins as 0 and a start of 1.0: x_{k+1} = x_k + n_k/2 with n = 0 … 5 ends at 1 + 15/2.

    With the count times a float16, which Python's 0.0 would become, it is a float32 from the first proposal on.
    """
    half = Built(
        start=lambda key: {"x": 1.0},
        begin=lambda key: (0, 0.0),
        offer=lambda view, own, key: ((own[1] * jnp.float16(1)).astype(own[1].dtype) / 2, (own[0] + 1, own[1] + 1)),
    )
    result = run(half, history)
    assert result.params["x"].dtype == jnp.float32
    assert float(result.params["x"]) == 8.5


def test_rows_that_do_not_fit_the_view():
    @pytree
    class Rows(Built):
        rows: Any = static(default=None)

        def changed_rows(self, message):
            return self.rows

    for rows, sentence in (
        ((), r"changed_rows of a Rows returns 0 entries, but the view has 1 leaves; return one entry for each"),
        ("all", "changed_rows of a Rows returns a str, but the view has 1 leaves"),
        ([np.zeros(1, np.int32)], r"returns int32\[1\] for leaf 0 of the view, which is float32\[\]; return whole num"),
    ):
        with pytest.raises(ValueError, match=sentence):
            run(Rows(rows=rows))


# ------------------------------------------------------------------------------------------------ small types and keys

NARROW = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4", "int8", "uint16", "bool", "complex64"]


def every_pattern(dtype):
    """All bit patterns, NaNs with payloads among them; of sixteen bits every 331st, of more a few."""
    kind = jnp.dtype(dtype)
    if dtype == "bool":
        return np.array([True, False])
    if kind.itemsize == 8:
        return np.array([1.5 - 2.25j, complex(np.nan, -0.0)], kind)
    if "int4" in dtype:
        return np.arange(16).astype(kind)
    patterns = np.arange(0, 1 << 8 * kind.itemsize, 331 if kind.itemsize == 2 else 1)
    return patterns.astype(f"uint{8 * kind.itemsize}").view(kind)


@pytest.mark.parametrize("history", HISTORIES)
def test_small_types_keep_their_bits(history):
    """A worker's state that stays, and a message that hands it on to the server; .99 was once cast to 0."""
    begun = {dtype: every_pattern(dtype) for dtype in NARROW}
    learner = Built(
        start=lambda key: {"x": {dtype: jnp.zeros(x.shape, x.dtype) for dtype, x in begun.items()}},
        begin=lambda key: {dtype: jnp.asarray(x) for dtype, x in begun.items()},
        offer=lambda view, own, key: (own, own),
        update=lambda state, message, delay: {"x": message},
    )
    result = a3cjax.simulate(learner, SCHEDULE, KEY, history=history, throw=False)
    for dtype, want in begun.items():
        got = np.asarray(result.params["x"][dtype])
        assert got.dtype == want.dtype
        assert got.tobytes() == want.tobytes(), dtype


GENERATORS = ["threefry2x32", "unsafe_rbg"]


@pytest.mark.parametrize("history", HISTORIES)
def test_typed_keys_are_kept_everywhere(history, tmp_path):
    """State, view, message, samples and worker hold keys; the chain of splits is JAX's own.

    The worker's keys are split at each of its proposals; the server keeps the last keys that it was sent, and an
    exclusive or of all the words that it was shown.
    """

    def offer(view, own, key):
        pairs = [jax.random.split(one) for one in own]
        return Sent([sent for _, sent in pairs], view["keys"]), [kept for kept, _ in pairs]

    def update(state, message, delay):
        return {"keys": message.keys, "x": state["x"] ^ jax.random.key_data(state["keys"][1])[-1]}

    def first(seed):
        return [jax.random.key(seed, impl=generator) for generator in GENERATORS]

    def data(keys):
        return [np.asarray(jax.random.key_data(key)) for key in keys]

    learner = Built(
        start=lambda key: {"keys": first(1), "x": jnp.uint32(0)}, begin=lambda key: first(7), offer=offer, update=update
    )
    own, server, shown, x = first(7), first(1), [], np.uint32(0)
    for _ in range(6):
        shown.append(data(server)[1])
        x = x ^ shown[-1][-1]
        pairs = [jax.random.split(key) for key in own]
        own, server = [kept for kept, _ in pairs], [sent for _, sent in pairs]
    options: dict[str, Any] = {
        "record": a3cjax.Record(every=3, metrics={"x": lambda state: jax.random.key_data(state["keys"][0])[0]}),
        "transitions": True,
    }
    half = a3cjax.simulate(learner, SCHEDULE[:3], KEY[None], history=history, **options)
    assert half.state is not None
    half.state.save(tmp_path / "half.npz")
    state = pickle.loads(pickle.dumps(a3cjax.SavedState.load(tmp_path / "half.npz")))
    results = [a3cjax.simulate(learner, SCHEDULE, KEY[None], resume=state, **options)]
    if history == "ring":
        inside = jax.jit(lambda key: a3cjax.simulate(learner, SCHEDULE, key, history="ring", depth=1, **options))
        results.append(inside(KEY))
    for result, run in zip(results, [(0,), ()], strict=False):
        assert [jax.random.key_impl(key) for key in result.params["keys"]] == GENERATORS
        for got, want in zip(result.params["keys"], data(server), strict=True):
            np.testing.assert_array_equal(jax.random.key_data(got[run]), want)
        assert int(result.params["x"][run]) == int(x)
        assert int(result.metrics["x"][run][-1]) == int(data(server)[0][0])
        samples = jax.random.key_data(result.transitions[1][run])
        np.testing.assert_array_equal(samples, shown[-len(samples) :])
