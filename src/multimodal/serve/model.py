"""One run, loaded to be served: rows of requests to columns of predictions."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal.core.errors import ConfigError, RunError
from multimodal.data.read.table import Table
from multimodal.serve.batching import Batcher, Columns
from multimodal.serve.columns import Output, inputs_of, outputs_of
from multimodal.serve.exchange import RETRY, Refusal, plain_value
from multimodal.serve.rows import Request, RowReader
from multimodal.serve.settings import Settings

if TYPE_CHECKING:
    from multimodal.explain.records import Explanation

LEVEL = 0.9  # of the intervals that the page shows
NO_NUMBER = "the model gives no finite number"


class ServedModel:
    """A run with its queue.

    Args:
        name: What requests call it.
        version: Which version of it.
        path: The run directory.
        run: What `multimodal.load` returned for it.
        settings: The server's.
        observe: Told the number of rows of each batch.
    """

    def __init__(
        self,
        name: str,
        version: str,
        path: Path,
        run: Any,
        settings: Settings,
        observe: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self.name, self.version, self.path, self.run = name, version, path, run
        self.users = 0
        self._settings = settings
        # Relative paths start here where no folder is named: it is empty.
        self._nowhere = tempfile.TemporaryDirectory(prefix="multimodal-serve-")
        self.images = settings.images or Path(self._nowhere.name)
        schema, spec = run.schema, run.spec
        self.inputs = inputs_of(spec, schema)
        identifiers = schema.names("identifier")
        self.reader = RowReader(
            self.inputs,
            schema.names(),
            identifiers[0] if identifiers else None,
            paths=settings.images is not None,
            most=settings.limits.rows,
            letters=settings.limits.letters,
        )
        self.has_intervals = False
        self.outputs_without_level, self.outputs = self._warm()
        self.batcher = Batcher(self.predict, settings.limits.queue, observe)
        self._explaining = 0
        self._explainer = ThreadPoolExecutor(1, "explain")

    @property
    def explains(self) -> bool:
        """Whether it says why it predicts what it does."""
        return callable(getattr(self.run, "explain", None))

    def _warm(self) -> tuple[list[Output], list[Output]]:
        """Compile for one row and for several; return what it predicts without and with a level."""
        blank = {each.name: None for each in self.inputs}
        frame = self._frame([blank])
        self._frame([blank, blank])
        try:
            with_level = self._frame([blank], LEVEL)
            self.has_intervals = True
        except (RunError, ConfigError):  # no number is predicted, or nothing was calibrated
            with_level = frame
        spec, schema = self.run.spec, self.run.schema
        return outputs_of(frame, spec, schema), outputs_of(with_level, spec, schema)

    def _frame(self, rows: Sequence[dict[str, Any]], level: float | None = None) -> pd.DataFrame:
        found: pd.DataFrame = self.run.predict(list(rows), images=self.images, level=level).frame
        return found

    async def predictions(self, request: Request, level: float | None) -> Columns:
        """Return the columns of a request's predictions; it shares a batch with others.

        Raises:
            Refusal: The queue is full, or the deadline passed.
            MultimodalError: What the run says, of a level it has no intervals of.
        """
        if not request.rows:
            return {each.name: [] for each in self.outputs_at(level)}
        return await self.batcher.submit(request, level, self._settings.limits.deadline)

    def outputs_at(self, level: float | None) -> list[Output]:
        """Return the columns of predictions, ends of intervals only with a level."""
        return self.outputs_without_level if level is None else self.outputs

    def predict(self, requests: Sequence[Request], level: float | None) -> list[Columns]:
        """Return the columns of predictions of each request, predicted together.

        Rows of one request are read as `run.predict` reads a list of them. Those of several are
        given as they are, each cell with its own type: a number beside a text stays a number.
        """
        if len(requests) == 1:
            rows = requests[0].rows
            frame = self.run.predict(rows, images=self.images, level=level).frame
        else:
            rows = [row for request in requests for row in request.rows]
            frame = self.run.predict(self._table(rows), images=self.images, level=level).frame
        found, start = [], 0
        for request in requests:
            stop = start + len(request.rows)
            found.append(self._columns(frame.iloc[start:stop], request))
            start = stop
        return found

    def _table(self, rows: Sequence[dict[str, Any]]) -> Table:
        cells = {
            each.name: pd.Series([row[each.name] for row in rows], dtype=object)
            for each in self.inputs
        }
        numbers = np.arange(len(rows))
        return Table(pd.DataFrame(cells), numbers, numbers + 1, [], None, self.images)

    def _columns(self, frame: pd.DataFrame, request: Request) -> Columns:
        columns: Columns = {} if request.identifiers is None else {"id": request.identifiers}
        for name in map(str, frame.columns):
            if name not in ("row", "id"):
                columns[name] = [plain_value(cell) for cell in frame[name].tolist()]
        notes = columns.get("note", [])
        for name, cells in columns.items():
            if name.endswith("_prediction"):
                for row in (i for i, cell in enumerate(cells) if cell is None and not notes[i]):
                    notes[row] = f"{name.removesuffix('_prediction')}: {NO_NUMBER}"
        for name in ("note", "unusual"):
            if name in columns:
                columns[name] = [self.without_paths(str(cell or "")) for cell in columns[name]]
        return columns

    def without_paths(self, text: str) -> str:
        """Return a message without folders of this machine."""
        for path, told in ((self.images, "images"), (self.path, self.name)):
            text = text.replace(str(path.absolute()), told).replace(str(path), told)
        return text

    def check_explained(self, request: Request) -> None:
        """Raise Refusal where the run explains nothing (501), or not so many rows (422)."""
        most = self._settings.limits.explained
        if not self.explains:
            raise Refusal(501, f"model '{self.name}' predicts without explaining; leave it out.")
        if len(request.rows) > most:
            raise Refusal(422, f"at most {most} rows are explained in one request.")

    async def explanations(self, request: Request) -> list[Explanation]:
        """Return why each row of a request gets its prediction, computed apart from the queue.

        Raises:
            Refusal: As `check_explained`, or too many others wait (503), or the deadline passed
                (504).
        """
        self.check_explained(request)
        limits = self._settings.limits
        if self._explaining >= limits.explaining:
            raise Refusal(503, "too many explanations are under way; come again.", RETRY)
        self._explaining += 1
        work = asyncio.get_running_loop().run_in_executor(self._explainer, self._explain, request)
        work.add_done_callback(self._explained)
        try:
            async with asyncio.timeout(limits.explanation_deadline):
                return await asyncio.shield(work)
        except TimeoutError:
            waited = f"{limits.explanation_deadline:g} seconds"
            raise Refusal(504, f"no explanation within {waited}; come again.") from None

    def _explained(self, work: asyncio.Future[Any]) -> None:
        self._explaining -= 1
        if not work.cancelled():
            work.exception()  # looked at, since nobody may wait for it any more

    def _explain(self, request: Request) -> list[Explanation]:
        found: list[Explanation] = self.run.explain(
            list(request.rows), images=self.images, limit=self._settings.limits.explained
        )
        return found

    async def close(self) -> None:
        """Free what it holds; nobody may use it any more."""
        await self.batcher.stop()
        self._explainer.shutdown(wait=False)
        self._nowhere.cleanup()
