"""Each baseline is a real Sequential model that takes one tensor."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from multimodal import heads
from multimodal.core.config import Head, Modality
from multimodal.core.spec import (
    CategoricalColumn,
    FittedGroup,
    FittedHead,
    FittedSpec,
    NumericColumn,
)
from multimodal.models.baselines import NAMES, sequential, table_width

MODULES = (heads,)  # importing it registers the heads
BRAND = CategoricalColumn(name="b", source="b", categories=["x", "y"])
WEIGHT = NumericColumn(name="w", source="w")


def group(modality: Modality, name: str, **values: Any) -> FittedGroup:
    return FittedGroup(name=name, modality=modality, columns=[name], **values)


SPEC = FittedSpec(
    groups=[
        group("tabular", "a", numeric=[WEIGHT], categorical=[BRAND]),
        group("tabular", "b", categorical=[BRAND]),
        group("text", "t", vocabulary=["red", "blue"], lengths=[4]),
        group("text", "u", vocabulary=["big"], lengths=[3]),
        group("image", "p", photos=2, image_size=12),
        group("image", "q", photos=1, image_size=12),
    ],
    heads=[],
)
FITTED = FittedHead(name="price", columns=["p"], mean=3, scale=2, minimum=0, maximum=6)
LOG = {"name": "regression", "options": {"transform": "log1p"}}
HEAD = Head.model_validate({"name": "price", "column": "p", "head": LOG})
INPUTS: dict[str, np.ndarray] = {
    "tabular": np.ones((2, 10), "float32"),
    "text": np.array([[1, 2, 3, 0, 4, 5, 0], [0, 0, 0, 0, 0, 0, 0]], "int32"),
    "image": np.zeros((2, 12, 36, 3), "uint8"),
}
LAYERS = {"tabular": "Dense", "text": "Bidirectional", "image": "Conv2D"}


@pytest.mark.parametrize("modality", list(NAMES))
def test_it_is_a_sequential_model_of_one_tensor(modality: Modality) -> None:
    model = sequential(modality, SPEC, HEAD, FITTED)
    assert type(model) is keras.Sequential
    assert len(model.inputs) == len(model.outputs) == 1
    assert LAYERS[modality] in [type(layer).__name__ for layer in model.layers]
    assert model.inputs[0].dtype == INPUTS[modality].dtype.name
    found = np.array(model(INPUTS[modality]))
    assert found.shape == (2, 1) and np.isfinite(found).all()


@pytest.mark.parametrize("modality", list(NAMES))
def test_it_learns_one_head(modality: Modality) -> None:
    model = sequential(modality, SPEC, HEAD, FITTED)
    last = model.layers[-1]
    assert (last.name, last.transform, last.mean, last.scale) == ("price", "log1p", 3, 2)
    model.compile("adam", loss=last.make_loss(), weighted_metrics=last.make_metrics())
    prices, weights = np.array([[9.0], [99.0]]), np.array([1.0, 2.0])
    result = model.train_on_batch(INPUTS[modality], prices, weights, return_dict=True)
    assert set(result) == {"loss", "rmse", "mae"}
    assert all(np.isfinite(value) for value in result.values())


def test_widths_follow_the_spec() -> None:
    assert table_width(SPEC) == (2 + 4) + 4
    assert sequential("text", SPEC, HEAD, FITTED).layers[0].input_dim == 1 + (2 + 1) + (1 + 1)
    assert sequential("image", SPEC, HEAD, FITTED).inputs[0].shape == (None, 12, 36, 3)


def test_padding_of_the_joined_text_changes_nothing() -> None:
    model = sequential("text", SPEC, HEAD, FITTED)
    longer = np.pad(INPUTS["text"], ((0, 0), (0, 4)))
    np.testing.assert_allclose(np.array(model(longer)), np.array(model(INPUTS["text"])), atol=1e-6)
