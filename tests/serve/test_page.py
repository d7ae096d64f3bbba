"""The page at `/`: a form for every column, nothing from elsewhere; filled in by a browser."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from chromium import Tab, executable, tab
from pages import Page, contrast
from runs import Trained, only_models
from servers import Client, Doubler, served
from tiny import PHOTOS, tiny_config

from multimodal.runs.train import train
from multimodal.serve.settings import Limits, Settings

READ = ["category", "brand", "weight_g", "year", "description"]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    for name in ("<b>odd", "twice"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    with served(Settings(tmp_path), lambda path: Doubler()) as client:
        yield client


def test_every_column_has_a_field_and_nothing_comes_from_elsewhere(client: Client) -> None:
    answer = client.get("/?model=twice")
    page = Page(answer.body.decode())
    fields = page.all("input") + page.all("textarea")
    assert {each["name"] for each in fields} == {"size", "review"}
    labelled = {each["for"] for each in page.all("label")}
    assert labelled == {each["id"] for each in fields}
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for path in ("/?model=twice", "/page.css", "/page.js"):
        found = client.get(path)
        assert found.status == 200
        assert not re.search(r"https?://|//[a-z]+\.|@import", found.body.decode())
    assert "(kg)" in answer.body.decode()


def test_names_are_no_markup_and_models_are_chosen(client: Client) -> None:
    page = client.get("/").body.decode()
    assert "<b>odd" not in page
    assert "?model=%3Cb%3Eodd" in page
    absent = client.get("/?model=%3Cscript%3E")
    assert (absent.status, b"<script>" in absent.body) == (404, False)
    assert absent.headers["content-type"].startswith("text/html")


def test_colours_of_texts_are_told_apart_in_light_and_in_dark(client: Client) -> None:
    style = client.get("/page.css").body.decode()
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w+)", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    for colours in (light, dark):
        for ink, paper in (
            *(("ink", "paper"), ("ink", "soft"), ("faint", "paper"), ("faint", "soft")),
            *(("warn", "paper"), ("ink", "warned"), ("on", "blue"), ("blue", "soft")),
        ):
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if executable() is None:
        pytest.skip("there is no Chromium on this machine: nobody has looked at the page")
    with tab(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.large
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_person_fills_in_the_form(
    browser: Tab, trained: Trained, tmp_path: Path, width: int, dark: bool
) -> None:
    table = pd.read_csv(trained.test)
    row = table[table[[*READ, "image"]].notna().all(axis=1)].iloc[0]
    price = "document.querySelector('.price').textContent"
    done = "!document.querySelector('.head.stale') && "
    with served(Settings(trained.run, limits=Limits(body=10**6))) as client:
        start = len(browser.requested), len(browser.told)
        browser.open(f"http://127.0.0.1:{client.port}/", width=width, dark=dark)
        for name in READ:
            browser.type(f"[name={name}]", str(row[name]))
        browser.until(done + "!!document.querySelector('.price')")
        without = browser.run(price)
        browser.choose("[name=image]", trained.folder / row["image"])
        browser.until(f"!!document.querySelector('.shown img') && {done} true")
        photo = base64.b64encode((trained.folder / row["image"]).read_bytes()).decode()
        cells = json.loads(row[READ].to_json()) | {"image": photo}
        expected = client.post("/predict?level=0.9", cells).json["predictions"][0]
        assert float(browser.run(price)) == pytest.approx(expected["price_prediction"], rel=1e-3)
        assert "90 % interval" in browser.run("document.getElementById('answer').textContent")

        browser.type("[name=weight_g]", "99999999")
        browser.until(done + f"{price} !== {json.dumps(without)}")
        odd = "document.querySelector('.field.odd').dataset.column"
        browser.until("!!document.querySelector('.field.odd')")
        assert browser.run(odd) == "weight_g"
        assert "Unlike" in browser.run("document.getElementById('remarks').textContent")

        browser.type("[name=weight_g]", str(row["weight_g"]))
        browser.until(done + "!document.querySelector('.field.odd')")
        browser.run("document.getElementById('why').click()")
        browser.until("document.querySelectorAll('#explanation .bars').length >= 3")
        shown = browser.run("document.getElementById('explanation').textContent")
        assert all(name in shown for name in ("table", "words", "photos", *READ[:4]))
        assert browser.run("document.documentElement.scrollWidth") <= width
        browser.picture(tmp_path / "why.png")
        assert (tmp_path / "why.png").stat().st_size > 10_000

        (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 2 * 10**6)
        browser.choose("[name=image]", tmp_path / "large.png")
        browser.until("!document.getElementById('fault').hidden")
        assert "larger than" in browser.run("document.getElementById('fault').textContent")
        browser.run("document.querySelector('.clear').click()")
        browser.until("document.getElementById('fault').hidden")
    outside = [
        each
        for each in browser.requested[start[0] :]
        if not each.startswith((f"http://127.0.0.1:{client.port}/", "blob:", "data:"))
    ]
    assert not outside
    assert [each for each in browser.told[start[1] :] if "413" not in each] == []


@pytest.mark.large
def test_a_photo_moves_the_price_and_the_page_shows_where(
    browser: Tab, catalogue_folder: Path, tmp_path: Path
) -> None:
    with only_models():
        run = train(
            catalogue_folder / "catalogue.csv",
            "price",
            out=tmp_path / "looks",
            config=tiny_config(PHOTOS, epochs=1),
        )
    photos = sorted((catalogue_folder / "photos").rglob("*.jpg"))[:2]
    price = "(document.querySelector('.price') || {}).textContent"
    with served(Settings(run.path), lambda path: run) as client:
        browser.open(f"http://127.0.0.1:{client.port}/", width=390)
        browser.choose("[name=image]", photos[0])
        browser.until(f"/[0-9]/.test({price})")
        first = browser.run(price)
        browser.choose("[name=image]", photos[1])
        browser.until(f"{price} !== {json.dumps(first)}")
        browser.run("document.getElementById('why').click()")
        browser.until("document.querySelectorAll('#explanation .maps img').length === 3")
        wide = "Array.from(document.querySelectorAll('.maps img'), e => e.naturalWidth)"
        browser.until(f"Math.min(...{wide}) > 0")
        browser.picture(tmp_path / "maps.png")
