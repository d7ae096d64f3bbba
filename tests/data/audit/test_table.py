"""The audit of real spoiled files: what it says, and that it loses no row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal.core.config import Config
from multimodal.core.errors import DataError
from multimodal.data.audit.findings import Audit
from multimodal.data.audit.table import audit_prepared, audit_table
from multimodal.data.photos import checks, read
from multimodal.data.prepare import prepare

ROWS = 120


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """120 products, one photo each, in `rows.csv`."""
    rng = np.random.default_rng(0)
    for i in range(ROWS):
        pixels = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    pd.DataFrame(rows()).to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


def rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    return [
        {
            "size": round(float(rng.lognormal()), 4),
            "colour": str(rng.choice(["red", "green", "blue"])),
            "title": f"a plain thing of oak and iron, number {i}",
            "photo": f"{i}.png",
            "price": round(float(rng.lognormal(3)), 2),
        }
        for i in range(ROWS)
    ]


def audited(given: list[dict[str, Any]], folder: Path, *targets: str) -> Audit:
    pd.DataFrame(given).to_csv(folder / "rows.csv", index=False)
    found, table = audit_table(folder / "rows.csv", targets or ["price"])
    assert found.read == found.kept + found.quarantined == len(given)
    assert found.quarantined == len(table.rejected) == sum(found.reasons.values())
    return found


def topics(audit: Audit, level: Any = "warning") -> list[str]:
    return [finding.topic for finding in audit.of_level(level)]


def test_a_clean_table(folder: Path) -> None:
    found = audited(rows(), folder)
    assert found.of_level("error") == found.of_level("warning") == []
    kinds = {column.name: (column.kind, column.type) for column in found.columns}
    assert kinds == {
        "size": ("number", "text"),
        "colour": ("category", "text"),
        "title": ("text", "text"),
        "photo": ("image", "text"),
        "price": ("target", "text"),
    }
    assert found.photos[0].photos == ROWS and found.unit == "line"


def test_what_is_wrong_is_counted_and_placed(folder: Path) -> None:
    given = rows()
    given[3]["price"] = None
    given[7]["photo"] = "gone.png"
    given[9]["size"] = 1e7
    given[20]["colour"] = "RED"
    content = bytearray((folder / "30.png").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "30.png").write_bytes(content)
    found = audited(given, folder)
    assert [(fault.line, fault.reason.split(" (")[0]) for fault in found.set_aside] == [
        (5, "column 'price': the target is missing"),
    ]
    assert found.of_level("error") == []
    assert topics(found) == ["rows"] + ["photos"] * 2 + ["column"] * 2
    odd = {column.name: column.odd for column in found.columns if column.odd}
    assert set(odd) == {"size", "colour"} and "(line 11)" in odd["size"][0]
    assert (found.photos[0].missing, found.photos[0].unreadable) == (1, 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../0.png", "leads out of the photo folder"),
        ("/etc/passwd", "leads out of the photo folder"),
        ("link.png", "is a link that leads out"),
    ],
)
def test_paths_that_lead_out_are_errors(
    folder: Path, name: str, said: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "a.png"
    outside.write_bytes((folder / "0.png").read_bytes())
    (folder / "link.png").symlink_to(outside)
    given = rows()
    given[5]["photo"] = name
    (error,) = audited(given, folder).of_level("error")
    assert said in error.message and "rows.csv, line 7, column 'photo'" in error.message


def test_too_many_bad_rows_are_an_error(folder: Path) -> None:
    given = rows()
    for row in given[:7]:
        row["price"] = "ask"
    found = audited(given, folder)
    assert [error.topic for error in found.of_level("error")] == ["rows"]
    assert "are not numbers" in found.of_level("error")[0].message
    given = rows()
    for row in given:
        row["photo"] = "x" + row["photo"]
    found = audited(given, folder)
    assert "none of its 120 photos can be used" in found.of_level("error")[0].message
    assert found.kept == ROWS


def test_a_target_that_teaches_nothing_is_an_error(folder: Path) -> None:
    given = [{**row, "price": 5} for row in rows()]
    (error,) = audited(given, folder).of_level("error")
    assert "is 5 in every row" in error.message
    with pytest.raises(DataError, match="Did you mean 'price'"):
        audited(rows(), folder, "prise")


def test_leakage_duplicates_and_drift_of_a_given_split(folder: Path) -> None:
    given = rows()
    for i, row in enumerate(given):
        row["part"] = "train" if i < 80 else "test"
        row["net"] = row["price"] / 1.19
        row["size"] += 50 * (i >= 80)
    given[100] = {**given[10], "photo": "100.png", "part": "test"}
    found = audited(given, folder)
    assert {column.name: column.kind for column in found.columns}["part"] == "split"
    assert sum(found.sides.values()) == ROWS and found.sides["test"] == 40
    assert sorted(set(topics(found))) == ["drift", "duplicates", "leakage"]
    said = {finding.topic: finding for finding in found.of_level("warning")}
    assert "column 'net' follows the price" in said["leakage"].message
    assert said["duplicates"].lines == [12, 102]
    assert [(each.column, each.side) for each in found.drift] == [("size", "test")]


def refused(given: list[dict[str, Any]], folder: Path, *targets: str) -> str:
    """Return what training says of a table, "" where it takes it."""
    pd.DataFrame(given).to_csv(folder / "rows.csv", index=False)
    try:
        prepare(folder / "rows.csv", list(targets), Config.parse({"data": {"image_size": 8}}))
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("case", ["few", "one group", "few left", "no feature", "fine"])
def test_what_training_refuses_is_an_error(folder: Path, case: str) -> None:
    given, targets = rows(), ["price"]
    if case == "few":
        given = given[:3]
    elif case == "one group":
        given = [{**row, "photo": f"{i}.png|0.png|{i + 1}.png"} for i, row in enumerate(given[:10])]
    elif case == "no feature":
        given = [{"price": row["price"]} for row in given]
    elif case == "few left":
        targets = ["price", "kind"]
        given = [{**row, "kind": "ab"[i % 2] if i < 6 else None} for i, row in enumerate(given)]
    messages = [error.message for error in audited(given, folder, *targets).of_level("error")]
    why = refused(given, folder, *targets)
    assert messages == ([why] if why else []) and bool(why) == (case != "fine")


def test_a_split_of_chance_tells_of_no_drift(folder: Path) -> None:
    found = audited(rows()[:12], folder)
    assert found.sides == {} and found.drift == [] and found.of_level("error") == []


def test_a_class_of_one_row_is_a_warning(folder: Path) -> None:
    given = [{**row, "kind": "ab"[i % 2]} for i, row in enumerate(rows())]
    given[7]["kind"] = "c"
    (said,) = [each.message for each in audited(given, folder, "kind").of_level("warning")]
    assert "1 of 3 classes have fewer than 3 rows ('c')" in said
    prepared = prepare(folder / "rows.csv", ["kind"], Config.parse({"data": {"image_size": 8}}))
    assert said in prepared.warnings
    assert said in [each.message for each in audit_prepared(prepared).of_level("warning")]


def test_a_typo_in_a_split_column_is_a_warning(folder: Path) -> None:
    given = rows()
    for i, row in enumerate(given):
        row["part"] = "train" if i < 80 else "test"
    given[5]["part"], given[90]["part"], given[91]["part"] = "tset", "", "tset"
    found = audited(given, folder)
    (warning,) = found.of_level("warning")
    assert warning.topic == "split" and warning.lines == [7, 92, 93] and found.sides == {}
    assert "column 'part': 3 of 120 cells name no split: 'tset', nothing." in (warning.message)
    prepared = prepare(folder / "rows.csv", ["price"], Config.parse({"data": {"image_size": 8}}))
    assert warning in audit_prepared(prepared).findings
    given[90]["part"] = given[91]["part"] = "test"
    (warning,) = audited(given, folder).of_level("warning")
    assert "1 of 120 cells names no split: 'tset'" in warning.message


def test_no_target_is_needed(folder: Path) -> None:
    pd.DataFrame(rows()).to_csv(folder / "rows.csv", index=False)
    found, _ = audit_table(folder / "rows.csv")
    assert found.read == found.kept == ROWS and found.suspects == []


def test_the_audit_of_a_run_opens_no_file_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = rows()
    for i, row in enumerate(given):
        row["price"] = round(row["price"] * 10 ** (i % 3), 2)
        row |= {"grade": "abc"[i % 3], "double": row["price"] * 2}
    given[4]["price"], given[6]["photo"] = None, "gone.png"
    given[5] = {"photo": "gone.png", "price": 3.0}  # a row that has nothing else
    given[8]["price"] = given[8]["double"] = 1e9
    pd.DataFrame(given).to_csv(folder / "rows.csv", index=False)
    prepared = prepare(folder / "rows.csv", ["price"], Config.parse({"data": {"image_size": 8}}))
    alone, _ = audit_table(folder / "rows.csv", ["price"])
    for name in ("examine", "locate", "read_bytes"):
        module = read if name == "read_bytes" else checks
        monkeypatch.setattr(module, name, lambda *given: pytest.fail("a file was opened again"))
    found = audit_prepared(prepared)
    assert found.read == found.kept + found.quarantined == ROWS and found.quarantined == 2
    assert sum(found.sides.values()) == found.kept
    assert found.photos == alone.photos and found.photos[0].missing == 1
    assert found.suspects == alone.suspects and found.suspects[0].line == 10
    leaks = [each.message for each in found.findings if each.topic == "leakage"]
    assert len(leaks) == 1 and leaks == prepared.leaks


def test_a_lost_row_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = checks.screen_photos

    def lossy(*given: Any, **more: Any) -> checks.PhotoScreening:
        found = whole(*given, **more)
        table = found.table
        short = type(table)(
            table.frame.iloc[1:],
            table.rows[1:],
            table.lines[1:],
            table.rejected,
            table.source,
            table.root,
        )
        return found._replace(table=short, kept=found.kept[1:], digests=found.digests[1:])

    monkeypatch.setattr(checks, "screen_photos", lossy)
    with pytest.raises(RuntimeError, match="rows were lost"):
        audit_table(folder / "rows.csv", ["price"])


@pytest.mark.parametrize("as_training", [False, True])
def test_a_table_larger_than_memory_is_judged_by_a_sample(
    folder: Path, monkeypatch: pytest.MonkeyPatch, as_training: bool
) -> None:
    given = rows()
    given[3]["price"], given[9]["photo"] = None, "gone.png"
    given[90] = {**given[10], "photo": "90.png"}
    pd.DataFrame(given).to_parquet(folder / "rows.parquet")
    monkeypatch.setattr("multimodal.data.read.parquet.LARGE", 0)
    monkeypatch.setattr("multimodal.data.read.sampling.SAMPLE_ROWS", 80)
    if as_training:
        config = Config.parse({"data": {"image_size": 8, "prepared": str(folder / "sets")}})
        found = audit_prepared(prepare(folder / "rows.parquet", ["price"], config))
        assert sum(found.sides.values()) == found.kept
    else:
        found, _ = audit_table(folder / "rows.parquet", ["price"])
    assert (found.read, found.kept, found.quarantined) == (ROWS, ROWS - 1, 1)
    assert found.photos[0].missing == 1
    notes = [each for each in found.of_level("note") if each.topic in ("rows", "duplicates")]
    assert any("judged by 80 of its 119 rows" in each.message for each in notes), notes
    assert any(each.lines == [11, 91] for each in notes)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "target", "images"),
    [
        ("flipkart/products_raw.csv", "discounted_price", "flipkart/images"),
        ("houses/houses.csv", "price", None),
        ("books/books.csv", "price", None),
        ("reviews/reviews.csv", "sentiment", None),
    ],
)
def test_real_files(file: str, target: str, images: str | None) -> None:
    folder = os.environ.get("MULTIMODAL_DATA")
    if not folder:
        pytest.skip("MULTIMODAL_DATA names no folder")
    data = Path(folder)
    found, _ = audit_table(data / file, [target], images=data / images if images else None)
    assert found.read == found.kept + found.quarantined
    assert found.of_level("error") == []
    leaks = [each.message for each in found.findings if each.topic == "leakage"]
    assert len(leaks) == (2 if images else 0)
