"""Standard output and error as they are: full, closed, narrow, or without the letters that formulas need."""

import codecs
import contextlib
import errno
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

WIDTH = 120  # columns, where no terminal says how many it has

_PLAIN = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "η": "eta", "θ": "theta", "λ": "lambda",
    "μ": "mu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "ψ": "psi", "ω": "omega", "Σ": "sum ",
    "Π": "product ", "∇": "grad ", "×": "x", "·": "*", "–": "-", "—": "-", "−": "-", "…": "...", "≤": "<=", "≥": ">=",
    "±": "+-", "→": "->", "∝": "~", "√": "sqrt ", "‖": "||", "∞": "inf", "⌈": "ceil(", "⌉": ")", "⌊": "floor(",
    "⌋": ")", "²": "^2", "³": "^3", "⁴": "^4", "⁻": "^-", "¹": "1", "ᵀ": "^T", "½": "1/2",
    "\u0302": "_hat", "ū": "u_mean",
}  # fmt: skip


def spell_out_what_is_missing() -> None:
    """Have standard output and error spell out what their encoding lacks: "theta" for θ; see ``plain``."""
    codecs.register_error("a3cjax.plain", _spell_out)
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        if (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") != "utf8":
            with contextlib.suppress(AttributeError, ValueError, OSError):  # not a text file; closed
                stream.reconfigure(errors="a3cjax.plain")


def plain(text: str, encoding: str) -> str:
    """What stands in a file of that encoding for the text.

    >>> plain("θ_0 ≤ 2 × 10²", "ascii"), plain("2 × ☃", "cp1252")
    ('theta_0 <= 2 x 10^2', '2 × \\\\u2603')
    """
    codecs.register_error("a3cjax.plain", _spell_out)
    return text.encode(encoding, "a3cjax.plain").decode(encoding)


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    replaced = ""
    for letter in error.object[error.start : error.end]:
        known = _PLAIN.get(letter, "")
        try:
            known.encode(error.encoding)
        except UnicodeEncodeError:
            known = ""
        replaced += known or letter.encode("ascii", "backslashreplace").decode()
    return replaced, error.end


class Output:
    """Standard output, whose failure costs nothing but what it would have shown.

    After the first failure nothing more is written; ``error`` says what it was.
    """

    def __init__(self) -> None:
        self.error: OSError | None = None

    def say(self, text: str) -> None:
        """Print the text, now."""
        self._attempt(lambda: print(text, flush=True))

    def flush(self) -> None:
        """Have what others printed go out."""
        self._attempt(lambda: sys.stdout.flush())

    def give_up(self, error: OSError) -> None:
        """Write nothing more, because of this."""
        self.error = error
        silence(sys.stdout)

    def _attempt(self, write: Callable[[], Any]) -> None:
        if self.error is not None or sys.stdout is None:
            return
        try:
            write()
        except OSError as error:
            self.give_up(error)
        except ValueError as error:
            if not sys.stdout.closed:
                raise
            self.give_up(OSError(errno.EBADF, str(error)))


def complain(sentence: str) -> None:
    """Say a sentence on standard error, if there is one."""
    if sys.stderr is None:
        return
    try:
        print(f"a3cjax: {sentence}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        silence(sys.stderr)


@contextlib.contextmanager
def meanwhile(what: str) -> Iterator[None]:
    """Within, a line on a terminal's standard error says what is being done; it is wiped out afterwards."""
    if not is_terminal(sys.stderr):
        yield
        return
    with contextlib.suppress(OSError):
        print(f"{what} …", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def is_terminal(stream: Any) -> bool:
    """Whether somebody is looking: no stream at all, a closed one and one that cannot tell are no terminals.

    >>> import io
    >>> is_terminal(None), is_terminal(io.StringIO()), is_terminal(object())
    (False, False, False)
    """
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):  # no such method; closed; gone
        return False


def silence(stream: Any) -> None:
    """Send what a stream still holds, and what is yet to come, nowhere: Python would complain of it at its end."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def wrapped(text: str, indent: str = "") -> str:
    """Every line folded between words to the terminal's width, and to 120 columns at most; words stay whole.

    >>> print(wrapped("one two", "  "))
    one two
    """
    return "\n".join(
        textwrap.fill(
            line, columns(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
            replace_whitespace=False, drop_whitespace=True,
        )
        for line in text.split("\n")
    )  # fmt: skip


def columns() -> int:
    """The width of the terminal that standard output is, or 120; 120 at most and 40 at least."""
    on_terminal = is_terminal(sys.stdout)
    return max(40, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)) if on_terminal else WIDTH
