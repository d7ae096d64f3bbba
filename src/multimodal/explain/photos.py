"""Where in its photos the score of a row was moved: Grad-CAM, and patches hidden (occlusion)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.spec import FittedGroup
from multimodal.data.photos.names import Photo
from multimodal.data.photos.read import Pixels
from multimodal.explain.attribution import ScoredRow, floats
from multimodal.explain.gradients import token_map
from multimodal.explain.records import PhotoMaps

COARSEST = 4  # a map of fewer cells a side says nothing of a place
ScoresOfPhotos = Callable[[Pixels, int], Floats]
CELLS = 8  # patches are hidden around the middles of so many cells a side, each two cells wide
CHUNK = 64  # variants of a photo scored at once


def explain_photos(
    row: ScoredRow,
    group: FittedGroup,
    paths: list[Photo | None],
    faults: Mapping[int, str],
    frozen: ScoresOfPhotos | None = None,
) -> list[PhotoMaps]:
    """Return the maps of each photo of a group; none where what reads it has no part in the score.

    Args:
        row: The row, encoded.
        group: A group of photos.
        paths: The path in each slot, None where there is none.
        faults: What is wrong with the photos that cannot be read, by slot.
        frozen: Of a group that is read as frozen features, what scores other photos (S, H, W, 3) in
            a slot; no gradient leads to its pixels.
    """
    present = np.asarray(row.inputs[f"{group.name}_present"])[0]
    # Networks of the stacking weight 0, which alone read these pixels, have nothing to show.
    idle = frozen is None and not np.any(row.direction)
    maps = _gradients(row, group) if present.any() and frozen is None and not idle else None
    found = []
    for slot, path in enumerate(paths):
        if path is None:
            continue
        if slot in faults:
            found.append(PhotoMaps(group.name, path, fault=faults[slot]))
            continue
        if idle:
            found.append(PhotoMaps(group.name, path))
            continue
        cells = None if maps is None else maps[slot]
        found.append(PhotoMaps(group.name, path, cells, _hidden(row, group, slot, frozen)))
    return found


def blank(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return photos (..., H, W, 3) that have their mean colour all over.

    Example:
    >>> blank(np.array([[[[0, 0, 0], [10, 20, 30]]]], np.uint8))[0, 0, 0].tolist()
    [5, 10, 15]
    """
    mean = pixels.mean(axis=(-3, -2), keepdims=True).round().astype(np.uint8)
    return np.broadcast_to(mean, pixels.shape)


def _gradients(row: ScoredRow, group: FittedGroup) -> Floats | None:
    """Return Grad-CAM, blurred: (photos, side, side). None where tokens are no grid, or coarse."""
    name = group.name
    pixels = np.asarray(row.inputs[f"{name}_pixels"])
    present = row.inputs[f"{name}_present"]
    found = token_map(row, name, {f"{name}_pixels": blank(pixels), f"{name}_present": present})
    maps = floats(found)
    side = isqrt(maps.shape[1])
    if side**2 == maps.shape[1] - 1:  # a class token stands first
        maps = maps[:, 1:]
    if side**2 != maps.shape[1] or side < COARSEST:
        return None
    return blur(maps.reshape(-1, side, side))


def blur(maps: Floats) -> Floats:
    """Return maps (photos, side, side), each cell the mean of itself and those around it.

    A cell of a convolution's map tells of those around it, too, and one at the border also of the
    border: a padded convolution answers to it whatever the photo shows. So what lies beyond
    the photo counts as zero, and a cell at the border keeps two thirds at most.

    Example:
    >>> blur(np.array([[[9.0, 0.0], [0.0, 0.0]]])).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """
    from scipy.ndimage import uniform_filter

    return np.asarray(uniform_filter(maps, size=(1, 3, 3), mode="constant"), np.float64)


def _hidden(row: ScoredRow, group: FittedGroup, slot: int, frozen: ScoresOfPhotos | None) -> Floats:
    """Return (8, 8): how much of the score is lost where a patch has the photo's mean colour."""
    pixels = np.asarray(row.inputs[f"{group.name}_pixels"])
    cover, edges = blank(pixels)[0, slot], _edges(pixels.shape[2])
    # The row itself by the same route, so that the differences hold no other rounding.
    variants = np.repeat(pixels[:, slot], CELLS**2 + 1, axis=0)
    for i in range(CELLS**2):
        (top, bottom), (left, right) = edges[i // CELLS], edges[i % CELLS]
        variants[i + 1, top:bottom, left:right] = cover[top:bottom, left:right]
    scored = frozen or _scores_of_pixels(row, group)
    parts = [scored(variants[i : i + CHUNK], slot) for i in range(0, len(variants), CHUNK)]
    scores = np.concatenate(parts)
    return np.asarray((scores[0] - scores[1:]).reshape(CELLS, CELLS))


def _scores_of_pixels(row: ScoredRow, group: FittedGroup) -> ScoresOfPhotos:
    """Return what scores other photos in a slot of a row whose networks read pixels."""
    key, there = f"{group.name}_pixels", f"{group.name}_present"

    def scores(photos: Pixels, slot: int) -> Floats:
        pixels = np.repeat(np.asarray(row.inputs[key]), len(photos), axis=0)
        pixels[:, slot] = photos
        present = np.repeat(np.asarray(row.inputs[there]), len(photos), axis=0)
        return floats(row.scores({key: pixels, there: present}, [group.name]))

    return scores


def _edges(size: int) -> list[tuple[int, int]]:
    """Return where the patch around each cell begins and ends."""
    cell = size / CELLS
    return [
        (max(round((i - 0.5) * cell), 0), min(max(round((i + 1.5) * cell), 1), size))
        for i in range(CELLS)
    ]
