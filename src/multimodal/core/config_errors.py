"""What is wrong in a config, in one line: the key, what is expected there, and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from multimodal.core.errors import choices
from multimodal.core.formatting import shortened

SHOWN, MOST_FAULTS = 80, 5  # letters of a wrong value, mistakes in one message


def explained(
    error: ValidationError,
    record: type[BaseModel],
    source: str,
    lines: Mapping[tuple[int | str, ...], int],
) -> str:
    """Return in one line what is wrong in the values of a record.

    Args:
        error: What Pydantic says.
        record: The class that was asked for, whose keys are named where one is unknown.
        source: The file, or what else holds the values.
        lines: The line of each key and entry, by what leads to it, where it is known.

    Example:
    >>> from multimodal.core.records import Record
    >>> class Size(Record):
    ...     width: int = 1
    >>> try:
    ...     Size.model_validate({"widht": 3})
    ... except ValidationError as error:
    ...     explained(error, Size, "size.yaml", {("widht",): 1})
    "size.yaml: line 1: unknown key 'widht'. Did you mean 'width'? Valid: width."
    """
    told, faults = [], _choices_joined(error)
    for fault in faults[:MOST_FAULTS]:
        place = _place(fault["loc"], lines)
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            *parent, key = fault["loc"]
            valid = choices(str(key), _keys_at(record, parent))
            told.append(f"{place}unknown key '{where}'. {valid}")
            continue
        if fault["type"] == "literal_error":
            expected = f" must be one of {fault['ctx']['expected']}"
        else:
            expected = f": {fault['msg']}"
        told.append(f"{place}`{where}`{expected}. Received: {_shorten(fault['input'])}")
    if len(faults) > MOST_FAULTS:
        told.append(f"and {len(faults) - MOST_FAULTS:,} more mistakes")
    return f"{source}: " + "; ".join(told)


def _place(loc: Sequence[int | str], lines: Mapping[tuple[int | str, ...], int]) -> str:
    """Return the line of a key, or of what holds it, as a message begins with it."""
    known = (lines.get(tuple(loc[:length])) for length in range(len(loc), 0, -1))
    line = next((line for line in known if line is not None), None)
    return "" if line is None else f"line {line}: "


def _shorten(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return type(value).__name__
    return shortened(text, SHOWN)


def _choices_joined(error: ValidationError) -> list[Any]:
    """Return the faults, those of a number that may be a word, too, as one."""
    found: list[Any] = []
    for fault in error.errors():
        *field, choice = fault["loc"] or ("",)
        if str(choice).startswith("literal[") and found and found[-1]["loc"] == tuple(field):
            found[-1]["msg"] += f", or {fault['ctx']['expected']}"
        elif str(choice).startswith("constrained-"):
            found.append({**fault, "loc": tuple(field)})
        else:
            found.append(fault)
    return found


def _keys_at(record: Any, loc: Sequence[int | str]) -> list[str]:
    """Walk from a record along `loc` and list the keys that are accepted there."""
    for part in loc:
        if isinstance(part, int):
            continue
        record = _record_of(record.model_fields[part].annotation)
    return list(record.model_fields)


def _record_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _record_of(argument)
        if found is not None:
            return found
    return None
