"""BERT's encoder: what masked tokens do, and that it is a backbone of the text encoders."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal.encoders.text_backbone import TextBackboneEncoder
from multimodal.layers.bert import BertSizes, bert_encoder

SIZES = BertSizes(vocabulary=50, positions=12, dim=8, blocks=2, heads=2, mlp_dim=12)


def tokens_of(encoder: keras.Model, ids: list[list[int]], mask: list[list[int]]) -> np.ndarray:
    inputs = {"token_ids": np.array(ids, "int32"), "padding_mask": np.array(mask, "int32")}
    return keras.ops.convert_to_numpy(encoder(inputs))


def test_padding_changes_nothing() -> None:
    encoder = bert_encoder(SIZES)
    alone = tokens_of(encoder, [[5, 7, 9]], [[1, 1, 1]])
    padded = tokens_of(encoder, [[5, 7, 9, 3, 8], [1, 2, 3, 4, 5]], [[1, 1, 1, 0, 0], [1] * 5])
    np.testing.assert_allclose(padded[0, :3], alone[0], atol=1e-5)
    assert np.abs(tokens_of(encoder, [[5, 7, 3]], [[1, 1, 1]]) - alone)[0, 0].max() > 1e-3
    turned = tokens_of(encoder, [[7, 5, 9]], [[1, 1, 1]])
    assert np.abs(turned[0, 2] - alone[0, 2]).max() > 1e-5  # words have places


def test_it_is_a_backbone() -> None:
    encoder = TextBackboneEncoder(bert_encoder(SIZES), pooling="mean")
    ids = np.array([[5, 7, 0]], "int32")
    found = keras.ops.convert_to_numpy(encoder(ids))
    assert found.shape == (1, 8)
    again = TextBackboneEncoder.from_config(encoder.get_config())
    again.build((None, 3))
    again.set_weights(encoder.get_weights())
    np.testing.assert_allclose(keras.ops.convert_to_numpy(again(ids)), found, atol=1e-6)


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="`heads` must divide `dim`"):
        bert_encoder(SIZES._replace(heads=3))
    with pytest.raises(ValueError, match="`blocks` must be an integer of at least 1"):
        bert_encoder(SIZES._replace(blocks=0))
