"""Plots of calibration: coverage of intervals, reliability diagram, values with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from multimodal.core.formatting import short_number
from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.evaluation.confidence import ConfidenceCheck, IntervalCheck, binomial_band
from multimodal.report.plots import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    RED,
    annotate,
    format_numbers,
    new_axes,
    plain,
    write_words,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def interval_levels(check: IntervalCheck, name: str) -> Figure:
    """Draw the coverage of intervals by their nominal level.

    Example:
    >>> flat = {"constant_coverage": 0.9, "constant_width": 1.0, "constant_score": 2.0}
    >>> values = {"level": 0.9, "n": 9, "coverage": 0.9, "band": (0.6, 1), "width": 1.0, "score": 2}
    >>> figure = interval_levels(IntervalCheck(**values, **flat, coverages={0.9: 0.9}), "price")
    """
    figure, axes = new_axes(3.6)
    levels, covered = list(check.coverages), list(check.coverages.values())
    # of the rows as they are: how far chance moves the coverage of exact intervals
    bands = [binomial_band(check.n, level) for level in levels]
    low, high = [band[0] for band in bands], [band[1] for band in bands]
    axes.fill_between(
        levels, low, high, color=FAINT, alpha=0.2, label="99 % band of exact intervals"
    )
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    axes.plot(levels, covered, color=BLUE, marker="o", label=f"{check.n:,} test rows")
    axes.set_xlim(min(levels, default=0.5) - 0.03, 1.01)
    axes.set_ylim(min([*low, *covered], default=0.5) - 0.03, 1.01)
    write_words(axes, f"Intervals of {name}", "nominal level", "coverage")
    axes.legend(frameon=False, loc="upper left")
    return figure


def interval_parts(check: IntervalCheck, name: str, unit: str = "") -> Figure:
    """Draw the coverage of intervals by predicted value, with their widths.

    Example:
    >>> part = {"lower": 1.0, "upper": 2.0, "n": 9, "coverage": 0.9, "band": (0.6, 1), "width": 1.0}
    >>> flat = {"constant_coverage": 0.9, "constant_width": 1.0, "constant_score": 2.0}
    >>> values = {"level": 0.9, "n": 9, "coverage": 0.9, "band": (0.6, 1), "width": 1.0, "score": 2}
    >>> figure = interval_parts(IntervalCheck(**values, **flat, parts=[part]), "price", "EUR")
    """
    figure, axes = new_axes(3.4)
    for i, part in enumerate(check.parts):
        low, high = part.band
        axes.bar(i, high - low, bottom=low, width=0.6, color=FAINT, alpha=0.2)
        axes.plot([i], [part.coverage], color=BLUE, marker="o", linestyle="none")
        words = plain(f"mean width {short_number(part.width)} {unit}", 24)
        annotate(axes, words, (i, low), (0, -14), ha="center", fontsize=9, color=INK)
    axes.axhline(check.level, color=ORANGE, linewidth=1.5, linestyle="--")
    ends = [each for part in check.parts for each in (part.band[0], part.coverage)]
    axes.set_ylim(min([*ends, check.level]) - 0.08, 1.02)
    axes.set_xlim(-0.6, max(len(check.parts), 1) - 0.4)
    names = [f"{short_number(part.lower)} to\n{short_number(part.upper)}" for part in check.parts]
    axes.set_xticks(range(len(names)), names)
    title = f"Intervals of {name} at {check.level:.0%}, by predicted value"
    write_words(axes, title, f"predicted value {unit}".strip(), "coverage")
    return figure


def confidence(check: ConfidenceCheck, name: str) -> Figure:
    """Draw a reliability diagram: the accuracy of predictions against their probability.

    Example:
    >>> bins = [{"probability": 0.8, "right": 0.7, "n": 9}]
    >>> values = {"temperature": 1.5, "n": 9, "ece": 0.1, "ece_before": 0.2}
    >>> found = ConfidenceCheck(**values, log_loss=0.5, log_loss_before=0.6, bins=bins)
    >>> figure = confidence(found, "mood")
    """
    figure, axes = new_axes(3.6)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="perfect calibration")
    probability, right = [b.probability for b in check.bins], [b.right for b in check.bins]
    words = f"test rows, {max((b.n for b in check.bins), default=0):,} predictions a point"
    axes.plot(probability, right, color=BLUE, marker="o", linewidth=1, label=words)
    lowest = min([*probability, *right], default=0.0) - 0.03
    axes.set_xlim(lowest, 1.02)
    axes.set_ylim(lowest, 1.02)
    title = (
        f"Calibration of {name}: error (ECE) {check.ece:.1%}, "
        f"{check.ece_before:.1%} before temperature {check.temperature:.2f}"
    )
    write_words(axes, title, "probability", "accuracy")
    axes.legend(frameon=False, loc="upper left")
    return figure


def dots(
    names: Sequence[str],
    found: Sequence[ConfidenceInterval],
    title: str,
    across: str,
    *,
    overall: float | None = None,
    percent: bool = False,
    faint: Sequence[bool] = (),
) -> Figure:
    """Draw values with their intervals, the first on top; `overall` is a dashed line.

    Args:
        names: One per value.
        found: The values; an interval that is not finite is left out.
        title: What the picture shows.
        across: What the axis shows.
        overall: The value of all rows together.
        percent: Write the axis in per cent.
        faint: Which of them are drawn faint, since they stand for too few rows.

    Example:
    >>> found = [ConfidenceInterval(1, 0, 2), ConfidenceInterval(3, 2, 4)]
    >>> figure = dots(["red", "blue"], found, "Error", "RMSE")
    """
    from matplotlib.ticker import PercentFormatter

    figure, axes = new_axes(1.3 + 0.3 * max(len(found), 3))
    pale = [*faint, *[False] * (len(found) - len(faint))]
    for place, (each, weak) in enumerate(zip(found, pale, strict=True)):
        if math.isfinite(each.low) and math.isfinite(each.high):
            axes.hlines(place, each.low, each.high, color=FAINT if weak else INK, linewidth=1.6)
        axes.scatter(
            each.value,
            place,
            s=44,
            zorder=3,
            color="white" if weak else BLUE,
            edgecolors=FAINT if weak else BLUE,
        )
    axes.set_yticks(range(len(found)), labels=[plain(name, 26, 1) for name in names])
    axes.set_ylim(len(found) - 0.5, -0.5)
    if overall is not None:
        label = f"all rows: {overall:.1%}" if percent else f"all rows: {short_number(overall, 3)}"
        axes.axvline(overall, color=RED, linestyle="--", linewidth=1.4, label=label)
        axes.figure.legend(loc="outside lower center", frameon=False)
    axes.locator_params(axis="x", nbins=6)
    write_words(axes, title, across)
    if percent:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))  # as many digits as the range needs
    else:
        format_numbers(axes.xaxis)
    return figure
