"""Training, validation and test splits, stratified, with rows that belong together in one split."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.config import Split
from multimodal.core.errors import DataError, choices
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.date_format import date_format
from multimodal.data.columns.dates import parse_dates
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.reading import PLAIN
from multimodal.data.features.bins import quantile_edges

SPLITS = ("train", "validation", "test")
Splits = npt.NDArray[np.object_]
Targets = Sequence[npt.NDArray[Any]]
_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_LEAST_ROWS = 10
_CLASSES = 20  # different numbers, up to which each is a stratum; more are cut at their deciles
_MOSTLY = 0.9  # fraction of cells that name a split, from which a column is meant as a split
_DIVISIBLE = 20  # groups that two targets must share to be a stratum


def split_rows(
    split: Split,
    frame: pd.DataFrame,
    *,
    groups: Ints,
    targets: Targets,
    seed: int,
    source: str = "",
    place: Callable[[int], str] | None = None,
) -> Splits:
    """Assign every row to a split.

    - `random`: stratified by target decile (or class), groups together. Of several targets,
      the first that a row has decides, and the others as far as there are rows enough. A class in
      fewer than three groups stays in training.
    - `time`: the latest rows test, those before validate; rows of one moment stay together, and
      a group goes with the latest of its rows.
    - `column`: as its words say (train, validation or val, test); without validation rows, some
      training rows become them, at random. Groups are not moved: see `leaking_rows`.

    Args:
        split: Method, column and fractions.
        frame: The rows.
        groups: int64 (N,) of `row_groups`.
        targets: Each (N,) numbers, or objects for classes; NaN and None are a stratum of their
            own.
        seed: Fixes the draw.
        source: Name of the table, for messages.
        place: Names the table and line of the row at a position, for messages; None counts rows.

    Returns:
        object (N,) of "train", "validation" and "test", each at least once; but for "test", where
        its fraction is 0.

    Raises:
        DataError: Fewer than ten rows, no such column, a cell that cannot be read, or rows that
            hang together so much that a split stays empty.
    """
    named = f"{source}: " if source else ""
    place = place or (lambda row: f"{source}, row {row + 1}".removeprefix(", "))
    if len(frame) < _LEAST_ROWS:
        raise DataError(
            f"{named}cannot split {len(frame)} rows into training, validation and test rows. "
            f"At least {_LEAST_ROWS} are needed."
        )
    if split.method == "column":
        splits = _by_column(split, _cells(split, frame, named), groups, targets, seed, place)
    elif split.method == "time":
        splits = _by_time(split, _cells(split, frame, named), groups, named, place)
    else:
        splits = random_splits(split.validation, split.test, groups, targets, seed)
    return _complete(split, splits, groups, named)


def names_validation(cells: pd.Series[Any]) -> bool:
    """Tell whether a split column names validation rows itself."""
    return any(_WORDS.get((text or "").lower()) == "validation" for text in as_text(cells))


def cells_without_split(cells: pd.Series[Any]) -> Ints | None:
    """Return the positions of the cells that name no split, ascending.

    None where the column is not meant as a split: less than nine cells in ten name one, or train or
    test does not occur.

    Example:
    >>> cells_without_split(pd.Series(["train"] * 7 + ["val", "test", "tset"])).tolist()
    [9]
    >>> cells_without_split(pd.Series(["train", "bus", "bus"])) is None
    True
    """
    texts = as_text(cells).tolist()
    splits = {text: _WORDS.get(text.lower()) if text else None for text in set(texts)}
    others = np.array([i for i, text in enumerate(texts) if splits[text] is None], np.int64)
    meant = {"train", "test"} <= set(splits.values())
    return others if meant and len(texts) - len(others) >= _MOSTLY * len(texts) else None


def leaking_rows(parts: npt.NDArray[Any], groups: Ints) -> Ints:
    """Return the positions of rows whose group lies in several splits or folds, ascending.

    Example:
    >>> splits = np.array(["train", "test", "test"], dtype=object)
    >>> leaking_rows(splits, np.array([0, 0, 1])).tolist()
    [0, 1]
    """
    codes, parts_of = np.unique(groups, return_inverse=True)[1], pd.factorize(parts)[0]
    low, high = np.full(len(groups), len(groups)), np.full(len(groups), -1)
    np.minimum.at(low, codes, parts_of)
    np.maximum.at(high, codes, parts_of)
    return np.flatnonzero((low != high)[codes]).astype(np.int64)


def _cells(split: Split, frame: pd.DataFrame, place: str) -> pd.Series[Any]:
    names = [str(name) for name in frame.columns]
    column = str(split.column)
    if column not in names:
        raise DataError(f"{place}split column '{column}' is missing. {choices(column, names)}")
    return frame[column]


def random_splits(
    validation: float, test: float, groups: Ints, targets: Targets, seed: int
) -> Splits:
    """Deal groups out to the three splits; a class in fewer than three groups trains."""
    fractions = [1 - validation - test, validation, test]
    return np.array(SPLITS, dtype=object)[deal(fractions, groups, targets, seed)]


def deal(
    fractions: Sequence[float], groups: Ints, targets: Targets, seed: int, *, rare: int | None = 0
) -> Ints:
    """Deal whole groups out, stratum by stratum, to the part that lacks most rows so far.

    Args:
        fractions: Fraction of the rows of each part; they add up to 1.
        groups: int64 (N,), what stays together.
        targets: Each (N,) numbers, or objects for classes; see `split_rows`.
        seed: Fixes the draw.
        rare: The part of what has a class in fewer than three groups, -1 for none of them; None
            deals it out like all else.

    Returns:
        int64 (N,), the number of each row's part.

    Example:
    >>> parts = deal([0.5, 0.5], np.arange(8), [np.array([1.0, 9.0] * 4)], seed=0)
    >>> np.bincount(parts).tolist(), np.bincount(parts[::2]).tolist()
    ([4, 4], [2, 2])
    """
    # scikit-learn's StratifiedGroupKFold makes equal folds, by one target of few classes only.
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    strata, small = _strata(targets, group_of, len(sizes))
    chance = np.random.default_rng(seed).random(len(sizes))
    wanted = np.asarray(fractions, np.float64)
    dealt, part = np.zeros(len(wanted)), np.zeros(len(sizes), dtype=np.int64)
    # Large groups first, while small ones are left to even them out.
    for group in np.lexsort((chance, -sizes, strata)):
        lack = wanted * (dealt.sum() + sizes[group]) - dealt
        open_to_all = rare is None or not small[group]
        part[group] = int(np.argmax(lack)) if open_to_all else rare or 0
        dealt[max(part[group], 0)] += sizes[group]
    return np.asarray(part[group_of], np.int64)


def _strata(targets: Targets, group_of: Ints, count: int) -> tuple[Ints, Bools]:
    """Return each group's stratum, and whether a class of it is too small to divide."""
    each = [_by_target(target, group_of, count) for target in targets]
    small = np.any([rare for _, rare in each], axis=0)
    strata = np.full(count, -1)
    for number, (codes, _) in enumerate(each):  # the first target that a group has
        fresh = (strata < 0) & (codes >= 0)
        strata[fresh] = codes[fresh] * len(each) + number
    for codes, _ in each if len(each) > 1 else ():
        both = strata * (codes.max() + 2) + codes + 1
        pairs = np.unique(both, return_inverse=True)[1]
        enough = np.bincount(pairs)[pairs] >= _DIVISIBLE
        strata = np.unique(np.where(enough, pairs, -2 - strata), return_inverse=True)[1]
    return strata, small


