"""The pictures of boxes, read back from the figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from multimodal.report.plots import save
from multimodal.report.plots_classes import MOST_PHOTOS, contact_sheet, overlaps


def test_overlaps_are_counted_in_tenths() -> None:
    axes = overlaps([0.05, 0.55, 0.58, 1.0], "cell").axes[0]
    assert [int(bar.get_height()) for bar in axes.patches] == [1, 0, 0, 0, 0, 2, 0, 0, 0, 1]


def test_sheet_shows_both_boxes_worst_first(tmp_path: Path) -> None:
    rows = MOST_PHOTOS + 5
    paths = [tmp_path / f"{i}.png" for i in range(rows)]
    for path in paths[1:]:
        Image.new("RGB", (640, 480)).save(path)
    y_true = np.tile([10.0, 20, 110, 70], (rows, 1))
    shares = np.linspace(0, 1, rows)
    figure = contact_sheet(paths, y_true, y_true + 5, shares)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == MOST_PHOTOS and titles[0] == "IoU 0" and titles[-1] == "IoU 1"
    assert not figure.axes[0].patches  # cannot be read
    known, guessed = figure.axes[1].patches
    assert (known.get_xy(), known.get_width(), known.get_height()) == ((10, 20), 100, 50)
    assert guessed.get_xy() == (15, 25) and guessed.get_linestyle() == "--"
    assert figure.axes[1].get_xlim() == (0, 640) and figure.axes[1].get_ylim() == (480, 0)
    save(figure, tmp_path / "sheet.png")


def test_a_sheet_of_no_photo(tmp_path: Path) -> None:
    nothing = np.zeros((0, 4))
    save(contact_sheet([], nothing, nothing, []), tmp_path / "sheet.png")
