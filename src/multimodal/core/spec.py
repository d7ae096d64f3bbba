"""Fitted spec: what preprocessing learned from the training rows, as plain JSON.

Preprocessing writes a FittedSpec, and `build(config, spec)` is the only way from a config to a
model. It holds no code and no arrays, so that it can be read, compared and mended. Names of fields
are keys of `spec.json` in saved runs, such as `terms` and `waves`: they stay.
"""

from __future__ import annotations

import base64
import re
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from multimodal.core.config import LabelKind, Modality
from multimodal.core.records import Record

MISSING = 0
OUT_OF_VOCABULARY = 1
FIRST_CODE = 2  # of the categories of a column
PADDING = 0
SPARSE_KEYS = ("terms_ids", "terms_weights")
TEXT_STATISTICS = ("greatest", "least", "numbers", "length")


class NumericColumn(Record):
    """One number per row: `(x - centre) / scale`, then a smooth clip to (-3, 3).

    `part` names the part of a date in `source`, or is None when the source holds the number.
    `bins` are the edges of piecewise-linear embeddings, in the scaled and clipped space, rising.
    """

    name: str
    source: str
    part: Literal["year", "month", "day", "weekday", "hour", "days"] | None = None
    centre: float = 0.0
    scale: float = 1.0
    bins: list[float] = []


class CategoricalColumn(Record):
    """One integer per row: 0 missing, 1 out of vocabulary, 2 + position in `categories`."""

    name: str
    source: str
    categories: list[str] = []


class FittedGroup(Record):
    """What one feature group looks like to the model.

    `name` is a slug, the prefix of the group's input keys. `optional` says that the group can be
    absent, so that fusion learns a vector for its absence. `vocabulary` holds the words from id 2
    on; `lengths` the fixed text lengths; `photos` the number K of photo slots of `image_size`
    pixels squared; `steps` the length of a series' window, with one of `channels` (a centre and a
    scale) for each number per step.
    """

    name: str
    modality: Modality
    columns: list[str]
    optional: bool = False
    numeric: list[NumericColumn] = []
    categorical: list[CategoricalColumn] = []
    vocabulary: list[str] = []
    lengths: list[Annotated[int, Field(ge=1, le=65_536)]] = []
    photos: int = Field(0, ge=0, le=64)
    image_size: int = Field(0, ge=0, le=1024)
    steps: int = Field(0, ge=0, le=65_536)
    channels: list[NumericColumn] = []

    @property
    def input_keys(self) -> list[str]:
        """Keys of this group's tensors in a batch, in a fixed order."""
        kinds = {
            "tabular": ["numeric"] * bool(self.numeric) + ["categorical"] * bool(self.categorical),
            "text": ["tokens"],
            "image": ["pixels", "present"],
            "series": ["series"],
        }[self.modality]
        if self.optional and "present" not in kinds:
            kinds.append("present")
        return [f"{self.name}_{kind}" for kind in kinds]


class FittedHead(Record):
    """What one head learns: its columns, and their statistics over the training rows.

    `kind` is the label kind of the head (see `contracts.HeadLayer`). A number has its mean, scale
    and range in the head's transformed space; a class or labels have their names, in the order of
    the outputs.
    """

    name: str
    columns: list[str]
    kind: LabelKind = "number"
    classes: list[str] = []
    mean: float = 0.0
    scale: float = 1.0
    minimum: float = 0.0
    maximum: float = 0.0


class FourierFeatures(Record):
    """Random Fourier features of a tabular group, over its numbers and target-encoded categories.

    `targets` is the number T of targets that each category is encoded by. The rest is base64 of
    little-endian float32: `frequencies` (inputs, features), where the inputs are the numbers and T
    for each column of categories, `phases` (features,), and `meanings`, the target encoding
    (categories of all columns, T).
    """

    targets: int = Field(ge=0, le=1000)
    frequencies: str
    phases: str
    meanings: str

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for name in ("frequencies", "phases", "meanings"):
            if not all(map(isfinite, _numbers("f", getattr(self, name)))):
                raise ValueError(f"{name} must be finite")
        return self

    @property
    def count(self) -> int:
        """Number of features."""
        return len(base64.b64decode(self.phases)) // 4

    def fits(self, group: FittedGroup) -> bool:
        """Return whether these are features of the group."""
        width = len(group.numeric) + len(group.categorical) * self.targets
        categories = sum(len(column.categories) + FIRST_CODE for column in group.categorical)
        sizes = [
            len(_numbers("f", each)) for each in (self.frequencies, self.phases, self.meanings)
        ]
        return sizes[1] > 0 and sizes[::2] == [width * sizes[1], categories * self.targets]


