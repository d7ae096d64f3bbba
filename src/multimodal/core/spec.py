"""Fitted spec: what preprocessing learned from the training rows, as plain JSON.

Preprocessing writes a FittedSpec, and `build(config, spec)` is the only way from a config to a
model. It holds no code and no arrays, so that it can be read, compared and mended. Names of fields
are keys of `spec.json` in saved runs, such as `terms` and `waves`: they stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from multimodal.core.config import LabelKind, Modality
from multimodal.core.records import Record
from multimodal.core.spelling import Spellings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from multimodal.core.arrays import DType

MISSING = 0
OUT_OF_VOCABULARY = 1
FIRST_CODE = 2  # of the categories of a column
PADDING = 0
SPARSE_KEYS = ("terms_ids", "terms_weights")
LabelType = Literal["text", "integer", "float", "flag"]
DATE_PARTS = ("year", "month", "day", "weekday", "hour", "days")
MOST_LANDMARKS = 1_000  # of a kernel regression
HAS = "has "  # before the member of a set, in the name of a part
TEXT_STATISTICS = ("greatest", "least", "numbers", "length")


class _Arrays:
    """Decoded arrays of a record, equal to nothing else: NumPy does not tell by one truth value."""

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self.arrays = arrays


class NumericColumn(Record):
    """One number per row: `(x - centre) / scale`, then a smooth clip to (-3, 3).

    `part` names the part of a date in `source`, or, behind "has ", a member of the sets in it, for
    which the number is 1 where a cell holds it; it is None when the source holds the number.
    `bins` are the edges of piecewise-linear embeddings, in the scaled and clipped space, rising.
    """

    name: str
    source: str
    part: str | None = None
    centre: float = 0.0
    scale: float = 1.0
    bins: list[float] = []

    @field_validator("part")
    @classmethod
    def _is_known(cls, part: str | None) -> str | None:
        if part is not None and part not in DATE_PARTS and not part.startswith(HAS):
            raise ValueError(f"must be one of {', '.join(DATE_PARTS)}, or '{HAS}' and a member")
        return part

    @property
    def member(self) -> str | None:
        """The member of a set that the number tells of."""
        return self.part.removeprefix(HAS) if self.part and self.part.startswith(HAS) else None


class CategoricalColumn(Record):
    """One integer per row: 0 missing, 1 out of vocabulary, 2 + position in `categories`.

    With `folded`, a category is found by its other spellings, too; `blank` is the one that a
    missing cell stands for, since tools read its name, such as NA, as missing.
    """

    name: str
    source: str
    categories: list[str] = []
    folded: bool = False
    blank: str | None = None

    @cached_property
    def codes(self) -> dict[str, int]:
        """The integer of each category."""
        return {name: code for code, name in enumerate(self.categories, FIRST_CODE)}

    @cached_property
    def spellings(self) -> Spellings:
        """The categories by their spellings."""
        return Spellings(self.categories)

    def known(self, name: str | None) -> str | None:
        """Return the category that a cell means, or the cell where it means none.

        Example:
        >>> CategoricalColumn(name="a", source="a", categories=["Red"], folded=True).known("RED ")
        'Red'
        """
        if name is None:
            return self.blank
        if not self.folded or name in self.codes:
            return name
        return self.spellings.known(name) or name


class PretrainedFeatures(Record):
    """The pretrained model whose frozen features stand for a group's photos or texts.

    `checksum` is the SHA-256 of its weights, which a run names and does not hold; `weights` is
    where they were looked for first, empty for the usual places; `size` the side of photos in
    pixels, 0 for texts; `dim` the number of features. `cells` is 1 where a photo has one vector of
    them, their mean over the photo, else the number of parts of a square grid that has one each.
    """

    model: str
    weights: str = ""
    checksum: str = ""
    size: int = Field(0, ge=0, le=1024)
    dim: int = Field(ge=1, le=65_536)
    cells: int = Field(1, ge=1, le=256)


class FittedGroup(Record):
    """What one feature group looks like to the model.

    `name` is a slug, the prefix of the group's input keys. `optional` says that the group can be
    absent, so that fusion learns a vector for its absence. `vocabulary` holds the words from id 2
    on; `lengths` the fixed text lengths; `photos` the number K of photo slots of `image_size`
    pixels squared; `steps` the length of a series' window, with one of `channels` (a centre and a
    scale) for each number per step. `backbone` is the architecture of a pretrained encoder as JSON,
    in a run that is loaded: the file that it came from is not opened again. With `pretrained`,
    networks read the features of that model in place of pixels or words.
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
    backbone: str = ""
    steps: int = Field(0, ge=0, le=65_536)
    channels: list[NumericColumn] = []
    pretrained: PretrainedFeatures | None = None

    @property
    def token_lengths(self) -> dict[str, list[int]]:
        """The fixed lengths of the texts that a network reads, by input key."""
        read = self.lengths and self.pretrained is None
        return {f"{self.name}_tokens": self.lengths} if read else {}

    @property
    def input_keys(self) -> list[str]:
        """Keys of this group's tensors in a batch, in a fixed order."""
        image = ["pixels" if self.pretrained is None else "features", "present"]
        kinds = {
            "tabular": ["numeric"] * bool(self.numeric) + ["categorical"] * bool(self.categorical),
            "text": ["tokens" if self.pretrained is None else "features"],
            "image": image,
            "series": ["series"],
        }[self.modality]
        if self.optional and "present" not in kinds:
            kinds.append("present")
        return [f"{self.name}_{kind}" for kind in kinds]


