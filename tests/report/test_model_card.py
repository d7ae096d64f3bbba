"""The card: front matter as a hub reads it, what it says, and its code, which runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from drawn_run import make_run
from runs import Trained

from multimodal.core.errors import RunError
from multimodal.report.model_card import CARD_FILE, escaped, example, fenced
from multimodal.report.report import write_report

SECTIONS = (
    "Intended use",
    "How to load",
    "Training data",
    "Evaluation",
    "Limits",
    "How to reproduce",
    "Environmental cost",
)


def parts(card: str) -> tuple[dict[str, Any], str]:
    """Return the front matter and the text of a card."""
    _, front, body = card.split("---\n", 2)
    return yaml.safe_load(front), body


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    run, rows, _ = make_run(tmp_path_factory.mktemp("card"))
    write_report(run, rows=rows)
    return (run / CARD_FILE).read_text(encoding="utf-8")


def test_the_front_matter_has_the_fields_of_a_hub(card: str) -> None:
    front, _ = parts(card)
    assert front["library_name"] == "keras" and front["pipeline_tag"] == "tabular-regression"
    assert {"keras", "multimodal"} <= set(front["tags"]) and "log_rmse" in front["metrics"]
    (model,) = front["model-index"]
    (result,) = model["results"]
    assert result["task"]["type"] == "tabular-regression"
    assert result["dataset"] == {"name": "catalogue.csv", "type": "table", "split": "test"}
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["log_rmse"] > 0 and "n" not in values


def test_every_section_is_there_with_its_numbers(card: str) -> None:
    _, body = parts(card)
    headings = re.findall(r"^## (.+)$", body, re.M)
    assert headings == list(SECTIONS)
    for words in (
        "2,012 rows read, 12 rejected",
        "1,450 to train",
        "816 of 1,049 descriptions",
        "| model | reads |",
        "Errors of price by what is predicted",
        "multimodal train catalogue.csv --target price --seed 3",
        "took 187 seconds",
        "Acme 9000, 2 cores",
        "price`: a number in EUR",
    ):
        assert words in body, words


def test_tables_have_rows_of_one_width(card: str) -> None:
    lines = [line for line in card.splitlines() if line.startswith("|")]
    assert len(lines) > 20
    for before, line in zip(lines, lines[1:], strict=False):
        if not re.fullmatch(r"[|:\- ]+", line):
            continue
        assert len(re.findall(r"(?<!\\)\|", before)) == len(re.findall(r"(?<!\\)\|", line))


def test_the_code_runs(trained: Trained) -> None:
    code = re.findall(r"```python\n(.*?)```", (trained.run / CARD_FILE).read_text(), re.S)
    assert len(code) == 1
    done = subprocess.run(
        [sys.executable, "-c", code[0]],
        cwd=trained.run,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-1500:]
    assert "price_prediction" in done.stdout


def test_a_run_of_nothing_has_a_card(tmp_path: Path) -> None:
    write_report(tmp_path)
    front, body = parts((tmp_path / CARD_FILE).read_text())
    assert front["model-index"] == [] and "This run has no results yet." in body


@pytest.mark.parametrize("evil", ["---\nx: 1", "a: b\n- c", "'\"{[", "<script>", "` ``` `"])
def test_names_break_neither_front_matter_nor_text(evil: str, tmp_path: Path) -> None:
    record = {
        "heads": {evil: {"column": evil, "test": {"rmse": 1.0}}},
        "data": {"source": evil, "read": 1},
        "command": f"train '{evil}'",
    }
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    (tmp_path / "schema.json").write_text(json.dumps({"columns": [{"name": evil, "kind": "text"}]}))
    write_report(tmp_path)
    card = (tmp_path / CARD_FILE).read_text()
    front = yaml.safe_load(card.removeprefix("---\n").split("\n---\n\n#")[0])
    assert front["model-index"][0]["name"] == f"Predicting {evil}"
    headings = re.findall(r"^## (.+)$", card, re.M)
    assert headings == list(SECTIONS)


def test_no_field_of_a_record_is_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\x1b[2J\u202e&lt;b&gt;"
    words = ("processor", "cores", "memory", "accelerators", "system")
    record = {
        "heads": {"price": {"column": "price", "test": {"rmse": 1.0}}},
        "data": {"source": evil, "read": 1, "warnings": [evil], "sha256": evil},
        "machine": dict.fromkeys(words, evil),
        "versions": {evil: evil},
        "notes": [evil],
        "date": evil,
        "training": {"epochs": 1, "seconds": 9.0, "precision": evil},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    (tmp_path / "config.json").write_text(json.dumps({"training": {f"`{evil}": evil}}))
    column = dict.fromkeys(("name", "kind", "example", "note"), evil)
    (tmp_path / "schema.json").write_text(json.dumps({"columns": [column]}))
    write_report(tmp_path)
    card = re.sub(r"^(`{3,}).*?^\1$", "", (tmp_path / CARD_FILE).read_text(), flags=re.M | re.S)
    card = re.sub(r"`[^`\n]*`", "", card)
    assert "alert" in card and not re.search(r"[\x1b\u202e]", card)
    assert not re.search(r"(?<!\\)[<&]", parts(card)[1])
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page


@pytest.mark.parametrize("name", ["plots", "plots/learning_curves.png", "report.html", CARD_FILE])
def test_nothing_is_written_through_a_link(name: str, tmp_path: Path) -> None:
    run, rows, _ = make_run(tmp_path / "run")
    (tmp_path / "mine").mkdir()
    target = tmp_path / "mine" if name == "plots" else tmp_path / "mine" / "file"
    if name != "plots":
        target.write_text("mine")
        (run / name).parent.mkdir(exist_ok=True)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(target)
    if name == "plots":
        with pytest.raises(RunError, match="plots: a link; plots are written inside"):
            write_report(run, rows=rows)
        assert not list(target.iterdir())
        return
    write_report(run, rows=rows)
    assert target.read_text() == "mine" and not (run / name).is_symlink()


def test_the_example_holds_what_is_read() -> None:
    schema = [
        {"name": "id", "kind": "identifier", "example": "1"},
        {"name": "size", "kind": "number", "example": "2.5"},
        {"name": "note", "kind": "number", "example": "3 reviews"},
        {"name": "photo", "kind": "image", "example": "a/b.jpg"},
        {"name": "price", "kind": "target", "example": "9"},
        {"name": "word", "kind": "text", "example": 'a "b"\\'},
    ]
    assert json.loads(example(schema)) == {
        "size": 2.5,
        "note": "3 reviews",
        "photo": "photo.jpg",
        "word": 'a "b"\\',
    }


def test_text_of_users_stays_text() -> None:
    assert escaped("x" * 400) == "x" * 299 + "…"
    assert escaped("[a](b) # *c*") == r"\[a\](b) \# \*c\*"
    assert fenced("a ```` b").startswith("`````\n")
