"""The batch contract, and epochs that are functions of (seed, epoch) alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal.data.augment import augment_photos
from multimodal.data.cache import PhotoCache
from multimodal.data.labels import label_arrays
from multimodal.data.photos import PhotoPaths
from multimodal.data.pipeline import Source, evaluation_dataset, training_dataset
from multimodal.spec import FittedHead, FittedSpec

ROWS, SIZE, LENGTHS = 23, 16, [8, 16, 32]
SPEC = FittedSpec.model_validate(
    {
        "groups": [
            {
                "name": "table", "modality": "tabular", "columns": ["n", "c"], "optional": True,
                "numeric": [{"name": "row", "source": "n"}, {"name": "m", "source": "m"}],
                "categorical": [{"name": "c", "source": "c", "categories": ["a"]}],
            },
            {"name": "title", "modality": "text", "columns": ["t"], "lengths": LENGTHS},
            {"name": "photos", "modality": "image", "columns": ["p"], "photos": 2,
             "image_size": SIZE},
        ],
        "heads": [{"name": "price", "column": "price"}, {"name": "rent", "column": "rent"}],
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Row i has the number i, i + 1 words, and a photo of its own; every third lacks a rent."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(ROWS):
        noise = rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
    number = np.arange(ROWS, dtype=np.float32)
    inputs = {
        "table_numeric": np.stack([number, np.where(number % 2, np.nan, 1)], 1).astype(np.float32),
        "table_categorical": (np.arange(ROWS) % 3)[:, None].astype(np.int32),
        "table_present": np.arange(ROWS) % 5 > 0,
        "title_tokens": (np.arange(32) <= np.arange(ROWS)[:, None]).astype(np.int32) * 5,
    }
    photos = PhotoPaths([[str(folder / f"{i}.png"), None] for i in range(ROWS)], SIZE)
    truths = {
        "price": 100.0 + np.arange(ROWS),
        "rent": np.where(np.arange(ROWS) % 3, 7.0, np.nan),
    }
    targets, weights = label_arrays(SPEC.heads, truths, np.full(ROWS, 2.0))
    caches = {"photos": PhotoCache(photos, budget=10**9)}
    return Source.of(SPEC, inputs, caches, targets, weights)


def train(source: Source, **options: Any) -> list[Any]:
    rows = options.pop("rows", np.arange(ROWS))
    chosen = {"batch_size": 5, "seed": 1, "epochs": 1, "augment": False} | options
    return list(training_dataset(source, rows, **chosen).as_numpy_iterator())


def order(batches: list[Any]) -> list[int]:
    return [int(n) for batch in batches for n in batch[0]["table_numeric"][:, 0]]


def assert_equal(first: list[Any], second: list[Any]) -> None:
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        for left, right in zip(one, other, strict=True):
            assert left.keys() == right.keys()
            for key in left:
                np.testing.assert_array_equal(left[key], right[key], strict=True)


@pytest.mark.parametrize("training", [True, False])
def test_the_contract(source: Source, training: bool) -> None:
    if training:
        batches = train(source, augment=True)
    else:
        rows = np.arange(ROWS)
        batches = list(evaluation_dataset(source, rows, batch_size=5).as_numpy_iterator())
    assert [len(batch[1]["price"]) for batch in batches] == [5, 5, 5, 5, 3]
    for inputs, targets, weights in batches:
        size = len(targets["price"])
        assert set(inputs) == set(SPEC.input_keys)
        assert {key: array.dtype.name for key, array in inputs.items()} == {
            "table_numeric": "float32", "table_categorical": "int32", "table_present": "bool",
            "title_tokens": "int32", "photos_pixels": "uint8", "photos_present": "bool",
        }  # fmt: skip
        assert inputs["table_numeric"].shape == (size, 2)
        assert inputs["table_categorical"].shape == (size, 1)
        assert inputs["table_present"].shape == (size,)
        assert inputs["photos_pixels"].shape == (size, 2, SIZE, SIZE, 3)
        assert inputs["photos_present"].tolist() == [[True, False]] * size
        assert not inputs["photos_pixels"][:, 1].any()
        assert set(targets) == set(weights) == {"price", "rent"}
        for head in targets:
            assert targets[head].shape == (size, 1) and targets[head].dtype == np.float32
            assert weights[head].shape == (size,) and weights[head].dtype == np.float32


def test_the_signature_has_fixed_ranks(source: Source) -> None:
    inputs, targets, weights = evaluation_dataset(
        source, np.arange(ROWS), batch_size=5
    ).element_spec
    assert inputs["photos_pixels"].shape.as_list() == [None, 2, SIZE, SIZE, 3]
    assert inputs["photos_present"].shape.as_list() == [None, 2]
    assert inputs["title_tokens"].shape.rank == 2
    assert targets["price"].shape.as_list() == [None, 1]
    assert weights["rent"].shape.as_list() == [None]


def test_rows_stay_together(source: Source) -> None:
    for inputs, targets, _ in train(source, seed=4):
        rows = inputs["table_numeric"][:, 0].astype(int)
        np.testing.assert_array_equal(targets["price"][:, 0], 100 + rows)
        np.testing.assert_array_equal((inputs["title_tokens"] > 0).sum(axis=1), rows + 1)
        pixels, _ = source.caches["photos"].get(rows)
        np.testing.assert_array_equal(inputs["photos_pixels"], pixels)
        assert np.isnan(inputs["table_numeric"][:, 1]).tolist() == (rows % 2 == 1).tolist()


def test_a_missing_label_is_zero_and_weighs_nothing(source: Source) -> None:
    for inputs, targets, weights in train(source):
        known = inputs["table_numeric"][:, 0] % 3 > 0
        np.testing.assert_array_equal(targets["rent"][:, 0], np.where(known, 7, 0))
        np.testing.assert_array_equal(weights["rent"], np.where(known, 2, 0))
        np.testing.assert_array_equal(weights["price"], np.full(len(known), 2))


def test_every_row_once_an_epoch_in_an_order_of_its_own(source: Source) -> None:
    batches = train(source, epochs=4)
    assert len(batches) == 4 * 5
    orders = [order(batches[5 * epoch : 5 * epoch + 5]) for epoch in range(4)]
    assert all(sorted(each) == list(range(ROWS)) for each in orders)
    assert len({tuple(each) for each in orders} | {tuple(range(ROWS))}) == 5


@pytest.mark.parametrize("augment", [True, False])
def test_an_epoch_is_a_function_of_seed_and_epoch(source: Source, augment: bool) -> None:
    whole = train(source, epochs=5, augment=augment)
    assert_equal(train(source, epochs=5, first_epoch=3, augment=augment), whole[15:])
    assert_equal(train(source, epochs=5, augment=augment), whole)
    assert order(train(source, seed=2)) != order(whole[:5])


def test_only_some_rows(source: Source) -> None:
    rows = np.array([3, 8, 21, 4, 9, 2])
    assert sorted(order(train(source, rows=rows))) == sorted(rows)
    found = evaluation_dataset(source, rows, batch_size=4).as_numpy_iterator()
    assert order(list(found)) == rows.tolist()


def test_batches_are_cut_to_few_lengths(source: Source) -> None:
    found = {batch[0]["title_tokens"].shape[1] for batch in train(source, epochs=9, batch_size=2)}
    assert found == set(LENGTHS)
    for rows, length in (([0, 7], 8), ([0, 8], 16), ([15], 16), ([16], 32), ([22], 32)):
        batch = next(iter(evaluation_dataset(source, np.array(rows), batch_size=9)))
        assert batch[0]["title_tokens"].shape[1] == length


def test_augmentation_is_by_row_and_leaves_evaluation_alone(source: Source) -> None:
    plain = evaluation_dataset(source, np.arange(ROWS), batch_size=ROWS)
    before = list(plain.as_numpy_iterator())
    pixels = before[0][0]["photos_pixels"]
    for epoch in range(2):
        batches = train(source, epochs=epoch + 1, first_epoch=epoch, augment=True)
        for inputs, _, _ in batches:
            rows = inputs["table_numeric"][:, 0].astype(np.int64)
            wanted = augment_photos(pixels[rows], (1, epoch), rows)
            np.testing.assert_array_equal(inputs["photos_pixels"], wanted)
    assert_equal(list(plain.as_numpy_iterator()), before)


def test_one_modality_decodes_no_photo(source: Source, tmp_path: Path) -> None:
    table = source.only("tabular", SPEC)
    assert set(table.inputs) == {"table_numeric", "table_categorical", "table_present"}
    assert not table.caches and not table.lengths
    photos = source.only("image", SPEC)
    assert not photos.inputs and list(photos.caches) == ["photos"]
    (inputs, targets, _), *_ = train(photos)
    assert set(inputs) == {"photos_pixels", "photos_present"} and set(targets) == {"price", "rent"}
    text = source.only("text", SPEC)
    assert list(text.inputs) == ["title_tokens"] == list(text.lengths)


def test_tensors_are_made_once(source: Source) -> None:
    train(source)
    assert source.tensors is source.tensors


def test_heads_without_a_label_still_appear() -> None:
    heads = [FittedHead(name="price", column="price")]
    targets, weights = label_arrays(heads, {"price": np.array([np.nan, 4.0])}, np.array([1.0, 3.0]))
    assert targets["price"].tolist() == [[0.0], [4.0]] and weights["price"].tolist() == [0.0, 3.0]
