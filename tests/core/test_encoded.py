"""Arrays inside JSON."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.core.arrays import decode, encode


@pytest.mark.parametrize("dtype", ["<f4", "<u4"])
def test_numbers_come_back(dtype):
    numbers = np.array([[0, 1], [2**31, 7]], dtype)
    np.testing.assert_array_equal(decode(encode(numbers, dtype), dtype), numbers.ravel())
    assert len(decode(encode([], dtype), dtype)) == 0


def test_big_endian_numbers_are_written_alike():
    assert encode(np.array([1.5], ">f8"), "<f4") == encode([1.5], "<f4")


@pytest.mark.parametrize("damaged", ["AACAPwAA", "AACAPw", "ää", "A"])
def test_what_is_no_array_is_refused(damaged):
    with pytest.raises(ValueError):
        decode(damaged, "<f4")
