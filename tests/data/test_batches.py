"""The batch contract, and epochs that are functions of (seed, epoch) alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import assert_same_batches

from multimodal.core.spec import FittedHead, FittedSpec
from multimodal.data.batches import (
    Source,
    batch_rows,
    by_length,
    evaluation_dataset,
    training_dataset,
)
from multimodal.data.labels.read import label_arrays
from multimodal.data.photos.augment import augment_boxed, augment_photos
from multimodal.data.photos.cache import PhotoCache
from multimodal.data.photos.read import PhotoPaths

ROWS, SIZE, LENGTHS = 23, 16, [8, 16, 32]
SPEC = FittedSpec.model_validate(
    {
        "groups": [
            {
                "name": "table",
                "modality": "tabular",
                "columns": ["n", "c"],
                "optional": True,
                "numeric": [{"name": "row", "source": "n"}, {"name": "m", "source": "n"}],
                "categorical": [{"name": "c", "source": "c", "categories": ["a"]}],
            },
            {"name": "title", "modality": "text", "columns": ["t"], "lengths": LENGTHS},
            {
                "name": "photos",
                "modality": "image",
                "columns": ["p"],
                "photos": 2,
                "image_size": SIZE,
            },
        ],
        "heads": [{"name": "price", "columns": ["price"]}, {"name": "rent", "columns": ["rent"]}],
    }
)


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
    labels = {
        "price": 100.0 + np.arange(ROWS),
        "rent": np.where(np.arange(ROWS) % 3, 7.0, np.nan),
    }
    targets, weights = label_arrays(SPEC.heads, labels, np.full(ROWS, 2.0))
    caches = {"photos": PhotoCache(photos, budget=10**9)}
    return Source.of(SPEC, inputs, caches, targets, weights)


def train(source: Source, **options: Any) -> list[Any]:
    rows = options.pop("rows", np.arange(ROWS))
    chosen = {"batch_size": 5, "seed": 1, "epochs": 1, "augment": False} | options
    return list(training_dataset(source, rows, **chosen).as_numpy_iterator())


def order(batches: list[Any]) -> list[int]:
    return [int(n) for batch in batches for n in batch[0]["table_numeric"][:, 0]]


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
            "table_numeric": "float32",
            "table_categorical": "int32",
            "table_present": "bool",
            "title_tokens": "int32",
            "photos_pixels": "uint8",
            "photos_present": "bool",
        }
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
    assert_same_batches(train(source, epochs=5, first_epoch=3, augment=augment), whole[15:])
    assert_same_batches(train(source, epochs=5, augment=augment), whole)
    assert order(train(source, seed=2)) != order(whole[:5])


@pytest.mark.parametrize("first_step", [0, 1, 4, 5])
def test_an_epoch_can_be_entered_in_the_middle(
    source: Source, first_step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(source, epochs=4, augment=True)
    seen: list[int] = []
    get = PhotoCache.get
    monkeypatch.setattr(PhotoCache, "get", lambda self, rows: (seen.append(1), get(self, rows))[1])
    rest = train(source, epochs=4, first_epoch=2, first_step=first_step, augment=True)
    assert_same_batches(rest, whole[10 + first_step :])
    assert len(seen) == 10 - first_step  # no batch before it was read


@pytest.mark.parametrize("name", ["source", "book"])
def test_the_rows_of_a_batch_can_be_named(source: Source, name: str) -> None:
    rows = np.array([3, 8, 21, 4, 9, 2, 22, 17])
    taken = source if name == "source" else BOOK
    options: dict[str, Any] = {"batch_size": 3, "seed": 7}
    for epoch in range(3):
        batches = train(taken, rows=rows, epochs=epoch + 1, first_epoch=epoch, fill=True, **options)
        for step, (_, targets, weights) in enumerate(batches):
            found = batch_rows(taken, rows, epoch=epoch, step=step, **options)
            head, first = ("price", 100) if name == "source" else ("h", 0)
            yielded = targets[head][weights[head] > 0, 0] - first
            assert found.dtype == np.int64 and found.tolist() == yielded.astype(int).tolist()


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
    assert_same_batches(list(plain.as_numpy_iterator()), before)


def test_one_modality_decodes_no_photo(source: Source, tmp_path: Path) -> None:
    table = source.only({"tabular"}, SPEC)
    assert set(table.inputs) == {"table_numeric", "table_categorical", "table_present"}
    assert not table.caches and not table.lengths
    photos = source.only({"image"}, SPEC)
    assert not photos.inputs and list(photos.caches) == ["photos"]
    (inputs, targets, _), *_ = train(photos)
    assert set(inputs) == {"photos_pixels", "photos_present"} and set(targets) == {"price", "rent"}
    text = source.only({"text"}, SPEC)
    assert list(text.inputs) == ["title_tokens"] == list(text.lengths)


def test_tensors_are_made_once(source: Source) -> None:
    train(source)
    assert source.tensors is source.tensors


def test_heads_without_a_label_still_appear() -> None:
    heads = [FittedHead(name="price", columns=["price"])]
    targets, weights = label_arrays(heads, {"price": np.array([np.nan, 4.0])}, np.array([1.0, 3.0]))
    assert targets["price"].tolist() == [[0.0], [4.0]] and weights["price"].tolist() == [0.0, 3.0]


def texts(counts: dict[str, np.ndarray], lengths: dict[str, list[int]]) -> Source:
    """Rows whose texts have so many words; the target is the row's number."""
    rows = len(next(iter(counts.values())))
    inputs = {
        key: (np.arange(lengths[key][-1]) < words[:, None]).astype(np.int32)
        for key, words in counts.items()
    }
    number = np.arange(rows, dtype=np.float32)
    return Source(inputs, {}, {"h": number[:, None]}, {"h": np.ones(rows, np.float32)}, lengths)


