"""The command: parses its options, calls a study, prints what it found and says where it is kept."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Sequence

import jax
import tyro

from a3cjax.commands import COMMANDS, Command, as_json
from a3cjax.studies import StudyInterrupted

_DONE, _BAD_INPUT, _INTERRUPTED = 0, 2, 130


def main(args: Sequence[str] | None = None) -> int:
    """Run the command with ``args`` (those of the process if not given) and return its exit status.

    0: done. 2: bad input, one sentence on standard error. 130: interrupted; what was done is saved.
    """
    try:
        options = _parse(args)
    except _Refused as error:
        return _refuse(str(error))
    if options is None:
        return _DONE
    try:
        return _run(options)
    except ValueError as error:
        return _refuse(str(error))
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not (isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)):
            raise
        return _refuse("There is not enough memory for this; use fewer updates, states, workers or seeds.")
    except OSError as error:
        return _refuse(f"{error.filename or options.out}: {error.strerror}; choose another --out.")
    except KeyboardInterrupt:
        return _stop("Interrupted before any run had begun; nothing was written.")


def script() -> None:
    """The console script: ``main``, and the end of the process."""
    status = main()
    if status == _INTERRUPTED:
        # What was being computed goes on in XLA's threads, and an orderly exit would pull the ground from under them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


class _Refused(Exception):
    """The options cannot be understood."""


def _parse(args: Sequence[str] | None) -> Command | None:
    """The options, or None if help was asked for (and given)."""
    given = sys.argv[1:] if args is None else args
    command = given[0] if given and not given[0].startswith("-") else None
    if command not in (None, *COMMANDS):
        raise _Refused(f"There is no command {command!r}; a3cjax has {', '.join(COMMANDS)}.")
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog="a3cjax",
                description="What asynchrony does to the advantage actor-critic.",
                args=given,
            )
    except SystemExit as stop:
        if not stop.code:
            return None
        caller = "a3cjax" if command is None else f"a3cjax {command}"
        raise _Refused(_sentence(complaint.getvalue(), caller)) from None


def _sentence(box: str, caller: str) -> str:
    """The complaint in tyro's box, the text between its first two rules, as one line."""
    lines = [line.strip("│ ") for line in box.splitlines()]
    rules = [i for i, line in enumerate(lines) if "─────" in line or "-----" in line] + [len(lines)] * 2
    said = " ".join(lines[rules[0] + 1 : rules[1]]).strip().rstrip(".")
    return f"{said or ' '.join(box.split())}; {caller} --help lists what there is."


def _run(options: Command) -> int:
    began = time.monotonic()
    task, work = options.prepare()
    options.out.mkdir(parents=True, exist_ok=True)  # now, rather than find out when the work is done
    print(f"{task} ...", flush=True)
    try:
        study, stopped = work(), None
    except StudyInterrupted as error:
        study, stopped = error.study, str(error)
    print(f"\n{study.summary()}\n\n{study.table()}\n")
    for note in study.notes():
        print(f"Note: {note}")
    paths = study.save(options.out, as_json(options))
    print(f"Wrote {', '.join(map(str, paths))} after {time.monotonic() - began:.0f} s.")
    return _DONE if stopped is None else _stop(f"{stopped} What was done is in {options.out}.")


def _refuse(sentence: str) -> int:
    print(f"a3cjax: {sentence}", file=sys.stderr)
    return _BAD_INPUT


def _stop(sentence: str) -> int:
    print(f"a3cjax: {sentence}", file=sys.stderr)
    return _INTERRUPTED
