"""Signals: a training ends after its step, everything else at once.

SIGTERM ends it with a checkpoint and exit code 143, Ctrl-C with the best weights so far.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXIT_CODE = 128 + signal.SIGTERM


class Termination:
    """Whether someone has asked this process to end, and how it does.

    While `waiting`, a first SIGTERM only sets `asked`, a first Ctrl-C `interrupted`: whoever waits
    looks at them. An exception would be lost where Python happens to be destroying an object.
    """

    def __init__(self) -> None:
        self.asked = False
        self.interrupted = False
        self.waiting = False

    def leave(self) -> None:
        """End the process with exit code 143."""
        print("terminated; the same command goes on from here", file=sys.stderr)
        raise SystemExit(EXIT_CODE)

    def _receive(self, number: int, frame: Any) -> None:
        if self.asked or not self.waiting:
            raise SystemExit(EXIT_CODE)
        self.asked = True

    def _interrupt(self, number: int, frame: Any) -> None:
        if self.interrupted or not self.waiting:
            raise KeyboardInterrupt
        self.interrupted = True


@contextmanager
def on_signals() -> Iterator[Termination]:
    """Listen to SIGTERM and Ctrl-C; outside the main thread, where Python cannot, to nothing."""
    termination = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield termination
        return
    handlers = {signal.SIGTERM: termination._receive, signal.SIGINT: termination._interrupt}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield termination
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
