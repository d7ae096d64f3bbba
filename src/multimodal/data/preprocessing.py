"""What is learned from the training rows, and how rows become arrays.

Fitting reads the training rows alone. The same functions turn training rows and tomorrow's rows
into arrays, so what the model saw is what it will see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.config import Config, Group
from multimodal.data import columns as values
from multimodal.data import text
from multimodal.data.photos import PhotoPaths, locate
from multimodal.data.schema import Column, Schema
from multimodal.errors import DataError
from multimodal.spec import (
    MISSING,
    OUT_OF_VOCABULARY,
    CategoricalColumn,
    FittedGroup,
    FittedSpec,
    NumericColumn,
    slug,
    unique_slugs,
)

MAX_CATEGORIES = 10_000
_CLIP = 3.0
Frame = pd.DataFrame | Mapping[str, Sequence[Any]]


@dataclass
class Arrays:
    """Rows as the model takes them: everything but pixels, and the photos' paths by group."""

    inputs: dict[str, NDArray[Any]]
    photos: dict[str, PhotoPaths] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        sizes = [len(array) for array in self.inputs.values()]
        return (sizes + [len(photos.paths) for photos in self.photos.values()])[0]


def fit_spec(
    config: Config, schema: Schema, frame: pd.DataFrame, base: FittedSpec | None = None
) -> FittedSpec:
    """Learn from the training rows `frame` what every group needs; heads are fitted apart.

    With a `base`, columns that it knows keep their scale, and its words and categories keep their
    places; new ones are added behind them.
    """
    names = unique_slugs([group.name for group in config.groups] + [h.name for h in config.heads])
    known = {group.name: group for group in (base.groups if base else [])}
    groups = [
        _FITTERS[group.modality](
            config, group, known.get(name) or _blank(name, group), schema, frame
        )
        for group, name in zip(config.groups, names, strict=False)
    ]
    return FittedSpec(groups=groups, heads=[])


def _blank(name: str, group: Group) -> FittedGroup:
    return FittedGroup(name=name, modality=group.modality, columns=[])


def _fit_tabular(
    config: Config, group: Group, base: FittedGroup, schema: Schema, frame: pd.DataFrame
) -> FittedGroup:
    numeric = [column for column in base.numeric if column.source in group.columns]
    categorical: list[CategoricalColumn] = []
    sources = {column.source for column in numeric}
    for source in group.columns:
        if schema.column(source).kind in ("number", "date"):
            fresh = [] if source in sources else _numeric_columns(schema.column(source))
            fitted = [_fit_scale(column, _numbers(column, schema, frame)) for column in fresh]
            numeric += [column for column in fitted if column.scale > 0]
        else:
            known = next((c.categories for c in base.categorical if c.source == source), [])
            categorical.append(_fit_categories(source, frame[source], config.data.min_count, known))
    draft = base.model_copy(
        update={"columns": group.columns, "numeric": numeric, "categorical": categorical}
    )
    there = [~np.isnan(_numeric(draft, schema, frame)).all(axis=1)] if numeric else []
    there += [(_codes(column, frame[column.source]) != MISSING) for column in categorical]
    absent = not bool(np.logical_or.reduce(there).all())
    return draft.model_copy(update={"optional": base.optional or absent})


def _numeric_columns(column: Column) -> list[NumericColumn]:
    """Return one numeric column, or one for each part of a date."""
    if column.kind == "number":
        return [NumericColumn(name=slug(column.name), source=column.name)]
    return [
        NumericColumn.model_validate(
            {"name": slug(f"{column.name} {part}"), "source": column.name, "part": part}
        )
        for part in column.parts
    ]


def _fit_scale(column: NumericColumn, numbers: NDArray[np.float64]) -> NumericColumn:
    """Centre on the median, scale by the quartiles' distance, or the range where that is zero."""
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return column
    low, centre, high = np.quantile(finite, [0.25, 0.5, 0.75])
    scale = (high - low) / 1.349 or (finite.max() - finite.min()) / 2
    if column.part is None:
        scale = scale or 1.0  # a constant part of a date is dropped
    return column.model_copy(update={"centre": float(centre), "scale": float(scale)})