def chosen(batches: list[Any]) -> list[list[int]]:
    return [targets["h"][:, 0].astype(int).tolist() for _, targets, _ in batches]


WORDS = np.random.default_rng(0).integers(0, 33, 203)
BOOK = texts({"t": WORDS}, {"t": LENGTHS})


def test_texts_of_one_length_share_batches() -> None:
    rows = np.arange(200)
    batches = train(BOOK, rows=rows, batch_size=10)
    sizes = [inputs["t"].shape[1] for inputs, _, _ in batches]
    levels = np.searchsorted(LENGTHS, WORDS[:200])
    needed = np.array(LENGTHS)[levels].sum()
    assert needed <= 10 * sum(sizes) < needed + 10 * sum(LENGTHS)
    assert 1.2 * 10 * sum(sizes) < 200 * LENGTHS[-1]
    assert sizes != sorted(sizes) and sizes != sorted(sizes, reverse=True)


def test_every_row_once_an_epoch_where_texts_are_sorted() -> None:
    epochs = [
        chosen(train(BOOK, rows=np.arange(203), batch_size=10, epochs=e + 1, first_epoch=e))
        for e in range(3)
    ]
    for batches in epochs:
        assert [len(batch) for batch in batches] == [10] * 20 + [3]
        assert sorted(row for batch in batches for row in batch) == list(range(203))
    assert len({str(batches) for batches in epochs}) == 3
    again = chosen(train(BOOK, rows=np.arange(203), batch_size=10, epochs=2, first_epoch=1))
    assert again == epochs[1]


def test_rows_of_one_length_meet_by_chance() -> None:
    pairs, mixed = set(), False
    batches = chosen(train(BOOK, rows=np.arange(203), batch_size=10, epochs=12))
    for batch in batches:
        levels = np.searchsorted(LENGTHS, WORDS[batch])
        mixed |= len(batch) == 3 and len(set(levels.tolist())) > 1  # what is left is of any length
        pairs |= {(a, b) for a in batch for b in batch if a < b}
    short = np.flatnonzero(WORDS <= LENGTHS[0])
    met = sum((a, b) in pairs for a in short for b in short if a < b)
    assert met > 0.8 * len(short) * (len(short) - 1) / 2
    assert mixed


@pytest.mark.parametrize("rows", [1, 4, 5])
def test_fewer_rows_than_a_batch(rows: int) -> None:
    (batch,) = chosen(train(BOOK, rows=np.arange(rows), batch_size=5))
    assert sorted(batch) == list(range(rows))


