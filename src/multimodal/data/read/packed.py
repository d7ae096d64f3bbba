"""Files as they lie on disk, or packed: `.gz`, and `.zip` archives that hold one file."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from multimodal.core.errors import DataError, first_line

PACKED_SUFFIXES = (".gz", ".zip")
DAMAGED = (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile)
MOST_UNPACKED, MOST_RATIO = 2**30, 100  # bytes, and times the packed ones; tables reach about 30


class Content(NamedTuple):
    """The bytes of a table's file, unpacked.

    Args:
        path: the file, as messages name it.
        suffix: what the name of the unpacked file ends in, in lower case.
        open: opens the bytes to be read; each call starts anew.
    """

    path: Path
    suffix: str
    open: Callable[[], IO[bytes]]


def content_of(path: Path) -> Content:
    """Return the content of a regular file, of one in gzip, or of the one in a ZIP archive.

    Raises:
        DataError: the archive is damaged or locked, or holds none or several files.

    Example:
    >>> content_of(Path("prices.csv.gz")).suffix
    '.csv'
    """
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return Content(path, Path(path.stem).suffix.lower(), lambda: _opened(path, _gunzipped))
    if suffix == ".zip":
        return _zipped(path)
    return Content(path, suffix, lambda: _opened(path, _plain))


def whole(content: Content) -> io.BytesIO:
    """Return all bytes of a file, where a format is read by going back and forth in them."""
    try:
        with content.open() as file:
            return io.BytesIO(file.read())
    except (*DAMAGED, OSError) as error:
        raise damaged(content.path, error) from None


def damaged(path: Path, error: BaseException) -> DataError:
    """Return the error of a file that cannot be unpacked or read."""
    reason = getattr(error, "strerror", None)
    if reason is not None:
        return DataError(f"{path}: cannot be read ({reason}).")
    what = "ZIP" if path.suffix.lower() == ".zip" else path.suffix.lower().lstrip(".")
    return DataError(
        f"{path}: not a complete {what} file ({first_line(error)}). Copy or write it again."
    )


class _Bounded(io.RawIOBase):
    """What is unpacked from a file, read up to a limit, beyond which it is no table."""

    def __init__(self, path: Path, packed: IO[bytes] | gzip.GzipFile) -> None:
        self._path, self._packed, self._read = path, packed, 0
        self._most = max(MOST_UNPACKED, MOST_RATIO * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._packed.read(len(buffer))
        buffer[: len(data)] = data
        self._read += len(data)
        if self._read > self._most:
            raise DataError(
                f"{self._path}: more than {self._most / 2**30:,.0f} GiB when unpacked, more than "
                f"{MOST_RATIO} times its size. Unpack it yourself if that is right."
            )
        return len(data)

    def close(self) -> None:
        self._packed.close()
        super().close()


def _opened(path: Path, opener: Callable[[Path], IO[bytes]]) -> IO[bytes]:
    try:
        return opener(path)
    except OSError as error:
        raise damaged(path, error) from None


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _gunzipped(path: Path) -> IO[bytes]:
    return io.BufferedReader(_Bounded(path, gzip.open(path)))


def _zipped(path: Path) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [each for each in archive.infolist() if not _is_by_the_way(each.filename)]
    except (*DAMAGED, OSError) as error:
        raise damaged(path, error) from None
    if len(inside) != 1:
        names = ", ".join(each.filename for each in inside[:5]) or "none"
        raise DataError(
            f"{path}: expected one table inside, got {len(inside)} files ({names}). Unpack it and "
            "name the one to read."
        )
    if inside[0].flag_bits & 1:
        raise DataError(f"{path}: locked with a password. Unpack it first.")

    def unzipped(path: Path) -> IO[bytes]:
        return io.BufferedReader(_Bounded(path, zipfile.ZipFile(path).open(inside[0])))

    suffix = PurePosixPath(inside[0].filename).suffix.lower()
    return Content(path, suffix, lambda: _opened(path, unzipped))


def _is_by_the_way(name: str) -> bool:
    """Whether an archive holds a folder, or what a system adds to each file."""
    return name.endswith("/") or name.startswith("__MACOSX/") or name.endswith(".DS_Store")
