"""The pictures of predicted boxes: how far they overlap with the true ones, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from multimodal.evaluation.measures import readable
from multimodal.report.plots import BLUE, INK, ORANGE, RED, WIDTH, new_axes, write_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 4
MOST = 12
SIDE = 320


def overlaps(shares: ArrayLike, name: str) -> Figure:
    """Draw how many boxes overlap (N,) with the true one by how much, in tenths.

    Example:
    >>> figure = overlaps([0.7, 0.2], "cell")
    """
    values = np.asarray(shares, float)
    figure, axes = new_axes(3.4)
    axes.hist(values, bins=np.linspace(0, 1, 11), color=BLUE, edgecolor=INK, linewidth=0.5)
    axes.axvline(0.5, color=RED, linestyle="--", linewidth=1.5, label="found from 0.5 on")
    axes.yaxis.get_major_locator().set_params(integer=True)
    title = f"Overlap of the boxes of {name}, {len(values):,} test rows"
    write_words(axes, title, "intersection over union with the true box", "rows")
    axes.legend(frameon=False, loc="upper left")
    return figure


def contact_sheet(
    photos: Sequence[Path], truth: ArrayLike, prediction: ArrayLike, shares: ArrayLike
) -> Figure:
    """Draw up to twelve photos with true (solid) and predicted (dashed) boxes, worst first.

    The photos are spread evenly over the ranks of `shares` (N,), the overlaps; boxes (N, 4) are in
    pixels of the original photos. A photo that cannot be read is left white.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    order = np.argsort(np.asarray(shares, float), kind="stable")
    chosen = (
        order[np.unique(np.linspace(0, len(order) - 1, MOST).astype(int))] if len(order) else order
    )
    rows = max(-(-len(chosen) // ACROSS), 1)
    figure = Figure(figsize=(WIDTH, 0.6 + 1.55 * rows), layout="constrained", facecolor="white")
    places = np.atleast_1d(figure.subplots(rows, ACROSS)).ravel()
    for axes in places:
        axes.set_axis_off()
    both = np.asarray(truth, float), np.asarray(prediction, float)
    for axes, i in zip(places, chosen, strict=False):
        _draw(axes, photos[i], both[0][i], both[1][i])
        axes.set_title(f"overlap {readable(float(np.asarray(shares)[i]), 2)}", fontsize=9)
    handles = [
        Line2D([], [], color=BLUE, linewidth=2, label="true"),
        Line2D([], [], color=ORANGE, linewidth=2, linestyle="--", label="predicted"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw(axes: Any, path: Path, truth: Any, prediction: Any) -> None:
    from matplotlib.patches import Rectangle
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as photo:
            upright = ImageOps.exif_transpose(photo).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return
    width, height = upright.size
    upright.thumbnail((SIDE, SIDE))
    axes.imshow(np.asarray(upright), extent=(0, width, height, 0))
    for box, colour, style in ((truth, BLUE, "-"), (prediction, ORANGE, "--")):
        corner, size = (box[0], box[1]), box[2:] - box[:2]
        axes.add_patch(
            Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=1.8, linestyle=style)
        )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
