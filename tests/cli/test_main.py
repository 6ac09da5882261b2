import csv
import dataclasses
import errno
import importlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import xarray as xr

from a3cjax import Interrupted
from a3cjax.cli.process import main

TINY = shlex.split(
    "speedup --workers 1 2 4 --seeds 3 --updates 3000 --states 5 --features 5 --actions 2 --actor-step 0.5 "
    "--critic-step 0.1 --record-every 100"
)
COLUMNS = [
    "sampling", "workers", "updates_to_target", "samples_per_worker", "speedup", "speedup_low", "speedup_high",
    "time_to_target", "time_speedup", "efficiency",
]  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """One run of the command as a user starts it: its output and its folder."""
    folder = tmp_path_factory.mktemp("tiny") / "made" / "by the command"
    command = [sys.executable, "-c", "from a3cjax.cli.process import script; script()"]
    done = subprocess.run([*command, *TINY, "--out", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done, folder


def test_the_table_stands_beside_the_papers_figures(tiny):
    done, folder = tiny
    lines = done.stdout.splitlines()
    (four,) = [line.split() for line in lines if line.split()[:2] == ["markov", "4"]]
    assert "3.19" in four
    assert "closes 80% of the gap" in done.stdout
    assert any(line.startswith("iid: after 3,000 updates") for line in lines)
    assert lines[-1].startswith(f"Wrote speedup.csv, speedup.nc, speedup.png, run.json in {folder} after ")
    assert max(len(line) for line in lines[:-1]) <= 120
    assert done.stderr == ""  # no bar where nobody looks


def test_a_command_collects_garbage_seldom_and_python_as_usual():
    """Of all studies an eighth of the time; in a user's own process it is the user's to say."""
    code = (
        "import atexit, gc; from a3cjax.cli.process import main, script; "
        "main(['--version']); print(gc.get_threshold()); atexit.register(lambda: print(gc.get_threshold())); script()"
    )
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)
    _, usual, _, of_commands = done.stdout.splitlines()
    assert (usual != of_commands, of_commands) == (True, "(50000, 20, 20)")


ENDING = """
import atexit, os, sys, threading, time
from a3cjax.cli.process import script

def at_once(status, leave=os._exit):
    os.write(1, b"at once")
    leave(status)

def work():
    time.sleep(0.2)
    print("worked")

os._exit = at_once
atexit.register(print, "end")
"""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", ["end", "at once"]),
        ("threading.Thread(target=work).start()", ["worked", "end"]),
        ("threading.Thread(target=work, daemon=True).start()", ["end", "at once"]),
        ("sys.setprofile(lambda *_: None)", ["end"]),
        ("sys.settrace(lambda *_: None)", ["end"]),
    ],
)
def test_a_command_ends_at_once_unless_somebody_has_something_to_do_yet(before, said):
    """Python's own end takes modules and programs to pieces first, for most of a second."""
    code = f"{ENDING}{before}\nscript()"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines()[1:], done.stderr) == (said, "")


