"""The manifest of a run directory: what it vouches for, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multimodal.core.errors import RunError
from multimodal.core.manifest import MANIFEST, MOST_BYTES, check_manifest, is_listed, write_manifest

READ = ["config.json", "model.keras"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory like that of a run, with its manifest."""
    folder = tmp_path / "run"
    (folder / "plots").mkdir(parents=True)
    for name in (*READ, "report.html", "plots/a.png"):
        (folder / name).write_text(f"content of {name}")
    write_manifest(folder)
    return folder


def test_it_lists_every_file_with_size_and_checksum(folder: Path) -> None:
    (folder / "partial-model.keras").write_text("still being written")
    (folder / ".lock").touch()
    (folder / "link").symlink_to("config.json")
    write_manifest(folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["version"] == 1
    assert list(manifest["files"]) == ["config.json", "model.keras", "plots/a.png", "report.html"]
    assert manifest["files"]["config.json"] == {
        "size": 22,
        "sha256": "5c5e4e34186b39aefbb453c12d4e90f311ccefaca102765d6019d1d20421ff54",
    }


def test_what_was_written_passes(folder: Path) -> None:
    check_manifest(folder, READ)
    (folder.parent / "latest").symlink_to(folder)
    check_manifest(folder.parent / "latest", READ)


def test_what_is_not_read_may_change(folder: Path) -> None:
    (folder / "report.html").write_text("edited")
    (folder / "plots" / "a.png").unlink()
    (folder / "notes.txt").write_text("mine")
    check_manifest(folder, READ)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def by_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (flip, "model.keras: changed since manifest.json was written; its SHA-256 is another"),
        (lambda path: path.write_text("short"), "it has 5 bytes; expected 22"),
        (Path.unlink, "model.keras: is missing, but stands in manifest.json"),
        (by_link, "model.keras: is no plain file"),
        (by_pipe, "model.keras: is no plain file"),
    ],
)
def test_a_changed_file_is_named(change: Callable[[Path], Any], reason: str, folder: Path) -> None:
    change(folder / "model.keras")
    with pytest.raises(RunError) as error:
        check_manifest(folder, READ)
    assert reason in str(error.value)
    assert "write_manifest" in str(error.value)


def test_a_file_that_came_later_is_named(folder: Path) -> None:
    (folder / "spec.json").write_text("{}")
    with pytest.raises(RunError, match=r"spec\.json: not in manifest\.json; it was added later"):
        check_manifest(folder, [*READ, "spec.json"])


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/../../b", "..\\b", "", "a//b", ".."]
)
def test_an_entry_that_leads_out_is_refused(name: str, folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = manifest["files"]["config.json"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="leads out of the run directory"):
        check_manifest(folder, READ)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[]", "damaged"),
        (b'{"version": 2, "files": {}}', "damaged; `version`: Input should be 1"),
        (b'{"files": {"a": {"size": -1, "sha256": ""}}}', "damaged"),
        (b'{"files": {}, "more": 1}', "damaged"),
        (b'{"files": ' + b'{"a":' * 100_000, "damaged"),
        (b" " * (MOST_BYTES + 1), "cannot be read (it has 16,777,217 bytes; at most"),
    ],
)
def test_a_damaged_manifest_is_told(content: bytes, reason: str, folder: Path) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(RunError) as error:
        check_manifest(folder, READ)
    assert f"manifest.json: {reason}" in str(error.value)


def test_without_a_manifest_it_says_how_to_make_one(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    with pytest.raises(RunError, match=r"manifest\.json: missing.*write_manifest\('"):
        check_manifest(folder, READ)
    for make in (lambda path: path.symlink_to("config.json"), os.mkfifo, Path.mkdir):
        make(folder / MANIFEST)
        with pytest.raises(RunError, match=r"manifest\.json: expected a plain file"):
            check_manifest(folder, READ)
        (folder / MANIFEST).rmdir() if make is Path.mkdir else (folder / MANIFEST).unlink()


def test_it_tells_whether_a_file_is_listed(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "later.json").touch()
    assert is_listed(folder, "config.json") and not is_listed(folder, "later.json")
    (folder / MANIFEST).write_text("{")
    with pytest.raises(RunError, match="damaged"):
        is_listed(folder, "config.json")
