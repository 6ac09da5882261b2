"""A result comes back from its file, every bit and name; a file that is no such file is refused in a sentence."""

import json
import pickle
from typing import Any, NamedTuple

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import a3cjax
from a3cjax.engine.structure import Loaded

FORMATS = pytest.mark.parametrize("suffix", [".nc", ".npz"])
SCHEDULE = a3cjax.Schedule.from_law(jax.random.key(5), a3cjax.delays.Constant(1), 8, num_workers=2)
RECORD = a3cjax.Record(every=2, metrics={"x": lambda state: state.x, "both": lambda state: {"sum": state.x.sum()}})
KEYS = jax.random.split(jax.random.key(0), 2)
RUNS = {"step": [0.5, 0.25]}
ONES = np.ones((2, 2))


def simulated(schedule, **options):
    learner = a3cjax.QuadraticSGD(curvature=[1.0, 0.5], step=jnp.array(RUNS["step"]), noise=1.0)
    return a3cjax.simulate(learner, schedule, KEYS, record=RECORD, **options)


@pytest.fixture(scope="module")
def half():
    return simulated(SCHEDULE[:4])


class Pair(NamedTuple):
    first: Any
    second: Any


def odd(**changes):
    """Numbers of every type, some that are easily lost, in trees of every kind."""
    floats = np.array([[np.nan, -0.0], [np.inf, 1e-45]], np.float32)
    floats.view(np.uint32)[0, 0] = 0x7FC0_1234  # a NaN with a message
    parts: dict[str, Any] = {
        "params": Pair({1: floats, 3: np.zeros((2, 0), np.int64)}, [jnp.ones((2, 3), jnp.bfloat16), None, ()]),
        "updates": np.array([2, 4], np.int32),
        "time": np.array([0.5, 1.0]),
        "metrics": {
            "flag": np.array([[True, False], [False, True]]),
            "nest": (np.arange(4, dtype=np.uint8).reshape(2, 2), Pair(np.ones((2, 2), np.float16), np.ones((2, 2, 1)))),
            "wave": np.full((2, 2), 1 + 2j, np.complex64),
        },
        "transitions": {"seen": Pair(np.arange(8, dtype=np.uint32).reshape(2, 4), jax.random.split(KEYS[0], (2, 4)))},
        "nonfinite_from": np.array([2, -1], np.int32),
    }
    return a3cjax.Result(**(parts | changes), state=None, num_updates=4, backend="kernel")


def same(ours, theirs):
    """Two results leaf for leaf: the bits, types and shapes, under the same names."""
    ours, theirs = (jax.tree_util.tree_flatten_with_path(result)[0] for result in (ours, theirs))
    assert len(ours) == len(theirs)
    for (path, x), (other, y) in zip(ours, theirs, strict=True):
        assert jax.tree_util.keystr(path) == jax.tree_util.keystr(other)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            assert x.dtype == y.dtype
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        x, y = np.asarray(x), np.asarray(y)
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes()), path


@FORMATS
def test_every_bit_and_type_and_name_comes_back(suffix, tmp_path):
    result = odd()
    result.save(tmp_path / f"odd{suffix}")
    loaded = a3cjax.Result.load(tmp_path / f"odd{suffix}")
    same(result, loaded)
    assert (loaded.num_updates, loaded.backend, loaded.state, loaded.asked) == (4, "kernel", None, {})
    assert loaded.params.first[3].shape == (2, 0)
    assert loaded.params.second[1:] == [None, ()]
    assert isinstance(loaded.metrics["nest"], tuple)
    assert repr(loaded.metrics["nest"][1]) == "Pair(first=float16[2, 2], second=float64[2, 2, 1])"
    same(loaded, jax.tree.map(lambda leaf: leaf, loaded))
    same(loaded, pickle.loads(pickle.dumps(loaded)))
    loaded.save(tmp_path / f"again{suffix}")
    same(result, a3cjax.Result.load(tmp_path / f"again{suffix}"))


@FORMATS
def test_a_loaded_result_goes_on_to_the_same_bits(half, suffix, tmp_path):
    path = tmp_path / f"half{suffix}"
    half.save(path, RUNS)
    loaded = a3cjax.Result.load(path)
    same(half, loaded)
    assert loaded.asked == half.asked
    same(simulated(SCHEDULE, resume=half.state), simulated(SCHEDULE, resume=loaded.state))
    xr.testing.assert_identical(loaded.to_xarray(), half.to_xarray(RUNS))
    loaded.save(path, "run", state=False)
    again = a3cjax.Result.load(path)
    assert again.state is None
    assert again.to_xarray().x.dims == ("run", "record", "x_0")


def test_what_was_asked(half):
    known = half.asked
    assert known["learner"].startswith("QuadraticSGD(curvature=[1.0, 0.5], step=[0.5, 0.25], noise=1.0")
    assert known["schedule"] == "Schedule(4 updates by 2 workers), mean delay 0.75, greatest 1"
    assert known["key"] == np.asarray(jax.random.key_data(KEYS)).tolist()
    assert known["by_run"] == {"step": [0.5, 0.25]}
    chosen = ("metrics", "every", "history", "depth", "transitions", "precision")
    assert [known[name] for name in chosen] == [["x", "both"], 2, "ring", 2, False, "float32"]
    assert known["versions"] == {"a3cjax": a3cjax.__version__, "jax": jax.__version__}
    assert pickle.loads(pickle.dumps(half)).asked == known
    assert json.loads(json.dumps(known)) == known
    assert jax.tree.map(lambda leaf: leaf, half).asked == {}


