"""The record of what was asked for tells one training from another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tiny import plain_config, plain_rows

from multimodal.data.prepare import prepare
from multimodal.runs.provenance import Request, record, versions


def test_a_record_is_json_and_tells_requests_apart() -> None:
    rows = plain_rows()
    asked = Request(rows, ["price"], plain_config(), Path("run"), command="multimodal train")
    found = record(asked)
    assert json.loads(json.dumps(found)) == found
    assert record(replace(asked, out=Path("other"))) == found
    for other in (
        replace(asked, targets=["cost"]),
        replace(asked, weight="weight"),
        replace(asked, base="base"),
        replace(asked, config=plain_config(seed=1)),
    ):
        assert record(other) != found


def test_with_data_it_tells_rows_and_splits_apart() -> None:
    rows, config = plain_rows(), plain_config(linear=False)
    asked = Request(rows, ["price"], config, Path("run"))
    one, same, other = (
        record(asked, prepare(each, ["price"], config))
        for each in (rows, rows.copy(), rows.assign(price=rows["price"] * 2))
    )
    assert one == same and one["data"]["rows"] == 80
    assert other["data"] != one["data"] and record(asked).keys() == one.keys() - {"data"}


def test_versions_name_what_a_run_depends_on() -> None:
    found = versions()
    assert {"python", "multimodal", "keras", "backend"} <= found.keys() and all(found.values())
