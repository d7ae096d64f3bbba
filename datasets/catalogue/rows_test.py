"""Tests of the generated catalogue's rows: prices, tables, texts and photos keep their promises."""

from __future__ import annotations

import dataclasses
import importlib
import io
import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from multimodal.data.generated import builder_package

PARTS = ["table_part", "text_part", "photo_part", "interaction_part", "noise"]
catalogue = builder_package()
descriptions, photos, records, rows_module, world = (
    importlib.import_module(f"{catalogue.__name__}.{name}")
    for name in ("descriptions", "photos", "records", "rows", "world")
)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """6,000 rows without photos: what a user sees, the truth, and log price."""
    pairs = (
        {**records.catalogue_record(row), **records.truth_record(row)}
        for row in catalogue.generate((4000, 0, 2000))
    )
    return pd.DataFrame(pairs).assign(log_price=lambda table: np.log(table["price"]))


def held_out(frame: pd.DataFrame, inputs: np.ndarray, target: str, model) -> np.ndarray:
    """Fit `model` on the training rows; return its predictions for the test rows."""
    train = (frame["split"] == "train").to_numpy()
    return model.fit(inputs[train], frame[target][train]).predict(inputs[~train])


def score(frame: pd.DataFrame, inputs: np.ndarray, target: str, model) -> float:
    """Coefficient of determination of `model` on the test rows."""
    is_test = frame["split"] == "test"
    return r2_score(frame[target][is_test], held_out(frame, inputs, target, model))


def main_effects(frame: pd.DataFrame) -> np.ndarray:
    """The true latent factors: levels one-hot, scores as numbers."""
    levels = ["category", "tier", "year", "material", "trim", "pieces", "shape", "pattern", "wear"]
    numbers = frame[["weight_z", "dims_z", "waterproof", "refurbished"]]
    dummies = pd.get_dummies(frame[levels].astype(str))
    return np.hstack([dummies.to_numpy(float), numbers.to_numpy(float)])


# The price function


def test_parts_and_noise_add_up_to_log_price(frame):
    total = world.BASE_LOG_PRICE + frame[PARTS].sum(axis=1)
    np.testing.assert_allclose(total, frame["log_price"], atol=1e-12)
    assert frame["price"].between(5, 2000).mean() > 0.999
    assert (frame["price"] == frame["price"].round(2)).all()


def test_variance_shares_are_as_promised(frame):
    share = frame[PARTS].var() / frame["log_price"].var()
    assert share["noise"] <= 0.05
    assert (share[["table_part", "text_part", "photo_part"]] >= 0.20).all()
    assert share["interaction_part"] >= 0.10


def test_parts_are_uncorrelated(frame):
    correlation = frame[PARTS].corr().to_numpy()
    assert abs(correlation - np.eye(len(PARTS))).max() < 0.06


def test_interaction_is_not_explained_by_main_effects(frame):
    assert score(frame, main_effects(frame), "interaction_part", RidgeCV()) < 0.05


def test_designed_shares_sum_to_one():
    assert sum(world.SHARES.values()) == pytest.approx(1.0)


def test_noise_is_known_row_by_row(frame):
    assert frame["noise_sd"].max() / frame["noise_sd"].min() > 2
    relative = frame["noise"] / frame["noise_sd"]
    for level in (frame["noise_sd"] < 0.12, frame["noise_sd"] > 0.18):
        assert relative[level].std() == pytest.approx(1.0, abs=0.06)
        assert relative[level].mean() == pytest.approx(0.0, abs=0.08)


