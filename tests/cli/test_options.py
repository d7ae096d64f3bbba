"""What commands share: a run that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from multimodal.cli.options import load_run
from multimodal.core.errors import RunError


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory"):
        load_run(tmp_path / "absent")
