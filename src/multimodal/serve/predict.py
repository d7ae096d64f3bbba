"""`POST /predict`: rows as JSON, or a form with photo files, to predictions as JSON.

JSON is a list of rows, `{"rows": [...]}`, or one row. A form is one row, a field per column, photos
as files under the name of their column; or it has a field `rows` of JSON whose photo cells name
files of the form.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from multimodal.serve.context import context_of
from multimodal.serve.exchange import Refusal, checked_level, parsed_json, query_flag, reply
from multimodal.serve.explanations import as_json
from multimodal.serve.model import ServedModel
from multimodal.serve.rows import Request, Row

ROWS = "rows"
MOST_PARTS = 1000  # fields and files of a form, each
router = APIRouter()


@router.post("/predict")
async def predict(request: HttpRequest) -> Response:
    """Predict rows; with `?level=0.9` each number has an interval, `?explain=true` says why."""
    context = context_of(request)
    level = checked_level(request.query_params.get("level"))
    explain = query_flag(request, "explain")
    name = request.query_params.get("model")
    async with context.repository.use(name) as model, context.bodies.read(request) as body:
        rows = await _rows(request, model, body)
        if explain:
            model.check_explained(rows)  # before anything is computed
        columns = await context.predictions(request, model, rows, level)
        found: dict[str, Any] = {
            "model": model.name,
            "version": model.version,
            "predictions": _as_rows(columns, len(rows.rows)),
        }
        if rows.unused:
            found["unused_columns"] = rows.unused
        if explain:
            explanations = await model.explanations(rows) if rows.rows else []
            found["explanations"] = [as_json(each, model.without_paths) for each in explanations]
        return reply(found)


def _as_rows(columns: dict[str, list[Any]], count: int) -> list[Row]:
    return [{name: cells[row] for name, cells in columns.items()} for row in range(count)]


async def _rows(request: HttpRequest, model: ServedModel, body: bytes) -> Request:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _form_rows(request, model, body)
    if kind != "application/json" and not kind.endswith("+json"):
        raise Refusal(415, f"expected application/json or multipart/form-data, got {kind[:60]!r}.")
    return model.reader.read(_listed(await parsed_json(body)))


def _listed(found: Any) -> Any:
    """Return the rows that JSON holds: a list, `{"rows": [...]}`, or one row.

    Example:
    >>> _listed({"size": 3}), _listed({"rows": [{"size": 3}]})
    ([{'size': 3}], [{'size': 3}])
    """
    if isinstance(found, dict):
        inside = found.get(ROWS)
        return inside if set(found) == {ROWS} and isinstance(inside, list) else [found]
    return found


async def _form_rows(request: HttpRequest, model: ServedModel, body: bytes) -> Request:
    form = await _form(request, body)
    photos = [each.name for each in model.inputs if each.kind == "image"]
    uploads: dict[str, bytes] = {}
    row: Row = {}
    for name, part in form.multi_items():
        if isinstance(part, UploadFile):
            content = await part.read()
            await part.close()
            uploads[part.filename or ""] = content
            if name in photos and content:
                row[name] = [*row.get(name, []), content]
        elif name in row and name not in photos:
            raise Refusal(422, f"the field {name[:60]!r} stands twice in the form.")
        elif name not in photos:
            row[name] = part
        elif part:
            row[name] = [*row.get(name, []), part]
    if ROWS in row and ROWS not in model.reader.inputs:
        rows = _listed(await parsed_json(row[ROWS].encode()))
        return model.reader.read(rows, uploads)
    # a form sends nothing for a photo that nobody chose
    return model.reader.read([dict.fromkeys(photos) | row], uploads)


async def _form(request: HttpRequest, body: bytes) -> FormData:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield body

    class InMemory(MultiPartParser):
        spool_max_size = len(body) + 1  # photos of strangers are not written to a disk

    parser = InMemory(
        request.headers,
        chunks(),
        max_files=MOST_PARTS,
        max_fields=MOST_PARTS,
        max_part_size=max(len(body), 1),
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"expected a multipart form: {error.message}") from None
    except (KeyError, ValueError, LookupError):
        raise Refusal(400, "expected a multipart form with a boundary; this is none.") from None
