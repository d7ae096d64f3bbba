"""The pictures of predicted classes: what is taken for what, and how sure it may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.formatting import short_number
from multimodal.report.plots import BLUE, FAINT, RED, new_axes, plain, write_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimodal.report.plots import INK, ORANGE, WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 15
OTHERS = "(others)"
BINS = 10


def confusion(
    y_true: Sequence[str], prediction: Sequence[str], classes: Sequence[str], name: str
) -> Figure:
    """Draw how many rows of each true class were taken for which class; colours are row shares.

    Of more than 15 classes the most frequent are shown and the others counted together.

    Example:
    >>> figure = confusion(["a", "b"], ["a", "a"], ["a", "b"], "letter")
    """
    known, guessed, names = _fewer(y_true, prediction, classes)
    size = len(names)
    counts = np.zeros((size, size), int)
    np.add.at(counts, (known, guessed), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = new_axes(1.9 + 0.34 * size)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    labels = [plain(each, 18, 1) for each in names]
    axes.set_xticks(range(size), labels=labels, rotation=0 if size <= 3 else 60, ha="center")
    axes.set_yticks(range(size), labels=labels)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = readable_on(image.cmap(share[row, column]))
        shown = f"{counts[row, column]:,}"
        axes.text(column, row, shown, ha="center", va="center", fontsize=9, color=colour)
    title = f"What {name} was taken for, {len(known):,} test rows"
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
    return "white" if linear @ [0.2126, 0.7152, 0.0722] < 0.179 else "black"


def reliability(probability: ArrayLike, right: ArrayLike, name: str) -> Figure:
    """Draw how often predictions of a probability (N,) came true, `right` (N,) being 0 or 1.

    Each dot is a tenth of the range of probabilities, larger where more rows lie; honest
    probabilities lie on the line.

    Example:
    >>> figure = reliability([0.9, 0.8], [True, False], "mood")
    """
    p, hit = np.asarray(probability, float), np.asarray(right, float)
    figure, axes = new_axes(4.6)
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    there = np.unique(place)
    means = np.array([[p[place == i].mean(), hit[place == i].mean()] for i in there])
    sizes = np.array([(place == i).sum() for i in there])
    axes.plot([0, 1], [0, 1], color=RED, linewidth=1.5, label="honest probabilities")
    area = 30 + 300 * sizes / sizes.max()
    axes.scatter(means[:, 0], means[:, 1], s=area, color=BLUE, alpha=0.8, linewidths=0, zorder=3)
    for (x, y), count in zip(means, sizes, strict=True):
        axes.annotate(
            f"{count:,}",
            (x, y),
            xytext=(9, -3),
            textcoords="offset points",
            fontsize=9,
            color=FAINT,
        )
    axes.set_xlim(-0.02, 1.06)
    axes.set_ylim(-0.02, 1.04)
    gap = float(np.average(np.abs(means[:, 0] - means[:, 1]), weights=sizes))
    title = f"Are the probabilities of {name} right? Mean gap {short_number(gap, 2)}"
    write_words(axes, title, "probability given", "share that came true")
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
    photos: Sequence[Path], y_true: ArrayLike, prediction: ArrayLike, shares: ArrayLike
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
    both = np.asarray(y_true, float), np.asarray(prediction, float)
    for axes, i in zip(places, chosen, strict=False):
        _draw(axes, photos[i], both[0][i], both[1][i])
        axes.set_title(f"overlap {short_number(float(np.asarray(shares)[i]), 2)}", fontsize=9)
    handles = [
        Line2D([], [], color=BLUE, linewidth=2, label="true"),
        Line2D([], [], color=ORANGE, linewidth=2, linestyle="--", label="predicted"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw(axes: Any, path: Path, y_true: Any, prediction: Any) -> None:
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
    for box, colour, style in ((y_true, BLUE, "-"), (prediction, ORANGE, "--")):
        corner, size = (box[0], box[1]), box[2:] - box[:2]
        axes.add_patch(
            Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=1.8, linestyle=style)
        )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
