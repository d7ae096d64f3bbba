"""The page a run leaves behind, on a run directory drawn for the purpose."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from multimodal.errors import DataError, RunError
from multimodal.evaluation import (
    DataSummary,
    HeadMetrics,
    ModelScore,
    RunMetrics,
    TrainingSummary,
    regression_metrics,
)
from multimodal.report import duration, write_report

ATTACK = "<script>alert('x')</script> & \"quoted\""
ROWS = 300
NOISE = 0.15


def draw_photo(path: Path, seed: int) -> Path:
    """Draw one product photo of 120 x 90 pixels."""
    colour = np.random.default_rng(seed).integers(40, 220, 3)
    image = Image.new("RGB", (120, 90), (240, 238, 230))
    box = (20 + seed % 20, 15, 90 + seed % 20, 75)
    ImageDraw.Draw(image).rounded_rectangle(box, 12, fill=tuple(int(c) for c in colour))
    image.save(path, "JPEG")
    return path


def catalogue(rows: int = ROWS) -> pd.DataFrame:
    """Make the raw test rows: prices over three decades, brands, texts, a script tag in row 0."""
    random = np.random.default_rng(7)
    price = np.exp(random.normal(5, 1.3, rows))
    words = np.array(["steel", "oak", "linen", "worn", "new", "set of 3", "not scratched", "large"])
    texts = [" ".join(random.choice(words, random.integers(4, 60))) for _ in range(rows)]
    texts[0] = ATTACK
    return pd.DataFrame(
        {
            "sku": [f"00{i:05d}" for i in range(rows)],
            "title": [
                f"{w.capitalize()} lamp no. {i}" for i, w in enumerate(random.choice(words, rows))
            ],
            "description": texts,
            "brand": random.choice(["Acme", "Bolt", "Côte & Fils"], rows),
            "weight_kg": np.where(random.random(rows) < 0.1, np.nan, random.gamma(2, 1.5, rows)),
            "photo": [f"images/{i}.jpg" for i in range(rows)],
            "price": price,
        }
    )


def scores(truth: np.ndarray) -> list[ModelScore]:
    """Score eight models whose log errors are known."""
    random = np.random.default_rng(3)
    models: list[tuple[str, Any, str, float, int, float]] = [
        ("median", "constant", "nothing", 1.25, 0, 0.0),
        ("trees on the table", "trees", "table", 0.61, 0, 2.3),
        ("trees on TF-IDF", "trees", "text", 0.70, 0, 8.1),
        ("trees on table + TF-IDF", "trees", "table + text", 0.42, 0, 11.9),
        ("MLP", "sequential", "table", 0.66, 12_431, 31.0),
        ("recurrent", "sequential", "text", 0.72, 410_233, 95.2),
        ("CNN", "sequential", "photos", 0.83, 288_001, 143.8),
        ("fusion", "fusion", "table + text + photos", 0.24, 731_940, 187.4),
    ]
    return [
        ModelScore(
            name, kind, inputs,
            regression_metrics(truth, truth * np.exp(random.normal(0, error, len(truth)))),
            parameters, seconds,
        )
        for name, kind, inputs, error, parameters, seconds in models
    ]  # fmt: skip


def record(truth: np.ndarray, prediction: np.ndarray) -> RunMetrics:
    """Fill every part of `metrics.json`."""
    test = regression_metrics(truth, prediction)
    return RunMetrics(
        heads={"price": HeadMetrics(column="price", unit="EUR", test=test, validation=test)},
        comparison={"price": scores(truth)},
        limit={"price": {"log_rmse": NOISE}},
        data=DataSummary(
            source="catalogue.csv", read=2012, kept=2000, quarantined=12,
            reasons={"photo is absent: images/17.jpg": 3, "price is not a number": 9},
            train=1450, validation=250, test=300,
            warnings=["816 of 1,049 descriptions state the price itself (column `description`)."],
        ),
        training=TrainingSummary(
            epochs=14, best_epoch=10, seconds=187.4, precision="float32", parameters=731_940, seed=3
        ),
        versions={"multimodal": "0.1.0", "keras": "3.15.1"},
        command="multimodal train catalogue.csv --target price --seed 3",
    )  # fmt: skip


def training_log(epochs: int = 14) -> pd.DataFrame:
    """A validation loss that turns upwards after epoch 9."""
    epoch = np.arange(1, epochs + 1)
    loss = 0.9 * np.exp(-epoch / 4) + 0.03
    return pd.DataFrame(
        {"epoch": epoch, "loss": loss, "val_loss": loss + 0.04 + 0.002 * (epoch - 5) ** 2}
    )


SCHEMA = [
    {"name": "sku", "kind": "identifier", "missing": 0, "distinct": 2000, "example": "0000017"},
    {"name": "title", "kind": "text", "missing": 0, "distinct": 1990, "example": "Oak lamp no. 4"},
    {"name": "description", "kind": "text", "missing": 0.002, "distinct": 1999, "example": "oak"},
    {"name": "brand", "kind": "category", "missing": 0, "distinct": 3, "example": "Acme"},
    {"name": "weight_kg", "kind": "number", "missing": 211, "distinct": 1780, "example": 2.25},
    {"name": "photo", "kind": "image", "missing": 0, "distinct": 2000, "example": "images/0.jpg",
     "note": "relative to the file"},
    {"name": "price", "kind": "target", "missing": 0, "distinct": 2000, "example": 148.41},
]  # fmt: skip


def make_run(folder: Path) -> tuple[Path, pd.DataFrame, dict[int, list[Path]]]:
    """Write a whole run directory; return it with the raw test rows and their photos."""
    run = folder / "run"
    (folder / "images").mkdir(parents=True)
    run.mkdir()
    rows = catalogue()
    truth = rows["price"].to_numpy()
    prediction = truth * np.exp(np.random.default_rng(1).normal(0, 0.24, len(rows)))
    prediction[0] *= 40
    table = pd.DataFrame({"row": 3 * np.arange(len(rows)), "id": rows["sku"]})
    table["price_true"], table["price_prediction"] = truth, prediction
    table.to_csv(run / "predictions.csv", index=False)
    training_log().to_csv(run / "training_log.csv", index=False)
    (run / "schema.json").write_text(json.dumps({"columns": SCHEMA}))
    (run / "config.json").write_text(json.dumps({"training": {"epochs": 25, "seed": 3}}))
    (run / "metrics.json").write_text(record(truth, prediction).to_json())
    photos = {i: [draw_photo(folder / "images" / f"{i}.jpg", i)] for i in range(len(rows))}
    photos[0] = [*photos[0], *photos[1], *photos[2], *photos[3], *photos[4]]
    return run, rows, photos


class Page(HTMLParser):
    """Collects tags with their attributes, and checks that they nest."""

    VOID = {"meta", "img", "br", "link", "input"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.feed(text)
        assert not self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A whole run and the text of its report."""
    run, rows, photos = make_run(tmp_path_factory.mktemp("whole"))
    return run, write_report(run, photos=photos, rows=rows).read_text(encoding="utf-8")


