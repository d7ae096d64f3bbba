"""Baselines: a constant, gradient boosting, and one modality alone in a Sequential model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
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
from multimodal.data.batches import Source
from multimodal.evaluation.task import Task
from multimodal.models.baselines import (
    MAX_CODES,
    NAMES,
    WordWindows,
    _table,
    _tfidf,
    constant_score,
    sequential,
    table_width,
    tree_scores,
)

ROWS = 300
PRICE = Task("price")
TRAIN, TEST = np.arange(200), np.arange(200, ROWS)
RANDOM = np.random.default_rng(0)
NUMBER = RANDOM.normal(size=ROWS).astype(np.float32)
CODE = RANDOM.integers(2, 5, ROWS).astype(np.int32)
WORD = RANDOM.choice(["good", "bad"], ROWS)
TRUTH = np.exp(2 + 0.5 * NUMBER + 0.5 * (CODE == 3) + 0.8 * (WORD == "good"))
FRAME = pd.DataFrame({"text": [f"a {word} thing" for word in WORD]})
TABLE_AND_TEXT = FittedSpec.model_validate(
    {
        "groups": [
            {
                "name": "t",
                "modality": "tabular",
                "columns": ["n", "c"],
                "numeric": [{"name": "n", "source": "n"}],
                "categorical": [{"name": "c", "source": "c", "categories": ["x", "y", "z"]}],
            },
            {
                "name": "w",
                "modality": "text",
                "columns": ["text"],
                "vocabulary": ["good"],
                "lengths": [8],
            },
        ],
        "heads": [],
    }
)
SOURCE = Source(
    {"t_numeric": NUMBER[:, None], "t_categorical": CODE[:, None]}, {}, {}, {}, {"w_tokens": [8]}
)
ONES = np.ones(ROWS, np.float32)
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


def test_the_median_of_the_training_rows_is_guessed() -> None:
    score = constant_score(PRICE, TRUTH, TRAIN, TEST, ONES)
    error = np.abs(TRUTH[TEST] - np.median(TRUTH[TRAIN]))
    assert score.metrics["mae"] == pytest.approx(error.mean())
    assert (score.name, score.kind, score.inputs) == ("Median", "constant", "nothing")


def test_the_median_counts_weights() -> None:
    y_true, rows = np.array([1.0, 2.0, 3.0, 9.0]), np.arange(4)
    plain = constant_score(PRICE, y_true, rows, rows, np.ones(4))
    assert plain.metrics["mae"] == pytest.approx((1.5 + 0.5 + 0.5 + 6.5) / 4)
    heavy = constant_score(PRICE, y_true, rows, rows, np.array([1.0, 1.0, 1.0, 9.0]))
    assert heavy.metrics["mae"] == pytest.approx((8 + 7 + 6) / 12)
    alone = constant_score(PRICE, y_true, rows, rows, np.array([0.0, 2.0, 0.0, 0.0]))
    assert (alone.metrics["mae"], alone.metrics["n"]) == (0.0, 1.0)


@pytest.mark.parametrize("log", [True, False])
def test_each_input_helps(log: bool) -> None:
    scores = tree_scores(
        PRICE, TABLE_AND_TEXT, SOURCE, FRAME, TRUTH, TRAIN, TEST, weight=ONES, log=log, seed=0
    )
    metric = "log_rmse" if log else "rmse"
    errors = {score.inputs: score.metrics[metric] for score in scores}
    assert list(errors) == ["table", "text", "table + text"]
    floor = constant_score(PRICE, TRUTH, TRAIN, TEST, ONES).metrics[metric]
    assert errors["table + text"] < 0.7 * min(errors["table"], errors["text"])
    assert max(errors["table"], errors["text"]) < floor
    assert all(score.kind == "trees" and score.seconds > 0 for score in scores)


def test_the_same_seed_gives_the_same_trees() -> None:
    spec = FittedSpec(groups=TABLE_AND_TEXT.groups[:1], heads=[])
    one, two = (
        tree_scores(PRICE, spec, SOURCE, FRAME, TRUTH, TRAIN, TEST, weight=ONES, log=True, seed=4)
        for _ in range(2)
    )
    assert [score.metrics for score in one] == [score.metrics for score in two]


def test_rows_that_weigh_nothing_are_not_learned_from() -> None:
    spec = FittedSpec(groups=TABLE_AND_TEXT.groups[:1], heads=[])
    weight = ONES.copy()
    weight[:80] = 0
    spoiled = TRUTH.copy()
    spoiled[:80] = 1e6

    def error(y_true: np.ndarray) -> float:
        found = tree_scores(
            PRICE, spec, SOURCE, FRAME, y_true, TRAIN, TEST, weight=weight, log=True, seed=0
        )
        return found[0].metrics["log_rmse"]

    assert error(spoiled) == error(TRUTH)


def test_rare_categories_count_as_one() -> None:
    codes = np.array([[2], [MAX_CODES - 1], [MAX_CODES], [9999]], np.int32)
    numbers = np.array([[0.5], [np.nan], [1.0], [2.0]], np.float32)
    table, categorical = _table(
        TABLE_AND_TEXT, Source({"t_numeric": numbers, "t_categorical": codes}, {}, {}, {}, {})
    )
    assert table is not None
    assert categorical == [1]
    assert table[:, 1].tolist() == [2, MAX_CODES - 1, 1, 1]
    assert np.isnan(table[1, 0])


def test_texts_without_a_word_that_comes_again_are_left_out() -> None:
    frame = pd.DataFrame({"text": [f"word{i}" for i in range(ROWS)]})
    assert _tfidf(TABLE_AND_TEXT, frame, TRAIN, 0) is None
    scores = tree_scores(
        PRICE, TABLE_AND_TEXT, SOURCE, frame, TRUTH, TRAIN, TEST, weight=ONES, log=True, seed=0
    )
    assert [score.inputs for score in scores] == ["table"]
    missing = FRAME.assign(text=[None if i % 3 else "a good thing" for i in range(ROWS)])
    found = _tfidf(TABLE_AND_TEXT, missing, TRAIN, 0)
    assert found is not None
    assert not found[1].any()
    assert found[0].any()


def test_photos_alone_leave_nothing_to_the_trees() -> None:
    photos = {"name": "p", "modality": "image", "columns": ["i"], "photos": 1, "image_size": 16}
    spec = FittedSpec.model_validate({"groups": [photos], "heads": []})
    source = Source({}, {}, {}, {}, {})
    assert not tree_scores(
        PRICE, spec, source, FRAME, TRUTH, TRAIN, TEST, weight=ONES, log=True, seed=0
    )


def test_what_is_always_answered_follows_the_kind() -> None:
    rows, weight = np.arange(4), np.array([1.0, 1.0, 2.0, 0.0])
    kind = Task("k", "class", ["a", "b"])
    shares = constant_score(kind, np.array([0, 0, 1, -1]), rows, rows, weight)
    assert (shares.name, shares.metrics["n"]) == ("Class shares", 3)
    assert shares.metrics["log_loss"] == pytest.approx(np.log(2))
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [np.nan] * 4])
    place = constant_score(Task("p", "box"), boxes, rows, rows, weight)
    assert (place.name, place.metrics["mean_iou"]) == ("Mean box", 1)
    marks = np.array([[0.0, 1], [1, 1], [1, 1], [np.nan, np.nan]])
    labels = constant_score(Task("l", "labels", ["x", "y"]), marks, rows, rows, weight)
    assert labels.metrics["exact"] == pytest.approx(0.75)
    band = Task("q", quantiles=[0.1, 0.5, 0.9])
    found = constant_score(band, TRUTH, TRAIN, TEST, ONES)
    low, high = np.quantile(TRUTH[TRAIN], [0.1, 0.9])
    inside = np.mean((TRUTH[TEST] >= low) & (TRUTH[TEST] <= high))
    assert found.metrics["coverage"] == pytest.approx(inside, abs=0.03)


def test_trees_learn_classes_one_of_which_is_alone() -> None:
    codes = (NUMBER > 0).astype(np.int64)
    codes[0], codes[1] = 2, -1
    weight = np.where(codes < 0, 0, ONES)
    task = Task("k", "class", ["low", "high", "odd", "never"])
    (found, *_) = tree_scores(
        task, TABLE_AND_TEXT, SOURCE, FRAME, codes, TRAIN, TEST, weight=weight, log=False, seed=0
    )
    assert found.metrics["accuracy"] > 0.95
    assert np.isfinite(found.metrics["log_loss"])


def test_trees_learn_quantiles_and_leave_boxes_alone() -> None:
    spec = FittedSpec(groups=TABLE_AND_TEXT.groups[:1], heads=[])
    band = Task("q", quantiles=[0.1, 0.5, 0.9])
    (found,) = tree_scores(
        band, spec, SOURCE, FRAME, TRUTH, TRAIN, TEST, weight=ONES, log=True, seed=0
    )
    floor = constant_score(band, TRUTH, TRAIN, TEST, ONES)
    assert found.metrics["pinball"] < 0.8 * floor.metrics["pinball"]
    assert 0.5 < found.metrics["coverage"] <= 1
    boxes = np.zeros((ROWS, 4))
    place = Task("p", "box")
    assert not tree_scores(
        place, spec, SOURCE, FRAME, boxes, TRAIN, TEST, weight=ONES, log=False, seed=0
    )


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


def test_words_are_read_in_windows_and_padding_is_masked() -> None:
    layer = WordWindows(2, 3, kernel_initializer="ones", use_bias=False)
    words = np.arange(1.0, 9.0, dtype="float32").reshape(1, 8, 1)
    mask = np.arange(8)[None] < 4
    found = np.array(layer(words, mask=keras.ops.convert_to_tensor(mask)))
    assert found[0, :, 0].tolist() == [6.0, 4.0, 0.0]
    there = layer.compute_mask(words, keras.ops.convert_to_tensor(mask))
    assert np.array(there).tolist() == [[True, True, False]]
    again = WordWindows.from_config(layer.get_config())
    assert (again.filters, again.window, again.use_bias) == (2, 3, False)
    assert again.compute_output_shape((1, 8, 1)) == (1, 3, 2)


def test_padding_of_the_joined_text_changes_nothing() -> None:
    model = sequential("text", SPEC, HEAD, FITTED)
    longer = np.pad(INPUTS["text"], ((0, 0), (0, 4)))
    np.testing.assert_allclose(np.array(model(longer)), np.array(model(INPUTS["text"])), atol=1e-6)
