"""Plots of classes and boxes: confusion matrix, reliability diagram, IoU, contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from multimodal.report.plots import save
from multimodal.report.plots_classes import (
    MOST_CLASSES,
    MOST_PHOTOS,
    OTHERS,
    confusion,
    contact_sheet,
    overlaps,
    reliability,
)


def test_confusion_counts_rows() -> None:
    axes = confusion(["a", "a", "b"], ["a", "b", "b"], ["a", "b"], "kind").axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "1", (1, 0): "1", (1, 1): "1"}
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.5, 0.5], [0, 1]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_rare_classes_are_counted_together(tmp_path: Path) -> None:
    names = [f"class {i}" for i in range(40)]
    y_true = [*names, *names[:3]]
    figure = confusion(y_true, y_true, names, "kind $x$")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == MOST_CLASSES and labels[:3] == names[:3] and labels[-1] == OTHERS
    total = sum(int(text.get_text()) for text in figure.axes[0].texts)
    assert total == 43
    save(figure, tmp_path / "a.png")


def test_reliability_bins_by_the_probability(tmp_path: Path) -> None:
    figure = reliability([0.91, 0.95, 0.15, 1.0], [True, False, False, True], "kind")
    (dots,) = figure.axes[0].collections
    found = np.asarray(dots.get_offsets())
    np.testing.assert_allclose(found, [[0.15, 0], [(0.91 + 0.95 + 1) / 3, 2 / 3]])
    assert "mean gap" in figure.get_suptitle()
    save(figure, tmp_path / "a.png")


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
