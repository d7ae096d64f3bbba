"""Target transform: the space that a head learns numbers in, on NumPy arrays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from multimodal.core.arrays import Floats
from multimodal.core.records import Record

_MOST_LOG = 700.0  # float64 holds no exponential above 709


class TargetTransform(Record):
    """A transform with its mean and scale, as `multimodal.heads.labels` applies it to tensors.

    Args:
        transform: `none`, `standardise`, or `log1p`, a logarithm that is then standardised.
        mean: Mean of the transformed labels of the training rows.
        scale: Their standard deviation.

    Example:
    >>> space = TargetTransform(transform="log1p", mean=2.0, scale=0.5)
    >>> space.decode(space.encode([0.0, 99.0])).round(6).tolist()
    [0.0, 99.0]
    """

    transform: Literal["none", "standardise", "log1p"] = "none"
    mean: float = 0.0
    scale: float = Field(1.0, gt=0)

    @classmethod
    def of(cls, layer: Any) -> TargetTransform:
        """Return the space of a head; one that names none works in the user's units."""
        names = ("transform", "mean", "scale")
        return cls(**{name: getattr(layer, name) for name in names if hasattr(layer, name)})

    def encode(self, values: ArrayLike) -> Floats:
        """Turn numbers in the user's units into this space."""
        y = np.asarray(values, np.float64)
        if self.transform == "none":
            return y
        if self.transform == "log1p":
            y = np.log1p(np.maximum(y, 0.0))
        return np.asarray((y - self.mean) / self.scale, np.float64)

    def decode(self, values: ArrayLike) -> Floats:
        """Turn numbers of this space into the user's units; under `log1p` none is below 0."""
        y = np.asarray(values, np.float64)
        if self.transform == "none":
            return y
        y = y * self.scale + self.mean
        return np.expm1(y.clip(0.0, _MOST_LOG)) if self.transform == "log1p" else y
