"""The Open Inference Protocol v2 over REST: health, metadata, and columns as tensors.

Each column of the table is a tensor of as many values as there are rows, `[rows]` or `[rows, 1]`;
`[rows, n]` gives each cell a list of n values, as of a series. Texts are BYTES as they stand,
photos BYTES in base64. A value that is missing is null, in requests and in answers; what a row has
no prediction for stands in its `note`. See https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

import math
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import Response

from multimodal import __version__
from multimodal.core.errors import choices
from multimodal.serve.columns import Output
from multimodal.serve.context import context_of
from multimodal.serve.exchange import Refusal, checked_level, parsed_json, reply
from multimodal.serve.model import ServedModel
from multimodal.serve.rows import Row

PLATFORM = "multimodal"
BINARY = "inference-header-content-length"
_KEYS = {"id", "parameters", "inputs", "outputs"}
_WHOLE = {f"{sign}INT{bits}": (sign, bits) for sign in ("", "U") for bits in (8, 16, 32, 64)}
_REAL = ("FP16", "FP32", "FP64", "BF16")
DATATYPES = ("BYTES", "BOOL", *_WHOLE, *_REAL)
router = APIRouter(prefix="/v2")


@router.get("")
async def server_metadata() -> Response:
    """Name, version and extensions of the server."""
    return reply({"name": PLATFORM, "version": __version__, "extensions": ["model_repository"]})


@router.get("/health/live")
async def live() -> Response:
    """Whether the server runs."""
    return reply({"live": True})


@router.get("/health/ready")
async def ready(request: HttpRequest) -> Response:
    """Whether it can answer requests: 503 until the models are loaded."""
    there = context_of(request).repository.ready
    return reply({"ready": there}, 200 if there else 503)


@router.post("/repository/index")
async def index(request: HttpRequest) -> Response:
    """The models that are served."""
    models = context_of(request).repository.models
    return reply(
        [{"name": m.name, "version": m.version, "state": "READY"} for m in models.values()]
    )


@router.get("/models/{name}/ready")
@router.get("/models/{name}/versions/{version}/ready")
async def model_ready(request: HttpRequest, name: str, version: str | None = None) -> Response:
    """Whether a model is served."""
    async with context_of(request).repository.use(name, version) as model:
        return reply({"name": model.name, "version": model.version, "ready": True})


@router.get("/models/{name}")
@router.get("/models/{name}/versions/{version}")
async def metadata(request: HttpRequest, name: str, version: str | None = None) -> Response:
    """Names, types, kinds and units of what a model reads and predicts."""
    async with context_of(request).repository.use(name, version) as model:
        return reply(
            {
                "name": model.name,
                "versions": [model.version],
                "platform": PLATFORM,
                "inputs": [each.metadata() for each in model.inputs],
                "outputs": [each.metadata() for each in model.outputs],
                "parameters": {"intervals": model.has_intervals, "explains": model.explains},
            }
        )


@router.post("/models/{name}/infer")
@router.post("/models/{name}/versions/{version}/infer")
async def infer(request: HttpRequest, name: str, version: str | None = None) -> Response:
    """Predict; `parameters: {"level": 0.9}` adds intervals, `outputs` chooses among columns."""
    context = context_of(request)
    if BINARY in request.headers:
        raise Refusal(415, "tensors as binary data are not read; send them as JSON.")
    async with context.repository.use(name, version) as model, context.bodies.read(request) as body:
        asked = _request(await parsed_json(body))
        level = checked_level(asked["parameters"].get("level"))
        chosen = _chosen(asked.get("outputs"), model.outputs_at(level))
        rows = model.reader.read(_rows(asked["inputs"], model))
        columns = await context.predictions(request, model, rows, level)
        count = len(rows.rows)
        outputs = [
            {"name": o.name, "datatype": o.datatype, "shape": [count], "data": columns[o.name]}
            for o in chosen
        ]
        found = {"model_name": model.name, "model_version": model.version, "outputs": outputs}
        return reply(found | ({"id": asked["id"]} if "id" in asked else {}))


def _request(found: Any) -> dict[str, Any]:
    """Return a request whose parts have the types that the protocol says."""
    if not isinstance(found, dict):
        raise Refusal(400, "expected an object with `inputs`.")
    unknown = set(found) - _KEYS
    if unknown:
        raise Refusal(400, f"unknown key {min(unknown)[:60]!r}; {choices('', _KEYS)}")
    if not isinstance(found.get("inputs"), list) or not found["inputs"]:
        raise Refusal(400, "`inputs` must be a list of tensors, one for each column.")
    if "id" in found and not isinstance(found["id"], str):
        raise Refusal(400, "`id` must be a text.")
    parameters = found.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Refusal(400, "`parameters` must be an object.")
    return found | {"parameters": parameters}


def _chosen(asked: Any, known: list[Output]) -> list[Output]:
    """Return the outputs that a request names, all where it names none."""
    if asked is None or asked == []:
        return known
    by_name = {each.name: each for each in known}
    if not isinstance(asked, list) or not all(isinstance(each, dict) for each in asked):
        raise Refusal(400, "`outputs` must be a list of objects with a `name`.")
    names = [str(each.get("name")) for each in asked]
    for name in names:
        if name not in by_name:
            raise Refusal(400, f"there is no output {name[:60]!r}. {choices(name, by_name)}")
    return [by_name[name] for name in names]


def _rows(tensors: list[Any], model: ServedModel) -> list[Row]:
    """Turn tensors, one for each column, into rows."""
    cells: dict[str, list[Any]] = {}
    for tensor in tensors:
        name, values = _cells(tensor)
        if name in cells:
            raise Refusal(400, f"the tensor {name[:60]!r} stands twice in `inputs`.")
        cells[name] = values
    counts = {len(values) for values in cells.values()}
    if len(counts) > 1:
        shown = ", ".join(f"{name[:40]} {len(values)}" for name, values in list(cells.items())[:5])
        raise Refusal(
            400, f"all tensors must have as many rows, the first of their shape: {shown}."
        )
    count = counts.pop()
    if count > model.reader.most:
        raise Refusal(413, f"{count:,} rows; expected at most {model.reader.most:,}. Send parts.")
    return [{name: values[row] for name, values in cells.items()} for row in range(count)]


def _cells(tensor: Any) -> tuple[str, list[Any]]:
    """Return the name of a tensor and its cells, one for each row."""
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise Refusal(400, "each of `inputs` must be an object with a `name`.")
    name, shape, data = tensor["name"], tensor.get("shape"), tensor.get("data")
    told, datatype = f"tensor {name[:60]!r}", tensor.get("datatype")
    if datatype not in DATATYPES:
        raise Refusal(400, f"{told}: unknown `datatype`. {choices(str(datatype)[:20], DATATYPES)}")
    if not isinstance(shape, list) or len(shape) not in (1, 2) or not all(map(_is_size, shape)):
        raise Refusal(400, f"{told}: `shape` must be [rows] or [rows, values of a cell].")
    if not isinstance(data, list):
        raise Refusal(400, f"{told}: `data` must be a list; binary data is not read.")
    if len(shape) == 2 and shape[1] < 1:
        raise Refusal(400, f"{told}: `shape` must give each row one value or more.")
    flat = [each for part in data for each in (part if isinstance(part, list) else [part])]
    if len(flat) != math.prod(shape):
        raise Refusal(400, f"{told}: {len(flat):,} values in `data`, {shape} asks for others.")
    for number, value in enumerate(flat):
        if not _fits(value, datatype):
            raise Refusal(400, f"{told}: value {number} in `data` is no {datatype}.")
    width = shape[1] if len(shape) == 2 else 1
    if width == 1:
        return name, flat
    return name, [flat[start : start + width] for start in range(0, len(flat), width)]


def _is_size(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= 10_000_000


def _fits(value: Any, datatype: str) -> bool:
    """Whether a value is one of a datatype, or missing.

    Example:
    >>> _fits(3, "FP64"), _fits(300, "UINT8"), _fits("3", "FP64"), _fits(None, "BYTES")
    (True, False, False, True)
    """
    if value is None:
        return True
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if datatype in _REAL:
        return True
    sign, bits = _WHOLE[datatype]
    least, most = (0, 2**bits) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return isinstance(value, int) and least <= value < most
