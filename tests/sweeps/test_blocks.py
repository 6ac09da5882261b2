"""Blocks of a job whose units are known numbers: files, shards, kills, full disks, damaged files, two at once."""

import dataclasses
import errno
import itertools
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from a3cjax.sweeps import Job, NotKept, Stopped, asked_for, here, in_blocks, sizes
from a3cjax.sweeps.job import Block, cut, gaps_in
from a3cjax.sweeps.store import Store

UNITS = 11


def square(start, stop):
    """Of unit n: n², and three numbers of it."""
    n = np.arange(start, stop)
    return {"square": n**2, "rows": np.stack([n, 10 * n, 100 * n], axis=1).astype(np.float32)}


JOB = Job("sweep", UNITS, {"seed": 0, "learner.step": "abc"}, square, lambda runs: {"rows": 12.0 * runs})
ALL = square(0, UNITS)


def study(job=JOB):
    """As a study asks for its job."""
    blocks = asked_for()
    assert blocks is not None
    return blocks.run(job)


def in_folder(folder, job=JOB, **options):
    """What comes of a study in blocks, or None."""
    found = None
    with in_blocks(folder, progress=False, say=lambda text: SAID.append(text), **options):
        found = study(job)
    return found


SAID: list[str] = []


def counted(calls):
    def make(start, stop):
        calls.extend(range(start, stop))
        return square(start, stop)

    return dataclasses.replace(JOB, make=make)


def check(found):
    assert found.keys() == ALL.keys()
    for name, array in ALL.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_gaps_are_what_no_block_holds():
    """Every pair of blocks of six units, against counting units one by one."""
    blocks = [Block(a, b) for a, b in itertools.combinations(range(7), 2)]
    for pair in itertools.product(blocks, repeat=2):
        there = {n for block in pair for n in range(*block)}
        left = [n for gap in gaps_in(Block(1, 6), pair) for n in range(*gap)]
        assert left == [n for n in range(1, 6) if n not in there]
        assert [n for block in cut(list(gaps_in(Block(1, 6), pair)), 2) for n in range(*block)] == left
        assert all(block.size <= 2 for block in cut(list(gaps_in(Block(1, 6), pair)), 2))


@pytest.mark.parametrize("size", [1, 3, 11, 50])
def test_whatever_the_size_of_a_block_each_unit_is_made_once(size, tmp_path):
    calls = []
    check(in_folder(tmp_path, counted(calls), size=size))
    assert sorted(calls) == list(range(UNITS))
    check(in_folder(tmp_path, counted(calls), size=2))  # all is there
    assert len(calls) == UNITS


def test_shards_in_folders_of_their_own_are_merged(tmp_path):
    for i in (3, 1, 2):
        assert in_folder(tmp_path / str(i), shard=f"{i}/3") is None
    folders = [tmp_path / str(i) for i in (2, 1, 3)]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.npz")}
    check(in_folder(tmp_path, merge=folders))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.npz")} == before
    # Four blocks for each of three shards would be of less than one run; so they are of one: 0, 3, 6, 9 and so on.
    assert [len(list(folder.glob("*.npz"))) for folder in sorted(folders)] == [4, 4, 3]


def test_what_is_missing_is_told_by_name(tmp_path):
    in_folder(tmp_path, shard="1/2", size=3)  # 0 to 2, 6 to 8
    (tmp_path / "runs-00-02.npz").unlink()
    with pytest.raises(ValueError, match=r"^runs 0 to 5, runs 9 to 10 of 11 are missing in .*; make them by the same"):
        in_folder(tmp_path, merge=[tmp_path])


def test_a_stop_loses_the_block_in_hand_alone(tmp_path):
    def stopped(start, stop):
        if start == 4:
            raise KeyboardInterrupt
        return square(start, stop)

    with pytest.raises(Stopped, match=r"^Interrupted; 4 of 11 runs are kept in .*, and the same command goes on"):
        in_folder(tmp_path, dataclasses.replace(JOB, make=stopped), size=2)
    calls = []
    check(in_folder(tmp_path, counted(calls), size=3))  # of another size
    assert sorted(calls) == list(range(4, UNITS))


def test_a_full_disk_is_told_and_loses_nothing_finished(tmp_path, monkeypatch):
    save, left = np.savez, [2]

    def until_full(file, **arrays):
        left[0] -= 1
        if left[0] < 0:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", until_full)
    with pytest.raises(
        NotKept, match="No space left on device; 6 finished runs are kept, and the same command"
    ) as told:
        in_folder(tmp_path, size=3)
    assert told.value.filename == str(tmp_path / "runs-06-08.npz")
    assert sorted(path.name for path in tmp_path.glob("*runs*npz*")) == ["runs-00-02.npz", "runs-03-05.npz"]
    monkeypatch.undo()
    calls = []
    check(in_folder(tmp_path, counted(calls), size=3))
    assert sorted(calls) == list(range(6, UNITS))


def _flip(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-200], _flip, lambda b: b"law,delay\n"])
def test_a_damaged_block_is_told_and_neither_used_nor_deleted(damage, tmp_path):
    in_folder(tmp_path, size=6)
    path = tmp_path / "runs-06-10.npz"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"runs-06-10\.npz is not a block of a sweep \(.*\); delete it, and its runs"):
        in_folder(tmp_path, size=6)
    assert path.read_bytes() == before
    path.unlink()
    check(in_folder(tmp_path, size=6))


