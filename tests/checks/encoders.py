"""What encoders of tables, texts, photos and series promise, and what poolings do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from multimodal.layers import registry

from .case import Case, as_array, built, call, functional
from .parts import frozen_stays


def pooled_vector_has_no_mask(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    model, _arrays = functional(layer, case)
    eager = layer(case.inputs, **case.extras)
    assert getattr(eager, "_keras_mask", None) is None
    assert getattr(model.output, "_keras_mask", None) is None


def tokens_pool_to_the_vector(cls: Any, case: Case, _: Path) -> None:
    tokens = cls(**{**case.arguments, "pooling": None}, name="part")
    pooled = cls(**{**case.arguments, "pooling": "mean"}, name="part")
    call(tokens, case), call(pooled, case)
    pooled.set_weights(tokens.get_weights())
    found = tokens(case.inputs, **case.extras)
    assert len(found.shape) == 3
    vector = registry.get("pooling", "mean")()(found)
    np.testing.assert_allclose(call(pooled, case), as_array(vector), atol=1e-6)


# Text encoders


def padding_changes_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    longer = np.pad(case.inputs, ((0, 0), (0, 5)))
    np.testing.assert_allclose(as_array(layer(longer)), call(layer, case), atol=1e-6)
    tokens = cls(**{**case.arguments, "pooling": None})
    short = as_array(tokens(case.inputs))
    keep = case.inputs != 0
    found = as_array(tokens(longer))[:, : keep.shape[1]][keep]
    np.testing.assert_allclose(found, short[keep], atol=1e-6)  # sums over more, zero, terms


def tokens_carry_the_mask(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**{**case.arguments, "pooling": None})
    mask = layer(case.inputs)._keras_mask
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(mask), case.inputs != 0)
    assert layer(keras.Input((None,), dtype="int32"))._keras_mask.shape == (None, None)


def _poolings_of_any_length() -> list[str]:
    return [
        name
        for name in registry.names("pooling")
        if not getattr(registry.get("pooling", name), "takes_map", False)
    ]


def only_padding_is_finite(cls: Any, case: Case, _: Path) -> None:
    for pooling in (None, *_poolings_of_any_length()):
        layer = cls(**{**case.arguments, "pooling": pooling})
        found = as_array(layer(np.zeros_like(case.inputs), training=True))
        assert np.isfinite(found).all()
        if pooling:
            assert not found.any(), f"{pooling} pooling of nothing must be zeros"


def embeddings_stand_for_words(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    expected = call(layer, case)
    found = layer(layer.embed(case.inputs), mask=case.inputs != 0)
    np.testing.assert_allclose(as_array(found), expected, atol=1e-6)


def word_ids_escape_autocast(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**{**case.arguments, "vocabulary_size": 2020}, dtype="mixed_bfloat16")
    ids = np.array([[2013, 2014], [2015, 2016]])
    np.testing.assert_array_equal(as_array(layer(ids.astype("float32"))), as_array(layer(ids)))


# Image encoders


def absent_photos_change_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    call(layer, case)
    start = layer.get_weights()
    there = np.array([True] * (len(case.inputs) - 1) + [False])
    results = []
    for garbage in (0.0, 255.0, np.nan):
        layer.set_weights(start)
        photos = case.inputs.astype("float32")
        photos[-1] = garbage
        out = as_array(layer(photos, mask=there, training=False))
        layer(photos, mask=there, training=True)
        results.append([out, *layer.get_weights()])
    for other in results[1:]:
        for expected, found in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert all(np.isfinite(each).all() for each in results[0])


def no_photo_at_all_teaches_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    call(layer, case, training=True)
    before = layer.get_weights()
    assert np.isfinite(
        as_array(layer(case.inputs, mask=np.zeros(len(case.inputs), bool), training=True))
    ).all()
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def map_is_fine_enough(cls: Any, case: Case, _: Path) -> None:
    tokens = cls().compute_output_shape((None, 64, 64, 3))
    assert tokens[1] >= 64, "an image encoder's map is at least 8x8 at 64 pixels"


# Tabular encoders


def missing_numbers_are_finite(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    missing = {**case.inputs, "numeric": np.full_like(case.inputs["numeric"], np.nan)}
    zeros = {**case.inputs, "numeric": np.zeros_like(case.inputs["numeric"])}
    found = as_array(layer(missing, training=True))
    assert np.isfinite(found).all()
    assert not np.array_equal(as_array(layer(missing)), as_array(layer(zeros)))


def numbers_escape_autocast(cls: Any, case: Case, _: Path) -> None:
    for policy in ("mixed_bfloat16", "mixed_float16"):
        keras.utils.set_random_seed(0)
        size = {"hidden_dims": [32]} if "hidden_dims" in case.arguments else {"hidden_dim": 32}
        alone = {"cardinalities": [], "bins": [[0.0, 0.5, 2.0]], **size}
        layer = cls(**{**case.arguments, **alone}, dtype=policy)
        numbers = 1 + np.arange(8, dtype="float32")[:, None] / 1000  # two values in bfloat16
        assert len(np.unique(as_array(layer(numbers)), axis=0)) > 3
        assert np.isfinite(as_array(layer(numbers * 0 + 70_000))).all()


# Series encoders


def missing_steps_are_finite(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    found = as_array(layer(np.full_like(case.inputs, np.nan), training=True))
    assert np.isfinite(found).all()
    assert not np.array_equal(
        as_array(layer(np.full_like(case.inputs, np.nan))), as_array(layer(case.inputs * 0))
    )


def series_escape_autocast(cls: Any, case: Case, _: Path) -> None:
    for policy in ("mixed_bfloat16", "mixed_float16"):
        layer, seen = cls(**case.arguments, dtype=policy), []
        encode = layer.encode

        def spy(inputs: Any, *rest: Any, encode: Any = encode, seen: list[str] = seen) -> Any:
            seen.append(keras.backend.standardize_dtype(inputs.dtype))
            return encode(inputs, *rest)

        layer.encode = spy
        assert np.isfinite(as_array(layer(np.full_like(case.inputs, 1_000)))).all()
        assert seen == ["float32"]


# Poolings


def pooling_ignores_what_is_masked(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    expected = call(layer, case)
    keep = case.extras["mask"]
    for garbage in (-50_000.0, 50_000.0, np.nan):
        tokens = np.where(keep[..., None], case.inputs, np.float32(garbage))
        np.testing.assert_allclose(as_array(layer(tokens, mask=keep)), expected, atol=1e-6)


def pooling_of_nothing_is_zeros(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    nothing = np.zeros_like(case.extras["mask"])
    assert not as_array(layer(case.inputs, mask=nothing)).any()
    assert layer.compute_mask(case.inputs, nothing) is None


SHARED = (
    pooled_vector_has_no_mask,
    tokens_pool_to_the_vector,
    frozen_stays,
)
BY_KIND = {
    "tabular_encoder": (*SHARED, missing_numbers_are_finite, numbers_escape_autocast),
    "text_encoder": (
        *SHARED,
        padding_changes_nothing,
        tokens_carry_the_mask,
        only_padding_is_finite,
        embeddings_stand_for_words,
        word_ids_escape_autocast,
    ),
    "image_encoder": (
        *SHARED,
        absent_photos_change_nothing,
        no_photo_at_all_teaches_nothing,
        map_is_fine_enough,
    ),
    "features_encoder": SHARED,
    "series_encoder": (*SHARED, missing_steps_are_finite, series_escape_autocast),
    "pooling": (pooling_ignores_what_is_masked, pooling_of_nothing_is_zeros),
}