def _fit_categories(
    source: str, series: pd.Series[Any], min_count: int, known: Sequence[str]
) -> CategoricalColumn:
    """Keep categories seen often enough; rarer ones train the out-of-vocabulary row."""
    counts = Counter(name for name in values.as_text(series) if name is not None)
    old = set(known)
    fresh = [(n, count) for n, count in counts.items() if count >= min_count and n not in old]
    fresh.sort(key=lambda item: (-item[1], item[0]))
    kept = [*known, *(name for name, _ in fresh)][: max(MAX_CATEGORIES, len(known))]
    return CategoricalColumn(name=slug(source), source=source, categories=kept)


def _fit_text(
    config: Config, group: Group, base: FittedGroup, schema: Schema, frame: pd.DataFrame
) -> FittedGroup:
    texts = _texts(group.columns, frame)
    data, old = config.data, set(base.vocabulary)
    found = text.fit_vocabulary(texts, size=data.vocabulary_size, min_count=data.min_count)
    counts = np.array([len(text.words(each)) for each in texts])
    absent = bool((counts == 0).any())
    return base.model_copy(
        update={
            "columns": group.columns,
            "vocabulary": [*base.vocabulary, *(word for word in found if word not in old)],
            "lengths": base.lengths or text.fit_lengths(counts, data.max_words),
            "optional": base.optional or absent,
        }
    )


def _fit_image(
    config: Config, group: Group, base: FittedGroup, schema: Schema, frame: pd.DataFrame
) -> FittedGroup:
    cells = [_photo_names(group.columns, frame, row) for row in range(len(frame))]
    slots = max(1, min(config.data.max_photos, max((len(names) for names in cells), default=1)))
    absent = any(all(photo is None for photo in names) for names in cells)
    return base.model_copy(
        update={
            "columns": group.columns,
            "photos": slots,
            "image_size": base.image_size or config.data.image_size,
            "optional": base.optional or absent,
        }
    )


_Fitter = Callable[[Config, Group, FittedGroup, Schema, pd.DataFrame], FittedGroup]
_FITTERS: dict[str, _Fitter] = {"tabular": _fit_tabular, "text": _fit_text, "image": _fit_image}


class Preprocessor:
    """Rows to arrays, by a fitted spec and the schema it was fitted with.

    Args:
        spec: What was learned from the training rows.
        schema: Kinds and number formats of the columns.
    """

    def __init__(self, spec: FittedSpec, schema: Schema) -> None:
        self.spec = spec
        self.schema = schema
        self._words = {g.name: text.index(g.vocabulary) for g in spec.groups}
        self._categories = {
            (group.name, column.source): {name: i + 2 for i, name in enumerate(column.categories)}
            for group in spec.groups
            for column in group.categorical
        }

    def columns(self) -> list[str]:
        """Return the source columns the model reads, in order, each once."""
        return list(dict.fromkeys(column for group in self.spec.groups for column in group.columns))

    def arrays(self, frame: Frame, root: Path) -> Arrays:
        """Return the arrays of every row of `frame`; photos are looked up below `root`.

        Raises:
            DataError: A column is missing, or a photo path leads out of `root`.
        """
        self._check(frame)
        result = Arrays({})
        for group in self.spec.groups:
            _TRANSFORMERS[group.modality](self, group, frame, root, result)
        return result

    def _check(self, frame: Frame) -> None:
        absent = [column for column in self.columns() if column not in frame]
        if absent:
            raise DataError(
                f"columns missing: {', '.join(absent)}. The model reads: "
                f"{', '.join(self.columns())}. Came: {', '.join(map(str, frame))}."
            )

    def _tabular(self, group: FittedGroup, frame: Frame, root: Path, result: Arrays) -> None:
        there = []
        if group.numeric:
            numbers = _numeric(group, self.schema, frame)
            result.inputs[f"{group.name}_numeric"] = numbers
            there.append(~np.isnan(numbers).all(axis=1))
        if group.categorical:
            codes = [self._coded(group, column, frame, result) for column in group.categorical]
            result.inputs[f"{group.name}_categorical"] = np.stack(codes, axis=1)
            there.append((result.inputs[f"{group.name}_categorical"] != MISSING).any(axis=1))
        if group.optional:
            result.inputs[f"{group.name}_present"] = np.logical_or.reduce(there)

    def _coded(
        self, group: FittedGroup, column: CategoricalColumn, frame: Frame, result: Arrays
    ) -> NDArray[np.int32]:
        ids = self._categories[group.name, column.source]
        codes = _lookup(ids, frame[column.source])
        unseen = int((codes == OUT_OF_VOCABULARY).sum())
        if unseen:
            result.unseen[column.source] = unseen
        return codes

    def _text(self, group: FittedGroup, frame: Frame, root: Path, result: Arrays) -> None:
        ids, limit = self._words[group.name], group.lengths[-1]
        rows = [text.word_ids(each, ids, limit) for each in _texts(group.columns, frame)]
        longest = max((len(row) for row in rows), default=0)
        tokens = text.pad(rows, text.fixed_length(longest, group.lengths))
        result.inputs[f"{group.name}_tokens"] = tokens
        if group.optional:
            result.inputs[f"{group.name}_present"] = (tokens != MISSING).any(axis=1)

    def _image(self, group: FittedGroup, frame: Frame, root: Path, result: Arrays) -> None:
        rows = []
        for row in range(_length(frame)):
            names = _photo_names(group.columns, frame, row)[: group.photos]
            paths = [None if name is None else str(locate(name, root)) for name in names]
            rows.append(paths + [None] * (group.photos - len(paths)))
        result.photos[group.name] = PhotoPaths(rows, group.image_size)


