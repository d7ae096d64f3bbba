"""What the builder refuses: names, parts, options and values, each in one message."""

from __future__ import annotations

import re
from typing import Any

import pytest
from graphs import PHOTOS, PRICE, TABLE, TITLE, config_of, spec_of

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.models.build import build, check_parts

DENSE = "tabular_encoder 'dense' has no option "


def changed(group: dict[str, Any] = TABLE, **changes: Any) -> Config:
    """Return the config of one group that has these changes."""
    return config_of({**group, **changes})


def part(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "options": options}


def headed(head: Any) -> Config:
    """Return a config whose one head is this part."""
    return config_of(TABLE, heads=({**PRICE, "head": head},))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed(encoder="dens"), "unknown tabular_encoder 'dens'. Did you mean 'dense'? Valid: "),
        (
            changed(encoder=part("dense", hidden_dim=[3])),
            f"{DENSE}'hidden_dim'. Did you mean 'hidden_dims'?",
        ),
        (changed(encoder=part("dense", cardinalities=[3])), f"{DENSE}'cardinalities'"),
        (changed(encoder=part("dense", pooling="mean")), f"{DENSE}'pooling'"),
        (changed(pooling="sum"), "unknown pooling 'sum'"),
        (
            changed(pooling=part("mean", axis=1)),
            "pooling 'mean' has no option 'axis'. Valid: (none).",
        ),
        (changed(TITLE, encoder="dense"), "unknown text_encoder 'dense'"),
        (config_of(TABLE, fusion="concatenate"), "unknown fusion 'concatenate'"),
        (headed("regresion"), "unknown head 'regresion'. Did you mean"),
        (headed(part("regression", mean=3)), "head 'regression' has no option 'mean'. Valid: "),
        (
            headed("reconstruction"),
            "head 'reconstruction' learns from no column of a table; use it in a model of your",
        ),
    ],
)
def test_parts_that_are_unknown_or_learn_from_no_column(config: Config, message: str) -> None:
    for attempt in (lambda: check_parts(config), lambda: build(config, spec_of(config))):
        with pytest.raises(ConfigError, match=re.escape(message)):
            attempt()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            changed(encoder=part("dense", dropout=2)),
            "tabular_encoder 'dense': `dropout` must be in [0, 1). Received: dropout=2",
        ),
        (
            changed(pooling=part("attention", num_heads=3)),
            "the parts do not fit together: `num_heads` must divide the token size",
        ),
    ],
)
def test_values_that_do_not_fit(config: Config, message: str) -> None:
    check_parts(config)
    with pytest.raises(ConfigError, match=re.escape(message)):
        build(config, spec_of(config))


@pytest.mark.parametrize("name", ["fusion", "table_encoder", "table_numeric", "photos_any"])
def test_a_head_with_the_name_of_a_layer_is_refused(name: str) -> None:
    config = config_of(TABLE, PHOTOS, heads=({**PRICE, "name": name},))
    message = f"head '{name}' has the name of a layer of the model; give it another name."
    with pytest.raises(ConfigError, match=re.escape(message)):
        build(config, spec_of(config, optional=("photos",)))


def test_config_and_spec_must_belong_together() -> None:
    config = config_of(TABLE, TITLE)
    with pytest.raises(ConfigError, match="config and spec do not belong together"):
        build(config, spec_of(config_of(TITLE, TABLE)))