def test_limit_is_the_error_of_the_expected_price(frame):
    limit = records.limit(frame)
    error = frame["log_price"] - frame["expected_log_price"]
    assert limit["rmse_log"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert limit["mae_log"] == pytest.approx(np.mean(np.abs(error)))
    assert limit["rmse_log_expected"] == pytest.approx(limit["rmse_log"], rel=0.05)
    assert limit["r2_log"] == pytest.approx(
        r2_score(frame["log_price"], frame["expected_log_price"]), abs=1e-9
    )


def test_limit_needs_rows():
    with pytest.raises(ValueError, match="at least one row"):
        records.limit({"noise": [], "noise_sd": [], "expected_log_price": []})


def test_ridge_on_true_factors_stays_above_the_floor(frame):
    predicted = held_out(frame, main_effects(frame), "log_price", RidgeCV())
    test = frame[frame["split"] == "test"]
    rmse = np.sqrt(np.mean((test["log_price"] - predicted) ** 2))
    assert rmse / records.limit(test)["rmse_log"] > 1.8


# The table


def test_table_has_a_long_tail_and_empty_cells(frame):
    counts = frame["brand"].value_counts()
    assert 60 <= len(counts) <= 120
    assert counts.iloc[0] > 8 * counts.iloc[-1]
    empty = frame[["brand", "weight_g", "width_cm", "height_cm", "depth_cm"]].isna().mean()
    assert empty.between(0.045, 0.08).all()
    assert frame[["category", "year", "description", "image", "price"]].notna().all(axis=None)


def test_empty_cell_counts_as_the_typical_value(frame):
    assert (frame["weight_z"][frame["weight_g"].isna()] == 0.0).all()
    assert set(frame["tier"][frame["brand"].isna()]) == {"unknown"}
    sides = ["width_cm", "height_cm", "depth_cm"]
    assert (frame["dims_z"][frame[sides].isna().all(axis=1)] == 0.0).all()


def test_table_part_needs_an_interaction(frame):
    explained = score(frame, main_effects(frame), "table_part", RidgeCV())
    assert 0.5 < explained < 0.85


def test_brand_names_are_unique():
    total = world.NUM_BRANDS + world.NUM_NEW_BRANDS
    assert len({world.brand_name(index) for index in range(total)}) == total


# The descriptions


def test_descriptions_have_20_to_45_words(frame):
    words = frame["description"].str.split().str.len()
    assert words.between(20, 45).all()
    assert frame["description"].nunique() > 0.99 * len(frame)


@pytest.mark.parametrize("model", [RidgeCV(), HistGradientBoostingRegressor(max_iter=40)])
def test_words_without_their_order_do_not_tell_the_text_part(frame, model):
    counts = CountVectorizer().fit_transform(frame["description"]).toarray().astype(float)
    assert 0.2 < score(frame, counts, "text_part", model) < 0.6


def test_text_factors_tell_the_text_part(frame):
    assert score(frame, main_effects(frame), "text_part", RidgeCV()) > 0.99


@pytest.mark.parametrize(
    ("waterproof", "refurbished"), [*itertools.product((True, False), repeat=2)]
)
def test_description_states_the_claims(waterproof, refurbished):
    row = catalogue.make_row(0, "train", 0)
    factors = dataclasses.replace(row.factors, waterproof=waterproof, refurbished=refurbished)
    for attempt in range(50):
        text = descriptions.write_description(factors, rows_module.Random(attempt))
        words = text.lower().replace(".", "").split()
        for name, holds in (("waterproof", waterproof), ("refurbished", refurbished)):
            (where,) = (i for i, word in enumerate(words) if word in descriptions.WORDS[name])
            before = words[where - 2 : where]
            negated = bool({"not", "never", "neither", "nor"} & set(before[-1:])) or (
                before == ["not", "really"]
            )
            assert negated is not holds, text


# The photos


def test_photo_is_a_small_baseline_jpeg():
    data = catalogue.make_row(0, "train", 0).jpeg()
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (80, 80))
    assert not image.getexif() and "progressive" not in image.info
    assert len(data) < 6000


