"""Base of the fusions: presence, learned vectors for absent groups, modality dropout, checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from multimodal.fusion.contributions import filled, shapley_values
from multimodal.layers.base import (
    Composite,
    Shape,
    Tensor,
    check_dtype,
    check_fraction,
    check_rank,
    freeze_sublayers,
)

Tensors = dict[str, Tensor]


class Fusion(Composite):
    """Base of all fusions: a dict of group name -> vector `(B, D_g)` to one vector `(B, D)`.

    An absent group contributes a learned vector instead of its own, whatever its inputs hold. A
    group without `presence` is never absent and gets no such vector, unless modality dropout drops
    groups in training. Groups are taken in sorted order, so that the order of a dict makes no
    difference. A subclass calls `super().build` and implements `fuse` and `output_dim`.

    Args:
        modality_dropout: Probability that a group is dropped from a row in training, 0 by default.
            The model then leans less on its strongest group, and predicts better where a group is
            absent. At least one group of a row that has any always stays.
        seed: Seed of the modality dropout; None, the default, draws one.
        **kwargs: `name`, `dtype` and `trainable`, as in `keras.layers.Layer`.

    Attributes:
        takes_tokens: Whether the fusion takes tokens `(B, T_g, D_g)` with their masks, or vectors
            as one token each; the builder then leaves the groups' poolings out.
        learns_missing: Whether an absent group contributes a learned vector; one that does not
            leaves it out.
        groups: Names of the groups, sorted; known once the layer is built.

    Call arguments:
        inputs: Dict of group name -> float tensor.
        presence: Dict of group name -> bool `(B,)`, for the groups that can be absent.
        mask: Dict of group name -> bool `(B, T_g)`, True where a token is kept; read from the
            inputs' Keras masks where it is left out.

    Example:
    >>> import numpy as np
    >>> from multimodal.layers.registry import register
    >>> @register("fusion", "product_example")
    ... class ProductFusion(Fusion):
    ...     def build(self, inputs_shape, presence_shape=None):
    ...         super().build(inputs_shape, presence_shape)
    ...         self.denses = [keras.layers.Dense(4, name=group) for group in self.groups]
    ...         for group, dense in zip(self.groups, self.denses):
    ...             dense.build(inputs_shape[group])
    ...     def fuse(self, inputs, keep, mask, training):
    ...         first, *others = (d(x) for d, x in zip(self.denses, self.fill(inputs, keep)))
    ...         return first * sum(others)
    ...     def output_dim(self):
    ...         return 4
    >>> rows = {"table": np.ones((2, 3), "float32"), "text": np.ones((2, 5), "float32")}
    >>> tuple(ProductFusion()(rows, {"text": np.array([True, False])}).shape)
    (2, 4)
    """

    takes_tokens = False
    learns_missing = True

    def __init__(
        self, *, modality_dropout: float = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_fraction(modality_dropout=modality_dropout)
        self.modality_dropout = modality_dropout
        self.seed = seed
        self.supports_masking = True
        # Its state is among the model's variables, so that a resumed training draws what it would
        # have.
        self._generator = keras.random.SeedGenerator(seed)

    def __call__(
        self,
        inputs: Tensors,
        presence: Tensors | None = None,
        *,
        mask: Tensors | None = None,
        **kwargs: Any,
    ) -> Tensor:
        self.check_inputs(inputs, presence)
        if self.takes_tokens:
            # joined here: Keras would take either the given masks or the tensors' own
            kwargs["mask"] = keras_masks(inputs, mask) or None
        was_built = self.built
        outputs = super().__call__(inputs, presence=presence or None, **kwargs)
        freeze_sublayers(self, was_built)
        return outputs

    def check_inputs(self, inputs: Tensors, presence: Tensors | None = None) -> None:
        """Raise ValueError or TypeError for inputs that cannot be fused, before anything runs."""
        form = "vector or tokens" if self.takes_tokens else "vector"
        if not isinstance(inputs, Mapping) or not inputs:
            raise ValueError(
                f"`inputs` must be a dict of group name -> {form} with at least one group. "
                f"Received: inputs={_brief(inputs)}"
            )
        if self.built and sorted(inputs) != list(self.groups):
            raise ValueError(
                f"`inputs` must hold the groups that the fusion was built for, "
                f"{list(self.groups)}. Received: {sorted(inputs)}"
            )
        for group, tensor in inputs.items():
            self._check_shape(group, getattr(tensor, "shape", ()))
            check_dtype(f"inputs['{group}']", tensor, ("float",))
        self._check_presence(inputs, presence)

    def _check_shape(self, group: str, shape: Shape) -> None:
        name = f"inputs['{group}']"
        if not self.takes_tokens:
            check_rank(name, shape, "(batch, dim)")
        elif len(shape) not in (2, 3):
            raise ValueError(
                f"`{name}` must have shape (batch, dim) or (batch, tokens, dim). "
                f"Received: shape={tuple(shape)}"
            )
        if shape[-1] is None:
            raise ValueError(f"`{name}` must have a fixed last axis. Received: shape={shape}")

    def _check_presence(self, inputs: Tensors, presence: Tensors | None) -> None:
        if presence is None:
            return
        valid = sorted(self.missing) if self.built and self.learns_missing else sorted(inputs)
        when = " that can be absent since the fusion was built" if self.built else " of `inputs`"
        if not isinstance(presence, Mapping) or set(presence) - set(valid):
            raise ValueError(
                f"`presence` must name groups{when}, {valid}. Received: presence={_brief(presence)}"
            )
        for group, tensor in presence.items():
            check_rank(f"presence['{group}']", getattr(tensor, "shape", ()), "(batch,)")
            check_dtype(f"presence['{group}']", tensor, ("bool",))

    def build(self, inputs_shape: Any, presence_shape: Any = None) -> None:
        self.groups = sorted(inputs_shape)
        absent = self.groups if self.modality_dropout else sorted(presence_shape or {})
        self.missing = {
            group: self.add_weight(
                shape=(inputs_shape[group][-1],), initializer="zeros", name=f"missing_{group}"
            )
            for group in absent
            if self.learns_missing
        }

    def call(
        self,
        inputs: Tensors,
        presence: Tensors | None = None,
        mask: Tensors | None = None,
        training: bool | None = None,
    ) -> Tensor:
        keep = dict(presence or {})
        if training and self.modality_dropout:
            keep = self._drop_groups(inputs, keep)
        return self.fuse(inputs, keep, mask or {}, training)

    def fuse(self, inputs: Tensors, keep: Tensors, mask: Tensors, training: bool | None) -> Tensor:
        """Return the vector `(B, D)`; `keep` says where a group is there and not dropped."""
        raise NotImplementedError

    def fill(self, inputs: Tensors, keep: Tensors) -> list[Tensor]:
        """Return the groups' tensors with learned vectors, or zeros, where a group is absent."""
        return [self._fill(group, inputs[group], keep.get(group)) for group in self.groups]

    def _fill(self, group: str, tensor: Tensor, keep: Tensor | None) -> Tensor:
        if keep is None:
            return tensor
        # `where`, not a product: a NaN in an absent slot must not come through
        missing = ops.zeros_like(tensor)
        if group in self.missing:
            missing += ops.cast(self.missing[group], tensor.dtype)
        return ops.where(ops.reshape(keep, (-1, *[1] * (len(tensor.shape) - 1))), tensor, missing)

    def keep_matrix(self, inputs: Tensors, keep: Tensors) -> Tensor:
        """Return bool `(B, G)`: which groups are there in which rows."""
        ones = ops.ones((ops.shape(inputs[self.groups[0]])[0],), dtype="bool")
        return ops.stack([keep.get(group, ones) for group in self.groups], axis=1)

    def _drop_groups(self, inputs: Tensors, keep: Tensors) -> Tensors:
        """Return presence with groups dropped at random, at least one kept where one was there."""
        there = self.keep_matrix(inputs, keep)
        draw = keras.random.uniform(ops.shape(there), seed=self._generator)
        kept = ops.logical_and(there, draw >= self.modality_dropout)
        # a row that would lose all its groups keeps them all
        kept = ops.where(ops.any(kept, axis=1, keepdims=True), kept, there)
        return {group: kept[:, i] for i, group in enumerate(self.groups)}

    def contributions(
        self,
        inputs: Tensors,
        presence: Tensors | None = None,
        mask: Tensors | None = None,
        *,
        output: Callable[[Tensor], Tensor],
        background: dict[str, Tensors] | None = None,
    ) -> Tensors:
        """Return how much each group moved each row's output: exact Shapley values.

        A group is taken out of a row by putting that group of background rows in its place. The
        values of one row add up to its output less the mean output of its background.

        Args:
            inputs: As in a call.
            presence: As in a call.
            mask: As in a call.
            output: What follows the fusion, such as a head: a vector `(B, D)` to `(B, O)`.
            background: The call's arguments for other rows, such as `{"inputs": {...}}`; None
                compares each row with up to eight others of its batch.

        Returns:
            Dict of group name -> `(B, O)`, in the units of `output`.

        Raises:
            ValueError: More than ten groups, or a batch of one row without a background.

        Example:
        >>> import keras, numpy as np
        >>> from multimodal.fusion import ConcatFusion
        >>> rows = {"a": np.eye(3, dtype="float32"), "b": np.eye(3, dtype="float32")}
        >>> fusion, dense = ConcatFusion([4]), keras.layers.Dense(1)
        >>> found = fusion.contributions(rows, output=lambda vector: dense(vector))
        >>> sorted(found), tuple(found["a"].shape)
        (['a', 'b'], (3, 1))
        """
        self.check_inputs(inputs, presence)
        rows, others = gather(inputs, presence, keras_masks(inputs, mask)), None
        if background is not None:
            theirs, there = background["inputs"], background.get("presence")
            self.check_inputs(theirs, there)
            others = gather(theirs, there, keras_masks(theirs, background.get("mask")))
            rows, others = filled(rows, others), filled(others, rows)
        values = shapley_values(lambda given: output(self.fused(given)), rows, others)
        return {group: values[i] for i, group in enumerate(sorted(rows))}

    def fused(self, rows: dict[str, Tensors]) -> Tensor:
        """Return the vector of rows that hold each group's `inputs`, `presence` and `mask`."""
        parts: dict[str, Tensors] = {"inputs": {}, "presence": {}, "mask": {}}
        for group, tensors in rows.items():
            for part, tensor in tensors.items():
                parts[part][group] = tensor
        given = {"mask": parts["mask"]} if self.takes_tokens else {}
        return self(parts["inputs"], presence=parts["presence"], training=False, **given)

    def output_dim(self) -> int:
        """Return D."""
        raise NotImplementedError

    def compute_mask(self, inputs: Tensors, previous_mask: Any = None) -> None:
        return None

    def compute_output_shape(self, inputs_shape: Any, presence_shape: Any = None) -> Shape:
        return (next(iter(inputs_shape.values()))[0], self.output_dim())


def keras_masks(inputs: Tensors, given: Tensors | None) -> Tensors:
    """Return the masks that were given, and the inputs' own where they carry one."""
    found = {group: getattr(tensor, "_keras_mask", None) for group, tensor in inputs.items()}
    found |= given or {}
    return {group: mask for group, mask in found.items() if mask is not None}


def gather(inputs: Tensors, presence: Tensors | None, mask: Tensors) -> dict[str, Tensors]:
    """Return all tensors of a call by group: `inputs` and, where there are any, the others."""
    parts = {"inputs": inputs, "presence": presence or {}, "mask": mask}
    return {
        group: {part: tensors[group] for part, tensors in parts.items() if group in tensors}
        for group in inputs
    }


def _brief(given: Any) -> str:
    """Return names of a dict, or type and shape of anything else, on one line."""
    if isinstance(given, Mapping):
        return str(sorted(given))
    shape = getattr(given, "shape", None)
    return type(given).__name__ if shape is None else f"{type(given).__name__} of shape {shape}"
