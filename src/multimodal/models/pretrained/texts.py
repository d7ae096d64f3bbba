"""Pretrained encoders of texts, with their weights and tokenizers, and static word vectors."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from multimodal.core.files import sha256_of
from multimodal.core.pretrained import Pretrained
from multimodal.data.features.vectors import read_frequent
from multimodal.models.pretrained.batched import ANY_SHAPE, forward_of
from multimodal.models.pretrained.files import only_file, read_state
from multimodal.models.pretrained.photos import Network
from multimodal.models.pretrained.states import bert_of
from multimodal.runtime.features import (
    MOST_PIECES,
    USES,
    Use,
    mean_vectors,
    read_tokenizer,
    text_features,
)

HEADS = 12  # of all encoders in the table
LENGTHS = (16, 32, 48, 64, 96, 128, 192, MOST_PIECES)  # filled up to, where shapes must be few
MOST_WORDS = 400_000  # of a file of word vectors; the most frequent come first


def text_network(name: str, model: Pretrained, path: Path) -> Network:
    """Return a pretrained encoder of texts.

    Args:
        name: Its name in the table.
        model: Its row of the table.
        path: Folder, zip archive or, of word vectors, file of its weights.

    Raises:
        ConfigError: The package that reads its tokenizer is not installed.
        DataError: The weights are damaged, or those of another model.
    """
    if name == "static_vectors":
        return _word_vectors(only_file(model, path))
    state = read_state(model, path)
    network = bert_of(state.tensors, HEADS, state.place)
    tokenizer, use = read_tokenizer(state.others[0], state.place), USES.get(name, Use())
    lengths = () if ANY_SHAPE else LENGTHS
    features = partial(
        text_features, forward_of(network), tokenizer, use, model.dim, lengths=lengths
    )
    return Network(network, state.checksum, features, model.dim, tokenizer=state.others[0])


def _word_vectors(file: Path) -> Network:
    vectors = read_frequent(file, MOST_WORDS)
    dim = vectors.matrix.shape[1]
    features = partial(mean_vectors, vectors.ids, vectors.matrix)
    return Network(None, sha256_of(file), features, dim, vectors=vectors)
