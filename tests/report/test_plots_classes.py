"""The pictures of classes, read back from the figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from multimodal.report.plots import save
from multimodal.report.plots_classes import MOST_CLASSES, OTHERS, confusion, reliability


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
