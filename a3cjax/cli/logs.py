"""Commands that take the log of a real run."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from a3cjax import studies
from a3cjax.cli.derive import options_of


@dataclasses.dataclass(frozen=True)
class LogOptions(options_of(studies.describe_log, "source")):
    """Say what the log of a real asynchronous run is like: who was how stale, when, and after whom.

    The log is a CSV file, JSON lines or parquet, or a folder that a3cjax.recorder wrote. Prints what was found in it
    and a table, and writes log.csv, log.nc, log.png and run.json.
    """

    file: Annotated[Positional[Path | None], arg(help="Path of the log.", metavar="FILE", help_behavior_hint="")] = None

    def made(self) -> dict[str, Any]:
        """The path."""
        return {"source": self.file}
