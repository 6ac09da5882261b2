"""Which column says what: the roles, the names by which they are found, and the sentence if one is not there."""

import difflib
from collections.abc import Mapping, Sequence

from a3cjax.schedules.logs.report import LogError

# In a log of samples, submitted and trained are other words for read and written.
NAMES: dict[str, tuple[str, ...]] = {
    "worker": ("worker", "generator", "worker_id", "actor", "actor_id", "rank"),
    "read": ("read", "version_read", "read_version", "submitted", "version_start", "version_submitted"),
    "written": (
        "written", "version_write", "version_written", "write_version",
        "trained", "version_consumed", "version_trained",
    ),
    "time": ("ns", "t_write", "time", "write_time", "t_consumed", "t_trained", "timestamp", "t"),
    "read_time": ("read_ns", "t_read", "read_time", "t_start", "t_submitted"),
    "ready_time": ("ready_ns", "t_grad", "ready_time"),
    "done": ("done", "version_end", "version_done"),
    "taken": ("taken", "version_got", "version_taken"),
    "taken_time": ("t_got", "taken_time", "t_taken"),
    "dropped": ("dropped",),
}  # fmt: skip
OF_SAMPLES = ("trained", "version_consumed", "version_trained")
# These are looked for only in a log of samples.
_SAMPLES_ONLY = ("done", "taken", "taken_time", "dropped")


def resolve(names: Sequence[str], given: Mapping[str, str | None], source: str) -> dict[str, str]:
    """The column of each role: as given, or by its usual name.

    Raises:
        LogError: if a column that was given is not there.
    """
    roles = {}
    for role, name in given.items():
        if name is None:
            continue
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=1)
            perhaps = f"did you mean {close[0]!r}? " if close else ""
            raise LogError(f"{source} has no column {name!r} for {role}; {perhaps}It has {listed(names)}.")
        roles[role] = name
    for role, usual in NAMES.items():
        if role not in roles and given.get(role) is None:
            found = next((name for name in usual if name in names and name not in roles.values()), None)
            if found is not None:
                roles[role] = found
    if not of_samples(roles, given):
        roles = {role: name for role, name in roles.items() if role not in _SAMPLES_ONLY or given.get(role)}
    return roles


def of_samples(roles: Mapping[str, str], given: Mapping[str, str | None]) -> bool:
    """Whether the rows are a pipeline's samples, of which several may make one update."""
    asked = any(given.get(role) for role in _SAMPLES_ONLY)
    return asked or roles.get("written") in OF_SAMPLES


def need(role: str, why: str, roles: Mapping[str, str], names: Sequence[str], source: str) -> None:
    """Refuse a log without a column for ``role``."""
    if role in roles:
        return
    raise LogError(
        f"{source} has no column that is known to be {role} ({why}); say which it is, as in {role}='...'. "
        f"It has {listed(names)}."
    )


def listed(names: Sequence[str]) -> str:
    """The columns that there are."""
    shown = ", ".join(map(str, names[:30]))
    return f"{shown}{f' and {len(names) - 30} more' if len(names) > 30 else ''}" if names else "none"
