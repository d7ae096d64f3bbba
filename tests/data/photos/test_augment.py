"""What is drawn for a photo follows from seed, epoch, row and slot alone."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.data.photos.augment import WINDOW, augment_boxed, augment_photos

SIDE = 32
RNG = np.random.default_rng(0)
PHOTOS = RNG.integers(0, 256, (40, 2, SIDE, SIDE, 3)).astype(np.uint8)
ROWS = np.arange(100, 140)


def shifted(photo: np.ndarray, down: int, across: int, mirrored: bool) -> np.ndarray:
    if mirrored:
        photo = photo[:, ::-1]
    padded = np.pad(photo, ((2, 2), (2, 2), (0, 0)), mode="edge")
    return padded[2 - down : 2 - down + SIDE, 2 - across : 2 - across + SIDE]


def moves(photo: np.ndarray, result: np.ndarray) -> list[tuple[int, int, bool]]:
    """Every shift and mirroring that turns a photo into the result."""
    return [
        (down, across, mirrored)
        for down in range(-2, 3)
        for across in range(-2, 3)
        for mirrored in (False, True)
        if np.array_equal(shifted(photo, down, across, mirrored), result)
    ]


def test_each_photo_is_mirrored_and_shifted_with_its_border_repeated() -> None:
    result = augment_photos(PHOTOS, (0, 0), ROWS)
    assert result.shape == PHOTOS.shape and result.dtype == np.uint8
    found = [moves(PHOTOS[i, k], result[i, k]) for i in range(40) for k in range(2)]
    assert all(len(each) == 1 for each in found)
    down, across, mirrored = zip(*(each[0] for each in found), strict=True)
    assert set(down) == set(across) == {-2, -1, 0, 1, 2}
    assert 20 < sum(mirrored) < 60
    assert len(set(found[i][0] == found[i + 1][0] for i in range(0, 80, 2))) == 2  # by slot


def test_the_draw_is_of_the_row_not_of_the_batch() -> None:
    whole = augment_photos(PHOTOS, (3, 5), ROWS)
    order = RNG.permutation(40)
    np.testing.assert_array_equal(augment_photos(PHOTOS[order], (3, 5), ROWS[order]), whole[order])
    np.testing.assert_array_equal(augment_photos(PHOTOS[7:8], (3, 5), ROWS[7:8]), whole[7:8])


@pytest.mark.parametrize("other", [(3, 6), (4, 5), (5, 3), (2**62, 5)])
def test_another_seed_or_epoch_draws_anew(other: tuple[int, int]) -> None:
    first, second = augment_photos(PHOTOS, (3, 5), ROWS), augment_photos(PHOTOS, other, ROWS)
    same = sum(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert same < 5


def test_the_draw_never_changes() -> None:
    photo = np.arange(16 * 16 * 3).reshape(1, 1, 16, 16, 3).astype(np.uint8)
    found = [int(augment_photos(photo, (1, e), np.array([2]))[0, 0, 8, 8, 0]) for e in range(6)]
    assert found == EXPECTED


def test_draws_are_even_over_rows() -> None:
    ramp = np.broadcast_to(np.arange(SIDE, dtype=np.uint8)[:, None, None], (SIDE, SIDE, 3))
    many = np.broadcast_to(ramp, (3000, 1, SIDE, SIDE, 3))
    tops = augment_photos(many, (0, 0), np.arange(3000))[:, 0, 16, 16, 0].astype(int) - 16
    counts = np.bincount(tops + 2, minlength=5)
    assert counts.sum() == 3000 and abs(counts - 600).max() < 100


@pytest.mark.parametrize("shape", [(0, 1, 8, 8, 3), (2, 1, 1, 1, 3), (2, 3, 9, 20, 3)])
def test_shapes(shape: tuple[int, ...]) -> None:
    photos = RNG.integers(0, 256, shape).astype(np.uint8)
    given = photos.copy()
    assert augment_photos(photos, (0, 0), np.arange(shape[0])).shape == shape
    np.testing.assert_array_equal(photos, given)


def drawn(corners: np.ndarray) -> np.ndarray:
    """Black photos with one white rectangle each, (B, 1, SIDE, SIDE, 3)."""
    photos = np.zeros((len(corners), 1, SIDE, SIDE, 3), np.uint8)
    for photo, (left, top, right, bottom) in zip(photos[:, 0], corners, strict=True):
        photo[top:bottom, left:right] = 255
    return photos


def boxed(corners: np.ndarray) -> np.ndarray:
    """The corners in pixels as the box of one head, in fractions, (B, 1, 4)."""
    return (np.asarray(corners) / SIDE).astype(np.float32)[:, None]


def seen(photo: np.ndarray) -> list[int]:
    """The corners in pixels of what is white in a photo."""
    white = photo[:, :, 0] > 191  # grey lies beyond the photo, and the edge of white is blurred
    down, across = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    return [across[0], down[0], across[-1] + 1, down[-1] + 1]


def test_a_drawn_rectangle_and_its_box_stay_together() -> None:
    rng = np.random.default_rng(3)
    low, size = rng.integers(3, 12, (200, 2)), rng.integers(3, 15, (200, 2))
    corners = np.concatenate([low, low + size], axis=1)
    rows = np.arange(200) + 17
    photos, boxes = augment_boxed(drawn(corners), boxed(corners), (1, 4), rows)
    found = np.array([seen(photo) for photo in photos[:, 0]])
    assert photos.dtype == np.uint8 and boxes.dtype == np.float32
    assert np.abs(boxes[:, 0] * SIDE - found).max() < 1
    sizes = np.diff(boxes[:, 0].reshape(-1, 2, 2), axis=1)[:, 0] * SIDE / size
    assert sizes.min() > 0.99 / WINDOW[1] and sizes.max() <= 1.01 / WINDOW[0]
    assert np.median(np.abs(np.log(sizes[:, 0] / sizes[:, 1]))) > 0.1  # each side by itself


def test_a_box_is_mirrored_in_every_second_photo() -> None:
    corners = np.tile([[2, 8, 8, 20]], (400, 1))
    photos, boxes = augment_boxed(drawn(corners), boxed(corners), (1, 2), np.arange(400))
    assert all(photo[:, :, 0].max() > 191 for photo in photos[:, 0])
    assert 150 < np.sum(boxes[:, 0, [0, 2]].mean(axis=1) > 0.5) < 250


def test_a_window_holds_most_of_a_box_and_other_photos_stay_as_they_were() -> None:
    rng = np.random.default_rng(4)
    low = rng.integers(0, 30, (300, 2))
    corners = np.concatenate([low, rng.integers(low + 2, SIDE + 1)], axis=1)
    photos = np.concatenate([drawn(corners), drawn(corners)], axis=1)
    given, rows = photos.copy(), np.arange(300)
    found, boxes = augment_boxed(photos, boxed(corners), (5, 1), rows)
    np.testing.assert_array_equal(photos, given)
    np.testing.assert_array_equal(found[:, 1], augment_photos(photos, (5, 1), rows)[:, 1])
    assert boxes.min() >= 0 and boxes.max() <= 1
    sides = boxes[:, 0, 2:] - boxes[:, 0, :2]
    assert (sides >= 0.84 * (corners[:, 2:] - corners[:, :2]) / SIDE / WINDOW[1]).all()


def test_a_window_lies_around_the_boxes_of_all_heads() -> None:
    both = np.tile(np.array([[[0, 0.1, 0.1, 0.2], [0.8, 0.7, 1, 0.9]]], np.float32), (100, 1, 1))
    photos = np.zeros((100, 1, SIDE, SIDE, 3), np.uint8)
    _, boxes = augment_boxed(photos, both, (0, 0), np.arange(100))
    assert (boxes[..., 2:] > boxes[..., :2]).all()


def test_a_missing_box_stays_without_an_area() -> None:
    both = np.zeros((50, 2, 4), np.float32)
    both[:, 0] = [0.2, 0.3, 0.6, 0.9]
    photos = np.zeros((50, 1, SIDE, SIDE, 3), np.uint8)
    _, boxes = augment_boxed(photos, both, (0, 0), np.arange(50))
    _, alone = augment_boxed(photos, both[:, :1], (0, 0), np.arange(50))
    assert (boxes[:, 1, 2:] == boxes[:, 1, :2]).all()
    np.testing.assert_array_equal(boxes[:, 0], alone[:, 0])
    _, none = augment_boxed(photos, both[:, 1:], (0, 0), np.arange(50))
    assert (none[..., 2:] == none[..., :2]).all()


def test_the_window_is_of_the_row_not_of_the_batch() -> None:
    boxes = np.tile(np.array([[[0.2, 0.3, 0.6, 0.9]]], np.float32), (40, 1, 1))
    whole, moved = augment_boxed(PHOTOS, boxes, (3, 5), ROWS)
    order = RNG.permutation(40)
    again, there = augment_boxed(PHOTOS[order], boxes[order], (3, 5), ROWS[order])
    np.testing.assert_array_equal(again, whole[order])
    np.testing.assert_array_equal(there, moved[order])
    later, _ = augment_boxed(PHOTOS, boxes, (3, 6), ROWS)
    assert (later != whole).any(axis=(1, 2, 3, 4)).all()


@pytest.mark.parametrize("shape", [(0, 1, 8, 8, 3), (2, 1, 1, 1, 3), (2, 3, 9, 20, 3)])
def test_shapes_of_photos_with_boxes(shape: tuple[int, ...]) -> None:
    boxes = np.tile(np.array([[[0, 0, 1, 1]]], np.float32), (shape[0], 1, 1))
    photos, moved = augment_boxed(np.zeros(shape, np.uint8), boxes, (0, 0), np.arange(shape[0]))
    assert photos.shape == shape and moved.shape == boxes.shape


EXPECTED = [107, 197, 152, 152, 197, 101]  # runs must stay reproducible across versions
