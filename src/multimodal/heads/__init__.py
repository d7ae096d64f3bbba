"""Heads: a vector to raw outputs, together with loss, metrics and the way to the user's units."""

from multimodal.heads.regression import RegressionHead

__all__ = ["RegressionHead"]
