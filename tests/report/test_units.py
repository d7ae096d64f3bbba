"""Numbers as the cells of the target were written."""

from __future__ import annotations

import pytest

from multimodal.report.alt_text import format_amount


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (1234.0, "Rs. #", "Rs. 1,234"),
        (0.0, "$#", "$0"),
        (-1234.0, "$#", "−$1,234"),
        (5.0, "# of # pieces", "5 of # pieces"),
        (5.0, "EUR", "5"),
        (5.0, f"#{'x' * 40}", "5"),
    ],
)
def test_amounts(value: float, number_format: str, shown: str) -> None:
    assert format_amount(value, number_format) == shown
