"""Encoders: plain Keras layers from inputs to tokens or to a vector."""

from multimodal.encoders.image import ConvolutionalEncoder
from multimodal.encoders.tabular import DenseEncoder
from multimodal.encoders.text import RecurrentEncoder

__all__ = ["ConvolutionalEncoder", "DenseEncoder", "RecurrentEncoder"]
