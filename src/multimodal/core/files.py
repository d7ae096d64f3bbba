"""Atomic writing of files, reading with a limit, and checksums.

A file is written beside its path, forced to the disk, then renamed: Keras and NumPy truncate a file
in place, so a full disk would destroy the old one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; when the block ends, it takes the place of `path`.

    The new file and its folder are forced to the disk, so that after a crash either the old file
    or the whole new one is there. If the block raises, as it does on a full disk, the old file
    stays untouched and nothing new remains. One process at a time may replace a path.

    Args:
        path: The file to write; its folder must exist.

    Raises:
        OSError: The disk is full, the folder missing or read-only.

    Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "answer.txt")
    >>> with replace_file(path) as beside:
    ...     _ = beside.write_text("42")
    >>> path.read_text()
    '42'
    """
    path = Path(path)
    beside = path.with_name(f"partial-{path.name}")
    beside.unlink(missing_ok=True)  # what a killed process left, or a link laid there
    try:
        yield beside
        force(beside)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    force(path.parent)


@contextmanager
def replace_any_file(path: str | Path) -> Iterator[Path]:
    """As `replace_file`, in a folder of the user's, in which no other file is touched.

    A link is followed, and a file that is there keeps its permissions.

    Raises:
        OSError: The disk is full, the folder missing or read-only.

    Example:
    >>> path = Path(tempfile.mkdtemp(), "answer.txt")
    >>> with replace_any_file(path) as beside:
    ...     _ = beside.write_text("42")
    >>> path.read_text()
    '42'
    """
    path = Path(os.path.realpath(path))
    # on the same disk, since a file is renamed within one
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
        beside = Path(folder, path.name)
        yield beside
        if path.exists():
            shutil.copymode(path, beside)
        force(beside)
        beside.replace(path)
    force(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file so that it is whole or not there; see `replace_file`."""
    with replace_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def read_text(path: str | Path, *, most: int) -> str:
    """Read a UTF-8 text file of at most `most` bytes.

    Raises:
        OSError: The file is missing, larger, or no plain file (a pipe would never end).
        UnicodeDecodeError: It is not UTF-8.
    """
    # O_NONBLOCK: to open a pipe without a writer would wait for ever. What is asked of the open
    # file is true of what is read: its path may name another file by then.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        if found.st_size > most:
            reason = f"it has {found.st_size:,} bytes; at most {most:,} are read"
            raise OSError(errno.EFBIG, reason, str(path))
        return file.read().decode("utf-8")


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits, read piece by piece."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def force(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    if os.name != "posix" and path.is_dir():  # only POSIX opens folders
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Throw away what is written to standard error meanwhile, by C++ libraries, too.

    XLA, oneDNN, CUDA and the converters of graphs write to the file descriptor, past `sys.stderr`
    and every Python setting.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def cache_folder() -> Path:
    """Return `MULTIMODAL_CACHE`, else the folder of this package below the user's cache folder."""
    if own := os.environ.get("MULTIMODAL_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multimodal"
