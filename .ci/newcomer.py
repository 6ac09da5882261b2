"""What a newcomer does, timed: install the package, run the README's example, the demo and the doctor.

    python3 .ci/newcomer.py

In a fresh environment in a temporary folder, which is removed, with the newest of what the package needs. Anything that
fails ends it with that command's output and status 1.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Take the steps, and print how long each took."""
    with tempfile.TemporaryDirectory(prefix="a3cjax-newcomer-") as name:
        folder = Path(name)
        bin_ = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        python, command = str(bin_ / "python"), str(bin_ / "a3cjax")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        wheels = folder / "wheels"
        options = ["-o", "ELLIPSIS", "-o", "NORMALIZE_WHITESPACE"]
        steps = {
            "an environment": [sys.executable, "-m", "venv", str(folder / "venv")],
            "building the package": [*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)],
            "pip install a3cjax": [*pip, "install", "--find-links", str(wheels), "a3cjax"],
            "import a3cjax": [python, "-c", "import a3cjax; a3cjax.simulate"],
            "import a3cjax, again": [python, "-c", "import a3cjax; a3cjax.simulate"],
            "the README's example": [python, "-m", "doctest", *options, "README.md"],
            "a3cjax demo": [command, "demo"],
            "a3cjax demo, again": [command, "demo"],
            "a3cjax doctor": [command, "doctor"],
        }  # fmt: skip
        (folder / "README.md").write_bytes((ROOT / "README.md").read_bytes())
        alone = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "A3CJAX_CACHE")}
        alone["XDG_CACHE_HOME"] = str(folder / "cache")  # nothing is compiled yet
        for step, words in steps.items():
            begun = time.perf_counter()
            done = subprocess.run(words, cwd=folder, env=alone, capture_output=True, text=True, check=False)
            print(f"{step:<22} {time.perf_counter() - begun:6.1f} s", flush=True)
            if done.returncode:
                sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        print(f"\n{done.stdout}", end="")


if __name__ == "__main__":
    main()