def test_colours_do_not_tell_the_photo_part(frame):
    drawn = frame[(frame["split"] == "test") | (frame.index % 4 == 0)]
    makers = {row.id: row for row in catalogue.generate((4000, 0, 2000))}
    pixels = np.stack(
        [np.asarray(Image.open(io.BytesIO(makers[name].jpeg()))) for name in drawn["id"]]
    ).reshape(len(drawn), -1, 3)
    means = np.hstack([pixels.mean(axis=1), pixels.std(axis=1)])
    bins = (pixels // 64).astype(np.int64) @ np.array([16, 4, 1])
    histograms = np.stack([np.bincount(image, minlength=64) for image in bins]) / pixels.shape[1]
    assert score(drawn, means, "photo_part", RidgeCV()) < 0.05
    assert score(drawn, histograms, "photo_part", RidgeCV()) < 0.05


@pytest.mark.parametrize("shape", sorted(photos.SILHOUETTES))
def test_silhouettes_have_equal_area(shape):
    axis = np.linspace(-50, 50, 1001)
    inside = photos.SILHOUETTES[shape](*np.meshgrid(axis, axis)) < 0
    assert inside.sum() * 0.01 == pytest.approx(np.pi * photos.RADIUS**2, rel=0.01)


@pytest.mark.parametrize("pattern", sorted(photos.PATTERN_FIELDS))
def test_patterns_show_both_colours_in_equal_parts(pattern):
    axis = np.linspace(-500, 500, 1001)
    field = photos.PATTERN_FIELDS[pattern](*np.meshgrid(axis, axis), rows_module.Random(0))
    assert (field < 0).mean() == pytest.approx(0.5, abs=0.02)


def test_unknown_levels_are_not_drawn():
    assert set(photos.SILHOUETTES) == set(world.SHAPES)
    assert set(photos.PATTERN_FIELDS) == set(world.PATTERNS)


# The stream


def test_a_row_depends_on_seed_and_number_alone():
    in_order = list(catalogue.generate((5, 2, 2), seed=3))
    assert in_order[4] == catalogue.make_row(3, "train", 4)
    assert in_order[4].jpeg() == catalogue.make_row(3, "train", 4).jpeg()
    assert in_order[-1] == list(catalogue.generate((0, 0, 2), seed=3))[-1]
    assert in_order[4] != catalogue.make_row(4, "train", 4)


def test_pinned_row():
    row = catalogue.make_row(0, "test", 0)
    assert (row.id, row.price) == ("p20000000", 122.68)


def test_generate_is_a_stream():
    stream = catalogue.generate("large")
    assert next(stream).split == "train" and iter(stream) is stream


def test_named_sizes():
    assert {name: sum(counts) for name, counts in catalogue.SIZES.items()} == {
        "small": 2_000,
        "default": 10_000,
        "large": 100_000,
    }


@pytest.mark.parametrize("size", ["tiny", (1, 2), (1, 2, -1), (1, 2, 2.5), (True, 1, 1)])
def test_bad_size_is_named(size):
    with pytest.raises(ValueError, match="`size` must .* Received: "):
        catalogue.generate(size)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None])
def test_bad_seed_is_named(seed):
    with pytest.raises(ValueError, match="`seed` must be a non-negative integer. Received: "):
        catalogue.generate("small", seed)


def test_shifted_catalogue():
    usual = list(catalogue.generate((2000, 0, 0), seed=5))
    shifted = list(catalogue.generate((2000, 0, 0), seed=5, shift=catalogue.Shift()))
    ratio = np.median([r.price for r in shifted]) / np.median([r.price for r in usual])
    assert ratio == pytest.approx(1.6, rel=0.1)
    brands = [{row.table.brand for row in rows} for rows in (usual, shifted)]
    assert len(brands[1] - brands[0]) == world.NUM_NEW_BRANDS
    words = [" ".join(row.description for row in rows) for rows in (usual, shifted)]
    for new in descriptions.NEW_WORDS.values():
        assert new not in words[0] and new in words[1]


@pytest.mark.parametrize(
    "options", [{"price_factor": 0.0}, {"new_brand_rate": 1.5}, {"new_word_rate": -0.1}]
)
def test_bad_shift_is_named(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: "):
        catalogue.Shift(**options)
