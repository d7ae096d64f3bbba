"""Augmentation of photos and their boxes, by (seed, epoch, row) alone.

Photos are mirrored and shifted; one that a box lies in is cut to a window around it and scaled.
The augmentation layers of Keras draw from a state that moves on with every batch. Here what happens
to a photo follows from its row, so that a training that is resumed inside an epoch sees the same
photos as one that was never stopped, and boxes move along with theirs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.data.photos.read import Pixels, aligned_pixels

Boxes = NDArray[np.float32]
MAX_SHIFT = 1 / 16
WINDOW = (0.5, 1.25)  # sides of a window around a box, in sides of the photo
_BEYOND = 0.075  # of a box's side may lie outside of its window at either end
_GREY = (127, 127, 127)  # which networks read as 0
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
    result = aligned_pixels(pixels.shape)
    flat, out = pixels.reshape(-1, *pixels.shape[2:]), result.reshape(-1, *pixels.shape[2:])
    for i in range(batch * slots):
        _move(flat[i], out[i], down[i], across[i], mirrored[i])
    return result


def augment_boxed(
    pixels: Pixels, boxes: Boxes, seed: tuple[int, int], rows: NDArray[np.integer]
) -> tuple[Pixels, Boxes]:
    """Cut a window out of the first photo of each row, around its boxes, and mirror it at random.

    The window has half to five quarters of each side of the photo, both drawn by themselves, and
    is scaled to the photo's size; beyond the photo it is grey. It holds 85 % of the boxes' extent
    along each side, so that a few hundred photos teach many places, sizes and shapes of a box.
    Other photos of a row, to which no box refers, are augmented as by `augment_photos`.

    Args:
        pixels: uint8 (B, K, H, W, 3).
        boxes: float32 (B, N, 4), of N heads, fractions of the first photo's width and height: xmin,
            ymin, xmax, ymax. One that is missing is zeros.
        seed: (seed, epoch).
        rows: integers (B,); what is drawn depends on the seed, the row's number and its boxes.

    Returns:
        The photos, uint8 of the same shape, and the boxes in them, float32 (B, N, 4), cut at the
        edge; one that is missing has no area.

    Example:
    >>> box = np.array([[[0.25, 0.25, 0.75, 0.5]]], np.float32)
    >>> photo = np.zeros((1, 1, 8, 8, 3), np.uint8)
    >>> _, moved = augment_boxed(photo, box, (0, 3), np.array([7]))
    >>> [round(float(corner), 2) for corner in moved[0, 0]]
    [0.3, 0.2, 0.73, 0.47]
    """
    result = aligned_pixels(pixels.shape)
    if pixels.shape[1] > 1:
        result[:, 1:] = augment_photos(pixels, seed, rows)[:, 1:]
    low, side, mirrored = _windows(seed, rows, pixels.shape[1], boxes)
    height, width = pixels.shape[2:4]
    for i, photo in enumerate(pixels[:, 0]):
        (left, top), (across, down) = low[i], side[i]
        if mirrored[i]:
            left, across = left + across, -across
        columns = (across, 0, left * width, 0, down, top * height)
        window = Image.fromarray(photo).transform(
            (width, height),
            Image.Transform.AFFINE,
            columns,
            Image.Resampling.BILINEAR,
            fillcolor=_GREY,
        )
        result[i, 0] = np.asarray(window)
    corner, size = np.tile(low, 2)[:, None], np.tile(side, 2)[:, None]
    moved = ((boxes - corner) / size).clip(0, 1)
    turned = moved[..., [2, 1, 0, 3]]
    turned[..., [0, 2]] = 1 - turned[..., [0, 2]]
    return result, np.where(mirrored[:, None, None], turned, moved).astype(np.float32)


def _windows(
    seed: tuple[int, int], rows: NDArray[np.integer], slots: int, boxes: Boxes
) -> tuple[Floats, Floats, Bools]:
    """Return the left top corner and the sides of each window (B, 2), and whether it is mirrored.

    All in fractions of the photo's width and height.
    """
    bits = _draws(seed, rows, slots)[::slots]
    drawn = [(bits >> np.uint64(15 * i)) & np.uint64(0x7FFF) for i in range(4)]
    fraction = np.stack(drawn, axis=1) / float(0x7FFF)
    there = (boxes[..., 2:] > boxes[..., :2]).all(axis=-1, keepdims=True)
    first = np.where(there, boxes[..., :2], 1.0).min(axis=1, initial=1.0)
    last = np.where(there, boxes[..., 2:], 0.0).max(axis=1, initial=0.0)
    spare = _BEYOND * np.maximum(last - first, 0.0)
    first, last = first + spare, last - spare
    smallest, largest = np.log(WINDOW[0]), np.log(WINDOW[1])
    side = np.exp(smallest + (largest - smallest) * fraction[:, :2])
    side = np.maximum(side, last - first)
    lowest = np.maximum(np.minimum(0.0, 1.0 - side), last - side)
    highest = np.minimum(np.maximum(0.0, 1.0 - side), np.maximum(first, lowest))
    low = lowest + (highest - lowest) * fraction[:, 2:]
    return low, side, (bits >> np.uint64(63)).astype(bool)


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
