"""Does a column give the target away? Said aloud, never mended silently."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.data.numeric import parse_numbers
from multimodal.data.schema import Schema

MIN_SHARE = 0.05
MIN_CORRELATION = 0.9
_NUMBER = re.compile(r"\d+(?:,\d+)*(?:\.\d+)?")


def leakage_warnings(
    frame: pd.DataFrame, schema: Schema, target: str, truth: NDArray[np.float64]
) -> list[str]:
    """Return a sentence for every text that states the target and every number that copies it.

    A column of texts or categories is named where the target's own number stands in more than 5 %
    of its cells and three times as often as another row's target does; a number column where its
    correlation with the target, of ranks or of logarithms, is at least 0.9.

    Args:
        frame: the rows.
        schema: the columns to look at; others are passed over.
        target: name of the target, for the sentences.
        truth: float64 (rows,), the target; NaN where it is missing.
    """
    wordy = [*schema.names("text"), *schema.names("category")]
    found = [_text_states(frame[name], name, target, truth) for name in wordy]
    found += [_number_copies(frame, schema, name, target, truth) for name in schema.names("number")]
    return [sentence for sentence in found if sentence]


def _text_states(
    series: pd.Series[Any], name: str, target: str, truth: NDArray[np.float64]
) -> str | None:
    numbers = [_numbers_in(text) for text in series]
    mixed = np.random.default_rng(0).permutation(truth)
    own = np.array([value in stated for value, stated in zip(truth, numbers, strict=True)])
    other = [value in stated for value, stated in zip(mixed, numbers, strict=True)]
    if own.mean() <= MIN_SHARE or own.mean() <= 3 * np.mean(other):
        return None
    return (
        f"column '{name}': {int(own.sum()):,} of {len(own):,} cells state their own {target} "
        f"({own.mean():.0%}). A model that reads them learns to copy; tomorrow's rows may not "
        f"state it. Remove the number from the text, or set the column's kind to 'ignored'."
    )


def _numbers_in(text: object) -> set[float]:
    if not isinstance(text, str):
        return set()
    return {float(match.replace(",", "")) for match in _NUMBER.findall(text)}


def _number_copies(
    frame: pd.DataFrame, schema: Schema, name: str, target: str, truth: NDArray[np.float64]
) -> str | None:
    numbers = parse_numbers(frame[name], schema.column(name).unit)[0]
    both = np.isfinite(numbers) & np.isfinite(truth)
    if both.sum() < 20 or not (np.ptp(numbers[both]) and np.ptp(truth[both])):
        return None
    correlation = _correlation(numbers[both], truth[both])
    if not abs(correlation) >= MIN_CORRELATION:
        return None
    return (
        f"column '{name}' follows the {target} closely (correlation {correlation:.2f}). If it is "
        "not known before the prediction is wanted, set the column's kind to 'ignored'."
    )


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the stronger of two correlations: of ranks, and of logarithms where all are > 0."""
    ranks = [pd.Series(values).rank().to_numpy(np.float64) for values in (first, second)]
    found = [float(np.corrcoef(ranks[0], ranks[1])[0, 1])]
    if first.min() > 0 and second.min() > 0:
        found.append(float(np.corrcoef(np.log(first), np.log(second))[0, 1]))
    return max(found, key=abs)
