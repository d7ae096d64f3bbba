"""Novelty of photos: statistics and layouts."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from multimodal.core.spec import FittedSpec
from multimodal.evaluation.novelty.photos import (
    NUMBERS,
    LayoutNovelty,
    PhotoNovelty,
    fit_layouts,
    fit_photos,
    layout,
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


def test_few_fresh_photos_are_novel(usual: PhotoNovelty) -> None:
    assert len(strange(usual, scenes(1000))) <= 20


@pytest.mark.parametrize("value", [0, 128, 255])
def test_blank_photos_are_novel(usual: PhotoNovelty, value: int) -> None:
    blank = np.full((1, 1, 32, 32, 3), value, np.uint8)
    assert strange(usual, blank) == ["front: a photo nearly blank"]


def test_noise_is_novel(usual: PhotoNovelty) -> None:
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


LAYOUT_RANDOM = np.random.default_rng(0)


def scenes_layout(count: int, *, light: str = "above", side: int = 40) -> np.ndarray:
    """Return photos (count, side, side, 3): light on one side, darker to the other, some noise."""
    ramp = np.linspace(200, 60, side)[:, None] if light == "above" else np.linspace(60, 200, side)
    tint = LAYOUT_RANDOM.uniform(-20, 20, (count, 1, 1, 3))
    noise = LAYOUT_RANDOM.normal(0, 6, (count, side, side, 3))
    return (ramp * np.ones((side, side)))[..., None] + tint + noise


def learned(layouts: np.ndarray) -> LayoutNovelty:
    usual = fit_layouts(layouts)
    assert usual is not None
    return usual


def test_a_layout_tells_where_colours_and_edges_are() -> None:
    photo = np.zeros((30, 30, 3))
    photo[:10, 20:, 0] = 255  # red, above on the right
    photo[20:, :10] = np.tile([0, 0, 200, 200, 200], 2)[:, None]  # stripes, below on the left
    found = layout(photo)
    colours, edges = found[:27].reshape(3, 3, 3), found[27:].reshape(3, 3, 4)
    assert colours[0, 2].tolist() == [1, 0, 0] and colours[1, 1].tolist() == [0, 0, 0]
    upright, slanted, level, _ = edges[2, 0]
    assert upright > 4 * slanted and upright > 4 * level
    assert edges[1, 1].tolist() == [0, 0, 0, 0]


def test_any_size_and_number_of_photos() -> None:
    assert layout(np.zeros((2, 3, 7, 11, 3))).shape == (2, 3, NUMBERS)
    whole = scenes_layout(2)
    np.testing.assert_allclose(layout(whole)[1], layout(whole[1]), rtol=1e-6)


@pytest.mark.parametrize("photos", [100, 1000])
def test_few_fresh_photos_are_far_and_turned_ones_all_are(photos: int) -> None:
    usual = learned(layout(scenes_layout(photos)))
    assert usual.is_far(layout(scenes_layout(1000))).mean() < 0.03
    assert usual.is_far(layout(scenes_layout(50, light="left"))).all()


def test_photos_that_are_all_the_same() -> None:
    same = layout(np.repeat(scenes_layout(1), 100, axis=0))
    usual = learned(same)
    assert not usual.is_far(same).any()
    assert usual.is_far(layout(scenes_layout(3, light="left"))).all()


def test_few_photos_tell_too_little() -> None:
    assert fit_layouts(layout(scenes_layout(99))) is None


def test_absent_photos_are_not_far() -> None:
    usual = learned(layout(scenes_layout(100)))
    assert not usual.is_far(np.full((2, NUMBERS), np.nan, np.float32)).any()


def test_it_is_kept_in_json_and_checked() -> None:
    usual = learned(layout(scenes_layout(100)))
    again = LayoutNovelty.model_validate_json(usual.model_dump_json())
    assert again == usual
    for spoilt in ({"mean": usual.inverse}, {"limit": 0}, {"mean": "no"}, {"mean": "////" * 84}):
        with pytest.raises(ValidationError):
            LayoutNovelty(**(usual.model_dump() | spoilt))
