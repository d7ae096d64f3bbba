"""Numbers as the cells of the target were written."""

from __future__ import annotations

import pytest

from multimodal.report.alt_text import amount


@pytest.mark.parametrize(
    ("value", "phrase", "shown"),
    [
        (1234.0, "Rs. #", "Rs. 1,234"),
        (0.0, "$#", "$0"),
        (-1234.0, "$#", "−$1,234"),
        (5.0, "# of # pieces", "5 of # pieces"),
        (5.0, "EUR", "5"),
        (5.0, f"#{'x' * 40}", "5"),
    ],
)
def test_amounts(value: float, phrase: str, shown: str) -> None:
    assert amount(value, phrase) == shown
