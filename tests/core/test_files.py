"""Files that are whole or not there, also on a full disk and after a kill."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from multimodal.core.files import replace_file, sha256_of, write_text


def test_what_was_written_takes_the_place(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "naïve new")
    assert (tmp_path / "a.txt").read_bytes() == "naïve new".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_new(
    tmp_path: Path, failure: BaseException
) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(type(failure)), replace_file(tmp_path / "a.txt") as beside:
        beside.write_text("half of the n")
        raise failure
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_old_file_is_there_until_the_new_one_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "a.txt", []
    write_text(path, "old")
    force = os.fsync

    def watch(handle: int) -> None:
        seen.append(path.read_text())
        force(handle)

    monkeypatch.setattr(os, "fsync", watch)
    write_text(path, "new")
    assert seen == ["old", "new"]  # the file before it is renamed, the folder afterwards


def test_what_a_killed_process_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "partial-a.txt").write_text("a longer rest of an earlier life")
    write_text(tmp_path / "a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_laid_beside_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "partial-a.txt").symlink_to(tmp_path / "precious")
    write_text(tmp_path / "run" / "a.txt", "new")
    assert (tmp_path / "precious").read_text() == "keep"


def test_sha256(tmp_path: Path) -> None:
    data = os.urandom(1 << 20)
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(OSError, match="No space left"), replace_file(tmp_path / "a.txt") as beside:
        beside.symlink_to("/dev/full")
        beside.write_text("x" * 100_000)
    assert (tmp_path / "a.txt").read_text() == "old"
