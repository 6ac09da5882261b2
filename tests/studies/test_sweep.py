import csv
import dataclasses
import errno
import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr

import a3cjax
from a3cjax import studies
from a3cjax.cli.process import main
from a3cjax.engine import origin
from a3cjax.studies import StudyInterrupted, SweepStudy
from a3cjax.studies.sweep.partial import Partial

module: Any = sys.modules["a3cjax.studies.sweep.study"]
runs: Any = sys.modules["a3cjax.studies.frame.runs"]

SMALL: dict[str, Any] = dict(laws=("constant", "geometric"), delays=(0, 5), factors=(1, 4), seeds=4, num_updates=60,
                             record_every=7)  # fmt: skip


@pytest.fixture(scope="module")
def learner():
    mdp = a3cjax.families.synthetic(jax.random.key(0), num_states=4, num_actions=2, num_features=3)
    return a3cjax.A3C(mdp, actor_step=0.1, critic_step=0.2, radius=50.0)


@pytest.fixture(scope="module")
def whole(learner):
    return studies.sweep(learner, **SMALL)


def test_each_cell_is_the_run_that_it_says(learner, whole):
    """A cell of the batch against a simulation of its own: law, delay, step and seed are where they belong."""
    seed = 2
    fold = jax.random.fold_in
    schedule = a3cjax.Schedule.from_law(fold(fold(jax.random.key(0), 0), seed), a3cjax.delays.Geometric(5), 60)
    alone = dataclasses.replace(learner, actor_step=0.4, critic_step=0.8)
    record = a3cjax.Record(every=7, metrics=("objective", "critic_error_sq"))
    result = a3cjax.simulate(alone, schedule, fold(fold(jax.random.key(0), 1), seed), record=record, history="ring")
    cell = whole.curves.sel(law="geometric", delay=5, step=4, seed=seed)
    for name in record.metrics or ():
        np.testing.assert_allclose(cell[name].values[1:], result.metrics[str(name)], rtol=1e-5)
    assert float(cell.mean_delay) == schedule.mean_delay
    assert (float(cell.actor_step), float(cell.critic_step)) == pytest.approx((0.4, 0.8))


def test_cells_share_their_random_numbers(whole):
    # Without delay every law is the same, so the runs are, too.
    still = whole.curves.objective.sel(delay=0)
    np.testing.assert_array_equal(still.sel(law="constant").values, still.sel(law="geometric").values)
    assert not np.array_equal(still.sel(seed=0).values, still.sel(seed=1).values)


def test_a_seed_does_not_depend_on_how_many_there_are(learner, whole):
    fewer = studies.sweep(learner, **{**SMALL, "seeds": 3})  # 24 runs, as 32, in lanes of 32: one program
    np.testing.assert_array_equal(fewer.curves.objective.values, whole.curves.objective.sel(seed=[0, 1, 2]).values)


def test_an_interrupted_sweep_goes_on_to_the_same_bits(learner, whole, tmp_path, monkeypatch):
    """Pieces of 28 updates; stopped by Ctrl-C in the second, off any record; gone on with; the files are the same."""
    monkeypatch.setattr(module, "PIECE_WORK", 32 * 28)
    simulate, calls = runs.simulate, []

    def stopped(learner, schedule, keys, **options):
        calls.append(schedule.num_updates)
        if len(calls) == 2:
            part = simulate(learner, schedule[:31], keys, **options)
            raise a3cjax.Interrupted("stopped", part)
        return simulate(learner, schedule, keys, **options)

    folder = tmp_path / "partial"
    monkeypatch.setattr(runs, "simulate", stopped)
    monkeypatch.setattr(origin, "_rows_digest", never)  # the options say what the pieces are; schedules can be large
    with pytest.raises(StudyInterrupted, match=r"after 31 of 60 updates\. The same command goes on") as caught:
        studies.sweep(learner, **SMALL, partial=folder)
    part = caught.value.study
    assert part.interrupted
    assert int(part.curves.updates_done) == 31
    assert np.isfinite(part.curves.objective.values).all((0, 1, 2, 3)).sum() == 5  # 0, 7, 14, 21, 28
    assert os.listdir(folder) == ["unfinished.npz"]
    monkeypatch.setattr(runs, "simulate", simulate)
    joined = studies.sweep(learner, **SMALL, partial=folder)
    xr.testing.assert_identical(joined.curves, whole.curves)
    assert joined.table() == whole.table()
    assert folder.exists()  # until the files are written
    for name, study in (("joined", joined), ("whole", whole)):
        study.save(tmp_path / name)
    assert not folder.exists()
    assert (tmp_path / "joined/sweep.csv").read_bytes() == (tmp_path / "whole/sweep.csv").read_bytes()


