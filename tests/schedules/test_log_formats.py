"""Logs in every format give the same schedule, and a file that is broken or no log is told with its line."""

import importlib.util
import json
import os
import pickle
from typing import Any

import numpy as np
import pytest

from a3cjax import Schedule
from a3cjax.schedules.logs import gathered, lines

LOG = {"worker": ["b", "a", "b", "a"], "read": [0, 0, 1, 2], "written": [0, 1, 2, 3], "time": [0.5, 1.25, 2.0, 3.5]}
DELAY, WORKER = [0, 1, 1, 1], [1, 0, 1, 0]
HEADING = "worker,read,written,time\n"
LINES = [",".join(str(column[i]) for column in LOG.values()) + "\n" for i in range(4)]


def check(schedule, rows=4):
    assert schedule.worker.tolist() == WORKER[:rows]
    assert schedule.delay.tolist() == DELAY[:rows]
    assert schedule.time.tolist() == LOG["time"][:rows]
    return schedule.report


def test_every_format(tmp_path):
    import pandas

    check(Schedule.from_log(LOG))
    check(Schedule.from_log(pandas.DataFrame(LOG)))
    check(Schedule.from_log(pandas.DataFrame(LOG).astype({"worker": "category"})))
    check(Schedule.from_log({name: np.array(column) for name, column in LOG.items()}))
    path = tmp_path / "log"
    for text in (
        HEADING + "".join(LINES),
        "\ufeff" + HEADING.replace("\n", "\r\n") + "".join(LINES).replace("\n", "\r\n"),
        (HEADING + "".join(LINES)).replace(",", ";"),
        (HEADING + "".join(LINES)).replace(",", "\t"),
        (HEADING + "\n" + "\n".join(LINES)).replace("b,", '"b",'),
        "".join(json.dumps({name: column[i] for name, column in LOG.items()}) + "\n" for i in range(4)),
    ):
        path.write_text(text)
        check(Schedule.from_log(path))
        check(Schedule.from_log(str(path)))
    named: Any = {name: f"my {name}" for name in LOG}
    renamed = {f"my {name}": column for name, column in LOG.items()}
    check(Schedule.from_log(renamed, **named))


def test_parquet(tmp_path):
    path = tmp_path / "log.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        path.write_bytes(b"PAR1")
        with pytest.raises(ValueError, match="is a parquet file, and pyarrow is not installed to read it; pip install"):
            Schedule.from_log(path)
        pytest.skip("pyarrow is not installed")
    import pandas

    pandas.DataFrame(LOG).to_parquet(path)
    check(Schedule.from_log(path))
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:20] + bytes(100) + whole[120:], b"PAR1" * 5):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="is damaged"):
            Schedule.from_log(path)


def test_pieces_of_any_size(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({name: column[i] for name, column in LOG.items()}) + "\n" for i in range(4)))
    for rows in (1, 3):
        monkeypatch.setattr(lines, "ROWS", rows)
        check(Schedule.from_log(path))


def test_a_csv_cut_within_its_last_line(tmp_path):
    """Cut at any byte, the last row is taken whole or left out; a time without all its digits is not taken."""
    path = tmp_path / "log.csv"
    digits = [line.replace("\n", "000\n") if i % 3 else line for i, line in enumerate(LINES)]
    digits = [f"{line.rsplit(',', 1)[0]},{LOG['time'][i]:.4f}\n" for i, line in enumerate(digits)]
    text = HEADING + "".join(digits)
    start = len(text) - len(digits[-1])
    for end in range(start + 1, len(text)):
        path.write_text(text[:end])
        schedule = Schedule.from_log(path)
        if end == len(text) - 1:  # all but the line's end
            assert "The last line, 5, has no line end, but all its entries, and was taken." in check(schedule).notes
        else:
            assert check(schedule, rows=3).partial == (f"{path}, line 5",)


