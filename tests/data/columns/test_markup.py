"""HTML in cells becomes the text that a browser shows; what is no HTML stays."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal.data.columns.markup import html_to_text, is_html

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="<>&", exclude_categories=["C"]))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<p>a <b>red</b>dish&nbsp;shoe</p>", "a reddish shoe"),
        ("one<br/>two<BR>three", "one\ntwo\nthree"),
        ("<ul><li>first</li><li>second</li></ul>", "first\nsecond"),
        ("&lt;p&gt;escaped twice&lt;/p&gt; &amp;amp; more", "escaped twice\n& more"),
        ("<script>alert(1)</script>shown<!-- not -->", "shown"),
        ('<a href="https://h/?a=1&amp;b=2" title="x > y">link</a>', 'y">link'),
        ("a < b and c > d", "a < b and c > d"),
        ("<3 you", "<3 you"),
        ("AT&T; R&D", "AT&T; R&D"),
        ("caf&eacute; &#8364;5 &#x20AC;6", "caf\u00e9 \u20ac5 \u20ac6"),
    ],
)
def test_what_a_browser_shows(cell: str, text: str) -> None:
    assert html_to_text(cell) == text


@given(PLAIN)
def test_text_in_tags_comes_back(text: str) -> None:
    kept = html_to_text(text)
    assert html_to_text(f"<div class='x'><p>{html.escape(text)}</p></div>") == kept
    assert kept.split() == text.split()


def test_a_few_marks_are_an_accident() -> None:
    assert not is_html(["a red shoe"] * 30 + ["<b>a</b>"])
    assert is_html(["a red shoe"] * 10 + ["tea &amp; cake"])
    assert not is_html([]) and not is_html(["1 <2> 3", "&x;"])