def test_every_section_is_there(whole: tuple[Path, str]) -> None:
    run, page = whole
    headings = re.findall(r"<h[123][^>]*>([^<]+)<", page)
    assert headings == [
        "Predicting price", "Data", "Results for price", "Predicted against true price",
        "Where the errors are", "The 20 worst rows", "Training", "How to reproduce",
    ]  # fmt: skip
    assert sorted(path.name for path in (run / "plots").iterdir()) == [
        "comparison_price.png", "learning_curves.png", "predicted_price.png", "residuals_price.png",
    ]  # fmt: skip
    assert not list(run.glob("*.tmp"))


def test_page_nests_and_every_picture_has_words(whole: tuple[Path, str]) -> None:
    page = Page(whole[1])
    images = page.all("img")
    assert len(images) == 4 + 20 + 3  # plots, worst rows, three more of row 0
    assert all(image["alt"] for image in images)
    assert page.all("html")[0]["lang"] == "en"


def test_nothing_is_fetched_and_nothing_runs(whole: tuple[Path, str]) -> None:
    page = Page(whole[1])
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    assert all(str(image["src"]).startswith("data:image/") for image in page.all("img"))
    assert all(str(anchor["href"]).startswith("#") for anchor in page.all("a"))
    assert "http" not in re.sub(r"http-equiv", "", whole[1]).replace("data:image", "")
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert {str(anchor["href"])[1:] for anchor in page.all("a")} <= set(ids)


def test_user_text_is_escaped(whole: tuple[Path, str]) -> None:
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;quoted&#34;" in whole[1]
    assert "Côte &amp; Fils" in whole[1]


