"""Pages: self-contained, escaped, with what is odd; an index that lists them; the command."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from explained import untrained_on
from PIL import Image
from runs import Answer, Trained
from tiny import TABLE, WORDS, tiny_config

from multimodal.evaluation.task import Task
from multimodal.explain.neighbours import NearRow, Neighbours
from multimodal.explain.page import INDEX_FILE, SIDE, map_uri, page, photo_uri, write_pages
from multimodal.explain.records import (
    Explanation,
    GroupScore,
    Neighbour,
    PhotoMaps,
    WordScores,
)
from multimodal.explain.targets import ExplanationTarget, Unit
from multimodal.explain.words import GRADIENTS

Command = Callable[..., Answer]
EVIL = '<script>alert("1")</script>'


def test_a_page_shows_everything_and_fetches_nothing(
    catalogue_folder: Path, tmp_path: Path
) -> None:
    run = untrained_on(catalogue_folder, tiny_config())
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(2)
    rows.loc[0, "description"] = f"A {EVIL} lamp & more"
    rows.loc[0, "brand"] = EVIL
    found = run.explain(rows, images=catalogue_folder)
    paths = write_pages(found, tmp_path, catalogue_folder, title=EVIL)
    assert [path.name for path in paths] == [INDEX_FILE, "row-0.html", "row-1.html"]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text and "http" not in text.replace("http-equiv", "")
        assert 'name="viewport"' in text and "default-src 'none'" in text
    first = paths[1].read_text(encoding="utf-8")
    for section in ("Table, text, photos", "Photos", "Words", "Columns"):
        assert f">{section}</h2>" in first
    assert first.count("data:image/jpeg") == 3
    assert all(re.findall(r'<img [^>]*alt="[^"]+', first)) and first.count("<img") == first.count(
        "alt="
    )
    assert "&lt;script&gt;" in first and "a category that the model does not know" in first
    assert 'href="row-1.html"' in paths[0].read_text(encoding="utf-8")


def test_words_are_marked_in_their_text(catalogue_folder: Path) -> None:
    run = untrained_on(catalogue_folder, tiny_config())
    (found,) = run.explain(
        pd.read_csv(catalogue_folder / "catalogue.csv").head(1), images=catalogue_folder
    )
    text = re.search(r'<p class="words">(.*?)</p>', page(found, catalogue_folder), re.S)
    assert text is not None and "<mark" in text.group(1)
    plain = re.sub(r"<[^>]+>", "", text.group(1)).replace("&#39;", "'").replace("&amp;", "&")
    assert plain == found.words[0].text


@pytest.mark.parametrize("linear", [True, False])
def test_words_too_many_for_the_networks(catalogue_folder: Path, linear: bool) -> None:
    """The linear model reads on; without one, they are struck out."""
    run = untrained_on(catalogue_folder, tiny_config(linear=linear))
    text = "word " * 200 + "lamp"
    rows = pd.read_csv(catalogue_folder / "catalogue.csv").head(1).assign(description=text)
    (found,) = run.explain(rows, images=catalogue_folder)
    words = found.words[0]
    assert words.gap <= 0.01 * abs(words.end - words.start) + 1e-4
    assert words.text[words.read :].startswith("word") and words.beyond == linear
    count = 201 if linear else words.text[: words.read].count("word")
    assert len(words.spans) == len(words.scores) == count
    shown = page(found, catalogue_folder)
    assert ('class="far"' in shown, 'class="cut"' in shown) == (linear, not linear)
    assert ("only the linear model" in shown) == linear


def explained(folder: Path, **cells: str) -> tuple[Explanation, str]:
    """Return the explanation of a row by two networks and a linear model, and its page as text."""
    run = untrained_on(folder, tiny_config(TABLE, WORDS), 2)
    (found,) = run.explain(pd.read_csv(folder / "catalogue.csv").head(1).assign(**cells))
    return found, re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page(found, folder))))


def test_sections_name_their_baselines_and_why_they_differ(catalogue_folder: Path) -> None:
    found, text = explained(catalogue_folder)
    assert "Compared with a row in which every group is absent, for which" in text
    assert "Compared with a typical row: the median of each number and the most" in text
    assert found.target is not None and found.columns is not None
    words, effect = found.words[0], found.target.effect
    for parts, group, moved in (
        ("columns", found.groups[0], found.columns.end - found.columns.start),
        ("words", found.groups[1], words.end - words.start),
    ):
        said = f"{group.name} above, {effect(group.score)}, is not the {effect(moved)} of the"
        assert effect(group.score) != effect(moved)
        assert f"The effect of {said} {parts}".replace("\N{NO-BREAK SPACE}", " ") in text


def test_nothing_is_said_where_the_parts_add_up_to_their_group(catalogue_folder: Path) -> None:
    found, _ = explained(catalogue_folder)
    assert found.columns is not None
    moved = found.columns.end - found.columns.start
    alike = [replace(found.groups[0], score=moved), found.groups[1]]
    said = page(replace(found, groups=alike), catalogue_folder)
    assert "of the columns: they" not in said and "of the words: they" in said


def test_an_unknown_category_has_no_effect_of_its_own(catalogue_folder: Path) -> None:
    found, text = explained(catalogue_folder, brand="Unheard of")
    assert found.columns is not None and found.target is not None
    brand = next(column for column in found.columns.columns if column.name == "brand")
    effect = found.target.effect(brand.score).replace("\N{NO-BREAK SPACE}", " ")
    what = "counts as any unknown category, but for its letters"
    assert f"brand Unheard of · not known to the model; {what} · typical" in text
    assert f"That it is not the typical {brand.typical} is worth {effect}." in text
    bar = text[text.index("brand Unheard of ·") :].split(" · ")[2]
    assert "not known" in bar and effect not in bar


def test_a_row_that_was_not_explained_says_why(tmp_path: Path) -> None:
    blank = Explanation(7, "rows.csv, line 9", "", ["photo: a.jpg: no such photo"])
    text = page(blank, tmp_path)
    assert "There is no prediction to explain" in text and "a.jpg: no such photo" in text
    assert (write_pages([blank], tmp_path, tmp_path, title="rows")[0]).exists()


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "http://a/b.jpg", "gone.jpg"])
def test_photos_of_training_rows_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    """The names come from the run, which may be anyone's."""
    (tmp_path / "secret.jpg").write_bytes(b"")
    inside = tmp_path / "photos"
    inside.mkdir()
    near = Neighbour(2, 0.1, {"price": EVIL}, [name], EVIL)
    text = page(Explanation(0, "line 2", "", [], neighbours=[near]), inside)
    assert "<img" not in text and "<script" not in text


