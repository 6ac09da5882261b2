"""The quick tests on each Python that is installed, with the oldest and the newest JAX that a3cjax is meant for.

    python3 .ci/versions.py [3.11 3.12 3.13]

Each in an environment of its own in out/versions, which is kept for the next time. Ends with a table, and with status 1
if any failed.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
FIRST = (0, 10)  # of JAX
QUICK = (
    "README.md",
    "tests/test_public.py",
    "tests/cli/test_options.py",
    "tests/engine/test_compiled.py",
    "tests/engine/test_replay.py",
    "tests/learners/test_a3c.py",
    "tests/optax/test_stale.py",
    "tests/schedules/test_schedule.py",
)


def main() -> None:
    """Run the tests on every Python, with every JAX."""
    rows = []
    for version in sys.argv[1:] or PYTHONS:
        found = shutil.which(f"python{version}")
        if found is None or run([found, "--version"]).returncode:  # or a version manager's placeholder for it
            rows.append((version, "–", "not installed"))
            continue
        for jax in jax_versions(found):
            print(f"Python {version} with jax {jax} …", flush=True)
            rows.append((version, jax, tested(found, version, jax)))
    print(f"\n{'Python':<8}{'jax':<12}quick tests")
    for version, jax, outcome in rows:
        print(f"{version:<8}{jax:<12}{outcome}")
    sys.exit(any("failed" in outcome or "error" in outcome for *_, outcome in rows))


def jax_versions(python: str) -> list[str]:
    """The oldest and the newest from the first on that this Python can have."""
    listed = run([python, "-m", "pip", "index", "versions", "jax"])
    text = listed.stdout.partition("Available versions:")[2].partition("\n")[0]
    versions = {tuple(map(int, v.split("."))): v for v in re.findall(r"\d+(?:\.\d+)+", text)}
    known = [name for numbers, name in sorted(versions.items()) if numbers >= FIRST]
    if not known:
        sys.exit(f"No jax from 0.10 on is to be had for {python}:\n{listed.stdout}{listed.stderr}")
    return sorted({known[0], known[-1]}, key=known.index)


def tested(python: str, version: str, jax: str) -> str:
    """How the tests ended, in pytest's words; what went wrong is printed."""
    folder = ROOT / "out" / "versions" / f"python{version}-jax{jax}"
    mine = str(folder / "bin" / "python")
    if not Path(mine).exists():
        run([python, "-m", "venv", str(folder)])
    pip = [mine, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    made = run([*pip, "-e", f"{ROOT}[dev]", f"jax=={jax}"])
    if made.returncode:
        print(made.stderr)
        return "error: could not be installed"
    done = run([mine, "-m", "pytest", "-n", "2", *QUICK])
    if done.returncode:
        print(done.stdout)
    lines = [line for line in done.stdout.splitlines() if re.search(r"passed|failed|error", line)]
    return lines[-1].strip("= ") if lines else f"error: pytest ended with status {done.returncode}"


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """A command in the project's folder, with what it says."""
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
