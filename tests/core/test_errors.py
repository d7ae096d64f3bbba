"""The family of errors and the tail of their messages."""

from __future__ import annotations

import pytest

from multimodal.core.errors import (
    ConfigError,
    DataError,
    MultimodalError,
    RunError,
    choices,
    first_line,
)


@pytest.mark.parametrize("error", [ConfigError, DataError, RunError])
def test_one_family(error: type[Exception]) -> None:
    assert issubclass(error, MultimodalError)
    assert issubclass(error, ValueError)


@pytest.mark.parametrize(
    ("received", "valid", "expected"),
    [
        ("epoch", ["seed", "epochs"], "Did you mean 'epochs'? Valid: epochs, seed."),
        ("zzz", ["b", "a"], "Valid: a, b."),
        ("x", [], "Valid: (none)."),
        ("", {"a"}, "Valid: a."),
    ],
)
def test_choices(received: str, valid: list[str], expected: str) -> None:
    assert choices(received, valid) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("one\ntwo"), "one"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (OSError("x" * 300), "x" * 200),
    ],
)
def test_first_line(error: BaseException, expected: str) -> None:
    assert first_line(error) == expected
