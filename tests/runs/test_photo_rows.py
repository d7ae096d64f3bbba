"""Photos of rows to predict: which are read, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from multimodal.core.spec import FittedSpec
from multimodal.data.read.readers import read_table
from multimodal.runs.photos import without_missing_photos

GROUP = {"name": "g", "modality": "image", "columns": ["photo"], "photos": 2, "image_size": 16}
SPEC = FittedSpec.model_validate({"groups": [GROUP], "heads": []})


def test_photos_that_are_not_there_are_taken_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    frame = pd.DataFrame({"photo": ["a.png", "b.png", None]})
    found = without_missing_photos(SPEC, read_table(frame), tmp_path)
    assert found.frame["photo"].tolist() == [["a.png"], [], []]
    assert found.notes == {1: f"photo: {tmp_path / 'b.png'}: no such photo"}
    assert {name: count for name, count in found.counts.items() if count} == {
        "photos not found": 1,
        "rows without a photo": 2,
    }
    assert not found.lost
    assert frame["photo"].tolist()[:2] == ["a.png", "b.png"]


@pytest.mark.parametrize("name", ["../b.png", "/etc/passwd", "a\0b.png"])
def test_a_path_that_may_not_be_opened_costs_its_row_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    table = read_table(pd.DataFrame({"photo": ["a.png", name]}))
    found = without_missing_photos(SPEC, table, tmp_path)
    assert found.frame["photo"].tolist() == [["a.png"], []]
    assert list(found.lost) == [1] and found.lost[1].startswith("photo: ") and not found.notes


def test_an_address_counts_as_absent_and_is_said(tmp_path: Path) -> None:
    table = read_table(pd.DataFrame({"photo": ["http://x.org/a.png"]}))
    found = without_missing_photos(SPEC, table, tmp_path)
    assert found.notes == {0: "photo: http://x.org/a.png: an address, which is not opened"}
    assert found.counts["photos not found"] == 1 and not found.lost


def test_photos_beyond_those_that_the_model_reads_are_said(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"x")
    table = read_table(pd.DataFrame({"photo": ["a.png;b.png;c.png", "a.png|b.png|d.png"]}))
    found = without_missing_photos(SPEC, table, tmp_path)
    assert found.notes[0] == "'photo': the model reads 2 of its 3 photos"
    assert found.notes[1].endswith("d.png: no such photo")
    assert found.counts["photos beyond those that the model reads"] == 1


def test_bytes_are_a_photo_and_stay(tmp_path: Path) -> None:
    table = read_table(pd.DataFrame({"photo": [b"GIF89a", None]}))
    found = without_missing_photos(SPEC, table, tmp_path)
    assert found.frame["photo"].tolist() == [[b"GIF89a"], []] and not found.notes
