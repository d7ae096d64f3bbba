"""The page at `/`: a form made from what a model reads, for a person to try it.

It asks `/predict` of the server that it came from, and nothing else: no script, style or font of
another server is loaded, which its content security policy makes sure of.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.responses import Response

from multimodal.core.formatting import template
from multimodal.serve.context import context_of
from multimodal.serve.exchange import Refusal
from multimodal.serve.model import ServedModel

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
router = APIRouter()


@router.get("/")
async def page(request: HttpRequest) -> Response:
    """The form of a model, or why there is none."""
    repository = context_of(request).repository
    names = sorted(repository.models)
    asked = request.query_params.get("model", names[0] if names else None)
    try:
        async with repository.use(asked) as model:
            shown, status = _form(model, names), 200
    except Refusal as refusal:
        shown, status = _without_form(names, refusal.message), refusal.status
    return Response(shown, status, _HEADERS, "text/html; charset=utf-8")


@router.get("/page.js")
async def script() -> Response:
    """What the page does."""
    return Response(_script(), 200, _HEADERS, "text/javascript; charset=utf-8")


@router.get("/page.css")
async def style() -> Response:
    """How the page looks."""
    return Response(_style(), 200, _HEADERS, "text/css; charset=utf-8")


def _form(model: ServedModel, names: list[str]) -> str:
    fields = [
        {
            "name": each.name,
            "kind": each.kind,
            "unit": each.unit.replace("#", "").strip(),
            "several": each.several,
            "categories": each.categories,
            "example": each.example,
        }
        for each in model.inputs
    ]
    told = {
        "name": model.name,
        "intervals": model.has_intervals,
        "explains": model.explains,
        "fields": [{"name": each.name, "kind": each.kind} for each in model.inputs],
        "heads": _heads(model),
    }
    return _rendered(title=f"Try {model.name}", told=told, fields=fields, models=names, fault="")


def _heads(model: ServedModel) -> list[dict[str, Any]]:
    """Return what is predicted: names as columns of the predictions begin with, in their order."""
    found = [
        {"name": each.name.removesuffix("_prediction"), "kind": each.kind, "unit": each.unit}
        for each in model.outputs
        if each.name.endswith("_prediction")
    ]
    boxes = [each.name for each in model.outputs if each.name.endswith("_xmin")]
    return found + [
        {"name": name.removesuffix("_xmin"), "kind": "box", "unit": ""} for name in boxes
    ]


def _without_form(names: list[str], fault: str) -> str:
    told = {"name": "", "explains": False}
    return _rendered(title="Try a model", told=told, fields=[], models=names, fault=fault)


def _rendered(**values: Any) -> str:
    return str(template("serve.html.j2").render(values))


@cache
def _script() -> str:
    return files("multimodal.serve").joinpath("page.js").read_text("utf-8")


@cache
def _style() -> str:
    return str(template("serve.css.j2").render())
