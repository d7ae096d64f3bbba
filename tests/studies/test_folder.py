"""The folder of a study: bound to what was asked first, study_folder by one process, left clean."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from multimodal.core.errors import RunError
from multimodal.studies.folder import FITS, REQUEST_FILE, study_folder

REQUEST = {"config": {"epochs": 3}, "targets": ["price"], "command": "one"}


def begin(out: Path) -> None:
    with study_folder(out, REQUEST):
        (out / FITS).mkdir()
        (out / FITS / "a.npz").write_bytes(b"x")


def test_the_same_goes_on_and_the_command_does_not_matter(tmp_path: Path) -> None:
    begin(tmp_path / "out")
    with study_folder(tmp_path / "out", {**REQUEST, "command": "two"}):
        assert (tmp_path / "out" / FITS / "a.npz").exists()
    assert json.loads((tmp_path / "out" / REQUEST_FILE).read_text())["command"] == "one"


def test_something_else_is_named(tmp_path: Path) -> None:
    begin(tmp_path)
    with (
        pytest.raises(RunError, match=r"config\.epochs was 3, is 4"),
        study_folder(tmp_path, {**REQUEST, "config": {"epochs": 4}}),
    ):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with (
        pytest.raises(RunError, match="already there and not empty"),
        study_folder(tmp_path, REQUEST),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_without_a_fit_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), study_folder(tmp_path / "out", REQUEST):
        raise KeyboardInterrupt
    assert not (tmp_path / "out").exists()


def test_damaged_records_and_full_disks_are_told(tmp_path: Path) -> None:
    begin(tmp_path)
    with (
        pytest.raises(RunError, match="cannot be written .*goes on"),
        study_folder(tmp_path, REQUEST),
    ):
        raise OSError(28, "No space left on device")
    (tmp_path / REQUEST_FILE).write_text("{")
    with pytest.raises(RunError, match=r"asked\.json: damaged"), study_folder(tmp_path, REQUEST):
        pass


def test_another_process_is_turned_away(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from multimodal.studies.folder import study_folder\n"
        f"with study_folder(Path({str(tmp_path)!r}), {REQUEST!r}): pass"
    )
    with study_folder(tmp_path, REQUEST):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
        )
    assert "another process is training into it" in done.stderr
