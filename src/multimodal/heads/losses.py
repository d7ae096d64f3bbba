"""Losses between the targets of a batch and raw outputs of a head.

Keras' own losses are not used where they stand under the same name, for three reasons: a row
without a label must weigh nothing even where its target is NaN, the mean is over the labelled rows
alone, and targets of another shape must fail, where Keras broadcasts them. A class id that does not
exist gives a NaN, not a number that looks fine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal.heads.box_ops import centre_and_size, corners, generalized_iou
from multimodal.heads.labels import class_ids, columns, encode, flat, known, split_raw
from multimodal.layers.base import Tensor, check_above_zero, constructor_arguments

__all__ = [
    "BinaryCrossentropy",
    "BoxLoss",
    "ContrastiveLoss",
    "HeadLoss",
    "MulticlassCrossentropy",
    "MultilabelCrossentropy",
    "OrdinalCrossentropy",
    "PinballLoss",
    "ReconstructionLoss",
    "TransformedHuber",
    "TransformedMeanSquaredError",
    "TripletLoss",
]

_FAR = 1e9  # above any distance between embeddings
_TINY = 1e-12  # a squared distance: the gradient of a square root is infinite at 0


class HeadLoss(keras.losses.Loss):
    """Base of all losses: the mean over the labelled rows of `compare(targets, raw)`.

    A row of sample weight 0 has no label: nothing in it enters the loss, a NaN neither. The sum is
    divided by the sum of the weights, so one labelled row in 64 teaches as strongly as 64 do; a
    batch without any label has a loss of 0. A subclass implements `compare`, and stores each
    constructor argument under its own name; `get_config` finds them there.

    Args:
        learned_weight: Whether the last column of the raw outputs is the log variance `s` that the
            head learns. A row's loss is then `exp(-s) * loss + s`. False by default.
        reduction: How Keras joins the rows. The default, `mean_with_sample_weight`, divides by the
            sum of the weights; `sum_over_batch_size` would divide by all rows, labelled or not.
        **kwargs: `name` and `dtype`, as in `keras.losses.Loss`.

    Attributes:
        missing: The target that a row without a label gets instead of its own.

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
        # before Keras multiplies by the weights: a NaN times a weight of 0 is a NaN
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
        return {**super().get_config(), **constructor_arguments(self)}


@keras.saving.register_keras_serializable(package="multimodal")
class BinaryCrossentropy(HeadLoss):
    """Cross-entropy of one logit `(B, 1)`, against class ids 0 and 1, `(B,)`."""

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        ids = class_ids(y_true)
        y_true = ops.expand_dims(ops.cast(ids, "float32"), -1)
        return _only_valid(ops.mean(logit_crossentropy(y_true, raw), axis=-1), ids, 2)


