"""Target leakage: columns that state, follow or determine what is to be predicted.

A leak is named, never mended in silence: whether a column is known before the prediction is wanted
only the user can say. Three kinds are looked for: texts that state the target, leakage by value (a
number follows the target, or a category determines it), and leakage by combination (numbers whose
sum or product is the target).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.dates import date_parts, parse_dates
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.schema import Schema
from multimodal.data.features.bins import quantile_bins
from multimodal.data.labels.cells import Label
from multimodal.data.read.lazy_text import in_memory, on_disk
from multimodal.data.read.sampling import sample_rows
from multimodal.data.read.table import Table

LOOKED_AT = 10_000  # rows
MIN_STATED, MIN_NAMED = 0.05, 0.2  # fractions of the cells that state a number, name a class
MIN_CORRELATION, MIN_RIGHT, MIN_EXPLAINED = 0.9, 0.98, 0.999
_LEAST_KNOWN, _LEAST_ROWS = 20, 50  # rows for a correlation, for a sum or product
_PAIRED, _BINS = 8, 50  # columns of fewest categories that are looked at in pairs; quantiles
_NUMBER = re.compile(r"\d+(?:,\d+)*(?:\.\d+)?")


def leakage_notes(table: Table, labels: Mapping[str, Label], schema: Schema) -> list[str]:
    """Return the sentences about each column that is learned as a number or class, each once.

    Of a table larger than memory a sample is looked at.
    """
    rows = sample_rows(table.frame)
    frame = in_memory(table.frame.iloc[rows]) if on_disk(table.frame) else table.frame
    kinds = ("number", "class")
    learned = {label.columns[0]: label for label in labels.values() if label.kind in kinds}
    return [
        sentence
        for column, label in learned.items()
        for sentence in leakage_warnings(frame, schema, column, label.take(rows).values)
    ]


def leakage_warnings(
    frame: pd.DataFrame, schema: Schema, target: str, y_true: NDArray[Any]
) -> list[str]:
    """Return a sentence for every column, or pair or sum of columns, that gives the target away.

    At most 10,000 rows are looked at, drawn evenly. Named are:

    - texts and categories in which the row's own number stands in more than 5 % of the cells, and
      three times as often as another row's; texts of which a fifth name one class, 95 % of them
      rightly;
    - number and date columns whose correlation with a number, of ranks or of logarithms, is at
      least 0.9;
    - categories, and pairs of categories, whose other rows of the same value determine the row's
      target: the class in 98 % of the rows, or the number with a correlation of at least 0.9;
      number columns that determine the class so by fifty quantiles;
    - numbers that together explain 99.9 % of the target's variance on rows kept apart, as a sum or
      as a product.

    Args:
        frame: The rows.
        schema: The columns to look at; others are passed over.
        target: Name of the target, for the sentences.
        y_true: (rows,), the target: float64 with NaN where it is missing, or objects, classes with
            None where it is missing.

    Example:
    >>> from multimodal.data.read.readers import read_table
    >>> from multimodal.data.columns.schema import infer_schema
    >>> rows = [{"net": i * i / 7, "code": "xyz"[i % 3], "kind": "abc"[i % 3]} for i in range(99)]
    >>> table = read_table(rows)
    >>> kinds = table.frame["kind"].to_numpy(object)
    >>> schema = infer_schema(table, targets=["kind"])
    >>> leakage_warnings(table.frame, schema, "kind", kinds)[0][:38]
    "column 'code' tells the kind: in 100% "
    """
    # A fixed seed: the same table must always get the same warnings.
    if len(frame) > LOOKED_AT:
        rows = np.sort(np.random.default_rng(0).choice(len(frame), LOOKED_AT, replace=False))
        frame, y_true = frame.iloc[rows], y_true[rows]
    numbers = {
        name: parse_numbers(frame[name], schema.column(name)).values
        for name in schema.names("number")
    }
    numbers |= {
        name: date_parts(parse_dates(frame[name], schema.column(name)).values, "days")
        for name in schema.names("date")
    }
    leaks = _class_leaks if y_true.dtype == object else _number_leaks
    return [found for found in leaks(frame, schema, target, y_true, numbers) if found]


def _number_leaks(
    frame: pd.DataFrame, schema: Schema, target: str, y_true: Floats, numbers: dict[str, Floats]
) -> list[str | None]:
    wordy = [*schema.names("text"), *schema.names("category")]
    found = [_states_number(frame[name], name, target, y_true) for name in wordy]
    followed = {name: _follows(each, name, target, y_true) for name, each in numbers.items()}
    known = np.isfinite(y_true)

    def strength(keys: Ints) -> float:
        guess = mean_of_others(keys, np.where(known, y_true, 0.0), known)
        both = np.isfinite(guess) & known
        if both.sum() < max(_LEAST_KNOWN, len(y_true) / 2) or not np.ptp(guess[both]):
            return 0.0
        return _correlation(guess[both], y_true[both])  # a rare value gives -1 by itself

    told = _by_category(
        frame, schema, target, strength, MIN_CORRELATION, "with a correlation of {:.2f}".format
    )
    free = {name: values for name, values in numbers.items() if not followed[name]}
    return [*found, *followed.values(), *told, _by_combination(free, target, y_true)]


def _class_leaks(
    frame: pd.DataFrame,
    schema: Schema,
    target: str,
    y_true: NDArray[Any],
    numbers: dict[str, Floats],
) -> list[str | None]:
    codes = _codes(y_true)
    found = [_names_class(frame[name], name, target, y_true) for name in schema.names("text")]
    counts = np.bincount(codes[codes >= 0], minlength=1)
    commonest = counts.max() / max(counts.sum(), 1)

    def strength(keys: Ints) -> float:
        right = accuracy_of_others(keys, codes)
        return right if 1 - right <= (1 - commonest) / 10 else 0.0

    how = "in {:.0%} of the rows".format
    told = _by_category(frame, schema, target, strength, MIN_RIGHT, how)
    for name, values in numbers.items():
        right = strength(quantile_bins(values, _BINS))
        if right >= MIN_RIGHT:
            told.append(_tells(f"column '{name}' tells", target, how(right)))
    return [*found, *told]


def _by_category(
    frame: pd.DataFrame,
    schema: Schema,
    target: str,
    strength: Callable[[Ints], float],
    least: float,
    how: Callable[[float], str],
) -> list[str]:
    """Name the categories, then the pairs of others, whose values determine the target."""
    keys = {name: _codes(as_text(frame[name])) for name in schema.names("category")}
    alone = {name: strength(values) for name, values in keys.items()}
    found = [
        _tells(f"column '{name}' tells", target, how(each))
        for name, each in alone.items()
        if each >= least
    ]
    rest = [name for name, each in alone.items() if not each >= least]
    rest = sorted(rest, key=lambda name: int(keys[name].max(initial=0)))[:_PAIRED]
    for first, second in combinations(rest, 2):
        both = strength(joint_keys(keys[first], keys[second]))
        if both >= least:
            found.append(
                _tells(f"columns '{first}' and '{second}' together tell", target, how(both))
            )
    return found


def _tells(who: str, target: str, how: str) -> str:
    return (
        f"{who} the {target}: {how}, the other rows with the same value have the answer. If that "
        "is not known before the prediction is wanted, set the kind to 'ignored'."
    )


def _codes(values: NDArray[Any]) -> Ints:
    return np.asarray(pd.factorize(values)[0], np.int64)


def _by_combination(numbers: dict[str, Floats], target: str, y_true: Floats) -> str | None:
    found = determined_by(numbers, y_true)
    if found is None:
        return None
    names, how, explained = found
    listed = ", ".join(f"'{name}'" for name in names[:-1]) + f" and '{names[-1]}'"
    return (
        f"columns {listed} together give the {target} away: as a {how} they explain "
        f"{explained:.2%} of it. If one of them is not known before the prediction is wanted, set "
        "its kind to 'ignored'."
    )


def _states_number(series: pd.Series[Any], name: str, target: str, y_true: Floats) -> str | None:
    """Say so if texts state the row's own number, more often than another row's."""
    numbers = [
        {float(each.replace(",", "")) for each in _NUMBER.findall(cell)}
        if isinstance(cell, str)
        else set()
        for cell in series
    ]
    # Against the targets of other rows: small whole numbers stand in most texts by chance.
    mixed = np.random.default_rng(0).permutation(y_true)
    own = np.array([value in stated for value, stated in zip(y_true, numbers, strict=True)])
    other = [value in stated for value, stated in zip(mixed, numbers, strict=True)]
    if own.mean() <= MIN_STATED or own.mean() <= 3 * np.mean(other):
        return None
    return (
        f"column '{name}': {int(own.sum()):,} of {len(own):,} cells state their own {target} "
        f"({own.mean():.0%}). A model that reads them learns to copy; tomorrow's rows may not "
        f"state it. Remove the number from the text, or set the column's kind to 'ignored'."
    )


def _names_class(
    series: pd.Series[Any], name: str, target: str, y_true: NDArray[Any]
) -> str | None:
    """Say so if texts name a class, and it is the row's own."""
    classes = sorted({each.casefold() for each in y_true if each is not None}, key=len)[::-1]
    if len(classes) < 2:
        return None
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, classes))})\b")
    named = [set(pattern.findall((text or "").casefold())) for text in as_text(series)]
    one = [i for i, found in enumerate(named) if len(found) == 1 and y_true[i] is not None]
    right = sum(y_true[i].casefold() in named[i] for i in one)
    if len(one) < MIN_NAMED * len(y_true) or right < 0.95 * len(one):
        return None
    return (
        f"column '{name}': {right:,} of {len(y_true):,} cells name their own {target}. A model "
        "that reads them learns to copy; tomorrow's rows may not name it. Remove the words, or set "
        "the column's kind to 'ignored'."
    )


