"""Fusions: a dict of group name -> vector, plus presence, to one vector."""

from multimodal.fusion.pooled import ConcatFusion

__all__ = ["ConcatFusion"]
