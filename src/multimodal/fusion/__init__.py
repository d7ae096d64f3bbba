"""Fusions: a dict of group name -> vector or tokens, plus presence, to one vector."""

from multimodal.fusion.attention import CrossAttentionFusion, TransformerFusion
from multimodal.fusion.bilinear import LowRankFusion
from multimodal.fusion.gated import GatedFusion
from multimodal.fusion.pooled import ConcatFusion, LateFusion

__all__ = [
    "ConcatFusion",
    "CrossAttentionFusion",
    "GatedFusion",
    "LateFusion",
    "LowRankFusion",
    "TransformerFusion",
]
