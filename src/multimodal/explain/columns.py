"""Shapley values of the columns of the table: how much each cell moved the score of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Bools, Floats
from multimodal.core.spec import MISSING, OUT_OF_VOCABULARY, FittedGroup
from multimodal.data.columns.cells import as_text
from multimodal.explain.attribution import ScoredRow, estimate_shapley_values, floats
from multimodal.explain.linear import LinearScores
from multimodal.explain.records import ColumnScore, ColumnScores

MOST_FREQUENT = 2  # the code of the first category: they are listed by how often they are seen
NO_VALUE = "missing"
UNKNOWN = "any unknown category"
LETTERS = ", but for its letters"  # which the linear model compares with those of others


def explain_columns(
    row: ScoredRow,
    groups: Sequence[FittedGroup],
    frame: pd.DataFrame,
    linear: LinearScores | None = None,
) -> ColumnScores | None:
    """Return the Shapley values of the table's columns, None where there are none to explain.

    A cell is compared with a typical value: the median of the training rows, or their most
    frequent category. The parts of a date belong together. Exact for at most eight columns.

    Args:
        row: The row, encoded.
        groups: The groups of the table that the row has.
        frame: The raw row.
        linear: What the sparse linear model adds to the row's score, where there is one.
    """
    names = sources(groups)
    if not names:
        return None
    own = {key: np.asarray(row.inputs[key]) for group in groups for key in group.input_keys}
    places = {name: i for i, name in enumerate(names)}

    def function(who: Bools) -> Floats:
        variants = {key: np.repeat(array, len(who), axis=0) for key, array in own.items()}
        for group in groups:
            for key, columns, typical in _kinds(group):
                kept = who[:, [places[column] for column in columns]]
                variants[key] = np.where(kept, own[key], typical).astype(own[key].dtype)
        found = floats(row.scores(variants, [group.name for group in groups]))
        return found if linear is None else found + linear.random_features(variants)

    scores, exact = estimate_shapley_values(function, len(names))
    start, end = function(np.array([[False] * len(names), [True] * len(names)])).tolist()
    if linear is not None:
        # It adds up column by column, so needs no coalitions; only its random features do.
        moved = linear.columns([group.name for group in groups], names)
        scores = scores + moved
        rest = linear.total - float(linear.random_features(own)[0])
        start, end = start + rest - float(moved.sum()), end + rest
    typical = _typical(groups)
    unknown = _unknown(groups, own, linear)
    columns = [
        ColumnScore(
            name, _shown(frame[name].iloc[0]), typical[name], float(score), unknown.get(name, "")
        )
        for name, score in zip(names, scores, strict=True)
    ]
    return ColumnScores(columns, start, end, exact)


def sources(groups: Sequence[FittedGroup]) -> list[str]:
    """Return the columns that groups of the table read, each once."""
    read: dict[str, None] = {}
    for group in groups:
        read |= dict.fromkeys(number.source for number in group.numeric)
        read |= dict.fromkeys(column.source for column in group.categorical)
    return list(read)


def _kinds(group: FittedGroup) -> list[tuple[str, list[str], Any]]:
    """Return the key, the source columns and the typical values of each input of a group."""
    found: list[tuple[str, list[str], Any]] = []
    if group.numeric:  # they are centred on their median
        found.append((f"{group.name}_numeric", [each.source for each in group.numeric], 0.0))
    if group.categorical:
        codes = [MOST_FREQUENT if each.categories else MISSING for each in group.categorical]
        columns = [each.source for each in group.categorical]
        found.append((f"{group.name}_categorical", columns, np.array(codes)))
    return found


def _typical(groups: Sequence[FittedGroup]) -> dict[str, str]:
    """Return the typical value of each column, as shown."""
    found: dict[str, str] = {}
    for group in groups:
        for number in group.numeric:
            typical = "the usual members" if number.member else "median date"
            shown = f"{number.centre:.6g}" if number.part is None else typical
            found[number.source] = shown
        for column in group.categorical:
            found[column.source] = column.categories[0] if column.categories else NO_VALUE
    return found


def _unknown(
    groups: Sequence[FittedGroup], own: Mapping[str, Any], linear: LinearScores | None
) -> dict[str, str]:
    """Return the columns whose category the model does not know, and what it counts as."""
    found: dict[str, str] = {}
    for group in groups:
        for i, column in enumerate(group.categorical):
            if own[f"{group.name}_categorical"][0, i] == OUT_OF_VOCABULARY:
                lettered = linear is not None and linear.reads_letters(group.name, column.source)
                found[column.source] = UNKNOWN + (LETTERS if lettered else "")
    return found


def _shown(value: Any) -> str:
    return as_text([value])[0] or NO_VALUE
