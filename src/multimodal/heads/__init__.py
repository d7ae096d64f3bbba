"""Heads: a vector to raw outputs, together with loss, metrics and the way to the user's units."""

from multimodal.heads.boxes import BoundingBoxHead
from multimodal.heads.classification import BinaryHead, MulticlassHead, MultilabelHead
from multimodal.heads.embedding import EmbeddingHead, PairDistance
from multimodal.heads.ordinal import OrdinalHead
from multimodal.heads.reconstruction import ReconstructionHead
from multimodal.heads.regression import QuantileHead, RegressionHead

__all__ = [
    "BinaryHead",
    "BoundingBoxHead",
    "EmbeddingHead",
    "MulticlassHead",
    "MultilabelHead",
    "OrdinalHead",
    "PairDistance",
    "QuantileHead",
    "ReconstructionHead",
    "RegressionHead",
]