class FeatureBlock(Record):
    """Features of one kind from one source, scaled to length `scale` in each row.

    `source` is a text group for `words` (and pairs of words), `triples` of words and `letters` (two
    to five in a row) and, with their `bins`, for the `greatest` and `least` of its `numbers`, how
    many there are, and its `length`; a column for a `value` and the letters of values, a number of
    a tabular group, with its `bins`, for `number`, and a tabular group for its random Fourier
    features, which runs on disk call `waves`.
    """

    group: str
    source: str
    kind: Literal[
        "words",
        "triples",
        "letters",
        "greatest",
        "least",
        "numbers",
        "length",
        "value",
        "value_letters",
        "number",
        "waves",
    ]
    scale: float
    bins: list[float] = []
    waves: FourierFeatures | None = None


def _numbers(kind: str, written: str) -> array[Any]:
    """Return the numbers that `core.arrays.encode` wrote."""
    # Not by `core.arrays.decode`: what layers import does without NumPy at module level.
    found = array(kind, base64.b64decode(written, validate=True))
    if sys.byteorder == "big":
        found.byteswap()
    return found


class SparseFeatures(Record):
    """Sparse n-gram features of a linear model: their hashes and weights, the fixed row lengths.

    `hashes` (rising uint32) and `weights` (float32, the inverse document frequency of each) are
    base64 of little-endian arrays.
    """

    blocks: list[FeatureBlock]
    hashes: str
    weights: str
    lengths: list[Annotated[int, Field(ge=1, le=1_000_000)]] = Field(min_length=1)

    @property
    def num_terms(self) -> int:
        """Number of features."""
        return len(base64.b64decode(self.hashes)) // 4

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        hashes, weights = _numbers("I", self.hashes), _numbers("f", self.weights)
        if not self.blocks or len(hashes) != len(weights) or len(hashes) < len(self.blocks):
            raise ValueError("features need blocks, and as many hashes as weights")
        if any(low >= high for low, high in pairwise(hashes)) or not all(map(isfinite, weights)):
            raise ValueError("hashes must rise, and weights be finite")
        if any(low >= high for low, high in pairwise(self.lengths)):
            raise ValueError("lengths must rise")
        return self


class FittedSpec(Record):
    """Everything `build` and `predict` need to know about the data.

    `terms` are there where a linear model is part of the stacked model.

    Example:
    >>> spec = FittedSpec(groups=[], heads=[])
    >>> FittedSpec.model_validate_json(spec.model_dump_json()) == spec
    True
    """

    version: Literal[1] = 1
    groups: list[FittedGroup]
    heads: list[FittedHead]
    terms: SparseFeatures | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        groups = {group.name: group for group in self.groups}
        for block in self.terms.blocks if self.terms else ():
            fourier, group = block.waves, groups.get(block.group)
            if (block.kind == "waves") != (fourier is not None):
                raise ValueError(
                    "a block of random features must hold them, and no other block may"
                )
            if (block.kind in ("number", *TEXT_STATISTICS)) != bool(block.bins):
                raise ValueError("a block of numbers must hold bins, and no other block may")
            if fourier is not None and not (group and fourier.fits(group)):
                raise ValueError(f"the random features are not those of a group '{block.group}'")
        return self

    def group(self, name: str) -> FittedGroup:
        """Return the group with the slug `name`."""
        return next(group for group in self.groups if group.name == name)

    @property
    def input_keys(self) -> list[str]:
        """The input keys of a network, exactly; sparse features have theirs, `SPARSE_KEYS`."""
        return [key for group in self.groups for key in group.input_keys]


def slug(name: str) -> str:
    """Return `name` in the letters every backend accepts: `[a-z0-9_]`, not starting with a digit.

    Example:
    >>> slug("Preis €/kg")
    'preis_kg'
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "x"
    return f"x_{plain}" if plain[0].isdigit() else plain


def unique_slugs(names: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Return one slug per name; a repeated one gets `_2`, `_3` … in order."""
    used, result = set(taken), []
    for name in names:
        base = slug(name)
        candidates = (
            base if i == 1 else f"{base}_{i}" for i in range(1, len(names) + len(used) + 2)
        )
        result.append(next(c for c in candidates if c not in used))
        used.add(result[-1])
    return result
