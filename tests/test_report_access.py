"""The page for everyone: headings, tables, contrast, long words; for every kind of head."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_run import make_run
from pages import Page, contrast

import multimodal
from multimodal.evaluation.records import HeadMetrics, ModelScore, RunMetrics
from multimodal.report import plots
from multimodal.report.report import write_report

STYLE = Path(str(multimodal.__file__)).parent / "core" / "templates" / "style.css.j2"
LONG = "x" * 3000
EVIL = "<img src=x onerror=alert(1)> \"'&"


def several_heads(folder: Path) -> Path:
    """A run with a head of each kind, of 60 rows; names and classes are hostile."""
    random, n = np.random.default_rng(0), 60
    classes = [EVIL, "b|", LONG]
    y_true, guess = (random.choice(classes, n) for _ in range(2))
    number = random.normal(0, 50, n)
    table = {"row": np.arange(n), "id": [LONG] * n}
    table |= {
        f"{EVIL}_true": y_true,
        f"{EVIL}_prediction": guess,
        f"{EVIL}_probability": random.random(n),
    }
    table |= {
        "gain_true": number,
        "gain_prediction": number + 9,
        "gain_q05": number - 5,
        "gain_q95": number + 20,
    }
    table |= {
        "marks_true": ["a|c", "[]"] * 30,
        "marks_prediction": "a",
        "marks_probability_a": 0.7,
        "marks_probability_c": 0.2,
    }
    for i, corner in enumerate(("xmin", "ymin", "xmax", "ymax")):
        table |= {f"data_{corner}_true": 10.0 * i, f"data_{corner}": 9.0 * i + random.random(n)}
    pd.DataFrame(table).to_csv(folder / "predictions.csv", index=False)
    heads = {
        EVIL: HeadMetrics(column="c", kind="class", classes=classes, test={"accuracy": 0.5}),
        "gain": HeadMetrics(column="gain", test={"rmse": 9.0, "pinball": 2.0}),
        "marks": HeadMetrics(column="m", kind="labels", classes=["a", "c"], test={"exact": 0.4}),
        "data": HeadMetrics(column="b", kind="box", test={"mean_iou": 0.8}),
    }
    fusion = {
        name: [ModelScore(LONG, "fusion", "table", head.test)] for name, head in heads.items()
    }
    (folder / "metrics.json").write_text(RunMetrics(heads=heads, comparison=fusion).to_json())
    return folder


@pytest.fixture(scope="module", params=["one head", "every kind", "nothing"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("access")
    if request.param == "one head":
        run, rows, photos = make_run(folder)
        return Page(write_report(run, photos=photos, rows=rows).read_text(encoding="utf-8"))
    run = several_heads(folder) if request.param == "every kind" else folder
    return Page(write_report(run).read_text(encoding="utf-8"))


def test_headings_go_down_by_one(page: Page) -> None:
    levels = page.headings()
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_anchors_and_ids_are_one_to_one(page: Page) -> None:
    ids = [str(each["id"]) for _, each in page.found if "id" in each]
    links = [str(each["href"]) for each in page.all("a")]
    assert len(ids) == len(set(ids))
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_every_header_has_a_scope_and_every_table_rows_of_one_width(page: Page) -> None:
    assert all(each.get("scope") in ("col", "row") for each in page.all("th"))
    tags = [name for name, _ in page.found]
    assert len(page.all("table")) == tags.count("thead") == tags.count("tbody")
    width, cells = 0, 0
    for name, attributes in [*page.found, ("tr", {})]:
        if name in ("tr", "thead"):
            assert cells in (0, width), "a row has more or fewer cells than its table's head"
            cells = 0
        if name == "thead":
            width = 0
        if name in ("td", "th"):
            cells += 1
            width += attributes.get("scope") == "col"


def test_what_scrolls_can_be_reached_and_has_a_name(page: Page) -> None:
    boxes = [each for each in page.all("div") if each.get("class") == "wide"]
    assert len(boxes) == len(page.all("table"))
    assert all(each["tabindex"] == "0" and each["aria-label"] and each["role"] for each in boxes)
    assert all(each.get("tabindex") == "0" for each in page.all("pre"))


def test_pictures_have_words_with_numbers(page: Page) -> None:
    for image in page.all("img"):
        assert re.search(r"\d", str(image["alt"]))
        assert len(str(image["alt"])) < 2000


def test_the_language_is_told_and_nothing_runs(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert not page.all("script") and not page.all("link")
    assert not [name for _, each in page.found for name in each if name.startswith("on")]


def test_every_kind_of_head_has_its_sections(tmp_path: Path) -> None:
    text = write_report(several_heads(tmp_path)).read_text(encoding="utf-8")
    for words in (
        "Confusion matrix",
        "the outer quantiles, which should be 90%",
        "Labels on the test rows",
        "Box overlap (IoU)",
        "Where the errors are",
        "The 20 worst rows",
        "&lt;img src=x onerror",
    ):
        assert words in text, words
    assert "<img src=x" not in text and 'id="data_2"' in text
    assert len(text) < 5_000_000


def test_every_colour_of_text_stands_out_from_every_background() -> None:
    style = STYLE.read_text(encoding="utf-8")
    names = dict(re.findall(r"(--\w+): (#\w+)", style))
    found = re.findall(r"(?<![-\w])color: ([^;}]+)", style)
    texts = {names.get(each.strip()[4:-1], each.strip()) for each in found}
    grounds = {each for each in re.findall(r"background: (#\w+)", style)} | {"#fff"}
    assert len(texts) >= 5 and len(grounds) >= 6
    for text, ground in itertools.product(texts, grounds):
        assert contrast(text, ground) >= 4.5, f"{text} on {ground}"
    assert "prefers-color-scheme" not in style and "color-scheme: light" in style


def test_words_in_pictures_stand_out() -> None:
    assert min(contrast(colour, "#ffffff") for colour in (plots.INK, plots.FAINT)) >= 4.5


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)
