"""Another build of this repository, to be timed beside it."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def revision(name: str) -> Iterator[Path]:
    """The tree of a revision, taken out of git, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        files = subprocess.run(["git", "-C", str(ROOT), "archive", name], stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=files, check=True)
        yield Path(folder)
