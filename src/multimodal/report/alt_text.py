"""Alt text: what a plot shows, in numbers, for readers who do not see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from multimodal.core.formatting import short_number
from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.evaluation.measures import format_metric, metric_label, ranked
from multimodal.evaluation.records import ModelScore
from multimodal.report.slices import Slice, reliability_bins
from multimodal.report.verdict import format_interval

MOST = 12
Write = Callable[[float], str]


def of_comparison(
    scores: Sequence[ModelScore],
    metric: str,
    found: Mapping[str, ConfidenceInterval],
    unit: str = "",
) -> str:
    """Describe the bars of `plots.comparison`, best first.

    Example:
    >>> score = ModelScore("Fusion", "fusion", "table", {"rmse": 3.0})
    >>> of_comparison([score], "rmse", {"Fusion": ConfidenceInterval(3, 2, 4)}, "EUR")
    'Bars of RMSE (EUR), the best first: Fusion 3.00 (2.00 to 4.00).'
    """
    bars = []
    for score in ranked(scores, metric)[:MOST]:
        span = found.get(score.label)
        between = "" if span is None else f" ({format_interval(metric, span)})"
        bars.append(f"{score.label:.60} {format_metric(metric, score.metrics[metric])}{between}")
    return f"Bars of {metric_label(metric, unit)}, the best first: {', '.join(bars)}."


def of_numbers(y_true: ArrayLike, prediction: ArrayLike, name: str, write: Write) -> str:
    """Describe the dots of `plots.predicted_against_true`.

    Example:
    >>> of_numbers([1, 2, 3], [1, 2, 4], "price", short_number)
    'Dots of predicted against true price: 3 rows, true values from 1 to 3, predictions from 1 to \
4, 0 too low and 1 too high; rank correlation 1.00.'
    """
    y, p = np.asarray(y_true, float), np.asarray(prediction, float)
    ranks = (
        ""
        if min(np.ptp(y), np.ptp(p)) == 0
        else (f"; rank correlation {pd.Series(y).rank().corr(pd.Series(p).rank()):.2f}")
    )
    return (
        f"Dots of predicted against true {name}: {len(y):,} rows, true values from "
        f"{write(y.min())} to {write(y.max())}, predictions from {write(p.min())} to "
        f"{write(p.max())}, {(p < y).sum():,} too low and {(p > y).sum():,} too high{ranks}."
    )


def of_tenths(y_true: ArrayLike, prediction: ArrayLike, tenths: Sequence[Slice], name: str) -> str:
    """Describe the boxes of `plots.residuals_by_decile`; each part stands in the table, too."""
    y, p = np.asarray(y_true, float), np.asarray(prediction, float)
    shown = (
        f"{short_number(each.lower, 3)} to {short_number(each.upper, 3)}: median error "
        f"{short_number(each.bias, 3)}"
        for each in tenths
    )
    return (
        f"Boxes of the error by predicted {name}, of all {len(y):,} rows a median of "
        f"{short_number(float(np.median(p - y)), 3)}: {'; '.join(shown)}."
    )


def of_dots(
    names: Sequence[str], found: Sequence[ConfidenceInterval], what: str, write: Write
) -> str:
    """Describe the dots of `plots_calibration.dots`, at most twelve of them.

    Example:
    >>> of_dots(["red"], [ConfidenceInterval(0.1, 0.05, 0.2)], "Error by colour", "{:.0%}".format)
    'Error by colour: red 10% (5% to 20%).'
    """
    shown = [
        f"{name:.40} {write(each.value)}"
        + (f" ({write(each.low)} to {write(each.high)})" if np.isfinite(each.low) else "")
        for name, each in zip(names[:MOST], found, strict=False)
    ]
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return f"{what}: {', '.join(shown)}{more}."


def of_confusion(y_true: Sequence[str], prediction: Sequence[str], name: str) -> str:
    """Describe the grid of `plots_classes.confusion`: the right rows, the most common mistakes.

    Example:
    >>> of_confusion(["a", "b", "b"], ["a", "a", "b"], "letter")
    'Confusion matrix of letter: 2 of 3 rows right. Most common mistakes: b predicted as a in 1 \
row.'
    """
    pairs = Counter(zip(y_true, prediction, strict=True))
    right = sum(count for (y, p), count in pairs.items() if y == p)
    wrong = [(pair, count) for pair, count in pairs.most_common() if pair[0] != pair[1]][:5]
    told = ", ".join(
        f"{y:.40} predicted as {p:.40} in {count:,} row{'' if count == 1 else 's'}"
        for (y, p), count in wrong
    )
    mistakes = f" Most common mistakes: {told}." if wrong else " No mistake."
    return f"Confusion matrix of {name}: {right:,} of {len(y_true):,} rows right.{mistakes}"


def of_reliability(probability: ArrayLike, right: ArrayLike) -> str:
    """Describe the dots of `plots_classes.reliability`, `right` (N,) being 0 or 1.

    Example:
    >>> of_reliability([0.9, 0.95], [1, 0])
    'Reliability diagram: predicted 92%, true 50% of 2 times.'
    """
    shown = [
        f"predicted {predicted:.0%}, true {observed:.0%} of {count:,.0f} times"
        for predicted, observed, count in reliability_bins(probability, right)
    ]
    return f"Reliability diagram: {'; '.join(shown)}."


def of_overlaps(ious: ArrayLike) -> str:
    """Describe the bars of `plots_classes.overlaps`; `ious` (N,) lie in [0, 1].

    Example:
    >>> of_overlaps([0.25, 0.75, 0.72])
    'Bars of the number of rows by IoU with the true box: 1 from 0.2 to 0.3, 2 from 0.7 to 0.8.'
    """
    # the tenths that `plots_classes.overlaps` draws
    edges = np.linspace(0, 1, 11)
    counts = np.histogram(np.asarray(ious, float), edges)[0]
    shown = [
        f"{count:,} from {low:.1f} to {high:.1f}"
        for count, (low, high) in zip(counts, pairwise(edges), strict=True)
        if count
    ]
    return f"Bars of the number of rows by IoU with the true box: {', '.join(shown)}."


def of_curves(log: pd.DataFrame) -> str:
    """Describe the lines of `plots.learning_curves`, of a log under a RangeIndex.

    Example:
    >>> of_curves(pd.DataFrame({"epoch": [1, 2], "loss": [3.0, 2.0], "val_loss": [4.0, 5.0]}))
    'Lines over 2 epochs: training loss from 3 to 2, least 2 in epoch 2; validation loss from 4 to \
5, least 4 in epoch 1.'
    """
    told = []
    for column, name in (("loss", "training"), ("val_loss", "validation")):
        values = pd.to_numeric(log[column], errors="coerce").dropna() if column in log else None
        if values is not None and len(values):
            first, last, least = (
                short_number(float(v), 3) for v in (values.iloc[0], values.iloc[-1], values.min())
            )
            epoch = log["epoch"].iloc[int(values.index[int(values.argmin())])]
            told.append(f"{name} loss from {first} to {last}, least {least} in epoch {epoch:g}")
    return f"Lines over {len(log):,} epochs: {'; '.join(told)}."


_LONGEST = 24


def format_amount(value: float, number_format: str = "#", digits: int = 4) -> str:
    """Write a number with its unit, unless that is long.

    Args:
        value: The number.
        number_format: The unit with `#` where the number stands, such as `$#` or `# EUR`.
        digits: Significant digits.

    Example:
    >>> format_amount(1234.5, "$#"), format_amount(-3.0, "$#"), format_amount(12.0, "# EUR")
    ('$1,234', '−$3', '12 EUR')
    """
    number = short_number(abs(value), digits)
    shown = (
        number_format.replace("#", number, 1)
        if len(number_format) <= _LONGEST and "#" in number_format
        else number
    )
    return f"−{shown}" if value < 0 else shown
