"""Features of texts: word pieces through a network, or the mean of word vectors.

What computes the network is handed in: Keras, or ONNX Runtime in an export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.errors import ConfigError, DataError, first_line
from multimodal.data.features.text import words

MOST_PIECES = 256  # of a text, the marks at its start and end included
BATCH = 32  # texts or photos that are computed together
Features = NDArray[np.float32]
Forward = Callable[[Any], NDArray[Any]]


class Use(NamedTuple):
    """What an encoder's authors put before a text, and whether its first token stands for it."""

    prefix: str = ""
    first_token: bool = False


USES = {"bge_small": Use(first_token=True), "multilingual_e5_small": Use("query: ")}


def batches(count: int) -> Iterator[Ints]:
    """Yield the rows of each batch."""
    for start in range(0, count, BATCH):
        yield np.arange(start, min(start + BATCH, count))


def read_tokenizer(content: bytes, place: str) -> Any:
    """Return a tokenizer that cuts texts after 256 pieces and fills none up.

    Raises:
        ConfigError: The package that reads it is not installed.
        DataError: It is damaged.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ConfigError(
            "pretrained text models need tokenizers, which is not installed: "
            "pip install 'multimodal-keras[pretrained]'"
        ) from None
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises bare Exceptions
        reason = first_line(error)
        raise DataError(f"{place}: expected a tokenizer ({reason}). Get it anew.") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_PIECES)
    return tokenizer


def text_features(
    forward: Forward,
    tokenizer: Any,
    use: Use,
    dim: int,
    texts: Sequence[str],
    lengths: Sequence[int] = (),
) -> Features:
    """Return float32 (N, dim): the mean of each text's tokens, or the first; zeros without words.

    Texts of one length share a batch, so that short ones are not filled up to long ones.

    Args:
        forward: `token_ids` and `padding_mask` (B, T) to tokens (B, T, dim).
        tokenizer: What `read_tokenizer` returned.
        use: How the texts are put, and what is taken of the tokens.
        dim: Of the tokens.
        texts: The texts.
        lengths: What the pieces of a batch are filled up to, where shapes must be few; any length
            by default.
    """
    found = np.zeros((len(texts), dim), np.float32)
    worded = np.array([i for i, text in enumerate(texts) if text.strip()], np.int64)
    encoded = tokenizer.encode_batch([use.prefix + texts[i] for i in worded])
    pieces = [each.ids for each in encoded]
    order = np.argsort([len(each) for each in pieces], kind="stable")
    for batch in batches(len(worded)):
        rows = order[batch]
        tokens, kept = _tokens(forward, [pieces[row] for row in rows], lengths)
        means = (tokens * kept).sum(axis=1) / kept.sum(axis=1)
        found[worded[rows]] = tokens[:, 0] if use.first_token else means
    return found


def _tokens(
    forward: Forward, pieces: Sequence[Sequence[int]], lengths: Sequence[int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a batch's tokens (B, T, dim), and (B, T, 1): 1 where one is of the text, else 0."""
    longest = max(map(len, pieces))
    length = next((size for size in lengths if size >= longest), longest)
    ids, mask = (np.zeros((len(pieces), length), np.int32) for _ in range(2))
    for row, each in enumerate(pieces):
        ids[row, : len(each)], mask[row, : len(each)] = each, 1
    tokens = forward({"token_ids": ids, "padding_mask": mask})
    return tokens, mask[:, :, None].astype(np.float32)


def mean_vectors(ids: Mapping[str, int], matrix: Features, texts: Sequence[str]) -> Features:
    """Return float32 (N, dim): the mean of the vectors of a text's words, zeros without any."""
    found = np.zeros((len(texts), matrix.shape[1]), np.float32)
    for row, text in enumerate(texts):
        known = [ids[word] for word in words(text) if word in ids]
        if known:
            found[row] = matrix[known].mean(axis=0)
    return found
