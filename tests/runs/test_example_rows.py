"""What a training leaves for explanations: example rows and their pages, neighbours."""

from __future__ import annotations

import html
import math
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explained import untrained
from runs import Trained
from tiny import partial_rows, plain_config, plain_rows

from multimodal.core.manifest import check_manifest, write_manifest
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.records import EXPLANATIONS, EXPLANATIONS_FILE, ExplainedRows
from multimodal.explain.neighbours import ROWS_FILE, VECTORS_FILE, NearRow, load, save
from multimodal.explain.page import page
from multimodal.runs import example_rows
from multimodal.runs.example_rows import UNKNOWN, _shown
from multimodal.runs.run import Run
from multimodal.runs.run import load as load_run


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine writes all pages, too."""
    monkeypatch.setattr(example_rows, "SECONDS", math.inf)


def test_a_run_explains_its_worst_and_best_rows(trained: Trained) -> None:
    found = ExplainedRows.read(trained.run).rows
    table = pd.read_csv(trained.run / "predictions.csv")
    error = np.abs(np.log(table["price_prediction"] / table["price_true"]))
    order = table["row"].to_numpy()[np.argsort(-error.to_numpy(), kind="stable")]
    assert {row.row for row in found} == {*order[:2], *order[-2:]}
    pages = {f"{EXPLANATIONS}/{p.name}" for p in (trained.run / EXPLANATIONS).iterdir()}
    assert pages == {row.page for row in found}
    check_manifest(trained.run, [EXPLANATIONS_FILE, *pages])
    for row in found:
        text = (trained.run / row.page).read_text(encoding="utf-8")
        assert "<script" not in text and "Nearest training rows" in text
        assert {group.name for group in row.groups} == {"table", "words", "photos"}


def test_the_report_links_to_them_and_says_them_in_short(trained: Trained) -> None:
    report = (trained.run / "report.html").read_text(encoding="utf-8")
    links = re.findall(rf'href="({EXPLANATIONS}/[^"]+)"', report)
    found = ExplainedRows.read(trained.run).rows
    assert sorted(links) == sorted(row.page for row in found)
    for row in found:
        assert all(f"{group.name} {group.effect}" in report for group in row.groups)


def explained(run: Path, folder: Path, rows: pd.DataFrame) -> list[str]:
    """Explain example rows of a copy of a run on `rows` anew; return the heads they are of."""
    copy = load_run(shutil.copytree(run, folder / "run"))
    (copy.path / EXPLANATIONS_FILE).unlink(missing_ok=True)
    prepared = prepare(rows, [], copy.config)
    example_rows.explain_example_rows(copy, prepared, prepared.rows("test"))
    return [row.head for row in ExplainedRows.read(copy.path).rows]


def test_heads_share_the_rows(
    partial_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multimodal.report.head_rows.KEPT", 3)  # of nine test rows
    heads = explained(partial_run, tmp_path, partial_rows())
    assert heads.count("price") == 2 and heads.count("mood") in (1, 2)


def test_no_row_is_begun_after_so_many_seconds(
    plain_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example_rows, "SECONDS", 0.0)
    assert explained(plain_run, tmp_path, plain_rows()) == ["price"]


def test_rows_are_those_of_the_training_split(trained: Trained) -> None:
    known = load(trained.run)
    assert known is not None
    table = pd.read_csv(trained.folder / "catalogue.csv")
    lines = [row.line for row in known.rows]
    assert sorted(lines) == lines and len(set(lines)) == 120
    assert set(table["split"][np.array(lines) - 2]) == {"train"}
    for row in known.rows[:5]:
        cells = table.iloc[row.line - 2]
        assert row.photos == [cells["image"]]
        assert cells["description"].startswith(row.text[:30])


def test_files_hold_no_pickle(trained: Trained) -> None:
    with zipfile.ZipFile(trained.run / VECTORS_FILE) as archive:
        assert archive.namelist() == ["vectors.npy"]
    assert np.load(trained.run / VECTORS_FILE)["vectors"].dtype == np.float16
    assert (trained.run / ROWS_FILE).read_text().startswith('{"rows":[')


def test_labels_that_are_not_known_are_a_dash() -> None:
    assert [_shown(None), _shown(float("nan")), _shown(449.5), _shown("red|big")] == [
        UNKNOWN,
        UNKNOWN,
        "449.5",
        "red|big",
    ]


def linear_alone(folder: Path) -> tuple[Run, Prepared]:
    """Return an untrained run of two heads, on disk, whose networks have no stacking weight."""
    heads = [{"name": name, "column": name} for name in ("price", "cost")]
    prepared = prepare(plain_rows(), [], plain_config().merge(heads=heads))
    run = untrained(prepared)
    for head in ("price", "cost"):
        run.model.get_layer(head).shares.assign([[0.0], [0.9]])
    return replace(run, path=folder), prepared


def test_rows_near_a_linear_model_are_those_with_the_same_contributions(tmp_path: Path) -> None:
    run, prepared = linear_alone(tmp_path)
    example_rows.save_neighbours(run, prepared)
    write_manifest(tmp_path)
    known = load(tmp_path)
    assert known is not None and known.head == "price"
    rows = plain_rows().iloc[[each.line - 1 for each in known.rows]]
    inputs = run.preprocessor.arrays(rows, tmp_path).inputs
    raw = np.asarray(run.model(inputs, training=False)["price"])[:, 0]
    constant = 0.9 * float(np.asarray(run.model.get_layer("price").bias)[0])
    np.testing.assert_allclose(known.vectors.sum(axis=1) + constant, raw, atol=0.02)
    (found,) = run.explain(rows.head(1))
    assert found.neighbours[0].line == known.rows[0].line and found.neighbours[0].distance < 0.02
    assert found.nearness.startswith("Distances are between what each part")
    (other,) = run.explain(rows.head(1), head="cost")
    assert not other.neighbours and "holds what decides 'price' alone" in other.nearness
    assert other.nearness in html.unescape(page(other, tmp_path))


def test_neighbours_of_networks_without_weight_are_left_out(tmp_path: Path) -> None:
    """A run of before holds the vectors of its networks, whatever decides."""
    run, prepared = linear_alone(tmp_path)
    rows = prepared.table.frame.head(3)
    save(tmp_path, np.eye(3), [NearRow(line=i, labels={}) for i in range(3)])
    write_manifest(tmp_path)
    (found,) = run.explain(rows.head(1))
    assert not found.neighbours and "would not tell what decided" in found.nearness