def test_a_file_of_another_kind_is_told(tmp_path):
    np.savez(tmp_path / "runs-00-05.npz", square=np.zeros(6))
    with pytest.raises(ValueError, match=r"runs-00-05\.npz is not a block of a sweep \(it holds other arrays\)"):
        in_folder(tmp_path, size=6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": 1, "learner.step": "abc"}, r"another seed \(0, not 1\); finish that one with its own options"),
        ({"seed": 0, "learner.step": "xyz"}, r"another learner\.step; finish that one"),
        ({"seed": 0}, r"another learner\.step; "),
    ],
)
def test_blocks_of_other_options_are_refused(options, sentence, tmp_path):
    in_folder(tmp_path, size=6)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=sentence):
        in_folder(tmp_path, dataclasses.replace(JOB, options=options), size=6)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_at_once_share_the_work(tmp_path):
    """Both begin before either has made a block; each unit is made once, and both have all of them."""
    together, calls, found = threading.Barrier(2), [], []

    def make(start, stop):
        calls.extend(range(start, stop))
        if len(calls) <= 2:
            together.wait(10)  # the other has a block of its own in hand
        return square(start, stop)

    def work():
        store = Store(tmp_path, dataclasses.replace(JOB, make=make))
        with here_report(store) as report:
            here.make_all(store, cut([JOB.whole], 1), report)
        found.append(store.gather())

    others = [threading.Thread(target=work) for _ in range(2)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    assert sorted(calls) == list(range(UNITS))
    assert len(found) == 2
    for each in found:
        check(each)


def here_report(store):
    from a3cjax.sweeps.reports import reporting

    return reporting(store, False)


def test_the_pilot_tells_the_size(tmp_path, monkeypatch):
    """By a clock on which a unit takes half a second, and the first block eight more: ten seconds are twenty units."""
    clock = [0.0]
    monkeypatch.setattr(here.time, "monotonic", lambda: clock[0])

    def make(start, stop):
        clock[0] += 0.5 * (stop - start) + (8 if start == 0 else 0)
        return {"n": np.arange(start, stop)}

    job = dataclasses.replace(JOB, count=100, make=make)
    store = Store(tmp_path, job)
    assert sizes.chosen_size(store, lambda block: here.make(store, block), 10.0, 1) == 20
    assert store.finished() == [Block(0, 12), Block(12, 24)]  # an eighth of the units each
    assert sizes.chosen_size(store, never, 1.0, 1) == 20  # chosen for all who work in this folder
    greedy = dataclasses.replace(job, memory=lambda runs: {"rows": runs * 2.0**60})
    assert sizes.most_units(greedy, 1) == 1  # whatever the machine has
    # Four workers at a time have 76 units left: 19 each.
    assert sizes._size(store, 1e9, 4) == 19


def never(*_):
    raise AssertionError("made again")


def test_a_dry_run_makes_nothing(tmp_path):
    SAID.clear()
    assert in_folder(tmp_path / "none", dry_run=True) is None
    assert not (tmp_path / "none").exists()
    assert SAID[0].splitlines()[0].split() == ["runs", "of", "a", "block", "rows", "MiB", "in", "all"]
    assert SAID[0].endswith("0 of 11 runs are there already.")


def test_what_is_saved_is_removed_and_nothing_else(tmp_path):
    with in_blocks(tmp_path, size=4, progress=False, say=SAID.append) as blocks:
        study()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / ".runs-04-07.npz.0123456789abcdef").write_bytes(b"of a killed process")
    blocks.remove()
    assert os.listdir(tmp_path) == ["mine.txt"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shard": "0/4"}, "shard is '0/4', but must be i/n with i from 1 to n"),
        ({"shard": "5/4"}, "shard is '5/4', but"),
        ({"shard": "1"}, "shard is '1', but"),
        ({"shard": "-1/4"}, "shard is '-1/4', but"),
        ({"on": "slurm"}, "on is 'slurm', but must be one of 'here', 'ray'"),
        ({"address": "10.0.0.1:6379"}, "address has no effect without on='ray'"),
        ({"cores": 2}, "cores has no effect without on='ray'"),
        ({"shard": "1/2", "on": "ray"}, "shard and on='ray' exclude each other"),
        ({"size": 0}, "size is 0, but must be at least 1"),
        ({"seconds": 0.0}, "seconds is 0, but must be greater than 0"),
    ],
)
def test_bad_input_is_a_sentence(options, sentence, tmp_path):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        in_folder(tmp_path, **options)


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    from a3cjax.sweeps import on_ray

    monkeypatch.setattr(on_ray.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"Ray is not installed; pip install 'a3cjax\[ray\]'"):
        in_folder(tmp_path, on="ray")


def test_a_study_that_is_not_made_in_blocks_says_so(tmp_path):
    from a3cjax.studies.frame.beginning import begin

    with pytest.raises(ValueError, match="not made in blocks"), in_blocks(tmp_path):
        begin("Doing it otherwise")
    assert not list(Path(tmp_path).iterdir())
