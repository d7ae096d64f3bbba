"""Augmentation of photos and their boxes: mirrored and shifted, by (seed, epoch, row) alone.

The augmentation layers of Keras draw from a state that moves on with every batch. Here what happens
to a photo follows from its row, so that a training that is resumed inside an epoch sees the same
photos as one that was never stopped, and boxes move along with theirs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Ints
from multimodal.data.photos.read import Pixels

Boxes = NDArray[np.float32]
MAX_SHIFT = 1 / 16
# The constants of splitmix64. NumPy's generators would need an object for each photo.
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def augment_photos(pixels: Pixels, seed: tuple[int, int], rows: NDArray[np.integer]) -> Pixels:
    """Mirror each photo at random and shift it by up to a sixteenth of its side.

    Args:
        pixels: uint8 (B, K, H, W, 3).
        seed: (seed, epoch).
        rows: integers (B,); what is drawn for a photo depends on the seed, its row's number and
            its slot, not on the other rows of the batch.

    Returns:
        uint8 of the same shape; the border is repeated where the shift bares it.

    Example:
    >>> photo = np.arange(12, dtype=np.uint8).reshape(1, 1, 2, 2, 3)
    >>> augment_photos(photo, (0, 3), np.array([7])).shape
    (1, 1, 2, 2, 3)
    """
    batch, slots, height, width, _ = pixels.shape
    down, across, mirrored = (each.tolist() for each in _moves(seed, rows, slots, (height, width)))
    result = np.empty_like(pixels)
    flat, out = pixels.reshape(-1, *pixels.shape[2:]), result.reshape(-1, *pixels.shape[2:])
    for i in range(batch * slots):
        _move(flat[i], out[i], down[i], across[i], mirrored[i])
    return result


def augment_boxes(
    boxes: Boxes,
    seed: tuple[int, int],
    rows: NDArray[np.integer],
    *,
    slots: int,
    size: tuple[int, int],
) -> Boxes:
    """Move boxes as `augment_photos` moves the first photo of their rows; cut them at its edge.

    Args:
        boxes: float32 (B, 4), fractions of the photo's width and height: xmin, ymin, xmax, ymax.
        seed: (seed, epoch).
        rows: integers (B,).
        slots: the number K of photos of a row.
        size: height and width of the photos in pixels.

    Returns:
        float32 (B, 4); a box that has left the photo altogether has no area.

    Example:
    >>> box = np.array([[0.25, 0.25, 0.75, 0.5]], np.float32)
    >>> augment_boxes(box, (0, 3), np.array([7]), slots=1, size=(2, 2)).tolist()
    [[0.25, 0.25, 0.75, 0.5]]
    """
    moves = _moves(seed, rows, slots, size)
    down, across, mirrored = (each.reshape(len(rows), slots)[:, 0] for each in moves)
    flipped = np.where(mirrored[:, None], 1 - boxes[:, [2, 1, 0, 3]], boxes)
    flipped[:, [1, 3]] = boxes[:, [1, 3]]
    shift = np.stack([across / size[1], down / size[0]], axis=1)
    return (flipped + np.tile(shift, 2)).clip(0, 1).astype(np.float32)


def _moves(
    seed: tuple[int, int], rows: NDArray[np.integer], slots: int, size: tuple[int, int]
) -> tuple[Ints, Ints, Bools]:
    """Return shifts down and across in pixels, and whether mirrored, per row and slot (B * K,)."""
    bits = _draws(seed, rows, slots)
    mirrored = (bits >> np.uint64(63)).astype(bool)
    return _shifts(bits, size[0]), _shifts(bits >> np.uint64(24), size[1]), mirrored


def _move(photo: Pixels, into: Pixels, down: int, across: int, mirrored: bool) -> None:
    """Write a photo (H, W, 3), shifted, into another array, and repeat its border."""
    height, width, _ = photo.shape
    if mirrored:
        photo = photo[:, ::-1]
    top, bottom = max(down, 0), height + min(down, 0)
    left, right = max(across, 0), width + min(across, 0)
    seen = photo[top - down : bottom - down, left - across : right - across]
    # A mirrored photo is copied by channel, which is three times as fast.
    for channel in range(seen.shape[-1]) if mirrored else (slice(None),):
        into[top:bottom, left:right, channel] = seen[..., channel]
    into[top:bottom, :left] = into[top:bottom, left : left + 1]
    into[top:bottom, right:] = into[top:bottom, right - 1 : right]
    into[:top] = into[top]
    into[bottom:] = into[bottom - 1]


def _shifts(bits: NDArray[np.uint64], side: int) -> Ints:
    """Return shifts from -side / 16 to side / 16, all alike likely, from the lowest 24 bits."""
    largest = round(side * MAX_SHIFT)
    low = (bits & np.uint64(0xFFFFFF)).astype(np.int64)
    return low % (2 * largest + 1) - largest


def _draws(seed: tuple[int, int], rows: NDArray[np.integer], slots: int) -> NDArray[np.uint64]:
    """Return 64 random bits per row and slot, (B * K,), by splitmix64 (Steele et al., 2014)."""
    photos = rows.astype(np.int64)[:, None] * slots + np.arange(slots)
    state = np.zeros(photos.size, np.uint64)
    for numbers in (np.int64(seed[0]), np.int64(seed[1]), photos.ravel()):
        state = _mixed(state + numbers.astype(np.uint64))
    return state


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + np.uint64(_GOLDEN)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(_FIRST)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(_SECOND)
    return state ^ (state >> np.uint64(31))
