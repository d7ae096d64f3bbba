"""The pretrained models whose frozen features a run reads, as files of its export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from multimodal.core.errors import RunError
from multimodal.core.files import replace_file
from multimodal.core.spec import PretrainedFeatures
from multimodal.data.features.pretrained import Extractors
from multimodal.export.graph import Graph, traced
from multimodal.export.onnx import write_onnx
from multimodal.models.fitted import FittedModel
from multimodal.models.pretrained.extractors import FeatureExtractor
from multimodal.models.pretrained.photos import grid_parts
from multimodal.runtime.extractors import FEATURES, PHOTOS, TOKENS, distinct, files_of


def write_extractors(model: FittedModel, folder: Path) -> None:
    """Write each pretrained model of a run: its network as ONNX, its tokenizer or word vectors.

    Raises:
        RunError: One is not of this package, or ONNX has no operator for a part of it.
        OSError: The disk is full or cannot be written.
    """
    extractors: Extractors = model.preprocessor.extractors
    for number, (wanted, groups) in enumerate(distinct(model.spec)):
        extractor = extractors[groups[0]].extractor
        if not isinstance(extractor, FeatureExtractor):
            raise RunError(
                f"group '{groups[0]}' reads features of '{wanted.model}' from an extractor of "
                f"another make ({type(extractor).__name__}), which cannot be exported. Its "
                "network must be one that `multimodal.models.pretrained` loads."
            )
        network, tokenizer, vectors = (folder / name for name in files_of(number))
        if extractor.network is not None:
            write_onnx(_graph(extractor, wanted), network)
        if extractor.tokenizer:
            tokenizer.write_bytes(extractor.tokenizer)
        if extractor.vectors is not None:
            words = "\n".join(extractor.vectors.ids).encode()
            arrays: dict[str, Any] = {
                "words": np.frombuffer(words, np.uint8),
                "matrix": extractor.vectors.matrix,
            }
            with replace_file(vectors) as beside, beside.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)


def _graph(extractor: FeatureExtractor, wanted: PretrainedFeatures) -> Graph:
    import tensorflow as tf

    network: Any = extractor.network
    pooled: Any = extractor.pooled
    if extractor.modality == "text":
        signature = {
            name: tf.TensorSpec((None, None), tf.int32, name=name)
            for name in ("token_ids", "padding_mask")
        }

        def function(inputs: dict[str, Any]) -> dict[str, Any]:
            return {TOKENS: network(inputs, training=False)}
    else:
        shape = (None, extractor.size, extractor.size, 3)
        signature = {PHOTOS: tf.TensorSpec(shape, tf.uint8, name=PHOTOS)}

        def function(inputs: dict[str, Any]) -> dict[str, Any]:
            photos = keras.ops.cast(inputs[PHOTOS], "float32")
            if wanted.cells == 1:
                return {FEATURES: pooled(photos, training=False)}
            parts = grid_parts(network(photos, training=False), round(wanted.cells**0.5))
            return {FEATURES: keras.ops.reshape(parts, (-1, wanted.cells * wanted.dim))}

    return traced(function, signature, tf.Module())
