"""Interruption of runs: the lock and record of an unfinished one, and signals.

While a run works, its directory holds a lock, which ends with the process however that ends, and a
record of what was asked; the same command goes on where the record is of the same. The record goes
when the run is finished. SIGTERM ends a training after its step with a checkpoint and exit code
143, Ctrl-C with the best weights so far; outside of steps both end the process at once.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.config import current_keys
from multimodal.core.errors import RunError, first_line
from multimodal.core.files import read_text, write_text
from multimodal.core.formatting import shortened

MODEL, RECORD, LOCK, CHECKPOINTS = "model.keras", "unfinished.json", ".lock", "checkpoints"
MOST_BYTES = 1 << 24
# as a shell reports a process that SIGTERM has ended
EXIT_CODE = 128 + signal.SIGTERM
Plain = dict[str, Any]
_BEGUN = {LOCK, f"partial-{RECORD}"}  # what a kill may leave before anything is recorded
# What a record says of the data themselves: the start of the key, and what a change of it means.
_RAW = {
    "data.cells.": "the cells of column '{}' are other ones",
    "data.files.": "the file {} is another",
    "data.photos": "the photos are other ones",
}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def read_record(out: Path, name: str = RECORD) -> Plain | None:
    """Return what the unfinished run in `out` was asked for; None where there is none.

    `name` is that of the record's file.

    Raises:
        RunError: The record is damaged.
    """
    try:
        record = json.loads(read_text(out / name, most=MOST_BYTES))
        if not isinstance(record, dict):
            raise ValueError("not a record")
        if isinstance(record.get("config"), dict):
            record["config"] = current_keys(record["config"])
        if not all(isinstance(each, float) for each in record.get("budget", {}).values()):
            raise ValueError("`budget` holds more than seconds")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise RunError(
            f"{out / name}: damaged ({first_line(error)}). Remove {out} and train anew."
        ) from None
    return record


def check_out(out: Path) -> Plain | None:
    """Raise RunError unless `out` is new, empty or an unfinished run, and can be written.

    Returns:
        What the unfinished run was asked for.
    """
    before = read_record(out)
    if before is None and out.exists() and not (out.is_dir() and _names(out) <= _BEGUN):
        raise RunError(
            f"{out}: already there and not empty. Name another --out, or remove it first."
        )
    parent = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not parent.is_dir():
        raise RunError(f"{out}: {parent} is a file, not a folder. Name another --out.")
    if not os.access(parent, os.W_OK):
        raise RunError(f"{parent}: cannot be written. Name another --out.")
    return before


def _names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


def write_record(out: Path, record: Plain) -> None:
    """Write down what a run is asked for."""
    write_text(out / RECORD, json.dumps(record, indent=2, ensure_ascii=False))


def check_same(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise RunError that names what differs between an unfinished run and what is asked now.

    Only what both know is compared: the data's part is known once they are prepared.
    """
    old, new = _flat(before), _flat(now)
    compared = [key for key in sorted(old.keys() | new.keys()) if key.split(".")[0] in now]
    changed = [key for key in compared if key != "command" and old.get(key) != new.get(key)]
    if not changed:
        return
    raw = [key for key in changed if key.startswith((*_RAW, "data.rows"))]
    # What is made of other cells is other, too: the cells alone say what has changed.
    changed = [key for key in changed if not raw or key in raw or not key.startswith("data.")]
    changed.sort(key=lambda key: key != "data.rows")
    shown = "; ".join(_change(key, old.get(key), new.get(key)) for key in changed[:3])
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    raise RunError(
        f"{out}: an unfinished run of something else lies here: {shown}{more}. Run the command it "
        "was started with to go on, name another --out, or remove the directory."
    )


def _change(key: str, before: Any, now: Any) -> str:
    """Say what differs; digests of data are no words for a person."""
    for start, words in _RAW.items():
        if key.startswith(start):
            return words.format(key.removeprefix(start))
    return f"{key} was {_short(before)}, is {_short(now)}"


def finished(out: Path) -> None:
    """Remove the checkpoints, then the record: the run is complete.

    The record is the last to go: as long as it is there, the same command goes on.
    """
    _remove(out / CHECKPOINTS, (".npz", ".partial"))
    (out / RECORD).unlink(missing_ok=True)


def _remove(path: Path, suffixes: tuple[str, ...] = ("",)) -> None:
    """Remove a file, or what a folder holds of some suffixes, and the folders left empty."""
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            _remove(entry, suffixes)
        with suppress(OSError):  # something else lies there
            path.rmdir()
    elif path.name.endswith(suffixes):
        path.unlink(missing_ok=True)


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and content, 16 digits of it."""
    found = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    # The bytes of objects are addresses, others in each process.
    if array.dtype.hasobject:
        found.update(json.dumps(array.tolist(), default=_content).encode())
    else:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]


def _content(cell: Any) -> str:
    """Return what an object in a cell holds; arrays and images print a part, or an address."""
    if hasattr(cell, "tobytes"):
        return hashlib.sha256(cell.tobytes()).hexdigest()
    return str(cell)


@contextmanager
def claimed(out: Path, now: Plain, own: Collection[str] = ()) -> Iterator[None]:
    """Make the folder `out` and hold it; if what is done inside fails, leave what was there.

    Where there is something to go on from, a record and checkpoints, all stays. Else those of its
    `own` files go that were not there before; what somebody has laid beside them stays.

    Args:
        out: The folder.
        now: What is asked now; an unfinished run in `out` must be of the same.
        own: Names of the files and folders that are written inside before there is a checkpoint,
            besides the record.

    Raises:
        RunError: It cannot be made, another process holds it, something else lies in it, or the
            disk is full.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out}: cannot be made ({error.strerror}). Name another --out.") from None
    with locked(out):
        before = check_out(out)  # another process may have finished a run since it was looked at
        if before is not None:
            check_same(out, before, now)
        there = _names(out) - {LOCK}
        try:
            yield
        except BaseException as error:
            if not any((out / CHECKPOINTS).glob("*")) and not (out / MODEL).exists():
                _clear(out, {RECORD, CHECKPOINTS, LOCK, *own} - there, made)
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise RunError(
                    f"{out}: cannot be written ({error.strerror}). Make room; the same command "
                    "goes on with what is there."
                ) from None
            raise


def _clear(out: Path, names: Collection[str], made: list[Path]) -> None:
    for name in names:
        _remove(out / name)
        _remove(out / f"partial-{name}")
    for folder in made:
        with suppress(OSError):  # something else lies there by now
            folder.rmdir()


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the folder `out` against other processes; raise RunError where one has it."""
    path = out / LOCK
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder removes the file: then this lock is on a file that nobody else sees.
            if os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            raise RunError(
                f"{out}: another process is training into it. Wait for it, or name another --out."
            ) from None
        except OSError as error:
            raise RunError(
                f"{path}: cannot be locked ({error.strerror}). Name an --out on another disk."
            ) from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _flat(values: Any, prefix: str = "") -> Plain:
    """Return nested values by dotted path."""
    pairs = enumerate(values) if isinstance(values, list) else values.items()
    found: Plain = {}
    for key, value in pairs:
        path = f"{prefix}{key}"
        if isinstance(value, dict | list) and value:
            found |= _flat(value, f"{path}.")
        else:
            found[path] = value
    return found


def _short(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False, default=str), 59)


class Termination:
    """What signals ask of this process, and how it ends.

    While `waiting`, a first SIGTERM only sets `asked`, a first Ctrl-C `interrupted`: whoever waits
    looks at them. Python ignores an exception that a handler raises while an object is destroyed.
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
