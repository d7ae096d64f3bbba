"""Configuration of a model and its training, from Python, YAML or JSON.

A config says which columns form which feature groups, how each group is encoded, how the groups
are fused, which heads predict what, and how data and training are run. What preprocessing learns
from the data is not here but in :class:`multimodal.core.spec.FittedSpec`; `models.build` joins the
two.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from multimodal.core.config_errors import explained
from multimodal.core.config_fields import Decimal, Encoding, Separator, Words
from multimodal.core.errors import ConfigError
from multimodal.core.files import read_text
from multimodal.core.records import TOO_DEEP, Record, check_extent
from multimodal.core.yaml_values import Place, load_yaml

Modality = Literal["tabular", "text", "image", "series"]
LabelKind = Literal["number", "class", "labels", "box"]
Kind = Literal[
    "number",
    "category",
    "text",
    "image",
    "identifier",
    "date",
    "target",
    "weight",
    "split",
    "ignored",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
PRETRAINED_ENCODER = "pretrained"  # of frozen features
MOST_BYTES = 1 << 20  # of a config file
MOST_PARTS = 128  # groups, heads, layers of one kind, entries of a list of options
MOST_LETTERS = 500  # of what the YAML reader says
_OLD_KEYS = {"training": {"members": "fold_models"}}  # by section: old spelling, spelling


def current_keys(values: Mapping[str, Any], written_in: str | None = None) -> dict[str, Any]:
    """Return the plain values of a config with each key under its present name.

    Args:
        values: Sections by name.
        written_in: Where a user wrote them, who is warned of each old key; nobody is of those that
            a run saved.

    Raises:
        ConfigError: A section has a key under both its names.

    Example:
    >>> current_keys({"training": {"members": 3}})
    {'training': {'fold_models': 3}}
    """
    found = dict(values)
    for section, names in _OLD_KEYS.items():
        keys = found.get(section)
        if not isinstance(keys, dict):
            continue
        for old in names.keys() & keys.keys():
            told = f"`{section}.{old}` is the old name of `{section}.{names[old]}`"
            if names[old] in keys:
                raise ConfigError(f"{written_in or 'config'}: {told}; write one of the two.")
            if written_in is not None:
                # FutureWarning: Python shows a DeprecationWarning only to the author of __main__,
                # not to that of a YAML file.
                warnings.warn(f"{written_in}: {told}; write that.", FutureWarning, stacklevel=3)
            found[section] = {names.get(key, key): value for key, value in keys.items()}
    return found


def _as_lists(value: Any) -> Any:
    """Turn tuples into lists, as JSON would."""
    if isinstance(value, dict):
        return {key: _as_lists(each) for key, each in value.items()}
    return [_as_lists(each) for each in value] if isinstance(value, list | tuple) else value


def _as_options(value: Any) -> Any:
    """Check options: few layers, short lists, and no mapping, which Keras would make an object."""
    for name, each in value.items() if isinstance(value, dict) else ():
        if isinstance(each, dict):
            raise ValueError(f"option '{name}' must be a value or a list; no mapping is taken")
        listed = each if isinstance(each, list | tuple) else ()
        if len(listed) > MOST_PARTS:
            raise ValueError(f"option '{name}' has {len(listed):,} entries; at most {MOST_PARTS}")
        depths = [*listed, each] if name in ("num_layers", "num_blocks") else []
        if any(isinstance(depth, int) and depth > MOST_PARTS for depth in depths):
            raise ValueError(f"option '{name}' may be at most {MOST_PARTS}")
    return _as_lists(value)


class Component(Record):
    """A registered part by name, with options for its constructor.

    The options are checked against the constructor's signature when the model is built.
    """

    name: str
    options: Annotated[dict[str, JsonValue], BeforeValidator(_as_options)] = {}


def _as_component(value: Any) -> Any:
    """Return a component for a bare name: ``encoder: dense`` is ``encoder: {name: dense}``."""
    return {"name": value} if isinstance(value, str) else value


Part = Annotated[Component, BeforeValidator(_as_component, json_schema_input_type=str | Component)]


class Group(Record):
    """Columns of one modality that share one encoder.

    Args:
        name: Of the group, in messages and as the prefix of its inputs.
        modality: What the cells are.
        columns: Columns of the table.
        encoder: Registered encoder: the inputs of the group to tokens.
        pooling: Registered pooling: the encoder's tokens to one vector; `mean` by default, `grid`
            of photos where a head predicts a box.
        vectors: A GloVe or word2vec text file, whose word vectors a text group starts from.
    """

    name: str
    modality: Modality
    columns: list[str] = Field(min_length=1)
    encoder: Part
    pooling: Part = Component(name="mean")
    vectors: str | None = None


class Head(Record):
    """One prediction.

    Args:
        name: Of the head, in messages and as the prefix of its predictions.
        column: The column of its labels. Several columns are the corners of a box (`[xmin, ymin,
            xmax, ymax]`, in pixels) or one 0/1 column per label.
        head: Registered head layer.
        weight: Weight of its loss in the total, or `learned` from the head's own uncertainty.
        partial: Whether rows without this label are kept; the other heads learn from them.
        classes: The classes in their order, lowest first; from the training rows where empty.
    """

    name: str
    column: str | list[str]
    head: Part = Component(name="regression")
    weight: Annotated[float, Field(gt=0)] | Literal["learned"] = 1.0
    partial: bool = False
    classes: list[str] = []

    @property
    def columns(self) -> list[str]:
        """The columns it learns, as a list."""
        return [self.column] if isinstance(self.column, str) else self.column


class Split(Record):
    """How rows are divided into training, validation and test rows.

    Args:
        method: `random` is stratified by class or by decile of a number; `time` puts the latest
            rows of `column` in test; `column` reads the words train, validation and test from
            `column`.
        column: The column that a method other than `random` needs.
        group: Column whose values stay together in splits and folds. `{method: group, column: x}`
            is the old spelling of `{group: x}`.
        near_duplicates: Whether rows that share a long text up to some words, or all values but
            one, stay together, too, as duplicates do.
        validation: Fraction of the rows.
        test: Fraction of the rows; with 0 there are no test rows, and all rows are learned from.
    """

    method: Literal["random", "time", "column"] = "random"
    column: str | None = None
    group: str | None = None
    near_duplicates: bool = True
    validation: float = Field(0.1, gt=0, lt=0.5)
    test: float = Field(0.15, ge=0, lt=0.5)

    @model_validator(mode="before")
    @classmethod
    def _old_spelling(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("method") != "group":
            return values
        if values.get("column") is None:
            raise ValueError("split method 'group' needs `column`")
        kept = {key: value for key, value in values.items() if key not in ("method", "column")}
        return {**kept, "group": values["column"]}

    @model_validator(mode="after")
    def _needs_column(self) -> Self:
        if self.method != "random" and self.column is None:
            raise ValueError(f"split method '{self.method}' needs `column`")
        return self


class Data(Record):
    """How columns become tensors.

    Args:
        columns: What a column is taken for, where the inferred kind is wrong; of a target,
            `category` says that its numbers are classes, and `number` that they are not.
        split: How rows are divided.
        photos: Pretrained model whose frozen features stand for all photos, such as
            `efficientnet_lite0`; without one, networks learn to read photos from the rows.
        text: Pretrained model whose frozen features stand for all texts, such as `minilm`, beside
            the n-grams of the linear model.
        image_size: Width and height that photos are resized to, in pixels.
        augment: Whether training photos are augmented at random.
        vocabulary_size: Most words of a text group, the most frequent ones.
        min_count: Times a word or category must occur in the training rows to be known.
        max_words: Words of a text that are read.
        max_photos: Photos of a row that are read.
        missing_photo: Whether a photo that is not there or cannot be read counts as `absent`, or
            lets its row `drop` out; a row that has nothing else drops out anyway.
        follow_links: Whether symbolic links in the photos' folder may lead out of it.
        download: Folder to fetch photos to that are named by addresses; none are fetched without.
        bins: Where piecewise-linear embeddings cut a number: at its quantiles, or (`target`) where
            a decision tree of the labels of the first head cuts it.
        num_bins: Most parts that they cut it into.
        cache_mb: Memory for decoded photos, in megabytes; more of them lie in a temporary file.
        prepared: A folder that keeps rows as arrays and photos as pixels, for the next training on
            the same data.
        max_quarantine: Fraction of the rows that may be rejected before it is an error.
        separator: The character between the values of a text file (`tab` for a tabulator); `auto`
            finds it in the file.
        encoding: How the bytes of a text file become text, such as `cp1252`; `auto` finds it.
        decimal: The decimal mark of numbers written as text; `auto` finds it in each column, and
            where a column leaves it open, in the file.
        sheet: Name of the sheet of an Excel file; the first one by default.
        day_first: Whether the day comes before the month in dates such as 03/04/2016; found in each
            column by default, and such dates are not read where it leaves that open.
        merge_spellings: Whether categories are one that differ in case, blanks or Unicode form.
        missing: Words that stand for no value in columns of numbers and dates, beside the usual
            ones such as `?` and `#N/A`; numbers such as -999, too.
    """

    columns: dict[str, Kind] = {}
    split: Split = Split()
    photos: str | None = None
    text: str | None = None
    image_size: int = Field(64, ge=8, le=1024)  # against 80: docs/experiments/defaults.md
    augment: bool = True
    vocabulary_size: int = Field(20_000, ge=10, le=10_000_000)
    min_count: int = Field(2, ge=1)
    max_words: int = Field(160, ge=4, le=65_536)
    max_photos: int = Field(4, ge=1, le=64)
    missing_photo: Literal["absent", "drop"] = "absent"
    follow_links: bool = False
    download: str | None = None
    bins: Literal["quantile", "target"] = "quantile"
    num_bins: int = Field(32, ge=2, le=256)
    cache_mb: int = Field(1024, ge=0)
    prepared: str | None = None
    max_quarantine: float = Field(0.05, ge=0, le=1)
    separator: Separator = "auto"
    encoding: Encoding = "auto"
    decimal: Decimal = "auto"
    sheet: str | None = None
    day_first: bool | None = None
    merge_spellings: bool = True
    missing: Words = []


class Training(Record):
    """How the model is fitted.

    `epochs` is how often the training rows are read; `auto` reads very many rows less often, and
    few photos with a box more often. `patience` is the number of epochs without a lower loss on
    rows that a network does not learn from, after which it stops; `auto` is 6, more with a box.
    `batch_size` is the number of rows of a step; `auto` takes smaller batches of few rows.
    `precision` is `float32`, `mixed_bfloat16` or `auto`, which takes `mixed_bfloat16` where the
    processor multiplies it natively. `freeze` names groups whose encoders keep their weights;
    `unfreeze_epoch` is the number of epochs after which they are trained too. With `ema_momentum`,
    such as 0.99, an exponential moving average of the weights is kept, measured and saved.
    `checkpoint_seconds` of training lie between two checkpoints.

    `fold_models` is the number of networks of a k-fold ensemble, which are averaged: each learns
    without one fold of the training and validation rows, and stops by that fold. A single network
    learns from the training rows and stops by the validation rows; so does each of several where
    the split names the validation rows, or takes the latest. `auto` takes more the fewer rows there
    are, and ends early where the first ones add nothing to the linear model. With `linear`, one of
    sparse n-gram features (words, letters, categories, numbers in the table and in texts) and
    random Fourier features of the table is stacked with them, its weight learned from out-of-fold
    predictions. With `trees`, gradient boosting is stacked, too, in `trees.npz`. A training can
    leave out `baselines`, `explanations` (what modalities are worth, permutation importance,
    neighbours) and `report` (page, model card, plots, pages of example rows).
    `minutes` are all that `train` may take, from reading to the report (docs/large.md).
    """

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["auto"] = "auto"
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] = "auto"
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    clip_norm: float = Field(1.0, gt=0)
    patience: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    seed: int = Field(0, ge=0, lt=2**31)
    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    freeze: list[str] = []
    unfreeze_epoch: int | None = Field(None, ge=1)
    ema_momentum: float | None = Field(None, gt=0, lt=1)
    checkpoint_seconds: float = Field(60.0, ge=0)
    fold_models: Annotated[int, Field(ge=1, le=20)] | Literal["auto"] = "auto"
    linear: bool = True
    trees: bool = False
    baselines: bool = True
    explanations: bool = True
    report: bool = True
    minutes: float | None = Field(None, gt=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return current_keys({"training": values}, "config")["training"]

    @property
    def members(self) -> int | Literal["auto"]:
        """The old name of `fold_models`."""
        told = "`training.members` is the old name of `training.fold_models`"
        warnings.warn(told, FutureWarning, stacklevel=2)
        return self.fold_models


class Config(Record):
    """The configuration of a model and its training.

    Args:
        groups: Feature groups; inferred from the table where empty.
        fusion: Registered fusion of the groups. The default one averages an ensemble with shared
            weights (`num_members`) and leaves out each group in some training rows
            (`modality_dropout`), so that the model can do without; one that you name does so only
            where its options say it.
        heads: What is predicted; inferred from the targets where empty.
        data: How columns become tensors.
        training: How the model is fitted.

    Example:
    >>> config = Config.model_validate({"training": {"epochs": 3}})
    >>> Config.from_json(config.to_json()) == config
    True
    """

    groups: list[Group] = Field([], max_length=MOST_PARTS)
    fusion: Part = Component(name="concat", options={"num_members": 8, "modality_dropout": 0.05})
    heads: list[Head] = Field([], max_length=MOST_PARTS)
    data: Data = Data()
    training: Training = Training()

    @classmethod
    def parse(
        cls, values: Any, source: str = "config", lines: Mapping[Place, int] | None = None
    ) -> Config:
        """Validate plain values; raise ConfigError that names the key and the nearest spelling.

        `lines` are those of the keys in a file, which a message then names, too.
        """
        if not isinstance(values, dict):
            raise ConfigError(f"{source}: expected a mapping of sections. {_valid_sections()}")
        try:
            check_extent(values)
        except ValueError as error:
            raise ConfigError(f"{source}: {error}") from None
        try:
            return cls.model_validate(current_keys(values, source))
        except ValidationError as error:
            raise ConfigError(explained(error, cls, source, lines or {})) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> Config:
        """Read a YAML (or JSON) file through a loader that executes nothing."""
        try:
            text = read_text(path, most=MOST_BYTES)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not valid YAML. {str(error)[:MOST_LETTERS]}") from None
        try:
            values, lines = load_yaml(text)
        except RecursionError:
            raise ConfigError(f"{path}: not valid YAML. {TOO_DEEP}") from None
        except Exception as error:  # a wrong `!!int` or date raises whatever its reader does
            raise ConfigError(f"{path}: not valid YAML. {str(error)[:MOST_LETTERS]}") from None
        return cls.parse({} if values is None else values, str(path), lines)

    @classmethod
    def from_json(cls, text: str, source: str = "config") -> Config:
        """Parse what `to_json` wrote, now or when some keys had other names."""
        try:
            values = json.loads(text)
        except RecursionError:
            raise ConfigError(f"{source}: not valid JSON. {TOO_DEEP}") from None
        except ValueError as error:
            raise ConfigError(f"{source}: not valid JSON. {error}") from None
        return cls.parse(current_keys(values) if isinstance(values, dict) else values, source)

    def to_json(self) -> str:
        """Return the config as indented JSON."""
        return self.model_dump_json(indent=2)

    def merge(self, **sections: Any) -> Config:
        """Return a copy in which whole sections, or keys of one, are replaced and validated."""
        values = self.model_dump(exclude_unset=True)  # what nobody set stays open
        for name, new in current_keys(sections, "config").items():
            old = values.get(name)
            values[name] = (
                {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new
            )
        return Config.parse(values)


def fusion_named(config: Config, name: str) -> Component:
    """Return the fusion of a name: the config's own, or another with the config's modality dropout.

    The default fusion keeps its `num_members`.

    Example:
    >>> fusion_named(Config(), "gated").options
    {'modality_dropout': 0.05}
    """
    if name == config.fusion.name:
        return config.fusion
    default, dropout = Config().fusion, "modality_dropout"
    options = {k: v for k, v in default.options.items() if name == default.name and k != dropout}
    shared = {k: v for k, v in config.fusion.options.items() if k == dropout}
    return Component(name=name, options={**options, **shared})


def _valid_sections() -> str:
    return f"Valid: {', '.join(sorted(Config.model_fields))}."
