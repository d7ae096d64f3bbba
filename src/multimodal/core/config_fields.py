"""Types of a config's values that a file or a shell may write in several ways."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator


def _as_separator(value: str) -> str:
    """Check a separator; `tab` and backslash-t, which a shell can pass on, are a tabulator."""
    found = {"tab": "\t", "\\t": "\t"}.get(value, value)
    if found != "auto" and (len(found) != 1 or found in '"\r\n'):
        raise ValueError("must be one character, `tab` or `auto`")
    return found


def _as_encoding(value: str) -> str:
    """Check that Python knows a text encoding."""
    if value == "auto":
        return value
    try:
        "".encode(value)
    except LookupError:
        raise ValueError(
            "must be `auto` or an encoding such as utf-8, utf-16, cp1252, latin-1"
        ) from None
    return value


def _as_words(value: Any) -> Any:
    """Write the numbers of a list as words."""
    if not isinstance(value, list | tuple):
        return value
    return [str(each) if type(each) in (int, float) else each for each in value]


Words = Annotated[list[str], BeforeValidator(_as_words, json_schema_input_type=list[str | float])]
Decimal = Literal["auto", ".", ","]
Separator = Annotated[str, AfterValidator(_as_separator)]
Encoding = Annotated[str, AfterValidator(_as_encoding)]
