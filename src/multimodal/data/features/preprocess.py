"""Preprocessing: rows to model inputs, by the same functions in training and in prediction."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.config import Modality
from multimodal.core.errors import DataError
from multimodal.core.spec import (
    FIRST_CODE,
    MISSING,
    OUT_OF_VOCABULARY,
    PADDING,
    SPARSE_KEYS,
    FittedGroup,
    FittedSpec,
)
from multimodal.data.columns.schema import Schema
from multimodal.data.features import cell_arrays, series, text
from multimodal.data.features.cell_arrays import Frame
from multimodal.data.photos.read import PhotoPaths, locate
from multimodal.data.sparse.blocks import sparse_inputs

__all__ = ["Arrays", "Frame", "Preprocessor"]

BLOCK = 2**14  # rows whose texts are in memory together


@dataclass
class Arrays:
    """Rows as the model takes them: everything but pixels, and the photos' paths by group.

    `unseen` counts, by column, the cells with a category that the model does not know,
    `unreadable` those that should hold a number or a date and do not; they count as missing.
    """

    inputs: dict[str, NDArray[Any]]
    photos: dict[str, PhotoPaths] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        sizes = [len(array) for array in self.inputs.values()]
        return (sizes + [len(photos.paths) for photos in self.photos.values()])[0]


class Preprocessor:
    """Rows to arrays, by a fitted spec and the schema it was fitted with.

    Args:
        spec: What was learned from the training rows.
        schema: Kinds and number formats of the columns.

    Example:
    >>> number = {"name": "size", "source": "size", "centre": 5.0, "scale": 2.0}
    >>> group = {"name": "t", "modality": "tabular", "columns": ["size"], "numeric": [number]}
    >>> spec = FittedSpec.model_validate({"groups": [group], "heads": []})
    >>> arrays = Preprocessor(spec, Schema(columns=[])).arrays({"size": ["5", None]}, Path())
    >>> arrays.inputs["t_numeric"].tolist()
    [[0.0], [nan]]
    """

    def __init__(self, spec: FittedSpec, schema: Schema) -> None:
        self.spec = spec
        self.schema = schema
        self.units = {column.name: column.unit for column in schema.columns}
        self._words = {group.name: text.index(group.vocabulary) for group in spec.groups}
        self._categories = {
            (group.name, column.source): {
                name: i for i, name in enumerate(column.categories, FIRST_CODE)
            }
            for group in spec.groups
            for column in group.categorical
        }

    def columns(self) -> list[str]:
        """Return the source columns the model reads, in order, each once."""
        return list(dict.fromkeys(column for group in self.spec.groups for column in group.columns))

    def arrays(self, frame: Frame, root: Path) -> Arrays:
        """Return the arrays of every row of `frame`; photos are looked up below `root`.

        Args:
            frame: A DataFrame, or a dict of column -> list of cells, quick for a single row.
            root: Folder that photo paths start from.

        Raises:
            DataError: A column is missing, or a photo path leads out of `root`.
        """
        self._check(frame)
        if isinstance(frame, pd.DataFrame) and len(frame) > BLOCK:
            starts = range(0, len(frame), BLOCK)
            return self._joined([self._block(frame.iloc[i : i + BLOCK], root) for i in starts])
        return self._block(frame, root)

    def sparse_inputs_without(
        self, frame: Frame, groups: Collection[str]
    ) -> dict[str, NDArray[Any]]:
        """Return the sparse features of every row as `arrays` does, as if it lacked some groups."""
        if self.spec.terms is None:
            return {}
        return sparse_inputs(self.spec.terms, self.spec, self.units, frame, without=groups)

    def _block(self, frame: Frame, root: Path) -> Arrays:
        result = Arrays({})
        for group in self.spec.groups:
            _TRANSFORMERS[group.modality](self, group, frame, root, result)
        if self.spec.terms is not None:
            result.inputs |= sparse_inputs(self.spec.terms, self.spec, self.units, frame)
        return result

    def _joined(self, blocks: list[Arrays]) -> Arrays:
        """Put blocks of rows one below the other, their texts brought to one length."""
        result = Arrays({})
        for key in blocks[0].inputs:
            parts = [block.inputs[key] for block in blocks]
            if key.endswith("_tokens") or key in SPARSE_KEYS:
                longest = max(part.shape[1] for part in parts)
                parts = [np.pad(p, ((0, 0), (0, longest - p.shape[1]))) for p in parts]
            result.inputs[key] = np.concatenate(parts)
        for name, photos in blocks[0].photos.items():
            rows = [row for block in blocks for row in block.photos[name].paths]
            result.photos[name] = PhotoPaths(rows, photos.size)
        for block in blocks:
            for total, counts in (
                (result.unseen, block.unseen),
                (result.unreadable, block.unreadable),
            ):
                total.update({name: total.get(name, 0) + n for name, n in counts.items()})
        return result

    def photos(self, frame: Frame, root: Path) -> dict[str, PhotoPaths]:
        """Return the photos of every row by group, as `arrays` does."""
        result = Arrays({})
        for group in self.spec.groups:
            if group.modality == "image":
                self._image(group, frame, root, result)
        return result.photos

    def _check(self, frame: Frame) -> None:
        absent = [column for column in self.columns() if column not in frame]
        if absent:
            raise DataError(
                f"columns missing: {', '.join(absent)}. The model reads: "
                f"{', '.join(self.columns())}. Came: {', '.join(map(str, frame)) or '(none)'}."
            )

    def _tabular(self, group: FittedGroup, frame: Frame, root: Path, result: Arrays) -> None:
        there = np.zeros(cell_arrays.row_count(frame), bool)
        if group.numeric:
            found, bad = cell_arrays.numbers(group.numeric, self.units, frame)
            result.unreadable.update(bad)
            result.inputs[f"{group.name}_numeric"] = cell_arrays.scaled(found, group.numeric)
            there |= ~np.isnan(found).all(axis=1)
        if group.categorical:
            codes = np.empty((len(there), len(group.categorical)), np.int32)
            for i, column in enumerate(group.categorical):
                ids = self._categories[group.name, column.source]
                codes[:, i] = cell_arrays.codes(ids, frame[column.source])
                unseen = int((codes[:, i] == OUT_OF_VOCABULARY).sum())
                if unseen:
                    result.unseen[column.source] = unseen
            result.inputs[f"{group.name}_categorical"] = codes
            there |= (codes != MISSING).any(axis=1)
        if group.optional:
            result.inputs[f"{group.name}_present"] = there

    def _text(self, group: FittedGroup, frame: Frame, root: Path, result: Arrays) -> None:
        ids, limit = self._words[group.name], group.lengths[-1]
        rows = [text.word_ids(each, ids, limit) for each in cell_arrays.texts(group.columns, frame)]
        longest = max((len(row) for row in rows), default=0)
        tokens = text.pad(rows, text.fixed_length(longest, group.lengths))
        result.inputs[f"{group.name}_tokens"] = tokens
        if group.optional:
            result.inputs[f"{group.name}_present"] = (tokens != PADDING).any(axis=1)

    def _image(self, group: FittedGroup, frame: Frame, root: Path, result: Arrays) -> None:
        rows = []
        for names in cell_arrays.photo_names(group.columns, frame):
            paths = [name and str(locate(name, root)) for name in names[: group.photos]]
            rows.append(paths + [None] * (group.photos - len(paths)))
        result.photos[group.name] = PhotoPaths(rows, group.image_size)

    def _series(self, group: FittedGroup, frame: Frame, root: Path, result: Arrays) -> None:
        channels, steps = group.channels, group.steps
        found, bad = series.read_series(group.columns, len(channels), steps, self.units, frame)
        result.unreadable.update(bad)
        result.inputs[f"{group.name}_series"] = series.scaled(found, channels)
        if group.optional:
            there = ~np.isnan(found).all(axis=(1, 2))
            result.inputs[f"{group.name}_present"] = np.asarray(there, bool)


_Transformer = Callable[[Preprocessor, FittedGroup, Frame, Path, Arrays], None]
_TRANSFORMERS: dict[str, _Transformer] = {
    "tabular": Preprocessor._tabular,
    "text": Preprocessor._text,
    "image": Preprocessor._image,
    "series": Preprocessor._series,
}


_EMPTY: dict[str, Any] = {
    "numeric": np.nan,
    "categorical": MISSING,
    "tokens": PADDING,
    "series": np.nan,
    "present": False,
}


def ablate(arrays: Arrays, spec: FittedSpec, modality: Modality) -> Arrays:
    """Return arrays in which every group of a modality is as it is in a row that lacks it.

    Sparse features stay; without it they are read from raw rows, by `sparse_inputs_without`.

    Args:
        arrays: Rows as the model takes them; they stay as they are.
        spec: The fitted spec.
        modality: The modality to ablate.

    Example:
    >>> group = {"name": "t", "modality": "text", "columns": ["t"], "lengths": [8]}
    >>> spec = FittedSpec.model_validate({"groups": [group], "heads": []})
    >>> ablate(Arrays({"t_tokens": np.array([[7, 8]])}), spec, "text").inputs["t_tokens"].tolist()
    [[0, 0]]
    """
    inputs, photos = dict(arrays.inputs), dict(arrays.photos)
    for group in (group for group in spec.groups if group.modality == modality):
        for key in group.input_keys:
            if key in inputs:
                empty = _EMPTY[key.removeprefix(f"{group.name}_")]
                inputs[key] = np.full_like(inputs[key], empty)
        if group.name in photos:
            paths = photos[group.name].paths
            none = [[None] * len(row) for row in paths]
            photos[group.name] = PhotoPaths(none, photos[group.name].size)
    return replace(arrays, inputs=inputs, photos=photos)
