"""Does a column give the target away? Said aloud, never mended silently."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.data import columns as values
from multimodal.data.schema import Schema

MIN_SHARE = 0.05
MIN_CORRELATION = 0.9
_NUMBER = re.compile(r"\d+(?:,\d+)*(?:\.\d+)?")


def leakage_warnings(
    frame: pd.DataFrame, schema: Schema, target: str, truth: NDArray[np.float64]
) -> list[str]:
    """Return a sentence for every text that states the target and every number that copies it.

    A text column is named where the target's own number stands in more than 5 % of its texts and
    three times as often as another row's target does; a number column where its rank correlation
    with the target is at least 0.9.
    """
    found = [_text_states(frame[name], name, target, truth) for name in schema.names("text")]
    found += [_number_copies(frame, schema, name, target, truth) for name in schema.names("number")]
    return [sentence for sentence in found if sentence]


def _text_states(
    series: pd.Series, name: str, target: str, truth: NDArray[np.float64]
) -> str | None:
    numbers = [_numbers_in(text) for text in series]
    own = np.array([value in stated for value, stated in zip(truth, numbers, strict=True)])
    other = [value in stated for value, stated in zip(np.roll(truth, 1), numbers, strict=True)]
    if own.mean() <= MIN_SHARE or own.mean() <= 3 * np.mean(other):
        return None
    return (
        f"column '{name}': {int(own.sum()):,} of {len(own):,} texts state their own {target} "
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
    numbers = values.parse_numbers(frame[name], schema.column(name).unit)[0]
    both = np.isfinite(numbers) & np.isfinite(truth)
    if both.sum() < 20 or np.ptp(numbers[both]) == 0:
        return None
    ranks = pd.DataFrame({"column": numbers[both], "target": truth[both]}).rank()
    correlation = float(ranks.corr().iloc[0, 1])
    if not correlation >= MIN_CORRELATION:
        return None
    return (
        f"column '{name}' follows the {target} closely (rank correlation {correlation:.2f}). If it "
        "is not known before the prediction is wanted, set the column's kind to 'ignored'."
    )
