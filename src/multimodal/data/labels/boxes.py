"""Boxes in pixels of the original photo, and as shares of its width and height."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import DataError
from multimodal.data.features.cell_arrays import Frame, photo_names, row_count
from multimodal.data.labels.detection import to_shares
from multimodal.data.photos.read import locate, measure

CORNERS = ("xmin", "ymin", "xmax", "ymax")
Floats = NDArray[np.float64]


class _Columns(Protocol):
    """A feature group, declared or fitted."""

    @property
    def modality(self) -> str: ...
    @property
    def columns(self) -> list[str]: ...


def photo_sizes(frame: Frame, groups: Sequence[_Columns], root: Path) -> Floats:
    """Return the width and height of each row's first photo, to which its box refers.

    The photo is that in the first slot of the first image group; its size is that of the photo as
    `photos.decode` sees it, so a photo that is stored lying counts as it stands.

    Args:
        frame: the rows.
        groups: the feature groups of a config or of a spec.
        root: folder that photo paths start from.

    Returns:
        float64 (N, 2); NaN where a row has no photo, or one that is not there or not readable.

    Raises:
        DataError: A path leads out of `root`.
    """
    columns = next((group.columns for group in groups if group.modality == "image"), [])
    sizes = np.full((row_count(frame), 2), np.nan)
    known: dict[str, tuple[int, int]] = {}
    for row, names in enumerate(photo_names(columns, frame) if columns else []):
        if not names or names[0] is None:
            continue
        path = str(locate(names[0], root))
        try:
            sizes[row] = known[path] if path in known else known.setdefault(path, measure(path))
        except DataError:
            continue
    return sizes


def box_faults(boxes: Floats, columns: Sequence[str]) -> dict[int, str]:
    """Return what is wrong with boxes (N, 4) in themselves, by row; NaN is passed over."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    faults = {}
    for row in np.flatnonzero((width <= 0) | (height <= 0)):
        wrong = (0, 2) if width[row] <= 0 else (1, 3)
        low, high = (f"{columns[i]} {boxes[row, i]:g}" for i in wrong)
        faults[int(row)] = (
            f"columns {', '.join(columns)}: expected a box with an area, got {low} and {high}"
        )
    return faults


def place_boxes(
    boxes: Floats, sizes: Floats, columns: Sequence[str]
) -> tuple[Floats, dict[int, str]]:
    """Turn boxes from pixels to shares; return them with what is wrong, by row.

    A box may reach one pixel over the photo's edge, as those that count pixels from 1 do; it is
    cut off there. One that reaches further, or has no photo, is a fault.
    """
    shares = to_shares(boxes, sizes).clip(0, 1)
    there = np.isfinite(boxes).all(axis=1)
    lost = there & ~np.isfinite(sizes).all(axis=1)
    out = there & ((boxes < -1).any(axis=1) | (boxes > np.tile(sizes, 2) + 1).any(axis=1))
    out |= (shares[:, 2:] <= shares[:, :2]).any(axis=1)
    names = ", ".join(columns)
    faults = {int(row): f"columns {names}: a box without a photo" for row in np.flatnonzero(lost)}
    for row in np.flatnonzero(out):
        came = ", ".join(f"{value:g}" for value in boxes[row])
        width, height = sizes[row]
        faults[int(row)] = (
            f"columns {names}: expected a box inside the photo of {width:g} x {height:g} pixels, "
            f"got {came}"
        )
    shares[list(faults)] = np.nan
    return shares, faults
