"""Streams that are full, closed, read by nobody, narrow or poor in letters."""

import io
import os
import signal
import subprocess
import sys

import pytest

from a3cjax._core import terminal

SCRIPT = "from a3cjax.cli.process import script; script()"
# Ctrl-C while JAX is being imported, which takes half a second at least.
PRESSED = f"import os, signal, threading; threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start(); {SCRIPT}"


def command(code: str, *args: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False, **options)


def test_letters_that_an_encoding_lacks_are_spelt_out():
    assert (
        terminal.plain("‖ω − ω*(θ)‖² ≤ ½ × √τ – §", "ascii") == "||omega - omega*(theta)||^2 <= 1/2 x sqrt tau - \\xa7"
    )
    assert terminal.plain("2 × ∇J – ☃", "cp1252") == "2 × grad J – \\u2603"  # it has × and –
    assert terminal.plain("θ", "utf-8") == "θ"


def test_a_bad_value_is_one_sentence_on_a_terminal_too():
    """Where the parser colours what it says."""
    pty = pytest.importorskip("pty")
    told, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "speedup", "--seeds", "x"], stdout=terminal, stderr=subprocess.PIPE, text=True,
        check=False, env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(terminal)
    os.close(told)
    assert done.returncode == 2
    assert done.stderr == (
        "a3cjax: --seeds is 'x', but must be a whole number; a3cjax speedup --help lists what there is.\n"
    )


def test_help_is_printed_in_any_encoding():
    done = command(SCRIPT, "speedup", "--help", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "J(theta_0)" in done.stdout
    assert "step alpha" in done.stdout


def test_ctrl_c_counts_from_the_first_second():
    done = command(PRESSED, "speedup")
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "a3cjax: Interrupted before any run had begun; nothing was written.\n"


def test_a_command_that_ignores_ctrl_c_goes_on():
    ignored = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {PRESSED}"
    done = command(ignored, "speedup", "--seeds", "x")
    assert done.returncode == 2  # it came to the end
    assert "--seeds is 'x', but must be a whole number" in done.stderr


def test_a_version_needs_no_jax():
    code = (
        f"import sys\ntry:\n    {SCRIPT.replace('; ', chr(10) + '    ')}\nfinally:\n    assert 'jax' not in sys.modules"
    )
    done = command(code, "--version")
    assert (done.returncode, done.stdout) == (0, "a3cjax 0.1.0\n"), done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_standard_output_is_named():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "a3cjax: Standard output: No space left on device.\n"


def test_a_reader_that_has_left_ends_it_without_a_word():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--version"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


class Broken(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error
        self.tries = 0

    def write(self, text):
        self.tries += 1
        raise self.error

    def fileno(self):
        raise OSError


def test_after_its_first_failure_nothing_more_is_written(monkeypatch):
    stream = Broken(BrokenPipeError())
    monkeypatch.setattr(sys, "stdout", stream)
    output = terminal.Output()
    output.say("one")
    tries = stream.tries
    output.say("two")
    assert isinstance(output.error, BrokenPipeError)
    assert stream.tries == tries == 1


@pytest.mark.parametrize("stream", [None, Broken(OSError(28, "full"))])
def test_a_complaint_that_nobody_can_hear_is_no_error(stream, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", stream)
    terminal.complain("Nobody hears this.")
    assert capsys.readouterr().out == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_what_goes_on_is_told_on_a_terminal_alone(monkeypatch):
    for stream, told in ((Terminal(), "starting …"), (io.StringIO(), "")):
        monkeypatch.setattr(sys, "stderr", stream)
        with terminal.meanwhile("starting"):
            assert stream.getvalue() == told
        assert stream.getvalue() == (told and told + "\r\x1b[K")


def test_lines_are_folded_to_120_columns_or_the_terminal(monkeypatch):
    text = " ".join(["word"] * 60) + "\n\n" + "x" * 130
    lines = terminal.wrapped(text).split("\n")
    assert [len(line) for line in lines] == [119, 119, 59, 0, 130]  # 24 words and 23 spaces; a word stays whole

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "60")
    assert [len(line) for line in terminal.wrapped(text).split("\n")] == [59, 59, 59, 59, 59, 0, 130]
