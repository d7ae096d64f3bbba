"""The report of a run: one self-contained page, with and without the raw test rows."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_run import make_run, training_log
from pages import Page
from runs import Trained

from multimodal.core.errors import DataError, RunError
from multimodal.evaluation.records import RunMetrics, TrainingSummary
from multimodal.report.report import photos_of, rewrite_report, write_report


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A whole run and the text of its report."""
    run, rows, photos = make_run(tmp_path_factory.mktemp("whole"))
    return run, write_report(run, photos=photos, rows=rows).read_text(encoding="utf-8")


def test_every_section_is_there(whole: tuple[Path, str]) -> None:
    run, page = whole
    headings = re.findall(r"<h[123][^>]*>([^<]+)<", page)
    assert headings == [
        "Predicting price",
        "Results for price",
        "Every model on the same test rows",
        "Predicted against true price",
        "Where the errors are",
        "The 20 worst rows",
        "The 6 best rows",
        "Data",
        "Training",
        "How to reproduce",
    ]
    assert sorted(path.name for path in (run / "plots").iterdir()) == [
        "categories_price.png",
        "comparison_price.png",
        "learning_curves.png",
        "predicted_price.png",
        "residuals_price.png",
    ]
    assert not list(run.glob("partial-*"))


def test_page_nests_and_every_picture_has_words(whole: tuple[Path, str]) -> None:
    page = Page(whole[1])
    images = page.all("img")
    assert len(images) == 5 + 20 + 6 + 3  # plots, worst and best rows, three more of row 0
    assert all(image["alt"] for image in images)
    plots = [image for image in images if str(image["src"]).startswith("data:image/png")]
    assert len(plots) == 5
    for image in plots:
        assert len(re.findall(r"\d", str(image["alt"]))) > 10, image["alt"]
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
    for words in (
        "<b>2,012</b> rows read",
        "<b>12</b> rejected",
        "816 of 1,049 descriptions",
        "price is not a number",
        "multimodal train catalogue.csv",
        "Seed 3, float32",
        "number 10 was kept",
        "keras 3.15.1",
        "known limit",
        "fusion</th>",
        ">0.2%<",
        ">2,000<",
    ):
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
    assert page.count("No photo.") == 19 + 6
    assert len(photos) == len(rows)


def test_report_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    assert "old" != write_report(tmp_path).read_text()


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory"):
        write_report(tmp_path / "absent")
    for name, content in (
        ("metrics.json", '{"heads": 3}'),
        ("schema.json", "{"),
        ("config.json", "[]"),
        ("predictions.csv", 'a,b\n"1,2\n'),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(RunError, match=name):
            write_report(tmp_path)
        (tmp_path / name).unlink()


def test_rows_must_match_predictions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Received: 2 rows for 0 predictions"):
        write_report(tmp_path, rows=pd.DataFrame({"a": [1, 2]}))


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
    assert found == {
        0: ["/photos/a.jpg", "/photos/b.jpg"],
        1: ["/photos/c.jpg", "/photos/d.jpg"],
    }
