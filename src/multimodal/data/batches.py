"""tf.data pipeline: arrays and cached photos to batches `(inputs, targets, weights)`.

An epoch is a function of (seed, epoch): the order of the rows and the augmentation of each photo
follow from the two and the row alone, whatever happened before. Where texts are cut to one of a few
fixed lengths, rows of one length share batches, so that the cost of short texts is that of short
texts. `single_tensor` makes batches of one tensor, for models that take no dict.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.config import Modality
from multimodal.core.spec import OUT_OF_VOCABULARY, PADDING, FittedGroup, FittedSpec
from multimodal.data.photos.augment import augment_boxed, augment_photos
from multimodal.data.photos.cache import PhotoCache
from multimodal.data.shards import ShardedArray

Array = NDArray[Any] | ShardedArray
Inputs = Mapping[str, tf.Tensor]
_BLOCK = 2**16  # rows looked at together
_WORDS = 32  # joined texts are cut to multiples of: some backends compile anew for each length
# Batches made beside the training, in order: tf.data is deterministic unless told not to be.
_CALLS = max(2, min(os.cpu_count() or 1, 16))


@dataclass(frozen=True)
class Source:
    """Everything batches are cut from; the first axis of every array is the row.

    `inputs` holds all but the pixels, in memory or in shards on disk, `caches` the photos by group,
    `targets` (rows, …) and `weights` (rows,) are by head; `lengths` are the fixed text lengths by
    input key; `boxes` names the heads whose targets are boxes in the first photo of the first
    cache.
    """

    inputs: Mapping[str, Array]
    caches: Mapping[str, PhotoCache]
    targets: Mapping[str, NDArray[Any]]
    weights: Mapping[str, NDArray[Any]]
    lengths: Mapping[str, Sequence[int]]
    boxes: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        spec: FittedSpec,
        inputs: Mapping[str, Array],
        caches: Mapping[str, PhotoCache],
        targets: Mapping[str, NDArray[Any]],
        weights: Mapping[str, NDArray[Any]],
    ) -> Source:
        """Take the text lengths and the heads with boxes from the spec."""
        lengths = {k: each for g in spec.groups for k, each in g.token_lengths.items()}
        boxes = [head.name for head in spec.heads if head.kind == "box"]
        return cls(inputs, caches, targets, weights, lengths, boxes)

    def only(self, modalities: Collection[str], spec: FittedSpec) -> Source:
        """Return a source that holds the inputs of some modalities, so that no other is decoded."""
        names = [group.name for group in spec.groups if group.modality in modalities]
        keys = {key for group in spec.groups if group.name in names for key in group.input_keys}
        return Source(
            {key: array for key, array in self.inputs.items() if key in keys},
            {name: cache for name, cache in self.caches.items() if name in names},
            self.targets,
            self.weights,
            {key: lengths for key, lengths in self.lengths.items() if key in keys},
            self.boxes,
        )

    @property
    def unreadable(self) -> dict[int, str]:
        """What is wrong with photos that could not be decoded so far, by row."""
        caches = self.caches.values()
        return {row: why for cache in caches for row, why in cache.unreadable.items()}

    @cached_property
    def buckets(self) -> Ints | None:
        """Array with one number have texts of one length, int64 (rows,), longest last; None: all.

        Of several groups of texts, that with the longest fixed length decides first.
        """
        keys = sorted(self.lengths, key=lambda key: -self.lengths[key][-1])
        keys = [key for key in keys if len(self.lengths[key]) > 1]
        if not keys:
            return None
        levels = [_level(self.inputs[key], self.lengths[key]) for key in keys]
        sizes = [len(self.lengths[key]) for key in keys]
        return np.asarray(np.ravel_multi_index(levels, sizes), np.int64)

    @cached_property
    def tensors(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Inputs, targets and weights as tensors in main memory, made once for all datasets."""
        # Outside of any graph: asked for first inside a `map`, they would belong to its graph
        # alone.
        with tf.init_scope(), tf.device("CPU:0"):
            inputs = {
                key: tf.constant(array)
                for key, array in self.inputs.items()
                if not isinstance(array, ShardedArray)
            }
            targets = {key: tf.constant(array) for key, array in self.targets.items()}
            weights = {key: tf.constant(array) for key, array in self.weights.items()}
        return inputs, targets, weights


