"""Another library, if it is installed, in a version that its adapter knows."""

import importlib
import importlib.metadata
import warnings
from typing import Any, NamedTuple

from a3cjax._core import check


class Library(NamedTuple):
    """What is imported for an adapter: the module, the extra that installs it, and the version it was written for."""

    module: str
    extra: str
    known: str  # major and minor, "1.0"
    oldest: str  # before, it cannot work
    note: str = ""  # what to know when installing it

    def load(self, adapter: str) -> Any:
        """The module.

        Raises:
            ValueError: if it is not installed, or too old.

        Warns:
            UserWarning: if its version is not the one that is known.
        """
        install = f"pip install 'a3cjax[{self.extra}]'{self.note}"
        try:
            module = importlib.import_module(self.module)
        except ImportError as error:
            raise ValueError(
                f"{adapter} needs {self.module}, which cannot be imported ({error}); install it with {install}."
            ) from error
        version = importlib.metadata.version(self.module)
        if _numbers(version) < _numbers(self.oldest):
            raise ValueError(
                f"{adapter} needs {self.module} {self.oldest} or later, but {version} is installed, whose step is "
                f"another; install {self.known} with {install}."
            )
        if _numbers(version)[:2] != _numbers(self.known):
            warnings.warn(
                f"{adapter} was written for {self.module} {self.known}, and {version} is installed: what it returns "
                f"may mean something else now. Look with a3cjax.testing.check_environment, or install {self.known}.",
                stacklevel=check.level_of_caller(),
            )
        return module


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version."""
    numbers = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
