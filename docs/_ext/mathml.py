"""Formulas as MathML, which browsers set by themselves: no script, no font and no server is needed."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_FUNCTION = re.compile(r"<m[io]>\\?(sin|cos|arg|exp|log|ln|max|min|clip|mean)</m[io]>")
_SPACED = r'<mo form="prefix" lspace="0.17em" rspace="0.17em" stretchy="false">\1</mo>'
_BAR = re.compile(r'<mo (?:fence="false" )?stretchy="false">(&#x0007C;|&#x02016;)</mo>')  # a fence, and no relation
_TIGHT = r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>'


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node, "inline"))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    anchor = f' id="{node["ids"][0]}"' if node.get("ids") else ""
    translator.body.append(f'<div class="math"{anchor}>{_mathml(node, "block")}{number}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, display: str) -> str:
    try:
        made = _BAR.sub(_TIGHT, _FUNCTION.sub(_SPACED, convert(node.astext(), display=display)))
        if "\\" in made:
            raise ValueError("a command that nobody knows")
        return made
    except Exception as error:  # of many kinds, and each is a slip in the formula
        logging.getLogger(__name__).warning("no MathML for %r: %r", node.astext(), error, location=node)
        return ""


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
