"""Programs that the next process finds: what is believed, what is taken away, where they are."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import a3cjax
from a3cjax._xla import compilation_cache as cache

# A process that compiles one program, and says whether JAX found it and what it gives.
PROGRAM = """
import json, sys
import jax, jax.monitoring
import a3cjax
found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event))
folder = a3cjax.compilation_cache(sys.argv[1])
value = jax.jit(lambda x: (x * 1.5).sum())(jax.numpy.arange(7.0))
print(json.dumps({"folder": str(folder), "value": float(value), "hits": sum("cache_hits" in e for e in found)}))
"""


def process(folder: Path) -> dict:
    """What that process says; its standard error must be empty."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "PYTHONWARN"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        capture_output=True, text=True, check=True, env=environment, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_a_second_process_finds_what_the_first_has_compiled_and_mends_what_is_broken(tmp_path):
    # 1.5 (0 + 1 + … + 6) = 31.5
    first, second = process(tmp_path), process(tmp_path)
    assert (first["hits"], first["value"]) == (0, 31.5)
    assert second["hits"] > 0
    assert second["value"] == 31.5
    entries = list(Path(first["folder"]).glob("*-cache"))
    before = {entry: entry.read_bytes() for entry in entries}
    for entry in entries[::2]:
        entry.write_bytes(entry.read_bytes()[:-9])  # a process was killed as it wrote
    for entry in entries[1::2]:
        entry.write_bytes(b"not a program")
    third = process(tmp_path)
    assert (third["hits"], third["value"]) == (0, 31.5)
    assert set(before) == set(Path(first["folder"]).glob("*-cache"))
    assert process(tmp_path)["hits"] == second["hits"]


def entry(folder, name, content=b"program", *, signed=True, age=0):
    made = folder / f"{name}-cache"
    made.write_bytes(content)
    if signed:
        (folder / f"{name}-cache.crc32").write_text(f"{zlib.crc32(content):08x}")
    os.utime(made, (10**9 - age, 10**9 - age))
    return made


def test_only_whole_entries_stay(tmp_path):
    whole, unsigned = entry(tmp_path, "whole"), entry(tmp_path, "unsigned", signed=False)
    flipped = entry(tmp_path, "flipped")
    flipped.write_bytes(b"prograM")
    cache.tidy(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["whole-cache", "whole-cache.crc32"]
    assert not unsigned.exists()
    assert whole.read_bytes() == b"program"


def test_signing_leaves_what_is_signed(tmp_path):
    broken, fresh = entry(tmp_path, "broken"), entry(tmp_path, "fresh", signed=False)
    broken.write_bytes(b"something else")
    cache.sign(tmp_path)
    cache.tidy(tmp_path)
    assert not broken.exists()  # signing again would have made it whole
    assert fresh.exists()


def test_the_oldest_go_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_MOST_BYTES", 25)
    made = [entry(tmp_path, f"entry{i}", b"ten bytes.", age=100 * i) for i in range(4)]
    cache.tidy(tmp_path)
    assert [path.exists() for path in made] == [True, True, False, False]


def test_another_processor_has_a_folder_of_its_own(monkeypatch):
    here = cache.machine()
    monkeypatch.setattr("platform.processor", lambda: "another")
    assert cache.machine() != here


@pytest.fixture
def untouched(monkeypatch):
    """JAX's own settings, recorded instead of made."""
    import jax

    told = {}
    monkeypatch.setattr(jax.config, "update", told.__setitem__)
    monkeypatch.setattr(type(jax.config), "jax_compilation_cache_dir", None, raising=False)
    monkeypatch.setattr("atexit.register", lambda *_: None)
    return told


@pytest.mark.parametrize(("switch", "kept"), [("off", None), ("0", None), ("", None), ("here", "here"), (None, "home")])
def test_the_switch_of_commands(switch, kept, tmp_path, monkeypatch, untouched):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cache.SWITCH, raising=False)
    if switch is not None:
        monkeypatch.setenv(cache.SWITCH, switch)
    with cache.of_commands():
        told = untouched.get("jax_compilation_cache_dir")
    if kept is None:
        assert told is None
    else:
        assert Path(told).is_relative_to("here" if kept == "here" else tmp_path / "home" / "a3cjax")


def test_a_folder_that_cannot_be_made_is_told_and_done_without(tmp_path, monkeypatch, untouched, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.SWITCH, str(tmp_path / "file"))
    with cache.of_commands():
        assert not untouched
    assert "A3CJAX_CACHE" in capsys.readouterr().err
    with pytest.raises(OSError, match="file"):
        a3cjax.compilation_cache(tmp_path / "file")
