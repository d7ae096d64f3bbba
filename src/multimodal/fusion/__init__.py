"""Fusions: a dict of group name to vector or tokens, plus presence, to one vector."""

from multimodal.fusion.attention import CrossAttentionFusion, TransformerFusion
from multimodal.fusion.base import Fusion
from multimodal.fusion.bilinear import LowRankFusion
from multimodal.fusion.gated import GatedFusion
from multimodal.fusion.pooled import ConcatFusion, LateFusion
from multimodal.fusion.tokens import TokenFusion

__all__ = [
    "ConcatFusion",
    "CrossAttentionFusion",
    "Fusion",
    "GatedFusion",
    "LateFusion",
    "LowRankFusion",
    "TokenFusion",
    "TransformerFusion",
]