def test_the_command_writes_pages(trained: Trained, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "why"
    prediction = command(
        "explain", trained.run, trained.test, "--images", trained.folder, "--out", out, "--limit", 2
    )
    assert prediction.code == 0, prediction.err
    assert "the first 2 of 30 rows are explained; see --limit" in prediction.err
    assert sorted(path.name for path in out.iterdir()) == [INDEX_FILE, "row-0.html", "row-1.html"]
    assert "Nearest training rows" in (out / "row-0.html").read_text()
    assert "line 2: " in prediction.err and f"page: {out / INDEX_FILE}" in prediction.err


def test_the_command_shows_what_the_model_needs(trained: Trained, command: Command) -> None:
    prediction = command("explain", trained.run, "--importance")
    assert prediction.code == 0 and "photos" in prediction.out and "weight_g" in prediction.out
    again = command(
        "explain", trained.run, trained.test, "--images", trained.folder, "--importance"
    )
    assert again.code == 0 and "of 30 rows" in " ".join(again.out.split())


def test_the_command_explains_its_errors(
    trained: Trained, command: Command, tmp_path: Path
) -> None:
    assert "FILE is missing" in command("explain", trained.run).err
    wrong = command("explain", trained.run, trained.test, "--images", trained.folder, "--head", "x")
    assert wrong.code == 2 and "Valid: price" in wrong.err
    asked = command(
        "explain", trained.run, trained.test, "--images", trained.folder, "--class", "x"
    )
    assert asked.code == 2 and "predicts no classes" in asked.err
    assert command("explain", tmp_path, "--importance").code == 2


def test_the_nearest_are_shown_with_their_labels() -> None:
    known = Neighbours(
        pd.DataFrame([[0.0], [1.0]]).to_numpy(),
        [NearRow(line=i, labels={"price": str(i)}) for i in (2, 3)],
    )
    found = Explanation(0, "line 2", "", [], neighbours=known.nearest(known.vectors[0]))
    assert "price 2" in page(found, Path())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x010E] = "secret words"
    Image.new("RGB", (40, 20), (120, 120, 120)).save(path, exif=exif)
    return path


