"""Pretrained text models as encoders: KerasHub, your own, saved files."""

from __future__ import annotations

import os
from typing import Any

import keras
from keras import ops

from multimodal.core.spec import PADDING
from multimodal.encoders.text import TextEncoder
from multimodal.layers.backbones import load_backbone, output_spec, pick_output, serialize_backbone
from multimodal.layers.base import (
    Shape,
    Tensor,
    check_dtype,
    check_flag,
    check_positive,
    check_rank,
)
from multimodal.layers.registry import register

INPUTS = ("token_ids", "padding_mask", "segment_ids")
OUTPUTS = ("sequence_output",)
TOKENS = "(batch, length, dim)"


@register("text_encoder", "backbone")
class TextBackboneEncoder(TextEncoder):
    """A text model of KerasHub or of your own: one token `(B, L, D)` per token id.

    The ids must be those of the backbone's own tokenizer; others are in its range but mean other
    words. In a config the ids are the table's own words: the backbone then lends its layers, and
    its pretrained vectors mean nothing. The backbone computes in the precision it was made with.
    A frozen one runs as in inference, without dropout. Embeddings in place of ids are not taken.

    Args:
        backbone: A Keras model, such as a `keras_hub` backbone, that takes token ids, or a dict of
            `token_ids` and, where it wants them, `padding_mask` and `segment_ids`, and returns
            tokens `(B, L, D)`, or a dict with `sequence_output`. Or the path of such a model in a
            `.keras` file (load only files that you trust): read at once, and not needed again
            by an encoder that was saved.
        vocabulary_size: Number of ids that the inputs may hold, checked against the backbone's;
            None, the default, does not check.
        frozen: Whether the backbone keeps its weights: right for few rows, and much faster. Setting
            `trainable` to True on the encoder later lets the backbone learn, too. False by default.
        pooling: None for tokens (the default), or a registered pooling's name for a vector.

    Call arguments:
        inputs: Token ids int32 `(B, L)`, 0 = padding; or the dict that a KerasHub preprocessor
            makes, with `token_ids` and `padding_mask`, for a tokenizer that pads with another id.

    Raises:
        ValueError: The backbone's inputs or outputs are others.

    Example:
    >>> import keras, numpy as np
    >>> ids = keras.Input((None,), dtype="int32")
    >>> mine = keras.Model(ids, keras.layers.Embedding(100, 8)(ids))
    >>> encoder = TextBackboneEncoder(mine, pooling="mean")
    >>> tuple(encoder(np.array([[5, 7, 0]])).shape)
    (1, 8)
    """

    def __init__(
        self,
        backbone: keras.Model | str | os.PathLike[str] | dict[str, Any],
        vocabulary_size: int | None = None,
        *,
        frozen: bool = False,
        pooling: str | None = None,
        **kwargs: Any,
    ) -> None:
        # no autocast: token ids above 256 are not the same in bfloat16
        super().__init__(pooling=pooling, **{"autocast": False, **kwargs})
        if vocabulary_size is not None:
            check_positive(vocabulary_size=vocabulary_size)
        check_flag(frozen=frozen)
        self.backbone = load_backbone(backbone)
        self.vocabulary_size = vocabulary_size
        self.frozen = frozen
        self._names = _input_names(self.backbone)
        self._check_vocabulary()
        # Asked with symbolic ids: a backbone of the wrong kind fails here, not in the first batch.
        ids = keras.KerasTensor((None, None), dtype="int32")
        given = ids if self._names is None else {name: ids for name in self._names}
        self._dim = output_spec(self.backbone, given, TOKENS, OUTPUTS).shape[-1]
        if frozen:
            self.backbone.trainable = False

    def _check_vocabulary(self) -> None:
        known = getattr(self.backbone, "vocabulary_size", None)
        if self.vocabulary_size is not None and known is not None and known < self.vocabulary_size:
            raise ValueError(
                f"`vocabulary_size` must be at most the backbone's, {known}. "
                f"Received: vocabulary_size={self.vocabulary_size}"
            )

    def check_inputs(self, inputs: Tensor) -> None:
        if isinstance(inputs, dict):
            if not {"token_ids", "padding_mask"} <= inputs.keys() <= set(INPUTS):
                raise ValueError(
                    "`inputs` must be token ids, or a dict with `token_ids` and `padding_mask`. "
                    f"Received: a dict with {sorted(inputs)}"
                )
        for name, tensor in _as_dict(inputs).items():
            check_rank(name, tuple(getattr(tensor, "shape", ())), "(batch, length)")
            kinds = ("bool", "int", "float") if name == "padding_mask" else ("int", "float")
            check_dtype(name, tensor, kinds)

    def token_mask(self, inputs: Tensor, mask: Tensor | None) -> Tensor | None:
        if isinstance(inputs, dict):
            return ops.cast(inputs["padding_mask"], "bool")
        return ops.not_equal(inputs, PADDING)

    def encode(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        ids = ops.cast(inputs["token_ids"] if isinstance(inputs, dict) else inputs, "int32")
        given = ids
        if self._names is not None:
            every = {
                "token_ids": ids,
                "padding_mask": ops.cast(self.token_mask(inputs, None), "int32"),
                "segment_ids": ops.zeros_like(ids),
            }
            every.update(inputs if isinstance(inputs, dict) else {})
            given = {name: ops.cast(every[name], "int32") for name in self._names}
        training = training if self.backbone.trainable else False
        tokens = pick_output(self.backbone, self.backbone(given, training=training), OUTPUTS)
        # the backbone has a precision of its own, whose values float16 may not hold
        return ops.saturate_cast(tokens, self.compute_dtype)

    def token_shape(self, input_shape: Any) -> Shape:
        shape = input_shape["token_ids"] if isinstance(input_shape, dict) else input_shape
        return (*shape[:2], self._dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "backbone": serialize_backbone(self.backbone)}


def _as_dict(inputs: Any) -> dict[str, Any]:
    return inputs if isinstance(inputs, dict) else {"inputs": inputs}


def _input_names(backbone: keras.Model) -> list[str] | None:
    """Return the names in the dict that the backbone takes, or None where it takes one tensor."""
    try:
        inputs = backbone.input
    except AttributeError:
        inputs = None
    if isinstance(inputs, dict) and {"token_ids"} <= inputs.keys() <= set(INPUTS):
        return list(inputs)
    if isinstance(inputs, keras.KerasTensor):
        return None
    found = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
    raise ValueError(
        "`backbone` must be a Functional model that takes token ids, or a dict of `token_ids`, "
        f"`padding_mask` and `segment_ids`. Received: '{backbone.name}' takes {found}"
    )
