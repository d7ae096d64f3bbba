"""Where in its photos the score of a row was moved: Grad-CAM, and patches hidden (occlusion)."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.spec import FittedGroup
from multimodal.explain.attribution import ScoredRow, floats
from multimodal.explain.gradients import token_map
from multimodal.explain.records import PhotoMaps

COARSEST = 4  # a map of fewer cells a side says nothing of a place
CELLS = 8  # patches are hidden around the middles of so many cells a side, each two cells wide
CHUNK = 64  # variants of a photo scored at once


def explain_photos(
    row: ScoredRow, group: FittedGroup, paths: list[str | None], faults: Mapping[int, str]
) -> list[PhotoMaps]:
    """Return the maps of each photo of a group.

    Args:
        row: The row, encoded.
        group: A group of photos.
        paths: The path in each slot, None where there is none.
        faults: What is wrong with the photos that cannot be read, by slot.
    """
    present = np.asarray(row.inputs[f"{group.name}_present"])[0]
    maps = _gradients(row, group) if present.any() else None
    found = []
    for slot, path in enumerate(paths):
        if path is None:
            continue
        if slot in faults:
            found.append(PhotoMaps(group.name, Path(path), fault=faults[slot]))
            continue
        cells = None if maps is None else maps[slot]
        found.append(PhotoMaps(group.name, Path(path), cells, _hidden(row, group, slot)))
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


def _hidden(row: ScoredRow, group: FittedGroup, slot: int) -> Floats:
    """Return (8, 8): how much of the score is lost where a patch has the photo's mean colour."""
    key, there = f"{group.name}_pixels", f"{group.name}_present"
    pixels, present = (np.asarray(row.inputs[each]) for each in (key, there))
    cover, edges = blank(pixels)[0, slot], _edges(pixels.shape[2])
    variants = np.repeat(pixels, CELLS**2, axis=0)
    for i in range(CELLS**2):
        (top, bottom), (left, right) = edges[i // CELLS], edges[i % CELLS]
        variants[i, slot, top:bottom, left:right] = cover[top:bottom, left:right]
    parts = [_scores(row, group.name, {key: pixels, there: present})]
    for first in range(0, len(variants), CHUNK):
        some = variants[first : first + CHUNK]
        given = {key: some, there: np.repeat(present, len(some), axis=0)}
        parts.append(_scores(row, group.name, given))
    scores = np.concatenate(parts)
    return np.asarray((scores[0] - scores[1:]).reshape(CELLS, CELLS))


def _edges(size: int) -> list[tuple[int, int]]:
    """Return where the patch around each cell begins and ends."""
    cell = size / CELLS
    return [
        (max(round((i - 0.5) * cell), 0), min(max(round((i + 1.5) * cell), 1), size))
        for i in range(CELLS)
    ]


def _scores(row: ScoredRow, group: str, variants: dict[str, Any]) -> Floats:
    return floats(row.scores(variants, [group]))
