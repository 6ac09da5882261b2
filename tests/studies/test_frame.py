"""What studies share: the layout of a dataset, rows from it, records put in their place, and what Ctrl-C keeps."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import a3cjax
from a3cjax._core.statistics import Mean
from a3cjax.studies import Study, StudyInterrupted
from a3cjax.studies.frame.kept import Kept
from a3cjax.studies.frame.layout import SEED, UPDATES, WORKERS, Layout, Var, lost_from
from a3cjax.studies.frame.rows import column, make_rows, row_columns, rows_text, table_row, with_ends
from a3cjax.studies.frame.runs import distinct, distinct_samplings, kept_on_interrupt, put_runs

LAYOUT = Layout(
    "Some curves",
    coordinates={"workers": WORKERS, "seed": SEED, "updates": UPDATES},
    variables={
        "value": Var("workers seed record", "a value", "reward", np.nan),
        "nonfinite_from": lost_from("workers seed"),
        "later": Var("workers", "known later", "1"),
    },
)


def curves():
    return LAYOUT.dataset({"workers": (1, 4), "seed": 2, "updates": [0, 10, 20, 30]}, answer=42)


def test_a_layout_fills_what_is_not_given_and_leaves_out_what_comes_later():
    made = curves()
    assert dict(made.sizes) == {"workers": 2, "seed": 2, "record": 4}
    assert made.seed.values.tolist() == [0, 1]
    assert np.isnan(made.value.values).all()
    assert (made.nonfinite_from.values == -1).all()
    assert made.nonfinite_from.dtype == np.int64
    assert made.value.attrs == {"long_name": "a value", "units": "reward"}
    assert made.attrs == {"title": "Some curves", "answer": 42}
    assert "later" not in made
    assert LAYOUT.add(made, later=[0.5, 1.0]).later.attrs["long_name"] == "known later"


def result(values, updates, lost):
    return SimpleNamespace(
        metrics={"value": np.asarray(values)}, updates=np.asarray(updates), nonfinite_from=np.array(lost)
    )


def test_records_are_put_in_their_place_and_nothing_is_said_after_a_run_was_lost():
    made = curves()
    made.value.values[..., 0] = 7
    part: Any = result([[1.0, 2.0], [3.0, 4.0]], [10, 20], [-1, 20])
    put_runs(made, 1, part, ("value",))
    np.testing.assert_array_equal(made.value.values[1], [[7, 1, 2, np.nan], [7, 3, np.nan, np.nan]])
    assert np.isnan(made.value.values[0, :, 1:]).all()  # the other N is left alone
    assert made.nonfinite_from.values.tolist() == [[-1, -1], [-1, 20]]


def test_rows_take_from_the_dataset_what_is_not_given():
    @table_row
    class Row:
        seed: int = column("seed", at=1)
        workers: int = column("N")
        time: float
        time_low: float = column("{percent}", ".1f", to="time_high")
        time_high: float

    mean = Mean(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2)), np.full((2, 2), np.nan))
    rows = make_rows(Row, curves(), "workers seed", **with_ends("time", mean))
    assert [(row.workers, row.seed, row.time) for row in rows] == [(1, 0, 1.0), (1, 1, 2.0), (4, 0, 3.0), (4, 1, 4.0)]
    assert all(type(row.workers) is int and type(row.time) is float for row in rows)
    header, first, *_ = rows_text(rows, row_columns(Row, percent="95 %")).splitlines()
    assert header.split() == ["N", "95", "%", "seed"]
    assert first.split() == ["1", "–", "0"]  # no interval without its upper end


class Nothing(Study):
    name = "nothing"

    def summary(self):
        return "Nothing."

    def figure(self):
        raise NotImplementedError


def test_ctrl_c_keeps_a_study_unless_there_is_nothing_to_keep():
    kept = Nothing(curves(), (), interrupted=True)
    said = "Interrupted here."
    with pytest.raises(StudyInterrupted, match=said) as caught, kept_on_interrupt(lambda: kept, said):
        raise KeyboardInterrupt
    assert caught.value.study is kept
    nothing = kept_on_interrupt(lambda: kept, said, nothing_yet=lambda: True)
    with pytest.raises(KeyboardInterrupt) as plain, nothing:
        raise KeyboardInterrupt
    assert not isinstance(plain.value, StudyInterrupted)
    some: Any = result([[]], [], [-1])
    something = kept_on_interrupt(lambda: kept, said, nothing_yet=lambda: True)
    with pytest.raises(StudyInterrupted), something:  # these runs have brought something themselves
        raise a3cjax.Interrupted("stopped", some)


def test_lists_of_options_are_refused_if_empty_or_with_one_twice():
    assert distinct_samplings(["markov"]) == ("markov",)
    for given in ([], ["iid", "iid"]):
        with pytest.raises(ValueError, match=r"give one or more of \['iid', 'markov'\], each once"):
            distinct_samplings(given)
    with pytest.raises(ValueError, match=r"^laws is \['a', 'a'\]; give one or more, each once\.$"):
        distinct("laws", ["a", "a"])


def test_two_studies_cannot_be_kept_in_one_folder_at_once(tmp_path):
    first, second = (Kept(tmp_path / "out/kept", {"seed": seed}, "sweep") for seed in (0, 1))
    with first.alone():
        first.save({"n": np.arange(3)})
        with (
            pytest.raises(ValueError, match=r"^Another process is at work on the sweep in .*out; wait"),
            second.alone(),
        ):
            raise AssertionError("never here")
    with first.alone():
        assert list(first.load("n")[0]) == ["n"]
    first.remove()
    with second.alone():
        pass
    assert not (tmp_path / "out/kept").exists()


def test_an_option_that_is_not_a_number_is_itself(tmp_path):
    Kept(tmp_path, {"optimum": float("nan")}, "sweep").save({"n": np.arange(3)})
    assert list(Kept(tmp_path, {"optimum": float("nan")}, "sweep").load("n")[0]) == ["n"]


def test_what_another_version_kept_is_refused(tmp_path, monkeypatch):
    Kept(tmp_path, {"seed": 0}, "sweep").save({"n": np.arange(3)})
    monkeypatch.setattr("a3cjax.studies.frame.kept.versions", lambda: {"numpy": "0.1"})
    with pytest.raises(ValueError, match=r"unsaved sweep with another versions \(.*, not \{\"numpy\": \"0.1\"\}\)"):
        Kept(tmp_path, {"seed": 0}, "sweep").load("n")
