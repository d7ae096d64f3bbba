"""Losses between the targets of a batch and raw outputs of a head."""

from multimodal.losses.base import HeadLoss
from multimodal.losses.boxes import BoxLoss
from multimodal.losses.classes import (
    BinaryCrossentropy,
    MulticlassCrossentropy,
    MultilabelCrossentropy,
    OrdinalCrossentropy,
)
from multimodal.losses.embeddings import ContrastiveLoss, TripletLoss
from multimodal.losses.numbers import (
    PinballLoss,
    ReconstructionLoss,
    TransformedHuber,
    TransformedMeanSquaredError,
)

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
