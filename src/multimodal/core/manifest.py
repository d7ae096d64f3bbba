"""Manifest of a run directory: size and SHA-256 of every file, written last, checked first."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from multimodal.core.errors import RunError
from multimodal.core.files import sha256_of, write_text
from multimodal.core.interrupted import CHECKPOINTS, RECORD
from multimodal.core.records import Record, read_json

MANIFEST = "manifest.json"
MOST_BYTES = 1 << 24
_Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
_AGAIN = (
    "Copy the run directory again. If the change is yours, and you trust every file, write the "
    "manifest anew: `multimodal.write_manifest({!r})`."
)


class _Entry(Record):
    size: int = Field(ge=0)
    sha256: _Digest


class _Manifest(Record):
    version: Literal[1] = 1
    files: dict[str, _Entry]


def write_manifest(folder: str | Path) -> None:
    """Write `manifest.json`: size and SHA-256 of every plain file below `folder`.

    Links, hidden files, what is still being written (`partial-…`), and the record and checkpoints
    of an unfinished run are left out.

    Raises:
        OSError: A file cannot be read, or the manifest not written.

    Example:
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "config.json").write_text("{}")
    >>> write_manifest(folder)
    >>> check_manifest(folder, ["config.json"])
    """
    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): _Entry(
            size=path.stat().st_size, sha256=sha256_of(path)
        )
        for path in sorted(folder.rglob("*"))
        if _is_plain(path)
        and not path.name.startswith((".", "partial-"))
        and path.relative_to(folder).parts[0] not in (MANIFEST, RECORD, CHECKPOINTS)
    }
    write_text(folder / MANIFEST, _Manifest(files=files).model_dump_json(indent=2) + "\n")


def check_manifest(folder: str | Path, names: Iterable[str]) -> None:
    """Raise RunError unless the files `names` are those that the manifest of `folder` lists.

    Other files may have changed, come or gone: a report may be edited, notes added. No entry may
    lead out of the folder.

    Args:
        folder: The run directory.
        names: Files that are about to be read, relative to it.

    Raises:
        RunError: The manifest is missing or damaged; a file is missing, a link, not listed, or
            another than when the manifest was written.
    """
    folder = Path(folder)
    listed = _read(folder).files
    for name in listed:
        if PurePosixPath(name).is_absolute() or {"..", ""} & set(name.split("/")) or "\\" in name:
            raise RunError(f"{folder / MANIFEST}: '{name}' leads out of the run directory.")
    for name in names:
        _check(folder, name, listed.get(name))


def is_listed(folder: str | Path, name: str) -> bool:
    """Whether the manifest of `folder` lists the file `name`.

    Raises:
        RunError: The manifest is missing or damaged.
    """
    return name in _read(Path(folder)).files


def listed_files(folder: str | Path) -> list[Path]:
    """Return the files that the manifest of `folder` lists, none where there is no manifest.

    Raises:
        RunError: The manifest is damaged.
    """
    folder = Path(folder)
    return [folder / name for name in _read(folder).files] if (folder / MANIFEST).exists() else []


def _check(folder: Path, name: str, entry: _Entry | None) -> None:
    path, again = folder / name, _AGAIN.format(str(folder))
    if entry is None:
        raise RunError(f"{path}: not in {MANIFEST}; it was added later. {again}")
    if not _is_plain(path):
        found = "is missing" if not path.exists() and not path.is_symlink() else "is no plain file"
        raise RunError(f"{path}: {found}, but stands in {MANIFEST}. {again}")
    try:
        size = path.stat().st_size
        # The size first: of a file that has grown to gigabytes no byte is read.
        if size != entry.size:
            found = f"it has {size:,} bytes; expected {entry.size:,}"
        elif sha256_of(path) != entry.sha256:
            found = "its SHA-256 is another"
        else:
            return
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}).") from None
    raise RunError(f"{path}: changed since {MANIFEST} was written; {found}. {again}")


def _read(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    if not path.exists() and not path.is_symlink():
        raise RunError(
            f"{path}: missing, so nothing says that the files are whole. "
            f"{_AGAIN.format(str(folder))}"
        )
    if not _is_plain(path):
        raise RunError(f"{path}: expected a plain file, not a link, folder or pipe.")
    return read_json(_Manifest, path, most=MOST_BYTES, mend=_AGAIN.format(str(folder)))


def _is_plain(path: Path) -> bool:
    """Whether there is a file that is no link, folder, pipe or device."""
    # A link may lead out of the directory, and reading a pipe may never end.
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False
