"""The folder of a study of many fits: held by one process, bound to what was asked first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from multimodal.core.errors import RunError
from multimodal.core.files import write_text
from multimodal.core.interrupted import LOCK, check_same, locked, read_record

ASKED, FITS = "asked.json", "fits"
_BEGUN = {LOCK, f"partial-{ASKED}"}


@contextmanager
def held(out: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """Make the folder `out`, hold it, and write down what is asked; fits in it stay, come what may.

    Args:
        out: The folder: new, empty, or of a study that was asked the same.
        asked: Plain JSON: the config, the data, whatever makes a fit another fit.

    Raises:
        RunError: It cannot be made or written, another process holds it, or it is of something
            else.

    Example:
    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp(), "study")
    >>> with held(out, {"config": 1}):
    ...     (out / FITS).mkdir()
    >>> with held(out, {"config": 1}):
    ...     pass
    """
    _check(out)
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out}: cannot be made ({error.strerror}). Name another --out.") from None
    try:
        with locked(out):
            before = _check(out)
            if before is None:
                write_text(out / ASKED, json.dumps(asked, indent=2, ensure_ascii=False))
            else:
                check_same(out, before, asked)
            yield
    except OSError as error:
        raise RunError(
            f"{out}: cannot be written ({error.strerror or error}). Make room, or name another "
            "--out; the same command goes on with what is there."
        ) from None
    finally:
        if not any((out / FITS).glob("*")):  # nothing to go on from
            _clear(out, made)


def _clear(out: Path, made: bool) -> None:
    with suppress(OSError):
        if {path.name for path in out.iterdir()} <= {ASKED, *_BEGUN}:
            (out / ASKED).unlink(missing_ok=True)
        if made:
            out.rmdir()


def _check(out: Path) -> dict[str, Any] | None:
    """Return what the study in `out` was asked for, None of a new one."""
    before = read_record(out, ASKED)
    if before is not None:
        return before
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= _BEGUN):
        raise RunError(
            f"{out}: already there and not empty. Name another --out, or remove it first."
        )
    return None
