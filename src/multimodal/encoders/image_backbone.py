"""Pretrained image models as encoders: `keras.applications`, KerasHub, saved files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from multimodal.core.errors import choices, first_line
from multimodal.encoders.image import ImageEncoder, check_photos, to_tokens
from multimodal.layers.backbones import load_backbone, output_spec, serialize_backbone
from multimodal.layers.base import Shape, Tensor, check_choice, check_flag
from multimodal.layers.registry import register

PREPROCESSING = ("tf", "caffe", "torch", "unit", "none")
CAFFE_MEANS = (103.939, 116.779, 123.68)  # of blue, green and red, 0 to 255
TORCH_MEANS = (0.485, 0.456, 0.406)  # of red, green and blue, 0 to 1
TORCH_DEVIATIONS = (0.229, 0.224, 0.225)
# As the `preprocess_input` of each family of keras.applications does; `none` where the model scales
# its photos itself. The longest match with the start of an architecture's name holds.
FAMILIES = {
    "ConvNeXt": "none",
    "DenseNet": "torch",
    "EfficientNet": "none",
    "Inception": "tf",
    "MobileNet": "tf",
    "MobileNetV3": "none",
    "NASNet": "tf",
    "ResNet": "caffe",
    "VGG": "caffe",
    "Xception": "tf",
}
MAP, TOKENS = "(batch, height, width, channels)", "(batch, tokens, channels)"


def architectures() -> list[str]:
    """Return the names of the models in `keras.applications`."""
    return sorted(name for name in dir(keras.applications) if name[0].isupper())


def preprocessing_of(architecture: str) -> str:
    """Return how a model of `keras.applications` wants its photos, one of `PREPROCESSING`."""
    if architecture.startswith("ResNet") and architecture.endswith("V2"):
        return "tf"
    return FAMILIES[max((each for each in FAMILIES if architecture.startswith(each)), key=len)]


def preprocess(photos: Tensor, mode: str) -> Tensor:
    """Return photos `(B, H, W, 3)`, red, green, blue from 0 to 255, in float32 as `mode` asks.

    `mode` is one of `PREPROCESSING`, as in `ImageBackboneEncoder`.
    """
    x = ops.cast(photos, "float32")
    if mode == "tf":
        return x / 127.5 - 1.0
    if mode == "caffe":
        return ops.flip(x, axis=-1) - ops.convert_to_tensor(CAFFE_MEANS, dtype="float32")
    if mode == "torch":
        means, deviations = (
            ops.convert_to_tensor(each, dtype="float32") for each in (TORCH_MEANS, TORCH_DEVIATIONS)
        )
        return (x / 255.0 - means) / deviations
    return x / 255.0 if mode == "unit" else x


@register("image_encoder", "backbone")
class ImageBackboneEncoder(ImageEncoder):
    """A model of `keras.applications`, of KerasHub or of your own: one token per cell of its map.

    The backbone returns a map `(B, H, W, D)`, or tokens `(B, T, D)` as vision transformers do.
    Nothing is downloaded. The map may be coarser than those of the other encoders: most models
    shrink a photo 32 times, so photos of 224 pixels suit them better than 64.

    The tokens of an absent photo are zeros. In training, another photo of the batch runs through
    the backbone in its place, so that batch statistics are those of photos that are there (some
    twice); a batch without any photo leaves the statistics as they are. A frozen backbone runs
    as in inference: its batch normalizations use and keep their statistics, its dropout is off.

    Args:
        backbone: Name of an architecture in `keras.applications`, such as `MobileNetV2`; path of a
            saved `.keras` model (load only files that you trust); or a Keras model that takes
            photos, such as a `keras_hub` backbone.
        weights: Path of a local weights file of the backbone (`.weights.h5`), or None for those it
            has, which are random under an architecture's name. Read once, when first built: a
            saved encoder holds its own.
        preprocessing: What the backbone wants its photos scaled to: `tf` is [-1, 1]; `unit` [0, 1];
            `torch` [0, 1] and then standardized by ImageNet's channels; `caffe` blue, green, red
            less their means; `none` leaves 0 to 255. None, the default, is right for an
            architecture by name; for a path or a model it must be given: `none` where the model
            scales its photos itself.
        frozen: Whether the backbone keeps its weights: right for few rows, and much faster. Setting
            `network.trainable` to True later lets it learn, too. False by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Photos `(B, H, W, 3)`, values 0 to 255; preprocessed inside.
        mask: Optional bool `(B,)`, False where the photo is absent.

    Example:
    >>> import keras, numpy as np
    >>> photos = keras.Input((None, None, 3))
    >>> mine = keras.Model(photos, keras.layers.Conv2D(8, 3, strides=4, padding="same")(photos))
    >>> encoder = ImageBackboneEncoder(mine, preprocessing="unit", pooling="mean")
    >>> tuple(encoder(np.zeros((2, 32, 32, 3), "uint8")).shape)
    (2, 8)
    """

    def __init__(
        self,
        backbone: str | os.PathLike[str] | keras.Model | dict[str, Any],
        weights: str | None = None,
        *,
        preprocessing: str | None = None,
        frozen: bool = False,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pooling=pooling, **kwargs)
        named = isinstance(backbone, str) and backbone.isidentifier()
        if named and backbone not in architectures():
            raise ValueError(
                "`backbone` must be a model of keras.applications, the path of a .keras file or a "
                f"Keras model. {choices(str(backbone), architectures())} "
                f"Received: backbone={backbone!r}"
            )
        if preprocessing is not None or not named:
            check_choice("preprocessing", preprocessing, PREPROCESSING)
        check_flag(frozen=frozen)
        _check_weights(weights)
        self.backbone = backbone if named else load_backbone(backbone)
        self.weights_path = weights  # `weights` is taken by Keras
        self.preprocessing = preprocessing
        self.frozen = frozen
        self._restored = False

    def build(self, input_shape: Shape) -> None:
        check_photos(input_shape)
        self.network = self._make(input_shape)
        _output(self.network, input_shape)
        if self.weights_path is not None and not self._restored:
            _load_weights(self.network, self.weights_path)
        if self.frozen:
            self.network.trainable = False
        super().build(input_shape)

    def _make(self, shape: Shape) -> keras.Model:
        if not isinstance(self.backbone, str):
            return self.backbone
        make = getattr(keras.applications, self.backbone)
        try:
            with _defaults(self.dtype_policy), warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # about sizes of pretrained weights
                return make(include_top=False, weights=None, input_shape=tuple(shape)[1:])
        except ValueError as error:
            raise ValueError(
                f"`backbone` '{self.backbone}' refuses the photos: {first_line(error)}"
            ) from None

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        learns = bool(training and self.network.trainable)
        # cast first: LiteRT has no `where` of bytes
        photos = self.blacken(ops.cast(inputs, "float32"), mask)
        if mask is None:
            return self._tokens(photos, learns)
        statistics = self.network.non_trainable_weights if learns else []
        before = _copies(statistics)
        # a foreign network takes no mask: black photos would enter its batch statistics
        tokens = self._tokens(_stand_in(photos, mask) if learns else photos, learns)
        _restore(statistics, before, mask)
        return ops.where(ops.reshape(mask, (-1, 1, 1)), tokens, 0)

    def _tokens(self, photos: Tensor, training: bool) -> Tensor:
        mode = self.preprocessing or preprocessing_of(str(self.backbone))
        x = self.network(preprocess(photos, mode), training=training)
        return ops.cast(to_tokens(x) if len(x.shape) == 4 else x, self.compute_dtype)

    def token_shape(self, input_shape: Shape) -> Shape:
        network = self.network if hasattr(self, "network") else self._make(input_shape)
        shape = _output(network, input_shape)
        cells = shape[1] if len(shape) == 3 else (shape[1] or 0) * (shape[2] or 0)
        return (input_shape[0], cells, shape[-1])

    def get_config(self) -> dict[str, Any]:
        named = isinstance(self.backbone, str)
        return {
            **super().get_config(),
            "backbone": self.backbone if named else serialize_backbone(self.backbone),
            "weights": self.weights_path,
            "preprocessing": self.preprocessing,
            "frozen": self.frozen,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ImageBackboneEncoder:
        layer: ImageBackboneEncoder = super().from_config(config)
        layer._restored = True  # the weights come with what is restored, not from their old file
        return layer


@contextmanager
def _defaults(policy: Any) -> Iterator[None]:
    """Make models under this dtype policy, channels last, whatever the user's settings are."""
    before = keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_image_data_format(before[1])