def pixels_of(uri: str) -> np.ndarray:
    head, content = uri.split(",")
    assert head == "data:image/jpeg;base64"
    assert b"secret" not in base64.b64decode(content)
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_photos_are_encoded_anew(photo: Path) -> None:
    assert pixels_of(photo_uri(photo)).shape == (SIDE, SIDE, 3)


def test_what_raises_is_orange_and_what_lowers_blue(photo: Path) -> None:
    scores = np.zeros((4, 4))
    scores[0, 0], scores[3, 3] = 2.0, -2.0
    pixels = pixels_of(map_uri(photo, scores, 2.0))
    high, low, middle = pixels[20, 20], pixels[-20, -20], pixels[20, -20]
    assert high[0] > high[2] + 60 and low[2] > low[0] + 60
    assert np.ptp(middle) < 30


def page_of_maps(photo: Path, *patches: float, word: float = 0.5, unit: Unit = "odds") -> str:
    """Return the page of a row with one word and a photo for each strongest patch."""
    target = ExplanationTarget(Task("tier", "class", ["a", "b"]), "tier: a", [1.0], unit)
    words = WordScores("words", "lamp", [(0, 4)], np.array([word]), 0.0, word, 4, GRADIENTS)
    maps = [PhotoMaps("photos", str(photo), hidden=np.diag([each, 0.0])) for each in patches]
    groups = [GroupScore("words", "text", ["t"], 1.0, True)]
    return page(
        Explanation(0, "line 2", "", [], target, groups=groups, words=[words], photos=maps),
        photo.parent,
    )


def colours_of(text: str) -> list[float]:
    """Return how far the top left of each map of a page is from grey."""
    uris = re.findall(r'<img src="([^"]+)" alt="What hiding', text)
    return [float(np.ptp(pixels_of(uri)[20, 20])) for uri in uris]


def test_all_colours_of_a_page_are_on_one_scale(photo: Path) -> None:
    """A patch as strong as the strongest word has the full colour, one that moves nothing none."""
    text = page_of_maps(photo, 0.5, 0.0004)
    strong, nothing = colours_of(text)
    assert strong > 100 and nothing < 12
    assert "full colour is odds\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}1.65 or" in text
    assert "raised most at the top left" in text and "hardly any effect" in text
    widths = re.findall(r"left:[0-9.]+%;width:([0-9.]+)%", text)
    assert widths == ["50.0", "25.0"], "the word moves half as much as the group"


@pytest.mark.parametrize("unit", ["odds", "factor", "amount"])
def test_nothing_worth_a_digit_has_a_colour(photo: Path, unit: Unit) -> None:
    """Not even where nothing on the page is stronger."""
    (nothing,) = colours_of(page_of_maps(photo, 0.0004, word=0.0004, unit=unit))
    (strong,) = colours_of(page_of_maps(photo, 0.1, word=0.0, unit=unit))
    assert nothing < 12 and strong > 100


def test_a_photo_that_cannot_be_read_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"<html>")
    assert photo_uri(tmp_path / "a.jpg") == map_uri(tmp_path / "a.jpg", np.ones((2, 2)), 1.0) == ""
