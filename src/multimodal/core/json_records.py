"""Records in JSON files, read with care: what a run or a study holds may be anyone's."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from multimodal.core.errors import RunError, first_line
from multimodal.core.files import read_text

Record = TypeVar("Record", bound=BaseModel)


def read_if_there(kind: type[Record], path: Path, *, most: int) -> Record:
    """Return the record in a JSON file of at most `most` bytes, an empty one where there is none.

    Raises:
        RunError: The file cannot be read, or holds something else.

    Example:
    >>> class Seen(BaseModel):
    ...     rows: list[int] = []
    >>> read_if_there(Seen, Path("absent.json"), most=100)
    Seen(rows=[])
    """
    if not path.exists():
        return kind()
    try:
        return kind.model_validate_json(read_text(path, most=most))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise RunError(f"{path}: damaged ({reason_of(error)}).") from None


def reason_of(error: Exception) -> str:
    """Return in one line why a record was not read: the first fault of its content, or the error.

    Example:
    >>> reason_of(OSError("no space\\nleft"))
    'no space'
    """
    if isinstance(error, ValidationError):
        return first_line(ValueError(error.errors()[0]["msg"]))
    return first_line(error)
