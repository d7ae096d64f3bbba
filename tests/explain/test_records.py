"""Records: how far words are from adding up."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.explain.records import Explanation, WordScores


def test_the_gap_is_what_the_scores_leave() -> None:
    found = WordScores("t", "a b", [(0, 1), (2, 3)], np.array([0.5, 0.25]), 1.0, 2.0, 3, "")
    assert found.gap == pytest.approx(0.25)


def test_a_row_without_an_answer_is_empty() -> None:
    blank = Explanation(0, "line 2", "", ["photo: no such photo"])
    assert blank.question is None and not blank.groups and not blank.neighbours
