"""Published weights of pretrained models, fetched when somebody asks for it, and never otherwise.

What comes is compared with the digest in the table, and what came from where is recorded beside it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from multimodal.core.errors import ConfigError, DataError, first_line
from multimodal.core.files import cache_folder, replace_any_file
from multimodal.core.pretrained import FOLDER, Published, pretrained

RECORD = "source.json"
_SECONDS, _NEWS, _BLOCK = 60.0, 10.0, 1 << 20  # of silence; between lines of news; bytes
_SPARE = 1.5  # times the size in the table: more is another file

logger = logging.getLogger(__name__)


def fetch_weights(name: str, to: str | Path | None = None) -> Path:
    """Fetch the published files of a pretrained model; how far it has come goes to the log.

    Files that are there already, and are what was fetched, are not fetched again. Each file is
    whole, or not there. Beside them lies `source.json`: licence, addresses, SHA-256, sizes, date.

    Args:
        name: A name of the table, such as `minilm`.
        to: Folder in which a folder of the model's name is made; None, the default, is the one that
            `MULTIMODAL_WEIGHTS` names, else `weights` in the cache folder, where `find_weights`
            looks, too.

    Returns:
        The folder of the files.

    Raises:
        ConfigError: The name is unknown, the model has no files that are published for it, or the
            folder cannot be written.
        DataError: A file cannot be fetched, or is not the one that the table names.
    """
    model = pretrained(name)
    if not all(file.url for file in model.files):
        raise ConfigError(
            f"{name}: nothing to fetch, any file will do. Its source: {model.source}."
        )
    logger.info(f"{name}: {model.source}; licence {model.licence}; about {model.megabytes:,} MB")
    folder = Path(to or os.environ.get(FOLDER) or cache_folder() / "weights") / name
    files: dict[str, Any] = {}
    with _written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        before = _record_of(folder)
        for file in model.files:
            known = before.get(file.name, {})
            if not _is_whole(folder / file.name, known):
                known = _fetch(file, folder, most=int(model.megabytes * _SPARE * 1e6))
            files[file.name] = known
        date = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"name": name, "licence": model.licence, "source": model.source, "date": date}
        with replace_any_file(folder / RECORD) as beside:
            beside.write_text(json.dumps({**record, "files": files}, indent=2), encoding="utf-8")
    return folder


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Raise ConfigError where something inside cannot be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise ConfigError(f"{folder}: cannot be written ({reason}). Name another folder.") from None


def _record_of(folder: Path) -> dict[str, Any]:
    """Return what is recorded of the files in a folder."""
    try:
        found = json.loads((folder / RECORD).read_text("utf-8"))["files"]
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _is_whole(path: Path, known: Any) -> bool:
    """Whether a file is the one that was recorded."""
    if not isinstance(known, dict) or not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == known.get("sha256")


def _fetch(file: Published, folder: Path, most: int) -> dict[str, Any]:
    """Fetch a file; return its address, SHA-256 and size."""
    logger.info(f"fetching {file.url}")
    published = hashlib.new("md5" if len(file.digest) == 32 else "sha256", usedforsecurity=False)
    digest, size = hashlib.sha256(), 0
    with replace_any_file(folder / file.name) as beside, beside.open("wb") as out:
        for block in _blocks(file.url, most):
            out.write(block)
            published.update(block)
            digest.update(block)
            size += len(block)
        if file.digest and published.hexdigest() != file.digest:
            raise DataError(
                f"{file.url}: expected a file of {published.name} {file.digest}, got "
                f"{published.hexdigest()}; it was not kept. Try again, or get it another way."
            )
    if not file.digest:
        logger.warning(f"{file.name}: no digest is published; that of what came is recorded")
    return {"url": file.url, "sha256": digest.hexdigest(), "bytes": size}


def _blocks(url: str, most: int) -> Iterator[bytes]:
    """Yield what lies at an address, at most so many bytes; say now and then how much it is."""
    size, told = 0, time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as response:
            if url.startswith("https:") and not response.url.startswith("https:"):
                raise DataError(f"{url}: leads to {response.url:.200}, which is not https.")
            whole = int(response.headers.get("Content-Length") or 0)
            while block := response.read(_BLOCK):
                size += len(block)
                if size > most:
                    raise DataError(f"{url}: more than {most:,} bytes; another file lies there.")
                if time.monotonic() - told > _NEWS:
                    told = time.monotonic()
                    logger.info(f"{size / 1e6:,.0f} of {whole / 1e6 or most / 1e6:,.0f} MB")
                yield block
            if size < whole:
                raise DataError(f"{url}: ended after {size:,} of {whole:,} bytes. Try again.")
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = first_line(error)
        raise DataError(
            f"{url}: cannot be fetched ({reason}). Try again where there is a network."
        ) from None
