"""Metrics in the user's units, fed with raw outputs of a head."""

from multimodal.heads.metrics.base import HeadMetric
from multimodal.heads.metrics.boxes import BoxIoU
from multimodal.heads.metrics.classes import (
    BinaryAccuracy,
    MulticlassAccuracy,
    MultilabelAccuracy,
    MultilabelJaccard,
    OrdinalAccuracy,
    OrdinalMeanAbsoluteError,
)
from multimodal.heads.metrics.embeddings import NeighbourAccuracy, PairAccuracy
from multimodal.heads.metrics.numbers import (
    Coverage,
    DecodedMeanAbsoluteError,
    DecodedPinball,
    DecodedRootMeanSquaredError,
    ReconstructionError,
)

__all__ = [
    "BinaryAccuracy",
    "BoxIoU",
    "Coverage",
    "DecodedMeanAbsoluteError",
    "DecodedPinball",
    "DecodedRootMeanSquaredError",
    "HeadMetric",
    "MulticlassAccuracy",
    "MultilabelAccuracy",
    "MultilabelJaccard",
    "NeighbourAccuracy",
    "OrdinalAccuracy",
    "OrdinalMeanAbsoluteError",
    "PairAccuracy",
    "ReconstructionError",
]
