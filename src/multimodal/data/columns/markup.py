"""HTML in cells: found in a column, and turned into the text that a browser shows."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from html.entities import html5

_INLINE = "a abbr b big bdi bdo cite code del dfn em font i ins kbd mark q s samp small span strike"
_INLINE += " strong sub sup tt u var wbr"
_BLOCK = (
    "address article aside blockquote body br button caption center col colgroup dd details div dl"
    " dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html iframe img"
    " input label legend li link main meta nav noscript object ol option p param picture pre"
    " section select source style script summary svg table tbody td textarea tfoot th thead title"
    " tr ul video"
)
_NAMES = "|".join(sorted([*_INLINE.split(), *_BLOCK.split()], key=len, reverse=True))
_TAG = re.compile(rf"</?(?P<name>{_NAMES})(?:\s[^<>]*|/)?\s*/?>", re.IGNORECASE)
_HIDDEN = re.compile(
    r"<!--.*?-->|<(script|style|head|noscript)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")
_BLANKS = re.compile(r"[ \t\u00a0]+")
_LINES = re.compile(r"\s*\n\s*")
_LEAST = 0.05  # of the cells, from which tags and entities are no accident
_WITHIN = frozenset(_INLINE.split())


def is_html(texts: Sequence[str]) -> bool:
    """Whether a twentieth of the texts hold tags or entities of HTML.

    Example:
    >>> is_html(["<p>a red shoe</p>", "tea &amp; cake"]), is_html(["a < b & c > d", "R&D; AT&T"])
    (True, False)
    """
    marked = sum(bool(_TAG.search(text) or _names_entity(text)) for text in texts)
    return bool(marked) and marked >= _LEAST * len(texts)


def html_to_text(text: str) -> str:
    """Return the text of HTML: blocks on lines of their own, entities as their characters.

    What is no tag of HTML stays, such as "a < b".

    Example:
    >>> html_to_text("<p>a <b>red</b>dish&nbsp;shoe<br/>&amp; more</p><script>x()</script>")
    'a reddish shoe\\n& more'
    """
    if "<" in text:
        text = _HIDDEN.sub("\n", text)
        text = _TAG.sub(_replaced, text)
    if "&" in text:
        # Twice, as shops escape what was escaped; a tag that comes out is one.
        text = html.unescape(text)
        if _ENTITY.search(text) or _TAG.search(text):
            text = html.unescape(_TAG.sub(_replaced, text))
    return _LINES.sub("\n", _BLANKS.sub(" ", text)).strip()


def _replaced(tag: re.Match[str]) -> str:
    return "" if tag["name"].lower() in _WITHIN else "\n"


def _names_entity(text: str) -> bool:
    found = _ENTITY.search(text) if "&" in text else None
    return found is not None and (found.group()[1] == "#" or found.group()[1:] in html5)
