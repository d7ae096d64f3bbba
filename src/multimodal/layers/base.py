"""Base classes of encoders and heads, and what all parts share: argument checks and configs.

A check names the argument, what is accepted and what came, in one line: a config file shows it to
people who never see the constructor.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from numbers import Real
from typing import Any

import keras
from keras import ops

from multimodal.core.config import Component, LabelKind
from multimodal.core.spec import FittedGroup, FittedHead
from multimodal.layers import registry

Tensor = Any
Shape = tuple[int | None, ...]


def check_fraction(**values: float) -> None:
    """Raise ValueError unless each argument is in [0, 1)."""
    for name, value in values.items():
        if not isinstance(value, Real) or not 0 <= value < 1:
            raise ValueError(f"`{name}` must be in [0, 1). Received: {name}={value!r}")


def check_positive(**values: int) -> None:
    """Raise ValueError unless each argument is an integer of at least 1."""
    for name, value in values.items():
        # by type, not isinstance: True is an int in Python, and a layer of True units is a mistake
        if type(value) is not int or value < 1:
            raise ValueError(
                f"`{name}` must be an integer of at least 1. Received: {name}={value!r}"
            )


def check_above_zero(**values: float) -> None:
    """Raise ValueError unless each argument is a finite number above 0."""
    for name, value in values.items():
        if not isinstance(value, Real) or not 0 < value < math.inf:
            raise ValueError(f"`{name}` must be greater than 0. Received: {name}={value!r}")


def check_flag(**values: bool) -> None:
    """Raise ValueError unless each argument is True or False."""
    for name, value in values.items():
        check_choice(name, value, (False, True))


def check_sizes(**values: Sequence[int]) -> None:
    """Raise ValueError unless each argument is a list of at least one integer of at least 1."""
    for name, value in values.items():
        listed = value if isinstance(value, Sequence) else ()
        if not listed or any(type(size) is not int or size < 1 for size in listed):
            raise ValueError(
                f"`{name}` must be a list of integers of at least 1. Received: {name}={value!r}"
            )


def check_choice(name: str, value: object, valid: Sequence[object]) -> None:
    """Raise ValueError unless `value` is one of `valid`."""
    if value not in valid:
        raise ValueError(f"`{name}` must be one of {list(valid)}. Received: {name}={value!r}")


def check_heads(hidden_dim: int, num_heads: int) -> None:
    """Raise ValueError unless the features divide evenly among the attention heads."""
    if hidden_dim % num_heads:
        raise ValueError(
            "`hidden_dim` must be a multiple of `num_heads`. "
            f"Received: hidden_dim={hidden_dim}, num_heads={num_heads}"
        )


def check_rank(name: str, shape: Shape, wanted: str) -> None:
    """Raise ValueError unless `shape` has as many axes as `wanted`, such as `(batch, tokens)`."""
    rank = wanted.count(",") + 1 if wanted != "(batch,)" else 1
    if not hasattr(shape, "__len__") or len(shape) != rank:
        raise ValueError(f"`{name}` must have shape {wanted}. Received: shape={shape}")


def check_dtype(name: str, tensor: Tensor, kinds: Sequence[str]) -> None:
    """Raise TypeError unless the tensor's dtype is of one of `kinds`: `bool`, `int`, `float`."""
    given = getattr(tensor, "dtype", "")
    # NumPy, Keras, TensorFlow and PyTorch spell a dtype each in its own way
    dtype = str(getattr(given, "name", given)).removeprefix("torch.")
    kind = re.sub(r"^b?(u?)(int|float)\d+.*$", r"\2", dtype)
    if kind not in kinds:
        raise TypeError(f"`{name}` must be {' or '.join(kinds)}. Received: dtype={dtype!r}")


