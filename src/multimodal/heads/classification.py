"""Classification: one of two classes, one of several, or several labels at once."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from multimodal.core.spec import FittedHead
from multimodal.heads.labels import split_raw
from multimodal.heads.losses import (
    BinaryCrossentropy,
    MulticlassCrossentropy,
    MultilabelCrossentropy,
)
from multimodal.heads.metrics import (
    BinaryAccuracy,
    MulticlassAccuracy,
    MultilabelAccuracy,
    MultilabelJaccard,
)
from multimodal.layers.base import LinearHead, Tensor, check_fraction, check_positive
from multimodal.layers.registry import register


def check_num_classes(num_classes: int) -> None:
    """Raise ValueError unless there are at least two classes to tell apart."""
    if type(num_classes) is not int or num_classes < 2:
        raise ValueError(
            f"`num_classes` must be an integer of at least 2. Received: num_classes={num_classes!r}"
        )


@register("head", "binary")
class BinaryHead(LinearHead):
    """One of two classes: the logit `(B, 1)` of the second; targets are 0 or 1, `(B,)`.

    `decode` gives the probabilities of both, `(B, 2)`.

    Args:
        learned_weight: Whether the head learns the weight of its loss in the total, as in
            `HeadLayer`; False by default.

    Example:
    >>> import numpy as np
    >>> np.array(BinaryHead().decode(np.zeros((1, 1), "float32"))).tolist()
    [[0.5, 0.5]]
    """

    label_kind = "class"

    def __init__(self, *, learned_weight: bool = False, **kwargs: Any) -> None:
        super().__init__(learned_weight=learned_weight, **kwargs)

    @classmethod
    def from_head(cls, head: FittedHead) -> dict[str, Any]:
        if head.classes and len(head.classes) != 2:
            raise ValueError(
                f"`classes` of the binary head '{head.name}' must be two; for more take "
                f"`multiclass` or `ordinal`. Received: classes={head.classes}"
            )
        return {}

    @property
    def num_outputs(self) -> int:
        return 1

    def make_loss(self) -> keras.losses.Loss:
        return BinaryCrossentropy(learned_weight=self.learned_weight)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        return [BinaryAccuracy(learned_weight=self.learned_weight)]

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into probabilities `(B, 2)` of the first and the second class."""
        logit, _ = split_raw(raw, self.learned_weight)
        # Not 1 - sigmoid(logit), which is 0 in float32 from a logit of 17 on.
        return ops.concatenate([ops.sigmoid(-logit), ops.sigmoid(logit)], axis=-1)


@register("head", "multiclass")
class MulticlassHead(LinearHead):
    """One of several classes: logits `(B, C)`; targets are class ids, `(B,)`.

    `decode` gives probabilities `(B, C)`.

    Args:
        num_classes: Number of classes C, at least 2.
        label_smoothing: Fraction of each target that is spread evenly over all classes, in [0, 1);
            0 by default. A little, such as 0.1, keeps the network from growing overconfident, and
            makes wrong labels hurt less.
        learned_weight: Whether the head learns the weight of its loss in the total, as in
            `HeadLayer`; False by default.

    Example:
    >>> import numpy as np
    >>> np.array(MulticlassHead(4).decode(np.zeros((1, 4), "float32"))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]

    References:
        Szegedy et al., Rethinking the Inception Architecture, 2016 (label smoothing).
    """

    label_kind = "class"

    def __init__(
        self,
        num_classes: int,
        *,
        label_smoothing: float = 0.0,
        learned_weight: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learned_weight=learned_weight, **kwargs)
        check_num_classes(num_classes)
        check_fraction(label_smoothing=label_smoothing)
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing

    @classmethod
    def from_head(cls, head: FittedHead) -> dict[str, Any]:
        return {"num_classes": len(head.classes)}

    @property
    def num_outputs(self) -> int:
        return self.num_classes

    def make_loss(self) -> keras.losses.Loss:
        return MulticlassCrossentropy(
            label_smoothing=self.label_smoothing, learned_weight=self.learned_weight
        )

    def make_metrics(self) -> list[keras.metrics.Metric]:
        return [MulticlassAccuracy(learned_weight=self.learned_weight)]

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into probabilities `(B, C)`."""
        return ops.softmax(split_raw(raw, self.learned_weight)[0], axis=-1)


@register("head", "multilabel")
class MultilabelHead(LinearHead):
    """Any number of labels: one logit each, `(B, C)`; targets are 0 or 1, `(B, C)`.

    `decode` gives the probability of each label, `(B, C)`; a row's do not sum to 1.

    Args:
        num_classes: Number of labels C, at least 1.
        learned_weight: Whether the head learns the weight of its loss in the total, as in
            `HeadLayer`; False by default.

    Example:
    >>> import numpy as np
    >>> np.array(MultilabelHead(2).decode(np.zeros((1, 2), "float32"))).tolist()
    [[0.5, 0.5]]
    """

    label_kind = "labels"

    def __init__(self, num_classes: int, *, learned_weight: bool = False, **kwargs: Any) -> None:
        super().__init__(learned_weight=learned_weight, **kwargs)
        check_positive(num_classes=num_classes)
        self.num_classes = num_classes

    @classmethod
    def from_head(cls, head: FittedHead) -> dict[str, Any]:
        return {"num_classes": len(head.classes)}

    @property
    def num_outputs(self) -> int:
        return self.num_classes

    def make_loss(self) -> keras.losses.Loss:
        return MultilabelCrossentropy(learned_weight=self.learned_weight)

    def make_metrics(self) -> list[keras.metrics.Metric]:
        learned = self.learned_weight
        return [
            MultilabelAccuracy(learned_weight=learned),
            MultilabelJaccard(learned_weight=learned),
        ]

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into one probability for each label, `(B, C)`."""
        return ops.sigmoid(split_raw(raw, self.learned_weight)[0])
