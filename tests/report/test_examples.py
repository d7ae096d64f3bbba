"""Single rows on a page: thumbnails, cells and how far off a prediction is."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal.report.examples import Text, Thumbnail, cell_text, cells, describe_error, thumbnail


def opened(found: Thumbnail) -> Image.Image:
    """Decode the data URI of a thumbnail."""
    head, content = found.uri.split(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "1", "LA", "RGBA"])
def test_any_mode_becomes_a_small_jpeg(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("RGB", (400, 200), (200, 30, 30)).convert(mode).save(path)
    image = opened(thumbnail(path))
    assert image.size == (160, 80) and image.mode == "RGB"


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert np.asarray(opened(thumbnail(tmp_path / "a.png"))).min() > 250


def test_orientation_is_honoured(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 100)).save(tmp_path / "a.jpg", exif=exif)
    assert opened(thumbnail(tmp_path / "a.jpg")).size == (53, 160)


def test_what_is_no_photo_has_no_uri(tmp_path: Path) -> None:
    for name, content in (("empty.jpg", b""), ("page.jpg", b"<html>"), ("cut.png", _cut_png())):
        (tmp_path / name).write_bytes(content)
        assert thumbnail(tmp_path / name) == Thumbnail(name, "")
    assert thumbnail(tmp_path) == Thumbnail(tmp_path.name, "")


def _cut_png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()[:500]


def test_a_bomb_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (100, 100)).save(tmp_path / "a.png")
    for limit in (9_000, 1_000):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert thumbnail(tmp_path / "a.png").uri == ""


ROW = pd.Series(
    {
        "id": "7",
        "title": "",
        "about": "word " * 100,
        "brand": None,
        "made": 2013,
        "photo": "a.jpg",
        "price": 5.0,
    }
)
SCHEMA = [
    {"name": "id", "kind": "identifier"},
    {"name": "title", "kind": "text"},
    {"name": "photo", "kind": "image"},
    {"name": "price", "kind": "target"},
]


def test_cells_are_split_by_schema_and_length() -> None:
    found = cells(ROW, SCHEMA, photos_shown=True)
    assert found.values == [("brand", ""), ("made", "2013")]
    title, about = found.texts
    assert title == Text("title", "", "")
    assert about.short + about.rest == "word " * 100 and 80 < len(about.short) <= 160


def test_photo_column_shows_where_no_photo_does() -> None:
    assert ("photo", "a.jpg") in cells(ROW, SCHEMA, photos_shown=False).values


def test_without_a_row_there_are_no_cells() -> None:
    assert not cells(None, SCHEMA, photos_shown=False).values


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (np.nan, ""),
        (pd.NA, ""),
        (pd.NaT, ""),
        (["a", "b"], "a, b"),
        (True, "True"),
        (np.float64(2.5), "2.5"),
        (np.array(["a", "b"]), "a, b"),
        (np.int64(12000), "12000"),
        (pd.Timestamp("2024-02-29"), "2024-02-29 00:00:00"),
    ],
)
def test_as_text(value: object, shown: str) -> None:
    assert cell_text(value) == shown


@pytest.mark.parametrize(
    ("y_true", "prediction", "words"),
    [
        (10, 10, "exact"),
        (100, 130, "30% too high"),
        (100, 10, "10 times too low"),
        (100, -20, "120 too low"),
        (0, 3, "3 too high"),
        (-5, -7.5, "2.5 too low"),
    ],
)
def test_off_by(y_true: float, prediction: float, words: str) -> None:
    assert describe_error(y_true, prediction) == words
