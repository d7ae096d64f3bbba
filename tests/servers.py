"""A server of runs in this process, on a free port of 127.0.0.1, and what asks it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import uvicorn

from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import Schema
from multimodal.serve.app import Application
from multimodal.serve.server import _Protocol
from multimodal.serve.settings import Settings

GUARD = 120  # seconds until a test gives up: a guard, no measure


@dataclass
class Answered:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is no strict JSON")

        return json.loads(self.body.decode("utf-8"), parse_constant=refuse)


@dataclass
class Client:
    """Asks a server, each request on a connection of its own."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=GUARD)
        try:
            given = {**self.headers, **(headers or {})}
            chunked = "Transfer-Encoding" in given
            connection.request(method, path, body, given, encode_chunked=chunked)
            answer = connection.getresponse()
            return Answered(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answered:
        return self.ask("GET", path)

    def post(self, path: str, content: Any, **headers: str) -> Answered:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", path, body, {"Content-Type": "application/json", **headers})

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def ready(self) -> bool:
        try:
            return self.get("/v2/health/ready").status == 200
        except OSError:
            return False


@contextmanager
def served(
    settings: Settings, load: Callable[[Path], Any] | None = None, *, wait: bool = True
) -> Iterator[Client]:
    """Serve in a thread until the block ends."""
    application = Application(settings, load)
    config = uvicorn.Config(
        application,
        port=0,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        limit_concurrency=settings.limits.connections,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        client = Client(server.servers[0].sockets[0].getsockname()[1])
        if wait:
            until(client.ready)
        yield client
    finally:
        server.should_exit = True
        thread.join(GUARD)
        assert not thread.is_alive()


def until(true: Callable[[], bool], every: float = 0.01) -> None:
    """Wait until something is true."""
    end = time.monotonic() + GUARD
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(every)


NUMBER = {"name": "size", "source": "size", "centre": 0.0, "scale": 1.0}
SPEC = FittedSpec.model_validate(
    {
        "groups": [
            {"name": "t", "modality": "tabular", "columns": ["size"], "numeric": [NUMBER]},
            {"name": "w", "modality": "text", "columns": ["review"], "lengths": [8]},
        ],
        "heads": [{"name": "price", "columns": ["price"]}],
    }
)
_COLUMN = {"missing": 0.0, "distinct": 9, "example": "1.5", "wide": True}
SCHEMA = Schema.model_validate(
    {
        "columns": [
            {"name": "size", "kind": "number", "unit": "# kg", **_COLUMN},
            {"name": "review", "kind": "text", **_COLUMN},
            {"name": "sku", "kind": "identifier", **_COLUMN},
            {"name": "price", "kind": "target", "unit": "# €", **_COLUMN},
        ]
    }
)


@dataclass
class Doubler:
    """Stands for a run: predicts twice the size, and does as the review says.

    `fail` raises, `nan` predicts no number, `wait` waits until `go` is set.
    """

    factor: float = 2.0
    spec: FittedSpec = SPEC
    schema: Schema = SCHEMA
    go: threading.Event = field(default_factory=threading.Event)
    asked: list[int] = field(default_factory=list)

    def predict(self, rows: Any, *, images: Any = None, level: float | None = None) -> Any:
        frame = rows.frame if hasattr(rows, "frame") else pd.DataFrame(rows)
        self.asked.append(len(frame))
        said = frame["review"].tolist()
        if "fail" in said:
            raise KeyError("a secret in a cell")
        if "wait" in said:
            assert self.go.wait(GUARD)
        size = pd.to_numeric(frame["size"])
        found = pd.DataFrame({"row": range(len(frame)), "price_prediction": size * self.factor})
        found.loc[[word == "nan" for word in said], "price_prediction"] = float("nan")
        if level is not None:
            found["price_low"], found["price_high"] = size, size * 3
        return SimpleNamespace(frame=found.assign(note=""))


def tensors(rows: Sequence[Mapping[str, Any]], **datatypes: str) -> list[dict[str, Any]]:
    """Return rows as tensors of the Open Inference Protocol."""
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": datatypes.get(name, "BYTES"),
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]
