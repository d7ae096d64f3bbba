"""The models of a server: found in a folder, loaded when they verify, replaced without a gap.

A folder is a run itself, or holds `NAME`, a run, or `NAME/VERSION`, a run for each version. Of each
name the newest version that verifies is served: one that is still being copied or is damaged does
not, and the one before stays. The old model answers until the new one is loaded and compiled, and
is freed when its last request is answered.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import multimodal
from multimodal.core.errors import MultimodalError, RunError, choices, first_line
from multimodal.core.manifest import MANIFEST
from multimodal.serve.exchange import RETRY, Refusal
from multimodal.serve.model import ServedModel
from multimodal.serve.observe import Metrics, log, without_chatter
from multimodal.serve.settings import Settings

_NUMBER = re.compile(r"(\d+)")
MOST_FILES = 10_000  # of a run that are looked at for a change
_PAGES = (".html", ".md", ".csv")  # beside the model, and may be edited


@dataclass(frozen=True)
class Version:
    """A run directory under the name and version that requests call it."""

    name: str
    version: str
    path: Path


def find_versions(source: Path) -> dict[str, list[Version]]:
    """Return the versions of each model below a folder, the newest first.

    Numbers in versions are compared as numbers: 10 is newer than 9, `2026-10` than `2026-9`.

    Example:
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("price/9", "price/10", "mood"):
    ...     (folder / name).mkdir(parents=True)
    ...     _ = (folder / name / "manifest.json").write_text("{}")
    >>> {name: [each.version for each in found] for name, found in find_versions(folder).items()}
    {'mood': ['1'], 'price': ['10', '9']}
    """
    if _is_run(source):
        name = source.resolve().name or "model"
        return {name: [Version(name, "1", source)]}
    found: dict[str, list[Version]] = {}
    for folder in _folders(source):
        if _is_run(folder):
            found[folder.name] = [Version(folder.name, "1", folder)]
            continue
        versions = [Version(folder.name, each.name, each) for each in _folders(folder)]
        versions = [each for each in versions if _is_run(each.path)]
        if versions:
            found[folder.name] = sorted(versions, key=_newest, reverse=True)
    return found


def check_source(source: Path) -> None:
    """Raise RunError unless a folder is a run or holds some, before anything is loaded."""
    if not source.is_dir():
        raise RunError(f"{source}: no such folder. Give a run directory, or a folder of runs.")
    if not find_versions(source):
        raise RunError(
            f"{source}: holds no run. Expected a run directory, which has a {MANIFEST}, or "
            "NAME or NAME/VERSION below it that are."
        )


def load_run(path: Path) -> Any:
    """Return the run in a folder; what its libraries have to say as they are loaded is left out."""
    with without_chatter():
        return multimodal.load(path)


def _folders(folder: Path) -> list[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in inside if path.is_dir() and not path.name.startswith(".")]


def _is_run(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def _newest(version: Version) -> list[tuple[int, int, str]]:
    parts = _NUMBER.split(version.version)
    return [(1, int(p), "") if p.isdigit() and p.isascii() else (0, 0, p) for p in parts if p]


class Repository:
    """The models that are served now.

    Args:
        settings: The server's.
        metrics: Told of batches.
        load: From a run directory to what predicts; `multimodal.load` by default.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, load: Callable[[Path], Any] | None = None
    ) -> None:
        self.settings = settings
        self.models: dict[str, ServedModel] = {}
        self.loaded = False  # whether all that was found at first has been tried
        self._metrics = metrics
        self._load = load or load_run
        self._marks: dict[str, tuple[Path, Any]] = {}  # of what is served, by name
        self._failed: dict[Path, Any] = {}  # marks of runs that do not verify
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """Whether requests can be answered."""
        return self.loaded and bool(self.models)

    @asynccontextmanager
    async def use(self, name: str | None, version: str | None = None) -> AsyncIterator[ServedModel]:
        """Give a model, which is not freed until the block ends.

        Args:
            name: Its name; None is the only one.
            version: Its version; None is the one that is served.

        Raises:
            Refusal: There is no such model (404), none is named among several (422), or none is
                loaded as yet (503).
        """
        model = self._find(name, version)
        model.users += 1
        try:
            yield model
        finally:
            model.users -= 1

    def _find(self, name: str | None, version: str | None) -> ServedModel:
        if not self.loaded:
            raise Refusal(503, "the models are still being loaded; come again.", RETRY)
        if name is None:
            if len(self.models) != 1:
                raise Refusal(422, f"name a model. {choices('', self.models)}")
            name = next(iter(self.models))
        model = self.models.get(name)
        if model is None:
            raise Refusal(404, f"no model {name[:100]!r} is served. {choices(name, self.models)}")
        if version is not None and version != model.version:
            raise Refusal(
                404,
                f"version {version[:100]!r} of model '{name}' is not served; the newest that "
                f"verifies is, {model.version}.",
            )
        return model

    async def watch(self) -> None:
        """Load what is there, then whatever is new, until cancelled."""
        while True:
            try:
                await self.refresh()
            except Exception as error:  # a folder may vanish while it is looked at
                log("refresh_failed", level="error", reason=type(error).__name__)
            self.loaded = True
            await asyncio.sleep(self.settings.poll)

    async def refresh(self) -> None:
        """Take in new versions, and those that were changed; drop models that are gone."""
        found = await asyncio.to_thread(find_versions, self.settings.source)
        for name, versions in found.items():
            await self._take_newest(name, versions)
        for name in [name for name in self.models if name not in found]:
            self._replace(name, None)

    async def _take_newest(self, name: str, versions: list[Version]) -> None:
        served = self._marks.get(name)
        for version in versions:
            mark = await asyncio.to_thread(_mark_of, version.path)
            if served == (version.path, mark):
                return
            if self._failed.get(version.path) == mark:
                continue
            model = await self._try(version, mark)
            if model is not None:
                self._replace(name, model)
                self._marks[name] = version.path, mark
                return
            if served is not None and served[0] == version.path:
                return  # changed in place and damaged: what was loaded from it answers on

    async def _try(self, version: Version, mark: Any) -> ServedModel | None:
        """Return a version as it is loaded, None where it does not verify."""
        started = time.monotonic()
        try:
            model = await asyncio.to_thread(self._load_version, version)
        except Exception as error:
            known = isinstance(error, MultimodalError)
            why = first_line(error) if known else type(error).__name__
            self._failed[version.path] = mark
            log(
                "not_loaded", level="error", model=version.name, version=version.version, reason=why
            )
            return None
        model.batcher.start()
        seconds = round(time.monotonic() - started, 3)
        log("loaded", model=version.name, version=version.version, seconds=seconds)
        return model

    def _load_version(self, version: Version) -> ServedModel:
        run = self._load(version.path)
        name = version.name
        observe = self._metrics.observe_batch
        return ServedModel(name, version.version, version.path, run, self.settings, observe)

    def _replace(self, name: str, model: ServedModel | None) -> None:
        """Put a model in the place of the one of its name, which is freed once it is idle."""
        old = self.models.get(name)
        if model is None:
            self.models.pop(name, None)
            self._marks.pop(name, None)
            log("unloaded", model=name)
        else:
            self.models[name] = model
        if old is not None:
            task = asyncio.create_task(_retire(old))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Free all models; no request is under way any more."""
        self.loaded = False
        models, self.models = list(self.models.values()), {}
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(model.close() for model in models))


async def _retire(model: ServedModel) -> None:
    while model.users:
        await asyncio.sleep(0.05)
    await model.close()


def _mark_of(folder: Path) -> Any:
    """Return what changes when a file of a run does: names, sizes and times."""

    def marks() -> Iterator[tuple[str, int, int]]:
        for place, _, names in os.walk(folder):
            for name in (each for each in names if not each.endswith(_PAGES)):
                path = os.path.join(place, name)
                status = os.stat(path, follow_symlinks=False)
                yield path, status.st_size, status.st_mtime_ns

    found = []
    try:
        for mark in marks():
            found.append(mark)
            if len(found) >= MOST_FILES:
                break
    except OSError:  # a file went while the folder was read: another look will tell
        return None
    return tuple(sorted(found))
