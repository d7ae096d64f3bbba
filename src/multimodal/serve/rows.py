"""Rows of a request, checked cell by cell before the model sees them.

A cell is a text, a number, true, false, null or a list of these. A photo comes inside the request:
no path is looked up unless the operator named a folder for that, and no address is ever opened.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from multimodal.core.errors import choices
from multimodal.core.formatting import joined
from multimodal.data.photos.embedded import embedded_photo, has_photo_header
from multimodal.data.photos.names import is_address
from multimodal.serve.columns import Input
from multimodal.serve.exchange import Refusal

Row = dict[str, Any]
Uploads = Mapping[str, bytes]
NO_UPLOADS: Uploads = {}
_SHORTEST = 60  # letters of base64; no photo is smaller
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
_MOST_SHOWN = 20  # names in a message or an answer


@dataclass(frozen=True)
class Request:
    """The rows of one request as the model reads them.

    Args:
        rows: The rows; every one has all `columns`.
        unused: Columns that the model never saw, the first of them.
        identifiers: The identifier of each row, where the model knows such a column and it came.
        shareable: Whether other requests' rows beside them change nothing in how they are read.
    """

    rows: list[Row]
    unused: list[str] = field(default_factory=list)
    identifiers: list[Any] | None = None
    shareable: bool = True


class RowReader:
    """Reads the rows of requests for one model.

    Args:
        inputs: The columns that the model reads.
        others: Further columns it knows of, such as the target; they are not read.
        identifier: The column that names rows, if there is one.
        paths: Whether a photo may be named by a path below a folder of the operator's.
        most: Rows of a request.
        letters: Letters of all texts of a request; one may have a tenth of them.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        others: Sequence[str] = (),
        identifier: str | None = None,
        *,
        paths: bool = False,
        most: int = 1000,
        letters: int = 2_000_000,
    ) -> None:
        self.inputs = {each.name: each for each in inputs}
        self.known = {*self.inputs, *others}
        self.identifier = identifier
        self.paths = paths
        self.most = most
        self.letters = letters

    def read(self, rows: Any, uploads: Uploads = NO_UPLOADS) -> Request:
        """Return checked rows.

        Args:
            rows: A list of objects, column to cell.
            uploads: Photos of the request by the name of their file.

        Raises:
            Refusal: What is wrong, with the row and the column: 413 of too much, else 422.
        """
        if not isinstance(rows, list):
            raise Refusal(422, "expected a list of rows, each an object of column to cell.")
        if len(rows) > self.most:
            raise Refusal(413, f"{len(rows):,} rows; expected at most {self.most:,}. Send parts.")
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise Refusal(422, f"row {number}: expected an object of column to cell.")
        came = dict.fromkeys(name for row in rows for name in row)
        if rows:
            self._check_names(list(came))
        found = [
            {name: self._cell(name, row.get(name), number, uploads) for name in self.inputs}
            for number, row in enumerate(rows)
        ]
        self._check_letters(found)
        unused = [name for name in came if name not in self.known]
        identifiers = None
        if self.identifier is not None and self.identifier in came:
            name = self.identifier
            identifiers = [self._plain(name, row.get(name), i) for i, row in enumerate(rows)]
        shareable = all(map(self._is_shareable, found))
        return Request(found, unused[:_MOST_SHOWN], identifiers, shareable)

    def _check_names(self, came: Sequence[str]) -> None:
        absent = [name for name in self.inputs if name not in came]
        if absent:
            like = {name: choices(name, came[:200]) for name in absent[:1]}
            near = [text for text in like.values() if text.startswith("Did you mean")]
            hint = f" {near[0].partition('?')[0]}?" if near else ""
            raise Refusal(
                422,
                f"columns missing: {joined(absent, _MOST_SHOWN)}. The model reads: "
                f"{joined(list(self.inputs), 200)}. Came: "
                f"{joined([name[:60] for name in came], _MOST_SHOWN) or '(none)'}.{hint} "
                "A cell that is not known is null.",
            )

    def _check_letters(self, rows: Sequence[Row]) -> None:
        names = [each.name for each in self.inputs.values() if each.kind != "image"]
        cells = (row[name] for row in rows for name in names)
        letters = sum(len(cell) for cell in cells if isinstance(cell, str | list))
        if letters > self.letters:
            raise Refusal(
                413, f"texts of {letters:,} letters; expected at most {self.letters:,}. Send parts."
            )

    def _cell(self, name: str, cell: Any, row: int, uploads: Uploads) -> Any:
        if self.inputs[name].kind == "image":
            return self._photo(cell, f"row {row}, column '{name}'", uploads)
        return self._plain(name, cell, row)

    def _plain(self, name: str, cell: Any, row: int) -> Any:
        if isinstance(cell, list) and not any(isinstance(each, list | dict) for each in cell):
            return [self._plain(name, each, row) for each in cell]
        if isinstance(cell, str) and len(cell) > self.letters // 10:
            raise Refusal(
                413,
                f"row {row}, column '{name}': a text of {len(cell):,} letters; expected at most "
                f"{self.letters // 10:,}.",
            )
        if cell is None or isinstance(cell, str | bool):
            return cell
        if isinstance(cell, int | float):
            # a whole number beyond any float could be none for the model either
            if isinstance(cell, int) and abs(cell) < 2**1000 or math.isfinite(_float(cell)):
                return cell
            raise Refusal(422, f"row {row}, column '{name}': expected a finite number.")
        raise Refusal(
            422,
            f"row {row}, column '{name}': expected a text, a number, true, false, null or a list "
            "of these, got an object or a list of lists.",
        )

    def _photo(self, cell: Any, place: str, uploads: Uploads) -> Any:
        """Return the bytes of a photo, a list of several, a path where that may be, or None."""
        if cell is None or isinstance(cell, bytes):
            return cell or None
        if isinstance(cell, list):
            if any(isinstance(each, list) for each in cell):
                raise Refusal(422, f"{place}: expected photos, got a list of lists.")
            photos = [self._photo(each, place, uploads) for each in cell]
            return [photo for photo in photos if photo is not None]
        if not isinstance(cell, str):
            raise Refusal(422, f"{place}: expected a photo as base64, or null.")
        if cell in uploads:
            return uploads[cell] or None
        if not cell or cell.isspace():
            return None
        content = _embedded(cell, place)
        if content is not None and (not self.paths or has_photo_header(content)):
            return content
        if is_address(cell):
            raise Refusal(422, f"{place}: addresses are not opened; send the photo as base64.")
        if not self.paths:
            raise Refusal(
                422,
                f"{place}: expected a photo as base64, a data: URI or an uploaded file. This "
                "server looks up no paths.",
            )
        return cell

    def _is_shareable(self, row: Row) -> bool:
        """Whether no cell is read by what the other cells of its column say.

        Numbers and dates in the usage of another country are, as 1,250 and 03/04/2016.
        """
        for name, column in self.inputs.items():
            cell = row[name]
            if not isinstance(cell, str) or not column.reading.wide:
                continue
            if column.kind == "number" and not _is_clear(cell, column.reading.decimal):
                return False
            if column.kind == "date" and not _ISO_DATE.fullmatch(cell.strip()):
                return False
        return True


def _is_clear(cell: str, decimal: str) -> bool:
    """Whether a number can be read in one way only, the one of the training rows.

    Example:
    >>> _is_clear("12.5", "."), _is_clear("1,250", "."), _is_clear("7 kg", ".")
    (True, False, True)
    """
    if "." not in cell and "," not in cell:
        return True
    return (
        re.fullmatch(rf"\s*[+-]?\d+{re.escape(decimal)}(\d{{1,2}}|\d{{4,}})\s*", cell) is not None
    )


def _float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _embedded(cell: str, place: str) -> bytes | None:
    """Return what base64 or a data URI stands for, None for another text.

    Raises:
        Refusal: It is a data URI, or long and of the letters of base64, and yet is none.
    """
    if cell[:5].lower() == "data:":
        content = embedded_photo(cell)
        if not isinstance(content, bytes) or not content:
            raise Refusal(422, f"{place}: expected a data: URI of a photo in base64; this is none.")
        return content
    if len(cell) < _SHORTEST or not _BASE64.fullmatch(cell):
        return None
    body = "".join(cell.split())
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(422, f"{place}: the base64 is damaged.") from None
