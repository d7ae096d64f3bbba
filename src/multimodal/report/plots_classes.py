"""Plots of predicted classes and boxes: confusion matrix, reliability diagram, IoU, photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.errors import DataError
from multimodal.core.formatting import short_number
from multimodal.data.photos.names import Photo
from multimodal.data.photos.read import photo_size, shrunk
from multimodal.report.plots import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    RED,
    WIDTH,
    annotate,
    new_axes,
    plain,
    write_words,
)
from multimodal.report.slices import reliability_bins

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES, OTHERS = 15, "(others)"
ACROSS, MOST_PHOTOS, SIDE = 4, 12, 320  # of the contact sheet: columns, photos, pixels


def confusion(
    y_true: Sequence[str], prediction: Sequence[str], classes: Sequence[str], name: str
) -> Figure:
    """Draw the confusion matrix: rows of each true class by predicted class, coloured by fraction.

    Of more than 15 classes the most frequent are shown and the others counted together.

    Example:
    >>> figure = confusion(["a", "b"], ["a", "a"], ["a", "b"], "letter")
    """
    known, guessed, names = _fewer(y_true, prediction, classes)
    size = len(names)
    counts = np.zeros((size, size), int)
    np.add.at(counts, (known, guessed), 1)
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = new_axes(1.9 + 0.34 * size)
    image = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    labels = [plain(each, 18, 1) for each in names]
    axes.set_xticks(range(size), labels=labels, rotation=0 if size <= 3 else 60, ha="center")
    axes.set_yticks(range(size), labels=labels)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = readable_on(image.cmap(fraction[row, column]))
        shown = f"{counts[row, column]:,}"
        axes.text(column, row, shown, ha="center", va="center", fontsize=9, color=colour)
    title = f"Confusion matrix of {name}, {len(known):,} test rows"
    write_words(axes, title, f"predicted {name}", f"true {name}")
    return figure


def readable_on(background: Sequence[float]) -> str:
    """Return black or white, whichever stands out more from a colour of red, green and blue.

    Source: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance

    Example:
    >>> readable_on([1, 1, 0.9]), readable_on([0, 0.2, 0.5])
    ('black', 'white')
    """
    channels = np.asarray(background[:3], float)
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    # At a luminance of 0.179 black and white have the same contrast.
    return "white" if linear @ [0.2126, 0.7152, 0.0722] < 0.179 else "black"


def reliability(probability: ArrayLike, right: ArrayLike, name: str) -> Figure:
    """Draw how often predictions of a probability (N,) came true, `right` (N,) being 0 or 1.

    Each dot is a tenth of the range of probabilities, larger where more rows lie; calibrated
    probabilities lie on the line.

    Example:
    >>> figure = reliability([0.9, 0.8], [True, False], "mood")
    """
    figure, axes = new_axes(4.6)
    bins = reliability_bins(probability, right)
    predicted, observed, sizes = bins.T
    axes.plot([0, 1], [0, 1], color=RED, linewidth=1.5, label="perfect calibration")
    area = 30 + 300 * sizes / sizes.max()
    axes.scatter(predicted, observed, s=area, color=BLUE, alpha=0.8, linewidths=0, zorder=3)
    for x, y, count in bins:
        annotate(axes, f"{count:,.0f}", (x, y), (9, -3), fontsize=9, color=FAINT)
    axes.set_xlim(-0.02, 1.06)
    axes.set_ylim(-0.02, 1.04)
    gap = float(np.average(np.abs(predicted - observed), weights=sizes))
    title = f"Reliability diagram of {name}: mean gap {short_number(gap, 2)}"
    write_words(axes, title, "predicted probability", "fraction that came true")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _fewer(
    y_true: Sequence[str], prediction: Sequence[str], classes: Sequence[str]
) -> tuple[list[int], list[int], list[str]]:
    """Return the positions of both in the list of names to show, and that list."""
    names = list(dict.fromkeys([*classes, *y_true, *prediction]))
    if len(names) > MOST_CLASSES:
        found, counts = np.unique(list(y_true), return_counts=True)
        most = set(found[np.argsort(-counts, kind="stable")[: MOST_CLASSES - 1]])
        names = [*(name for name in names if name in most), OTHERS]
    where = {name: i for i, name in enumerate(names)}
    last = len(names) - 1
    known, guessed = (
        [where.get(each, last) for each in each_side] for each_side in (y_true, prediction)
    )
    return known, guessed, names


def overlaps(ious: ArrayLike, name: str) -> Figure:
    """Draw how many boxes have which IoU (N,) with the true one, in tenths.

    Example:
    >>> figure = overlaps([0.7, 0.2], "cell")
    """
    values = np.asarray(ious, float)
    figure, axes = new_axes(3.4)
    axes.hist(values, bins=np.linspace(0, 1, 11), color=BLUE, edgecolor=INK, linewidth=0.5)
    axes.axvline(0.5, color=RED, linestyle="--", linewidth=1.5, label="found: IoU of at least 0.5")
    axes.yaxis.get_major_locator().set_params(integer=True)
    title = f"IoU of the boxes of {name}, {len(values):,} test rows"
    write_words(axes, title, "intersection over union with the true box", "rows")
    axes.legend(frameon=False, loc="upper left")
    return figure


def contact_sheet(
    photos: Sequence[Photo | Path], y_true: ArrayLike, prediction: ArrayLike, ious: ArrayLike
) -> Figure:
    """Draw up to twelve photos with true (solid) and predicted (dashed) boxes, worst first.

    The photos are spread evenly over the ranks of `ious` (N,); boxes (N, 4) are in
    pixels of the original photos. A photo that cannot be read is left white.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    order = np.argsort(np.asarray(ious, float), kind="stable")
    places = np.linspace(0, len(order) - 1, MOST_PHOTOS) if len(order) else np.empty(0)
    chosen = order[np.unique(places.astype(int))]
    rows = max(-(-len(chosen) // ACROSS), 1)
    figure = Figure(figsize=(WIDTH, 0.6 + 1.55 * rows), layout="constrained", facecolor="white")
    panels = np.atleast_1d(figure.subplots(rows, ACROSS)).ravel()
    for axes in panels:
        axes.set_axis_off()
    both = np.asarray(y_true, float), np.asarray(prediction, float)
    for axes, i in zip(panels, chosen, strict=False):
        _draw(axes, photos[i], both[0][i], both[1][i])
        axes.set_title(f"IoU {short_number(float(np.asarray(ious)[i]), 2)}", fontsize=9)
    handles = [
        Line2D([], [], color=BLUE, linewidth=2, label="true"),
        Line2D([], [], color=ORANGE, linewidth=2, linestyle="--", label="predicted"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw(axes: Any, photo: Photo | Path, y_true: Any, prediction: Any) -> None:
    from matplotlib.patches import Rectangle

    try:
        (width, height), small = photo_size(photo), shrunk(photo, SIDE)
    except DataError:
        return
    axes.imshow(np.asarray(small), extent=(0, width, height, 0))
    for box, colour, style in ((y_true, BLUE, "-"), (prediction, ORANGE, "--")):
        corner, size = (box[0], box[1]), box[2:] - box[:2]
        axes.add_patch(
            Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=1.8, linestyle=style)
        )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
