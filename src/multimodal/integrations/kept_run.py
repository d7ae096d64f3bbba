"""A run that belongs to an object: in a temporary directory, and in pickles as the files' bytes."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
import weakref
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

from multimodal.core.errors import RunError
from multimodal.runs.run import Run, load

FOLDER = "run"  # in the temporary directory


class KeptRun:
    """A run directory that goes when this object does, and travels as bytes.

    A pickle holds a zip archive of the directory. Unpickling executes nothing of it: the files are
    written to a temporary directory when the run is first asked for, and read by `load`, which
    checks each before it is used.

    Example:
        kept = KeptRun()
        train(rows, "price", out=kept.path)
        pickle.loads(pickle.dumps(kept)).run.predict(rows)
    """

    def __init__(self) -> None:
        self._files = b""  # of a pickle, until they are on the disk
        self._make_folder()

    def _make_folder(self) -> None:
        self._lock = threading.Lock()
        self._folder = tempfile.mkdtemp(prefix="multimodal-")
        weakref.finalize(self, _remove, self._folder, os.getpid())

    @property
    def path(self) -> Path:
        """The run directory; training makes it."""
        return Path(self._folder, FOLDER)

    @cached_property
    def run(self) -> Run:
        """The loaded run."""
        with self._lock:
            if self._files:
                _unpack(self._files, self.path)
                self._files = b""
        return load(self.path)

    def files(self) -> bytes:
        """Return the files of the run as a zip archive, uncompressed as weights do not shrink."""
        if self._files:
            return self._files
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(self.path.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(self.path).as_posix())
        return packed.getvalue()

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._files = state["files"]
        self._make_folder()


def _unpack(files: bytes, folder: Path) -> None:
    """Write the files of an archive; raise RunError where it would grow, or leave the folder."""
    try:
        with zipfile.ZipFile(io.BytesIO(files)) as archive:
            for info in archive.infolist():
                target = (folder / info.filename).resolve()
                grows = info.file_size > info.compress_size or info.file_size > len(files)
                if grows or not target.is_relative_to(folder.resolve()):
                    raise RunError(f"the pickled run is damaged: it holds '{info.filename:.100}'.")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(info))
    except zipfile.BadZipFile as error:
        raise RunError(f"the pickled run is damaged ({error}). Pickle it again.") from None


def _remove(folder: str, process: int) -> None:
    # A forked process has a copy of the object, but the folder is its parent's.
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
