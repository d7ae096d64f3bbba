"""The errors a person can mend: one family, one message style.

Every message says what was expected, what came, where, and how to mend it. The command line
prints the message without a traceback and exits with 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MultimodalError(ValueError):
    """Base of all errors that the caller can mend."""


class ConfigError(MultimodalError):
    """A configuration that names something unknown or contradicts itself."""


class DataError(MultimodalError):
    """A file, row, column or photo that cannot be used as it is."""


class RunError(MultimodalError):
    """A run directory that is missing, incomplete, damaged or in the way."""


class TrainingError(MultimodalError):
    """A fit cannot go on: the loss is not a number, or the memory is not enough."""


def choices(received: str, valid: Iterable[str]) -> str:
    """Return the tail of a message: the nearest spelling, then everything valid.

    Example:
    >>> choices("epoch", ["epochs", "seed"])
    "Did you mean 'epochs'? Valid: epochs, seed."
    """
    names = sorted(valid)
    near = get_close_matches(received, names, n=1, cutoff=0.6)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{hint}Valid: {', '.join(names) or '(none)'}."


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, at most 200 characters, else the error's name.

    Example:
    >>> first_line(ValueError("too long\\nby far")), first_line(EOFError())
    ('too long', 'EOFError')
    """
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
