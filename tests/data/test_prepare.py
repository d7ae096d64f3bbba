"""From rows with faults to everything training needs, aligned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import plain_config, plain_rows

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, DataError
from multimodal.data.batches import evaluation_dataset
from multimodal.data.columns.schema import Schema
from multimodal.data.prepare import (
    cut_texts,
    large_notes,
    prepare,
)
from multimodal.data.prepared import Prepared
from multimodal.data.split.leakage import leakage_notes

WORDS = "red blue big small new old oak pine table chair with without drawer lamp of wood".split()
ROWS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for i in range(ROWS):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
    (root / "cut.png").write_bytes((root / "0.png").read_bytes()[:-20])
    return root


def rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "size": round(float(rng.lognormal()), 3),
            "colour": str(rng.choice(WORDS[:4])),
            "title": " ".join(rng.choice(WORDS, 6)),
            "photo": f"{i}.png",
            "price": 1000 + i,
            "w": 1 + i,
        }
        for i in range(ROWS)
    ]


def run(given: list[dict[str, Any]], folder: Path, **options: Any) -> Prepared:
    data = {"image_size": 8, "max_quarantine": 0.2} | options.pop("data", {})
    config = Config.parse({"data": data} | options.pop("config", {}))
    return prepare(given, ["price"], config, images=folder, **options)


def test_mixed_faults_keep_everything_aligned(folder: Path) -> None:
    given = rows()
    given[3]["price"], given[10]["price"] = "free", None
    given[20]["photo"], given[30]["photo"], given[40]["photo"] = "gone.png", "cut.png", None
    given[50]["w"] = -1
    prepared = run(given, folder, weight="w", data={"missing_photo": "drop"})
    gone = [3, 10, 20, 30, 50]
    kept = [i for i in range(ROWS) if i not in gone]
    assert prepared.table.rows.tolist() == kept
    assert [fault.row for fault in prepared.table.rejected] == gone
    assert prepared.labels["price"].tolist() == [1000 + i for i in kept]
    assert prepared.table.frame["price"].tolist() == [1000 + i for i in kept]
    batches = evaluation_dataset(prepared.source, np.arange(len(kept)), batch_size=500)
    inputs, targets, weights = next(iter(batches.as_numpy_iterator()))
    assert set(inputs) == set(prepared.spec.input_keys)
    np.testing.assert_array_equal(targets["price"][:, 0], [1000 + i for i in kept])
    np.testing.assert_array_equal(weights["price"], [1 + i for i in kept])
    assert inputs["photos_present"][:, 0].tolist() == [i != 40 for i in kept]
    pixels = np.asarray(Image.open(folder / "25.png"))
    np.testing.assert_array_equal(inputs["photos_pixels"][kept.index(25), 0], pixels)
    summary = prepared.summary()
    assert summary["kept"] + summary["quarantined"] == summary["read"] == ROWS
    assert sum(summary[split] for split in ("train", "validation", "test")) == summary["kept"]
    assert sum(summary["reasons"].values()) == len(gone) == len(summary["reasons"])
    assert prepared.warnings[:1] == ["1 row rejected: column 'price': expected a number."]
    assert "1 row rejected: its photo is absent." in prepared.warnings


def test_a_photo_that_cannot_be_used_is_absent(folder: Path) -> None:
    given = rows()
    given[20]["photo"], given[30]["photo"], given[40]["photo"] = "gone.png", "cut.png", None
    given[50]["photo"] = "https://x.invalid/1.png"
    given[60]["photo"] = "60.png|gone.png|61.png"
    prepared = run(given, folder, data={"max_photos": 1})
    assert len(prepared.table.frame) == ROWS and not prepared.table.rejected
    inputs = next(iter(evaluation_dataset(prepared.source, np.arange(ROWS), batch_size=500)))[0]
    absent = np.flatnonzero(~np.asarray(inputs["photos_present"])[:, 0])
    assert absent.tolist() == [20, 30, 40, 50]
    told = [note for note in prepared.warnings if note.startswith("column 'photo'")]
    assert [note.split(": ")[1].split(";")[0] for note in told] == [
        "1 photo of 119 not there",
        "1 photo of 119 cannot be read",
        "1 photo of 119 named by addresses, which are not opened (--download DIR fetches them)",
        "1 row names more photos than are read of a cell, 1 (`data.max_photos`).",
    ]


def test_a_row_with_nothing_but_a_photo_that_is_gone_is_rejected(folder: Path) -> None:
    given = rows()
    given[20] = {"photo": "gone.png", "price": 1020, "w": 21}
    prepared = run(given, folder, data={"columns": {"w": "ignored"}})
    assert [fault.row for fault in prepared.table.rejected] == [20]


def test_fitted_on_training_rows_alone(folder: Path) -> None:
    given = rows()
    splits = ["train"] * 80 + ["validation"] * 20 + ["test"] * 20
    for i, row in enumerate(given):
        row["side"] = splits[i]
        row["size"] = i * 1.5
        row["colour"] = "red" if i < 80 else "violet"
        row["title"] = "cheap oak chair number" if i < 80 else "dear pine table number"
    split = {"method": "column", "column": "side"}
    prepared = run(given, folder, data={"split": split, "columns": {"title": "text"}})
    assert prepared.splits.tolist() == splits
    table, title = prepared.spec.group("table"), prepared.spec.group("title")
    assert table.numeric[0].centre == 39.5 * 1.5
    assert table.categorical[0].categories == ["red"]
    assert set(title.vocabulary) == {"cheap", "oak", "chair", "number"}
    head = prepared.config.heads[0].head
    assert head.options == {"transform": "standardise"}
    assert prepared.spec.heads[0].maximum == 1079


def test_copies_stay_on_one_side(folder: Path) -> None:
    given = rows()
    for i in range(0, 40, 2):
        given[i + 1]["photo"] = f"{i}.png|{i + 1}.png"  # the photo comes again in another slot
        given[i]["photo"] = f"{i + 60}.png|{i}.png"
    given += [dict(row, photo=None, price=row["price"] + 5) for row in given[70:90]]
    prepared = run(given, folder)
    splits = prepared.splits
    assert len(splits) == ROWS + 20
    assert all(splits[i] == splits[i + 1] for i in range(0, 40, 2))
    assert all(splits[ROWS + i] == splits[70 + i] for i in range(20))
    assert set(splits) == {"train", "validation", "test"}


def test_a_placeholder_photo_joins_nothing(folder: Path) -> None:
    given = rows()
    for row in given[:60]:
        row["photo"] = "0.png"
    prepared = run(given, folder)
    assert len(set(prepared.splits[:60])) == 3


def test_same_seed_same_split(folder: Path) -> None:
    first, second = run(rows(), folder), run(rows(), folder)
    other = run(rows(), folder, config={"training": {"seed": 5}})
    assert first.splits.tolist() == second.splits.tolist() != other.splits.tolist()
    assert first.spec == second.spec


def test_groups_say_what_their_columns_hold(folder: Path) -> None:
    given = rows()
    groups = [
        {"name": "words", "modality": "text", "columns": ["colour"], "encoder": "recurrent"},
        {"name": "views", "modality": "image", "columns": ["photo"], "encoder": "convolutional"},
    ]
    for row in given:
        row["photo"] = row["photo"].replace(".png", "")
    for i in range(ROWS):
        if not (folder / str(i)).exists():
            (folder / str(i)).write_bytes((folder / f"{i}.png").read_bytes())
    given[4]["photo"] = "gone"
    prepared = run(given, folder, config={"groups": groups})
    assert [prepared.schema.column(name).kind for name in ("colour", "photo")] == ["text", "image"]
    assert prepared.photos[0].missing == 1 and prepared.table.frame["photo"][4] == []


def test_columns_the_model_does_not_read_do_no_harm(folder: Path) -> None:
    given = rows()
    for row in given:
        row["photo"], row["title"] = "gone.png", f"only {row['price']} today my friend"
    groups = [{"name": "t", "modality": "tabular", "columns": ["size"], "encoder": "dense"}]
    prepared = run(given, folder, config={"groups": groups})
    assert prepared.table.rejected == [] and prepared.warnings == []


def test_leaks_and_capped_columns_are_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multimodal.data.features.fit.MAX_CATEGORIES", 2)
    given = rows()
    for row in given:
        row["title"] += f" now {row['price']}"
        row["list price"] = row["price"] * 1.1
    said = " ".join(run(given, folder).warnings)
    assert "column 'title': 120 of 120 cells state their own price" in said
    assert "column 'list price' follows the price closely" in said
    assert "column 'colour': 4 different values; the 2 most frequent ones" in said
    assert "max_words" not in said


def test_what_two_heads_of_one_column_leak_is_said_once(folder: Path) -> None:
    given = [{**row, "list price": row["price"] * 1.1} for row in rows()]
    heads = [
        {"name": "price", "column": "price"},
        {"name": "band", "column": "price", "head": {"name": "quantile"}},
    ]
    warnings = run(given, folder, config={"heads": heads}).warnings
    assert len([each for each in warnings if "'list price' follows the price" in each]) == 1


def test_texts_cut_by_the_limit_are_said(folder: Path) -> None:
    given = rows()
    for row in given[:40]:
        row["title"] = " ".join([row["title"]] * 3)
    said = run(given, folder, data={"max_words": 8}).warnings
    cut = [each for each in said if "max_words" in each]
    assert len(cut) == 1
    assert "40 of 120 rows hold 8 words or more; what follows is not read" in cut[0]
    assert not [each for each in run(given, folder).warnings if "max_words" in each]


def test_a_given_split_with_copies_across_is_said(folder: Path) -> None:
    given = rows()
    for i, row in enumerate(given):
        row["side"] = "train" if i < 80 else "val" if i < 100 else "test"
    given[110] |= {name: given[5][name] for name in ("size", "colour", "title", "photo", "w")}
    prepared = run(given, folder, data={"split": {"method": "column", "column": "side"}})
    assert "2 rows have a duplicate in another of the given splits." in prepared.warnings


def test_base_keeps_kinds_and_scales(folder: Path) -> None:
    first = run(rows(), folder)
    given = [
        row | {"size": row["size"] * 100, "extra": i % 7 + 0.5} for i, row in enumerate(rows())
    ]
    for row in given:
        del row["w"]
    config = {"groups": [group.model_dump() for group in first.config.groups]}
    second = run(given, folder, config=config, base=(first.schema, first.spec))
    old, new = first.spec.group("table"), second.spec.group("table")
    known = {column.source: column for column in old.numeric}
    assert [column.source for column in new.numeric] == ["size", "extra"]
    assert new.numeric[0] == known["size"]
    assert second.spec.group("title").vocabulary == first.spec.group("title").vocabulary


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: [r | {"photo": f"x{r['w']}.png"} for r in rows],
            "none of its 120 photos can be used",
        ),
        (
            lambda rows: [r | {"photo": f"../{r['photo']}"} for r in rows],
            "row 1, column 'photo': photo",
        ),
        (
            lambda rows: [r | {"price": r["title"] + " " + r["colour"]} for r in rows],
            "target 'price' holds 120 different texts in 120 rows",
        ),
        (
            lambda rows: [r | {"price": "dear"} if r["w"] % 3 == 0 else r for r in rows],
            "row 3: column 'price': expected a number, got 'dear'",
        ),
        (lambda rows: [r | {"price": "dear"} for r in rows], "target 'price' is 'dear' in every"),
        (lambda rows: [r | {"price": 5} for r in rows], "target 'price' is 5 in every row"),
        (lambda rows: rows[:5], "cannot split 5 rows"),
        (lambda rows: [], "no data rows"),
        (lambda rows: [{"price": r["price"]} for r in rows], "no feature column is left"),
    ],
)
def test_one_clear_error(folder: Path, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(change(rows()), folder)


def test_negative_prices_under_log1p(folder: Path) -> None:
    given = rows()
    given[7]["price"] = -3
    head = {
        "name": "price",
        "column": "price",
        "head": {"name": "regression", "options": {"transform": "log1p"}},
    }
    with pytest.raises(DataError, match="row 8: column 'price' holds -3"):
        run(given, folder, config={"heads": [head]})
    assert run(given, folder).config.heads[0].head.options == {"transform": "standardise"}


def test_wrong_names(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'prise' is not in the table"):
        prepare(rows(), ["prise"], Config(), images=folder)
    with pytest.raises(DataError, match="no such folder; expected the folder that photo paths"):
        prepare(rows(), ["price"], Config(), images=tmp_path / "gone")
    groups = [{"name": "t", "modality": "text", "columns": ["titel"], "encoder": "recurrent"}]
    with pytest.raises(ConfigError, match="no column 'titel'. Did you mean 'title'"):
        run(rows(), folder, config={"groups": groups})


def test_photos_are_not_measured_without_a_box(folder: Path) -> None:
    assert run(rows(), folder).photo_sizes is None


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    title = [" ".join(["word"] * (3 if i % 2 else 12)) for i in range(80)]
    frame = plain_rows().assign(title=title).drop(columns=["cost", "weight"])
    config = plain_config(linear=False).merge(data={"max_words": 8, "columns": {"title": "text"}})
    return prepare(frame.assign(copy=frame["price"] * 2), ["price"], config)


def test_a_column_that_follows_the_target_is_told(prepared: Prepared) -> None:
    used = Schema(columns=[prepared.schema.column("copy")])
    (said,) = leakage_notes(prepared.table, prepared.raw_labels, used)
    assert "column 'copy' follows the price closely" in said


def test_texts_that_are_cut_are_told(prepared: Prepared) -> None:
    (said,) = cut_texts(prepared.spec, prepared.source, 8)
    assert "40 of 80 rows hold 8 words or more" in said


def test_what_lies_on_disk_is_told_with_its_size(prepared: Prepared, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(500_000))
    (said,) = large_notes(prepared.table, [tmp_path])
    assert said == f"prepared data: 4 MB in {tmp_path}"
    assert large_notes(prepared.table, []) == []
    assert isinstance(prepared.table.frame, pd.DataFrame)