def test_json_lines_cut_at_any_byte(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [json.dumps({name: column[i] for name, column in LOG.items()}) + "\n" for i in range(4)]
    for end in range(1, len(rows[-1]) - 1):
        path.write_text("".join(rows[:-1]) + rows[-1][:end])
        assert check(Schedule.from_log(path), rows=3).partial == (f"{path}, line 4",)
    path.write_text("".join(rows[:2]) + rows[2][:9] + "\n" + rows[3])
    with pytest.raises(ValueError, match=r"line 3 is .*, which is no JSON object; mend the line"):
        Schedule.from_log(path)


class Hostile:
    folder = ""

    def __reduce__(self):
        return os.mkdir, (Hostile.folder,)


def test_a_pickle_is_never_loaded(tmp_path):
    Hostile.folder = str(tmp_path / "made")
    path = tmp_path / "log.pkl"
    for protocol in (2, 5):
        path.write_bytes(pickle.dumps(Hostile(), protocol))
        with pytest.raises(ValueError, match="is a pickle, which is never loaded"):
            Schedule.from_log(path)
    np.save(tmp_path / "log.npy", np.array([Hostile()], dtype=object))
    with pytest.raises(ValueError, match="is one NumPy array"):
        Schedule.from_log(tmp_path / "log.npy")
    assert not os.path.exists(Hostile.folder)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "is empty; give the log of a run"),
        ("\n\n", "is empty"),
        (HEADING, "has no rows; give the log of a run that made an update"),
        ("0,0,0,1.0\n", "line 1: '0,0,0,1.0' has no names"),
        ("worker,read,time\na,0,1\n", "no column that is known to be written .* It has worker, read, time"),
        ("read,written\n0,0\n", "no column that is known to be worker .*; say which it is, as in worker='...'"),
        (HEADING + "a,0,0\nb,0,1,2.0\n", "line 2 has 3 entries, but the first line names 4 columns"),
        (HEADING + LINES[0] + "b,x,1,2.0\n", "line 3: read is 'x', but must be a whole number"),
        (HEADING + LINES[0] + "b,0.5,1,2.0\n", r"line 3: read is '0\.5', but must be a whole number"),
        (HEADING + LINES[0] + "b,,1,2.0\n", "line 3: read is missing; leave the row out"),
        (HEADING + LINES[0] + ",0,1,2.0\n", "line 3: worker is missing"),
        (HEADING + LINES[0] + "b,0,1,noon\n", "line 3: time is 'noon', but must be a number or a time of ISO 8601"),
        (HEADING + LINES[0] + "b,0,1,inf\n", "line 3: time is 'inf'"),
        (HEADING + LINES[0] + "b,-1,1,2.0\n", "line 3: read is -1, but versions count from 0"),
        (HEADING + LINES[0] + "b,0,99999999999,2.0\n", "line 3: written is 99999999999, too far from 0"),
        (
            HEADING + LINES[0] + "b,0,9999999,2.0\n",
            "no row wrote version 1 before|written goes over 10,000,000 versions",
        ),
        ("worker,worker,read,written\na,a,0,0\n", "line 1 names the column 'worker' twice"),
        ("[1, 2]\n", "is a JSON array; write one object on each line"),
        ('{"worker": 0, "read": 0, "written": 0}\n[1]\n', "line 2 is .* which is no JSON object"),
        ('{"worker": 0, "read": 0, "written": 0}\n{"worker": 0, "read": 1}\n', "line 2: written is missing"),
        (HEADING + "b" * 2**20 + "\n", "line 2 is longer than 1,048,576 bytes; is it a log"),
    ],
)
def test_broken_files(tmp_path, content, match):
    (tmp_path / "log.csv").write_text(content)
    with pytest.raises(ValueError, match=match):
        Schedule.from_log(tmp_path / "log.csv")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\x1f\x8babc", "is compressed with gzip; unpack it first"),
        (b"PK\x03\x04abc", "is a zip archive; Schedule.load reads"),
        (b"\xff\xfea\0", "is UTF-16 text"),
        (HEADING.encode() + b"\xff,0,0,1.0\n", "line 2 is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_other_files(tmp_path, content, match):
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(ValueError, match=match):
        Schedule.from_log(tmp_path / "log")


def test_what_is_no_log(tmp_path):
    with pytest.raises(FileNotFoundError):
        Schedule.from_log(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"is a folder without the recorder's .jsonl files \(it has nothing\)"):
        Schedule.from_log(tmp_path)
    (tmp_path / "x.jsonl").write_text('{"worker": 0}\n')
    with pytest.raises(ValueError, match=r"x\.jsonl is not of a3cjax\.recorder; a folder is read only if"):
        Schedule.from_log(tmp_path)
    with pytest.raises(ValueError, match="source is a list, but must be a path, a folder, a mapping"):
        Schedule.from_log([1, 2])
    with pytest.raises(ValueError, match=r"columns of different lengths \(worker 2, read 1"):
        Schedule.from_log({"worker": [0, 0], "read": [0]})
    with pytest.raises(ValueError, match="no column 'reed' for read; did you mean 'read'"):
        Schedule.from_log(LOG, read="reed")
    with pytest.raises(ValueError, match="order is 'time', but must be one of 'auto', 'counter', 'clock'"):
        Schedule.from_log(LOG, order="time")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="counts_from is 2, but must be at most 1"):
        Schedule.from_log(LOG, counts_from=2)
    with pytest.raises(ValueError, match="order is 'clock', which needs the columns time and read_time"):
        Schedule.from_log(LOG, order="clock")


def test_a_long_log_leaves_its_times_of_reading_on_the_disk(tmp_path, monkeypatch):
    """Which changes nothing, whatever is asked of them."""
    k = np.arange(400)
    log = {"worker": k % 4, "read": np.maximum(k - 3, 0), "written": k, "time": 1.0 * k, "read_time": k - 3.0}
    path = tmp_path / "log.csv"
    path.write_text(
        ",".join(log) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in zip(*log.values(), strict=True))
    )
    monkeypatch.setattr(gathered, "_SPILL", 10)
    for order in ("counter", "clock"):
        for source in (path, log):  # a table is not spilled
            schedule = Schedule.from_log(source, order=order)
            assert schedule.delay.tolist() == np.minimum(k, 2 if order == "clock" else 3).tolist()
    mixed = [",".join(log) + "\n", *np.random.default_rng(0).permutation(path.read_text().splitlines(True)[1:])]
    path.write_text("".join(mixed))
    assert Schedule.from_log(path, order="clock").delay.tolist() == np.minimum(k, 2).tolist()
    path.write_text("".join([*mixed, mixed[-1]]))
    assert len(Schedule.from_log(path, order="clock", duplicates="drop")) == 400
