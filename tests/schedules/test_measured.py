"""What is a file of values, and what is refused with the number of its line."""

import gzip
import io
import pickle
from typing import Any

import numpy as np
import pytest

import a3cjax
from a3cjax.schedules._measured import read_measured

Delays: Any = a3cjax.delays.Empirical
Times: Any = a3cjax.compute_times.Empirical


def bytes_of(save, *arguments):
    file = io.BytesIO()
    save(file, *arguments)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"0\n3\n5\n", [0, 3, 5]),
        (b"\xef\xbb\xbf0\n3\n5", [0, 3, 5]),  # a byte-order mark
        (b"\xef\xbb\xbfdelay\n0\n3\n5", [0, 3, 5]),
        (b"delay [updates]\r\n0\r\n3\r\n5\r\n", [0, 3, 5]),
        (b"0\r3\r5", [0, 3, 5]),
        (b"\n\n# measured on Monday\n\ndelay\n\n0 \n\t3 # slow\n\n 5\n\n", [0, 3, 5]),
        ('"Verzögerung, in Schritten"\n"0"\n"3"\n"5"\n'.encode(), [0, 3, 5]),
        (b"0 3\t5", [0, 3, 5]),  # the only line
        (b"# all of them\n 0  3 5 \n", [0, 3, 5]),
        (b"0, 3, 5", [0, 3, 5]),
        (b"0.0,3.,5.0", [0, 3, 5]),
        (b"7", [7]),
        (b"+1e1\n2.\n.5e1\n4.0\n", [10, 2, 5, 4]),
        (b"name\n7", [7]),
        (bytes_of(np.save, np.array([0, 3, 5], np.uint8)), [0, 3, 5]),
        (bytes_of(np.savetxt, np.array([0, 3, 5])), [0, 3, 5]),
    ],
)
def test_values_in_their_order(content, values, tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(content)
    np.testing.assert_array_equal(Delays(path).values, values)
    np.testing.assert_array_equal(a3cjax.delays.Cyclic(str(path)).values, values)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        # What pandas writes of the delays 3 and 5 with their index, and what else has a second column.
        (b",0\n0,3\n1,5\n", r"line 1: ',0' has a comma or semicolon; give one column, .*to_csv\(index=False\)"),
        (b",delay\n0,3\n1,5\n", "line 1: ',delay' has a comma"),
        (b"k,delay\n0,3\n1,5\n", "line 1: 'k,delay' has a comma"),
        (b"0,3\n1,5\n", "line 1: '0,3' has a comma"),
        (b"3,\n5,\n", "line 1: '3,' has a comma"),
        (b"k\tdelay\n0\t3\n", "line 1: 'k.tdelay' holds several entries"),
        (b"k delay\n0 3\n", "line 2: '0 3' holds several entries, but there are other lines"),
        (b"0 3\n1 5\n", "line 1: '0 3' holds several entries"),
        (b'"0 3"\n', "line 1: '\"0 3\"' holds several"),
        # A first value that is no number is not a heading.
        (b"NA\n3\n", "line 1: 'NA' is not a number"),
        (b"nan\n3\n", "line 1: 'nan' is not a number"),
        (b"\xef\xbb\xbfNA\n3\n", "line 1: 'NA' is not a number"),
        (b"5ms\n3\n", "line 1: '5ms' is not a number"),
        (b"0x5\n3\n", "line 1: '0x5' is not a number"),
        (b"0;5\n3\n", "line 1: '0;5' has a comma or semicolon"),
        (b"1,5", "line 1: '1,5' has a comma or semicolon; give one column, with points in decimals"),
        (b"1,234.5", "line 1: '1,234.5' has a comma"),
        (b"1.5,2", "line 1: '1.5,2' has a comma"),
        (b"0,2,1", "line 1: '0,2,1' has a comma"),
        (b"1, 5,", "line 1: '5,' has a comma"),
        (b"1, 5\n2, 6\n", "line 1: '1, 5' has a comma"),
        (b"-\n3\n", "line 1: '-' is not a number"),
        # Nor is anything further down.
        (b"delay\ndelay\n3\n", "line 2: 'delay' is not a number"),
        (b"delay\r\n3\r\n\r\n-inf\r\n", "line 4: '-inf' is not a number"),
        (b'3\n""\n', "line 2: '\"\"' is not a number"),
        (b"3\n#N/A\n5\n", "line 2: '#N/A' is not a number"),
        (b"3\n1_000\n", "line 2: '1_000' is not a number"),
        ("3\n1\u00a0000\n".encode(), "line 2: .* holds several entries"),
        ("3\n\u0663\n".encode(), "line 2: '\u0663' is not a number"),  # an Arabic three
        (b"3\n1e999\n", "line 2: '1e999' is too large a number"),
        (b"3\n" + b"x" * 99, r"line 2: 'x{37}\.\.\.' is not a number"),
        # Values that will not do.
        (b"delay\n3\n\n-2\n", "line 4: the value is -2.0, but must be at least 0"),
        (b"# of Monday\n3\n2.5\n", "line 3: the value is 2.5, but must be a whole number"),
        (b"3\n3000000000\n", "line 2: the value is 3000000000.0, but must be at most 2147483647"),
        (bytes_of(np.save, np.array([3, np.nan])), "entry 1: the value is nan; every entry must be a finite"),
        # Other files.
        (b"", r"d\.csv holds no numbers; give one on each line"),
        (b"delay\n# 3\n", r"d\.csv holds no numbers"),
        ("3\n5\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("3\n5\n".encode("utf-16-be"), "holds zero bytes"),
        ("3\n5\nVerzögert\n".encode("cp1252"), "line 3: byte 8 is not UTF-8 text"),
        (gzip.compress(b"3\n5\n", mtime=0), "is compressed with gzip; unpack it first"),
        (bytes_of(np.savez, np.arange(3)), r"is a zip archive, as \.npz and \.xlsx files are"),
        (pickle.dumps([3, 5]), "is not UTF-8 text"),
        (bytes_of(np.save, np.array([3, 5]))[:-3], "does not hold a whole array of numbers"),
        (bytes_of(np.save, np.array([3, None])), "does not hold a whole array of numbers"),
        (bytes_of(np.save, np.array([3j])), "holds complex128, not numbers"),
        (bytes_of(np.save, np.eye(2)), r"values has shape \(2, 2\)"),
    ],
)
def test_everything_else_is_refused_with_its_line(content, sentence, tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        Delays(path)


def test_times_are_positive_and_named_by_their_line(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("seconds\n0.5\n0\n")
    with pytest.raises(ValueError, match=r"t\.txt, line 3: the value is 0, but must be greater than 0"):
        Times(path)


def test_what_is_no_file_is_told(tmp_path):
    with pytest.raises(ValueError, match="is a folder; give a file of numbers"):
        Delays(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing"):
        Delays(tmp_path / "nothing")
    (tmp_path / "d.npy").write_text("3\n")
    with pytest.raises(ValueError, match=r"d\.npy is not what np\.save writes"):
        Delays(tmp_path / "d.npy")


def test_any_list_that_python_writes_is_read_back(tmp_path):
    """Against ``repr``, which gives every float's shortest name."""
    values = np.random.default_rng(0).lognormal(sigma=30, size=500).tolist()
    for text in ("\n".join(map(repr, values)), " ".join(map(repr, values)), "\n".join(f"{x:.17e}" for x in values)):
        (tmp_path / "t").write_text(text)
        assert read_measured(tmp_path / "t").values.tolist() == values
