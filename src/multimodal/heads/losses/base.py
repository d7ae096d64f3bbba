"""Base of the losses: missing labels weigh nothing, and a head may learn its own weight."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.heads.labels import known, split_raw

Tensor = Any


class HeadLoss(keras.losses.Loss):
    """Mean over the labelled rows of `compare(targets, raw)`.

    A row of sample weight 0 has no label: nothing in it counts, a NaN neither. The sum is divided
    by the sum of the weights, so one labelled row in 64 teaches as strongly as 64 do; a batch
    without any label has a loss of 0.

    Args:
        learned_weight: Whether the last column of the raw outputs is the log variance `s` that the
            head learns. A row's loss is then `exp(-s) * loss + s`.
        reduction: How Keras joins the rows.
        **kwargs: `name` and `dtype`, as in `keras.losses.Loss`.

    Attributes:
        missing: What stands for the target of a row without a label.

    References:
        Kendall et al., Multi-Task Learning Using Uncertainty to Weigh Losses, 2018.
    """

    missing = 0.0

    def __init__(
        self,
        *,
        learned_weight: bool = False,
        reduction: str = "mean_with_sample_weight",
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction=reduction, **kwargs)
        self.learned_weight = learned_weight

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        return super().__call__(known(y_true, sample_weight, self.missing), y_pred, sample_weight)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        """Return the loss `(B,)` of each row."""
        raise NotImplementedError

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        raw, log_variance = split_raw(y_pred, self.learned_weight)
        values = self.compare(y_true, raw)
        if log_variance is None:
            return values
        return ops.exp(-log_variance) * values + log_variance

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "learned_weight": self.learned_weight}
