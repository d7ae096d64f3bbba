"""Losses between the targets of a batch and raw outputs of a head."""

from multimodal.heads.losses.base import HeadLoss
from multimodal.heads.losses.boxes import BoxLoss
from multimodal.heads.losses.classes import (
    BinaryCrossentropy,
    MulticlassCrossentropy,
    MultilabelCrossentropy,
    OrdinalCrossentropy,
)
from multimodal.heads.losses.embeddings import ContrastiveLoss, TripletLoss
from multimodal.heads.losses.numbers import (
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
