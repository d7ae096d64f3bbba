"""Rows whose photos cannot be used, and what is said of the rows rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal.core.errors import DataError
from multimodal.data.photos import checks
from multimodal.data.photos.checks import (
    PhotoScreening,
    check_any_photo,
    check_rejected_fraction,
    check_row_count,
    count_photos,
    left_out,
    notes,
    reason_kind,
    reasons,
    screen_photos,
)
from multimodal.data.photos.examine import PhotoStatistics
from multimodal.data.read.readers import read_table
from multimodal.data.read.table import Table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (9, 9, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "1.png").read_bytes())
    (tmp_path / "cut.png").write_bytes((tmp_path / "1.png").read_bytes()[:-30])
    (tmp_path / "page.jpg").write_text("<html>")
    return tmp_path


def screened(
    cells: list[Any], folder: Path, *, drop: bool = False, others: tuple[str, ...] = (), **more: Any
) -> PhotoScreening:
    table = read_table(pd.DataFrame({"p": pd.Series(cells, dtype=object), **more}))
    slots = {"p": 4, **{name: 4 for name in more if name not in others}}
    return screen_photos(table, slots, folder, others=others, drop=drop)


CELLS = ["0.png", "gone.png", None, "1.png|cut.png", ["1.png", "2.png"], "page.jpg", "copy.png"]


def test_bad_photos_set_their_rows_aside_if_asked_to(folder: Path) -> None:
    table, digests, kept, _ = screened(CELLS, folder, drop=True)
    assert kept.tolist() == table.rows.tolist() == [0, 2, 4, 6]
    assert [len(row) for row in digests] == [1, 0, 2, 1]
    assert digests[2][0] == digests[3][0] != digests[0][0]
    assert [(fault.row, fault.reason.split(" (")[0]) for fault in table.rejected] == [
        (1, f"photo: {folder / 'gone.png'}: no such photo"),
        (3, f"photo: {folder / 'cut.png'}: the photo is cut off"),
        (5, f"photo: {folder / 'page.jpg'}: not a readable photo"),
    ]
    assert reasons(table) == {
        "photo: no such photo": 1,
        "photo: the photo is cut off": 1,
        "photo: not a readable photo": 1,
    }


def test_bad_photos_are_absent_where_the_row_has_anything_else(folder: Path) -> None:
    size = [1.0, 2.0, 3.0, None, 5.0, None, 7.0]
    table, digests, kept, photos = screened(CELLS, folder, others=("size",), size=size)
    assert kept.tolist() == [0, 1, 2, 3, 4, 6]
    found = table.frame["p"].tolist()
    assert found == ["0.png", [], None, ["1.png"], ["1.png", "2.png"], "copy.png"]
    assert [len(row) for row in digests] == [1, 0, 0, 1, 2, 1]
    assert [fault.row for fault in table.rejected] == [5]
    assert (photos[0].missing, photos[0].unreadable, photos[0].absent) == (1, 2, 3)
    assert [said.partition(". First")[0] for said in left_out(photos[0])] == [
        "column 'p': 1 photo of 7 not there; it counts as absent (`data.missing_photo: drop` "
        "rejects its row); name its folder with --images",
        "column 'p': 2 photos of 7 cannot be read; they count as absent "
        "(`data.missing_photo: drop` rejects their rows)",
    ]
    assert left_out(photos[0], drop=True) == []


def test_the_callers_table_stays_as_it_is(folder: Path) -> None:
    table = read_table(pd.DataFrame({"p": ["0.png", "0.png|gone.png"]}))
    found = screen_photos(table, {"p": 4}, folder)
    assert table.frame["p"].tolist() == ["0.png", "0.png|gone.png"]
    assert found.table.frame["p"].tolist() == ["0.png", ["0.png"]]


def test_several_columns(folder: Path) -> None:
    cells, other = ["0.png", "1.png"], ["2.png", "gone.png"]
    table, digests, kept, _ = screened(cells, folder, drop=True, q=other)
    assert kept.tolist() == [0] and len(digests[0]) == 2 and len(table.rejected) == 1
    table, digests, kept, _ = screened(cells, folder, q=other)
    assert kept.tolist() == [0, 1] and len(digests[1]) == 1 and not table.rejected
    assert table.frame["q"].tolist() == ["2.png", []]


def test_photos_that_cells_hold(folder: Path) -> None:
    content = (folder / "1.png").read_bytes()
    _, digests, _, photos = screened([content, "1.png", [content, b"BM"]], folder)
    assert digests[0] == digests[1] == digests[2] and photos[0].photos == 3
    assert photos[0].first["unreadable"].startswith("photo of 2 bytes: ")


def test_each_photo_is_examined_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    examine = checks.examine
    monkeypatch.setattr(checks, "examine", lambda path: seen.append(path) or examine(path))
    screened(["0.png", "1.png", "0.png|1.png", "./0.png"] * 50, folder)
    assert sorted(seen) == [str(folder / "0.png"), str(folder / "1.png")]


@pytest.mark.parametrize("name", ["../0.png", "/etc/passwd"])
def test_photos_that_lead_out_end_it(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"table, row 2, column 'p': photo '{name}' "):
        screened(["0.png", name], folder)


def test_addresses_are_absent_and_told(folder: Path) -> None:
    cells = ["0.png", "https://x.invalid/1.png", "0.png|https://x.invalid/2.png"]
    table, _, kept, photos = screened(cells, folder)
    assert kept.tolist() == [0, 2] and photos[0].addresses == 2 and photos[0].missing == 0
    assert table.rejected[0].reason == (
        "photo: https://x.invalid/1.png: an address, which is not opened"
    )
    assert (
        "2 photos of 3 named by addresses, which are not opened (--download DIR"
        in (left_out(photos[0])[0])
    )


def test_more_photos_than_are_read(folder: Path) -> None:
    table = read_table(pd.DataFrame({"p": ["0.png", "0.png|1.png", "0.png|1.png|2.png"]}))
    (found,) = screen_photos(table, {"p": 1}, folder).photos
    assert found.beyond == 2
    assert left_out(found) == [
        "column 'p': 2 rows name more photos than are read of a cell, 1 (`data.max_photos`)."
    ]


def test_that_no_photo_can_be_used_is_an_error(folder: Path) -> None:
    def check(cells: list[Any]) -> None:
        found = screened(cells, folder, others=("size",), size=[1, 2])
        check_any_photo(found.table, found.photos)

    with pytest.raises(DataError, match=r"none of its 2 photos can be used, .*x.png.* --images"):
        check(["x.png", "y.png"])
    with pytest.raises(DataError, match=r"none of its 1 photos can be used, .* --download DIR"):
        check(["https://x.org/a.png", None])
    check(["0.png", "y.png"])
    check([None, None])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (1, ""),
        (2, " 1 more row has such a path (row 3)."),
        (6, " 5 more rows have such paths (rows 3, 4, 5, 6, 7)."),
        (7, " 6 more rows have such paths (rows 3, 4, 5, 6, 7, …)."),
    ],
)
def test_all_unsafe_paths_of_a_column_are_counted(folder: Path, bad: int, said: str) -> None:
    with pytest.raises(DataError) as caught:
        screened(["0.png", *["../0.png"] * bad, "1.png"], folder)
    message = str(caught.value)
    assert message.startswith("table, row 2, column 'p': photo '../0.png' leads out ")
    assert message.partition("with --images.")[2] == said


def test_no_photo_columns(folder: Path) -> None:
    table = read_table([{"a": 1}, {"a": 2}])
    same, digests, kept, photos = screen_photos(table, {}, folder)
    assert same is table and digests == [[], []] and photos == [] and kept.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("column 'price': expected a number, got 'free'", "column 'price': expected a number"),
        ("column 'price': expected a number, got 'a, got: b'", "column 'price': expected a number"),
        ("column 'a: b': the target is missing", "column 'a: b': the target is missing"),
        ("expected 5 fields, got 7", "expected 5 fields"),
        ("photo: a (1): b.jpg: no such photo", "photo: no such photo"),
        ("photo: a.jpg: the photo is cut off", "photo: the photo is cut off"),
        ("photo: a.jpg: not a readable photo (x: y)", "photo: not a readable photo"),
        (
            "expected a JSON object: Expecting value at character 7",
            "expected a JSON object: Expecting value",
        ),
        ("odd", "odd"),
    ],
)
def test_kind_of(reason: str, kind: str) -> None:
    assert reason_kind(reason) == kind


def dropped(*why: str, rows: int = 100) -> Table:
    return read_table([{"a": i} for i in range(rows)]).drop(dict(enumerate(why)))


def test_notes_are_sentences() -> None:
    gone, cut = "photo: {}.jpg: no such photo", "photo: {}.jpg: the photo is cut off"
    table = dropped(
        *(gone.format(i) for i in range(3)),
        cut.format(7),
        "column 'price': the target is missing",
        "photo: x.jpg: not a readable photo (y)",
        "photo: z.jpg: not a readable photo (w)",
    )
    assert notes(table) == [
        "3 rows rejected: their photos are absent.",
        "2 rows rejected: their photos cannot be read.",
        "1 row rejected: its photo is cut off.",
        "1 row rejected: column 'price': the target is missing.",
    ]
    assert notes(table, most=1) == ["3 rows rejected: their photos are absent."]
    assert notes(dropped()) == []


def test_check_share() -> None:
    check_rejected_fraction(dropped(), 0.0)
    check_rejected_fraction(dropped(*["odd"] * 5), 0.05)
    message = r"table: 6 of 100 rows cannot be used; at most 5% .* First: table, row 1: odd. Mend"
    with pytest.raises(DataError, match=message):
        check_rejected_fraction(dropped(*["odd"] * 6), 0.05)
    with pytest.raises(DataError, match="2 of 2 rows cannot be used"):
        check_rejected_fraction(dropped("odd", "odd", rows=2), 1.0)


def test_check_count() -> None:
    table = dropped("odd", "odd")
    check_row_count(table, 100)
    with pytest.raises(RuntimeError, match="rows were lost: 101 read, 100 accounted for"):
        check_row_count(table, 101)


def test_real_files(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    image = Image.fromarray(noise)
    turned = Image.Exif()
    turned[274] = 6
    image.save(tmp_path / "fine.png")
    (tmp_path / "copy.jpg").write_bytes((tmp_path / "fine.png").read_bytes())
    image.convert("L").save(tmp_path / "grey.jpg")
    image.convert("CMYK").save(tmp_path / "ink.jpg")
    image.save(tmp_path / "turned.jpg", exif=turned)
    image.resize((31, 40)).save(tmp_path / "tiny.png")
    Image.new("1", (4001, 4000)).save(tmp_path / "huge.png")
    (tmp_path / "page.jpg").write_text("<html>")
    names = [*sorted(path.name for path in tmp_path.iterdir()), "gone.jpg", None, "fine.png"]
    table = read_table([{"p": name, "i": i} for i, name in enumerate(names)])
    (found,) = screen_photos(table, {"p": 1}, tmp_path).photos
    assert found.model_dump(exclude={"first"}) == {
        "name": "p",
        "rows": 10,
        "photos": 9,
        "missing": 1,
        "unreadable": 1,
        "duplicate": 2,
        "tiny": 1,
        "huge": 1,
        "not_rgb": 3,
        "rotated": 1,
        "addresses": 0,
        "beyond": 0,
        "slots": 1,
    }
    assert found.first["rotated"] == str(tmp_path / "turned.jpg")
    assert set(found.first) == {"missing", "unreadable", "tiny", "huge", "not_rgb", "rotated"}


def test_no_photos() -> None:
    found = count_photos("p", [[], []], {})
    assert (found.rows, found.photos, found.duplicate, found.first) == (0, 0, 0, {})


def test_a_fault_counts_once() -> None:
    facts = {"a": PhotoStatistics(fault="a: no such photo", absent=True)}
    found = count_photos("p", [["a"], ["a"]], facts)
    assert (found.rows, found.photos, found.missing, found.tiny) == (2, 1, 1, 0)