def test_the_csv_has_the_columns_and_a_row_for_each_sampling_and_n(tiny):
    _, folder = tiny
    with (folder / "speedup.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == COLUMNS
    assert [(row[0], int(row[1])) for row in rows] == [(name, n) for name in ("iid", "markov") for n in (1, 2, 4)]
    assert [float(row[4]) for row in rows if row[1] == "1"] == [1, 1]


def test_the_curves_are_named_and_have_units(tiny):
    _, folder = tiny
    with xr.open_dataset(folder / "speedup.nc", engine="h5netcdf") as curves:
        assert dict(curves.sizes) == {"sampling": 2, "workers": 3, "seed": 3, "record": 31}
        assert curves.updates.values.tolist() == list(range(0, 3001, 100))
        for name in ("objective", "critic_error_sq", "time", "samples_per_worker", "updates_to_target"):
            assert curves[name].attrs["units"]
            assert curves[name].attrs["long_name"]
        start = curves.attrs["initial_objective"]
        assert np.allclose(curves.objective[..., 0], start)
        assert (curves.objective.mean("seed")[..., -1] > start).all()
        assert (curves.objective <= curves.attrs["optimal_objective"] + 1e-5).all()
        # Every N makes N updates in a unit of time: the last of 3000 lands at 3000 / N, within four deviations.
        last = curves.time[..., -1]
        expected = 3000 / curves.workers
        assert (abs(last - expected) < 4 * 3000**0.5 / curves.workers).all()
        assert (abs(curves.mean_delay - (curves.workers - 1)) < 0.1).all()


def test_run_json_says_how_it_was_made(tiny):
    _, folder = tiny
    run = json.loads((folder / "run.json").read_text())
    assert run["options"]["workers"] == [1, 2, 4]
    assert run["options"]["seed"] == 0
    assert set(run["versions"]) >= {"a3cjax", "jax", "numpy", "python"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tiny, tmp_path, capsys):
    _, folder = tiny
    text = {}
    for name, seed in (("first", "0"), ("again", "0"), ("other", "1")):
        assert main([*TINY, "--sampling", "markov", "--seed", seed, "--out", str(tmp_path / name)]) == 0
        text[name] = (tmp_path / name / "speedup.csv").read_bytes()
    capsys.readouterr()
    assert text["first"] == text["again"]
    assert text["first"] != text["other"]
    # In another process, with as many devices as that had, and with the other sampling beside it.
    header, *rows = (folder / "speedup.csv").read_bytes().splitlines(keepends=True)
    assert header + b"".join(row for row in rows if row.startswith(b"markov")) == text["first"]


def test_a_seed_does_not_depend_on_how_many_there_are(tiny, tmp_path, capsys):
    _, folder = tiny
    fewer = [*TINY, "--sampling", "markov", "--seeds", "2", "--workers", "1", "4", "--out", str(tmp_path)]
    assert main(fewer) == 0
    capsys.readouterr()
    with (
        xr.open_dataset(folder / "speedup.nc", engine="h5netcdf") as all_runs,
        xr.open_dataset(tmp_path / "speedup.nc", engine="h5netcdf") as some,
    ):
        expected = all_runs.objective.sel(sampling=["markov"], workers=[1, 4], seed=[0, 1])
        assert np.array_equal(some.objective.values, expected.values)


def test_a_target_out_of_reach_is_said_and_not_dropped(tmp_path, capsys):
    options = ["--sampling", "markov", "--target", "1", "--out", str(tmp_path)]
    assert main([*TINY, *options]) == 0
    said = capsys.readouterr().out
    assert "markov: no run met the target in 3,000 updates." in said
    assert "0 of 3" in said
    with (tmp_path / "speedup.csv").open() as file:
        assert [row["speedup"] for row in csv.DictReader(file)] == ["nan"] * 3


def test_diverged_runs_are_said(tmp_path, capsys):
    options = ["--sampling", "markov", "--critic-step", "1e6", "--radius", "1e30", "--out", str(tmp_path)]
    assert main([*TINY, *options]) == 0
    assert "3 of 3 runs stopped being finite, the first by update 100; take smaller steps." in capsys.readouterr().out


def test_ctrl_c_leaves_what_was_done(tmp_path, capsys, monkeypatch):
    study: Any = importlib.import_module("a3cjax.studies.frame.runs")
    simulate = study.simulate

    def stopped(learner, schedule, key, **options):
        if learner.sampling == "iid":  # finished; that it is not really i.i.d. does not matter here
            return simulate(dataclasses.replace(learner, sampling="markov"), schedule, key, **options)
        raise Interrupted("stopped", simulate(learner, schedule[:2100], key, **options))

    monkeypatch.setattr(study, "simulate", stopped)
    assert main([*TINY, "--out", str(tmp_path)]) == 130
    captured = capsys.readouterr()
    assert "Interrupted in the markov runs after 2100 of 3000 updates." in captured.err
    assert str(tmp_path) in captured.err
    assert "The study was interrupted" in captured.out
    with xr.open_dataset(tmp_path / "speedup.nc", engine="h5netcdf") as curves:
        assert curves.updates_done.values.tolist() == [3000, 2100]
        there = np.isfinite(curves.objective.sel(sampling="markov").values).all((0, 1))
        assert there.sum() == 22
        assert there[:22].all()
    assert json.loads((tmp_path / "run.json").read_text())["interrupted"]


def test_ctrl_c_between_two_simulations_keeps_the_first(tmp_path, capsys, monkeypatch):
    study: Any = importlib.import_module("a3cjax.studies.frame.runs")
    simulate = study.simulate

    def then_pressed(learner, schedule, key, **options):
        result = simulate(dataclasses.replace(learner, sampling="markov"), schedule, key, **options)
        signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(study, "simulate", then_pressed)
    assert main([*TINY, "--out", str(tmp_path)]) == 130
    assert "Interrupted in the markov runs after 0 of 3000 updates." in capsys.readouterr().err
    with xr.open_dataset(tmp_path / "speedup.nc", engine="h5netcdf") as curves:
        assert curves.updates_done.values.tolist() == [3000, 0]


def test_ctrl_c_before_the_first_simulation_leaves_no_files(tmp_path, capsys, monkeypatch):
    study: Any = importlib.import_module("a3cjax.studies.frame.runs")
    draw = study.worker_schedules

    def pressed(*arguments):
        assert not list(tmp_path.iterdir())  # as whoever kills the command now will find it
        signal.raise_signal(signal.SIGINT)
        return draw(*arguments)

    monkeypatch.setattr(study, "worker_schedules", pressed)
    assert main([*TINY, "--out", str(tmp_path / "made" / "here")]) == 130
    assert capsys.readouterr().err == "a3cjax: Interrupted; nothing was written.\n"
    assert not list(tmp_path.iterdir())


class Broken(io.StringIO):
    """Takes so many writes, and then none."""

    def __init__(self, error, left):
        super().__init__()
        self.error, self.left = error, left

    def write(self, text):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().write(text)

    def fileno(self):
        raise OSError


def test_a_broken_standard_output_costs_no_files_and_is_named(tmp_path, capsys, monkeypatch):
    files = ["run.json", "speedup.csv", "speedup.nc", "speedup.png"]
    command = [*TINY, "--sampling", "markov", "--out", str(tmp_path)]
    # head -1: it has read the first line.
    first = Broken(BrokenPipeError(), 2)
    monkeypatch.setattr(sys, "stdout", first)
    assert main(command) == 141
    assert first.getvalue().startswith("Simulating 3 seeds")
    assert first.getvalue().count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert capsys.readouterr().err == ""
    for path in tmp_path.iterdir():
        path.unlink()
    monkeypatch.setattr(sys, "stdout", Broken(OSError(errno.ENOSPC, "No space left on device"), 0))
    assert main(command) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    assert capsys.readouterr().err == (
        "a3cjax: Standard output: No space left on device; speedup.csv, speedup.nc, speedup.png, run.json are in "
        f"{tmp_path} all the same.\n"
    )
    # And what was there is not replaced without a word.
    monkeypatch.undo()
    os.utime(tmp_path / "run.json", (2e9, 2e9))  # the newest
    (tmp_path / "speedup.nc").unlink()
    assert main(command) == 0
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(2e9))
    said = " ".join(capsys.readouterr().out.splitlines()[1:3])
    assert f"Replacing speedup.csv, speedup.png, run.json of {when} in {tmp_path}." in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--workers 2 4", "--workers is [2, 4], but eq. (1) compares with one worker; put 1 among them."),
        ("--workers 1 2 2", "names 2 more than once"),
        ("--workers 1 0", "--workers[1] is 0, but must be at least 1."),
        ("--seeds 0", "--seeds is 0, but must be at least 1."),
        ("--seed -1", "--seed is -1, but must be at least 0."),
        ("--target 0", "--target is 0"),
        ("--target 1.5", "--target is 1.5"),
        ("--updates 0", "--updates is 0, but must be at least 1."),
        ("--record-every 4000", "so nothing would be recorded"),
        ("--actor-step -1", "--actor-step is -1"),
        ("--actor-step nan", "--actor-step is nan"),
        ("--discount 1", "--discount is 1"),
        ("--states 1 --features 1 --actions 1", "there is nothing to learn"),
        ("--branching 3", "--branching has no effect with --mdp synthetic; leave it out or choose --mdp garnet."),
        ("--cv 1", "--cv has no effect with --compute-time exponential"),
        ("--compute-time pareto --shape 1", "--shape is 1"),
        ("--compute-time empirical", "--compute-time empirical needs measured times"),
        ("--compute-time empirical --times-file nowhere.csv", "--times-file nowhere.csv is not there"),
        ("--straggler-factor 3", "--straggler-factor has no effect without stragglers"),
        ("--straggler-share 1", "--straggler-share is 1"),
        ("--stay 1", "--stay is 1"),
        ("--nonsense 3", "There is no option --nonsense; a3cjax speedup --help"),
        ("--sedes 3", "There is no option --sedes; did you mean --seeds?"),
        ("--sampling some", "--sampling is 'some', but must be one of 'both', 'iid', 'markov'"),
        ("--seeds many", "--seeds is 'many', but must be a whole number"),
        ("--seeds 1 2", "2 belongs to no option"),
        ("--seeds", "--seeds needs a value"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(options, sentence, tmp_path, capsys):
    assert main([*TINY, "--out", str(tmp_path), *options.split()]) == 2
    said, error = capsys.readouterr()
    assert said == ""
    assert sentence in error
    assert error.count("\n") == 1
    assert error.startswith("a3cjax: ")
    assert error.rstrip().endswith(".")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_found_out_before_the_work(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([*TINY, "--out", str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


@pytest.mark.parametrize("args", [[], ["nothing"]])
def test_the_subcommand_is_asked_for(args, capsys):
    assert main(args) == 2
    assert "speedup" in capsys.readouterr().err


def test_help_is_no_error(capsys):
    assert main(["speedup", "--help"]) == 0
    assert "--straggler-share" in capsys.readouterr().out


def test_stragglers_slow_the_clock_and_nothing_else(tmp_path, capsys):
    # With half of the workers four times slower, N/2 + N/8 updates per unit of time rather than N; one has no half.
    options = "--sampling markov --compute-time deterministic --straggler-share 0.5 --straggler-factor 4"
    assert main([*TINY, *options.split(), "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    with xr.open_dataset(tmp_path / "speedup.nc", engine="h5netcdf") as curves:
        last = curves.time[..., -1]
        assert last.sel(workers=1).values == pytest.approx(3000)
        for workers in (2, 4):
            expected = 3000 / (workers * 0.625)
            assert last.sel(workers=workers).values == pytest.approx(expected, rel=2e-3)
            assert curves.mean_delay.sel(workers=workers).values == pytest.approx(workers - 1, abs=0.01)
