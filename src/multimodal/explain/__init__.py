"""Why a prediction is what it is: groups, words, columns, photos and like rows; what matters.

`multimodal.explain(run, rows)` explains rows of a run: :func:`multimodal.runs.api.explain`.
Names are loaded on first use: `contributions` and `gates` of an own Keras model need no data.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from multimodal.core.verbs import make_verb

if TYPE_CHECKING:
    from multimodal.evaluation.records import Importance
    from multimodal.explain.attribution import contributions, gates
    from multimodal.explain.records import Explanation
    from multimodal.explain.rows import explain_rows

_HOMES = {
    "Explanation": "explain.records",
    "Importance": "evaluation.records",
    "contributions": "explain.attribution",
    "explain_rows": "explain.rows",
    "gates": "explain.attribution",
}

__all__ = ["Explanation", "Importance", "contributions", "explain_rows", "gates"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'multimodal.explain' has no attribute '{name}'")
    return getattr(importlib.import_module(f"multimodal.{_HOMES[name]}"), name)


make_verb(__name__, "multimodal.runs.api")
