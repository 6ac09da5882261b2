"""Files that are there whole or not at all, with the mode and the links that a user expects; archives that lie."""

import errno
import os
import stat
import zipfile
from typing import Any

import numpy as np
import pytest

import a3cjax
from a3cjax._core import files


def save_schedule(path):
    a3cjax.Schedule.sequential(3).save(path)


def save_state(path):
    leaf: Any = np.zeros((1, 2))
    state = a3cjax.SavedState((leaf,), updates=3, history="ring", depth=1)
    state.save(path)


def save_text(path):
    files.write_whole(path, lambda file: file.write(b"new"))


@pytest.fixture
def umask():
    before = os.umask(0)
    os.umask(before)
    yield os.umask
    os.umask(before)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("save", [save_schedule, save_state, save_text])
def test_a_new_file_has_the_mode_that_the_umask_allows_and_an_old_one_keeps_its_own(save, tmp_path, umask):
    """0666 without the bits of the umask: 027 leaves rw-r-----, 002 leaves rw-rw-r--."""
    for mask, mode in ((0o027, 0o640), (0o002, 0o664)):
        umask(mask)
        save(tmp_path / f"{mask}.npz")
        assert mode_of(tmp_path / f"{mask}.npz") == mode
    kept = tmp_path / "2.npz"
    kept.chmod(0o604)
    save(kept)
    assert mode_of(kept) == 0o604
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("save", [save_schedule, save_state, save_text])
def test_a_link_stays_and_what_it_points_to_is_written(save, tmp_path):
    (tmp_path / "far").mkdir()
    link, target = tmp_path / "link.npz", tmp_path / "far" / "file.npz"
    link.symlink_to("far/file.npz")
    for _ in range(2):  # a link to nothing, then to a file
        save(link)
        assert link.is_symlink()
        assert target.stat().st_size > 0
        assert not target.is_symlink()
    assert os.listdir(tmp_path / "far") == ["file.npz"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
def test_whatever_ends_a_write_leaves_the_old_file_and_nothing_else(error, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)) as caught:
        files.write_whole(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
    if isinstance(caught.value, OSError):
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))


def test_what_cannot_be_written_is_named_and_not_the_file_beside_it(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere: '.*nowhere/file'"):
        save_text(tmp_path / "nowhere" / "file")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        save_text(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    (tmp_path / "file").write_text("old")
    with pytest.raises(PermissionError, match=r"It may not be overwritten: '.*/file'"):
        save_text(tmp_path / "file")
    monkeypatch.undo()

    def closed(path, mode):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(files, "open", closed, raising=False)
    with pytest.raises(PermissionError, match=r"its folder must allow that: '.*/file'"):
        save_text(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "old"


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    save_schedule("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '.*/full'"):
        save_text(full)
    assert os.listdir(tmp_path) == ["full"]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    said = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (said.append("sync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (said.append("replace"), replace(*names)))
    save_text(tmp_path / "file")
    assert said == ["sync", "replace", "sync"]


# ------------------------------------------------------------------------------------------------------------ archives


def read(path):
    return files.read_arrays(path, "a test", "give a test")


def test_an_archive_gives_its_arrays_back(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.eye(3)[:2]), "none": np.zeros((0, 4)),
              "one": np.array(7), "text": np.array("θ"), "empty": np.array("")}  # fmt: skip
    with open(tmp_path / "file", "wb") as file:
        np.savez(file, **arrays)
    again = read(tmp_path / "file")
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype


def test_an_archive_cut_anywhere_is_refused_and_a_changed_one_never_read_as_another(tmp_path):
    """Every length but the whole; every 7th byte changed: then the sentence, or the very same arrays."""
    path = tmp_path / "file"
    with open(path, "wb") as file:
        np.savez(file, a=np.arange(8), b=np.array("text"))
    whole = path.read_bytes()
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"file is not a test \(.+\); give a test\."):
            read(path)
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        sentence, again = None, {}
        try:
            again = read(path)
        except ValueError as error:
            sentence = str(error)
        if sentence is None:
            np.testing.assert_array_equal(again.get("a", np.arange(8)), np.arange(8))
        else:
            assert sentence.startswith(f"{path} is not a test (")


def test_sizes_are_compared_before_anything_is_allocated(tmp_path):
    """A header that declares 10¹² numbers before 8 bytes of them."""
    path = tmp_path / "file"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8))
    with pytest.raises(
        ValueError, match=r"a.npy says that it has shape \(1000000000000,\) of float64, but has 8 bytes"
    ):
        read(path)
    np.savez_compressed(path, a=np.zeros(10**6))
    with pytest.raises(ValueError, match=r"a\.npy is compressed"):
        read(path.with_suffix(".npz"))
    with zipfile.ZipFile(path, "w") as archive:  # the same bytes, told of twice
        archive.writestr("a.npy", bytes(1000))
        archive.filelist.append(archive.filelist[0])
    with pytest.raises(ValueError, match="it declares more than it holds"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"worker,delay\n", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=r"file is not a test \(it is"):
        read(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