def _by_target(target: npt.NDArray[Any], group_of: Ints, count: int) -> tuple[Ints, Bools]:
    """Return each group's stratum by one target, -1 without it, and whether its class is rare."""
    if target.dtype.kind in "iufb":
        return _by_number(target.astype(np.float64), group_of, count), np.zeros(count, bool)
    rows = np.flatnonzero(~pd.isna(target))
    names = np.array([str(target[row]) for row in rows], str)
    codes = np.full(count, -1)
    # Of equal indices NumPy assigns the last: reversed, a group has the class of its first row.
    codes[group_of[rows[::-1]]] = np.unique(names, return_inverse=True)[1][::-1]
    rare = np.bincount(codes[codes >= 0], minlength=1) < len(SPLITS)
    return codes, (codes >= 0) & rare[codes]


def _by_number(values: Floats, group_of: Ints, count: int) -> Ints:
    known = ~np.isnan(values)
    sums = np.bincount(group_of, np.where(known, values, 0.0), count)
    there = np.bincount(group_of, known, count)
    means = np.divide(sums, there, out=np.full(count, np.nan), where=there > 0)
    if len(np.unique(values[known])) > _CLASSES:
        strata = np.searchsorted(quantile_edges(values, 10), means, side="right")
    else:
        strata = np.unique(means, return_inverse=True)[1]
    return np.where(np.isnan(means), -1, strata)


