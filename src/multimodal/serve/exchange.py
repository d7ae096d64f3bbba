"""What goes in and out over HTTP: bodies within limits, strict JSON, refusals with a reason."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from multimodal.serve.settings import Limits

RETRY, CLOSE = {"Retry-After": "1"}, {"Connection": "close"}
GONE = 499  # whoever asked has left; nobody reads this answer
# Of a body over the limit, so many times the limit is read and thrown away, as long as it comes.
REST, REST_SECONDS, PAUSE = 8, 10.0, 1.0
LARGE = 2**18  # bytes of JSON from which it is read beside the event loop
_SURROGATE = re.compile("[\ud800-\udfff]")


class Refusal(Exception):
    """A request that is not answered as it was asked: the status of HTTP, and why.

    Args:
        status: Status code of the answer.
        message: What was expected, what came, how to mend it; it goes to the client alone, since
            it may quote a cell.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return strict JSON: no NaN, no infinity, UTF-8 without halves of surrogate pairs."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # a lone surrogate, which UTF-8 has no bytes for, becomes its JSON escape
    content_bytes = text.encode("utf-8", "backslashreplace")
    return Response(content_bytes, status, dict(headers or {}), "application/json")


class Bodies:
    """Bodies of requests, each within a limit of size and time, all within one of memory."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Read the body of a request, and hold its bytes until the block ends.

        Raises:
            Refusal: It is compressed (415), too large (413), too slow (408) or ends early (499), or
                all bodies together take too much (503).
        """
        limit, held = self.limits.body, 0
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "expected a body without Content-Encoding; send it uncompressed.")
        told = request.headers.get("content-length", "")
        if told.isdigit() and int(told) > limit:
            raise await self._too_large(request)
        try:
            chunks: list[bytes] = []
            try:
                async with asyncio.timeout(self.limits.deadline):
                    async for chunk in request.stream():
                        held += len(chunk)
                        self.held += len(chunk)
                        if held > limit:
                            chunks.clear()
                            raise await self._too_large(request)
                        if self.held > self.limits.bodies:
                            raise Refusal(503, "too many large requests; come again.", RETRY)
                        chunks.append(chunk)
            except ClientDisconnect:
                raise Refusal(GONE, "the body ended early.") from None
            except TimeoutError:
                waited = f"{self.limits.deadline:g} seconds"
                raise Refusal(408, f"the body did not arrive within {waited}.", CLOSE) from None
            yield b"".join(chunks)
        finally:
            self.held -= held

    async def _too_large(self, request: Request) -> Refusal:
        """Return the refusal of a body over the limit, after some of the rest was thrown away.

        A client that is still sending when the connection closes would see that, not the answer.
        """
        left, limit = REST * self.limits.body, self.limits.body
        try:
            async with asyncio.timeout(REST_SECONDS):
                waits = "100-continue" in request.headers.get("expect", "").lower()
                while left > 0 and not waits:
                    message = await asyncio.wait_for(request.receive(), PAUSE)
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            pass
        told = f"the body is larger than {limit:,} bytes. Send fewer rows at once."
        return Refusal(413, told, CLOSE)


async def parsed_json(body: bytes) -> Any:
    """Return what a body of strict JSON says; a large one is read beside the event loop.

    Raises:
        Refusal: See `parse_json`.
    """
    return parse_json(body) if len(body) < LARGE else await asyncio.to_thread(parse_json, body)


def parse_json(body: bytes) -> Any:
    """Return what strict JSON says: UTF-8, no NaN, no key twice in an object.

    Raises:
        Refusal: With 400, and where and what is wrong.

    Example:
    >>> parse_json(b'{"size": 1.5}')
    {'size': 1.5}
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(400, f"expected UTF-8, got another byte at {error.start:,}.") from None
    try:
        found = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except RecursionError:
        raise Refusal(400, "the JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise Refusal(
            400, f"expected JSON: {error.msg}, line {error.lineno} column {error.colno}."
        ) from None
    except ValueError as error:  # a whole number of more digits than Python reads
        raise Refusal(400, f"expected JSON: {str(error).partition(';')[0]}.") from None
    if "\\ud" in text.lower() and _SURROGATE.search(json.dumps(found, ensure_ascii=False)):
        raise Refusal(400, "a text holds half of a surrogate pair.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise Refusal(400, f"{name} is no JSON; a missing number is null.")


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Refusal(400, f"the key {key[:60]!r} stands twice in one object.")
        found[key] = value
    return found


def plain_value(value: Any) -> Any:
    """Return a cell of a prediction as JSON has it; what is not finite is null.

    Example:
    >>> plain_value(float("nan")), plain_value(2.5)
    (None, 2.5)
    """
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None if value != value else str(value)  # NaT is no date


def query_flag(request: Request, name: str) -> bool:
    """Return a flag of the query, such as `?explain=true`.

    Raises:
        Refusal: It is neither true nor false.
    """
    told = request.query_params.get(name, "false").lower()
    if told not in ("true", "false", "1", "0"):
        raise Refusal(422, f"`{name}` must be true or false.")
    return told in ("true", "1")


def checked_level(told: Any) -> float | None:
    """Return the level of intervals that a request asks for, None where it asks for none.

    Raises:
        Refusal: It is no number between 0 and 1.

    Example:
    >>> checked_level("0.9"), checked_level(None)
    (0.9, None)
    """
    if told is None:
        return None
    try:
        level = math.nan if isinstance(told, bool) else float(told)
    except (TypeError, ValueError, OverflowError):
        level = math.nan
    if not 0 < level < 1:
        raise Refusal(422, "`level` must be a number between 0 and 1, such as 0.9.")
    return level