def training_dataset(
    source: Source,
    rows: NDArray[np.integer],
    *,
    batch_size: int,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    first_step: int = 0,
    augment: bool = True,
    fill: bool = False,
) -> tf.data.Dataset:
    """Return the batches of epochs `first_epoch` to `epochs - 1`, one after the other.

    Every epoch holds every row once, in an order of its own, in `ceil(rows / batch_size)` batches.
    Where texts have several fixed lengths, the shuffled rows are sorted by them before they are cut
    into batches, and the batches shuffled; which rows of one length meet is left to chance. The
    rows that do not fill a batch are the last ones of the epoch, of any length.

    Args:
        source: What batches are cut from.
        rows: (N,) positions of the rows to train on.
        batch_size: Rows of a batch; the last one of an epoch holds what is left.
        seed: Fixes order and augmentation, together with the epoch's number.
        epochs: Number of the epoch to stop before.
        first_epoch: Number of the epoch to start with.
        first_step: Number of the batch to start with in that epoch; those before it are not read.
        augment: Whether photos are mirrored and shifted, see `augment_photos`, and those that boxes
            lie in cut and scaled, see `augment_boxed`.
        fill: Whether the last batch of an epoch is filled up with rows of weight 0, for a backend
            that compiles anew for each batch size.
    """
    # Not `Dataset.shuffle`: its order depends on the epochs before, so that a resumed training
    # could not enter an epoch in the middle.
    order, buckets = _constants(source, rows)
    steps = -(-len(rows) // batch_size)
    spare = (steps * batch_size - len(rows)) * fill

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        shuffled = _shuffled(order, buckets, batch_size, seed, epoch)
        filled = tf.concat([shuffled, tf.repeat(shuffled[:1], spare)], axis=0)
        skipped = tf.where(epoch == first_epoch, tf.constant(first_step, tf.int64), 0)
        starts = tf.data.Dataset.range(skipped * batch_size, steps * batch_size, batch_size)
        return starts.map(
            lambda start: (filled[start : start + batch_size], epoch, len(rows) - start)
        )

    def to_batch(chosen: tf.Tensor, epoch: tf.Tensor, real: tf.Tensor) -> Any:
        batch = _batch(source, chosen, (seed, epoch) if augment else None)
        return _weighed(batch, real) if spare else batch

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return _finish(batches.map(to_batch, num_parallel_calls=_CALLS))


def batch_rows(
    source: Source,
    rows: NDArray[np.integer],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    step: int,
) -> Ints:
    """Return which of `rows` a batch of `training_dataset` holds, int64 (B,), in its order.

    Args:
        source, rows, batch_size, seed: As for `training_dataset`.
        epoch: Number of the epoch.
        step: Number of the batch in it.
    """
    with tf.init_scope(), tf.device("CPU:0"):
        order, buckets = _constants(source, rows)
        shuffled = _shuffled(order, buckets, batch_size, seed, epoch)
    return np.asarray(shuffled[step * batch_size : (step + 1) * batch_size], np.int64)


def evaluation_dataset(
    source: Source, rows: NDArray[np.integer], *, batch_size: int
) -> tf.data.Dataset:
    """Return the batches of `rows` (N,), once, in order, without augmentation."""
    batches = tf.data.Dataset.from_tensor_slices(np.asarray(rows, np.int64)).batch(batch_size)
    return _finish(
        batches.map(lambda chosen: _batch(source, chosen, None), num_parallel_calls=_CALLS)
    )


def by_length(source: Source, rows: NDArray[np.integer]) -> Ints:
    """Return `rows` sorted by the fixed length of their texts, for evaluation in any order."""
    chosen = np.asarray(rows, np.int64)
    if source.buckets is None:
        return chosen
    order = np.argsort(source.buckets[chosen], kind="stable")
    return np.asarray(chosen[order], np.int64)


def _constants(source: Source, rows: NDArray[np.integer]) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Return the rows and the buckets of all rows as tensors in main memory."""
    with tf.device("CPU:0"):
        buckets = None if source.buckets is None else tf.constant(source.buckets)
        return tf.constant(rows, tf.int64), buckets


def _shuffled(
    order: tf.Tensor, buckets: tf.Tensor | None, batch_size: int, seed: int, epoch: Any
) -> tf.Tensor:
    """Return the rows int64 (N,) in the order of an epoch."""
    shuffled = tf.random.experimental.stateless_shuffle(order, seed=[seed, epoch])
    if buckets is None:
        return shuffled
    # a seed below 0: no epoch's order of rows has it
    return _bucketed(shuffled, buckets, batch_size, seed=[seed, -1 - epoch])


def _bucketed(
    shuffled: tf.Tensor, buckets: tf.Tensor, batch_size: int, seed: Sequence[Any]
) -> tf.Tensor:
    """Sort shuffled rows int64 (N,) by bucket, all but the last partial batch; shuffle batches."""
    full = shuffled.shape[0] // batch_size * batch_size
    alike = tf.argsort(tf.gather(buckets, shuffled[:full]), stable=True)
    batches = tf.reshape(tf.gather(shuffled, alike), (-1, batch_size))
    mixed = tf.random.experimental.stateless_shuffle(batches, seed=seed)
    return tf.concat([tf.reshape(mixed, [-1]), shuffled[full:]], axis=0)


def _weighed(batch: Any, real: tf.Tensor) -> Any:
    """Give weight 0 to all rows of a batch but the first `real`."""
    inputs, targets, weights = batch
    size = tf.shape(next(iter(weights.values())))[0]
    there = tf.cast(tf.range(tf.cast(size, tf.int64)) < real, tf.float32)
    return inputs, targets, {head: weight * there for head, weight in weights.items()}


def _level(tokens: Array, lengths: Sequence[int]) -> Ints:
    """Return the position of each row's fixed length among `lengths`, int64 (rows,)."""
    blocks = (tokens[start : start + _BLOCK] for start in range(0, len(tokens), _BLOCK))
    longest = np.concatenate([np.count_nonzero(block != PADDING, axis=1) for block in blocks])
    return np.asarray(np.searchsorted(lengths, longest).clip(0, len(lengths) - 1), np.int64)


def _finish(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    # What runs beside the training is fixed: a call per core, two batches ahead. Each process reads
    # whole batches, of which `devices.shard` takes its part.
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.prefetch(2).with_options(options)


def _batch(source: Source, chosen: tf.Tensor, draw: tuple[int, tf.Tensor] | None) -> Any:
    """Cut the rows `chosen` int64 (B,) out of the source; `draw` is (seed, epoch) or None."""
    inputs, targets, weights = (
        {key: tf.gather(array, chosen) for key, array in part.items()} for part in source.tensors
    )
    for key, array in source.inputs.items():
        if isinstance(array, ShardedArray):
            # a NumPy function forgets the shape, without which Keras cannot build a layer
            found = tf.numpy_function(array.__getitem__, [chosen], array.dtype)
            inputs[key] = tf.ensure_shape(found, (None, *array.shape[1:]))
    for key, lengths in source.lengths.items():
        inputs[key] = _cut(inputs[key], lengths)
    for i, (group, cache) in enumerate(source.caches.items()):
        boxes = [targets[head] for head in source.boxes] if i == 0 else []
        pixels, present, *moved = _photos(cache, chosen, draw, boxes)
        inputs[f"{group}_pixels"] = tf.ensure_shape(pixels, (None, *cache.photos.shape[1:]))
        inputs[f"{group}_present"] = tf.ensure_shape(present, (None, cache.photos.shape[1]))
        for head, found in zip(source.boxes, moved, strict=False):
            there = tf.cast(tf.reduce_all(found[:, 2:] > found[:, :2], axis=1), tf.float32)
            targets[head], weights[head] = found, weights[head] * there
    return inputs, targets, weights


def _photos(
    cache: PhotoCache,
    chosen: tf.Tensor,
    draw: tuple[int, tf.Tensor] | None,
    boxes: Sequence[tf.Tensor],
) -> Any:
    """Return pixels and presence of the rows, then the boxes (B, 4) of each head in their photos.

    Where there is a draw, pixels are augmented, and boxes move along.
    """
    if draw is None:
        return *tf.numpy_function(cache.get, [chosen], (tf.uint8, tf.bool)), *boxes
    seed, epoch = draw

    def augmented(rows: Ints, epoch: np.int64, *boxes: NDArray[np.float32]) -> Any:
        pixels, present = cache.get(rows)
        if not boxes:
            return augment_photos(pixels, (seed, int(epoch)), rows), present
        pixels, moved = augment_boxed(pixels, np.stack(boxes, axis=1), (seed, int(epoch)), rows)
        return pixels, present, *(np.ascontiguousarray(each) for each in moved.swapaxes(0, 1))

    types = [tf.uint8, tf.bool, *(tf.float32 for _ in boxes)]
    pixels, present, *moved = tf.numpy_function(augmented, [chosen, epoch, *boxes], types)
    return pixels, present, *(tf.ensure_shape(each, (None, 4)) for each in moved)


def _cut(tokens: tf.Tensor, lengths: Sequence[int]) -> tf.Tensor:
    """Cut the batch to the smallest fixed length that holds its longest text."""
    longest = tf.reduce_max(tf.reduce_sum(tf.cast(tokens != PADDING, tf.int32), axis=1))
    fixed = tf.constant(lengths, tf.int32)
    position = tf.minimum(tf.searchsorted(fixed, [longest])[0], len(lengths) - 1)
    return tokens[:, : fixed[position]]


def single_tensor(spec: FittedSpec, modality: Modality, head: str) -> Callable[..., Any]:
    """Return a function that maps a batch to `(tensor, target, weight)` of one modality and head.

    Tables become one-hot codes, numbers (0 where missing) and missing flags, `(B, F)`; texts are
    joined, `(B, most words)`, with word ids of their own for each group; photos lie side by
    side, `(B, S, S * photos, 3)`; series end together and become channels and missing flags,
    `(B, longest window, F)`.

    Args:
        spec: The fitted spec.
        modality: The modality to keep.
        head: The head whose target and weight to keep.

    Raises:
        ValueError: No group has that modality.
    """
    groups = [group for group in spec.groups if group.modality == modality]
    if not groups:
        names = ", ".join(group.name for group in spec.groups)
        raise ValueError(f"the spec has no group of modality '{modality}'. Received: {names}")

    def to_single(inputs: Inputs, targets: Inputs, weights: Inputs) -> Any:
        return _JOINERS[modality](groups, inputs), targets[head], weights[head]

    return to_single


def _table(groups: list[FittedGroup], inputs: Inputs) -> tf.Tensor:
    parts = []
    for group in groups:
        for i, column in enumerate(group.categorical):
            codes = inputs[f"{group.name}_categorical"][:, i]
            parts.append(tf.one_hot(codes, len(column.categories) + 2))
        if group.numeric:
            numbers = inputs[f"{group.name}_numeric"]
            missing = tf.math.is_nan(numbers)
            known = tf.where(missing, tf.zeros_like(numbers), numbers)
            parts += [known, tf.cast(missing, tf.float32)]
    return tf.concat(parts, axis=1)


def _texts(groups: list[FittedGroup], inputs: Inputs) -> tf.Tensor:
    parts, first = [], OUT_OF_VOCABULARY
    for group in groups:
        tokens = inputs[f"{group.name}_tokens"]
        parts.append(tf.where(tokens > 0, tokens - OUT_OF_VOCABULARY + first, 0))
        first += len(group.vocabulary) + 1
    joined = tf.concat(parts, axis=1)
    # The words of all groups move together: a recurrent network takes as long for padding.
    there = joined != PADDING
    order = tf.argsort(tf.cast(~there, tf.int32), axis=1, stable=True)
    longest = tf.reduce_max(tf.reduce_sum(tf.cast(there, tf.int32), axis=1))
    steps = tf.maximum(-(-longest // _WORDS), 1) * _WORDS
    return tf.gather(joined, order, batch_dims=1)[:, :steps]


def _series(groups: list[FittedGroup], inputs: Inputs) -> tf.Tensor:
    steps = max(group.steps for group in groups)
    parts = []
    for group in groups:
        early = [[0, 0], [steps - group.steps, 0], [0, 0]]
        window = tf.pad(inputs[f"{group.name}_series"], early, constant_values=float("nan"))
        missing = tf.math.is_nan(window)
        parts += [tf.where(missing, tf.zeros_like(window), window), tf.cast(missing, tf.float32)]
    return tf.concat(parts, axis=2)


def _photos_in_a_row(groups: list[FittedGroup], inputs: Inputs) -> tf.Tensor:
    parts = [inputs[f"{g.name}_pixels"][:, k] for g in groups for k in range(g.photos)]
    return tf.concat(parts, axis=2)


_JOINERS: dict[str, Callable[[list[FittedGroup], Inputs], tf.Tensor]] = {
    "tabular": _table,
    "text": _texts,
    "image": _photos_in_a_row,
    "series": _series,
}
