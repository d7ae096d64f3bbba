"""Labels of several heads: from two sources, of classes, of boxes in photos; missing and rare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, DataError
from multimodal.data.batches import evaluation_dataset
from multimodal.data.labels.boxes import to_pixels
from multimodal.data.photos.read import decode
from multimodal.data.prepare import prepare


def head_of(name: str, column: Any, part: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "column": column, "head": part, **more}


AGE = head_of("age", "age", "regression", partial=True)
MOOD = head_of("Mood!", "mood", "multiclass", partial=True)
SPLIT = {"split": {"validation": 0.2, "test": 0.2}}


def two_sources(count: int = 60) -> pd.DataFrame:
    """Two tables of the same features, of which one knows ages and the other moods."""
    rng = np.random.default_rng(0)
    first = pd.DataFrame({"size": rng.normal(size=count), "age": rng.integers(1, 90, count)})
    second = pd.DataFrame({"size": rng.normal(size=count), "mood": list("abc") * (count // 3)})
    return pd.concat([first, second], ignore_index=True)


def test_rows_of_weight_zero_do_not_move_the_head() -> None:
    rows = [{"size": i / 7, "price": 10.0 + i, "w": 1} for i in range(60)]
    spoiled = [{**row, "price": 1e6, "w": 0} if i % 2 else row for i, row in enumerate(rows)]
    config = Config.parse({"data": SPLIT})
    head = prepare(spoiled, ["price"], config, weight="w").spec.heads[0]
    assert head.maximum < 100


def test_two_sources_that_carry_one_label_each() -> None:
    prepared = prepare(two_sources(), [], Config.parse({"heads": [AGE, MOOD], "data": SPLIT}))
    assert prepared.table.rejected == [] and len(prepared.splits) == 120
    age, mood = prepared.spec.heads
    assert (age.name, age.kind, mood.name, mood.kind) == ("age", "number", "mood", "class")
    assert mood.classes == ["a", "b", "c"] and 1 <= age.minimum < age.maximum <= 89
    labels = prepared.labels
    assert labels["age"].dtype == np.float64 and labels["mood"].dtype == np.int64
    assert np.isnan(labels["age"]).tolist() == [False] * 60 + [True] * 60
    assert labels["mood"].tolist() == [-1] * 60 + [0, 1, 2] * 20
    known = np.arange(120) < 60
    np.testing.assert_array_equal(prepared.source.weights["age"], known)
    np.testing.assert_array_equal(prepared.source.weights["mood"], ~known)
    assert prepared.source.targets["mood"].dtype == np.int32
    for split in ("train", "validation", "test"):
        rows = prepared.rows(split)
        assert known[rows].mean() == pytest.approx(0.5, abs=0.05)
        assert set(labels["mood"][rows]) == {-1, 0, 1, 2}
    assert not any(column.source in ("age", "mood") for column in prepared.spec.groups[0].numeric)


def test_labels_follow_their_rows_into_batches() -> None:
    frame = two_sources()
    frame["tags"] = ["x|y", "y", None] * 40
    tags = head_of("tags", "tags", "multilabel", partial=True)
    prepared = prepare(frame, [], Config.parse({"heads": [AGE, MOOD, tags], "data": SPLIT}))
    batches = evaluation_dataset(prepared.source, np.arange(120), batch_size=120)
    _, targets, weights = next(iter(batches.as_numpy_iterator()))
    assert targets["mood"][60:].tolist() == [0, 1, 2] * 20
    assert targets["tags"][:3].tolist() == [[1, 1], [0, 1], [0, 0]]
    assert weights["tags"][:3].tolist() == [1, 1, 0]
    assert {name: array.shape for name, array in targets.items()} == {
        "age": (120, 1),
        "mood": (120,),
        "tags": (120, 2),
    }


def test_classes_without_a_declared_head() -> None:
    frame = two_sources()[60:].drop(columns="age")
    prepared = prepare(frame, ["mood"], Config.parse({"data": SPLIT}))
    assert prepared.config.heads[0].head.name == "multiclass"
    assert prepared.labels["mood"].tolist() == [0, 1, 2] * 20
    frame["mood"] = [0, 1] * 30
    prepared = prepare(frame, ["mood"], Config.parse({"data": SPLIT}))
    assert prepared.config.heads[0].head.name == "binary"
    assert prepared.spec.heads[0].classes == ["0", "1"]


def test_a_rare_class_stays_in_training_and_is_said() -> None:
    frame = two_sources()[60:].drop(columns="age")
    frame.loc[70, "mood"] = "odd"
    prepared = prepare(frame, ["mood"], Config.parse({"data": SPLIT}))
    assert prepared.splits[10] == "train"
    (note,) = prepared.warnings
    assert note.startswith("head 'mood': 1 of 4 classes have fewer than 3 rows ('odd').")


def test_a_side_without_a_label_is_an_error() -> None:
    frame = two_sources()
    frame["side"] = ["train"] * 50 + ["validation"] * 10 + ["train"] * 30 + ["test"] * 30
    config = {"heads": [AGE, MOOD], "data": {"split": {"method": "column", "column": "side"}}}
    message = r"head 'age' \(column 'age'\): none of the 30 test rows has its label. Use more rows"
    with pytest.raises(DataError, match=message):
        prepare(frame, [], Config.parse(config))


def test_rows_without_any_label_count_as_set_aside() -> None:
    frame = pd.concat([two_sources(), pd.DataFrame({"size": [1.0, 2.0]})], ignore_index=True)
    prepared = prepare(frame, ["mood", "age"], Config.parse({"heads": [AGE, MOOD], "data": SPLIT}))
    assert [fault.row for fault in prepared.table.rejected] == [120, 121]
    assert "2 rows rejected: no label: age, mood are missing." in prepared.warnings


def test_a_label_kind_from_outside_the_package() -> None:
    rows = [{"size": i / 7, "price": 10.0 + i} for i in range(60)]
    config = Config.parse({"heads": [head_of("price", "price", "tweedie")], "data": SPLIT})
    with pytest.raises(ConfigError, match="unknown head 'tweedie'"):
        prepare(rows, [], config)
    prepared = prepare(rows, [], config, label_kinds={"tweedie": "number"})
    assert prepared.spec.heads[0].maximum == 69


CORNERS = ["xmin", "ymin", "xmax", "ymax"]
BOX = head_of("box", CORNERS, "bounding_box")


def boxed(folder: Path) -> list[dict[str, Any]]:
    rows = []
    for i in range(60):
        wide, name = 20 + i % 5, f"box{i}.png"
        photo = np.random.default_rng(900 + i).integers(0, 256, (10, wide, 3)).astype(np.uint8)
        Image.fromarray(photo).save(folder / name)
        box = dict(zip(CORNERS, (i % 7, 1, 10 + i % 7, 8), strict=True))
        rows.append({"photo": name, "size": i / 7, **box})
    return rows


def test_boxes_are_shares_of_their_photos(tmp_path: Path) -> None:
    given = boxed(tmp_path)
    given[5]["xmax"], given[6]["photo"], given[7]["ymax"] = 40, None, 0
    config = Config.parse(
        {"heads": [BOX], "data": {"image_size": 8, "max_quarantine": 0.1, **SPLIT}}
    )
    prepared = prepare(given, [], config, images=tmp_path)
    kept = [i for i in range(60) if i not in (5, 6, 7)]
    assert prepared.table.rows.tolist() == kept
    assert [fault.reason.split("expected")[-1] for fault in prepared.table.rejected] == [
        " a box inside the photo of 20 x 10 pixels, got 5, 1, 40, 8",
        "columns xmin, ymin, xmax, ymax: a box without a photo",
        " a box with an area, got ymin 1 and ymax 0",
    ]
    sizes = prepared.photo_sizes
    assert sizes is not None and sizes.tolist() == [[20 + i % 5, 10] for i in kept]
    boxes = [[i % 7, 1, 10 + i % 7, 8] for i in kept]
    np.testing.assert_allclose(to_pixels(prepared.labels["box"], sizes), boxes)
    np.testing.assert_allclose(prepared.source.targets["box"], prepared.labels["box"], rtol=1e-6)
    assert prepared.source.boxes == ["box"] and prepared.spec.heads[0].kind == "box"
    pixels = prepared.source.caches["photos"].get(np.array([kept.index(30)]))[0][0, 0]
    np.testing.assert_array_equal(pixels, decode(tmp_path / "box30.png", 8))


def test_a_box_needs_photos(tmp_path: Path) -> None:
    rows = [{**row, "photo": None} for row in boxed(tmp_path)]
    with pytest.raises(ConfigError, match="head 'box' learns a box in a photo, but the model read"):
        prepare(rows, [], Config.parse({"heads": [BOX], "data": SPLIT}), images=tmp_path)
