"""Arrays in .npz files, read with care, and inside JSON."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from multimodal.core.arrays import damage_told, decode, encode, read_arrays
from multimodal.core.errors import RunError


def test_arrays_come_back(tmp_path: Path) -> None:
    arrays = {"a": np.arange(3), "b/c": np.full((2, 2), 0.5, np.float32)}
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    found = read_arrays(tmp_path / "x.npz")
    assert list(found) == ["a", "b/c"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_what_unpacks_to_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, small=np.zeros(2), large=np.zeros(1000))
    assert path.stat().st_size < 2000
    with pytest.raises(ValueError, match="unpacks to 8,272 bytes; at most 8,000"):
        read_arrays(path, total=8000)
    with pytest.raises(ValueError, match=r"large\.npy has 8,128 bytes"):
        read_arrays(path, each=lambda name: {"small": 200, "large": 8000}[name])
    assert len(read_arrays(path, total=8272, each=lambda name: 8128)) == 2


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(tmp_path / "x.npz")


def test_what_is_no_archive_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK nothing")
    with pytest.raises(zipfile.BadZipFile):
        read_arrays(path)
    told = r"x\.npz: damaged, or of another run \(File is not a zip file\)\. Train anew\."
    with pytest.raises(RunError, match=told), damage_told(path, "of another run", "Train anew."):
        read_arrays(path)


def test_an_interruption_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), damage_told(tmp_path, "x", "y"):
        raise KeyboardInterrupt


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
