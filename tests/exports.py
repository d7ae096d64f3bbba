"""One table as six programs export it: the same rows, each written in the program's own way.

| name       | program                                                                        |
|------------|--------------------------------------------------------------------------------|
| `german`   | spreadsheet: semicolons, Windows-1252, `1.299,50 €`, 29.06.2020, CRLF          |
| `french`   | spreadsheet: semicolons, byte-order mark, `1 299,50`, 29/06/2020               |
| `american` | spreadsheet: "Unicode text", UTF-16 with tabs, `$1,299.50`, 06/29/2020         |
| `database` | dump: gzip, `\\N` for nothing, quotes written `\\"`, times with seconds        |
| `pandas`   | `to_csv()` with the index, NaN as an empty cell                                |
| `shop`     | web shop's feed: tabs in a ZIP file, HTML, `1299.50 EUR`, `0.43 kg`, JSON      |
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

WORDS = ("sturdy", "cheap", "élégant", "größer")


def exported_rows(number: int = 90) -> pd.DataFrame:
    """Return products: a brand, a weight that some lack, a day, a title, and the price of them."""
    rng = np.random.default_rng(7)
    brand = rng.choice(["Acme", "Bölt", "Café & Co", "Dune"], number)
    word = rng.choice(WORDS, number)
    weight = rng.uniform(0.5, 1800, number).round(2)
    weight[::11] = np.nan
    base = pd.Series(brand).map({"Acme": 300, "Bölt": 700, "Café & Co": 1500, "Dune": 4000})
    price = (base * (1 + pd.Series(word).map(WORDS.index)) * rng.lognormal(0, 0.1, number)).round(2)
    days = pd.Timestamp("2020-06-29") + pd.to_timedelta(rng.integers(0, 900, number), "D")
    title = [f'a {w} pan of 12" made of steel; no. {i % 17}, for home' for i, w in enumerate(word)]
    return pd.DataFrame(
        {"brand": brand, "weight": weight, "listed": days, "title": title, "price": price}
    )


def _local(rows: pd.DataFrame, number: str, day: str, money: str) -> list[list[str]]:
    """Write each cell in the way of a country: `number` has its marks for thousands and decimals"""
    marks = str.maketrans({",": number[0], ".": number[1]})

    def write(value: float) -> str:
        return "" if np.isnan(value) else f"{value:,.2f}".translate(marks)

    return [
        [row.brand, write(row.weight), row.listed.strftime(day), row.title]
        + [money.replace("#", write(row.price))]
        for row in rows.itertuples()
    ]


def _text(names: list[str], cells: list[list[str]], **options: Any) -> str:
    file = io.StringIO()
    csv.writer(file, **options).writerows([names, *cells])
    return file.getvalue()


def german(rows: pd.DataFrame, folder: Path) -> Path:
    path = folder / "german.csv"
    text = _text(list(rows), _local(rows, ".,", "%d.%m.%Y", "# €"), delimiter=";")
    path.write_bytes(text.encode("cp1252"))
    return path


def french(rows: pd.DataFrame, folder: Path) -> Path:
    path = folder / "french.csv"
    text = _text(list(rows), _local(rows, "\u202f,", "%d/%m/%Y", "#"), delimiter=";")
    path.write_bytes(text.encode("utf-8-sig"))
    return path


def american(rows: pd.DataFrame, folder: Path) -> Path:
    path = folder / "american.txt"
    text = _text(list(rows), _local(rows, ",.", "%m/%d/%Y", "$#"), delimiter="\t")
    path.write_bytes(text.encode("utf-16"))
    return path


def database(rows: pd.DataFrame, folder: Path) -> Path:
    path = folder / "dump.csv.gz"
    lines = [",".join(rows)]
    for row in rows.itertuples():
        weight = "\\N" if np.isnan(row.weight) else f"{row.weight}"
        title = row.title.replace('"', '\\"')
        lines.append(
            f'"{row.brand}",{weight},"{row.listed:%Y-%m-%d %H:%M:%S}","{title}",{row.price}'
        )
    path.write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    return path


def pandas(rows: pd.DataFrame, folder: Path) -> Path:
    path = folder / "pandas.csv"
    rows.to_csv(path)
    return path


def shop(rows: pd.DataFrame, folder: Path) -> Path:
    path = folder / "feed.zip"
    cells = [
        [
            row.brand.replace("&", "&amp;"),
            "" if np.isnan(row.weight) else f"{row.weight} kg",
            row.listed.strftime("%Y-%m-%dT%H:%M:%SZ"),
            f"<p>{row.title}</p>",
            f"{row.price:.2f} EUR",
            json.dumps({"country": "DE", "price": "5 EUR"}),
        ]
        for row in rows.itertuples()
    ]
    text = _text([*rows, "shipping"], cells, delimiter="\t", quoting=csv.QUOTE_ALL)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("feed.txt", text)
    return path


EXPORTS: dict[str, Callable[[pd.DataFrame, Path], Path]] = {
    each.__name__: each for each in (german, french, american, database, pandas, shop)
}