_Transformer = Callable[[Preprocessor, FittedGroup, Frame, Path, Arrays], None]
_TRANSFORMERS: dict[str, _Transformer] = {
    "tabular": Preprocessor._tabular,
    "text": Preprocessor._text,
    "image": Preprocessor._image,
}


def _length(frame: Frame) -> int:
    return len(frame) if isinstance(frame, pd.DataFrame) else len(next(iter(frame.values())))


def _numbers(column: NumericColumn, schema: Schema, frame: Frame) -> NDArray[np.float64]:
    series = frame[column.source]
    if column.part is not None:
        return values.date_parts(values.parse_dates(series)[0], column.part)
    return values.parse_numbers(series, schema.column(column.source).unit)[0]


def _numeric(group: FittedGroup, schema: Schema, frame: Frame) -> NDArray[np.float32]:
    """Return scaled numbers (rows, N), NaN where missing.

    Scaling follows RealMLP (Holzmüller et al., 2024): `x / sqrt(1 + (x / 3)^2)` of the robustly
    scaled value lies in (-3, 3), so that an outlier stays an outlier but does no harm.
    """
    scaled = np.stack(
        [(_numbers(c, schema, frame) - c.centre) / c.scale for c in group.numeric], axis=1
    )
    return (scaled / np.sqrt(1 + (scaled / _CLIP) ** 2)).astype(np.float32)


def _codes(column: CategoricalColumn, series: Sequence[Any]) -> NDArray[np.int32]:
    return _lookup({name: i + 2 for i, name in enumerate(column.categories)}, series)


def _lookup(ids: Mapping[str, int], series: Sequence[Any]) -> NDArray[np.int32]:
    names = values.as_text(series)
    return np.fromiter(
        (MISSING if name is None else ids.get(name, OUT_OF_VOCABULARY) for name in names),
        np.int32,
        count=len(names),
    )


def _texts(names: Sequence[str], frame: Frame) -> list[str]:
    return [text.join_columns(row) for row in zip(*(frame[name] for name in names), strict=True)]


def _photo_names(names: Sequence[str], frame: Frame, row: int) -> list[str | None]:
    """Return the photos of a row: one slot a column, or all photos of a single column's cell."""
    cells = [
        frame[name].iloc[row] if isinstance(frame, pd.DataFrame) else frame[name][row]
        for name in names
    ]
    found = [values.photo_paths(cell) for cell in cells]
    if len(names) == 1:
        return list(found[0]) or [None]
    return [paths[0] if paths else None for paths in found]
