"""The order of classes and their codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.data.labels.classes import encode_classes, encode_labels, label_names, order_classes


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["b", "a", "b"], ["a", "b"]),
        (["10", "9", "-1", "2.5"], ["-1", "2.5", "9", "10"]),
        (["10-19", "0-9", "100+", "20-99"], ["0-9", "10-19", "20-99", "100+"]),
        ([">60", "60-69", "<60"], ["<60", "60-69", ">60"]),
        (["over 5", "under 5", "5"], ["under 5", "5", "over 5"]),
        (["class 10", "class 9"], ["class 9", "class 10"]),
        (["0-9", "unknown", "10-19"], ["0-9", "10-19", "unknown"]),
        ([], []),
    ],
)
def test_order(names: list[str], ordered: list[str]) -> None:
    assert order_classes(names) == ordered == order_classes(reversed(names))


def test_codes() -> None:
    codes = encode_classes(np.array(["b", "a", None, "c"], object), ["b", "a"])
    assert codes.dtype == np.int64 and codes.tolist() == [0, 1, -1, -1]
    assert encode_classes(np.array([], object), ["a"]).shape == (0,)


def test_labels() -> None:
    sets = np.empty(4, object)
    sets[:] = [("a", "c"), (), None, ("a", "z")]
    found = encode_labels(sets, ["a", "b", "c"])
    nan = [np.nan] * 3
    np.testing.assert_array_equal(found, [[1, 0, 1], [0, 0, 0], nan, nan])


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("a| b |a|", ("a", "b")),
        (["a ", "b"], ("a", "b")),
        (np.array(["a"]), ("a",)),
        (3, ("3",)),
        ([], ()),
        ("[]", ()),
        ("", None),
        (" ", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_label_names(cell: Any, names: Any) -> None:
    assert label_names(cell) == names