def test_others_read_the_netcdf_file_as_a_dataset(half, tmp_path):
    half.save(tmp_path / "half.nc", RUNS)
    with xr.open_dataset(tmp_path / "half.nc", engine="h5netcdf") as runs:
        xr.testing.assert_identical(runs.load(), half.to_xarray(RUNS))
        assert runs["both.sum"].sel(step=0.25)[1] == half.metrics["both"]["sum"][1, 1]
    odd().save(tmp_path / "odd.nc", {"name": ["a", "ω"]})
    with xr.open_dataset(tmp_path / "odd.nc", engine="h5netcdf") as runs:
        assert runs.name.values.tolist() == ["a", "ω"]
        assert runs["params.second.0"].attrs == {"bits_of": "bfloat16"}
        assert runs["params.second.0"].dtype == np.uint16


def test_results_that_a_user_mapped_have_more_axes(tmp_path):
    mapped = odd(updates=np.array([[2, 4]] * 2, np.int32), time=np.ones((2, 2)))
    mapped.save(tmp_path / "mapped.nc")
    same(mapped, a3cjax.Result.load(tmp_path / "mapped.nc"))


def test_a_loaded_object_says_what_it_lacks():
    params = Loaded("Params", {"theta": 1.0})
    assert (dir(params), params["theta"]) == (["theta"], 1.0)
    with pytest.raises(AttributeError, match=r"a loaded Params has no 'merge'; of an object a file keeps the arrays"):
        params.merge()
    with pytest.raises(AttributeError, match="'theta' cannot be set"):
        params.theta = 2.0


# ---------------------------------------------------------------------------------------------------- what is refused


@FORMATS
def test_a_damaged_file_is_refused(half, suffix, tmp_path):
    path = tmp_path / f"half{suffix}"
    half.save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"step,objective\n1,2\n", whole[:1000], whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"half{suffix} is not a saved result \(it is .*Result.save wrote\."):
            a3cjax.Result.load(path)
    with pytest.raises(FileNotFoundError):
        a3cjax.Result.load(tmp_path / f"none{suffix}")


def test_other_peoples_files_are_refused(half, tmp_path):
    path = tmp_path / "other.npz"
    SCHEDULE.save(path)
    with pytest.raises(ValueError, match=r"not a saved result \(it holds other arrays\); give a file that Result.save"):
        a3cjax.Result.load(path)
    half.state.save(path)
    with pytest.raises(ValueError, match=r"\(it holds where a simulation stands\); give it to SavedState.load"):
        a3cjax.Result.load(path)
    half.save(path)
    with pytest.raises(ValueError, match=r"it holds a result, of which a3cjax.Result.load\(path\).state is the state"):
        a3cjax.SavedState.load(path)
    half.to_xarray().to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"other.nc is not a saved result \(it holds other arrays\)"):
        a3cjax.Result.load(tmp_path / "other.nc")


def rewritten(path, **changes):
    with np.load(path) as arrays:
        kept = dict(arrays)
    about = json.loads(str(kept.pop("about"))) | changes.pop("about", {})
    np.savez(path, about=np.array(json.dumps(about)), **{n: a for n, a in (kept | changes).items() if a is not None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"about": {"format": 2}}, r"its format is 2, and this a3cjax knows 1\); read it with a newer a3cjax"),
        ({"time": None}, "not a whole saved result .it lacks some of its parts: 'time'"),
        ({"time": np.ones(3)}, r"not a whole saved result .time has 3 entries, not \(2, 4?2?\)"),
        ({"params.x": np.ones((2, 2), np.int16)}, "not a whole saved result .an array holds int16, not float32"),
        ({"about": {"num_updates": -1}}, "num_updates is -1, but must be at least 0"),
        ({"about": {"parts": []}}, "not a whole saved result"),
        ({"state.leaf_0": None}, "not a whole saved result .* it lacks some of its parts, 'leaf_0'"),
    ],
)
def test_a_changed_file_is_refused(half, changes, words, tmp_path):
    half.save(tmp_path / "half.npz")
    rewritten(tmp_path / "half.npz", **changes)
    with pytest.raises(ValueError, match=words):
        a3cjax.Result.load(tmp_path / "half.npz")


def test_a_netcdf_file_that_declares_more_than_it_holds_is_refused(half, tmp_path):
    half.save(tmp_path / "half.nc")
    with h5py.File(tmp_path / "half.nc", "r+") as file:
        del file["params.x"]
        file.create_dataset("params.x", (1 << 20, 1 << 20), np.float32, chunks=(1, 1 << 10))
    with pytest.raises(ValueError, match=r"damaged: .*params\.x declares more than the file holds"):
        a3cjax.Result.load(tmp_path / "half.nc")


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.csv", odd, r"a\.csv', whose suffix says no format; use \.nc for netCDF or \.npz"),
        ("a", odd, "whose suffix says no format"),
        ("a.npz", lambda: odd(params={0.5: np.ones(2)}), "params has the key 0.5, a float, which no file keeps"),
        (
            "a.npz",
            lambda: odd(metrics={"a.b": ONES, "a": {"b": ONES}}),
            "two arrays of the result go by the name 'metr",
        ),
        ("a.nc", lambda: odd(metrics={"params.first.1": ONES}), "'params.first.1' names an axis of runs or a metric"),
        ("a.nc", lambda: odd(metrics={"a/b": ONES}), r"a\.nc cannot hold this result as netCDF .*save it as \.npz"),
    ],
)
def test_what_cannot_be_written_leaves_what_was_there(name, make, words, tmp_path):
    (tmp_path / name).write_text("before")
    with pytest.raises(ValueError, match=words):
        make().save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


def test_labels_must_be_numbers_or_words(tmp_path):
    with pytest.raises(ValueError, match=r"runs\['when'\] holds datetime64\[D\], which a file cannot keep"):
        odd().save(tmp_path / "a.npz", {"when": np.array(["2020-01-01", "2020-01-02"], "datetime64[D]")})
