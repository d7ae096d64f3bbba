"""Text backbones of KerasHub and plain Keras as encoders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from multimodal import encoders
from multimodal.encoders import TextBackboneEncoder

IDS = np.array([[3, 4, 1, 2], [2, 3, 0, 0]], "int32")


def values(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def bert() -> keras.Model:
    hub = pytest.importorskip("keras_hub")
    return hub.models.BertBackbone(
        vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16
    )


def plain(**options: Any) -> keras.Model:
    ids = keras.Input((None,), dtype="int32")
    return keras.Model(ids, keras.layers.Embedding(9, 4)(ids), **options)


def test_bert_sees_ids_and_padding_as_its_own_preprocessor_says_them() -> None:
    backbone = bert()
    encoder = TextBackboneEncoder(backbone)
    given = {"token_ids": IDS, "padding_mask": (IDS != 0).astype("int32"), "segment_ids": IDS * 0}
    expected = values(backbone(given)["sequence_output"])
    np.testing.assert_allclose(values(encoder(IDS)), expected, atol=1e-6)
    np.testing.assert_allclose(values(encoder(given)), expected, atol=1e-6)
    np.testing.assert_array_equal(values(encoder(given)._keras_mask), IDS != 0)


def test_bert_is_saved_inside_the_model(tmp_path: Path) -> None:
    ids = keras.Input((None,), dtype="int32")
    encoder = TextBackboneEncoder(bert(), frozen=True, pooling="mean", name="words")
    model = keras.Model(ids, keras.layers.Dense(1)(encoder(ids)))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(values(again(IDS)), values(model(IDS)), atol=1e-6)
    assert not again.get_layer("words").trainable_weights


def test_a_path_serves_like_the_model(tmp_path: Path) -> None:
    backbone = plain()
    backbone.save(tmp_path / "words.keras")
    encoder = TextBackboneEncoder(str(tmp_path / "words.keras"))
    np.testing.assert_array_equal(values(encoder(IDS)), values(backbone(IDS)))
    assert isinstance(encoder.get_config()["backbone"], dict)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_backbone_does_not_learn_and_does_not_drop(frozen: bool) -> None:
    ids = keras.Input((None,), dtype="int32")
    words = keras.layers.Dropout(0.5)(keras.layers.Embedding(9, 4)(ids))
    encoder = TextBackboneEncoder(keras.Model(ids, words), frozen=frozen, pooling="mean")
    same = np.array_equal(values(encoder(IDS, training=True)), values(encoder(IDS)))
    assert same == frozen
    model = keras.Model(ids, keras.layers.Dense(1)(encoder(ids)))
    model.compile(keras.optimizers.SGD(1.0), loss="mse", jit_compile=False)
    before = encoder.get_weights()[0]
    model.train_on_batch(IDS, np.ones((2, 1)))
    assert np.array_equal(before, encoder.get_weights()[0]) == frozen


def test_refuses_backbones_and_inputs_in_one_line() -> None:
    ids = keras.Input((None,), dtype="int32")
    words = keras.layers.Embedding(9, 4)(ids)
    flat = keras.Model(ids, keras.layers.GlobalAveragePooling1D()(words), name="flat")
    with pytest.raises(ValueError, match=r"^`backbone` [^\n]*'flat'[^\n]*$"):
        TextBackboneEncoder(flat)
    a, b = (keras.Input((None,), dtype="int32", name=name) for name in "ab")
    two = keras.Model({"a": a, "b": b}, a, name="two")
    with pytest.raises(
        ValueError, match=r"^`backbone` must be a Functional .* takes \['a', 'b'\]$"
    ):
        TextBackboneEncoder(two)
    named = keras.Model(ids, {"pooled": words}, name="named")
    message = "a dict with 'sequence_output'. Received: 'named' returns a dict with ['pooled']"
    with pytest.raises(ValueError, match=re.escape(message)):
        TextBackboneEncoder(named)
    with pytest.raises(ValueError, match=r"^`inputs` must have shape \(batch, length\)\. Received"):
        TextBackboneEncoder(plain())(np.zeros((2, 3, 4), "int32"))
    with pytest.raises(
        ValueError, match=r"or a dict with `token_ids` and `padding_mask`\. Received"
    ):
        TextBackboneEncoder(plain())({"ids": IDS})


def test_refuses_a_vocabulary_that_the_backbone_lacks() -> None:
    message = "`vocabulary_size` must be at most the backbone's, 9. Received: vocabulary_size=10"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TextBackboneEncoder(bert(), 10)
    assert "TextBackboneEncoder" in encoders.__all__
