"""What a run directory holds: kinds, types of columns, damaged files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from multimodal.core.errors import DataError, RunError
from multimodal.evaluation.records import HeadMetrics, RunMetrics
from multimodal.report.run_files import read_files


def test_names_of_classes_stay_as_they_are_written(tmp_path: Path) -> None:
    record = RunMetrics(heads={"year": HeadMetrics(column="y", kind="class", classes=["01", "NA"])})
    (tmp_path / "metrics.json").write_text(record.to_json())
    table = {"year_true": ["01", None], "year_prediction": ["NA", "01"], "p_prediction": [1, 2]}
    pd.DataFrame(table).to_csv(tmp_path / "predictions.csv", index=False)
    found = read_files(tmp_path, {}, None)
    assert found.predictions["year_true"].tolist()[0] == "01"
    assert found.predictions["year_true"].isna().tolist() == [False, True]
    assert found.predictions["year_prediction"].tolist() == ["NA", "01"]
    assert found.heads == ["year", "p"]
    assert (found.kind("year"), found.kind("p")) == ("class", "number")


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory"):
        read_files(tmp_path / "absent", {}, None)
    with pytest.raises(DataError, match="Received: 1 rows for 0 predictions"):
        read_files(tmp_path, {}, pd.DataFrame({"a": [1]}))
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(RunError, match="config.json: expected a mapping. Received: list"):
        read_files(tmp_path, {}, None)
