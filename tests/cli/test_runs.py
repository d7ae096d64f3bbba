"""Predict, evaluate and report: what they need of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from runs import Command, Trained


def test_report_is_written_anew(command: Command, trained: Trained, tmp_path: Path) -> None:
    run = shutil.copytree(trained.run, tmp_path / "run")
    (run / "report.html").unlink()
    done = command("report", run, trained.folder / "catalogue.csv")
    assert (done.code, done.out, done.err) == (0, "", f"report: {run}/report.html\n")
    assert (run / "report.html").is_file() and (run / "model_card.md").is_file()
    done = command("report", run)
    assert done.code == 0 and "without FILE, the page shows no texts" in done.err
    done = command("report", tmp_path / "absent")
    assert done.code == 2 and "no such run directory" in done.err


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_run_that_is_none(verb: str, command: Command, folder: Path, trained: Trained) -> None:
    shutil.copytree(trained.run, "cut")
    content = Path("cut/model.keras").read_bytes()
    Path("cut/model.keras").write_bytes(content[: len(content) // 3])
    shutil.copytree(trained.run, "part")
    Path("part/spec.json").unlink()
    Path("empty").mkdir()
    for name, reason in {
        "none": "none: no such run directory",
        "rows.csv": "rows.csv: a file, not a run directory",
        "empty": "empty/config.json: cannot be read (no such file)",
        "cut": "cut/model.keras: changed since manifest.json was written",
        "part": "part/spec.json: cannot be read",
    }.items():
        done = command(verb, name, "rows.csv")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"error: {reason}")
        assert "Traceback" not in done.err


def test_bad_input_to_predict(command: Command, folder: Path, trained: Trained) -> None:
    for arguments, reason in (
        (["none.csv"], "none.csv: no such file"),
        (["rows.csv"], "rows.csv: columns missing: category, brand"),
        ([trained.test, "--images", "none"], "none: no such folder"),
        ([trained.test, "--out", "no/prices.csv"], "no/prices.csv: no such folder"),
        ([trained.test, "--out", "."], ".: cannot be written"),
    ):
        done = command("predict", trained.run, *arguments)
        assert (done.code, done.out) == (2, "")
        assert f"error: {reason}" in done.err
    done = command("evaluate", trained.run, "rows.csv")
    assert (done.code, "columns missing" in done.err) == (2, True)


def test_no_rows_to_predict(command: Command, folder: Path, trained: Trained) -> None:
    Path("none.csv").write_text(trained.test.read_text().splitlines()[0] + "\n")
    done = command("predict", trained.run, "none.csv")
    assert (done.code, done.out) == (0, "row,id,price_prediction,note,unusual\n")
