"""The site: ``make docs`` builds it into out/docs, from nothing but what is on this machine."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import a3cjax  # noqa: E402

project, author, copyright = "a3cjax", "The a3cjax developers", "The a3cjax developers"
version = release = a3cjax.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "commands",
    "docstrings",
    "indices",
    "mathml",
    "public",
]
exclude_patterns = ["**/.ipynb_checkpoints"]
nitpicky = True
# Types of other libraries, and what the standard library calls its own; nothing is fetched to resolve them.
nitpick_ignore_regex = [("py:.*", r"(?!a3cjax\.).*"), ("py:.*", r"a3cjax\.(.*\.)?_.*")]

# Pages, and notebooks as they were committed.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False
nb_execution_mode = "off"
nb_ipywidgets_js = {}
html_math_renderer = "mathml"

# Docstrings.
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "ignore-module-all": False}
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# Python in the docstrings' examples is copied without its prompts and results.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "pydata_sphinx_theme"
html_title = "a3cjax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "a3cjax"},
    "header_links_before_dropdown": 8,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "neighbours": []}


def _bring_notebooks() -> None:
    """Sphinx reads what is below its own folder only."""
    folder = HERE / "notebooks"
    folder.mkdir(exist_ok=True)
    sources = {path.name: path for path in (HERE.parent / "notebooks").glob("*.ipynb")}
    for old in folder.iterdir():
        if old.name not in sources:
            old.unlink()
    for name, source in sources.items():
        copy = folder / name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            shutil.copyfile(source, copy)


_bring_notebooks()
