"""What moves on standard error while something takes long, and is gone in the end.

Imported where one is shown: rich takes time to import, and where nobody looks nothing is.
"""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)


def bar_of_share() -> Progress:
    """What is being done, which share of it is, and how long the rest will take."""
    return _display(BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())


def bar_of_count() -> Progress:
    """What is being done, and how many parts of how many are."""
    return _display(BarColumn(), MofNCompleteColumn())


def dots() -> Progress:
    """What is being done."""
    return _display(SpinnerColumn("simpleDots"))


def _display(*columns: ProgressColumn) -> Progress:
    return Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True), transient=True)
