"""Photos are counted by what they are like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from multimodal.data.photos.checks import count_photos, reject_bad_photos
from multimodal.data.photos.read import PhotoStatistics
from multimodal.data.read.readers import read_table


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
    (found,) = reject_bad_photos(table, ["p"], tmp_path).photos
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
