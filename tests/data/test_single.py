"""One tensor per modality, for models that take no dict."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from multimodal.core.spec import FittedSpec
from multimodal.data.batches import single_tensor

NAN = float("nan")
SPEC = FittedSpec.model_validate(
    {
        "groups": [
            {
                "name": "a",
                "modality": "tabular",
                "columns": ["n", "c"],
                "numeric": [{"name": "n", "source": "n"}],
                "categorical": [{"name": "c", "source": "c", "categories": ["x", "y"]}],
            },
            {
                "name": "b",
                "modality": "tabular",
                "columns": ["m"],
                "numeric": [{"name": "m", "source": "m"}],
            },
            {
                "name": "t",
                "modality": "text",
                "columns": ["t"],
                "vocabulary": ["red", "blue"],
                "lengths": [8],
            },
            {
                "name": "u",
                "modality": "text",
                "columns": ["u"],
                "vocabulary": ["big"],
                "lengths": [8],
            },
            {"name": "p", "modality": "image", "columns": ["p"], "photos": 2, "image_size": 4},
            {"name": "q", "modality": "image", "columns": ["q"], "photos": 1, "image_size": 4},
        ],
        "heads": [{"name": "price", "columns": ["price"]}, {"name": "rent", "columns": ["rent"]}],
    }
)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 3)).astype(np.uint8)
INPUTS = {
    "a_numeric": tf.constant([[1.5], [NAN]]),
    "a_categorical": tf.constant([[0], [3]]),
    "b_numeric": tf.constant([[NAN], [2.0]]),
    "t_tokens": tf.constant([[1, 2, 3, 0], [3, 0, 0, 0]]),
    "u_tokens": tf.constant([[2, 1], [0, 0]]),
    "p_pixels": tf.constant(PIXELS[:, :2]),
    "q_pixels": tf.constant(PIXELS[:, 2:]),
}
TARGETS = {"price": tf.constant([[1.0], [2.0]]), "rent": tf.constant([[3.0], [4.0]])}
WEIGHTS = {"price": tf.constant([1.0, 1.0]), "rent": tf.constant([0.0, 2.0])}


@pytest.mark.parametrize("head", ["price", "rent"])
def test_table(head: str) -> None:
    tensor, target, weight = single_tensor(SPEC, "tabular", head)(INPUTS, TARGETS, WEIGHTS)
    wanted = [[1, 0, 0, 0, 1.5, 0, 0, 1], [0, 0, 0, 1, 0, 1, 2, 0]]
    assert tensor.dtype == tf.float32
    np.testing.assert_array_equal(tensor, wanted)
    assert target is TARGETS[head] and weight is WEIGHTS[head]


def test_texts_have_word_ids_of_their_own_and_no_padding_between() -> None:
    tensor, _, _ = single_tensor(SPEC, "text", "price")(INPUTS, TARGETS, WEIGHTS)
    np.testing.assert_array_equal(tensor, [[1, 2, 3, 5, 4, 0], [3, 0, 0, 0, 0, 0]])


def test_photos_lie_side_by_side() -> None:
    tensor, _, _ = single_tensor(SPEC, "image", "price")(INPUTS, TARGETS, WEIGHTS)
    assert tensor.dtype == tf.uint8
    np.testing.assert_array_equal(tensor, np.concatenate([PIXELS[:, k] for k in range(3)], axis=2))


def test_series_end_together() -> None:
    groups = [
        {"name": "s", "modality": "series", "columns": ["s"], "steps": 3},
        {"name": "r", "modality": "series", "columns": ["r"], "steps": 2},
    ]
    spec = FittedSpec.model_validate({"groups": groups, "heads": SPEC.model_dump()["heads"]})
    inputs = {
        "s_series": tf.constant([[[1.0], [NAN], [3.0]]]),
        "r_series": tf.constant([[[4.0, 5.0], [6.0, NAN]]]),
    }
    tensor, _, _ = single_tensor(spec, "series", "price")(inputs, TARGETS, WEIGHTS)
    wanted = [[1, 0, 0, 0, 1, 1], [0, 1, 4, 5, 0, 0], [3, 0, 6, 0, 0, 1]]
    np.testing.assert_array_equal(tensor, [wanted])


def test_it_maps_a_dataset() -> None:
    batches = tf.data.Dataset.from_tensors((INPUTS, TARGETS, WEIGHTS))
    shapes = {
        modality: next(iter(batches.map(single_tensor(SPEC, modality, "price"))))[0].shape
        for modality in ("tabular", "text", "image")
    }
    assert shapes == {"tabular": (2, 8), "text": (2, 6), "image": (2, 4, 12, 3)}


def test_a_modality_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no group of modality 'text'. Received: a, b"):
        spec = SPEC.model_copy(update={"groups": SPEC.groups[:2]})
        single_tensor(spec, "text", "price")
