"""Extractors: a pretrained model by name that turns photos or texts into features.

Features are computed in float32 and do not depend on the other rows of a call beyond 1e-5, so they
may be kept (`data.feature_cache`) under the extractor's `key` and the content of a photo or text.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import ConfigError
from multimodal.core.pretrained import Pretrained, find_weights, pretrained
from multimodal.data.features.vectors import FrequentVectors
from multimodal.models.pretrained.photos import Network, check_size, photo_network
from multimodal.models.pretrained.texts import text_network
from multimodal.runtime.features import MOST_PIECES, Features


class FeatureExtractor:
    """A pretrained model that turns photos or texts into vectors; `load_extractor` makes one.

    Attributes:
        name: Its name in the table of pretrained models.
        modality: What it reads, "image" or "text".
        dim: Numbers of a photo's or text's features.
        cell_dim: Those of a part of a photo; 0 for texts.
        size: Pixels a side of the photos; 0 for texts.
        checksum: SHA-256 of the files of weights: what a saved run needs to predict.
        key: What its features depend on besides the photo or text: two extractors of one key
            compute the same.
        network: The Keras model inside: photos to a map or tokens, or token ids to tokens; None of
            word vectors.
        pooled: Photos to their features, as one Keras model; None for texts.
        tokenizer: The file of the tokenizer of a network of texts, else empty.
        vectors: Word vectors, None of a network.
    """

    tokenizer: bytes
    vectors: FrequentVectors | None

    def __init__(self, name: str, model: Pretrained, size: int, found: Network) -> None:
        self.name, self.modality, self.size = name, model.modality, size
        self.dim, self.checksum, self.network = found.dim, found.checksum, found.network
        self.pooled, self.cell_dim = found.pooled, found.cell_dim
        self.tokenizer, self.vectors = found.tokenizer, found.vectors
        told = [name, found.checksum, model.preprocessing, size, MOST_PIECES, found.dim]
        self.key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]
        self._features = found.features

    def photos(self, photos: NDArray[np.uint8]) -> Features:
        """Return the features of photos: what is seen, and of convolutional networks also where.

        The first is the mean over the places, or the token of the photo; the second the means over
        the parts of a grid on a finer layer (`DETAILS`).

        Args:
            photos: uint8 `(N, size, size, 3)`, red, green, blue.

        Returns:
            float32 `(N, dim)`.

        Raises:
            ValueError: It reads texts, or the photos have another shape.
        """
        self._check("image")
        if photos.ndim != 4 or photos.shape[1:] != (self.size, self.size, 3):
            raise ValueError(
                f"`photos` must have the shape (N, {self.size}, {self.size}, 3). "
                f"Received: {photos.shape}"
            )
        return self._features(photos)

    def maps(self, photos: NDArray[np.uint8], side: int) -> Features:
        """Return the features of the parts of photos, the mean over the places in each.

        Args:
            photos: As for `photos`.
            side: Parts along each side, as many as the map has at most; see `GridPooling`.

        Returns:
            float32 `(N, side * side, cell_dim)`, row by row.

        Raises:
            ConfigError: It ends in one token, as `siglip`.
        """
        self._check("image")
        if self.network is not None and tuple(self.network.output.shape[1:-1]) == (1,):
            raise ConfigError(
                f"{self.name}: has no features of the parts of a photo, in which a box is found. "
                "Choose another pretrained model, such as dinov2_small."
            )
        return self._features(photos, side)

    def texts(self, texts: Sequence[str]) -> Features:
        """Return the features of texts: the mean over their word pieces, or the token of the text.

        Texts are cut after 256 pieces; one without any word gets zeros. Texts of one length are
        computed together, so short ones take little time.

        Returns:
            float32 `(N, dim)`.

        Raises:
            ValueError: It reads photos.
        """
        self._check("text")
        return self._features(texts)

    def _check(self, asked: str) -> None:
        if self.modality != asked:
            raise ValueError(f"{self.name} is a model of modality {self.modality}, not {asked}")


def load_extractor(
    name: str, weights: str | os.PathLike[str] | None = None, *, size: int | None = None
) -> FeatureExtractor:
    """Return a pretrained model by name, with its weights, to compute features with.

    Args:
        name: A name of the table, such as `efficientnet_lite0` or `minilm`.
        weights: File or folder of its weights; None, the default, looks for them on this machine as
            `find_weights` says. Nothing is downloaded.
        size: Pixels a side of the photos, at least 32; None, the default, is as in the table.

    Raises:
        ConfigError: The name is unknown, the weights are not there, the size does not suit, or a
            package that the model needs is not installed.
        DataError: The weights are damaged, or those of another model.
    """
    model = pretrained(name)
    if size is not None and model.modality == "text":
        raise ConfigError(f"{name}: expected no size, as it reads no photos; got {size}.")
    if model.modality == "text":
        path = find_weights(name if weights is None else Path(weights))
        return FeatureExtractor(name, model, 0, text_network(name, model, path))
    size = model.size if size is None else size
    check_size(name, size)  # before a large file is looked for
    path = find_weights(name if weights is None else Path(weights))
    return FeatureExtractor(name, model, size, photo_network(name, model, path, size))
