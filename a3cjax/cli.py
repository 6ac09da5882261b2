"""The command: parses its options, calls a study, prints what it found and says where it is kept."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Sequence

import jax
import tyro

from a3cjax import studies
from a3cjax._options import SpeedupOptions

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
    # One CPU device for each core, so that batches are spread over all. Only possible before jax is first used, and
    # not if JAX_NUM_CPU_DEVICES says otherwise.
    if jax.config.values["jax_num_cpu_devices"] < 0:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    try:
        return _speedup(options)
    except ValueError as error:
        return _refuse(str(error))
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


def _parse(args: Sequence[str] | None) -> SpeedupOptions | None:
    """The options, or None if help was asked for (and given)."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.extras.subcommand_cli_from_dict(
                {"speedup": SpeedupOptions},
                prog="a3cjax",
                description="What asynchrony does to the advantage actor-critic.",
                args=args,
            )
    except SystemExit as stop:
        if not stop.code:
            return None
        raise _Refused(_sentence(complaint.getvalue())) from None


def _sentence(box: str) -> str:
    """The complaint in tyro's box, the text between its first two rules, as one line."""
    lines = [line.strip("│ ") for line in box.splitlines()]
    rules = [i for i, line in enumerate(lines) if "─────" in line or "-----" in line] + [len(lines)] * 2
    said = " ".join(lines[rules[0] + 1 : rules[1]]).strip().rstrip(".")
    return f"{said or ' '.join(box.split())}; a3cjax speedup --help lists the options."


def _speedup(options: SpeedupOptions) -> int:
    began = time.monotonic()
    learner, team = options.build_learner(), options.build_team()
    samplings = studies.SAMPLING if options.sampling == "both" else (options.sampling,)
    options.out.mkdir(parents=True, exist_ok=True)  # now, rather than find out when the work is done
    counts = ", ".join(map(str, options.workers))
    print(
        f"Simulating {options.seeds} seeds × N = {counts} workers × {options.updates:,} updates, "
        f"{' and '.join(samplings)} sampling, on {jax.local_device_count()} "
        f"device{'s' * (jax.local_device_count() > 1)} ...",
        flush=True,
    )
    try:
        study = studies.speedup(
            learner,
            workers=options.workers,
            sampling=samplings,
            seeds=options.seeds,
            num_updates=options.updates,
            target=options.target,
            compute_times=team,
            record_every=options.record_every,
            seed=options.seed,
        )
    except studies.SpeedupInterrupted as error:
        study, stopped = error.study, str(error)
    else:
        stopped = None
    print(f"\n{study.summary()}\n\n{study.table()}\n")
    for note in study.notes():
        print(f"Note: {note}")
    paths = study.save(options.out, options.as_json())
    print(f"Wrote {', '.join(map(str, paths))} after {time.monotonic() - began:.0f} s.")
    return _DONE if stopped is None else _stop(f"{stopped} What was done is in {options.out}.")


def _refuse(sentence: str) -> int:
    print(f"a3cjax: {sentence}", file=sys.stderr)
    return _BAD_INPUT


def _stop(sentence: str) -> int:
    print(f"a3cjax: {sentence}", file=sys.stderr)
    return _INTERRUPTED
