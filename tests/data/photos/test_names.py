"""The photos that a cell names, as the tools write them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from multimodal.data.photos.names import SUFFIXES, cell_photos, without_query
from multimodal.data.photos.read import FORMATS


@pytest.mark.parametrize(
    ("cell", "photos"),
    [
        ("a.jpg", ["a.jpg"]),
        (" a.jpg | b/c.png |", ["a.jpg", "b/c.png"]),
        ("a|b", ["a", "b"]),
        ("a.jpg;b.JPG", ["a.jpg", "b.JPG"]),
        ("a.jpg; b.jpg ;", ["a.jpg", "b.jpg"]),
        ("a.jpg, b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg b.jfif\nc.webp", ["a.jpg", "b.jfif", "c.webp"]),
        ("my photo.jpg; the other.png", ["my photo.jpg", "the other.png"]),
        ("red, blue.jpg", ["red, blue.jpg"]),
        ("my photo.jpg", ["my photo.jpg"]),
        ("a;b.jpg", ["a;b.jpg"]),
        ("https://x.org/a.jpg?w=1,h=2", ["https://x.org/a.jpg?w=1,h=2"]),
        (
            "https://x.org/a.jpg?w=1,https://x.org/b.jpg",
            ["https://x.org/a.jpg?w=1", "https://x.org/b.jpg"],
        ),
        ('["a.jpg", "b.jpg"]', ["a.jpg", "b.jpg"]),
        ("['a.jpg', 'b c.jpg']", ["a.jpg", "b c.jpg"]),
        ("['a.jpg', \"b'c.jpg\"]", ["a.jpg", "b'c.jpg"]),
        ("('a.jpg',)", ["a.jpg"]),
        ("['a.jpg' 'b.jpg']", ["a.jpg", "b.jpg"]),
        ('{a.jpg,"b c.jpg"}', ["a.jpg", "b c.jpg"]),
        ('{"path": "a.jpg", "bytes": null}', ["a.jpg"]),
        ('[{"src": "a.jpg", "height": 9, "width": 9}]', ["a.jpg"]),
        ("['a.jpg']", ["a.jpg"]),
        ("[]", []),
        ("[draft] a.jpg", ["[draft] a.jpg"]),
        ("{draft} a.jpg", ["{draft} a.jpg"]),
        (["a.jpg", None, ""], ["a.jpg"]),
        ([{"bytes": None, "path": "a.jpg"}], ["a.jpg"]),
        (("a.jpg",), ["a.jpg"]),
        (np.array(["a.jpg", "b.jpg"], dtype=object), ["a.jpg", "b.jpg"]),
        (None, []),
        (float("nan"), []),
        (pd.NA, []),
        ("", []),
        (b"", []),
        (5, ["5"]),
        ("[" * 100_000, ["[" * 100_000]),
    ],
)
def test_photos_of_a_cell(cell: Any, photos: list[str]) -> None:
    assert cell_photos(cell) == photos


NAMES = st.builds(
    "{}{}".format,
    st.text(st.characters(codec="utf-8", exclude_characters="|;,'\"\\{}[]()?#"), min_size=1),
    st.sampled_from(SUFFIXES),
).filter(lambda name: name.isprintable() and name == " ".join(name.split()))
WRITERS = {
    "|": "|".join,
    "; ": "; ".join,
    ", ": ", ".join,
    "json": json.dumps,
    "python": str,
    "list": list,
    "tuple": tuple,
}


@settings(max_examples=200, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4), st.sampled_from(sorted(WRITERS)))
def test_what_is_written_is_read(names: list[str], how: str) -> None:
    assert cell_photos(WRITERS[how](names)) == names


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.binary(), st.lists(st.text()), st.integers(), st.floats()))
def test_no_cell_raises(cell: Any) -> None:
    assert all(isinstance(photo, str | bytes) for photo in cell_photos(cell))


def test_every_ending_that_pillow_gives_these_formats_is_known() -> None:
    Image.init()
    endings = {end for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert endings <= set(SUFFIXES)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a.jpg?width=300", "a.jpg"),
        ("a.JPEG#top", "a.JPEG"),
        ("why?.jpg", "why?.jpg"),
        ("photo #3.jpg", "photo #3.jpg"),
        ("page.php?file=a.jpg", "page.php?file=a.jpg"),
    ],
)
def test_queries_go(name: str, plain: str) -> None:
    assert without_query(name) == plain
