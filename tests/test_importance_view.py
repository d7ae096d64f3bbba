"""What is read of `importance.json`, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn_run import make_run

from multimodal.errors import RunError
from multimodal.importance_view import IMPORTANCE_FILE, of_head, read_importance
from multimodal.report import write_report

FOUND = [
    {"name": "brand", "kind": "column", "increase": 0.3, "low": 0.2, "high": 0.4},
    {"name": "photos", "kind": "modality", "increase": 0.1, "low": -0.05, "high": 0.2},
    {"name": "other", "kind": "column", "increase": 9, "low": 8, "high": 10, "head": "weight"},
]


def test_modalities_come_first_and_heads_are_apart(tmp_path: Path) -> None:
    (tmp_path / IMPORTANCE_FILE).write_text(json.dumps(FOUND))
    found = read_importance(tmp_path)
    assert [each.name for each in of_head(found, "price")] == ["photos", "brand"]
    assert [each.name for each in of_head(found, "weight")] == ["photos", "other", "brand"]


def test_the_page_shows_it(tmp_path: Path) -> None:
    run = make_run(tmp_path)[0]
    assert "What the predictions rest on" not in write_report(run).read_text()
    (run / IMPORTANCE_FILE).write_text(json.dumps(FOUND))
    page = write_report(run).read_text()
    assert 'id="importance-price"' in page and "+30.0%" in page and "−5.0%" not in page
    assert "-5.0% to +20.0%" in page
    assert (run / "plots" / "importance_price.png").exists()


@pytest.mark.parametrize(
    "content",
    ["{", "3", '[{"name": "a"}]', '[{"name": "a", "increase": NaN, "low": 0, "high": 1}]',
     '[{"name": "a", "kind": "word", "increase": 1, "low": 0, "high": 1}]', "[" * 100_000],
)  # fmt: skip
def test_another_form_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / IMPORTANCE_FILE).write_text(content)
    with pytest.raises(RunError, match="importance.json: not the importance"):
        read_importance(tmp_path)


def test_a_run_without_it_has_none(tmp_path: Path) -> None:
    assert read_importance(tmp_path) == []