def constructor_arguments(part: Any) -> dict[str, Any]:
    """Return the constructor arguments of a layer, loss or metric, by name, for its `get_config`.

    A part stores each argument unchanged under the argument's name, so the signatures of its class
    and of its bases below Keras say what its config holds. Written out by hand, an argument that
    somebody forgot would pass Keras' own round trip and be lost in a saved file.
    """
    own = takewhile(lambda cls: not cls.__module__.startswith("keras."), type(part).__mro__)
    return {
        name: _plain(getattr(part, name))
        for cls in own
        if "__init__" in vars(cls)
        for name, parameter in inspect.signature(cls.__init__).parameters.items()  # type: ignore[misc]
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and hasattr(part, name)
    }


def _plain(value: Any) -> Any:
    """Return a copy of lists and dicts, which Keras replaces by ones that track what they hold.

    A tracked one in a config breaks `copy.deepcopy` and saving as `.h5`.
    """
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return (tuple if isinstance(value, tuple) else list)(_plain(each) for each in value)
    return value


class Composite(keras.layers.Layer):
    """Base of layers that hold others: a config from the signature, sublayers saved as they are.

    `keras.Model.quantize` gives sublayers other weights than `build` does. Which of them were
    quantized is saved beside the shapes that the layer was built for, and done again when it is
    loaded.
    """

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **constructor_arguments(self)}

    def get_build_config(self) -> dict[str, Any] | None:
        config: dict[str, Any] | None = super().get_build_config()
        modes = {str(i): mode for i, mode in enumerate(self._quantization_modes()) if mode}
        return config if config is None or not modes else {**config, "quantized": modes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        super().build_from_config({k: v for k, v in config.items() if k != "quantized"})
        sublayers = list(self._flatten_layers(include_self=False))
        for place, mode in config.get("quantized", {}).items():
            sublayers[int(place)].quantize(mode)

    def _quantization_modes(self) -> Iterator[str | None]:
        for layer in self._flatten_layers(include_self=False):
            yield layer.dtype_policy.quantization_mode


def built(layer: Any, shape: Any = None) -> Any:
    """Build a sublayer and return it.

    `build` of a composite layer builds all its sublayers: Keras loads a saved file into layers that
    are built but were never called, and a sublayer that is not built has no weights to load into.
    """
    layer.build(shape)
    return layer


def freeze_sublayers(layer: keras.layers.Layer, was_built: bool) -> None:
    """Freeze what a frozen layer has built just now: Keras freezes only what is there already."""
    if not (was_built or layer.trainable):
        layer.trainable = True  # on TensorFlow, setting the value it has does nothing
        layer.trainable = False


class Encoder(Composite):
    """Base of all encoders: inputs to tokens `(B, T, D)`, or to a vector `(B, D)`.

    A subclass builds its sublayers in `build`, calls `super().build` there, and implements
    `token_shape`, `encode` and, where tokens can be padding, `token_mask`. It stores each
    constructor argument under its own name; `get_config` finds them there. A frozen encoder
    (`trainable = False`) runs as in inference: its batch statistics stay as they are, and its
    dropout is off.

    Args:
        pooling: What becomes of the tokens. None, the default, returns them together with their
            Keras mask, for an attention fusion or a pooling layer of one's own. The name of a
            registered pooling, such as `mean`, returns one vector per row, without a mask.
        **kwargs: `name`, `dtype` and `trainable`, as in `keras.layers.Layer`.

    Attributes:
        gains_from_bfloat16: Whether the encoder runs faster under `mixed_bfloat16` on a processor
            that multiplies it natively, as convolutions do and recurrent layers do not.

    Example:
    >>> import numpy as np
    >>> @registry.register("series_encoder", "steps_example")
    ... class StepsEncoder(Encoder):
    ...     def build(self, input_shape):
    ...         self.dense = keras.layers.Dense(4, name="dense", dtype=self.dtype_policy)
    ...         self.dense.build(input_shape)
    ...         super().build(input_shape)
    ...     def encode(self, inputs, mask, training):
    ...         return self.dense(ops.nan_to_num(inputs))
    ...     def token_shape(self, input_shape):
    ...         return (*input_shape[:-1], 4)
    >>> tuple(StepsEncoder(pooling="mean")(np.ones((2, 5, 3), "float32")).shape)
    (2, 4)
    """

    gains_from_bfloat16 = False

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.check_inputs(inputs)
        was_built = self.built
        outputs = super().__call__(inputs, *args, **kwargs)
        freeze_sublayers(self, was_built)
        return outputs

    def check_inputs(self, inputs: Tensor) -> None:
        """Raise ValueError or TypeError for inputs of a wrong rank or dtype, before anything runs.

        `inputs` are tensors, arrays or Keras' symbolic tensors, alike on every backend. Checked in
        `__call__`, because Keras casts what reaches `call` and builds from it before that.
        """

    def __init__(self, *, pooling: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pooling = pooling
        self.supports_masking = True
        self._pool = None
        if pooling is not None:
            part = Component(name=pooling)
            self._pool = registry.create("pooling", part, name="pooling", dtype=self.dtype_policy)

    @classmethod
    def from_group(cls, group: FittedGroup) -> dict[str, Any]:
        """Return the constructor arguments that the fitted group decides."""
        return {}

    def token_shape(self, input_shape: Any) -> Shape:
        """Return the shape `(B, T, D)` of the tokens."""
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        if self._pool is not None:
            self._pool.build(self.token_shape(input_shape))
        if any(not layer.built for layer in self._flatten_layers(include_self=False)):
            shapes = keras.tree.map_shape_structure(keras.KerasTensor, input_shape)
            self.encode(shapes, None, False)  # a subclass that leaves building to the first call

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        """Return tokens `(B, T, D)`."""
        raise NotImplementedError

    def token_mask(self, inputs: Tensor, mask: Tensor | None) -> Tensor | None:
        """Return the mask `(B, T)` of the tokens, True where one is kept, or None."""
        return None

    def call(
        self, inputs: Tensor, mask: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        tokens = self.encode(inputs, mask, training if self.trainable else False)
        if self._pool is None:
            return tokens
        return self._pool(tokens, mask=self.token_mask(inputs, mask))

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> Tensor | None:
        # a vector that carried on the mask of its tokens would have its loss masked by it
        return None if self._pool is not None else self.token_mask(inputs, previous_mask)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        tokens = self.token_shape(input_shape)
        if self._pool is None:
            return tokens
        pooled: Shape = self._pool.compute_output_shape(tokens)
        return pooled


class HeadLayer(Composite):
    """Base of all heads: a vector `(B, D)` to raw outputs, with their loss, metrics and decoding.

    A subclass says how many raw outputs it has (`num_outputs`), builds its sublayers in `build`,
    calls `super().build` there, and implements `compute_raw`, `make_loss`, `make_metrics` and
    `decode`. It stores each constructor argument under its own name; `get_config` finds them there.
    Raw outputs are float32 `(B, num_outputs)` under every dtype policy.

    Args:
        learned_weight: Whether the head learns the weight of its loss in the total loss, by
            homoscedastic uncertainty, instead of a fixed one: for several heads of different scale
            or noise. Its log variance is then one more, last column of the raw outputs, so that a
            loss needs nothing but them. False by default.
        **kwargs: `name`, `dtype` and `trainable`, as in `keras.layers.Layer`.

    Attributes:
        label_kind: What the head learns from, and the shape of its targets in a batch: `number`
            float32 `(B, 1)` in the user's units; `class` int32 `(B,)`; `labels` float32 `(B, C)`
            of 0 and 1; `box` float32 `(B, 4)`, `xmin, ymin, xmax, ymax` as fractions of the photo's
            width and height; None where no column of a table holds it.

    Example:
    >>> import numpy as np
    >>> from multimodal.heads.losses import HeadLoss
    >>> from multimodal.heads.metrics import DecodedMeanAbsoluteError
    >>> from multimodal.heads.labels import columns, split_raw
    >>> @keras.saving.register_keras_serializable(package="example")
    ... class AbsoluteError(HeadLoss):
    ...     def compare(self, y_true, raw):
    ...         return ops.abs(columns(y_true, 1) - raw)[:, 0]
    >>> @registry.register("head", "median_example")
    ... class MedianHead(HeadLayer):
    ...     label_kind, num_outputs = "number", 1
    ...     def build(self, input_shape):
    ...         self.dense = keras.layers.Dense(1, name="dense", dtype="float32")
    ...         self.dense.build(input_shape)
    ...         super().build(input_shape)
    ...     def compute_raw(self, vector):
    ...         return self.dense(vector)
    ...     def make_loss(self):
    ...         return AbsoluteError(learned_weight=self.learned_weight)
    ...     def make_metrics(self):
    ...         return [DecodedMeanAbsoluteError("none", learned_weight=self.learned_weight)]
    ...     def decode(self, raw):
    ...         return split_raw(raw, self.learned_weight)[0]
    >>> head = MedianHead()
    >>> tuple(head(np.ones((2, 3), "float32")).shape)
    (2, 1)

    References:
        Kendall et al., Multi-Task Learning Using Uncertainty to Weigh Losses, 2018.
    """

    label_kind: LabelKind | None = None

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.check_inputs(inputs)
        was_built = self.built
        outputs = super().__call__(inputs, *args, **kwargs)
        freeze_sublayers(self, was_built)
        return outputs

    def __init__(self, *, learned_weight: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_flag(learned_weight=learned_weight)
        self.learned_weight = learned_weight

    @classmethod
    def from_head(cls, head: FittedHead) -> dict[str, Any]:
        """Return the constructor arguments that the fitted head decides."""
        return {}

    def check_inputs(self, inputs: Tensor) -> None:
        """Raise ValueError or TypeError unless the inputs are vectors `(batch, features)`."""
        check_rank("inputs", tuple(getattr(inputs, "shape", ())), "(batch, features)")
        check_dtype("inputs", inputs, ("int", "float"))

    @property
    def num_outputs(self) -> int:
        """Number of raw outputs of a row, the log variance apart."""
        raise NotImplementedError

    def build(self, input_shape: Shape) -> None:
        if self.learned_weight:
            self.log_variance = self.add_weight(
                shape=(1, 1),
                initializer="zeros",
                dtype="float32",
                autocast=False,
                name="log_variance",
            )

    def compute_raw(self, vector: Tensor) -> Tensor:
        """Return the raw outputs `(B, num_outputs)` of a float32 vector."""
        raise NotImplementedError

    def call(self, inputs: Tensor) -> Tensor:
        raw = self.compute_raw(ops.cast(inputs, "float32"))
        if not self.learned_weight:
            return raw
        # One and the same number in every row: a loss is handed the outputs, never the layer.
        log_variance = ops.zeros_like(raw[:, :1]) + self.log_variance
        return ops.concatenate([raw, log_variance], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.num_outputs + self.learned_weight)

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        # Keras would give the symbolic output the compute dtype of a mixed policy.
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype="float32")

    def make_loss(self) -> keras.losses.Loss:
        """Return the loss between a batch's targets and raw outputs."""
        raise NotImplementedError

    def make_metrics(self) -> list[keras.metrics.Metric]:
        """Return metrics that compare targets with decoded outputs, in the user's units."""
        raise NotImplementedError

    def decode(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into the user's units.

        A number comes out as `(B, 1)` (quantiles `(B, Q)`), classes and labels as probabilities
        `(B, C)`, a box as `(B, 4)` in fractions of the photo.
        """
        raise NotImplementedError


class LinearHead(HeadLayer):
    """Base of the heads whose raw outputs are one dense layer on the vector."""

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        dense = keras.layers.Dense(self.num_outputs, name="dense", dtype="float32")
        self.dense = built(dense, input_shape)

    def compute_raw(self, vector: Tensor) -> Tensor:
        return self.dense(vector)
