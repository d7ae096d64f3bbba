"""Rows drawn from what a run knows of its columns, to try it on where its table is not at hand."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.spec import FittedGroup
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.read.table import Table
from multimodal.runs.raw_rows import RowModel, opened

ABSENT = 0.1  # of the cells
UNKNOWN = "drawn and never seen"  # a category
MOST_WORDS, MOST_STEPS = 12, 8
Random = np.random.Generator


def drawn_table(model: RowModel, rows: int, seed: int = 0) -> tuple[Table, PhotoRoot]:
    """Return rows with values as the training rows had, one after the other, and a photos' folder.

    Numbers are drawn around their centre, categories among the known ones and an unknown one, texts
    are words of the vocabulary, photos noise. Some cells are missing, and all of the last row.

    Args:
        model: What the rows are for.
        rows: How many.
        seed: Fixes what is drawn.
    """
    random, cells = np.random.default_rng(seed), dict[str, list[Any]]()
    for group in model.spec.groups:
        for column in group.columns:
            drawn = [_cell(model, group, column, random) for _ in range(rows - 1)]
            absent = random.random(rows - 1) < ABSENT
            kept = [None if gone else cell for cell, gone in zip(drawn, absent, strict=True)]
            cells[column] = [*kept, None]
    return opened(model, pd.DataFrame(cells, dtype=object), Path())


def _cell(model: RowModel, group: FittedGroup, column: str, random: Random) -> Any:
    if group.modality == "image":
        return _photo(random)
    if group.modality == "series":
        steps = random.normal(size=1 if len(group.columns) > 1 else MOST_STEPS)
        return float(steps[0]) if len(steps) == 1 else " ".join(f"{step:.3f}" for step in steps)
    if group.modality == "text":
        words = group.vocabulary or model.schema.column(column).example.split() or ["a", "word"]
        return " ".join(random.choice(words, random.integers(1, MOST_WORDS + 1)))
    for codes in group.categorical:
        if codes.source == column:
            return str(random.choice([*codes.categories, UNKNOWN]))
    numbers = [each for each in group.numeric if each.source == column]
    members = [each.member for each in numbers if each.member]
    if members:
        return ", ".join(random.choice(members, min(2, len(members)), replace=False))
    if any(each.part for each in numbers):
        return pd.Timestamp("2020-01-01") + pd.Timedelta(days=int(random.integers(0, 1500)))
    return numbers[0].centre + numbers[0].scale * float(random.normal()) if numbers else None


def _photo(random: Random) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    # large patches, which no decoder or scaling blurs away
    noise = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((96, 96), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()
