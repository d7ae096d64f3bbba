"""The processes of a server: one or several, which end when they are told to, with code 0."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from multimodal.core.errors import ConfigError
from multimodal.serve.app import Application
from multimodal.serve.observe import SHARED_FOLDER, log, set_up_logs
from multimodal.serve.settings import Settings

HEADER_SECONDS = 10.0  # from the opening of a connection, or the last answer, to a whole header
NOTHING_SERVED = 2  # exit code where no run could be loaded
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Protocol(H11Protocol):
    """HTTP/1.1, which closes a connection whose request does not arrive: uvicorn waits for ever."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Start the timer where no request is under way, stop it where one is."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEADER_SECONDS, self._close_idle)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_idle(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class _Server(uvicorn.Server):
    """A server that ends with code 0 when it is told to end, after all accepted requests."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self.application = application

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises the signal again at the end, which would be the exit code
        before = {each: signal.signal(each, self.handle_exit) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    async def on_tick(self, counter: int) -> bool:
        return self.application.failed or await super().on_tick(counter)


def serve(
    settings: Settings,
    host: str,
    port: int,
    workers: int,
    tell: Callable[[str], None] = print,
) -> int:
    """Serve until a signal ends it; return the exit code: 0, or 2 where no run can be loaded.

    Args:
        settings: What to serve, and how.
        host: Address to listen on.
        port: Port to listen on; 0 is a free one.
        workers: Processes, each of which loads the models.
        tell: Told the address, once it is listened on.

    Raises:
        ConfigError: The address cannot be listened on, or the token not be read.
    """
    settings.token()  # whatever is wrong with it is said before anything is listened on
    with _listening(host, port) as listener:
        number = listener.getsockname()[1]
        tell(f"http://{f'[{host}]' if ':' in host else host}:{number}")
        if workers == 1:
            return _work(settings, listener)
        with tempfile.TemporaryDirectory(prefix="multimodal-metrics-") as folder:
            os.environ[SHARED_FOLDER] = folder
            return _supervise(settings, listener, workers)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off, 40 ms of a small answer, where the protocol is named
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{host}:{port}: cannot be listened on ({why}). Name another --host or --port."
        ) from None
    return listener


def _work(settings: Settings, listener: socket.socket) -> int:
    """Serve in this process until a signal ends it; return the exit code."""
    set_up_logs()
    application = Application(settings)
    config = uvicorn.Config(
        application,
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.limits.connections,
    )
    server = _Server(config, application)
    server.run(sockets=[listener])
    code = NOTHING_SERVED if not server.should_exit else 0
    log("stopped", code=code)
    return code


def _child(settings: Settings, listener: socket.socket) -> None:
    raise SystemExit(_work(settings, listener))


def _supervise(settings: Settings, listener: socket.socket, workers: int) -> int:
    """Keep some processes alive until a signal ends them; return the exit code."""
    from prometheus_client.multiprocess import mark_process_dead

    set_up_logs()
    fresh = multiprocessing.get_context("spawn")  # a fork would copy locks of other threads
    ending: list[int] = []

    def start() -> BaseProcess:
        process = fresh.Process(target=_child, args=(settings, listener))
        process.start()
        return process

    for each in _SIGNALS:
        signal.signal(each, lambda number, _: ending.append(number))
    processes = [start() for _ in range(workers)]
    while not ending:
        time.sleep(0.2)
        for number, process in enumerate(processes):
            if process.is_alive():
                continue
            mark_process_dead(process.pid)
            if process.exitcode == NOTHING_SERVED:
                ending.append(NOTHING_SERVED)
            elif not ending:
                log("worker_died", level="error", code=process.exitcode)
                time.sleep(1.0)  # one that dies at once does not take the whole machine
                processes[number] = start()
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
    failed = any(process.exitcode == NOTHING_SERVED for process in processes)
    return NOTHING_SERVED if failed else 0