def test_numbers_of_the_run_are_on_the_page(whole: tuple[Path, str]) -> None:
    for words in ("<b>2,012</b> rows read", "<b>12</b> set aside", "816 of 1,049 descriptions",
                  "price is not a number", "multimodal train catalogue.csv", "Seed 3, float32",
                  "number 10 was kept", "keras 3.15.1", "known limit", "fusion</td>", ">0.2%<",
                  ">2,000<"):  # fmt: skip
        assert words in whole[1], words


def test_worst_row_shows_its_photos_text_and_values(whole: tuple[Path, str]) -> None:
    article = whole[1].split("<article")[1]
    assert "Row 0" in article and ", 0000000" in article and "times too high" in article
    assert article.count("<img") == 4 and "and 1 more" in article
    assert "<i>brand</i>" in article and "<i>photo</i>" not in article and "sku" not in article


def test_long_texts_can_be_unfolded(whole: tuple[Path, str]) -> None:
    assert whole[1].count('<summary><span class="label">description') >= 5


def test_page_is_small(whole: tuple[Path, str]) -> None:
    assert len(whole[1]) < 1_000_000


def test_empty_run_says_so(tmp_path: Path) -> None:
    page = write_report(tmp_path).read_text()
    assert "This run has no results yet." in page
    assert "Seed" not in page and not (tmp_path / "plots").exists()


def test_interrupted_run_shows_what_there_is(tmp_path: Path) -> None:
    training_log(2).to_csv(tmp_path / "training_log.csv", index=False)
    unfinished = RunMetrics(training=TrainingSummary(epochs=2, interrupted=True))
    (tmp_path / "metrics.json").write_text(unfinished.to_json())
    page = write_report(tmp_path).read_text()
    assert "Training was stopped early" in page and 'id="training"' in page
    Page(page)


def test_predictions_alone_are_enough(tmp_path: Path) -> None:
    table = pd.DataFrame({"row": [4, 9], "price_true": [1.0, 2.0], "price_prediction": [1.1, 2.2]})
    table.to_csv(tmp_path / "predictions.csv", index=False)
    page = write_report(tmp_path).read_text()
    assert "The 2 worst rows" in page and "row 9" in page and "No photo." not in page
    Page(page)


def test_several_heads_with_absent_labels(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "row": range(40),
            "price_true": [None, *range(1, 40)],
            "price_prediction": np.arange(40) + 0.5,
            "Preis €/kg $x$_true": np.arange(40) - 20.0,
            "Preis €/kg $x$_prediction": np.arange(40) - 19.0,
        }
    )
    table.to_csv(tmp_path / "predictions.csv", index=False)
    page = write_report(tmp_path).read_text()
    assert "Results for price" in page and "Results for Preis €/kg $x$" in page
    assert (tmp_path / "plots" / "residuals_preis_kg_x.png").exists()
    first = page.split("<article")[1]
    assert "row 0" not in first  # has no label for the first head
    Page(page)


def test_unreadable_photo_is_named(tmp_path: Path) -> None:
    run, rows, photos = make_run(tmp_path)
    broken = tmp_path / "images" / "<b>.jpg"
    broken.write_text("<html>not found</html>")
    page = write_report(run, photos={0: [broken, tmp_path / "absent.jpg"]}, rows=rows).read_text()
    assert "cannot read &lt;b&gt;.jpg" in page and "cannot read absent.jpg" in page
    assert page.count("No photo.") == 19
    assert len(photos) == len(rows)


def test_report_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    assert "old" != write_report(tmp_path).read_text()


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory"):
        write_report(tmp_path / "absent")
    for name, content in (
        ("metrics.json", '{"heads": 3}'), ("schema.json", "{"), ("config.json", "[]"),
        ("predictions.csv", 'a,b\n"1,2\n'),
    ):  # fmt: skip
        (tmp_path / name).write_text(content)
        with pytest.raises(RunError, match=name):
            write_report(tmp_path)
        (tmp_path / name).unlink()


def test_rows_must_match_predictions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Received: 2 rows for 0 predictions"):
        write_report(tmp_path, rows=pd.DataFrame({"a": [1, 2]}))


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0.0 s"), (59.9, "59.9 s"), (3661, "1 h 1 min")]
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words
