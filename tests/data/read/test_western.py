"""Windows-1252 is told from encodings that look like it, by the words that come out."""

from __future__ import annotations

import pytest

from multimodal.data.read.western import first_words, is_western

WESTERN = [
    "Größe über Füße Käse Straße",
    "Café crème à l’été où l'œuvre naïve château",
    "¿Dónde está el niño? Peñín 3.º 1ª",
    "coração ações limões",
    "è più città perché",
    "smørrebrød på Østerbro",
    "Malmö Älvsjö smörgås",
    "Þórshöfn Reykjavík",
    "ideeën één",
    "5 € 20 °C m² £5 ½ 3 – 4 “so” l’eau Lego® Tea™ cm³ 25µm ±3 5×7 €5 «oui» …",
]
OTHERS = [
    ("Łódź książka żółty", "cp1250"),
    ("příliš žluťoučký kůň", "cp1250"),
    ("első erdő betű gyűrű", "cp1250"),
    ("čaša žena", "cp1250"),
    ("ışık gümüş güneş", "cp1254"),
    ("šiandien žmonės", "cp1257"),
    ("Привет мир", "cp1251"),
    ("Привет мир", "koi8-r"),
    ("Καλημέρα", "cp1253"),
    ("מחיר", "cp1255"),
    ("Café crème", "mac_roman"),
    ("5 €", "mac_roman"),
    ("Größe Café", "cp850"),
    ("5 €", "iso8859-15"),
    ("价格", "gbk"),
    ("価格 テスト", "shift_jis"),
    ("가격", "euc-kr"),
]


@pytest.mark.parametrize("text", WESTERN)
def test_western_texts_are_taken(text: str) -> None:
    assert is_western([text.encode("cp1252")])


@pytest.mark.parametrize(("text", "codec"), OTHERS)
def test_texts_in_other_encodings_are_not(text: str, codec: str) -> None:
    assert not is_western([text.encode(codec)])
    mostly = [each.encode("cp1252") for each in WESTERN]
    assert is_western([*mostly * 20, text.encode(codec)])


def test_the_first_words_are_shown_without_what_surrounds_them() -> None:
    assert first_words(["a (Größe), Café.".encode("cp1252")]) == ["Größe", "Café"]
