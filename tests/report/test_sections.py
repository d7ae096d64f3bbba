"""One head on the page, by kind: what is drawn, which rows are worst."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from multimodal.evaluation.records import HeadMetrics, ModelScore, RunMetrics
from multimodal.report.report import write_report
from multimodal.report.run_files import read_files
from multimodal.report.sections import section

TABLES: dict[str, dict[str, Any]] = {
    "class": {
        "kind_true": ["a", "b", "b", None],
        "kind_prediction": ["a", "a", "b", "a"],
        "kind_probability": [0.9, 0.8, 0.6, 0.7],
    },
    "labels": {
        "kind_true": ["a|b", "[]", None],
        "kind_prediction": ["a", "[]", "b"],
        "kind_probability_a": [0.9, 0.1, 0.2],
        "kind_probability_b": [0.4, 0.2, 0.8],
    },
    "box": {
        **{
            f"kind_{c}_true": [v, v, None]
            for c, v in zip(("xmin", "ymin", "xmax", "ymax"), (0, 0, 20, 20), strict=True)
        },
        **{
            f"kind_{c}": [v, v / 2, v]
            for c, v in zip(("xmin", "ymin", "xmax", "ymax"), (0, 0, 20, 20), strict=True)
        },
    },
}
METRICS = {
    "class": {"accuracy": 2 / 3, "log_loss": 0.7},
    "labels": {"average_precision": 0.5},
    "box": {"mean_iou": 0.6, "iou_50": 0.5},
}


def make(folder: Path, kind: Any) -> Path:
    """Write the files of a run whose one head is of the kind."""
    test = {"n": 3.0, **METRICS[kind]}
    head = HeadMetrics(column="kind", kind=kind, classes=["a", "b"], test=test, validation=test)
    half = {name: value / 2 for name, value in test.items()}
    scores = [
        ModelScore("Fusion", "fusion", "table + photos", test),
        ModelScore("Class shares", "constant", "nothing", half),
    ]
    record = RunMetrics(heads={"kind": head}, comparison={"kind": scores})
    (folder / "metrics.json").write_text(record.to_json())
    table = pd.DataFrame(TABLES[kind])
    table.insert(0, "row", range(10, 10 + len(table)))
    table.to_csv(folder / "predictions.csv", index=False)
    Image.new("RGB", (40, 30)).save(folder / "a.png")
    return folder


@pytest.mark.parametrize(
    ("kind", "pictures", "worst"),
    [
        ("class", {"confusion", "reliability"}, [(11, "probability 80%, wrong")]),
        ("labels", {"reliability"}, [(10, "1 of 2 labels wrong")]),
        ("box", {"overlaps", "boxes"}, [(11, "IoU 0.25"), (10, "IoU 1")]),
    ],
)
def test_each_kind_has_its_pictures_and_worst_rows(
    kind: str, pictures: set[str], worst: list[tuple[int, str]], tmp_path: Path
) -> None:
    photos = {i: [tmp_path / "a.png"] for i in range(3)}
    found = section(read_files(make(tmp_path, kind), photos, None), "kind", "kind")
    assert set(found["pictures"]) == {"comparison", *pictures}
    assert all(each.uri.startswith("data:image/png") for each in found["pictures"].values())
    assert all(len(each.alt) > 20 for each in found["pictures"].values())
    assert [(row["row"], row["error"]) for row in found["worst"]] == worst
    assert not found["tenths"]


def test_a_row_without_a_label_is_nowhere(tmp_path: Path) -> None:
    found = section(read_files(make(tmp_path, "class"), {}, None), "kind", "kind")
    rows = {row["name"]: (row["rows"], row["predicted"], row["recall"]) for row in found["classes"]}
    assert rows == {"a": ("1", "2", "100.0%"), "b": ("2", "1", "50.0%")}


@pytest.mark.parametrize("kind", ["class", "labels", "box"])
def test_the_page_of_each_kind(kind: str, tmp_path: Path) -> None:
    page = write_report(make(tmp_path, kind), photos={0: [tmp_path / "a.png"]}).read_text()
    assert "Results for kind" in page and "worst rows" in page
    assert ("Confusion matrix" in page) == (kind == "class")
    assert ("True and predicted boxes" in page) == (kind == "box")
    assert page.count("<tr") == page.count("</tr>")


def test_a_head_without_answers_has_its_scores_alone(tmp_path: Path) -> None:
    run = make(tmp_path, "class")
    (run / "predictions.csv").unlink()
    found = section(read_files(run, {}, None), "kind", "kind")
    assert set(found["pictures"]) == {"comparison"} and not found["worst"]
    assert [row["name"] for row in found["scores"]] == ["Fusion", "Class shares"]
