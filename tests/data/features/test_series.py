"""Series: columns as steps, lists in cells; scaled, padded, cut; the same at prediction time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal.core.config import Config
from multimodal.core.errors import DataError
from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import infer_schema
from multimodal.data.defaults import complete
from multimodal.data.features.fit import fit_spec
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.features.series import holds_lists, longest, read_series
from multimodal.data.read.readers import read_table

MONTHS = ["jan", "feb", "mar"]
STEPS: list[dict[str, Any]] = [
    {"jan": 1.0, "feb": 2.0, "mar": 3.0, "y": 1},
    {"jan": 5.0, "feb": None, "mar": 3.5, "y": 2},
    {"jan": 4.0, "feb": 2.5, "mar": 9.0, "y": 3},
]
LISTS: list[dict[str, Any]] = [
    {"heat": "[1, 2, null, 4]", "rain": "0.5 0 1", "y": 1},
    {"heat": "[3]", "rain": None, "y": 2},
    {"heat": "[5, 6]", "rain": "2 x", "y": 3},
]


def fitted(
    rows: Any, columns: list[str], base: FittedSpec | None = None
) -> tuple[Preprocessor, Any]:
    table = read_table(rows)
    schema = infer_schema(table, targets=["y"])
    group = {"name": "past", "modality": "series", "columns": columns, "encoder": "recurrent"}
    config = complete(Config.parse({"groups": [group]}), schema, ["y"])
    return Preprocessor(fit_spec(config, schema, table.frame, base), schema), table.frame


def test_columns_are_steps_in_the_given_order(tmp_path: Path) -> None:
    preprocessor, frame = fitted(STEPS, ["mar", "jan", "feb"])
    group = preprocessor.spec.groups[0]
    assert (group.steps, len(group.channels), group.optional) == (3, 1, False)
    values = np.array([1, 2, 3, 5, 3.5, 4, 2.5, 9])
    assert group.channels[0].centre == np.median(values)
    found = preprocessor.arrays(frame, tmp_path).inputs["past_series"]
    assert (found.shape, found.dtype) == ((3, 3, 1), np.float32)
    moved = (3.0 - np.median(values)) / group.channels[0].scale
    assert found[0, 0, 0] == pytest.approx(moved / np.sqrt(1 + (moved / 3) ** 2))
    assert np.argwhere(np.isnan(found)).tolist() == [[1, 2, 0]]


def test_lists_are_channels_that_end_together(tmp_path: Path) -> None:
    preprocessor, frame = fitted(LISTS, ["heat", "rain"])
    group = preprocessor.spec.groups[0]
    assert (group.steps, [c.source for c in group.channels]) == (4, ["heat", "rain"])
    assert [c.centre for c in group.channels] == [3.5, 0.75]
    arrays = preprocessor.arrays(frame, tmp_path)
    gone = np.isnan(arrays.inputs["past_series"])
    assert gone[:, :, 0].tolist() == [[0, 0, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0]]
    assert gone[:, :, 1].tolist() == [[1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 1]]
    assert {name: rows.tolist() for name, rows in arrays.unreadable.items()} == {"rain": [2]}


def test_a_longer_list_is_cut_to_its_end_and_a_dict_reads_alike(tmp_path: Path) -> None:
    preprocessor, _ = fitted(LISTS, ["heat", "rain"])
    long = {"heat": [[9, 1, 2, 3, 4]], "rain": ["8 7 0.5 0 1 2"]}
    short = {"heat": ["[1, 2, 3, 4]"], "rain": [np.array([0.5, 0, 1, 2])]}
    first, second = (preprocessor.arrays(each, tmp_path).inputs for each in (long, short))
    np.testing.assert_array_equal(first["past_series"], second["past_series"], strict=True)


def test_a_group_without_numbers_in_a_row_is_optional(tmp_path: Path) -> None:
    rows = [*STEPS, {"jan": None, "feb": None, "mar": None, "y": 4}]
    preprocessor, frame = fitted(rows, MONTHS)
    assert preprocessor.spec.groups[0].input_keys == ["past_series", "past_present"]
    present = preprocessor.arrays(frame, tmp_path).inputs["past_present"]
    assert present.tolist() == [True, True, True, False]


def test_known_channels_keep_scale_and_length() -> None:
    base = fitted(LISTS, ["heat", "rain"])[0].spec
    longer = [{**row, "heat": [100, 200, 300, 400, 500, 600 + i]} for i, row in enumerate(LISTS)]
    again = fitted(longer, ["heat", "rain"], base)[0].spec
    assert again == base


def test_a_series_without_any_number_is_refused() -> None:
    with pytest.raises(DataError, match=r"group 'past': no cell holds a number .* \(a, b\)"):
        fitted([{"a": "x", "b": None, "y": i} for i in range(3)], ["a", "b"])


def test_which_form_it_is() -> None:
    assert holds_lists(["a"], {"a": [1.0]})
    assert holds_lists(["a", "b"], {"a": [None, [1.0]], "b": [None, None]})
    assert not holds_lists(["a", "b"], {"a": ["1,234.5"], "b": [2]})
    assert longest(["a", "b"], {"a": ["1 2 3", None], "b": [5.0, "[1, 2]"]}) == 3
    assert longest(["a"], {"a": [None]}) == 1


def test_nothing_to_read_is_an_empty_window() -> None:
    found, bad = read_series(["a"], 1, 3, {}, {"a": []})
    assert found.shape == (0, 3, 1) and not bad
