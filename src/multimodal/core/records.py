"""Records in JSON files, read with care: a run or a config may come from anyone.

Nothing in them is executed, sizes are checked before anything is parsed, and what is wrong is named
in one line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from multimodal.core.errors import RunError, first_line
from multimodal.core.files import read_text

MOST_NESTED, MOST_VALUES = 20, 100_000  # lists and mappings within each other; values in all
TOO_DEEP = f"More than {MOST_NESTED} lists and mappings within each other."
Read = TypeVar("Read", bound=BaseModel)


class Record(BaseModel):
    """A frozen record that knows its keys; numbers in it are finite, and true is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, values: Any) -> Any:
        """Spell out a truth value where a number is expected: Pydantic would read it as 0 or 1."""
        if not isinstance(values, dict) or not any(isinstance(v, bool) for v in values.values()):
            return values
        numbers = {name for name, field in cls.model_fields.items() if _is_number(field.annotation)}
        return {
            key: str(value).lower() if isinstance(value, bool) and key in numbers else value
            for key, value in values.items()
        }


def _is_number(annotation: Any) -> bool:
    kinds = {annotation, *get_args(annotation)}
    kinds |= {each for kind in kinds for each in get_args(kind)}
    return bool(kinds & {int, float}) and bool not in kinds


class MeasuredRecord(BaseModel):
    """A frozen record that knows its keys; measures in it may be infinite or not a number."""

    # JSON knows neither value: they are written as strings, so that they come back as they were.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


def read_json(kind: type[Read], path: Path, *, most: int, mend: str = "") -> Read:
    """Return the record in a JSON file.

    Args:
        kind: The record's class.
        path: The file.
        most: Most bytes that are read.
        mend: How to mend a damaged file, in whole sentences.

    Raises:
        RunError: The file cannot be read, or holds something else.
    """
    try:
        return kind.model_validate_json(read_text(path, most=most))
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError as error:
        found = f"damaged; not a text file ({error.reason})"
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        found = f"damaged; `{where:.80}`: {first['msg']}"
    raise RunError(f"{path}: {found}. {mend}".rstrip())


def read_if_there(kind: type[Read], path: Path, *, most: int) -> Read:
    """Return the record in a JSON file of at most `most` bytes, an empty one where there is none.

    Raises:
        RunError: As `read_json`.

    Example:
    >>> class Seen(BaseModel):
    ...     rows: list[int] = []
    >>> read_if_there(Seen, Path("absent.json"), most=100)
    Seen(rows=[])
    """
    return read_json(kind, path, most=most) if path.exists() else kind()


def reason_of(error: Exception) -> str:
    """Return in one line why a record was not read: the first fault of its content, or the error.

    Example:
    >>> reason_of(OSError("no space\\nleft"))
    'no space'
    """
    if isinstance(error, ValidationError):
        return first_line(ValueError(error.errors()[0]["msg"]))
    return first_line(error)


def check_extent(values: Any) -> None:
    """Raise ValueError for plain values, or nodes of YAML, that are too many, too deep, no text."""
    todo, count = [(values, 0)], 0
    while todo:
        value, depth = todo.pop()
        inner = value.value if isinstance(value, yaml.Node) else value
        inner = list(inner.items()) if isinstance(inner, dict) else inner
        if isinstance(inner, list | tuple):
            todo += [(each, depth + 1) for each in inner]
            count += len(inner)
        if depth > 2 * MOST_NESTED:  # an entry of a mapping is a pair
            raise ValueError(TOO_DEEP)
        if isinstance(inner, str) and any("\ud800" <= letter <= "\udfff" for letter in inner):
            raise ValueError(f"Half of a surrogate pair, which is no character: {inner!r:.60}.")
        if count > MOST_VALUES:
            raise ValueError(f"More than {MOST_VALUES:,} values.")
