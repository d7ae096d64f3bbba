"""A picture is saved and inlined."""

from __future__ import annotations

import base64
from pathlib import Path

from matplotlib.figure import Figure

from multimodal.report.plots import picture
from multimodal.report.run_files import read_files


def test_the_uri_holds_the_file(tmp_path: Path) -> None:
    found = picture(read_files(tmp_path, {}, None), Figure(figsize=(1, 1)), "a", "One dot.")
    content = (tmp_path / "plots" / "a.png").read_bytes()
    assert found.alt == "One dot."
    assert base64.b64decode(found.uri.removeprefix("data:image/png;base64,")) == content
