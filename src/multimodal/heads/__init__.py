"""Heads: a vector to raw outputs, with their loss, metrics and decoding to the user's units."""

from multimodal.heads.boxes import BoundingBoxHead
from multimodal.heads.classification import BinaryHead, MulticlassHead, MultilabelHead
from multimodal.heads.embedding import EmbeddingHead, PairDistance
from multimodal.heads.ordinal import OrdinalHead
from multimodal.heads.reconstruction import ReconstructionHead
from multimodal.heads.regression import QuantileHead, RegressionHead
from multimodal.layers.base import HeadLayer

__all__ = [
    "BinaryHead",
    "BoundingBoxHead",
    "EmbeddingHead",
    "HeadLayer",
    "MulticlassHead",
    "MultilabelHead",
    "OrdinalHead",
    "PairDistance",
    "QuantileHead",
    "ReconstructionHead",
    "RegressionHead",
]
