"""Where photos may lie, and under which spellings of their names they are found."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pytest

from multimodal.core.config import Data
from multimodal.core.errors import DataError
from multimodal.data.photos.locate import PhotoFolder, as_configured, locate, photo_root

CAFE = unicodedata.normalize("NFD", "café.jpg")


@pytest.mark.parametrize(
    "name", ["a.jpg", "sub/a.jpg", "./a.jpg", "a..b.jpg", "ünï.jpg", "x y.jpg"]
)
def test_locate_below_the_root(tmp_path: Path, name: str) -> None:
    assert locate(name, tmp_path) == str(tmp_path / name)
    assert locate(name, Path(".")) == str(Path(name))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("sub\\a.jpg", "sub/a.jpg"),
        (".\\sub\\a.jpg", "sub/a.jpg"),
        ("{root}/sub/a.jpg", "sub/a.jpg"),
        ("sub/A.JPG", "sub/a.jpg"),
        ("SUB/a.jpg", "sub/a.jpg"),
        ("sub/a.jpg?v=3", "sub/a.jpg"),
        ("sub/a.jpg#top", "sub/a.jpg"),
        ("sub\\A.JPG?v=3", "sub/a.jpg"),
        (unicodedata.normalize("NFC", CAFE), CAFE),
        (CAFE.upper(), CAFE),
        ("my%20photo.jpg", "my photo.jpg"),
        ("odd?.jpg", "odd?.jpg"),
        ("a%20b.jpg", "a%20b.jpg"),
        ("b\\c.jpg", "b\\c.jpg"),
        ("a.jpg?v=1", "a.jpg?v=1"),
    ],
)
def test_names_of_other_systems_are_found(tmp_path: Path, name: str, file: str) -> None:
    for each in (
        "sub/a.jpg",
        CAFE,
        "my photo.jpg",
        "odd?.jpg",
        "a%20b.jpg",
        "b\\c.jpg",
        "a.jpg?v=1",
    ):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).touch()
    assert locate(name.format(root=tmp_path), tmp_path) == str(tmp_path / file)


def test_of_two_files_that_differ_by_case_none_is_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "A.jpg").touch()
    assert locate("a.JPG", tmp_path) == str(tmp_path / "a.JPG")
    assert locate("A.jpg", tmp_path) == str(tmp_path / "A.jpg")


def test_a_file_that_comes_later_is_found(tmp_path: Path) -> None:
    assert locate("a.JPG", tmp_path) == str(tmp_path / "a.JPG")
    time.sleep(0.02)  # the folder's time must have moved on
    (tmp_path / "a.jpg").touch()
    assert locate("a.JPG", tmp_path) == str(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "sub/../../a.jpg",
        "..\\a.jpg",
        "/etc/passwd",
        "C:\\photos\\a.jpg",
        "C:/photos/a.jpg",
        "\\\\host\\photos\\a.jpg",
        "{root}-other/a.jpg",
        "{root}/../a.jpg",
    ],
)
def test_locate_refuses_what_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="expected a path below"):
        locate(name.format(root=tmp_path), tmp_path)


@pytest.mark.parametrize("name", ["%2e%2e/a.jpg", "..%2fa.jpg", "%2e%2e%2fa.jpg", "%2fetc/a.jpg"])
def test_escapes_lead_nowhere(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "a.jpg").touch()
    assert locate(name, root) == str(root / name)


@pytest.mark.parametrize("name", ["http://x.org/a.jpg", "file:///etc/passwd", "gs://b/a.jpg"])
def test_an_address_is_no_path(tmp_path: Path, name: str) -> None:
    assert locate(name, tmp_path) == name


def test_bytes_have_no_path(tmp_path: Path) -> None:
    assert locate(b"GIF89a", tmp_path) == b"GIF89a"


def test_a_nul_or_a_long_name_raises_nothing(tmp_path: Path) -> None:
    assert locate("a.jpg\0", tmp_path) == f"{tmp_path}/a.jpg\0"
    assert locate("a" * 5000, tmp_path) == f"{tmp_path}/{'a' * 5000}"


def test_links(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "b.jpg").touch()
    (root / "a.jpg").touch()
    (root / "in.jpg").symlink_to("a.jpg")
    (root / "out.jpg").symlink_to(outside / "b.jpg")
    (root / "folder").symlink_to(outside)
    (tmp_path / "same").symlink_to(root)
    assert locate("in.jpg", root) == str(root / "in.jpg")
    assert locate("a.jpg", tmp_path / "same") == str(tmp_path / "same" / "a.jpg")
    assert locate(str(root / "a.jpg"), tmp_path / "same") == str(tmp_path / "same" / "a.jpg")
    for name in ("out.jpg", "folder/b.jpg", "FOLDER/B.jpg", str(root / "out.jpg")):
        with pytest.raises(DataError, match=f"photo '{name}' is a link that leads out"):
            locate(name, root)
        assert Path(str(locate(name, PhotoFolder(root, follow_links=True)))).exists()
    with pytest.raises(DataError, match="leads out"):
        locate("../outside/b.jpg", PhotoFolder(root, follow_links=True))


def test_photo_root(tmp_path: Path) -> None:
    assert photo_root(None, tmp_path) == photo_root(str(tmp_path), Path("x")) == tmp_path
    asked = PhotoFolder(follow_links=True)
    assert photo_root(asked, tmp_path) == PhotoFolder(tmp_path, follow_links=True)
    assert as_configured(tmp_path, Data()) is tmp_path
    told = as_configured(asked, Data(download="d"))
    assert told == PhotoFolder(None, follow_links=True, downloads="d")