def _follows(numbers: Floats, name: str, target: str, y_true: Floats) -> str | None:
    """Say so if a number is correlated with the target."""
    both = np.isfinite(numbers) & np.isfinite(y_true)
    if both.sum() < _LEAST_KNOWN or not (np.ptp(numbers[both]) and np.ptp(y_true[both])):
        return None
    correlation = _correlation(numbers[both], y_true[both])
    if not abs(correlation) >= MIN_CORRELATION:
        return None
    return (
        f"column '{name}' follows the {target} closely (correlation {correlation:.2f}). If it is "
        "not known before the prediction is wanted, set the column's kind to 'ignored'."
    )


def _correlation(first: Floats, second: Floats) -> float:
    """Return the stronger of two correlations: of ranks, and of logarithms where all are > 0."""
    ranks = [pd.Series(values).rank().to_numpy(np.float64) for values in (first, second)]
    found = [float(np.corrcoef(ranks[0], ranks[1])[0, 1])]
    if first.min() > 0 and second.min() > 0:
        found.append(float(np.corrcoef(np.log(first), np.log(second))[0, 1]))
    return max(found, key=abs)


def mean_of_others(keys: Ints, values: Floats, known: Bools) -> Floats:
    """Return float64 (N,): the mean of `values` over the *other* known rows of the same key.

    Args:
        keys: (N,), -1 for none.
        values: (N,).
        known: (N,), which rows count.

    Returns:
        NaN where no other known row has the key.

    Example:
    >>> keys, ones = np.array([0, 0, 1, -1]), np.ones(4, bool)
    >>> mean_of_others(keys, np.array([5.0, 7.0, 1.0, 1.0]), ones).tolist()
    [7.0, 5.0, nan, nan]
    """
    there = (keys >= 0) & known
    size = int(keys.max(initial=0)) + 1
    totals = np.bincount(keys[there], values[there], size)[keys]
    counts = np.bincount(keys[there], minlength=size)[keys] - there
    fine = (keys >= 0) & (counts > 0)
    others = totals - np.where(there, values, 0.0)
    return np.asarray(np.divide(others, counts, out=np.full(len(keys), np.nan), where=fine))


