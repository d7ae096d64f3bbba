"""A whole server on a real run: protocol, plain rows, hostile requests, equal to `run.predict`."""

from __future__ import annotations

import base64
import io
import json
import logging
import math
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from runs import Trained
from servers import Answered, Client, served, tensors, until

from multimodal.runs.run import Run, load
from multimodal.serve.settings import Limits, Settings

READ = ["category", "brand", "weight_g", "year", "description", "image"]
FLOATS = {"weight_g": "FP64", "year": "FP64"}
TOLERANCE = 1e-5  # relative: sums of a batch are rounded in another order
BODY = 2**20


@pytest.fixture(scope="module")
def run(trained: Trained) -> Run:
    return load(trained.run)


@pytest.fixture(scope="module")
def client(trained: Trained, run: Run) -> Iterator[Client]:
    limits = Limits(body=BODY, rows=100, deadline=20.0)
    with served(Settings(trained.run, limits=limits), lambda path: run) as client:
        yield client


@pytest.fixture(scope="module")
def rows(trained: Trained) -> list[dict[str, Any]]:
    """Test rows as requests hold them: photos in base64, nothing for a missing cell."""
    return as_requests(pd.read_csv(trained.test), trained.folder)


def as_requests(table: pd.DataFrame, folder: Path) -> list[dict[str, Any]]:
    cells = table[READ].astype(object).where(table[READ].notna(), None)
    found = [dict(row) for row in cells.to_dict("records")]
    for row in found:
        row["image"] = row["image"] and in_base64((folder / row["image"]).read_bytes())
    return found


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def without_id(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="id", errors="ignore")


def assert_same(got: list[dict[str, Any]], expected: pd.DataFrame) -> None:
    wanted = expected.drop(columns="row").to_dict("records")
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        for name, value in one.items():
            if isinstance(value, float):
                assert math.isclose(value, other[name], rel_tol=TOLERANCE), name
            else:
                assert value == other[name], name


def test_predictions_are_those_of_the_run(
    client: Client, run: Run, trained: Trained, rows: list[dict[str, Any]]
) -> None:
    expected = without_id(run.predict(trained.test, images=trained.folder, level=0.9).frame)
    answer = client.post("/predict?level=0.9", rows)
    assert answer.status == 200
    assert {"price_prediction", "price_low", "price_high", "note", "unusual"} <= set(
        answer.json["predictions"][0]
    )
    assert_same(answer.json["predictions"], expected)


def test_many_clients_at_once_get_what_each_gets_alone(
    client: Client, run: Run, trained: Trained, rows: list[dict[str, Any]]
) -> None:
    expected = without_id(run.predict(trained.test, images=trained.folder).frame)
    bad = {**rows[0], "image": in_base64(b"\x89PNG\r\n\x1a\n" + b"no photo" * 20)}

    def ask(number: int) -> Answered:
        return client.post("/predict", bad if number % 5 == 4 else rows[number % len(rows)])

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(60)))
    for number, answer in enumerate(answers):
        assert answer.status == 200
        if number % 5 != 4:
            at = number % len(rows)
            assert_same(
                answer.json["predictions"],
                expected[at : at + 1].drop(columns=["id"], errors="ignore"),
            )
        else:
            assert "photo" in answer.json["predictions"][0]["note"]
    page = client.get("/metrics").body.decode()
    batches = [
        float(line.split()[1])
        for line in page.splitlines()
        if line.startswith("multimodal_batch_rows_count")
    ]
    assert batches[0] < 61  # some were answered together


def test_inference_protocol(
    client: Client, run: Run, trained: Trained, rows: list[dict[str, Any]]
) -> None:
    assert client.get("/v2").json["name"] == "multimodal"
    assert client.get("/v2/health/live").status == client.get("/v2/health/ready").status == 200
    name = trained.run.name
    told = client.get(f"/v2/models/{name}").json
    assert [each["name"] for each in told["inputs"]] == READ
    assert {each["name"]: each["datatype"] for each in told["inputs"]}["weight_g"] == "FP64"
    assert told["inputs"][-1]["parameters"] == {"kind": "image", "content_type": "base64"}
    assert client.get(f"/v2/models/{name}/versions/1/ready").json["ready"] is True
    asked = {"id": "q7", "inputs": tensors(rows, **FLOATS), "parameters": {"level": 0.8}}
    answer = client.post(f"/v2/models/{name}/infer", asked).json
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("q7", name, "1")
    found = {each["name"]: each for each in answer["outputs"]}
    known = {each["name"]: each["datatype"] for each in told["outputs"]}
    assert {name: each["datatype"] for name, each in found.items()} == known
    expected = run.predict(trained.test, images=trained.folder, level=0.8).frame
    for column in ("price_prediction", "price_low", "price_high"):
        assert found[column]["shape"] == [len(rows)]
        assert found[column]["data"] == pytest.approx(expected[column].tolist(), rel=TOLERANCE)
    chosen = {**asked, "outputs": [{"name": "price_prediction"}]}
    outputs = client.post(f"/v2/models/{name}/infer", chosen).json["outputs"]
    assert [each["name"] for each in outputs] == ["price_prediction"]


