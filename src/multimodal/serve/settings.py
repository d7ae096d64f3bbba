"""What a server is told when it starts: what to serve, for whom, and up to which limits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from multimodal.core.errors import ConfigError

TOKEN_VARIABLE = "MULTIMODAL_TOKEN"
MOST_TOKEN = 4096  # bytes of a file that holds a token


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take.

    Args:
        body: Bytes of a request's body, as they come.
        rows: Rows of one request.
        letters: Letters of the texts of a request, together; one text may have a tenth of them.
            Reading them takes seconds a million. Photos in base64 are bounded by the body alone.
        explained: Rows of one request that are explained.
        queue: Rows that wait to be predicted; further requests are told to come again.
        explaining: Requests that wait to be explained, or are.
        deadline: Seconds that a body may take to arrive, and then its predictions to be made.
        explanation_deadline: Seconds that explanations may take; each row takes some.
        bodies: Bytes of all bodies that are held at once.
        connections: Open connections.
    """

    body: int = 32 * 2**20
    rows: int = 1000
    letters: int = 2_000_000
    explained: int = 8
    queue: int = 2000
    explaining: int = 4
    deadline: float = 30.0
    explanation_deadline: float = 120.0
    bodies: int = 512 * 2**20
    connections: int = 1000


@dataclass(frozen=True)
class Settings:
    """What a server serves, and how.

    Args:
        source: A run directory, or a folder of runs: `NAME` or `NAME/VERSION` below it.
        images: Folder in which photos are looked up that a request names by path; without it none
            are, and photos come inside requests alone.
        token_file: File that holds the token each request must show; without it the environment
            variable `MULTIMODAL_TOKEN` does, and without that there is no token.
        limits: What requests may take.
        poll: Seconds between two looks for new versions.
    """

    source: Path
    images: Path | None = None
    token_file: Path | None = None
    limits: Limits = field(default_factory=Limits)
    poll: float = 2.0

    def token(self) -> str | None:
        """Return the token that requests must show, None where none is set.

        Raises:
            ConfigError: The file cannot be read, or the token is empty or has other characters
                than printable ASCII, which no header carries.
        """
        place = TOKEN_VARIABLE
        found = os.environ.get(TOKEN_VARIABLE)
        if self.token_file is not None:
            place = str(self.token_file)
            try:
                with self.token_file.open("rb") as file:
                    found = file.read(MOST_TOKEN).decode("utf-8", "replace").strip()
            except OSError as error:
                raise ConfigError(f"{place}: cannot be read ({error.strerror}).") from None
        if found is None:
            return None
        if not found or not found.isascii() or not found.isprintable() or " " in found:
            raise ConfigError(
                f"{place}: expected a token of printable ASCII characters without blanks."
            )
        return found
