"""Layouts of photos: what they tell, and which lie far from those of the training rows."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from multimodal.evaluation.novelty.photos import NUMBERS, LayoutNovelty, fit_layouts, layout

RANDOM = np.random.default_rng(0)


def scenes(count: int, *, light: str = "above", side: int = 40) -> np.ndarray:
    """Return photos (count, side, side, 3): light on one side, darker to the other, some noise."""
    ramp = np.linspace(200, 60, side)[:, None] if light == "above" else np.linspace(60, 200, side)
    tint = RANDOM.uniform(-20, 20, (count, 1, 1, 3))
    noise = RANDOM.normal(0, 6, (count, side, side, 3))
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
    whole = scenes(2)
    np.testing.assert_allclose(layout(whole)[1], layout(whole[1]), rtol=1e-6)


@pytest.mark.parametrize("photos", [100, 1000])
def test_few_fresh_photos_are_far_and_turned_ones_all_are(photos: int) -> None:
    usual = learned(layout(scenes(photos)))
    assert usual.is_far(layout(scenes(1000))).mean() < 0.03
    assert usual.is_far(layout(scenes(50, light="left"))).all()


def test_photos_that_are_all_the_same() -> None:
    same = layout(np.repeat(scenes(1), 100, axis=0))
    usual = learned(same)
    assert not usual.is_far(same).any()
    assert usual.is_far(layout(scenes(3, light="left"))).all()


def test_few_photos_tell_too_little() -> None:
    assert fit_layouts(layout(scenes(99))) is None


def test_absent_photos_are_not_far() -> None:
    usual = learned(layout(scenes(100)))
    assert not usual.is_far(np.full((2, NUMBERS), np.nan, np.float32)).any()


def test_it_is_kept_in_json_and_checked() -> None:
    usual = learned(layout(scenes(100)))
    again = LayoutNovelty.model_validate_json(usual.model_dump_json())
    assert again == usual
    for spoilt in ({"mean": usual.inverse}, {"limit": 0}, {"mean": "no"}, {"mean": "////" * 84}):
        with pytest.raises(ValidationError):
            LayoutNovelty(**(usual.model_dump() | spoilt))
