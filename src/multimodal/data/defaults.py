"""Fill in what a config leaves open: feature groups and heads, from the schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from multimodal.config import Component, Config, Group, Head
from multimodal.data.schema import Schema
from multimodal.errors import ConfigError, DataError, choices
from multimodal.spec import slug, unique_slugs

DEFAULT_PARTS = {
    "tabular": ("dense", "mean"),
    "text": ("recurrent", "attention"),
    "image": ("convolutional", "mean"),
}
_TABULAR_KINDS = ("number", "category", "date")


def complete(
    config: Config,
    schema: Schema,
    targets: Mapping[str, NDArray[np.float64]],
    *,
    adapt: bool = False,
) -> Config:
    """Return `config` with groups and heads, checked against the columns of the schema.

    Numbers, categories and dates form one tabular group; every text column is a group of its own;
    all photo columns share one encoder. A head stands for each target; its transform is `log1p`
    where no target is negative and the logarithm is less skewed than the target itself. With
    `adapt`, given groups lose columns that the table lacks and gain those that are new.

    Raises:
        ConfigError: A group or head names an unknown column, or a group reads the target.
        DataError: There is nothing to predict from.
    """
    groups = config.groups or _infer_groups(schema)
    if adapt and config.groups:
        groups = _adapted(groups, _infer_groups(schema))
    if not groups:
        raise DataError("no feature column is left besides the target; expected at least one.")
    for group in groups:
        _check_columns(group, schema, targets)
    heads = config.heads or [_infer_head(column, values) for column, values in targets.items()]
    for head in heads:
        if head.column not in targets:
            raise ConfigError(
                f"head '{head.name}' learns column '{head.column}', which is not among the "
                f"targets. {choices(head.column, targets)}"
            )
    _check_learned(targets, heads)
    return config.model_copy(update={"groups": groups, "heads": heads})


def _check_learned(targets: Iterable[str], heads: Sequence[Head]) -> None:
    learned = {head.column for head in heads}
    for column in targets:
        if column not in learned:
            raise ConfigError(
                f"target '{column}' is learned by no head; the heads learn "
                f"{', '.join(sorted(learned))}. Add a head for it, or leave the heads out."
            )


def _adapted(groups: Sequence[Group], inferred: Sequence[Group]) -> list[Group]:
    """Fit known groups to a new table: its columns of one modality join the first such group."""
    there = {column for group in inferred for column in group.columns}
    known = {column for group in groups for column in group.columns}
    result = []
    for group in groups:
        columns = [column for column in group.columns if column in there]
        result += [group.model_copy(update={"columns": columns})] if columns else []
    for group in inferred:
        fresh = [column for column in group.columns if column not in known]
        first = next((i for i, g in enumerate(result) if g.modality == group.modality), None)
        if fresh and first is not None and group.modality != "text":
            joined = [*result[first].columns, *fresh]
            result[first] = result[first].model_copy(update={"columns": joined})
        elif fresh:
            result.append(group.model_copy(update={"columns": fresh}))
    return result


def _check_columns(group: Group, schema: Schema, targets: Mapping[str, object]) -> None:
    known = [column.name for column in schema.columns]
    for column in group.columns:
        if column not in known:
            raise ConfigError(
                f"group '{group.name}': no column '{column}'. {choices(column, known)}"
            )
        if column in targets:
            raise ConfigError(f"group '{group.name}' reads the target column '{column}'.")


def _infer_groups(schema: Schema) -> list[Group]:
    table = [c.name for c in schema.columns if c.kind in _TABULAR_KINDS]
    photos = schema.names("image")
    wanted = [("table", "tabular", table)] if table else []
    wanted += [(slug(name), "text", [name]) for name in schema.names("text")]
    wanted += [("photos", "image", photos)] if photos else []
    names = unique_slugs([name for name, _, _ in wanted])
    return [_group(name, *rest[1:]) for name, rest in zip(names, wanted, strict=True)]


def _group(name: str, modality: str, columns: Sequence[str]) -> Group:
    encoder, pooling = DEFAULT_PARTS[modality]
    return Group.model_validate(
        {
            "name": name,
            "modality": modality,
            "columns": columns,
            "encoder": encoder,
            "pooling": pooling,
        }
    )


def _infer_head(column: str, values: NDArray[np.float64]) -> Head:
    transform = "log1p" if _prefers_log(values) else "standardise"
    component = Component(name="regression", options={"transform": transform})
    return Head(name=slug(column), column=column, head=component)


def _prefers_log(values: NDArray[np.float64]) -> bool:
    known = values[np.isfinite(values)]
    if not len(known) or known.min() < 0 or known.max() <= 0:
        return False
    return abs(_skewness(np.log1p(known))) < abs(_skewness(known))


def _skewness(values: NDArray[np.float64]) -> float:
    spread = values.std()
    return float((((values - values.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
