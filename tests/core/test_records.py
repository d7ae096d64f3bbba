"""Records in JSON files: what is absent is empty, what is damaged is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from multimodal.core.errors import RunError
from multimodal.core.records import read_if_there, reason_of


class Seen(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rows: list[int] = []


def test_a_record_comes_back_and_an_absent_one_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    assert read_if_there(Seen, path, most=100) == Seen()
    path.write_text(Seen(rows=[3]).model_dump_json())
    assert read_if_there(Seen, path, most=100) == Seen(rows=[3])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "damaged; `the file`: Invalid JSON"),
        (b'{"rows": 3}', "damaged; `rows`: Input should be a valid array"),
        (b'{"more": 1}', "damaged; `more`: Extra inputs are not permitted"),
        (b"\xff", "damaged; not a text file .invalid start byte"),
        (b'{"rows": [' + b"1," * 100 + b"1]}", "cannot be read .it has .* at most 100"),
    ],
)
def test_a_damaged_one_is_told_with_its_file(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "seen.json").write_bytes(content)
    with pytest.raises(RunError, match=rf"seen\.json: {told}"):
        read_if_there(Seen, tmp_path / "seen.json", most=100)


def test_the_reason_is_one_line() -> None:
    assert reason_of(ValueError("first\nsecond")) == "first"
    assert reason_of(EOFError()) == "EOFError"
