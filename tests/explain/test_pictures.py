"""Pictures on a page: new JPEGs, colours by sign, nothing for what cannot be read."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal.explain.page import SIDE, map_uri, photo_uri


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x010E] = "secret words"
    Image.new("RGB", (40, 20), (120, 120, 120)).save(path, exif=exif)
    return path


def pixels_of(uri: str) -> np.ndarray:
    head, content = uri.split(",")
    assert head == "data:image/jpeg;base64"
    assert b"secret" not in base64.b64decode(content)
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_photos_are_encoded_anew(photo: Path) -> None:
    assert pixels_of(photo_uri(photo)).shape == (SIDE, SIDE, 3)


def test_what_raises_is_orange_and_what_lowers_blue(photo: Path) -> None:
    scores = np.zeros((4, 4))
    scores[0, 0], scores[3, 3] = 2.0, -2.0
    pixels = pixels_of(map_uri(photo, scores, 2.0))
    high, low, middle = pixels[20, 20], pixels[-20, -20], pixels[20, -20]
    assert high[0] > high[2] + 60 and low[2] > low[0] + 60
    assert np.ptp(middle) < 30


def test_a_photo_that_cannot_be_read_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"<html>")
    assert photo_uri(tmp_path / "a.jpg") == map_uri(tmp_path / "a.jpg", np.ones((2, 2)), 1.0) == ""
