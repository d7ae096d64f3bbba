"""Pretrained networks written out in NumPy, from the names of published states alone.

What `multimodal.models.pretrained` computes with Keras is compared with these: on random weights in
every test run, on the published weights where those are installed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

State = Mapping[str, np.ndarray]
LITE0 = [
    # blocks, kernel, stride of the first, expansion
    *[(1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6)],
    *[(3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6)],
]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "shoe", "##s", "cafe", "é", "!"]
TOKENIZER = {
    "version": "1.0",
    "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
    "padding": {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    },
    "added_tokens": [],
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [],
        "special_tokens": {
            name: {"id": name, "ids": [WORDS.index(name)], "tokens": [name]}
            for name in ("[CLS]", "[SEP]")
        },
    },
    "decoder": None,
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {word: i for i, word in enumerate(WORDS)},
    },
}
FILTERS = (16, 24, 40, 80, 112, 192, 320)


def lite0_features(state: State, photo: np.ndarray) -> np.ndarray:
    """Return the mean of EfficientNet-Lite0's last map, and the parts of a finer one's grid.

    The photo is of (H, W, 3), of at most 64 pixels a side, so that a part of the finer map is one
    of its places.
    """
    x = (photo.astype("float64").transpose(2, 0, 1) - 127) / 128
    x = _layer(state, x, "_conv_stem", "_bn0", 2)
    block, fine = 0, x
    for count, _kernel, stride, expansion in LITE0:
        for i in range(count):
            start, y = f"_blocks.{block}.", x
            if expansion > 1:
                y = _layer(state, y, f"{start}_expand_conv", f"{start}_bn0")
            y = _layer(state, y, f"{start}_depthwise_conv", f"{start}_bn1", 1 if i else stride)
            y = _layer(state, y, f"{start}_project_conv", f"{start}_bn2", relu=False)
            x = x + y if x.shape == y.shape else y
            fine = x if block == 10 else fine
            block += 1
    seen = _layer(state, x, "_conv_head", "_bn1").mean(axis=(1, 2))
    where = fine.transpose(1, 2, 0).ravel()
    return np.concatenate([each / np.linalg.norm(each) for each in (seen, where)])


def _layer(
    state: State, x: np.ndarray, convolution: str, norm: str, stride: int = 1, relu: bool = True
) -> np.ndarray:
    x = _convolve(x, state[f"{convolution}.weight"], stride)
    names = ("weight", "bias", "running_mean", "running_var")
    scale, bias, mean, variance = (state[f"{norm}.{n}"][:, None, None] for n in names)
    x = (x - mean) / np.sqrt(variance + 1e-3) * scale + bias
    return np.clip(x, 0, 6) if relu else x


def _convolve(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Convolve (C, H, W), filled up with zeros as TensorFlow does; per channel if kernel is."""
    size = kernel.shape[-1]
    gaps = [max((math.ceil(n / stride) - 1) * stride + size - n, 0) for n in x.shape[1:]]
    x = np.pad(x, [(0, 0), *((gap // 2, gap - gap // 2) for gap in gaps)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    if kernel.shape[1] == 1 and len(kernel) == len(x):
        return np.einsum("chwij,cij->chw", windows, kernel[:, 0])
    return np.einsum("chwij,ocij->ohw", windows, kernel, optimize=True)


def random_lite0(seed: int = 0) -> dict[str, np.ndarray]:
    """Return a state of EfficientNet-Lite0 with random weights of a size that keeps values even."""
    random = np.random.default_rng(seed)
    state: dict[str, np.ndarray] = {}

    def add(convolution: str, norm: str, out: int, into: int, size: int = 1) -> None:
        scale = (2 / (into * size * size)) ** 0.5
        state[f"{convolution}.weight"] = random.normal(0, scale, (out, into, size, size))
        for name in ("weight", "running_var"):
            state[f"{norm}.{name}"] = random.uniform(0.5, 1.5, out)
        for name in ("bias", "running_mean"):
            state[f"{norm}.{name}"] = random.normal(0, 0.1, out)
        state[f"{norm}.num_batches_tracked"] = np.array(9)

    add("_conv_stem", "_bn0", 32, 3, 3)
    block, width = 0, 32
    for (count, kernel, _stride, expansion), filters in zip(LITE0, FILTERS, strict=True):
        for _ in range(count):
            start, wide = f"_blocks.{block}.", width * expansion
            if expansion > 1:
                add(f"{start}_expand_conv", f"{start}_bn0", wide, width)
            add(f"{start}_depthwise_conv", f"{start}_bn1", wide, 1, kernel)
            add(f"{start}_project_conv", f"{start}_bn2", filters, wide)
            block, width = block + 1, filters
    add("_conv_head", "_bn1", 1280, width)
    kept = {name: values for name, values in state.items() if values.dtype == np.float64}
    return state | {name: values.astype("float32") for name, values in kept.items()}


def bert_tokens(state: State, ids: Sequence[int], heads: int) -> np.ndarray:
    """Return what a BERT encoder makes of one text's token ids, (T, dim)."""
    table = "embeddings.{}_embeddings.weight".format
    x = state[table("word")][list(ids)].astype("float64") + state[table("position")][: len(ids)]
    x = _norm(state, x + state[table("token_type")][0], "embeddings.LayerNorm")
    blocks = len({name.split(".")[2] for name in state if name.startswith("encoder.layer.")})
    for start in (f"encoder.layer.{i}." for i in range(blocks)):
        attended = _attend(state, x, f"{start}attention.self.", heads)
        attended = _dense(state, attended, f"{start}attention.output.dense")
        x = _norm(state, x + attended, f"{start}attention.output.LayerNorm")
        hidden = _dense(state, x, f"{start}intermediate.dense")
        hidden = _gelu(hidden)
        hidden = _dense(state, hidden, f"{start}output.dense")
        x = _norm(state, x + hidden, f"{start}output.LayerNorm")
    return x


def _attend(
    state: State,
    x: np.ndarray,
    start: str,
    heads: int,
    names: Sequence[str] = ("query", "key", "value"),
) -> np.ndarray:
    return _attention([_dense(state, x, f"{start}{part}") for part in names], heads)


def _attention(projected: Sequence[np.ndarray], heads: int) -> np.ndarray:
    query, key, value = (np.stack(np.split(each, heads, axis=1)) for each in projected)
    scores = np.exp(query @ key.transpose(0, 2, 1) / query.shape[2] ** 0.5)
    attended = scores / scores.sum(axis=2, keepdims=True) @ value
    return np.concatenate(list(attended), axis=1)


def _dense(state: State, x: np.ndarray, name: str) -> np.ndarray:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def _gelu(x: np.ndarray) -> np.ndarray:
    return x * np.vectorize(lambda v: 0.5 * (1 + math.erf(v / 2**0.5)))(x)


def _gelu_by_tanh(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)))


def _norm(state: State, x: np.ndarray, name: str, epsilon: float = 1e-12) -> np.ndarray:
    x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + epsilon)
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def random_bert(words: int, dim: int, blocks: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return a state of a BERT encoder with random weights, 256 positions and an MLP of 2 dim."""
    random = np.random.default_rng(seed)

    def numbers(*shape: int) -> np.ndarray:
        return random.normal(0, shape[-1] ** -0.5, shape).astype("float32")

    table = "embeddings.{}_embeddings.weight".format
    state = {table(n): numbers(k, dim) for n, k in [("word", words), ("position", 256)]}
    state[table("token_type")] = numbers(2, dim)
    sizes = {f"attention.self.{part}": (dim, dim) for part in ("query", "key", "value")}
    sizes |= {"attention.output.dense": (dim, dim), "intermediate.dense": (2 * dim, dim)}
    sizes |= {"output.dense": (dim, 2 * dim)}
    names = ["embeddings.LayerNorm"]
    for start in (f"encoder.layer.{i}." for i in range(blocks)):
        names += [f"{start}attention.output.LayerNorm", f"{start}output.LayerNorm"]
        for name, shape in sizes.items():
            state[f"{start}{name}.weight"] = numbers(*shape)
            state[f"{start}{name}.bias"] = numbers(shape[0])
    for name in names:
        state[f"{name}.weight"], state[f"{name}.bias"] = 1 + numbers(dim) / 2, numbers(dim)
    return state


def _patches(photo: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return what a kernel (out, 3, P, P) makes of each patch of a photo (H, W, 3)."""
    size = kernel.shape[-1]
    grid = photo.shape[0] // size
    cut = photo.reshape(grid, size, grid, size, 3)
    return np.einsum("aibjc,ocij->abo", cut, kernel).reshape(grid * grid, -1)


def dinov2_features(state: State, photo: np.ndarray, heads: int) -> np.ndarray:
    """Return the class token of DINOv2, of a photo (H, H, 3) of the size of its places."""
    scaled = (photo / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    patches = "embeddings.patch_embeddings.projection"
    x = _patches(scaled, state[f"{patches}.weight"]) + state[f"{patches}.bias"]
    x = np.concatenate([state["embeddings.cls_token"][0], x])
    x = x + state["embeddings.position_embeddings"][0]
    for start in _blocks(state, "encoder.layer."):
        y = _norm(state, x, f"{start}norm1", 1e-6)
        y = _attend(state, y, f"{start}attention.attention.", heads)
        y = _dense(state, y, f"{start}attention.output.dense")
        x = x + y * state[f"{start}layer_scale1.lambda1"]
        y = _gelu(_dense(state, _norm(state, x, f"{start}norm2", 1e-6), f"{start}mlp.fc1"))
        x = x + _dense(state, y, f"{start}mlp.fc2") * state[f"{start}layer_scale2.lambda1"]
    return _norm(state, x, "layernorm", 1e-6)[0]


def siglip_features(state: State, photo: np.ndarray, heads: int) -> np.ndarray:
    """Return the pooled token of SigLIP, of a photo (H, H, 3) of the size of its places."""
    state = {name.removeprefix("vision_model."): values for name, values in state.items()}
    patches = "embeddings.patch_embedding"
    x = _patches(photo / 127.5 - 1, state[f"{patches}.weight"]) + state[f"{patches}.bias"]
    x = x + state["embeddings.position_embedding.weight"]
    for start in _blocks(state, "encoder.layers."):
        y = _norm(state, x, f"{start}layer_norm1", 1e-6)
        y = _attend(state, y, f"{start}self_attn.", heads, ("q_proj", "k_proj", "v_proj"))
        x = x + _dense(state, y, f"{start}self_attn.out_proj")
        x = x + _siglip_mlp(state, _norm(state, x, f"{start}layer_norm2", 1e-6), f"{start}mlp.")
    x = _norm(state, x, "post_layernorm", 1e-6)
    weights, biases = (
        np.split(state[f"head.attention.in_proj_{n}"], 3) for n in ("weight", "bias")
    )
    given = (state["head.probe"][0], x, x)
    projected = [v @ w.T + b for v, w, b in zip(given, weights, biases, strict=True)]
    x = _dense(state, _attention(projected, heads), "head.attention.out_proj")
    return (x + _siglip_mlp(state, _norm(state, x, "head.layernorm", 1e-6), "head.mlp."))[0]


def _siglip_mlp(state: State, x: np.ndarray, start: str) -> np.ndarray:
    return _dense(state, _gelu_by_tanh(_dense(state, x, f"{start}fc1")), f"{start}fc2")


def _blocks(state: State, start: str) -> list[str]:
    numbers = {name[len(start) :].split(".")[0] for name in state if name.startswith(start)}
    return [f"{start}{i}." for i in range(len(numbers))]


def _random(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """Return random tensors; what scales a normalized vector is about one."""
    random = np.random.default_rng(seed)
    found = {}
    for name, shape in shapes.items():
        values = random.normal(0, max(math.prod(shape[1:]), 4) ** -0.5, shape)
        found[name] = (values + (len(shape) == 1 and name.endswith("weight"))).astype("float32")
    return found


def _vision_shapes(start: str, dim: int, names: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a block's tensors, whose layers are square, wide, narrow or scales."""
    sizes = {
        "square": (dim, dim),
        "wide": (2 * dim, dim),
        "narrow": (dim, 2 * dim),
        "norm": (dim,),
    }
    found = {f"{start}{name}.weight": sizes[kind] for name, kind in names.items()}
    return found | {f"{start}{name}.bias": (sizes[kind][0],) for name, kind in names.items()}


def random_dinov2(dim: int, grid: int, blocks: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return a state of DINOv2 with random weights, patches of 14 pixels and `grid` a side."""
    names = {f"attention.attention.{part}": "square" for part in ("query", "key", "value")}
    names |= {"attention.output.dense": "square", "mlp.fc1": "wide", "mlp.fc2": "narrow"}
    names |= {"norm1": "norm", "norm2": "norm"}
    shapes = {
        "embeddings.cls_token": (1, 1, dim),
        "embeddings.position_embeddings": (1, 1 + grid * grid, dim),
        "embeddings.patch_embeddings.projection.weight": (dim, 3, 14, 14),
        "embeddings.patch_embeddings.projection.bias": (dim,),
        "layernorm.weight": (dim,),
        "layernorm.bias": (dim,),
    }
    for start in (f"encoder.layer.{i}." for i in range(blocks)):
        shapes |= _vision_shapes(start, dim, names)
        shapes |= {f"{start}layer_scale{i}.lambda1": (dim,) for i in (1, 2)}
    return _random(shapes, seed)


def random_siglip(dim: int, grid: int, blocks: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return a state of SigLIP with random weights, patches of 16 pixels and `grid` a side."""
    names = {f"self_attn.{part}_proj": "square" for part in ("q", "k", "v", "out")}
    names |= {"mlp.fc1": "wide", "mlp.fc2": "narrow"}
    names |= {"layer_norm1": "norm", "layer_norm2": "norm"}
    head = {"attention.out_proj": "square", "layernorm": "norm"}
    shapes = {
        "embeddings.patch_embedding.weight": (dim, 3, 16, 16),
        "embeddings.patch_embedding.bias": (dim,),
        "embeddings.position_embedding.weight": (grid * grid, dim),
        "post_layernorm.weight": (dim,),
        "post_layernorm.bias": (dim,),
        "head.probe": (1, 1, dim),
        "head.attention.in_proj_weight": (3 * dim, dim),
        "head.attention.in_proj_bias": (3 * dim,),
        **_vision_shapes("head.", dim, head | {"mlp.fc1": "wide", "mlp.fc2": "narrow"}),
    }
    for start in (f"encoder.layers.{i}." for i in range(blocks)):
        shapes |= _vision_shapes(start, dim, names)
    found = {f"vision_model.{name}": values for name, values in _random(shapes, seed).items()}
    return found | {"text_model.embeddings.token_embedding.weight": np.zeros((2, 2), "float32")}


def safetensors(state: State) -> bytes:
    """Return a safetensors file of float32 tensors."""
    import json

    header, data = {}, b""
    for name, values in state.items():
        content = values.astype("<f4").tobytes()
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": offsets}
        data += content
    written = json.dumps(header).encode()
    return len(written).to_bytes(8, "little") + written + data
