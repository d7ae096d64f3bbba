"""Jinja templates of pages and cards: one environment for all that is rendered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from multimodal.core.formatting import DASH, duration, rough_percent, short_number


def template(name: str, *, autoescape: bool = True, **filters: Callable[..., str]) -> Any:
    """Return a Jinja template of `core/templates`, in which a name without a value is an error.

    Args:
        name: The file, such as `report.html.j2`.
        autoescape: Whether values are escaped as HTML: yes, but for pages in another language.
        filters: Filters of this template beside `percent`, `short` and `duration`.
    """
    # Most commands render nothing: Jinja is imported by those that do.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("multimodal.core"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": rough_percent,
        "short": lambda value: DASH if value is None else short_number(value, 3),
        "duration": duration,
        **filters,
    }
    return environment.get_template(name)
