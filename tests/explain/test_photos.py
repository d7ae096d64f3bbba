"""Maps of photos: one for each photo that is there, what cannot be read, encoders without a map."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from explained import SIDE, inputs_of, model_of, spec_of, stir

from multimodal.explain import photos
from multimodal.explain.attribution import ScoredRow, make_submodels
from multimodal.explain.photos import CELLS, blank, blur, explain_photos


def maps_of(
    parts: dict[str, Any],
    paths: list[str | None],
    faults: dict[int, str],
    direction: float = 1.0,
) -> list[Any]:
    spec = spec_of("tabular", "image")
    inputs = inputs_of(spec)
    inputs["image_present"][:] = [
        [path is not None and i not in faults for i, path in enumerate(paths)]
    ]
    model = make_submodels(model_of(spec, parts), "price", spec.groups)
    row = ScoredRow(model, inputs, [part.encode(inputs) for part in model], [direction])
    return explain_photos(row, spec.group("image"), paths, faults)


def test_each_photo_that_is_there_has_two_maps() -> None:
    first, second = maps_of({}, ["a.jpg", "b.jpg"], {})
    for each in (first, second):
        assert each.gradients is not None and each.gradients.shape == (4, 4)
        assert each.hidden is not None and each.hidden.shape == (CELLS, CELLS)
        assert np.abs(each.gradients).max() > 0 and np.abs(each.hidden).max() > 0
    assert not np.allclose(first.hidden, second.hidden)


def test_the_map_of_gradients_is_blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    keras.utils.set_random_seed(0)
    (found,) = maps_of({}, ["a.jpg"], {})
    monkeypatch.setattr(photos, "blur", lambda maps: maps)
    keras.utils.set_random_seed(0)
    (sharp,) = maps_of({}, ["a.jpg"], {})
    np.testing.assert_allclose(found.gradients, blur(sharp.gradients[None])[0])
    assert not np.allclose(found.gradients, sharp.gradients)


def test_absent_and_damaged_photos_have_none() -> None:
    (found,) = maps_of({}, [None, "b.jpg"], {1: "b.jpg: the photo is cut off"})
    assert found.fault == "b.jpg: the photo is cut off" and found.hidden is None
    good, bad = maps_of({}, ["a.jpg", "b.jpg"], {1: "cut off"})
    assert good.hidden is not None and bad.gradients is None


def test_networks_without_a_part_in_the_score_have_none() -> None:
    (found,) = maps_of({}, ["a.jpg"], {}, direction=0.0)
    assert found.path == "a.jpg" and found.gradients is None and found.hidden is None


def test_an_encoder_without_a_fine_map_still_says_what_hiding_does(tmp_path: Any) -> None:
    pixels = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 8, strides=8, activation="relu")(pixels)
    path = tmp_path / "coarse.keras"
    stir(keras.Model(pixels, x), 1).save(path)
    options = {"backbone": str(path), "preprocessing": "unit"}
    found = maps_of({"image": {"name": "backbone", "options": options}}, ["a.jpg", None], {})
    assert found[0].gradients is None and np.abs(found[0].hidden).max() > 0


def test_the_map_points_at_what_the_model_reads() -> None:
    """A photo that is grey but for one corner: both maps have their largest score there."""
    spec = spec_of("image")
    model = make_submodels(model_of(spec, {}), "price", spec.groups)
    pixels = np.full((1, 2, SIDE, SIDE, 3), 128, "uint8")
    pixels[0, 0, :5, 11:] = 255
    inputs = {"image_pixels": pixels, "image_present": np.array([[True, False]])}
    row = ScoredRow(model, inputs, [part.encode(inputs) for part in model], [1.0])
    (found,) = explain_photos(row, spec.group("image"), ["a.jpg", None], {})
    for scores in (found.gradients, found.hidden):
        side = len(scores)
        y, x = divmod(int(np.abs(scores).argmax()), side)
        assert y <= side // 2 and x >= side // 2 - 1


def test_blank_photos_keep_their_mean() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 4, 3)).astype("uint8")
    found = blank(pixels)
    assert found.shape == pixels.shape and found.dtype == np.uint8
    np.testing.assert_allclose(found[..., 0, 0, :], pixels.mean(axis=(-3, -2)), atol=0.51)


def test_a_border_that_stands_out_does_not_hide_the_product() -> None:
    maps = np.ones((2, 8, 8))
    maps[:, 1:-1, 1:-1] = 0
    maps[0, 2:5, 3:6] = 0.9
    maps[1, 0, 0] = 5.0
    inside, corner = blur(maps)
    assert np.unravel_index(inside.argmax(), inside.shape) == (3, 4)
    np.testing.assert_allclose(inside[3, 4], 0.9)
    np.testing.assert_allclose(corner[:2, :2], [[7 / 9, 8 / 9], [8 / 9, 1.0]])
