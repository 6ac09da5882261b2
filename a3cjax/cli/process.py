"""The command: parses its options, calls a study, says where the files are and what was found."""

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import a3cjax
from a3cjax._core import terminal

if TYPE_CHECKING:
    from a3cjax.cli.command import Command, Report

_DONE, _NOT_SHOWN, _NOT_WELL, _BAD_INPUT, _INTERRUPTED, _READER_LEFT = 0, 1, 1, 2, 130, 141

_NOTHING_BEGUN = "Interrupted before any run had begun; nothing was written."


def main(args: Sequence[str] | None = None) -> int:
    """Run the command with ``args`` (those of the process if not given) and return its exit status.

    0: done. 1: done and written, but standard output failed; or the doctor found something to mend. 2: bad input, one
    sentence on standard error. 130: interrupted; what was done is saved. 141: done and written, but whoever read
    standard output had left.
    """
    given = sys.argv[1:] if args is None else list(args)
    output = terminal.Output()
    if "--version" in given:
        output.say(f"a3cjax {a3cjax.__version__}")
        return _status(output)
    try:
        # Here, because it brings JAX, and with it a second or two.
        with terminal.meanwhile("starting"):
            from a3cjax.cli.blocks import MergeOptions, words_given
            from a3cjax.cli.merging import merged
            from a3cjax.cli.parse import Refused, parse
    except KeyboardInterrupt:
        return _stop(_NOTHING_BEGUN)
    try:
        options: Any = parse(given)
        if options is None:  # but help
            output.flush()
            return _status(output)
        words_given.set(given)
    except Refused as error:
        return _refuse(str(error))
    except OSError as error:
        output.give_up(error)
        return _status(output)
    except KeyboardInterrupt:
        return _stop(_NOTHING_BEGUN)
    try:
        return run(merged(options) if isinstance(options, MergeOptions) else options)
    except ValueError as error:  # of blocks that cannot be merged
        return _refuse(str(error))


def script() -> None:
    """The console script: ``main``, and the end of the process."""
    terminal.spell_out_what_is_missing()
    gc.set_threshold(50_000, 20, 20)  # tracing makes many objects and few circles: an eighth of a study's time at first
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    status = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            terminal.silence(stream)
    if status == _INTERRUPTED:
        # What was being computed goes on in XLA's threads, and an orderly exit would pull the ground from under them.
        os._exit(status)
    _end(status)


def run(options: "Command | Report") -> int:
    """Do what a command's options ask for and return the exit status, as ``main`` does."""
    import jax

    from a3cjax import sweeps
    from a3cjax._xla import compilation_cache
    from a3cjax.cli.command import Report
    from a3cjax.cli.naming import as_typed

    if isinstance(options, Report):
        with compilation_cache.of_commands():
            return _say(options)
    try:
        with compilation_cache.of_commands():
            return _run(options)
    except ValueError as error:
        return _refuse(as_typed(str(error), options))
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not (isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)):
            raise
        return _refuse("There is not enough memory for this; use fewer updates, states, workers or seeds.")
    except OSError as error:
        return _refuse(_of_file(error, options))
    except KeyboardInterrupt as error:
        return _stop(str(error) if isinstance(error, sweeps.Stopped) else "Interrupted; nothing was written.")


def _run(options: "Command") -> int:
    from a3cjax.cli.command import as_json
    from a3cjax.engine.host import interruptible
    from a3cjax.studies import StudyInterrupted
    from a3cjax.studies.frame.beginning import announced

    start = time.monotonic()
    output = terminal.Output()
    with contextlib.ExitStack() as stack:
        interrupted: list[Callable[[], bool]] = []

        def begin(task: str) -> None:
            if signal.getsignal(signal.SIGINT) is _leave:  # from now on there is something to keep
                signal.signal(signal.SIGINT, signal.default_int_handler)
            interrupted.append(stack.enter_context(interruptible()))
            _try_folder(options.out)
            output.say(terminal.wrapped(f"{task}\u00a0...").replace("\u00a0", " "))  # no line of three dots
            replaced = _what_is_there(options)
            if replaced:
                output.say(terminal.wrapped(replaced))

        with announced(begin):
            try:
                study, stopped = options.compute(), None
            except StudyInterrupted as error:
                study, stopped = error.study, str(error)
        if study is None:  # but blocks of it, or a look at them
            with contextlib.suppress(OSError):
                options.out.rmdir()  # if it is empty
            return _status(output)
        # First the files, which a reader of standard output that has left, or a full one, must not cost.
        try:
            paths, failed = study.save(options.out, as_json(options)), None
        except OSError as error:
            paths, failed = [], error
        except KeyboardInterrupt:
            return _stop(f"Interrupted while writing; some files in {options.out} may be those of before.")
        _show(study, output)
        if failed is not None:
            raise failed
        names = ", ".join(path.name for path in paths)
        output.say(f"Wrote {names} in {options.out} after {time.monotonic() - start:.0f} s.")
        if stopped is None and any(pressed() for pressed in interrupted):
            stopped = "Interrupted when all was done."
    if stopped is not None:
        return _stop(f"{stopped} What was done is in {options.out}.")
    return _status(output, f"; {names} are in {options.out} all the same")