def test_a_real_ctrl_c_is_kept_and_gone_on_with(learner, whole, tmp_path, monkeypatch):
    from a3cjax.engine import driver, way

    monkeypatch.setattr(way, "BLOCK_WORK", 32 * 10)  # blocks of ten updates
    advance, calls = driver._advance, []

    def pressed(*args, **rest):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return advance(*args, **rest)

    monkeypatch.setattr(driver, "_advance", pressed)
    with pytest.raises(StudyInterrupted):
        studies.sweep(learner, **SMALL, partial=tmp_path / "partial")
    monkeypatch.undo()
    joined = studies.sweep(learner, **SMALL, partial=tmp_path / "partial")
    xr.testing.assert_identical(joined.curves, whole.curves)


def test_other_options_do_not_go_on_from_there(learner, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PIECE_WORK", 32 * 14)
    simulate = runs.simulate

    def stopped(learner, schedule, keys, **options):
        raise a3cjax.Interrupted("stopped", simulate(learner, schedule, keys, **options))

    monkeypatch.setattr(runs, "simulate", stopped)
    with pytest.raises(StudyInterrupted):
        studies.sweep(learner, **SMALL, partial=tmp_path)
    others = [
        ({"seed": 1}, learner, r"another seed \(0, not 1\); finish that one with its own options, or remove"),
        ({"delays": (0, 4)}, learner, r"another delays \(\[0, 5\], not \[0, 4\]\)"),
        ({"num_updates": 70}, learner, r"another num_updates \(60, not 70\)"),
        ({}, dataclasses.replace(learner, radius=40.0), "another learner"),
    ]
    for options, other, sentence in others:
        with pytest.raises(ValueError, match=sentence):
            studies.sweep(other, **{**SMALL, **options}, partial=tmp_path)


# ------------------------------------------------------------------------------------------- what is kept until saved


@pytest.fixture(scope="module")
def kept(learner, tmp_path_factory):
    """The bytes of what is kept of a finished sweep that nobody saved."""
    folder = tmp_path_factory.mktemp("kept")
    studies.sweep(learner, **SMALL, partial=folder)
    return (folder / "unfinished.npz").read_bytes()


def never(*_, **__):
    raise AssertionError("simulated again")


def test_a_finished_sweep_is_kept_until_it_is_saved(learner, whole, kept, tmp_path, monkeypatch):
    folder = tmp_path / "partial"
    folder.mkdir()
    (folder / "unfinished.npz").write_bytes(kept)
    (folder / "mine.txt").write_text("mine")
    monkeypatch.setattr(runs, "simulate", never)
    again = studies.sweep(learner, **SMALL, partial=folder)
    xr.testing.assert_identical(again.curves, whole.curves)
    pickle.loads(pickle.dumps(again)).save(tmp_path / "out")
    assert os.listdir(folder) == ["mine.txt"]  # a folder of the user's stays


def test_what_is_kept_of_another_sweep_is_told_apart(learner, kept, tmp_path):
    """The file says whose it is: values and state of one seed cannot stand beside the options of another."""
    (tmp_path / "unfinished.npz").write_bytes(kept)
    with pytest.raises(ValueError, match=r"unsaved sweep with another seed \(0, not 1\)"):
        studies.sweep(learner, **{**SMALL, "seed": 1}, partial=tmp_path)
    assert (tmp_path / "unfinished.npz").read_bytes() == kept


@pytest.mark.parametrize("kind", ["empty", "half", "text", "a schedule", "a state"])
def test_what_cannot_be_read_is_told_and_begun_again(kind, learner, whole, kept, tmp_path):
    path = tmp_path / "unfinished.npz"
    if kind == "a schedule":
        a3cjax.Schedule.sequential(3).save(path)
    elif kind == "a state":
        leaf: Any = np.zeros((32, 3))
        a3cjax.SavedState((leaf,), 60, "ring", 8).save(path)
    else:
        path.write_bytes({"empty": b"", "half": kept[: len(kept) // 2], "text": b"law,delay\n"}[kind])
    sentence = r"unfinished\.npz is not an unfinished sweep.*\. The sweep begins again and will write over it\."
    state, values, trouble = Partial(tmp_path, {}).load()
    assert (state, values) == (None, {})
    assert re.search(sentence, str(trouble))
    if kind == "half":
        with pytest.warns(UserWarning, match=sentence):
            again = studies.sweep(learner, **SMALL, partial=tmp_path)
        xr.testing.assert_identical(again.curves, whole.curves)
        with np.load(path) as kept_now:
            assert kept_now["updates_done"] == 60


def test_whatever_ends_a_command_its_runs_are_kept_until_its_files_are_written(tmp_path, capsys, monkeypatch):
    """Killed while it draws its figure, and then with a full disk: the numbers are there, and nothing is done twice.

    With ten features of five states, which no critic is told apart by.
    """
    out = tmp_path / "out"
    few = shlex.split("--laws constant --delays 0 3 --factors 1 4 --seeds 2 --updates 40 --states 5")
    command = ["sweep", *few, "--out", str(out)]
    killed = (
        "import importlib, os, signal; figure = importlib.import_module('a3cjax.studies.sweep.study')\n"
        "figure.sweep_figure = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"from a3cjax.cli.process import main; main({command})"
    )
    done = subprocess.run([sys.executable, "-c", killed], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert sorted(os.listdir(out)) == ["run.json", "sweep.csv", "sweep.nc", "sweep.partial"]
    numbers = (out / "sweep.csv").read_bytes()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runs, "simulate", never)
    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    assert main(command) == 2
    said = capsys.readouterr()
    assert "going on after update 40" in said.out
    assert "sweep.nc: No space left on device" in said.err
    monkeypatch.undo()
    monkeypatch.setattr(runs, "simulate", never)
    assert main(command) == 0
    assert (out / "sweep.csv").read_bytes() == numbers
    assert sorted(os.listdir(out)) == ["run.json", "sweep.csv", "sweep.nc", "sweep.png"]
    capsys.readouterr()


def test_numbers_that_are_not_finite_are_values_in_the_files(tmp_path):
    curves = fabricate(np.full((2, 3, 11), np.nan))
    curves.attrs |= {"initial_critic_error_sq": np.nan, "diverged_above": np.inf}
    curves.objective.values[...] = np.nan
    curves.stability_limit.values[...] = np.nan
    study = SweepStudy.of(curves)
    study.save(tmp_path, {"radius": np.float32(np.inf), "steps": (0.5, -np.inf)})
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["options"] == {"radius": "inf", "steps": [0.5, "-inf"]}
    assert run["problem"] == {"initial_objective": 0.5, "optimal_objective": 1.0, "initial_critic_error_sq": "nan",
                              "diverged_above": "inf"}  # fmt: skip
    with (tmp_path / "sweep.csv").open() as file:
        assert [row["critic_error_sq"] for row in csv.DictReader(file)] == ["nan", "nan"]
    assert (tmp_path / "sweep.png").stat().st_size > 1000
    assert "–" in study.table()


def fabricate(gap, lost=None, done=100):
    """Two steps, one law and delay; critic gaps [step, seed, record] at updates 0, 10, …, 100; the start's gap is 1."""
    gap = np.asarray(gap, float)[None, None]
    runs = ("law", "delay", "step", "seed")
    return xr.Dataset(
        {
            "objective": ((*runs, "record"), np.ones(gap.shape)),
            "critic_error_sq": ((*runs, "record"), gap),
            "nonfinite_from": (runs, np.full(gap.shape[:-1], -1) if lost is None else np.asarray(lost)[None, None]),
            "mean_delay": (("law", "delay", "seed"), np.ones((1, 1, gap.shape[3]))),
            "max_delay": (("law", "delay", "seed"), np.ones((1, 1, gap.shape[3]), int)),
            "stability_limit": ("delay", [1.0]),
            "updates_done": ((), done),
        },
        coords={"law": ["constant"], "delay": [1], "step": [1.0, 2.0], "seed": np.arange(gap.shape[3]),
                "actor_step": ("step", [0.1, 0.2]), "critic_step": ("step", [0.5, 1.0]),
                "updates": ("record", np.arange(0, 101, 10))},
        attrs={"delay_is": "mean", "scale": "both", "num_updates": 100, "diverged_above": 10.0,
               "initial_objective": 0.5, "optimal_objective": 1.0, "initial_critic_error_sq": 1.0},
    )  # fmt: skip


def test_divergence_is_a_gap_above_the_bound_at_the_end_or_a_number_lost():
    gap = np.ones((2, 4, 11))
    gap[0, 0, 3:7] = 1e6  # far away, but back in the end
    gap[1, :2, -1] = 10.5
    gap[1, 2] = np.nan
    lost = np.full((2, 4), -1)
    lost[1, 2] = 30
    study = SweepStudy.of(fabricate(gap, lost))
    small, large = study.rows
    assert (small.diverged, large.diverged, large.nonfinite_runs) == (0, 0.75, 1)
    # Wilson for 3 of 4 at 95 %: (0.75 + 0.48018 ± 1.95996 √(0.046875 + 0.060023)) / 1.96036.
    assert (large.diverged_low, large.diverged_high) == pytest.approx((0.30064, 0.95441), abs=1e-4)
    (line,) = study.delays
    assert (line.stable_up_to, line.diverging_from) == (1, 2)
    assert study.table().splitlines()[-1].split()[-3:] == ["0.5", "1", "1"]  # in β
    assert "3 of 8 runs have diverged" in study.summary()
    assert any("1 runs in 1 cells stopped being finite" in note for note in study.notes())


def test_diverged_without_projection_is_told(tmp_path, capsys):
    options = (
        "sweep --laws constant --delays 0 3 --factors 1 1e8 --seeds 2 --updates 100 --states 4 --features 3 "
        "--actions 2 --radius 1e30"
    )
    assert main([*options.split(), "--out", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "4 of 8 runs have diverged" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "sweep.csv", "sweep.nc", "sweep.png"]
    assert json.loads((tmp_path / "run.json").read_text())["options"]["delays"] == [0, 3]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--laws normal", "laws is 'normal', but must be one of 'constant'"),
        ("--laws constant constant", "laws is ['constant', 'constant']; give one or more, each once."),
        ("--laws geometric --delay-is maximum", "The geometric law has no maximum to choose"),
        ("--laws zipf", "The zipf law has no mean to choose"),
        ("--delays -1", "delays[0] is -1"),
        ("--factors 0", "factors[0] is 0, but must be greater than 0."),
        ("--seeds 0", "seeds is 0"),
        ("--actor-step 0", "--actor-step is 0, and stays so"),
        ("--diverged-above 0", "--diverged-above is 0"),
        ("--record-every 100000", "so nothing would be recorded"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(options, sentence, tmp_path, capsys):
    small = ["sweep", "--states", "4", "--features", "3", "--actions", "2", "--out", str(tmp_path)]
    assert main([*small, *options.split()]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_every_law_has_the_delay_that_it_is_asked_for():
    from a3cjax.studies.sweep.laws import LAWS

    for law in LAWS.values():
        for asked, make in law.items():
            for delay in (0, 6):
                drawn = np.asarray(make(delay).sample(jax.random.key(0), 20_000))
                if asked == "maximum":
                    assert drawn.max() == delay
                else:
                    # Five standard errors; none of the laws varies more than the geometric, by √(6·7) = 6.5.
                    assert abs(drawn.mean() - delay) < 5 * 6.5 / 20_000**0.5