def _output(network: keras.Model, input_shape: Shape) -> Shape:
    """Return the shape of the network's map or tokens; raise ValueError for anything else."""
    photos = keras.KerasTensor((None, *tuple(input_shape)[1:]), "float32")
    try:
        return tuple(output_spec(network, photos, MAP).shape)
    except ValueError as error:
        try:
            return tuple(output_spec(network, photos, TOKENS).shape)
        except ValueError:
            raise error from None


def _stand_in(photos: Tensor, mask: Tensor) -> Tensor:
    """Return the photos with those that are there, in turn, in place of the absent ones."""
    there = ops.cast(mask, "int32")
    rows = ops.cumsum(ops.ones_like(there)) - 1
    present_first = ops.argsort(1 - there)
    in_turn = ops.take(present_first, rows % ops.maximum(ops.sum(there), 1))
    return ops.take(photos, ops.where(mask, rows, in_turn), axis=0)


def _check_weights(weights: str | None) -> None:
    """Raise ValueError unless `weights` is None or may be the path of a local weights file."""
    if weights is None or (isinstance(weights, str) and _is_local(weights)):
        return
    raise ValueError(
        "`weights` must be None or the path of a local weights file (.h5); nothing is downloaded. "
        f"Received: weights={weights!r}"
    )


def _is_local(path: str) -> bool:
    return path.endswith(".h5") and "://" not in path


def _load_weights(network: keras.Model, path: str) -> None:
    if not os.path.isfile(path):
        raise ValueError(f"`weights` names a file that does not exist. Received: weights={path!r}")
    try:
        network.load_weights(path)
    except Exception as error:
        raise ValueError(
            f"`weights` do not fit the backbone '{network.name}'. Received: weights={path!r}: "
            f"{first_line(error)}"
        ) from None


def _copies(statistics: Sequence[Any]) -> list[Tensor]:
    """Return the values that the running statistics have now."""
    return [ops.copy(ops.convert_to_tensor(each)) for each in statistics]


def _restore(statistics: Sequence[Any], before: Sequence[Tensor], mask: Tensor) -> None:
    """Undo what a batch without any photo has taught the running statistics."""
    for now, old in zip(statistics, before, strict=True):
        now.assign(ops.where(ops.any(mask), ops.convert_to_tensor(now), old))
