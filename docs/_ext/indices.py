"""θ_{k−τ}, K^(−2/5) and J_λ in running text, set with lowered and raised indices as they are meant."""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

_LETTER = r"(?<![\w.])(?:[^\W\d_][\u0300-\u036f]?)(?:\*|ᵀ)?"
_INDEX = re.compile(
    rf"(?P<base>{_LETTER})_(?:\{{(?P<braced>(?:[^{{}}]|\{{[^{{}}]*\}})*)\}}|(?P<bare>max|app|td|prox|[^\W_]\*?)(?!\w))"
    rf"|(?P<power>(?<=[\w)‖\]])\^(?:\((?P<inner>[^()]*)\)|(?P<digits>−?\d+(?:\.\d+)?|[a-z]\b)))"
)
_AS_IT_IS = nodes.literal, nodes.FixedTextElement, nodes.math, nodes.math_block, nodes.raw, nodes.Invisible


class Indices(SphinxPostTransform):
    """In what a reader sees; what is code or a formula stays as it is."""

    default_priority = 900

    def run(self, **kwargs: object) -> None:
        """Replace them in the whole document."""
        for text in list(self.document.findall(nodes.Text)):
            if _INDEX.search(text.astext()) and not _inside(text):
                parent = text.parent
                where = parent.index(text)
                parent[where : where + 1] = list(_set(text.astext()))


def _inside(text: nodes.Text) -> bool:
    node = text.parent
    while node is not None and node.tagname != "autosummary_table":  # to Sphinx, a comment
        if isinstance(node, _AS_IT_IS) or (node.tagname.startswith("desc_") and node.tagname != "desc_content"):
            return True
        node = node.parent
    return False


def _set(text: str) -> Iterator[nodes.Node]:
    end = 0
    for match in _INDEX.finditer(text):
        yield nodes.Text(text[end : match.start()] + (match["base"] or ""))
        lowered = match["braced"] or match["bare"]
        if lowered:
            yield nodes.subscript("", "", *_set(lowered))
        else:
            yield nodes.superscript("", match["inner"] or match["digits"])
        end = match.end()
    yield nodes.Text(text[end:])


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_post_transform(Indices)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
