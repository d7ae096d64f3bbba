"""Frozen features: what a pretrained model makes of photos and texts, before networks read them.

They are the same in every epoch, fold and training, so that they are computed once. No Keras here:
what computes them is handed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Ints
from multimodal.core.errors import ConfigError
from multimodal.core.spec import (
    MOST_LANDMARKS,
    FittedGroup,
    FittedSpec,
    PretrainedFeatures,
)
from multimodal.data.feature_cache import cached_features
from multimodal.data.photos.read import PhotoPaths, Pixels, decode_rows

# Parts along each side of a photo in which a box lies, and the pixels that a part has at least: no
# pretrained model has a coarser map.
BOX_PARTS, PART = 4, 32
ROWS = 64  # whose photos are in memory together
TEXTS = 256  # that are computed together: sorted by length, so the more the less are filled up
# Landmarks times rows times outputs of a kernel regression, and how few landmarks it has at least:
# 512 of 1,046 product photos lose 0.3 % of the error, 256 0.6 %.
PRODUCTS, LEAST_LANDMARKS = 8_000_000, 128
Features = NDArray[np.float32]


class Extractor(Protocol):
    """A pretrained model: photos or texts to features float32 (N, dim).

    `key` is what they depend on besides the photo or text, `checksum` that of the weights, `size`
    the side of photos in pixels, 0 for texts, `cell_dim` the features of a part of a photo.
    """

    name: str
    key: str
    checksum: str
    size: int
    dim: int
    cell_dim: int

    def photos(self, photos: Pixels) -> Features:
        """Return the features of photos uint8 (N, size, size, 3)."""

    def maps(self, photos: Pixels, side: int) -> Features:
        """Return the features (N, side * side, cell_dim) of the parts of a grid over photos."""

    def texts(self, texts: Sequence[str]) -> Features:
        """Return the features of texts; zeros for one without words."""


@dataclass(frozen=True)
class FrozenFeatures:
    """What a pretrained model makes of rows.

    Args:
        extractor: The model.
        kept: Whether features are kept on disk, for later trainings, and looked for there.
        weights: Where its weights were looked for, empty for the usual places.
    """

    extractor: Extractor
    kept: bool = False
    weights: str = ""

    def photos(self, photos: PhotoPaths, cells: int = 1) -> tuple[Features, Bools]:
        """Return features float32 (rows, K * cells, width) and presence bool (rows, K).

        Those of an absent photo are zeros.

        Args:
            photos: The paths.
            cells: Parts of a photo that have features of their own, a square; 1 for those of the
                whole photo.
        """
        width = self.width(cells)
        found = np.zeros((*photos.shape[:2], cells * width), np.float32)
        present, keys = np.zeros(photos.shape[:2], bool), list[bytes]()
        for rows, pixels, there in _decoded(photos):
            present[rows] = there
            if self.kept:
                keys += [hashlib.blake2b(each).digest() for each in pixels[there]]
            elif there.any():
                found[rows][there] = self.of_pixels(pixels[there], cells)
        if self.kept and keys:
            places = np.argwhere(present)

            def compute(chosen: Ints) -> Features:
                paths = [[photos.paths[row][slot]] for row, slot in places[chosen]]
                pixels, _, _ = decode_rows(PhotoPaths(paths, photos.size))
                return self.of_pixels(pixels[:, 0], cells)

            found[present] = self._cached("photos", keys, compute, cells)
        return found.reshape(len(found), -1, width), present

    def width(self, cells: int = 1) -> int:
        """Return how many features a photo, one of several parts of it, or a text has."""
        return self.extractor.dim if cells == 1 else self.extractor.cell_dim

    def of_pixels(self, pixels: Pixels, cells: int = 1) -> Features:
        """Return the features float32 (N, cells * width) of decoded photos."""
        if cells == 1:
            return self.extractor.photos(pixels)
        return self.extractor.maps(pixels, isqrt(cells)).reshape(len(pixels), -1)

    def texts(self, texts: Sequence[str]) -> Features:
        """Return features float32 (rows, 1, dim), a text each; zeros where there is none."""
        if not self.kept:
            return self.extractor.texts(texts)[:, None]

        def compute(chosen: Ints) -> Features:
            return self.extractor.texts([texts[i] for i in chosen])

        keys = [text.encode() for text in texts]
        return self._cached("texts", keys, compute, chunk=TEXTS)[:, None]

    def _cached(
        self,
        what: str,
        keys: Sequence[bytes],
        compute: Callable[[Ints], Features],
        cells: int = 1,
        chunk: int = ROWS,
    ) -> Features:
        name, key = f"{self.extractor.name}: features of {what}", self.extractor.key
        # its own file for a grid, by the number of features, which is part of the file's name
        return cached_features(
            key, cells * self.width(cells), keys, compute, name=name, chunk=chunk
        )


Extractors = Mapping[str, FrozenFeatures]
NO_EXTRACTORS: Extractors = MappingProxyType({})


def _decoded(photos: PhotoPaths) -> Iterator[tuple[slice, Pixels, Bools]]:
    """Yield rows of photos, some at a time: the rows, their pixels, and which are there."""
    for start in range(0, len(photos.paths), ROWS):
        rows = slice(start, start + ROWS)
        pixels, there, _ = decode_rows(PhotoPaths(photos.paths[rows], photos.size))
        yield rows, pixels, there


def with_pretrained(spec: FittedSpec, extractors: Extractors) -> FittedSpec:
    """Return the spec in which the groups with an extractor are read as its frozen features.

    Args:
        spec: The fitted groups and heads.
        extractors: By group.

    Raises:
        ConfigError: A head learns a box in one of several photos of such a group.
    """
    boxes = [head.name for head in spec.heads if head.kind == "box"]
    for group in spec.groups:
        if boxes and group.name in extractors and group.photos > 1:
            raise ConfigError(
                f"head '{boxes[0]}' learns a box in the first of {group.photos} photos, but a grid "
                f"of pretrained features is of one. Leave `encoder: pretrained` of group "
                f"'{group.name}' out, or the other photos."
            )
    groups = [_fitted(group, extractors.get(group.name), bool(boxes)) for group in spec.groups]
    return spec.model_copy(update={"groups": groups})


def with_landmarks(spec: FittedSpec, rows: int) -> FittedSpec:
    """Return the spec with the number of landmarks that kernel regressions of so many rows have.

    They are fewer where there are many rows or outputs, which bounds the time of a fit.

    Example:
    >>> group = {"name": "photos", "modality": "image", "columns": ["a"], "pretrained": {
    ...     "model": "efficientnet_lite0", "dim": 1280}}
    >>> spec = FittedSpec.model_validate({"groups": [group], "heads": []})
    >>> with_landmarks(spec, 700).landmarks, with_landmarks(spec, 100_000).landmarks
    (700, 128)
    """
    if all(group.pretrained is None for group in spec.groups):
        return spec
    outputs = max((len(head.classes) for head in spec.heads), default=1)
    most = max(PRODUCTS // (max(outputs, 1) * max(rows, 1)), LEAST_LANDMARKS)
    return spec.model_copy(update={"landmarks": min(rows, most, MOST_LANDMARKS)})


def _fitted(group: FittedGroup, frozen: FrozenFeatures | None, boxes: bool) -> FittedGroup:
    if frozen is None:
        return group
    extractor = frozen.extractor
    parts = min(BOX_PARTS, extractor.size // PART) if boxes and group.modality == "image" else 1
    found = PretrainedFeatures(
        model=extractor.name,
        weights=frozen.weights,
        checksum=extractor.checksum,
        size=extractor.size,
        dim=frozen.width(parts**2),
        cells=parts**2,
    )
    size = extractor.size if group.modality == "image" else group.image_size
    return group.model_copy(update={"pretrained": found, "image_size": size})
