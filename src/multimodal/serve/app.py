"""The application: routes, models and what guards them, from the settings of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi import Request as HttpRequest
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.types import Receive, Scope, Send

from multimodal.serve import inference_protocol, page, predict
from multimodal.serve.context import Context, context_of
from multimodal.serve.exchange import Bodies
from multimodal.serve.guard import Guard, answer_errors
from multimodal.serve.observe import Metrics
from multimodal.serve.repository import Repository
from multimodal.serve.settings import Settings

router = APIRouter()


@router.get("/metrics")
async def metrics(request: HttpRequest) -> Response:
    """Counters and histograms in Prometheus' text format."""
    return Response(context_of(request).metrics.page(), media_type=CONTENT_TYPE_LATEST)


class Application:
    """An ASGI application that serves runs.

    It answers at once, and requests for predictions once the models are loaded. `failed` says that
    none could be.

    Args:
        settings: What to serve, and how.
        load: From a run directory to what predicts; `multimodal.load` by default.

    Raises:
        ConfigError: The token cannot be read.
    """

    def __init__(self, settings: Settings, load: Callable[[Path], Any] | None = None) -> None:
        metrics = Metrics()
        self.repository = Repository(settings, metrics, load)
        # the pages of FastAPI's own documentation load scripts from another server
        app = FastAPI(
            title="multimodal", lifespan=self._lifespan, openapi_url=None, redirect_slashes=False
        )
        app.state.context = Context(self.repository, Bodies(settings.limits), metrics)
        for routes in (inference_protocol.router, predict.router, page.router, router):
            app.include_router(routes)
        answer_errors(app)
        self._guard = Guard(app, settings.token(), metrics)

    @property
    def failed(self) -> bool:
        """Whether all that was found has been tried, and nothing is served."""
        return self.repository.loaded and not self.repository.models

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(self.repository.watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self.repository.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guard(scope, receive, send)
