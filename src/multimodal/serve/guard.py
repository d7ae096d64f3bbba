"""Around every request: its id, the token, the log, the metrics, and errors as JSON."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
import uuid
from typing import Any

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from multimodal.serve.exchange import Refusal, reply
from multimodal.serve.observe import Metrics, failure, log

OPEN = ("/v2/health/live", "/v2/health/ready")  # without a token, for those who start it again
_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
# Bearer for programs; Basic, so that a browser asks for the token and sends it with the page's own
# requests: as the password, with any name.
_ASK = 'Bearer realm="multimodal", Basic realm="multimodal (the token as password)"'
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """An ASGI application around another one.

    Args:
        app: The application.
        token: What requests must show, None where all may ask.
        metrics: Told of each request.
    """

    def __init__(self, app: ASGIApp, token: str | None, metrics: Metrics) -> None:
        self.app = app
        self._token = token.encode() if token is not None else None
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        own = headers.get(b"x-request-id", b"")
        request_id = own.decode() if _ID.fullmatch(own) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        started = time.perf_counter()
        told: dict[str, Any] = {}
        try:
            if scope["path"] in OPEN or self._may(headers.get(b"authorization", b"")):
                await self.app(scope, receive, answer.send)
            else:
                ask = {"WWW-Authenticate": _ASK, "Connection": "close"}
                message = "expected the token of this server: `Authorization: Bearer TOKEN`."
                refusal = error_reply(Refusal(401, message, ask), request_id)
                await refusal(scope, receive, answer.send)
        except Exception as error:  # its answer, 500, is on the way
            told = failure(error)
        finally:
            self._tell(scope, answer.status, time.perf_counter() - started, told)

    def _may(self, shown: bytes) -> bool:
        if self._token is None:
            return True
        scheme, _, given = shown.strip().partition(b" ")
        if scheme.lower() == b"basic":
            try:
                given = base64.b64decode(given.strip(), validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                given = b""
        elif scheme.lower() != b"bearer":
            given = b""
        # takes as long for a token that is nearly right as for any other
        return hmac.compare_digest(given.strip(), self._token)

    def _tell(self, scope: Scope, status: int, seconds: float, told: dict[str, Any]) -> None:
        route = getattr(scope.get("route"), "path", "(none)")
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if scope["path"] in OPEN and not told:
            return  # asked every few seconds
        state = scope["state"]
        fields = {
            "id": state["request_id"],
            "method": scope["method"][:20],
            "route": route,
            "status": status,
            "seconds": round(seconds, 4),
            **state.get("told", {}),
            **told,
        }
        log("request", level="error" if told else "info", **fields)


class _Answer:
    """Sends an answer with the headers that all have; remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self.status = 499  # nobody was there any more
        self._send = send
        self._id = (b"x-request-id", request_id.encode())

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            known = {name for name, _ in message["headers"]}
            more = [pair for pair in [*_HEADERS, self._id] if pair[0] not in known]
            message = {**message, "headers": [*message["headers"], *more]}
        await self._send(message)


def error_reply(refusal: Refusal, request_id: str) -> Response:
    """Return the answer that says why there is no other."""
    content = {"error": refusal.message, "request_id": request_id}
    return reply(content, refusal.status, refusal.headers)


def answer_errors(app: FastAPI) -> None:
    """Let an application answer whatever goes wrong with `{"error": ...}`."""

    async def refused(request: HttpRequest, error: Exception) -> Response:
        return error_reply(_as_refusal(error), request.state.request_id)

    for kind in (Refusal, HTTPException, Exception):
        app.add_exception_handler(kind, refused)


def _as_refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        return Refusal(error.status_code, str(error.detail), error.headers)
    return Refusal(500, "the server failed; its log tells more under this request_id.")
