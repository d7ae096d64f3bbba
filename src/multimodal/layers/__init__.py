"""Reusable Keras layers, and the base classes of encoders and heads.

An own encoder subclasses `Encoder`, an own head `HeadLayer`; `multimodal.register` makes it
available to a config by name. The base class of fusions is `multimodal.fusion.Fusion`.
"""

from multimodal.layers.base import Encoder, HeadLayer
from multimodal.layers.kernel_regression import KernelRegression
from multimodal.layers.mlp import MLP, DenseBlock, EnsembleDense
from multimodal.layers.photos import AnyPhoto, FoldPhotos, JoinTokens, UnfoldPhotos
from multimodal.layers.pooling import (
    AttentionPooling,
    GridPooling,
    LastPooling,
    MapPooling,
    MaxPooling,
    MeanPooling,
    Pooling,
    SpatialSoftmaxPooling,
)
from multimodal.layers.stacking import Blend
from multimodal.layers.transformer import TransformerBlock

__all__ = [
    "AnyPhoto",
    "AttentionPooling",
    "Blend",
    "DenseBlock",
    "Encoder",
    "EnsembleDense",
    "FoldPhotos",
    "GridPooling",
    "HeadLayer",
    "JoinTokens",
    "KernelRegression",
    "LastPooling",
    "MLP",
    "MapPooling",
    "MaxPooling",
    "MeanPooling",
    "Pooling",
    "SpatialSoftmaxPooling",
    "TransformerBlock",
    "UnfoldPhotos",
]