def rare_classes(target: npt.NDArray[np.object_], groups: Ints) -> list[str]:
    """Return the classes in fewer than three groups, in order.

    Example:
    >>> rare_classes(np.array(["a", "a", "a", "b", None], object), np.arange(5))
    ['b']
    """
    counts = pd.Series(groups).groupby(target).nunique()
    return [str(name) for name in counts[counts < len(SPLITS)].index]


def _by_time(
    split: Split, cells: pd.Series[Any], groups: Ints, named: str, place: Callable[[int], str]
) -> Splits:
    """Cut the groups' latest moments where the fractions come nearest."""
    moments = _moments(cells, place)
    latest = np.full(int(groups.max()) + 1, -np.inf)
    np.maximum.at(latest, groups, moments)
    values, counts = np.unique(latest[groups], return_counts=True)
    needed = len(SPLITS) if split.test else len(SPLITS) - 1
    if len(values) < needed:
        raise DataError(
            f"{named}split column '{split.column}' has {len(values)} different moments; {needed} "
            "are needed. Split at random, or by a finer date."
        )
    values, counts = np.append(values, np.inf), np.append(counts, 0)  # behind all of them: no test
    after = np.cumsum(counts[::-1])[::-1] / len(cells)  # fraction of rows from each moment on
    last = len(values) - bool(split.test)
    test = 2 + int(np.argmin(np.abs(after[2:last] - split.test)))
    wanted = after[test] + split.validation
    validation = 1 + int(np.argmin(np.abs(after[1:test] - wanted)))
    codes = np.searchsorted(values[[validation, test]], latest[groups], side="right")
    return np.array(SPLITS, dtype=object)[codes]


def _moments(cells: pd.Series[Any], place: Callable[[int], str]) -> Floats:
    """Return each row's moment as a number: seconds of a date, or the number itself."""
    # Numbers first: years and counters are moments, too, and need no date.
    numbers = parse_numbers(cells)
    if np.isnan(numbers.values).any():
        dates = parse_dates(cells, date_format(cells, PLAIN).reading).values
        seconds = dates.astype("datetime64[s]").astype(np.int64).astype(np.float64)
        numbers = numbers._replace(values=np.where(np.isnat(dates), np.nan, seconds))
    gone = np.flatnonzero(np.isnan(numbers.values))
    if len(gone):
        raise DataError(
            f"{place(int(gone[0]))}, split column '{cells.name}': expected a date in every row, "
            f"got {cells.iloc[gone[0]]!r}{_more(gone)}. Write dates as 2016-03-10."
        )
    return numbers.values


def _by_column(
    split: Split,
    cells: pd.Series[Any],
    groups: Ints,
    targets: Targets,
    seed: int,
    place: Callable[[int], str],
) -> Splits:
    words = [None if text is None else _WORDS.get(text.lower()) for text in as_text(cells)]
    unknown = [i for i, word in enumerate(words) if word is None]
    if unknown:
        raise DataError(
            f"{place(unknown[0])}, split column '{split.column}': expected train, validation or "
            f"test in every row, got {cells.iloc[unknown[0]]!r}{_more(unknown)}."
        )
    splits = np.array(words, dtype=object)
    train = np.flatnonzero(splits == "train")
    if "validation" not in words and len(train) > 1:
        wanted = min(0.5, split.validation * len(words) / len(train))
        known = [target[train] for target in targets]
        splits[train] = random_splits(wanted, 0.0, groups[train], known, seed)
    return splits


def _more(rows: Sized) -> str:
    return f" ({len(rows):,} such rows)" if len(rows) > 1 else ""


def _complete(split: Split, splits: Splits, groups: Ints, named: str) -> Splits:
    """Return `splits` if each that is asked for has a row."""
    wanted = SPLITS if split.test else SPLITS[:2]
    empty = [name for name in wanted if not (splits == name).any()]
    if empty:
        largest = int(np.bincount(groups).max())
        raise DataError(
            f"{named}no rows left for {' and '.join(empty)}: {len(splits)} rows in "
            f"{len(np.unique(groups))} groups that must stay together, the largest of {largest} "
            "rows. Use more rows, another split column, or larger fractions."
        )
    return splits
