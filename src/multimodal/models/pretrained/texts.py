"""Pretrained encoders of texts, with their weights and tokenizers, and static word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import ConfigError, DataError, first_line
from multimodal.core.files import sha256_of
from multimodal.core.pretrained import Pretrained
from multimodal.data.features.text import words
from multimodal.data.features.vectors import read_frequent
from multimodal.models.pretrained.batched import ANY_SHAPE, Forward, batches, filled, forward_of
from multimodal.models.pretrained.files import State, only_file, read_state
from multimodal.models.pretrained.photos import Features, Network
from multimodal.models.pretrained.states import bert_of

HEADS = 12  # of all encoders in the table
MOST_PIECES = 256  # of a text, the marks at its start and end included
LENGTHS = (16, 32, 48, 64, 96, 128, 192, MOST_PIECES)  # filled up to, where shapes must be few
MOST_WORDS = 400_000  # of a file of word vectors; the most frequent come first


class Use(NamedTuple):
    """What an encoder's authors put before a text, and whether its first token stands for it."""

    prefix: str = ""
    first_token: bool = False


USES = {"bge_small": Use(first_token=True), "multilingual_e5_small": Use("query: ")}


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
    tokenizer, use = _tokenizer(state), USES.get(name, Use())
    features = partial(_features, forward_of(network), tokenizer, use, model.dim)
    return Network(network, state.checksum, features, model.dim)


def _tokenizer(state: State) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ConfigError(
            "pretrained text models need tokenizers, which is not installed: "
            "pip install 'multimodal-keras[pretrained]'"
        ) from None
    try:
        tokenizer = Tokenizer.from_buffer(state.others[0])
    except Exception as error:  # the library raises bare Exceptions
        reason = first_line(error)
        raise DataError(f"{state.place}: expected a tokenizer ({reason}). Get it anew.") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_PIECES)
    return tokenizer


def _features(
    forward: Forward, tokenizer: Any, use: Use, dim: int, texts: Sequence[str]
) -> Features:
    """Return float32 (N, dim): the mean of each text's tokens, or the first; zeros without words.

    Texts of one length share a batch, so that short ones are not filled up to long ones.
    """
    found = np.zeros((len(texts), dim), np.float32)
    worded = np.array([i for i, text in enumerate(texts) if text.strip()], np.int64)
    encoded = tokenizer.encode_batch([use.prefix + texts[i] for i in worded])
    pieces = [each.ids for each in encoded]
    order = np.argsort([len(each) for each in pieces], kind="stable")
    for batch in batches(len(worded)):
        rows = order[batch]
        tokens, kept = _tokens(forward, [pieces[row] for row in rows])
        means = (tokens * kept).sum(axis=1) / kept.sum(axis=1)
        found[worded[rows]] = tokens[:, 0] if use.first_token else means
    return found


def _tokens(forward: Forward, pieces: Sequence[Sequence[int]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a batch's tokens (B, T, dim), and (B, T, 1): 1 where one is of the text, else 0."""
    longest = max(map(len, pieces))
    length = longest if ANY_SHAPE else next(size for size in LENGTHS if size >= longest)
    ids, mask = (np.zeros((len(pieces), length), np.int32) for _ in range(2))
    for row, each in enumerate(pieces):
        ids[row, : len(each)], mask[row, : len(each)] = each, 1
    tokens = forward({"token_ids": filled(ids), "padding_mask": filled(mask)})
    return tokens[: len(ids)], mask[:, :, None].astype(np.float32)


def _word_vectors(file: Path) -> Network:
    vectors = read_frequent(file, MOST_WORDS)
    dim = vectors.matrix.shape[1]
    features = partial(_mean_vectors, vectors.ids, vectors.matrix)
    return Network(None, sha256_of(file), features, dim)


def _mean_vectors(
    ids: dict[str, int], matrix: NDArray[np.float32], texts: Sequence[str]
) -> Features:
    """Return float32 (N, dim): the mean of the vectors of a text's words, zeros without any."""
    found = np.zeros((len(texts), matrix.shape[1]), np.float32)
    for row, text in enumerate(texts):
        known = [ids[word] for word in words(text) if word in ids]
        if known:
            found[row] = matrix[known].mean(axis=0)
    return found
