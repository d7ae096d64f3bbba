"""What is drawn for a photo follows from seed, epoch, row and slot alone."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.data.photos.augment import augment_boxes, augment_photos

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


def test_a_drawn_rectangle_and_its_box_stay_together() -> None:
    rng = np.random.default_rng(3)
    low, size = rng.integers(3, 12, (200, 2)), rng.integers(3, 15, (200, 2))
    corners = np.concatenate([low, low + size], axis=1)
    rows = np.arange(200) + 17
    photos = augment_photos(drawn(corners), (1, 4), rows)[:, 0, :, :, 0] > 0
    shares = (corners / SIDE).astype(np.float32)
    boxes = augment_boxes(shares, (1, 4), rows, slots=1, size=(SIDE, SIDE)) * SIDE
    found = []
    for photo in photos:
        down, across = np.flatnonzero(photo.any(axis=1)), np.flatnonzero(photo.any(axis=0))
        found.append([across[0], down[0], across[-1] + 1, down[-1] + 1])
    np.testing.assert_allclose(boxes, found, atol=1e-4)
    assert boxes.dtype == np.float32 and (boxes != corners).any(axis=1).mean() > 0.9


def test_a_box_goes_with_the_first_photo_of_its_row() -> None:
    corners = np.tile([[5, 8, 11, 20]], (40, 1))
    pair = np.concatenate([drawn(corners), drawn(corners)], axis=1)
    photos = augment_photos(pair, (1, 2), ROWS)[:, 0, :, :, 0] > 0
    boxes = (
        augment_boxes((corners / SIDE).astype(np.float32), (1, 2), ROWS, slots=2, size=(SIDE, SIDE))
        * SIDE
    )
    for photo, box in zip(photos, boxes, strict=True):
        left, top, right, bottom = box.round().astype(int)
        assert photo[top:bottom, left:right].all() and photo.sum() == (right - left) * (
            bottom - top
        )


def test_boxes_are_cut_at_the_edge_of_the_photo() -> None:
    edge = np.tile(np.array([[0, 0, 0.01, 1]], np.float32), (400, 1))
    boxes = augment_boxes(edge, (0, 0), np.arange(400), slots=1, size=(64, 64))
    assert boxes.min() == 0 and boxes.max() == 1 and (boxes[:, 2:] >= boxes[:, :2]).all()
    gone = boxes[:, 2] == boxes[:, 0]
    assert 0.3 < gone.mean() < 0.6  # shifted out by up to 4 of 64 pixels, on either side
    np.testing.assert_array_equal(edge, np.tile(np.array([[0, 0, 0.01, 1]], np.float32), (400, 1)))


EXPECTED = [107, 197, 152, 152, 197, 101]  # runs must stay reproducible across versions
