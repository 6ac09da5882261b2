PYTHON ?= python3
BIN := .venv/bin

.PHONY: speedup test test-ray notebooks docs docs-look lint bench newcomer versions clean

# The paper's Fig. 3 at the study's defaults, into out/speedup.
speedup: .venv/ready
	$(BIN)/a3cjax speedup --out out/speedup

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal --nbmake

# Sweeps on a Ray cluster of two nodes on the loopback, in an environment of its own; `make test` does without Ray.
test-ray: .venv-ray/ready
	.venv-ray/bin/python -m pytest -n 0 tests/sweeps/test_ray.py

.venv-ray/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,ray]"
	touch $@

# Executes the notebooks' text and writes the .ipynb files with their figures.
notebooks: .venv/ready
	$(BIN)/python -m notebooks

# The site, into out/docs; what Sphinx warns of is an error, and nothing is fetched.
docs: .venv/ready
	rm -rf out/docs
	$(BIN)/python -m sphinx -q -W --keep-going -n -E -d out/docs.doctrees docs out/docs

# A picture of each page at two widths, light and dark, into out/docs-look; needs Chromium.
docs-look: docs
	$(BIN)/python docs/look.py

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

bench: .venv/ready
	$(BIN)/python -m benchmarks.engine

# What a newcomer does, in a fresh environment, timed.
newcomer:
	$(PYTHON) .ci/newcomer.py

# The quick tests on every Python that is installed, with the oldest JAX and the newest.
versions:
	$(PYTHON) .ci/versions.py

# The environment, made again when what it should hold has changed.
.venv/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv .venv-ray out docs/notebooks build dist .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
