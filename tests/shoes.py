"""Rows of a colour, a size and a title, and the spec that a model of them is fitted with."""

from __future__ import annotations

import numpy as np
import pandas as pd

from multimodal.core.spec import FittedSpec

FRAME = pd.DataFrame(
    {
        "colour": ["red", "blue", "red", "green", None, "blue"],
        "size": [1.0, 2.0, 3.0, 4.0, np.nan, 6.0],
        "title": ["a red shoe", "blue shoe", "a red red shoe", "shoe of 12", "", "a red red shoe"],
    }
)
SPEC = FittedSpec.model_validate(
    {
        "groups": [
            {
                "name": "table",
                "modality": "tabular",
                "columns": ["colour", "size"],
                "numeric": [
                    {"name": "size", "source": "size", "centre": 3, "scale": 2, "bins": [-1, 0, 1]}
                ],
                "categorical": [
                    {"name": "colour", "source": "colour", "categories": ["red", "blue"]}
                ],
            },
            {"name": "title", "modality": "text", "columns": ["title"], "lengths": [8]},
        ],
        "heads": [],
    }
)