def test_tensors_that_do_not_fit_are_told(
    client: Client, trained: Trained, rows: list[dict[str, Any]]
) -> None:
    good = tensors(rows[:2], **FLOATS)
    path = f"/v2/models/{trained.run.name}/infer"
    for change, told in (
        ({"shape": [3]}, "values in `data`"),
        ({"shape": [2, 0]}, "one value or more"),
        ({"shape": [-1]}, "`shape` must be"),
        ({"datatype": "FP64"}, "is no FP64"),
        ({"datatype": "COMPLEX"}, "unknown `datatype`"),
        ({"data": "x"}, "must be a list"),
        ({"name": 3}, "a `name`"),
        ({"name": "brand"}, "stands twice"),
        ({"data": ["a"], "shape": [1]}, "as many rows"),
    ):
        answer = client.post(path, {"inputs": [{**good[0], **change}, *good[1:]]})
        assert (answer.status, told in answer.json["error"]) == (400, True), (change, answer.body)
    assert client.post(path, {"inputs": good, "binary": 1}).status == 400
    assert client.post(path, {"inputs": []}).status == 400
    assert client.post(path, [1]).status == 400
    assert client.post("/v2/models/other/infer", {"inputs": good}).status == 404
    assert client.post(f"/v2/models/{trained.run.name}/versions/2/infer", {}).status == 404
    binary = client.post(path, {"inputs": good}, **{"Inference-Header-Content-Length": "5"})
    assert binary.status == 415


def form(fields: list[tuple[str, str | None, bytes]]) -> tuple[bytes, str]:
    parts = [
        b'--limit\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (name.encode(), b"" if file is None else b'; filename="%s"' % file.encode(), content)
        for name, file, content in fields
    ]
    return b"".join([*parts, b"--limit--\r\n"]), "multipart/form-data; boundary=limit"


def test_forms_with_photo_files(
    client: Client, run: Run, trained: Trained, rows: list[dict[str, Any]]
) -> None:
    expected = run.predict(trained.test, images=trained.folder).frame["price_prediction"]
    at = next(i for i, row in enumerate(rows) if row["image"])
    photo = base64.b64decode(rows[at]["image"])
    cells = {n: v for n, v in rows[at].items() if n != "image" and v is not None}
    fields = [(name, None, str(value).encode()) for name, value in cells.items()]
    fields += [(n, None, b"") for n in READ if n not in cells and n != "image"]
    body, kind = form([*fields, ("image", "red.png", photo)])
    answer = client.post("/predict", body, **{"Content-Type": kind})
    assert answer.status == 200
    assert answer.json["predictions"][0]["price_prediction"] == pytest.approx(
        expected[at], rel=TOLERANCE
    )
    without, kind = form(fields)
    blank = client.post("/predict", without, **{"Content-Type": kind}).json["predictions"][0]
    assert blank == client.post("/predict", {**rows[at], "image": None}).json["predictions"][0]
    several = [{**row, "image": "red.png"} for row in rows[at : at + 1]]
    body, kind = form([("rows", None, json.dumps(several).encode()), ("files", "red.png", photo)])
    again = client.post("/predict", body, **{"Content-Type": kind}).json["predictions"]
    assert again[0]["price_prediction"] == pytest.approx(expected[at], rel=TOLERANCE)


def test_malformed_requests_are_refused_with_a_reason(
    client: Client, rows: list[dict[str, Any]]
) -> None:
    row = rows[0]
    deep = b"[" * 200_000 + b"]" * 200_000
    for body, status, told in (
        (b"", 400, "expected JSON"),
        (b"{", 400, "expected JSON"),
        (b'{"a": NaN}', 400, "NaN is no JSON"),
        (b'[{"a": Infinity}]', 400, "Infinity"),
        (b'{"a": 1, "a": 2}', 400, "stands twice"),
        (b'{"a": "\xff"}', 400, "UTF-8"),
        (b'{"a": "\\ud800"}', 400, "surrogate"),
        (b'{"a": ' + b"9" * 5000 + b"}", 400, "expected JSON"),
        (deep, 400, "nested too deeply"),
        (b"3", 422, "list of rows"),
        (b"[3]", 422, "row 0"),
        (b"[{}]", 422, "columns missing"),
        (json.dumps({**row, "year": {"a": 1}}).encode(), 422, "column 'year'"),
        (json.dumps({**row, "weight_g": 10**400}).encode(), 422, "finite"),
        (json.dumps(row).replace(str(row["year"]), "1e999").encode(), 422, "finite"),
        (json.dumps({**row, "image": "/etc/passwd"}).encode(), 422, "looks up no paths"),
        (json.dumps({**row, "image": "../a.png"}).encode(), 422, "looks up no paths"),
        (json.dumps({**row, "image": "http://127.0.0.1/a.png"}).encode(), 422, "not opened"),
        (json.dumps({**row, "image": "file:///etc/passwd"}).encode(), 422, "not opened"),
        (json.dumps({**row, "image": 5}).encode(), 422, "base64"),
        (json.dumps({**row, "image": "data:image/png;base64,?"}).encode(), 422, "data: URI"),
        (json.dumps({**row, "image": [["a"]]}).encode(), 422, "list of lists"),
        (json.dumps([row] * 101).encode(), 413, "at most 100"),
    ):
        answer = client.post("/predict", body)
        assert (answer.status, told in answer.json["error"]) == (status, True), answer.body[:300]
        assert answer.json["request_id"] == answer.headers["x-request-id"]
    for query in ("level=2", "level=nan", "level=x", "level=0", "explain=perhaps"):
        assert client.post(f"/predict?{query}", row).status == 422
    assert client.post("/predict", row, **{"Content-Type": "text/csv"}).status == 415
    assert client.post("/predict", row, **{"Content-Encoding": "gzip"}).status == 415
    assert client.post("/predict", b"x", **{"Content-Type": "multipart/form-data"}).status == 400
    assert client.post("/predict", row).status == 200  # still alive


