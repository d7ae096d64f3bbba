"""How a column writes its numbers: what is read is what was meant, or it is in doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal.data.columns.number_format import NumberFormat, find_unit, number_format
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.numerals import read_numeral
from multimodal.data.columns.reading import Reading

WIDE = Reading(wide=True)


def found(*texts: str, decimal: str = "auto") -> NumberFormat:
    return number_format(Counter(texts), Reading(), decimal)


def read(*texts: str, decimal: str = "auto") -> list[float]:
    values: list[float] = parse_numbers(
        texts, found(*texts, decimal=decimal).reading
    ).values.tolist()
    return values


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        (
            ["8 customer reviews", "1 customer review", "1,040 customer reviews"],
            "# customer reviews",
        ),
        (["4.0 out of 5 stars", "5.0 out of 5 stars", "3.5 out of 5 stars"], "# out of 5 stars"),
        (["213 cm", "45 cm"], "# cm"),
        (["Rs. 899", "Rs. 1,299"], "Rs. #"),
        (["$1,234.50", "$9.99"], "$#"),
        (["45%", "5 %", "7%", "8%"] + ["9%"] * 20, "#%"),
        (["-5 °C", "12 °C"], "# °C"),
        (["213cm", "45cm"], "#cm"),
        (["SKU123", "SKU124"], None),
        (["cv-12", "cv-13"], None),
        (["€ 12,50", "€ 13,50"], None),
        (["5 cm", "3 kg"], None),
        (["5", "6"], None),
        (["1.2.3", "1.2.4"], None),
        (["red", "blue"], None),
        (["word " * 20 + "5"] * 3, None),
        ([], None),
    ],
)
def test_find_unit(texts: list[str], unit: str | None) -> None:
    assert find_unit(Counter(texts), WIDE) == unit


def test_find_unit_wants_nearly_all() -> None:
    assert find_unit(Counter(["5 cm"] * 95 + ["red"] * 5), WIDE) == "# cm"
    assert find_unit(Counter(["5 cm"] * 94 + ["red"] * 6), WIDE) is None


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1.299,00 €", "57,10 €"], [1299, 57.1]),
        (["57'689.59", "12.50"], [57689.59, 12.5]),
        (["57’689.59", "1’000"], [57689.59, 1000]),
        (["57 689", "1 234 567"], [57689, 1234567]),
        (["57\u202f689,59", "1,50"], [57689.59, 1.5]),
        (["57\u00a0689", "12\u2009000"], [57689, 12000]),
        (["₹1,29,999", "₹999"], [129999, 999]),
        (["\u22121.5", "2.5"], [-1.5, 2.5]),
        (["\u22121.5", "\u22122.5"], [-1.5, -2.5]),
        (["−5 €", "−7 €"], [-5, -7]),
        (["(5.1)", "6.2", "7"], [-5.1, 6.2, 7]),
        (["(12)", "(134)", "(7)"], [12, 134, 7]),
        (["5.1-", "6.2"], [-5.1, 6.2]),
        (["-$5.00", "$6.00", "$-7.00"], [-5, 6, -7]),
        (["5.8M", "1.2K", "7"], [5.8e6, 1200, 7]),
        (["€57.6K", "€1.2M"], [57600, 1.2e6]),
        (["5 M", "6 M"], [5, 6]),
        (["5 m"] * 20 + ["6"], [5] * 20 + [6]),
        (["12 %", "13,5 %"], [12, 13.5]),
        (["0,43 kg", "1,20 kg"], [0.43, 1.2]),
        (["٣٫٥", "١٢"], [3.5, 12]),
        (["１２．５", "７"], [12.5, 7]),
        (["0,250", "1,500", "2"], [0.25, 1.5, 2]),
        (["0.250", "1.500"], [0.25, 1.5]),
        (["987", "1,250"], [987, 1250]),
        (["1.250.000", "1.250"], [1250000, 1250]),
        (["450,000", "1,250,000"], [450000, 1250000]),
        (["$450,000", "$120,000"], [450000, 120000]),
        (["99,-", "1.250,-", "12,50"], [99, 1250, 12.5]),
        (["Rs1,299", "Rs899"], [1299, 899]),
        (["1,299 zł", "899 zł", "12,50 zł"], [1.299, 899, 12.5]),
        (["1e5", "2.5e-3"], [1e5, 2.5e-3]),
    ],
)
def test_forms_of_the_world(texts: list[str], numbers: list[float]) -> None:
    assert found(*texts).doubt == ""
    np.testing.assert_allclose(read(*texts), numbers)


@pytest.mark.parametrize(
    "texts", [["$5", "€7"], ["5 cm", "3 kg"], ["10:30", "11:45"], ["SKU123"], ["10-20"], ["1.2.3"]]
)
def test_what_is_no_number_in_one_form(texts: list[str]) -> None:
    assert found(*texts).read < 0.95


@pytest.mark.parametrize(
    ("texts", "likelier"),
    [
        (["987", "1.250"], [987, 1250]),
        (["1.250", "2.500"], [1.25, 2.5]),
        (["1,250", "2,500"], [1250, 2500]),
        (["1.659 €", "1.709 €"], [1.659, 1.709]),
    ],
)
def test_what_a_column_leaves_open_is_in_doubt(texts: list[str], likelier: list[float]) -> None:
    assert "`data.decimal`" in found(*texts).doubt
    assert read(*texts) == likelier
    for decimal, other in ((".", ","), (",", ".")):
        assert found(*texts, decimal=decimal).doubt == ""
        plain = [t.removesuffix(" €").replace(other, "").replace(",", ".") for t in texts]
        assert read(*texts, decimal=decimal) == [float(text) for text in plain]


def test_words_that_come_again_among_many_numbers_count_as_missing() -> None:
    numbers = [f"{i}.5" for i in range(40)]
    known = found(*numbers, *["?"] * 9, *["sold out"] * 9)
    assert known.words == ("sold out",) and known.read == 1
    values, bad = parse_numbers(["sold out", "?", "3.5", "gone"], known.reading)
    np.testing.assert_array_equal(values, [np.nan, np.nan, 3.5, np.nan])
    assert bad.tolist() == [False, False, False, True]
    few = ["38", "39", "40"] * 9 + ["S", "M", "L"] * 3
    assert found(*few).words == () and found(*few).read < 0.95


def test_a_number_may_be_told_to_be_missing() -> None:
    told = Reading(missing_words=["-999", "POA"], wide=True)
    values, bad = parse_numbers(["-999", "POA", "-999.0", "5"], told)
    np.testing.assert_array_equal(values, [np.nan, np.nan, np.nan, 5])
    assert not bad.any()
    np.testing.assert_array_equal(parse_numbers([-999.0, 5.0], told).values, [np.nan, 5])


Writer = Callable[[float, int], str]


def _indian(whole: str) -> str:
    head, tail = whole[:-3], whole[-3:]
    pairs = [head[max(0, i - 2) : i] for i in range(len(head), 0, -2)][::-1]
    return ",".join([*pairs, tail]) if head else tail


def _written(value: float, places: int, group: str, decimal: str) -> str:
    whole, _, rest = f"{abs(value):.{places}f}".partition(".")
    whole = _indian(whole) if group == "lakh" else f"{int(whole):,}".replace(",", group)
    return whole + (decimal + rest if rest else "")


SIGNS = st.sampled_from([("-", ""), ("\u2212", ""), ("", "-"), ("(", ")")])
LOCALES = st.sampled_from(
    [(",", "."), (".", ","), (" ", ","), ("\u202f", ","), ("\u00a0", ","), ("'", "."), ("’", ".")]
    + [("", "."), ("", ","), ("lakh", "."), (" ", ".")]
)
AROUND = st.sampled_from(
    [("", ""), ("", " €"), ("€", ""), ("$", ""), ("₹", ""), ("CHF ", ""), ("", " kg"), ("", "%")]
)
MISSING = st.lists(st.sampled_from(["?", "#N/A", "-", "k.A.", "\\N", "(null)"]), max_size=4)
VALUES = st.sampled_from([9.0, 2e3, 9e4, 9e7]).flatmap(
    lambda most: st.lists(
        st.floats(-most, most).filter(lambda value: abs(value) >= 0.01), min_size=4, max_size=30
    )
)


@settings(max_examples=400, deadline=None)
@given(VALUES, st.integers(0, 3), LOCALES, AROUND, SIGNS, MISSING)
def test_what_is_read_is_what_was_meant_or_in_doubt(
    values: list[float],
    places: int,
    locale: tuple[str, str],
    around: tuple[str, str],
    sign: tuple[str, str],
    missing: list[str],
) -> None:
    # Of dollars and rupees nobody writes thousandths, so that three digits are thousands.
    places = min(places, 2) if around[0] in ("$", "₹") else places
    values = [round(value, places) for value in values]
    if sum(value < 0 for value in values) * 2 >= len(values):  # brackets around all are no minus
        values = [abs(value) for value in values]
    cells = [around[0] + _written(value, places, *locale) + around[1] for value in values]
    signed = [sign[0] + c + sign[1] if v < 0 else c for v, c in zip(values, cells, strict=True)]
    if around[1] and sign[1] == "-":
        signed = [c for v, c in zip(values, cells, strict=True) if v >= 0]
        values = [value for value in values if value >= 0]
    form = number_format(Counter([*signed, *missing]), Reading())
    if form.doubt or form.read < 0.95:  # then it is no number column, which is said
        return
    np.testing.assert_allclose(parse_numbers(signed, form.reading).values, values, rtol=1e-9)
    assert np.isnan(parse_numbers(missing, form.reading).values).all()


def test_an_exponent_has_no_thousands_before_it() -> None:
    found = number_format(Counter(["2.082e+02", "4.575e+02", "1.000E-3"]), Reading())
    assert not found.doubt and found.reading.decimal == "."
    assert read_numeral("2.082e+02", found.reading) == 208.2
    assert number_format(Counter(["2,082e+02", "4,575e2"]), Reading()).reading.decimal == ","


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1.028,-", "2.457,-"], [1028.0, 2457.0]),
        (["1.028,— €", "457,— €"], [1028.0, 457.0]),
        (["CHF 1'028.--", "CHF 1,457.--"], [1028.0, 1457.0]),
    ],
)
def test_a_dash_for_cents_tells_the_decimal_mark(texts: list[str], numbers: list[float]) -> None:
    found = number_format(Counter(texts), Reading())
    assert not found.doubt and [read_numeral(text, found.reading) for text in texts] == numbers
