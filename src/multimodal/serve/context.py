"""What every route needs: the models, the bodies within limits, the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request as HttpRequest

from multimodal.core.errors import MultimodalError
from multimodal.serve.batching import Columns
from multimodal.serve.exchange import Bodies, Refusal
from multimodal.serve.model import ServedModel
from multimodal.serve.observe import Metrics
from multimodal.serve.repository import Repository
from multimodal.serve.rows import Request


@dataclass(frozen=True)
class Context:
    """What the routes of one application share."""

    repository: Repository
    bodies: Bodies
    metrics: Metrics

    async def predictions(
        self, http: HttpRequest, model: ServedModel, rows: Request, level: float | None
    ) -> Columns:
        """Return the columns of predictions of a request, and note what the log tells of it.

        Raises:
            Refusal: What is wrong with the rows or the level (422), or that there is no room.
        """
        http.state.told = {"model": model.name, "version": model.version, "rows": len(rows.rows)}
        try:
            # counted where they come and go: each of several processes knows its own alone
            self.metrics.waiting.inc(len(rows.rows))
            columns = await model.predictions(rows, level)
        except MultimodalError as error:
            raise Refusal(422, model.without_paths(str(error))) from None
        finally:
            self.metrics.waiting.dec(len(rows.rows))
        self.metrics.rows.labels(model.name).inc(len(rows.rows))
        predicted = [cells for name, cells in columns.items() if name.endswith("_prediction")]
        blank = sum(cell is None for cell in predicted[0]) if predicted else 0
        if blank:
            self.metrics.empty.labels(model.name).inc(blank)
        return columns


def context_of(request: HttpRequest) -> Context:
    """Return the context of the application that answers a request."""
    context: Context = request.app.state.context
    return context
