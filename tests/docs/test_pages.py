"""The code on the pages runs."""

import re
from pathlib import Path

import pytest

PAGES = sorted(page for page in Path("docs").rglob("*.md") if "```python" in page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_pages_blocks_run_one_after_the_other(page):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    exec(compile("\n".join(blocks), str(page), "exec"), {"__name__": "page"})
