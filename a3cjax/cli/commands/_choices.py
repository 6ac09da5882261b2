"""Options that belong to one choice of another option only."""

from typing import Any


def own_options(given: Any, option: str, choice: str, table: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What ``choice`` takes according to ``table``; an option that belongs to another choice only is refused."""
    for name in sorted({name for options in table.values() for name in options}):
        if getattr(given, name) is not None and name not in table[choice]:
            owners = [other for other, options in table.items() if name in options]
            raise ValueError(
                f"--{name.replace('_', '-')} has no effect with {option} {choice}; leave it out or choose "
                f"{option} {' or '.join(owners)}."
            )
    return {
        name: default if getattr(given, name) is None else getattr(given, name)
        for name, default in table[choice].items()
    }
