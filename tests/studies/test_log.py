"""The study of a log, and its command."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from a3cjax import Schedule, studies
from a3cjax.cli import main

DATA = Path(__file__).parents[1] / "data"


def test_curves_and_rows_are_the_schedules(tmp_path):
    source = DATA / "queue_starved_b16_s2.csv"
    study, schedule = studies.describe_log(source), Schedule.from_log(source)
    delay = schedule.delay[np.asarray(schedule.weight) == 1]
    curves = study.curves
    assert curves.share.values.tolist() == [np.mean(delay == d) for d in range(delay.max() + 1)]
    edges = [*curves.piece.values.tolist(), len(delay)]
    for i, piece in enumerate(delay[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)):  # noqa: RUF007
        ordered = np.sort(piece)
        assert curves.over_run.values[i][[0, 4]].tolist() == [ordered[0], ordered[-1]]
        assert curves.over_run.values[i][2] == ordered[(len(piece) - 1) // 2]
    centred = delay - delay.mean()
    assert curves.autocorrelation.values[1] == pytest.approx((centred[2:] * centred[:-2]).sum() / (centred**2).sum())
    assert [row.updates for row in study.rows] == [
        int(((schedule.worker == i) & (np.asarray(schedule.weight) == 1)).sum()) for i in range(4)
    ]
    paths = study.save(tmp_path)
    with paths[0].open() as file:
        assert [float(row["mean"]) for row in csv.DictReader(file)] == [row.mean for row in study.rows]
    assert json.loads(paths[3].read_text())["notes"] == schedule.report.sentences()


def test_the_command(tmp_path, capsys):
    assert main(["log", str(DATA / "a3c_nolock_n8.csv"), "--out", str(tmp_path)]) == 2
    assert "give --first-version 1650 to have them computed from that one." in capsys.readouterr().err
    options = ["--first-version", "1650", "--read-time", "t_read", "--out", str(tmp_path)]
    assert main(["log", str(DATA / "a3c_nolock_n8.csv"), *options]) == 0
    said = capsys.readouterr().out
    assert "300 rows, 300 updates by 8 workers" in said
    assert "Note: 2 updates not counted by the counter, as without a lock." in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "log.nc", "log.png", "run.json"]
    assert main(["log", str(DATA / "a3c_lock_n4.csv"), "--order", "clock", "--gaps", "fill"]) == 2
    assert "--gaps is 'fill', which has no effect when the clock orders" in capsys.readouterr().err
    assert main(["log"]) == 2
    assert "There is no log to read; give its path" in capsys.readouterr().err


def test_a_run_of_one_update():
    log = {"worker": ["x"], "read": [0], "written": [0], "time": [1.0]}
    study = studies.describe_log(log)
    assert (len(study.rows), study.rows[0].mean) == (1, 0.0)
    assert "1 rows, 1 updates by 1 workers" in study.summary()
    study.figure()
