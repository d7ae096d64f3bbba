"""The pretrained models of an export: ONNX files beside its network, in place of Keras models."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from multimodal.core.arrays import damage_told, read_arrays
from multimodal.core.errors import RunError
from multimodal.core.spec import FittedSpec, PretrainedFeatures
from multimodal.data.features.pretrained import FrozenFeatures
from multimodal.data.photos.read import Pixels
from multimodal.runtime.features import (
    USES,
    Features,
    Use,
    batches,
    mean_vectors,
    read_tokenizer,
    text_features,
)
from multimodal.runtime.sessions import Network

PHOTOS, FEATURES = "photos", "features"  # input and output of a network of photos
TOKENS = "tokens"  # output of a network of texts
MOST_VECTORS = 1 << 32
AGAIN = "Export the run again."


class ExportedExtractor:
    """A pretrained model as an export holds it; `photos`, `maps` and `texts` as of `Extractor`.

    Args:
        wanted: What the spec says of it.
        folder: Of the export.
        number: Its place among the pretrained models of the spec.
        there: Files of the export that are known to be whole.

    Raises:
        RunError: One of its files is missing or damaged.
    """

    def __init__(
        self, wanted: PretrainedFeatures, folder: Path, number: int, there: Collection[str]
    ) -> None:
        self.name, self.checksum, self.key = wanted.model, wanted.checksum, ""
        self.size, self._cells = wanted.size, wanted.cells
        self.dim = self.cell_dim = wanted.dim
        network, tokenizer, vectors = files_of(number)
        worded = vectors in there
        needed = [vectors] if worded else [network] if self.size else [network, tokenizer]
        if absent := sorted({*needed} - {*there}):
            raise RunError(f"{folder / absent[0]}: missing. {AGAIN}")
        self._network = None if worded else Network(folder / network)
        self._words = _read_vectors(folder / vectors, self.dim) if worded else None
        self._tokenizer = None
        if tokenizer in needed:
            content = (folder / tokenizer).read_bytes()
            self._tokenizer = read_tokenizer(content, str(folder / tokenizer))

    def photos(self, photos: Pixels) -> Features:
        """Return the features of photos, float32 (N, dim)."""
        return self._of_photos(photos).reshape(len(photos), self.dim)

    def maps(self, photos: Pixels, side: int) -> Features:
        """Return the features of the parts of photos, float32 (N, side * side, dim)."""
        return self._of_photos(photos).reshape(len(photos), side * side, self.dim)

    def _of_photos(self, photos: Pixels) -> Features:
        assert self._network is not None
        found = np.zeros((len(photos), self._cells * self.dim), np.float32)
        for rows in batches(len(photos)):
            found[rows] = self._network({PHOTOS: photos[rows]}, [FEATURES])[FEATURES]
        return found

    def texts(self, texts: Sequence[str]) -> Features:
        """Return the features of texts, float32 (N, dim)."""
        if self._words is not None:
            return mean_vectors(*self._words, texts)
        network, use = self._network, USES.get(self.name, Use())
        assert network is not None
        return text_features(
            lambda given: network(given, [TOKENS])[TOKENS], self._tokenizer, use, self.dim, texts
        )


def files_of(number: int) -> tuple[str, str, str]:
    """Return the files of a pretrained model: its network, tokenizer and word vectors."""
    start = f"pretrained-{number}"
    return f"{start}.onnx", f"{start}.tokenizer.json", f"{start}.vectors.npz"


def distinct(spec: FittedSpec) -> Iterator[tuple[PretrainedFeatures, list[str]]]:
    """Yield the pretrained models of a spec in order, each with the groups that it reads."""
    groups: dict[PretrainedFeatures, list[str]] = {}
    for group in spec.groups:
        if group.pretrained is not None:
            groups.setdefault(group.pretrained, []).append(group.name)
    yield from groups.items()


def exported_extractors(
    spec: FittedSpec, folder: Path, there: Collection[str]
) -> dict[str, FrozenFeatures]:
    """Return the pretrained models of an export by group.

    Raises:
        RunError: A file is missing or damaged.
    """
    found: dict[str, FrozenFeatures] = {}
    for number, (wanted, names) in enumerate(distinct(spec)):
        extractor = FrozenFeatures(ExportedExtractor(wanted, folder, number, there))
        found |= dict.fromkeys(names, extractor)
    return found


def _read_vectors(path: Path, dim: int) -> tuple[dict[str, int], Features]:
    with damage_told(path, "of another run", AGAIN):
        arrays = read_arrays(path, total=MOST_VECTORS)
        words = arrays["words"].tobytes().decode().split("\n")
        matrix = arrays["matrix"].astype(np.float32)
        if matrix.shape != (len(words), dim):
            raise ValueError("its vectors have another shape")
    return {word: i for i, word in enumerate(words)}, matrix
