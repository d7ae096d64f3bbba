"""Boxes and the photos that they lie in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal.core.config import Group
from multimodal.core.errors import DataError
from multimodal.data.labels.boxes import box_faults, photo_sizes, place_boxes

COLUMNS = ["xmin", "ymin", "xmax", "ymax"]
NAN = float("nan")


def group(modality: str, *columns: str) -> Group:
    return Group.model_validate(
        {"name": columns[0], "modality": modality, "columns": columns, "encoder": "x"}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    Image.new("RGB", (40, 20)).save(root / "wide.png")
    Image.new("RGB", (10, 30)).save(root / "tall.jpg")
    lying = Image.Exif()
    lying[274] = 6
    Image.new("RGB", (40, 20)).save(root / "lying.jpg", exif=lying)
    (root / "broken.png").write_bytes(b"no photo")
    return root


def test_the_size_is_that_of_the_first_photo(folder: Path) -> None:
    names = ["wide.png|tall.jpg", "tall.jpg", "lying.jpg", "broken.png", "gone.png", None]
    frame = pd.DataFrame({"t": list("abcdef"), "photo": pd.Series(names, dtype=object)})
    groups = [group("text", "t"), group("image", "photo"), group("image", "gone")]
    found = photo_sizes(frame, groups, folder)
    wanted = [[40, 20], [10, 30], [20, 40], [NAN, NAN], [NAN, NAN], [NAN, NAN]]
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == np.float64


def test_of_several_columns_the_first_counts(folder: Path) -> None:
    rows = {"front": [None, "wide.png"], "back": ["tall.jpg", "tall.jpg"]}
    found = photo_sizes(rows, [group("image", "front", "back")], folder)
    np.testing.assert_array_equal(found, [[NAN, NAN], [40, 20]])


def test_without_photos_there_are_no_sizes(folder: Path) -> None:
    assert np.isnan(photo_sizes({"t": ["a", "b"]}, [group("text", "t")], folder)).all()
    with pytest.raises(DataError, match="leads out of the photo folder"):
        photo_sizes({"photo": ["../wide.png"]}, [group("image", "photo")], folder)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((1, 2, 3, 4), None),
        ((NAN, NAN, NAN, NAN), None),
        ((3, 2, 3, 4), "got xmin 3 and xmax 3"),
        ((1, 4.5, 3, 2), "got ymin 4.5 and ymax 2"),
    ],
)
def test_a_box_has_an_area(box: Any, fault: str | None) -> None:
    faults = box_faults(np.array([box], float), COLUMNS)
    assert faults == {} if fault is None else faults[0].endswith(fault)


@pytest.mark.parametrize(
    ("box", "size", "shares"),
    [
        ((0, 0, 40, 20), (40, 20), [0, 0, 1, 1]),
        ((-1, 5, 41, 21), (40, 20), [0, 0.25, 1, 1]),
        ((10, 5, 20, 10), (40, 20), [0.25, 0.25, 0.5, 0.5]),
        ((-2, 0, 4, 4), (40, 20), "inside the photo of 40 x 20 pixels, got -2, 0, 4, 4"),
        ((0, 0, 42, 4), (40, 20), "inside the photo of 40 x 20 pixels"),
        ((-1, 0, -0.5, 4), (40, 20), "inside the photo of 40 x 20 pixels"),
        ((0, 0, 4, 4), (NAN, NAN), "a box without a photo"),
        ((NAN, NAN, NAN, NAN), (40, 20), [NAN] * 4),
        ((NAN, NAN, NAN, NAN), (NAN, NAN), [NAN] * 4),
    ],
)
def test_a_box_lies_in_its_photo(box: Any, size: Any, shares: Any) -> None:
    found, faults = place_boxes(np.array([box], float), np.array([size], float), COLUMNS)
    if isinstance(shares, str):
        assert shares in faults[0] and np.isnan(found).all()
    else:
        assert faults == {}
        np.testing.assert_allclose(found, [shares])
