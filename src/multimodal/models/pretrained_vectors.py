"""Pretrained word vectors (GloVe, word2vec) as the start of a text group's embedding."""

from __future__ import annotations

import inspect
from pathlib import Path

import keras

from multimodal.core.config import Config, Group
from multimodal.core.errors import ConfigError
from multimodal.core.spec import FittedSpec
from multimodal.data.features.vectors import dimension, read_vectors
from multimodal.layers import registry


def check_vectors(config: Config) -> None:
    """Check, before anything is built, that the `vectors` of all groups fit their encoders.

    Raises:
        ConfigError: A group does not read words, its encoder takes no vectors, or theirs have
            another dimension than its embeddings.
        DataError: A file cannot be read.
    """
    for group in config.groups:
        if group.vectors is not None:
            _check_group(group, group.vectors)


def start_from_vectors(model: keras.Model, config: Config, spec: FittedSpec) -> list[str]:
    """Give the known words of each group with `vectors` their pretrained vectors.

    Args:
        model: What `build(config, spec)` returned.
        config: Its config, with a file in `vectors` of the groups that start from one.
        spec: Its spec, with the vocabulary of each group.

    Returns:
        A sentence per such group: how many of its words were found.

    Raises:
        ConfigError, DataError: As `check_vectors`; or a line of a file is malformed.
    """
    check_vectors(config)
    sentences = []
    for group, fitted in zip(config.groups, spec.groups, strict=True):
        if group.vectors is not None:
            vectors = read_vectors(group.vectors, fitted.vocabulary)
            encoder = model.get_layer(f"{fitted.name}_encoder")
            encoder.load_vectors(vectors.matrix, vectors.found)
            sentences.append(
                f"{group.name}: {int(vectors.found.sum()):,} of {len(fitted.vocabulary):,} words "
                f"found in {Path(group.vectors).name}"
            )
    return sentences


def _check_group(group: Group, path: str) -> None:
    cls = registry.get(f"{group.modality}_encoder", group.encoder.name)
    if not hasattr(cls, "load_vectors"):
        raise ConfigError(
            f"group '{group.name}': `vectors` are for text encoders with word embeddings of their "
            f"own, not for {group.modality} encoder '{group.encoder.name}'."
        )
    default = inspect.signature(cls.__init__).parameters["embedding_dim"].default
    wanted, found = group.encoder.options.get("embedding_dim", default), dimension(path)
    if wanted != found:
        raise ConfigError(
            f"group '{group.name}': the vectors in {path} have {found} numbers, but "
            f"`embedding_dim` of encoder '{group.encoder.name}' is {wanted}. "
            f"Set `embedding_dim: {found}` in its options."
        )
