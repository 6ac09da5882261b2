"""Estimates of memory: what does not fit is refused in a sentence, before it is allocated.

The machine of these tests has 8 GiB, whatever there is. Sizes are by hand: S²A floats three times for an MDP, 48 bytes
for a row of a schedule while it is drawn.
"""

import importlib

import jax
import numpy as np
import pytest

import a3cjax
from a3cjax import compute_times as ct
from a3cjax import families
from a3cjax._core import check
from a3cjax.cli import process

KEY = jax.random.key(0)
GIB = 2.0**30
ENGINE = importlib.import_module("a3cjax.engine.simulate")
WORKER = [ct.Exponential(1.0)]


@pytest.fixture
def small_machine(monkeypatch):
    monkeypatch.setattr(check, "memory_of_machine", lambda: 8 * GIB)


@pytest.mark.usefixtures("small_machine", "x32")
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        # 3 · 4 · 10¹⁰ · 5 bytes
        (lambda: families.garnet(KEY, 100_000, 5, 5), "num_states is 100000, which takes about 559 GiB of memory, but"),
        (lambda: families.synthetic(KEY, 100_000), "num_states is 100000, which takes about 559 GiB of memory"),
        (lambda: families.ring(100_000), "num_states is 100000, which takes about 224 GiB"),
        (lambda: families.gridworld(300, 300), r"height \* width is 90000, which takes about 362 GiB"),
        (lambda: a3cjax.Prior.uniform(0.1, 10**6, 10**4), "num_states is 1000000, which takes about 75 GiB"),
        (
            lambda: a3cjax.FiniteMDP(np.broadcast_to(1e-5, (10**5, 1, 10**5)), np.zeros((1, 1)), [1.0], 0.9, [[1.0]]),
            r"transition.shape is \(100000, 1, 100000\), which takes about 37 GiB .* has 8.0 GiB; give a smaller",
        ),
        (lambda: a3cjax.Schedule.sequential(10**9), "num_updates is 1000000000, which takes about 45 GiB .* fewer up"),
        (
            lambda: a3cjax.Schedule.from_law(KEY, a3cjax.delays.Constant(1), 10**9),
            "num_updates is 1000000000, which takes about 45 GiB",
        ),
        (lambda: a3cjax.Schedule.from_workers(KEY, WORKER, 10**9), "num_updates is 1000000000, which"),
        (lambda: a3cjax.Schedule.barrier(KEY, WORKER * 100, 10**7), "times the number of workers is 1000000000, which"),
        (lambda: a3cjax.Schedule.buffered(KEY, WORKER, 10**7, size=100), "num_updates times size is 1000000000, wh"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


QUADRATIC = a3cjax.QuadraticSGD(curvature=np.ones(1000), step=0.1)
LONG = a3cjax.Schedule.sequential(100_000)
STALE = a3cjax.Schedule(worker=np.zeros(100, int), delay=np.minimum(np.arange(100), 60), time=np.arange(100.0))


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize(
    ("schedule", "options", "memory", "sentence"),
    [
        # 10⁵ records of 1000 floats, twice
        (LONG, {"record": a3cjax.Record(every=1, metrics={"x": lambda state: state[0]})}, 7e8, "every is 1, which"),
        # 64 versions of 1000 floats for each of 50 runs: 12.8 MB
        (STALE, {"history": "ring"}, 12e6, "depth is 64, which takes .* fewer of the 50 runs at a time"),
        # a message and a waiting view: at least 1000 floats for each of 50 runs
        (a3cjax.Schedule.sequential(100), {}, 2e5, "schedule.num_workers is 1, which takes"),
    ],
)  # fmt: skip
def test_a_simulation_that_does_not_fit_is_refused(schedule, options, memory, sentence, monkeypatch):
    monkeypatch.setattr(check, "memory_of_machine", lambda: memory)
    monkeypatch.setattr(ENGINE, "drive", None)  # nothing is run
    keys = KEY if schedule is LONG else jax.random.split(KEY, 50)
    with pytest.raises(ValueError, match=sentence):
        a3cjax.simulate(QUADRATIC, schedule, keys, **options)


def test_samples_that_do_not_fit_are_refused(monkeypatch):
    # Six int32 for each of 10⁵ updates, twice: 4.8 MB.
    learner = a3cjax.A3C(families.ring(4), actor_step=0.1, critic_step=0.1)
    monkeypatch.setattr(check, "memory_of_machine", lambda: 4.7e6)
    monkeypatch.setattr(ENGINE, "drive", None)
    with pytest.raises(
        ValueError, match=r"transitions is True, which takes about 4\.6 MiB of memory, but this machine has 4\.5 MiB"
    ):
        a3cjax.simulate(learner, LONG, KEY, transitions=True)


def test_the_past_of_a_table_is_not_taken_for_whole_tables(monkeypatch):
    # 4096 versions of θ [50, 2] and ω [3] would be 1.7 MB; θ's log keeps a row for each, not a table.
    mdp = families.ring(50, num_features=3)
    learner = a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.1)
    schedule = a3cjax.Schedule(worker=np.zeros(4000, int), delay=np.arange(4000), time=np.arange(4000.0))
    monkeypatch.setattr(ENGINE, "drive", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(check, "memory_of_machine", lambda: 2e5)
    with pytest.raises(KeyboardInterrupt):  # it would have begun
        a3cjax.simulate(learner, schedule, KEY)


def test_this_machine_has_some_memory():
    assert 2**28 < check.memory_of_machine() <= np.inf


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize(
    "options", [("--mdp", "ring", "--updates", "100000000000"), ("--mdp", "garnet", "--states", "100000")]
)
def test_the_command_says_so(options, capsys, tmp_path):
    assert process.main(["speedup", *options, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("a3cjax: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("error", [MemoryError(), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")])
def test_memory_that_runs_out_all_the_same_is_told(error, monkeypatch, capsys, tmp_path):
    def run_out(options):
        raise error

    monkeypatch.setattr(process, "_run", run_out)
    assert process.main(["speedup", "--out", str(tmp_path)]) == 2
    assert "There is not enough memory for this; use fewer updates" in capsys.readouterr().err
