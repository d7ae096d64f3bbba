"""Base of the metrics: a mean over the labelled rows, by their weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import known, split_raw

Tensor = Any


class HeadMetric(keras.metrics.Mean):
    """Mean over the rows of `compare(targets, raw)`, over any number of batches.

    Use it among `weighted_metrics`: a row of weight 0 has no label, and nothing in it counts.

    Args:
        learned_weight: Whether the last column of the raw outputs is the head's log variance.
        **kwargs: `name` and `dtype`, as in `keras.metrics.Metric`.

    Attributes:
        missing: What stands for the target of a row without a label.
    """

    missing = 0.0

    def __init__(self, *, learned_weight: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.learned_weight = learned_weight

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        """Return the value `(B,)` of each row."""
        raise NotImplementedError

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        raw, _ = split_raw(y_pred, self.learned_weight)
        values = self.compare(known(y_true, sample_weight, self.missing), ops.cast(raw, "float32"))
        super().update_state(values, sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "learned_weight": self.learned_weight}
