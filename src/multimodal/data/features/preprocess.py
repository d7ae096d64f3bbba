"""Preprocessing: rows to model inputs, by the same functions in training and in prediction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.config import Modality
from multimodal.core.errors import DataError
from multimodal.core.spec import (
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
from multimodal.data.features.pretrained import NO_EXTRACTORS, Extractors
from multimodal.data.photos.locate import PhotoRoot, locate
from multimodal.data.photos.read import PhotoPaths
from multimodal.data.sparse.blocks import sparse_inputs

__all__ = ["Arrays", "Frame", "Preprocessor"]

BLOCK = 2**14  # rows whose texts are in memory together


@dataclass
class Arrays:
    """Rows as the model takes them: everything but pixels, and the photos' paths by group.

    By column, `unseen` has the rows with a category that the model does not know, `unreadable`
    those whose cell should hold a number or a date and does not; it counts as missing.
    """

    inputs: dict[str, NDArray[Any]]
    photos: dict[str, PhotoPaths] = field(default_factory=dict)
    unseen: dict[str, Ints] = field(default_factory=dict)
    unreadable: dict[str, Ints] = field(default_factory=dict)

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
        extractors: The pretrained models, by group, of groups that are read as frozen features.

    Example:
    >>> from pathlib import Path
    >>> number = {"name": "size", "source": "size", "centre": 5.0, "scale": 2.0}
    >>> group = {"name": "t", "modality": "tabular", "columns": ["size"], "numeric": [number]}
    >>> spec = FittedSpec.model_validate({"groups": [group], "heads": []})
    >>> arrays = Preprocessor(spec, Schema(columns=[])).arrays({"size": ["5", None]}, Path())
    >>> arrays.inputs["t_numeric"].tolist()
    [[0.0], [nan]]
    """

    def __init__(
        self, spec: FittedSpec, schema: Schema, extractors: Extractors = NO_EXTRACTORS
    ) -> None:
        self.spec = spec
        self.schema = schema
        self.extractors = extractors
        self.readings = schema.readings
        self._words = {group.name: text.index(group.vocabulary) for group in spec.groups}

    def columns(self) -> list[str]:
        """Return the source columns the model reads, in order, each once."""
        return list(dict.fromkeys(column for group in self.spec.groups for column in group.columns))

    def arrays(self, frame: Frame, root: PhotoRoot) -> Arrays:
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
        return sparse_inputs(self.spec.terms, self.spec, self.readings, frame, without=groups)

    def _block(self, frame: Frame, root: PhotoRoot) -> Arrays:
        result = Arrays({})
        for group in self.spec.groups:
            _TRANSFORMERS[group.modality](self, group, frame, root, result)
        if self.spec.terms is not None:
            result.inputs |= sparse_inputs(self.spec.terms, self.spec, self.readings, frame)
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
        result.unseen = _moved_rows([block.unseen for block in blocks])
        result.unreadable = _moved_rows([block.unreadable for block in blocks])
        return result

    def photos(self, frame: Frame, root: PhotoRoot) -> dict[str, PhotoPaths]:
        """Return the photos of every row by group, as `arrays` does."""
        groups = [group for group in self.spec.groups if group.modality == "image"]
        return {group.name: self._photos_of(group, frame, root) for group in groups}

    def _photos_of(self, group: FittedGroup, frame: Frame, root: PhotoRoot) -> PhotoPaths:
        rows = []
        for names in cell_arrays.photo_names(group.columns, frame):
            paths = [name and locate(name, root) for name in names[: group.photos]]
            rows.append(paths + [None] * (group.photos - len(paths)))
        return PhotoPaths(rows, group.image_size)

    def _check(self, frame: Frame) -> None:
        absent = [column for column in self.columns() if column not in frame]
        if absent:
            raise DataError(
                f"columns missing: {', '.join(absent)}. The model reads: "
                f"{', '.join(self.columns())}. Came: {', '.join(map(str, frame)) or '(none)'}."
            )

    def _tabular(self, group: FittedGroup, frame: Frame, root: PhotoRoot, result: Arrays) -> None:
        there = np.zeros(cell_arrays.row_count(frame), bool)
        if group.numeric:
            found, bad = cell_arrays.numbers(group.numeric, self.readings, frame)
            result.unreadable.update(bad)
            result.inputs[f"{group.name}_numeric"] = cell_arrays.scaled(found, group.numeric)
            there |= ~np.isnan(found).all(axis=1)
        if group.categorical:
            codes = np.empty((len(there), len(group.categorical)), np.int32)
            for i, column in enumerate(group.categorical):
                codes[:, i] = cell_arrays.codes(column, frame[column.source])
                unseen = np.flatnonzero(codes[:, i] == OUT_OF_VOCABULARY)
                if len(unseen):
                    result.unseen[column.source] = unseen
            result.inputs[f"{group.name}_categorical"] = codes
            there |= (codes != MISSING).any(axis=1)
        if group.optional:
            # Only of an optional group: the keys of a batch are the model's inputs, exactly. A key
            # too many Keras feeds to another input, with a warning at most.
            result.inputs[f"{group.name}_present"] = there

    def _text(self, group: FittedGroup, frame: Frame, root: PhotoRoot, result: Arrays) -> None:
        texts = cell_arrays.texts(group.columns, frame, self.readings)
        if group.pretrained is not None:
            result.inputs[f"{group.name}_features"] = self.extractors[group.name].texts(texts)
            if group.optional:
                result.inputs[f"{group.name}_present"] = np.array([bool(t.strip()) for t in texts])
            return
        tokens = self.tokens(group, texts)
        result.inputs[f"{group.name}_tokens"] = tokens
        if group.optional:
            result.inputs[f"{group.name}_present"] = (tokens != PADDING).any(axis=1)

    def tokens(self, group: FittedGroup, texts: Sequence[str]) -> NDArray[np.int32]:
        """Return the word ids (rows, length) of a group's texts."""
        ids, limit = self._words[group.name], group.lengths[-1]
        rows = [text.word_ids(each, ids, limit) for each in texts]
        longest = max((len(row) for row in rows), default=0)
        return text.pad(rows, text.fixed_length(longest, group.lengths))

    def _image(self, group: FittedGroup, frame: Frame, root: PhotoRoot, result: Arrays) -> None:
        photos = result.photos[group.name] = self._photos_of(group, frame, root)
        if group.pretrained is not None:
            cells = group.pretrained.cells
            features, present = self.extractors[group.name].photos(photos, cells)
            result.inputs[f"{group.name}_features"] = features
            result.inputs[f"{group.name}_present"] = present

    def _series(self, group: FittedGroup, frame: Frame, root: PhotoRoot, result: Arrays) -> None:
        channels, steps = group.channels, group.steps
        found, bad = series.read_series(group.columns, len(channels), steps, self.readings, frame)
        result.unreadable.update(bad)
        result.inputs[f"{group.name}_series"] = series.scaled(found, channels)
        if group.optional:
            there = ~np.isnan(found).all(axis=(1, 2))
            result.inputs[f"{group.name}_present"] = np.asarray(there, bool)


def _moved_rows(blocks: Sequence[Mapping[str, Ints]]) -> dict[str, Ints]:
    """Return the rows by column of blocks of `BLOCK` rows that lie one below the other."""
    found: dict[str, list[Ints]] = {}
    for i, block in enumerate(blocks):
        for name, rows in block.items():
            found.setdefault(name, []).append(rows + i * BLOCK)
    return {name: np.concatenate(rows) for name, rows in found.items()}


_Transformer = Callable[[Preprocessor, FittedGroup, Frame, PhotoRoot, Arrays], None]
_TRANSFORMERS: dict[str, _Transformer] = {
    "tabular": Preprocessor._tabular,
    "text": Preprocessor._text,
    "image": Preprocessor._image,
    "series": Preprocessor._series,
}


# As a row that lacks the group is read, so that an ablated model answers what it would for it.
_EMPTY: dict[str, Any] = {
    "numeric": np.nan,
    "categorical": MISSING,
    "tokens": PADDING,
    "features": 0.0,
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
