"""The command ``a3cjax``: options, sentences, exit statuses; what it computes is the studies' matter."""

from a3cjax.cli.process import main, script

__all__ = ["main", "script"]
