"""Pictures on a page: a file among the plots of the run, a data URI, and its words."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from multimodal.report import plots
from multimodal.report.run_files import RunFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Picture(NamedTuple):
    """A picture for a page: where it is, and what it shows, in numbers."""

    uri: str
    alt: str


def picture(run: RunFiles, figure: Figure, name: str, words: str) -> Picture:
    """Save a figure as `plots/<name>.png` of the run and return it for the page."""
    path = plots.save(figure, run.path / "plots" / f"{name}.png")
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return Picture(f"data:image/png;base64,{content}", words)
