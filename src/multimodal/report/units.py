"""Numbers in the user's unit, as the cells of the target column were written."""

from __future__ import annotations

from multimodal.evaluation.measures import readable

_LONGEST = 24


def amount(value: float, phrase: str = "#", digits: int = 4) -> str:
    """Write a number in the phrase that stood around it; a phrase of many letters goes.

    Example:
    >>> amount(1234.5, "$#"), amount(-3.0, "$#"), amount(12.0, "# EUR"), amount(0.5)
    ('$1,234', '−$3', '12 EUR', '0.5')
    """
    number = readable(abs(value), digits)
    shown = (
        phrase.replace("#", number, 1) if len(phrase) <= _LONGEST and "#" in phrase else number
    )
    return f"−{shown}" if value < 0 else shown
