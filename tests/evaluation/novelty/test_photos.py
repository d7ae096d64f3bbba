"""Statistics of photos, their limits, and which photos are beyond them."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.core.spec import FittedSpec
from multimodal.evaluation.novelty.photos import (
    PhotoNovelty,
    fit_photos,
    novel_photos,
    photo_statistics,
    watch_photos,
)

RANDOM = np.random.default_rng(0)


def scenes(count: int, side: int = 32) -> np.ndarray:
    """Return photos (count, 1, side, side, 3): a disc of one colour on another, a little noise."""
    y, x = np.mgrid[:side, :side] / side
    found = []
    for _ in range(count):
        back = RANDOM.uniform(0, 255, 3)
        front = (back + RANDOM.uniform(80, 170, 3)) % 255
        middle, radius = RANDOM.uniform(0.3, 0.7, 2), RANDOM.uniform(0.2, 0.5)
        inside = np.hypot(y - middle[0], x - middle[1]) < radius
        photo = np.where(inside[..., None], front, back) + RANDOM.normal(0, 3, (side, side, 3))
        found.append(photo.clip(0, 255))
    return np.array(found, np.uint8)[:, None]


def statistics(photos: np.ndarray) -> np.ndarray:
    return photo_statistics(photos, np.ones(photos.shape[:2], bool))


@pytest.fixture(scope="module")
def usual() -> PhotoNovelty:
    found = fit_photos("p", statistics(scenes(500)))
    assert found is not None
    return found


def strange(usual: PhotoNovelty, photos: np.ndarray) -> list[str]:
    return [each.reason for each in novel_photos(usual, ["front"], statistics(photos))]


def test_noise_is_rough_and_blank_has_no_contrast() -> None:
    noise = RANDOM.integers(0, 256, (1, 1, 64, 64, 3), dtype=np.uint8)
    grey = statistics(np.full((1, 1, 64, 64, 3), 99, np.uint8))[0, 0]
    np.testing.assert_allclose(grey[:4], [0, 0, 99, 0], atol=1e-5)
    assert statistics(noise)[0, 0, 1] == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)


def test_large_photos_are_looked_at_in_part() -> None:
    photos = scenes(3, 64)
    large = photos.repeat(4, axis=2).repeat(4, axis=3)
    np.testing.assert_array_equal(statistics(large), statistics(photos))


def test_few_fresh_photos_are_strange(usual: PhotoNovelty) -> None:
    assert len(strange(usual, scenes(1000))) <= 20


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_photos_are_strange(usual: PhotoNovelty, value: int) -> None:
    blank = np.full((1, 1, 32, 32, 3), value, np.uint8)
    assert strange(usual, blank) == ["front: a photo nearly blank"]


def test_noise_is_strange(usual: PhotoNovelty) -> None:
    noise = RANDOM.integers(0, 256, (1, 1, 32, 32, 3), dtype=np.uint8)
    assert strange(usual, noise) == ["front: a photo as rough as noise"]


def test_absent_photos_are_not(usual: PhotoNovelty) -> None:
    nothing = photo_statistics(np.zeros((1, 1, 8, 8, 3), np.uint8), np.array([[False]]))
    assert np.isnan(nothing).all() and not list(novel_photos(usual, ["front"], nothing))
    assert fit_photos("p", nothing) is None
    assert fit_photos("p", statistics(scenes(29))) is None


def test_each_slot_is_named_after_its_column(usual: PhotoNovelty) -> None:
    pair = np.concatenate([scenes(1), np.zeros((1, 1, 32, 32, 3), np.uint8)], axis=1)
    found = list(novel_photos(usual, ["front", "back"], statistics(pair)))
    assert [(each.row, each.check) for each in found] == [(0, "photo:back")]
    one = list(novel_photos(usual, ["photos"], statistics(pair)))
    assert [each.check for each in one] == ["photo:photos"]


def test_watching_fills_the_rows_of_each_batch() -> None:
    group = {"name": "p", "modality": "image", "columns": ["p"], "photos": 1, "image_size": 32}
    spec = FittedSpec.model_validate({"groups": [group], "heads": []})
    found, watch = watch_photos(spec, 4)
    photos, there = scenes(2), np.array([[True], [False]])
    watch(np.array([3, 0]), {"p_pixels": photos, "p_present": there})
    np.testing.assert_array_equal(found["p"][3], statistics(photos)[0])
    assert np.isnan(found["p"][:3]).all()
