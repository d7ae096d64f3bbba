"""Photos of a row folded into the batch axis and back, and whether any is there."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from checks import as_array

from multimodal.layers.photos import AnyPhoto, FoldPhotos, UnfoldPhotos


def test_fold_and_unfold_are_inverse() -> None:
    photos = np.arange(2 * 3 * 4 * 4 * 3).reshape(2, 3, 4, 4, 3)
    folded = as_array(FoldPhotos()(photos))
    np.testing.assert_array_equal(folded, photos.reshape(6, 4, 4, 3))
    np.testing.assert_array_equal(as_array(UnfoldPhotos(photos=3)(folded)), photos)


def test_fold_joins_presence_in_the_same_order() -> None:
    present = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(as_array(FoldPhotos()(present)), present.ravel())


def test_any_photo() -> None:
    present = np.array([[True, False], [False, False]])
    found = AnyPhoto()(present)
    assert keras.backend.standardize_dtype(found.dtype) == "bool"
    np.testing.assert_array_equal(as_array(found), [True, False])


def test_refuses_no_photos() -> None:
    with pytest.raises(ValueError, match="`photos` must be an integer of at least 1"):
        UnfoldPhotos(photos=0)
