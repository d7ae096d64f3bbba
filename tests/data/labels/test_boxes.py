"""Boxes, the photos that they lie in, their overlap and mean average precision by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal.core.config import Group
from multimodal.core.errors import DataError
from multimodal.data.labels.boxes import (
    box_faults,
    checked_fractions,
    iou,
    mean_average_precision,
    photo_sizes,
    to_fractions,
    to_pixels,
)

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
    ("box", "size", "fractions"),
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
def test_a_box_lies_in_its_photo(box: Any, size: Any, fractions: Any) -> None:
    found, faults = checked_fractions(np.array([box], float), np.array([size], float), COLUMNS)
    if isinstance(fractions, str):
        assert fractions in faults[0] and np.isnan(found).all()
    else:
        assert faults == {}
        np.testing.assert_allclose(found, [fractions])


BOX = [0.0, 0.0, 2.0, 2.0]
ELSEWHERE = [5.0, 5.0, 6.0, 6.0]


def test_pixels_and_fractions_undo_each_other() -> None:
    boxes, sizes = [[0.1, 0.2, 0.5, 1.0], [0, 0, 1, 1]], [[200, 100], [30, 60]]
    pixels = to_pixels(boxes, sizes)
    np.testing.assert_allclose(pixels, [[20, 20, 100, 100], [0, 0, 30, 60]])
    np.testing.assert_allclose(to_fractions(pixels, sizes), boxes)


def test_iou() -> None:
    second = [BOX, [1.0, 0.0, 3.0, 2.0], ELSEWHERE, [1.0, 1.0, 1.0, 1.0]]
    np.testing.assert_allclose(iou([BOX] * 4, second), [1, 1 / 3, 0, 0])
    assert iou([[1, 1, 1, 1]], [[1, 1, 1, 1]]).tolist() == [0]


def test_average_precision_by_hand() -> None:
    """Right, wrong, right in the order of the scores: (1 + 2/3) / 4 true ones."""
    boxes = [BOX, ELSEWHERE, BOX, ELSEWHERE]
    found = mean_average_precision(boxes, [1] * 4, [0.9, 0.8, 0.7, 0.1], [BOX] * 4, [1] * 4)
    assert found == pytest.approx((1 + 2 / 3) / 4)


def test_precision_is_made_to_fall_only() -> None:
    """Wrong, right, right: precision 0, 1/2, 2/3 becomes 2/3 throughout."""
    boxes = [ELSEWHERE, BOX, BOX]
    found = mean_average_precision(boxes, [1] * 3, [0.9, 0.8, 0.7], [BOX] * 3, [1] * 3)
    assert found == pytest.approx((2 / 3 + 2 / 3) / 3)


def test_a_wrong_class_is_wrong_for_both_classes() -> None:
    found = mean_average_precision([BOX] * 3, ["a", "a", "b"], [3, 2, 1], [BOX] * 3, list("aba"))
    assert found == pytest.approx((1 / 2 + 0) / 2)
    assert mean_average_precision([BOX], ["c"], [1], [BOX], ["a"]) == 0


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_equal_scores_count_at_once(order: list[int]) -> None:
    boxes = [[ELSEWHERE, BOX, BOX][i] for i in order]
    found = mean_average_precision(boxes, [1] * 3, [0.5] * 3, [BOX] * 3, [1] * 3)
    assert found == pytest.approx(2 / 3 * 2 / 3)


def test_threshold() -> None:
    arguments = ([BOX], [0], [1.0], [[1.0, 0.0, 3.0, 2.0]], [0])
    assert mean_average_precision(*arguments) == 0
    assert mean_average_precision(*arguments, threshold=0.3) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: iou([BOX], [BOX, BOX]), "boxes must come in pairs. Received: 1 and 2"),
        (lambda: iou([[1, 2, 3]], [BOX]), "`first` must have shape (N, 4). Received: (1, 3)"),
        (lambda: to_pixels([BOX], [[1, 2], [3, 4]]), "`sizes` must hold width and height"),
        (lambda: to_pixels([BOX], [[0, 2]]), "`sizes` must hold width and height"),
        (
            lambda: mean_average_precision([BOX], [1, 2], [1], [BOX], [1]),
            "`classes` must have shape (1,). Received: (2,)",
        ),
        (
            lambda: mean_average_precision(np.zeros((0, 4)), [], [], np.zeros((0, 4)), []),
            "there are no boxes to evaluate. Received: 0 rows",
        ),
    ],
)
def test_refuses(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        call()
