"""Decoded once, the same from memory and from a file, gone with the process."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal.data.photos import cache as module
from multimodal.data.photos.cache import PhotoCache, decode_shard, unique_paths
from multimodal.data.photos.read import PhotoPaths, decode
from multimodal.data.shards import ShardedArray

SIZE = 8
BYTES = SIZE * SIZE * 3


@pytest.fixture
def photos(tmp_path: Path) -> PhotoPaths:
    """Twelve rows of two slots: a photo of one's own, and one that all share or none."""
    rng = np.random.default_rng(0)
    for i in range(13):
        noise = rng.integers(0, 256, (10, 10, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    shared = str(tmp_path / "12.png")
    return PhotoPaths(
        [[str(tmp_path / f"{i}.png"), shared if i % 2 else None] for i in range(12)], SIZE
    )


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were decoded, in order."""
    paths: list[str] = []

    def counted(path: str, size: int, *, examined: bool) -> np.ndarray:
        paths.append(path)
        return decode(path, size, examined=examined)

    monkeypatch.setattr(module, "decode", counted)
    return paths


def plain(photos: PhotoPaths, row: int) -> np.ndarray:
    none = np.zeros((SIZE, SIZE, 3), np.uint8)
    return np.stack([none if path is None else decode(path, SIZE) for path in photos.paths[row]])


@pytest.mark.parametrize("budget", [0, 13 * BYTES - 1, 13 * BYTES])
def test_pixels_and_presence(photos: PhotoPaths, budget: int) -> None:
    cache = PhotoCache(photos, budget=budget)
    assert cache.nbytes == 13 * BYTES and cache.in_memory == (budget == 13 * BYTES)
    for rows in ([3, 0, 5], [5, 5, 11, 3], [0], []):
        for _ in range(2):
            pixels, present = cache.get(np.array(rows, np.int64))
            assert pixels.shape == (len(rows), 2, SIZE, SIZE, 3) and pixels.dtype == np.uint8
            assert present.dtype == bool
            assert present.tolist() == [[True, row % 2 == 1] for row in rows]
            for found, row in zip(pixels, rows, strict=True):
                np.testing.assert_array_equal(found, plain(photos, row))


@pytest.mark.parametrize("budget", [0, 10**9])
def test_decoded_lazily_and_once(photos: PhotoPaths, decoded: list[str], budget: int) -> None:
    cache = PhotoCache(photos, budget=budget)
    assert decoded == []
    cache.get(np.array([1, 1, 3]))
    assert sorted(decoded) == sorted({*photos.paths[1], *photos.paths[3]})
    for _ in range(3):
        cache.get(np.arange(12))
    assert len(decoded) == len(set(decoded)) == 13


@pytest.mark.parametrize("budget", [0, 10**9])
def test_what_comes_out_is_the_callers(photos: PhotoPaths, budget: int) -> None:
    cache = PhotoCache(photos, budget=budget)
    first, _ = cache.get(np.array([1]))
    first[:] = 0
    np.testing.assert_array_equal(cache.get(np.array([1]))[0][0], plain(photos, 1))


@pytest.mark.parametrize("budget", [0, 10**9])
def test_many_threads_get_the_same(photos: PhotoPaths, budget: int) -> None:
    cache = PhotoCache(photos, budget=budget)
    wanted = np.stack([plain(photos, row) for row in range(12)])

    def ask(seed: int) -> bool:
        rows = np.random.default_rng(seed).integers(0, 12, 20)
        return bool((cache.get(rows)[0] == wanted[rows]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


@pytest.mark.parametrize("budget", [0, 10**9])
def test_unreadable_photos_are_absent_and_noted(
    photos: PhotoPaths, decoded: list[str], budget: int
) -> None:
    bad = str(photos.paths[1][1])
    Path(bad).write_bytes(b"no photo")
    cache = PhotoCache(photos, budget=budget)
    assert cache.unreadable == {}
    for _ in range(2):
        pixels, present = cache.get(np.arange(4))
        assert present.tolist() == [[True, False]] * 4
        assert not pixels[:, 1].any() and pixels[:, 0].any()
    assert list(cache.unreadable) == [1, 3, 5, 7, 9, 11]
    assert "not a readable photo" in cache.unreadable[3] and bad in cache.unreadable[3]
    assert decoded.count(bad) == 1


def test_photos_decoded_beforehand_are_read(photos: PhotoPaths, decoded: list[str]) -> None:
    bad = str(photos.paths[2][0])
    Path(bad).write_bytes(b"no photo")
    paths, index = unique_paths(photos)
    made = decode_shard(paths, SIZE)
    assert sorted(decoded) == sorted(paths) and index[3].tolist() == [4, 2]
    assert made["readable"].tolist() == [path != bad for path in paths]
    decoded.clear()
    shards = {
        name: ShardedArray([array[:5], array[5:10], array[10:]]) for name, array in made.items()
    }
    cache, other = PhotoCache(photos, budget=0, shards=shards), PhotoCache(photos, budget=0)
    for rows in ([3, 0, 5], [2, 2, 11], []):
        for found, wanted in zip(
            cache.get(np.array(rows, int)), other.get(np.array(rows, int)), strict=True
        ):
            np.testing.assert_array_equal(found, wanted, strict=True)
    assert cache.unreadable == other.unreadable and list(cache.unreadable) == [2]
    assert not cache.in_memory and decoded.count(bad) == 2 and decoded.count(paths[0]) == 1


def test_the_file_has_no_name(
    photos: PhotoPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(module.tempfile, "tempdir", str(folder))
    cache = PhotoCache(photos, budget=0)
    cache.get(np.arange(12))
    assert os.name == "nt" or not list(folder.iterdir())


def test_a_full_disk_only_costs_time(
    photos: PhotoPaths, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, photo: int, pixels: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module._File, "write", full)
    cache = PhotoCache(photos, budget=0)
    for _ in range(2):
        pixels, present = cache.get(np.array([1, 3, 0]))
        assert present.tolist() == [[True, True], [True, True], [True, False]]
        np.testing.assert_array_equal(pixels[1], plain(photos, 3))
    assert len(decoded) == 2 * 4
    assert cache.unreadable == {}


def test_no_photos_at_all() -> None:
    for photos in (PhotoPaths([[None, None]] * 3, SIZE), PhotoPaths([], SIZE)):
        for budget in (0, 10**9):
            cache = PhotoCache(photos, budget=budget)
            rows = np.arange(len(photos.paths))
            pixels, present = cache.get(rows)
            assert not pixels.any() and not present.any() and cache.nbytes == 0
