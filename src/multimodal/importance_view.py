"""How much the error grows where a column or a modality is shuffled, as the report shows it.

`importance.json` of a run is a list of records:
`{"name": "brand", "kind": "column", "increase": 0.12, "low": 0.08, "high": 0.17}`, `increase` being
the growth of the main error as a share of itself; `head` names the head where there are several.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from multimodal.errors import RunError
from multimodal.evaluation.bootstrap import Interval
from multimodal.files import read_text

IMPORTANCE_FILE = "importance.json"
MOST_BYTES, MOST_SHOWN = 1 << 22, 20


class Importance(BaseModel):
    """One column or modality, and by which share of itself the error grows without it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    name: str
    kind: Literal["column", "modality"] = "column"
    increase: float
    low: float
    high: float
    head: str = ""

    @property
    def interval(self) -> Interval:
        """The growth with its 95 % interval."""
        return Interval(self.increase, self.low, self.high)


def read_importance(run: Path) -> list[Importance]:
    """Read `importance.json`: nothing where it is absent.

    Raises:
        RunError: The file is damaged, too large, or of another form.
    """
    path = run / IMPORTANCE_FILE
    if not path.exists():
        return []
    try:
        found = json.loads(read_text(path, most=MOST_BYTES))
        return TypeAdapter(list[Importance]).validate_python(found)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise RunError(f"{path}: not the importance of a run's columns ({reason}).") from None


def of_head(found: list[Importance], head: str) -> list[Importance]:
    """Return what stands for a head: modalities first, then columns, each the weightiest first.

    Example:
    >>> pair = [Importance(name=n, increase=i, low=0, high=1) for n, i in (("a", 0.1), ("b", 0.3))]
    >>> [each.name for each in of_head(pair, "price")]
    ['b', 'a']
    """
    mine = [each for each in found if each.head in ("", head)]
    return sorted(mine, key=lambda each: (each.kind == "column", -each.increase))[:MOST_SHOWN]
