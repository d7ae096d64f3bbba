"""Reusable Keras layers: poolings, dense blocks, the transformer block, and the base classes.

`Encoder` and `HeadLayer` are what an own encoder or head subclasses; `register` (of `multimodal`)
makes it available to a config by name.
"""

from multimodal.layers.base import Encoder, HeadLayer
from multimodal.layers.basic import (
    MLP,
    AnyPhoto,
    AttentionPooling,
    FoldPhotos,
    JoinTokens,
    LastPooling,
    MaxPooling,
    MeanPooling,
    Pooling,
    UnfoldPhotos,
)
from multimodal.layers.mlp_ensemble import DenseBlock, EnsembleDense
from multimodal.layers.pooling import GridPooling, MapPooling, SpatialSoftmaxPooling
from multimodal.layers.transformer import TransformerBlock

__all__ = [
    "MLP",
    "AnyPhoto",
    "AttentionPooling",
    "DenseBlock",
    "Encoder",
    "EnsembleDense",
    "FoldPhotos",
    "GridPooling",
    "HeadLayer",
    "JoinTokens",
    "LastPooling",
    "MapPooling",
    "MaxPooling",
    "MeanPooling",
    "Pooling",
    "SpatialSoftmaxPooling",
    "TransformerBlock",
    "UnfoldPhotos",
]