def test_rows_may_be_none_and_have_more_columns(client: Client, rows: list[dict[str, Any]]) -> None:
    assert client.post("/predict", []).json["predictions"] == []
    answer = client.post("/predict", {**rows[0], "surplus": "x", "price": 3}).json
    assert answer["unused_columns"] == ["surplus"]


def bomb() -> bytes:
    """A PNG of 14,000 by 14,000 pixels in some kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    side = 14_000
    row = b"\0" * (1 + side // 8)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = zlib.compress(row * side, 9)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_photos_that_cannot_be_read_count_as_absent(
    client: Client, rows: list[dict[str, Any]]
) -> None:
    without = client.post("/predict", {**rows[0], "image": None}).json["predictions"][0]
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG")
    for content in (bomb(), file.getvalue()[:300], b"<html>" * 30):
        answer = client.post("/predict", {**rows[0], "image": in_base64(content)})
        assert answer.status == 200
        found = answer.json["predictions"][0]
        assert "photo" in found["note"]
        assert found["price_prediction"] == pytest.approx(
            without["price_prediction"], rel=TOLERANCE
        )


def test_bodies_over_the_limit_also_in_chunks(client: Client, rows: list[dict[str, Any]]) -> None:
    large = json.dumps({**rows[0], "description": "x" * 2 * BODY}).encode()
    assert client.post("/predict", large).status == 413
    chunks = (b"x" * 50_000 for _ in range(40))
    assert client.ask("POST", "/predict", chunks, {"Transfer-Encoding": "chunked"}).status == 413
    body = json.dumps(rows[0]).encode()
    pieces = (body[at : at + 1000] for at in range(0, len(body), 1000))
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    assert client.ask("POST", "/predict", pieces, headers).status == 200


def test_a_slow_client_holds_nobody_up(client: Client, rows: list[dict[str, Any]]) -> None:
    slow = socket.create_connection(("127.0.0.1", client.port))
    try:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert client.post("/predict", rows[0]).status == 200
    finally:
        slow.close()


def test_why_a_row_is_predicted(client: Client, rows: list[dict[str, Any]]) -> None:
    answer = client.post("/predict?explain=true", rows[:1]).json["explanations"][0]
    assert answer["head"] == "price"
    assert {each["name"] for each in answer["groups"]} == {"table", "words", "photos"}
    assert {each["name"] for each in answer["columns"]} == set(READ) - {"description", "image"}
    text = answer["words"][0]
    assert text["text"] == rows[0]["description"]
    assert all(0 <= w["start"] < w["end"] <= len(text["text"]) for w in text["words"])
    assert answer["photos"][0]["photo"].startswith("data:image/jpeg;base64,")
    assert "neighbours" not in answer
    assert client.post("/predict?explain=true", rows[:9]).status == 422


def test_nothing_of_a_request_is_logged(
    client: Client, rows: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "multimodal.serve"):
        client.post("/predict?level=0.77", {**rows[0], "description": "xylophone"})
        client.post("/predict", {**rows[0], "xylophone": {"a": 1}, "year": {}})
        until(lambda: len(caplog.records) >= 2)
    told = [record.__dict__["fields"] for record in caplog.records]
    assert "xylophone" not in json.dumps(told)
    assert [each["status"] for each in told] == [200, 422]
    assert told[0]["rows"] == 1


def test_a_request_id_is_taken_over_when_it_is_plain(client: Client) -> None:
    headers = {"X-Request-ID": "abc-1"}
    assert client.ask("GET", "/v2", headers=headers).headers["x-request-id"] == "abc-1"
    odd = client.ask("GET", "/v2", headers={"X-Request-ID": "a b{}"}).headers["x-request-id"]
    assert len(odd) == 32
    missing = client.get("/nothing/here")
    assert (missing.status, missing.json["error"]) == (404, "Not Found")
    assert client.ask("DELETE", "/predict").status == 405
    assert 'route="(none)"' in client.get("/metrics").body.decode()
    assert threading.active_count() < 60
