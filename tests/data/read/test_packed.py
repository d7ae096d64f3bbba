"""Files in gzip and ZIP give the rows of the file inside, or one clear message."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from multimodal.core.errors import DataError
from multimodal.data.read import packed
from multimodal.data.read.readers import read_table

FRAME = pd.DataFrame({"name": ["oak", "pine"], "size": [1.5, 2.5]})
INSIDE = {
    "t.csv": FRAME.to_csv(index=False).encode(),
    "t.tsv": FRAME.to_csv(index=False, sep="\t").encode(),
    "t.jsonl": FRAME.to_json(orient="records", lines=True).encode(),
    "t.parquet": FRAME.to_parquet(),
}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("how", [".gz", ".zip"])
def test_the_rows_are_those_inside(tmp_path: Path, name: str, how: str) -> None:
    path = tmp_path / f"{name}{how}"
    if how == ".gz":
        path.write_bytes(gzip.compress(INSIDE[name]))
    else:
        zipped(path, {"folder/": b"", f"folder/{name}": INSIDE[name], "__MACOSX/._t": b"x"})
    table = read_table(path)
    assert table.frame["name"].tolist() == ["oak", "pine"]
    assert [float(size) for size in table.frame["size"]] == [1.5, 2.5]
    assert table.unit == ("row" if name == "t.parquet" else "line")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected one table inside, got 0 files"),
        ({"a.csv": b"", "b.csv": b""}, r"got 2 files \(a.csv, b.csv\)"),
        ({"a.doc": b"x"}, "cannot tell the format from '.doc'"),
    ],
)
def test_other_archives(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(zipped(tmp_path / "t.zip", files))


@pytest.mark.parametrize("name", ["t.csv.gz", "t.zip"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_damage_is_told(tmp_path: Path, name: str, damage: str) -> None:
    path, data = tmp_path / name, b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(999))
    if name == "t.zip":
        zipped(path, {"t.csv": data})
    else:
        path.write_bytes(gzip.compress(data))
    found = bytearray(path.read_bytes())
    found[len(found) // 2] ^= 0xFF
    path.write_bytes({"cut": found[: len(found) // 2], "flipped": found, "other": b"x"}[damage])
    with pytest.raises(DataError, match=f"{name}: not a complete"):
        read_table(path)


def test_a_locked_archive(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "t.zip", {"t.csv": b"a\n1\n"}).read_bytes())
    for head, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(head) + at] |= 1
    (tmp_path / "t.zip").write_bytes(data)
    with pytest.raises(DataError, match="locked with a password"):
        read_table(tmp_path / "t.zip")


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST_UNPACKED", 10_000)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"0" * 10**7))
    with pytest.raises(DataError, match="more than 100 times its size"):
        read_table(path)


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    content = packed.content_of(tmp_path / "t.csv.gz")
    with pytest.raises(DataError, match="cannot be read"):
        content.open()
    assert isinstance(packed.damaged(tmp_path, io.UnsupportedOperation("x")), DataError)
