"""Photos in the cells themselves: each form gives the bytes of a file, and the same pixels."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal.core.errors import DataError
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.schema import infer_schema
from multimodal.data.photos.embedded import as_data_uri, embedded_photo, has_photo_header
from multimodal.data.photos.names import cell_photos
from multimodal.data.photos.read import FORMATS, decode
from multimodal.data.read.readers import read_table
from multimodal.data.read.rejected import write_rejected

NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)


def saved(kind: str = "PNG", image: Image.Image | None = None, **options: Any) -> bytes:
    file = BytesIO()
    (image or Image.fromarray(NOISE)).save(file, kind, **options)
    return file.getvalue()


def forms(content: bytes) -> dict[str, Any]:
    plain = base64.b64encode(content).decode()
    return {
        "bytes": content,
        "bytearray": bytearray(content),
        "base64": plain,
        "base64 in lines": base64.encodebytes(content).decode(),
        "data URI": f"data:image/png;base64,{plain}",
        "our data URI": as_data_uri(content),
        "record": {"bytes": content, "path": "a.png"},
        "page": {"src": f"data:image/png;base64,{plain}", "height": 24, "width": 40},
        "unread image": Image.open(BytesIO(content)),
        "list": [content],
        "JSON": f'["data:image/png;base64,{plain}"]',
    }


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("form", forms(saved()))
def test_every_form_gives_the_bytes_of_the_file(kind: str, form: str) -> None:
    content = saved(kind)
    assert has_photo_header(content)
    assert cell_photos(forms(content)[form]) == [content]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "F", "I"])
def test_an_image_in_memory_has_its_pixels(mode: str) -> None:
    image = Image.fromarray(NOISE).convert("L" if mode in ("F", "I") else "RGB").convert(mode)
    (content,) = cell_photos(image)
    wanted = image if mode in ("F", "I") else image.convert("RGBA").convert("RGB")
    if mode in ("F", "I"):
        assert np.asarray(Image.open(BytesIO(content))).tolist() == np.asarray(image).tolist()
    elif mode != "CMYK":
        found = Image.open(BytesIO(content)).convert("RGBA").convert("RGB")
        np.testing.assert_allclose(np.asarray(found, int), np.asarray(wanted, int), atol=1)
    assert decode(content, 8).shape == (8, 8, 3) or mode == "I"


def test_an_image_that_was_turned_stays_turned() -> None:
    exif = Image.Exif()
    exif[274] = 6
    image = Image.open(BytesIO(saved("JPEG", exif=exif)))
    image.load()
    (content,) = cell_photos(image)
    np.testing.assert_array_equal(
        decode(content, 8), decode(saved("PNG", image.transpose(Image.Transpose.ROTATE_270)), 8)
    )


def test_arrays_of_pixels_are_photos_and_others_are_not() -> None:
    (content,) = cell_photos(NOISE)
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(content))), NOISE)
    assert embedded_photo(np.zeros((2, 2, 3))) is None
    assert embedded_photo(np.zeros((2, 2), np.uint8)) is None


@pytest.mark.parametrize(
    "cell",
    [
        "iVBORw0KGgo is how a PNG begins, in words that go on for more than sixty letters",
        "/9j/" + "a" * 80 + ".jpg",
        "UklGRg" + "A" * 100,  # base64, but no photo
        {"bytes": b"x", "name": "a"},
        {},
        "x" * 100,
        3.5,
        None,
    ],
)
def test_what_holds_no_photo(cell: Any) -> None:
    assert embedded_photo(cell) is None


def test_a_record_without_a_photo_is_an_empty_cell() -> None:
    rows = [{"photo": {"bytes": None, "path": None}}, {"photo": {"bytes": b"GIF89a", "path": None}}]
    assert read_table(rows).frame["photo"].tolist() == [None, b"GIF89a"]
    assert cell_photos({"bytes": b"", "path": ""}) == []


def test_a_broken_data_uri_is_a_photo_that_cannot_be_read() -> None:
    assert cell_photos("data:image/png;base64,@@@") == [b""]
    with pytest.raises(DataError, match="photo of 0 bytes: not a readable photo"):
        decode(b"", 8)


def test_columns_of_photos_are_found_in_frames_records_and_parquet(tmp_path: Path) -> None:
    contents = [saved(image=Image.new("RGB", (9, 9), (i, 0, 0))) for i in range(30)]
    price = {"price": np.arange(30.0)}
    for form in forms(contents[0]):
        frame = pd.DataFrame({"photo": [forms(each)[form] for each in contents], **price})
        sources = [frame, frame.to_dict("records")]
        if form in ("bytes", "base64", "data URI", "record", "list"):
            frame.to_parquet(tmp_path / "t.parquet")
            sources.append(tmp_path / "t.parquet")
        for source in sources:
            table = read_table(source)
            assert cell_photos(table.frame["photo"][7]) == [contents[7]]
            assert infer_schema(table, targets=["price"]).column("photo").kind == "image", form


def test_bytes_that_are_no_photos_are_ignored() -> None:
    table = read_table(pd.DataFrame({"a": [b"%PDF" + bytes([i]) for i in range(30)]}))
    column = infer_schema(table).column("a")
    assert column.kind == "ignored" and "no photos" in column.note


def test_bytes_are_spelled_by_their_digest() -> None:
    found = as_text(pd.Series([b"x" * 10**6, b"y" * 10**6, None], dtype=object)).tolist()
    assert found[0] != found[1] and len(found[0]) < 50 and found[2] is None


def test_a_rejected_row_keeps_its_photo(tmp_path: Path) -> None:
    content = saved()
    table = read_table(pd.DataFrame({"photo": [content, [content]], "a": [1, 2]}))
    write_rejected(table.drop({0: "no", 1: "no"}), tmp_path / "q.csv")
    again = read_table(tmp_path / "q.csv").frame["photo"]
    assert [cell_photos(cell) for cell in again] == [[content], [content]]