def _say(options: "Report") -> int:
    output = terminal.Output()
    try:
        well = options.report(output.say)
    except KeyboardInterrupt:
        return _stop("Interrupted.")
    return _status(output) or (_DONE if well else _NOT_WELL)


def _show(study: Any, output: terminal.Output) -> None:
    output.say(f"\n{terminal.wrapped(study.summary())}\n\n{study.table()}\n")
    for note in study.notes():
        output.say(terminal.wrapped(f"Note: {note}", indent="  "))


def _try_folder(folder: Path) -> None:
    """Find out now, rather than when the work is done, whether there can be such a folder.

    It is made again when there is something to put into it: a command that is killed leaves no empty one.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # another command's files came to be in it
        for one in made:
            one.rmdir()


def _what_is_there(options: "Command") -> str:
    """The files that this command will replace, as a sentence; nothing if there are none."""
    there = [options.out / name for name in options.study.file_names() if (options.out / name).is_file()]
    if not there:
        return ""
    latest = time.localtime(max(path.stat().st_mtime for path in there))
    names = ", ".join(path.name for path in there)
    return f"Replacing {names} of {time.strftime('%Y-%m-%d %H:%M', latest)} in {options.out}."


def _of_file(error: OSError, options: "Command") -> str:
    """What went wrong with a file; one of the command's own can lie elsewhere."""
    from a3cjax.sweeps import NotKept

    said = error.strerror or str(error)
    name = error.filename
    if isinstance(error, NotKept):
        return f"{name}: {said}."
    if name is None or str(name).startswith(str(options.out)):
        return f"{name or options.out}: {said}; choose another --out."
    return f"{name}: {said}."


def _leave(number: int, frame: Any) -> None:
    """Ctrl-C before the work begins: at once, for an exception could be lost among imports and callbacks."""
    del number, frame
    terminal.complain(_NOTHING_BEGUN)
    os._exit(_INTERRUPTED)


def _end(status: int) -> NoReturn:
    """The end of the process, without taking it to pieces first: of modules and programs that is most of a second.

    What is registered for the end is called, as in Python's own; which it is where another thread is still at work, or
    somebody watches or goes on: a profiler, a debugger, ``python -i``.
    """
    others = set(threading.enumerate()) - {threading.main_thread()}
    if any(not thread.daemon for thread in others) or _is_watched():
        sys.exit(status)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, it is full, it is closed
            stream.flush()
    os._exit(status)


def _is_watched() -> bool:
    monitoring = getattr(sys, "monitoring", None)  # since Python 3.12
    tools = [] if monitoring is None else [monitoring.get_tool(number) for number in range(6)]
    return bool(sys.flags.interactive or sys.gettrace() or sys.getprofile() or any(tools))


def _status(output: terminal.Output, consolation: str = "") -> int:
    if output.error is None:
        return _DONE
    if isinstance(output.error, BrokenPipeError):  # whoever read has read enough, as head does
        return _READER_LEFT
    terminal.complain(f"Standard output: {output.error.strerror or output.error}{consolation}.")
    return _NOT_SHOWN


def _refuse(sentence: str) -> int:
    terminal.complain(sentence)
    return _BAD_INPUT


def _stop(sentence: str) -> int:
    terminal.complain(sentence)
    return _INTERRUPTED
