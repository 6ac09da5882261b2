"""Text as wide as a page: studies' widest rows stay within 120 columns."""

import dataclasses

import xarray as xr

from a3cjax.studies import RegularisationRow, RegularisationStudy
from a3cjax.studies.frame import tables


def test_a_table_that_would_be_wider_stands_closer():
    wide = tables.text_table(["x" * 60, "y" * 58], [["1", "2"]])
    assert [len(line) for line in wide.split("\n")] == [120, 120]  # 60 + 2 + 58
    closer = tables.text_table(["x" * 60, "y" * 59], [["1", "2"]])
    assert [len(line) for line in closer.split("\n")] == [120, 120]  # 60 + 1 + 59


def test_the_widest_row_of_regularisation_fits():
    numbers = [field.name for field in dataclasses.fields(RegularisationRow) if field.name != "prior"]
    row = RegularisationRow("informed", **dict.fromkeys(numbers, 0.0123456))
    text = RegularisationStudy(xr.Dataset(), (row,)).table()
    assert "0.0123 to 0.0123" in text
    assert max(map(len, text.split("\n"))) <= 120
