"""Encoders: Keras layers from one group's inputs to tokens or to a vector."""

from multimodal.encoders.bag import EmbeddingBagEncoder
from multimodal.encoders.cells import NumericEmbedding
from multimodal.encoders.cross import CrossEncoder
from multimodal.encoders.dense import DenseEncoder
from multimodal.encoders.ft_transformer import FTTransformerEncoder
from multimodal.encoders.image import ConvolutionalEncoder
from multimodal.encoders.image_backbone import ImageBackboneEncoder
from multimodal.encoders.image_inception import InceptionEncoder
from multimodal.encoders.image_residual import ResidualEncoder
from multimodal.encoders.image_vit import ViTEncoder
from multimodal.encoders.pretrained import PretrainedEncoder
from multimodal.encoders.series import ConvolutionalSeriesEncoder, RecurrentSeriesEncoder
from multimodal.encoders.text import RecurrentEncoder
from multimodal.encoders.text_backbone import TextBackboneEncoder
from multimodal.encoders.text_convolution import ConvolutionalTextEncoder
from multimodal.encoders.text_transformer import TransformerTextEncoder
from multimodal.layers.base import Encoder

__all__ = [
    "ConvolutionalEncoder",
    "ConvolutionalSeriesEncoder",
    "ConvolutionalTextEncoder",
    "CrossEncoder",
    "DenseEncoder",
    "EmbeddingBagEncoder",
    "Encoder",
    "FTTransformerEncoder",
    "ImageBackboneEncoder",
    "InceptionEncoder",
    "NumericEmbedding",
    "PretrainedEncoder",
    "RecurrentEncoder",
    "RecurrentSeriesEncoder",
    "ResidualEncoder",
    "TextBackboneEncoder",
    "TransformerTextEncoder",
    "ViTEncoder",
]
