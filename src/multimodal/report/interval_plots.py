"""Pictures of values with their intervals: a dot and a line each, one below the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from multimodal.evaluation.bootstrap import Interval
from multimodal.evaluation.measures import readable
from multimodal.report.plots import BLUE, FAINT, INK, RED, new_axes, plain, write_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def dots(
    names: Sequence[str],
    found: Sequence[Interval],
    title: str,
    across: str,
    *,
    usual: float | None = None,
    percent: bool = False,
    faint: Sequence[bool] = (),
) -> Figure:
    """Draw values with their intervals, the first on top; `usual` is a dashed line.

    Args:
        names: One per value.
        found: The values; an interval that is not finite is left out.
        title: What the picture shows.
        across: What the axis shows.
        usual: The value of all rows together.
        percent: Write the axis in per cent.
        faint: Which of them are drawn faint, since they stand for too few rows.

    Example:
    >>> figure = dots(["red", "blue"], [Interval(1, 0, 2), Interval(3, 2, 4)], "Error", "RMSE")
    """
    from matplotlib.ticker import FuncFormatter

    figure, axes = new_axes(1.3 + 0.3 * max(len(found), 3))
    pale = [*faint, *[False] * (len(found) - len(faint))]
    for place, (each, weak) in enumerate(zip(found, pale, strict=True)):
        if math.isfinite(each.low) and math.isfinite(each.high):
            axes.hlines(place, each.low, each.high, color=FAINT if weak else INK, linewidth=1.6)
        axes.scatter(each.value, place, s=44, zorder=3, color="white" if weak else BLUE,
                     edgecolors=FAINT if weak else BLUE)  # fmt: skip
    axes.set_yticks(range(len(found)), labels=[plain(name, 26, 1) for name in names])
    axes.set_ylim(len(found) - 0.5, -0.5)
    if usual is not None:
        label = f"all rows: {usual:.1%}" if percent else f"all rows: {readable(usual, 3)}"
        axes.axvline(usual, color=RED, linestyle="--", linewidth=1.4, label=label)
        axes.figure.legend(loc="outside lower center", frameon=False)
    axes.locator_params(axis="x", nbins=6)
    write_words(axes, title, across)
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:.0%}" if percent else readable(value))
    )
    return figure
