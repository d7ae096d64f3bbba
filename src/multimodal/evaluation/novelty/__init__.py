"""Novelty detection: rows that are out of distribution, each with its reasons.

Every reason is about one column, text or photo, so that a user can check it. That is why there are
simple limits per column here and no joint density.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from multimodal.core.records import Record
from multimodal.core.spec import OUT_OF_VOCABULARY, FittedGroup, FittedSpec
from multimodal.data.features import cell_arrays
from multimodal.data.features.preprocess import BLOCK, Arrays, Preprocessor
from multimodal.evaluation.novelty.numbers import (
    NoveltyReason,
    NumberRange,
    fit_range,
    novel_categories,
    novel_numbers,
)
from multimodal.evaluation.novelty.photos import PhotoNovelty, fit_photos, novel_photos
from multimodal.evaluation.novelty.texts import TextNovelty, fit_texts, novel_texts

OFTEN = 0.02  # categories unknown in a larger fraction of the held-out rows are no novelty
_MOST = 10_000
Statistics = Mapping[str, NDArray[np.float32]]


class GroupNovelty(Record):
    """What is in distribution for one group; what is not looked at is empty.

    Args:
        group: Its name.
        ranges: Of its numbers.
        names: Columns of categories in which unknown ones are rare.
        texts: Words and scripts of its texts.
        photos: Statistics of its photos.
    """

    group: str
    ranges: list[NumberRange] = Field([], max_length=_MOST)
    names: list[str] = Field([], max_length=_MOST)
    texts: TextNovelty | None = None
    photos: PhotoNovelty | None = None


class NoveltyDetector(Record):
    """What is in distribution, group by group."""

    groups: list[GroupNovelty] = Field([], max_length=_MOST)

    def fits(self, spec: FittedSpec) -> bool:
        """Return whether it is about groups of this spec."""
        return {each.group for each in self.groups} <= {group.name for group in spec.groups}


def fit_novelty(
    preprocessor: Preprocessor,
    frame: pd.DataFrame,
    held_out: pd.DataFrame,
    arrays: Arrays,
    statistics: Statistics,
) -> NoveltyDetector:
    """Fit a detector.

    Args:
        preprocessor: That of the model.
        frame: Training rows, or many of them.
        held_out: Rows that the vocabulary and the categories were not made from; in those that they
            were made from, no word is unknown.
        arrays: Arrays of those.
        statistics: `photo_statistics` of any photos by group.
    """
    both = pd.concat([frame, held_out]) if len(held_out) else frame
    found = []
    for group in preprocessor.spec.groups:
        each = GroupNovelty(group=group.name)
        if group.modality == "tabular":
            each = _fit_table(group, preprocessor, both, arrays)
        elif group.modality == "text":
            texts = cell_arrays.texts(group.columns, both, preprocessor.readings)
            words = _tokens(group, preprocessor, held_out, arrays.inputs)
            each = GroupNovelty(group=group.name, texts=fit_texts(group.name, words, texts))
        elif group.name in statistics:
            photos = fit_photos(group.name, statistics[group.name])
            each = GroupNovelty(group=group.name, photos=photos)
        found.append(each)
    return NoveltyDetector(groups=found)


def novel_rows(
    detector: NoveltyDetector,
    preprocessor: Preprocessor,
    frame: pd.DataFrame,
    arrays: Arrays,
    statistics: Statistics,
) -> list[NoveltyReason]:
    """Return the reasons for which rows are out of distribution.

    Args:
        detector: What `fit_novelty` returned.
        preprocessor: That of the model.
        frame: The rows.
        arrays: Their arrays.
        statistics: `photo_statistics` of their photos by group.
    """
    groups = {group.name: group for group in preprocessor.spec.groups}
    result = []
    for start in range(0, len(frame), BLOCK):
        some = slice(start, start + BLOCK)
        inputs = {key: values[some] for key, values in arrays.inputs.items()}
        part = frame.iloc[some]
        for each in detector.groups:
            photos = statistics[each.group][some] if each.group in statistics else None
            found = _group_reasons(each, groups[each.group], preprocessor, part, inputs, photos)
            result += [reason._replace(row=reason.row + start) for reason in found]
    return result


def reasons(novelties: Sequence[NoveltyReason], rows: int) -> list[str]:
    """Return the reasons of each row in one sentence, empty where there is none.

    Example:
    >>> reasons([NoveltyReason(1, "a", "size: odd"), NoveltyReason(1, "b", "shop: new")], 2)
    ['', 'size: odd; shop: new']
    """
    found: list[list[str]] = [[] for _ in range(rows)]
    for novelty in novelties:
        found[novelty.row].append(novelty.reason)
    return ["; ".join(dict.fromkeys(each)) for each in found]


def _fit_table(
    group: FittedGroup, preprocessor: Preprocessor, frame: pd.DataFrame, arrays: Arrays
) -> GroupNovelty:
    values = cell_arrays.numbers(group.numeric, preprocessor.readings, frame).values
    ranges = [fit_range(column, values[:, i]) for i, column in enumerate(group.numeric)]
    names = []
    for i, column in enumerate(group.categorical):
        codes = arrays.inputs[_key(group, "categorical")][:, i]
        if (codes == OUT_OF_VOCABULARY).sum() <= max(OFTEN * len(codes), 1):
            names.append(column.source)
    return GroupNovelty(group=group.name, ranges=[r for r in ranges if r is not None], names=names)


def _group_reasons(
    known: GroupNovelty,
    group: FittedGroup,
    preprocessor: Preprocessor,
    frame: pd.DataFrame,
    inputs: Mapping[str, NDArray[Any]],
    statistics: NDArray[np.float32] | None,
) -> Iterator[NoveltyReason]:
    if group.modality == "tabular":
        yield from novel_numbers(known.ranges, group, preprocessor.readings, frame)
        if known.names and group.categorical:
            codes = inputs[_key(group, "categorical")]
            yield from novel_categories(known.names, group, codes, frame)
    if known.texts is not None and group.modality == "text":
        texts = cell_arrays.texts(group.columns, frame, preprocessor.readings)
        tokens = _tokens(group, preprocessor, frame, inputs)
        yield from novel_texts(known.texts, ", ".join(group.columns), tokens, texts)
    if known.photos is not None and statistics is not None:
        yield from novel_photos(known.photos, group.columns, statistics)


def _tokens(
    group: FittedGroup,
    preprocessor: Preprocessor,
    frame: pd.DataFrame,
    inputs: Mapping[str, NDArray[Any]],
) -> NDArray[Any]:
    """Return the word ids of a group's texts, which networks may not read."""
    if group.pretrained is None:
        return inputs[_key(group, "tokens")]
    texts = cell_arrays.texts(group.columns, frame, preprocessor.readings)
    return preprocessor.tokens(group, texts)


def _key(group: FittedGroup, kind: str) -> str:
    return f"{group.name}_{kind}"