def accuracy_of_others(keys: Ints, codes: Ints) -> float:
    """Return the fraction of rows whose class is the commonest among the other rows of their key.

    0 if fewer than half of the rows have another row of their key. Ties are wrong.

    Args:
        keys: (N,), -1 for none.
        codes: (N,), the class, -1 for none.

    Example:
    >>> accuracy_of_others(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1]))
    1.0
    """
    there = (keys >= 0) & (codes >= 0)
    pairs, own, counts = np.unique(
        keys[there] * (codes.max(initial=0) + 1) + codes[there],
        return_inverse=True,
        return_counts=True,
    )
    value = pairs // (codes.max(initial=0) + 1)
    order = np.lexsort((counts, value))
    best, second = np.zeros((2, int(keys.max(initial=0)) + 1), np.int64)
    for pair in order:  # each value's commonest class comes last
        second[value[pair]], best[value[pair]] = best[value[pair]], counts[pair]
    mine, at = counts[own], keys[there]
    others = np.where(mine == best[at], second[at], best[at])
    several = (best + second)[at] > 1
    if several.sum() < len(keys) / 2:
        return 0.0
    return float(np.mean((mine - 1 > others)[several]))


def joint_keys(first: Ints, second: Ints) -> Ints:
    """Return one key for each pair of keys, -1 where one is missing."""
    both = np.where((first >= 0) & (second >= 0), first * (second.max(initial=0) + 1) + second, -1)
    found, keys = np.unique(both, return_inverse=True)
    return np.asarray(keys - (len(found) > 0 and found[0] < 0), np.int64)