def test_several_texts_are_sorted_by_all_lengths() -> None:
    rng = np.random.default_rng(1)
    counts = {"a": rng.integers(1, 9, 400), "b": rng.integers(1, 65, 400)}
    source = texts(counts, {"a": [4, 8], "b": [16, 64]})
    sizes = [
        inputs["a"].shape[1] + inputs["b"].shape[1]
        for inputs, _, _ in train(source, rows=np.arange(400), batch_size=10)
    ]
    needed = np.where(counts["a"] > 4, 8, 4) + np.where(counts["b"] > 16, 64, 16)
    assert sum(sizes) * 10 < 1.06 * needed.sum() < 0.9 * 400 * 72


@pytest.mark.parametrize("rows", [203, 200, 7])
def test_the_last_batch_can_be_filled_with_rows_of_weight_zero(rows: int) -> None:
    plain = train(BOOK, rows=np.arange(rows), batch_size=10, epochs=2)
    filled = train(BOOK, rows=np.arange(rows), batch_size=10, epochs=2, fill=True)
    assert len(plain) == len(filled)
    for (_, targets, _), (inputs, filling, weights) in zip(plain, filled, strict=True):
        size = len(targets["h"])
        assert len(inputs["t"]) == len(filling["h"]) == len(weights["h"]) == 10
        np.testing.assert_array_equal(filling["h"][:size], targets["h"])
        assert weights["h"].tolist() == [1.0] * size + [0.0] * (10 - size)


def test_one_length_needs_no_sorting() -> None:
    one = texts({"t": WORDS}, {"t": [32]})
    assert one.buckets is None and BOOK.only({"image"}, SPEC).buckets is None
    rows = np.array([5, 3, 9])
    assert by_length(one, rows).tolist() == [5, 3, 9]


def test_rows_by_length() -> None:
    rows = np.arange(100, 200)
    found = by_length(BOOK, rows)
    assert found.dtype == np.int64 and sorted(found) == rows.tolist()
    levels = np.searchsorted(LENGTHS, WORDS[found])
    assert (np.diff(levels) >= 0).all()
    assert (np.diff(found)[np.diff(levels) == 0] > 0).all()


def test_boxes_move_with_their_photos(source: Source) -> None:
    boxes = np.tile(np.array([[0.25, 0.25, 0.5, 0.75]], np.float32), (ROWS, 1))
    boxes[3], boxes[4] = [0, 0, 0.01, 1], 0
    weights = np.where(np.arange(ROWS) == 4, 0, 2).astype(np.float32)
    spec = FittedSpec(
        groups=SPEC.groups,
        heads=[*SPEC.heads, FittedHead(name="box", columns=["x"], kind="box")],
    )
    targets = {**source.targets, "box": boxes}
    with_boxes = Source.of(
        spec, source.inputs, source.caches, targets, {**source.weights, "box": weights}
    )
    for epoch in range(4):
        for inputs, found, given in train(
            with_boxes, augment=True, epochs=epoch + 1, first_epoch=epoch
        ):
            rows = inputs["table_numeric"][:, 0].astype(np.int64)
            cached, _ = source.caches["photos"].get(rows)
            pixels, moved = augment_boxed(cached, boxes[rows, None], (1, epoch), rows)
            np.testing.assert_array_equal(inputs["photos_pixels"], pixels)
            np.testing.assert_array_equal(found["box"], moved[:, 0])
            wanted = moved[:, 0]
            area = (wanted[:, 2] > wanted[:, 0]) & (wanted[:, 3] > wanted[:, 1])
            np.testing.assert_array_equal(given["box"], weights[rows] * area)
            np.testing.assert_array_equal(found["price"][:, 0], 100 + rows)
    without_photos = with_boxes.only({"text"}, spec)
    for given_data in (train(with_boxes, rows=np.arange(5)), train(without_photos)):
        for _, found, given in given_data:
            rows = (found["price"][:, 0] - 100).astype(int)
            np.testing.assert_array_equal(found["box"], boxes[rows])
            np.testing.assert_array_equal(given["box"], weights[rows])
