"""What a server tells its operator: a line of JSON for each request, and Prometheus metrics.

No cell of a request is told, nor any message that could quote one.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger("multimodal.serve")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # set where several processes serve
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class JsonFormatter(logging.Formatter):
    """Writes each record as one line of JSON; an exception without its message, by its frames."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        fields = getattr(record, "fields", None)
        told |= fields if fields is not None else {"event": "log", "message": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            told |= failure(record.exc_info[1])
        return json.dumps(told, ensure_ascii=True, default=str)


def failure(error: BaseException) -> dict[str, Any]:
    """Return where an exception was raised and its type; its message may quote a cell.

    Example:
    >>> failure(ValueError("a secret"))
    {'error': 'ValueError', 'frames': []}
    """
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = [f"{os.path.basename(each.filename)}:{each.lineno} {each.name}" for each in frames]
    return {"error": type(error).__name__, "frames": places}


def log(event: str, *, level: str = "info", **fields: Any) -> None:
    """Write one line: what happened, and what is known of it."""
    logger.log(_LEVELS[level], event, extra={"fields": {"event": event, **fields}})


def set_up_logs() -> None:
    """Write the server's log to standard error, and what libraries log beside it."""
    # a descriptor of its own, which `without_chatter` leaves as it is
    handler = logging.StreamHandler(os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1))
    handler.setFormatter(JsonFormatter())
    # News of `predict` speak of columns and cells: they go nowhere.
    logging.getLogger("multimodal").addHandler(logging.NullHandler())
    logging.getLogger("multimodal").propagate = False
    # Of a form that is none: its sender is told.
    logging.getLogger("python_multipart").addHandler(logging.NullHandler())
    logging.getLogger("python_multipart").propagate = False
    for name, level in (("multimodal.serve", logging.INFO), ("uvicorn", logging.WARNING)):
        own = logging.getLogger(name)
        own.handlers, own.propagate = [handler], False
        own.setLevel(level)


@contextmanager
def without_chatter() -> Iterator[None]:
    """Throw away what C++ libraries write to standard error as they are first loaded."""
    if "tensorflow" in sys.modules:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Metrics:
    """Counters and histograms of one process; with several, those of all are told together."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter(
            "multimodal_requests", "Requests answered.", ["route", "code"], registry=own
        )
        self.seconds = Histogram(
            "multimodal_request_seconds",
            "Seconds to the answer.",
            ["route"],
            buckets=SECONDS,
            registry=own,
        )
        self.rows = Counter("multimodal_rows", "Rows predicted.", ["model"], registry=own)
        self.empty = Counter(
            "multimodal_rows_without_prediction",
            "Rows that got no prediction.",
            ["model"],
            registry=own,
        )
        self.batches = Histogram(
            "multimodal_batch_rows", "Rows of a batch.", buckets=ROWS, registry=own
        )
        self.waiting = Gauge(
            "multimodal_waiting_rows",
            "Rows that wait for their prediction.",
            multiprocess_mode="livesum",
            registry=own,
        )
        if SHARED_FOLDER not in os.environ:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)

    def observe_batch(self, rows: int) -> None:
        """Count a batch."""
        self.batches.observe(rows)

    def page(self) -> bytes:
        """Return all in Prometheus' text format."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