def determined_by(
    numbers: Mapping[str, Floats], y_true: Floats
) -> tuple[list[str], str, float] | None:
    """Return which numbers make up the target, as a `sum` or `product`, and R².

    Half of the rows are fitted, by least squares, the other half judged; columns go one by one as
    long as the others still explain 99.9 % of the variance.

    Args:
        numbers: By name, float64 (N,), NaN where missing.
        y_true: float64 (N,).

    Returns:
        None unless two or more columns explain 99.9 % together.
    """
    for how in ("sum", "product"):
        columns = _usable(numbers, y_true, how == "product")
        if columns is None:
            continue
        names, matrix, goal = columns
        left = list(range(len(names)))
        while len(left) > 1 and _explained(matrix[:, left], goal) >= MIN_EXPLAINED:
            without = [[i for i in left if i != gone] for gone in left]
            explained = [_explained(matrix[:, each], goal) for each in without]
            if max(explained) < MIN_EXPLAINED:
                return [names[i] for i in left], how, _explained(matrix[:, left], goal)
            left = without[int(np.argmax(explained))]
    return None


def _usable(
    numbers: Mapping[str, Floats], y_true: Floats, logarithms: bool
) -> tuple[list[str], Floats, Floats] | None:
    """Return names, numbers (rows, columns) and target of the rows that have them all."""
    names = [name for name, each in numbers.items() if np.isfinite(each).mean() > 0.5]
    if logarithms:
        names = [name for name in names if np.nanmin(numbers[name]) > 0]
        y_true = np.log(y_true, out=np.full(len(y_true), np.nan), where=y_true > 0)
    if len(names) < 2:
        return None
    matrix = np.stack([numbers[name] for name in names], axis=1)
    full = np.isfinite(matrix).all(axis=1) & np.isfinite(y_true)
    matrix, y_true = matrix[full], y_true[full]
    if len(y_true) < max(_LEAST_ROWS, 5 * len(names)) or not np.ptp(y_true):
        return None
    return names, np.log(matrix) if logarithms else matrix, y_true


def _explained(matrix: Floats, goal: Floats) -> float:
    """Return R² of least squares on every second row, judged on the others."""
    size = np.abs(matrix).max(axis=0)
    matrix = matrix / np.where(size > 0, size, 1.0)  # squares of large numbers overflow
    goal = goal / (np.abs(goal).max() or 1.0)
    scale = matrix.std(axis=0) + 1e-300
    moved = np.column_stack([(matrix - matrix.mean(axis=0)) / scale, np.ones(len(matrix))])
    mixed = np.random.default_rng(0).permutation(len(goal))
    fit, judge = mixed[::2], mixed[1::2]
    weights = np.linalg.lstsq(moved[fit], goal[fit], rcond=None)[0]
    missed = goal[judge] - moved[judge] @ weights
    return float(1 - np.var(missed) / max(np.var(goal[judge]), 1e-300))
