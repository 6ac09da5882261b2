"""Execute the notebooks' text and write the .ipynb files with their figures: ``python -m notebooks [name ...]``."""

import sys
import time

from notebooks.pairs import SOURCES, execute, write

for source in SOURCES:
    if len(sys.argv) == 1 or source.stem in sys.argv[1:]:
        begun = time.perf_counter()
        path = write(source, execute(source))
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB after {time.perf_counter() - begun:.0f} s")