class FittedHead(Record):
    """What one head learns: its columns, and their statistics over the training rows.

    `kind` is the label kind of the head (see `contracts.HeadLayer`). A number has its mean, scale
    and range in the head's transformed space; a class or labels have their names, in the order of
    the outputs. `label_type` is what a class was in the table.
    """

    name: str
    columns: list[str]
    kind: LabelKind = "number"
    classes: list[str] = []
    label_type: LabelType = "text"
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
        for name, values in zip(("frequencies", "phases", "meanings"), self.arrays, strict=True):
            if not _all_finite(values):
                raise ValueError(f"{name} must be finite")
        return self

    @property
    def arrays(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Frequencies, phases and target encoding as flat float32 arrays, decoded once."""
        frequencies, phases, encoding = self.decoded.arrays
        return frequencies, phases, encoding

    @cached_property
    def decoded(self) -> _Arrays:
        """The arrays, behind a name that comparing records passes by."""
        names = self.frequencies, self.phases, self.meanings
        return _Arrays([_decoded(written, "<f4") for written in names])

    @property
    def count(self) -> int:
        """Number of features."""
        return len(self.arrays[1])

    def fits(self, group: FittedGroup) -> bool:
        """Return whether these are features of the group."""
        width = len(group.numeric) + len(group.categorical) * self.targets
        categories = sum(len(column.categories) + FIRST_CODE for column in group.categorical)
        sizes = [len(each) for each in self.arrays]
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


def _decoded(written: str, dtype: DType) -> NDArray[Any]:
    """Return the numbers that `core.arrays.encode` wrote."""
    # Imported here, since what layers import does without NumPy at module level.
    from multimodal.core.arrays import decode

    return decode(written, dtype)


def _all_finite(values: NDArray[Any]) -> bool:
    return bool((abs(values) < inf).all())


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
    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Hashes uint32 and weights float32, decoded once."""
        hashes, weights = self.decoded.arrays
        return hashes, weights

    @cached_property
    def decoded(self) -> _Arrays:
        """The arrays, behind a name that comparing records passes by."""
        return _Arrays([_decoded(self.hashes, "<u4"), _decoded(self.weights, "<f4")])

    @property
    def num_terms(self) -> int:
        """Number of features."""
        return len(self.arrays[0])

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        hashes, weights = self.arrays
        if not self.blocks or len(hashes) != len(weights) or len(hashes) < len(self.blocks):
            raise ValueError("features need blocks, and as many hashes as weights")
        if (hashes[:-1] >= hashes[1:]).any() or not _all_finite(weights):
            raise ValueError("hashes must rise, and weights be finite")
        if any(low >= high for low, high in pairwise(self.lengths)):
            raise ValueError("lengths must rise")
        if self.lengths[-1] > len(hashes) + 63:  # rounded up to a multiple of 64
            raise ValueError("lengths must not exceed the number of features")
        return self


class FittedSpec(Record):
    """Everything `build` and `predict` need to know about the data.

    `terms` are there where a linear model is part of the stacked model, `landmarks` is the number
    of those of each kernel regression on frozen features, 0 without any.

    Example:
    >>> spec = FittedSpec(groups=[], heads=[])
    >>> FittedSpec.model_validate_json(spec.model_dump_json()) == spec
    True
    """

    version: Literal[1] = 1
    groups: list[FittedGroup]
    heads: list[FittedHead]
    terms: SparseFeatures | None = None
    landmarks: int = Field(0, ge=0, le=MOST_LANDMARKS)

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

    @property
    def frozen_inputs(self) -> list[list[str]]:
        """The input keys that each kernel regression reads, which is one for each modality."""
        frozen: dict[str, list[str]] = {}
        for group in self.groups if self.landmarks else ():
            if group.pretrained is not None:
                frozen.setdefault(group.modality, []).append(f"{group.name}_features")
        return [*frozen.values()]


def slug(name: str) -> str:
    """Return `name` in the letters every backend accepts: `[a-z0-9_]`, not starting with a digit.

    Example:
    >>> slug("Preis €/kg")
    'preis_kg'
    """
    # Weights of saved runs lie under these names: another rule would not find them.
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