@keras.saving.register_keras_serializable(package="multimodal")
class MultilabelCrossentropy(HeadLoss):
    """Mean cross-entropy of one logit for each label, `(B, C)`, against 0 and 1, `(B, C)`."""

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.mean(logit_crossentropy(columns(y_true, raw.shape[1]), raw), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class MulticlassCrossentropy(HeadLoss):
    """Cross-entropy of logits `(B, C)`, against class ids `(B,)`.

    Args:
        label_smoothing: Fraction of each target that is spread evenly over all classes; 0 by
            default.
        **kwargs: As in `HeadLoss`.

    References:
        Szegedy et al., Rethinking the Inception Architecture, 2016 (label smoothing).
    """

    def __init__(self, *, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        ids, count = class_ids(y_true), raw.shape[1]
        logs = ops.log_softmax(raw, axis=-1)
        # by comparison: an id that does not exist hits no class, and `_only_valid` makes it a NaN
        hits = ops.cast(ops.expand_dims(ids, -1) == ops.arange(count, dtype="int32"), "float32")
        y_true = hits * (1 - self.label_smoothing) + self.label_smoothing / count
        return _only_valid(-ops.sum(y_true * logs, axis=-1), ids, count)


@keras.saving.register_keras_serializable(package="multimodal")
class OrdinalCrossentropy(HeadLoss):
    """Mean cross-entropy of the `C - 1` events "the class is above k", for class ids `(B,)`.

    The raw outputs `(B, C - 1)` are the logits of the events.

    References:
        Cao et al., Rank Consistent Ordinal Regression (CORAL), 2020.
    """

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        ids, count = class_ids(y_true), raw.shape[1]
        above = ops.expand_dims(ids, -1) > ops.arange(count, dtype="int32")
        values = logit_crossentropy(ops.cast(above, "float32"), raw)
        return _only_valid(ops.mean(values, axis=-1), ids, count + 1)


def logit_crossentropy(y_true: Tensor, logits: Tensor) -> Tensor:
    """Return the binary cross-entropy of each logit, without overflow."""
    return ops.softplus(logits) - y_true * logits


def _only_valid(values: Tensor, ids: Tensor, count: int) -> Tensor:
    valid = ops.logical_and(ids >= 0, ids < count)
    return ops.where(valid, values, ops.full_like(values, float("nan")))


class _TransformedLoss(HeadLoss):
    """Base: targets `(B, 1)` in the user's units are moved to the head's space first."""

    def __init__(
        self, transform: str = "none", mean: float = 0.0, scale: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.transform = transform
        self.mean = mean
        self.scale = scale

    def errors(self, y_true: Tensor, raw: Tensor) -> Tensor:
        """Return truth minus raw output, in the head's space, `(B, N)`."""
        return encode(columns(y_true, 1), self.transform, self.mean, self.scale) - raw


@keras.saving.register_keras_serializable(package="multimodal")
class TransformedMeanSquaredError(_TransformedLoss):
    """Squared error in the head's transformed space; a mean that knows the sample weights.

    Args:
        transform: `none`, `standardise` or `log1p`.
        mean: Mean of the transformed training targets.
        scale: Standard deviation of the transformed training targets.
        **kwargs: As in `HeadLoss`.
    """

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return ops.mean(ops.square(self.errors(y_true, raw)), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class TransformedHuber(_TransformedLoss):
    """Huber loss in the head's transformed space: squared up to `delta`, then straight.

    Args:
        transform: `none`, `standardise` or `log1p`.
        mean: Mean of the transformed training targets.
        scale: Standard deviation of the transformed training targets.
        delta: Error, in the transformed space, from which on the loss grows in a straight line; 1
            by default.
        **kwargs: As in `HeadLoss`.

    References:
        Huber, Robust Estimation of a Location Parameter, 1964.
    """

    def __init__(self, *args: Any, delta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.delta = delta

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        size = ops.abs(self.errors(y_true, raw))
        inside = ops.minimum(size, self.delta)
        return ops.mean(0.5 * ops.square(inside) + self.delta * (size - inside), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class PinballLoss(_TransformedLoss):
    """Mean pinball loss of quantiles `(B, Q)`, in the head's transformed space.

    Args:
        quantiles: The fraction of targets that shall lie below each output.
        transform: `none`, `standardise` or `log1p`.
        mean: Mean of the transformed training targets.
        scale: Standard deviation of the transformed training targets.
        **kwargs: As in `HeadLoss`.

    References:
        Koenker and Bassett, Regression Quantiles, 1978.
    """

    def __init__(self, quantiles: Sequence[float], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.quantiles = list(quantiles)

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        return pinball(self.errors(y_true, raw), self.quantiles)


def pinball(errors: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Return the mean pinball loss `(B,)` of errors `(B, Q)`, truth minus quantile."""
    levels = ops.convert_to_tensor([list(quantiles)], dtype="float32")
    return ops.mean(ops.maximum(levels * errors, (levels - 1) * errors), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class ReconstructionLoss(HeadLoss):
    """Mean over all numbers of a row: squared error, or binary cross-entropy of logits.

    Targets may have any shape `(B, ...)`; a row is compared number by number with the raw outputs
    `(B, N)`.

    Args:
        loss: `squared` (the default), or `binary` for targets in [0, 1].
        **kwargs: As in `HeadLoss`.
    """

    def __init__(self, loss: str = "squared", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss = loss

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        y_true = flat(y_true, raw.shape[1])
        if self.loss == "squared":
            return ops.mean(ops.square(y_true - raw), axis=-1)
        return ops.mean(logit_crossentropy(y_true, raw), axis=-1)


@keras.saving.register_keras_serializable(package="multimodal")
class BoxLoss(HeadLoss):
    """`giou_weight * (1 - GIoU) + l1_weight * L1` of raw boxes `(B, 4)`.

    Targets are corners as fractions of the photo, `(B, 4)`. The L1 distance sums over the centre,
    the width and the height.

    Args:
        giou_weight: Weight of the generalized intersection over union, 2 by default.
        l1_weight: Weight of the L1 distance, 5 by default.
        **kwargs: As in `HeadLoss`.

    References:
        Rezatofighi et al., Generalized Intersection over Union, 2019; Carion et al., End-to-End
        Object Detection with Transformers, 2020 (both together, and their weights).
    """

    def __init__(self, *, giou_weight: float = 2.0, l1_weight: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.giou_weight = giou_weight
        self.l1_weight = l1_weight

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        y_true, guess = columns(y_true, 4), corners(raw)
        distance = ops.sum(ops.abs(centre_and_size(y_true) - centre_and_size(guess)), axis=-1)
        overlap = generalized_iou(y_true, guess)
        return self.giou_weight * (1 - overlap) + self.l1_weight * distance


@keras.saving.register_keras_serializable(package="multimodal")
class ContrastiveLoss(HeadLoss):
    """Squared distance of pairs that are the same, squared shortfall of those that are not.

    Targets `(B,)` are 1 where the two of a pair are the same, else 0; the model emits their
    distance `(B, 1)`, as `heads.PairDistance` does.

    Args:
        margin: Distance from which on two different things are far enough apart to have no loss; 1
            by default. Embeddings of length 1 lie at most 2 apart.
        **kwargs: As in `HeadLoss`.

    References:
        Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, 2006.
    """

    def __init__(self, margin: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_above_zero(margin=margin)
        self.margin = margin

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        same, distance = columns(y_true, 1)[:, 0], columns(raw, 1)[:, 0]
        short = ops.maximum(self.margin - distance, 0.0)
        return same * ops.square(distance) + (1 - same) * ops.square(short)


@keras.saving.register_keras_serializable(package="multimodal")
class TripletLoss(HeadLoss):
    """Triplet loss of the farthest match and the nearest other in the batch, for each row.

    Targets `(B,)` are ids of at least 0, such as the number of the item a photo shows; the model
    emits embeddings `(B, D)`. A row that has no match or no other in the batch has a loss of 0, so
    batches need several rows of the same id. Rows of weight 0 serve neither as match nor as other.

    Args:
        margin: How much nearer the match shall be, 0.2 by default.
        **kwargs: As in `HeadLoss`.

    References:
        Schroff et al., FaceNet, 2015; Hermans et al., In Defense of the Triplet Loss, 2017 (the
        hardest ones of a batch).
    """

    # not an id, so that a row without a label is neither a match nor another
    missing = -1.0

    def __init__(self, margin: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_above_zero(margin=margin)
        self.margin = margin

    def compare(self, y_true: Tensor, raw: Tensor) -> Tensor:
        match, other = relations(class_ids(y_true))
        distances = pairwise_distances(raw)
        farthest = ops.max(ops.where(match, distances, 0), axis=1)
        nearest = ops.min(ops.where(other, distances, ops.full_like(distances, _FAR)), axis=1)
        complete = ops.logical_and(ops.any(match, axis=1), ops.any(other, axis=1))
        values = ops.maximum(farthest - nearest + self.margin, 0.0)
        return ops.where(complete, values, 0)


def relations(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return bool `(B, B)` twice: which other rows have a row's id, and which have another one.

    A negative id belongs to neither.
    """
    equal = ops.expand_dims(ids, 0) == ops.expand_dims(ids, 1)
    labelled = ops.logical_and(ops.expand_dims(ids, 0) >= 0, ops.expand_dims(ids, 1) >= 0)
    # By position rather than `eye`: the number of rows is not known in a graph.
    places = ops.arange(ops.shape(ids)[0])
    itself = ops.expand_dims(places, 0) == ops.expand_dims(places, 1)
    match = ops.logical_and(ops.logical_and(equal, labelled), ops.logical_not(itself))
    return match, ops.logical_and(ops.logical_not(equal), labelled)


def pairwise_distances(embeddings: Tensor) -> Tensor:
    """Return Euclidean distances `(B, B)` between the rows; the gradient is finite at 0."""
    squares = ops.sum(ops.square(embeddings), axis=1)
    products = ops.matmul(embeddings, ops.transpose(embeddings))
    squared = ops.expand_dims(squares, 0) - 2 * products + ops.expand_dims(squares, 1)
    return ops.sqrt(ops.maximum(squared, _TINY))
