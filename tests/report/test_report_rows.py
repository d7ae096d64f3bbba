"""A report written anew: with the file that the run was made from, or without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from runs import Trained

from multimodal.core.errors import DataError, RunError
from multimodal.report.report import photos_of, rewrite_report


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.run, tmp_path / "run"))


def test_with_its_file_the_page_is_the_same(trained: Trained, run: Path) -> None:
    before = (run / "report.html").read_text()
    (run / "report.html").unlink()
    page = rewrite_report(run, trained.folder / "catalogue.csv")
    assert page == run / "report.html" and page.read_text() == before
    assert "data:image/jpeg" in before


def test_without_it_no_single_row_is_shown(run: Path) -> None:
    page = rewrite_report(run).read_text()
    assert "data:image/jpeg" not in page and "worst rows" in page


def test_an_older_run_has_a_page(trained: Trained, run: Path) -> None:
    """As it was before predictions of baselines, checksums and the machine were kept."""
    (run / "baseline_predictions.csv").unlink()
    record = json.loads((run / "metrics.json").read_text())
    for name in ("machine", "date"):
        del record[name]
    for name in ("sha256", "fingerprint"):
        del record["data"][name]
    (run / "metrics.json").write_text(json.dumps(record))
    page = rewrite_report(run, trained.folder / "catalogue.csv").read_text()
    assert "against the best baseline" not in page and "Every model on the same" in page
    assert "data:image/jpeg" in page


def test_another_file_is_refused(trained: Trained, run: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(trained.folder / "catalogue.csv")
    rows.iloc[::-1].to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(DataError, match="other.csv: changed since the run was made"):
        rewrite_report(run, tmp_path / "other.csv", images=trained.folder)
    with pytest.raises(DataError, match="table: 'id' of a test row is .*; the run has"):
        rewrite_report(run, rows.iloc[::-1], images=trained.folder)
    with pytest.raises(DataError, match="table: has no row 150, which the run was tested on"):
        rewrite_report(run, rows.head(150), images=trained.folder)


def test_a_run_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory"):
        rewrite_report(tmp_path / "absent")


def test_photos_of_all_columns_in_their_order() -> None:
    rows = pd.DataFrame({"front": ["a.jpg", None], "back": ["b.jpg", "c.jpg|d.jpg"]})
    found = photos_of(rows, ["front", "back", "absent"], Path("/photos"))
    assert {i: [path.name for path in paths] for i, paths in found.items()} == {
        0: ["a.jpg", "b.jpg"],
        1: ["c.jpg", "d.jpg"],
    }
