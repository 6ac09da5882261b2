"""``python -m a3cjax``: the command."""

from a3cjax.cli import script

if __name__ == "__main__":
    script()
