"""The queue, the limits and the token, on a run that does as its rows say."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from servers import Answered, Client, Doubler, served, until

from multimodal.data.columns.reading import Reading
from multimodal.serve import server
from multimodal.serve.columns import Input
from multimodal.serve.exchange import Refusal
from multimodal.serve.rows import RowReader
from multimodal.serve.settings import Limits, Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What looks like a run directory."""
    place = tmp_path / "twice"
    place.mkdir()
    (place / "manifest.json").write_text("{}")
    return place


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


@pytest.fixture
def client(folder: Path, doubler: Doubler) -> Iterator[Client]:
    limits = Limits(queue=20, deadline=10.0)
    with served(Settings(folder, limits=limits), lambda path: doubler) as client:
        yield client
        doubler.go.set()


def row(size: Any, review: str = "") -> dict[str, Any]:
    return {"size": size, "review": review}


def price(answer: Answered) -> Any:
    assert answer.status == 200, answer.body
    return answer.json["predictions"][0]["price_prediction"]


def busy(pool: ThreadPoolExecutor, client: Client, doubler: Doubler) -> Any:
    """Let the model be busy with a request; return that."""
    before = len(doubler.asked)
    first = pool.submit(client.post, "/predict", row(0, "wait"))
    until(lambda: len(doubler.asked) > before)
    return first


def waiting(client: Client) -> float:
    page = client.get("/metrics").body.decode()
    return next(
        float(x.split()[1]) for x in page.splitlines() if x.startswith("multimodal_waiting")
    )


def test_requests_that_wait_are_answered_together(client: Client, doubler: Doubler) -> None:
    with ThreadPoolExecutor(12) as pool:
        first = busy(pool, client, doubler)
        others = [pool.submit(client.post, "/predict", row(i)) for i in range(10)]
        until(lambda: waiting(client) == 11)
        doubler.go.set()
        assert [price(other.result()) for other in others] == [2.0 * i for i in range(10)]
        assert first.result().status == 200
    assert doubler.asked[-1] == 10


def test_a_request_that_fails_fails_no_other(client: Client, doubler: Doubler) -> None:
    with ThreadPoolExecutor(12) as pool:
        busy(pool, client, doubler)
        bad = pool.submit(client.post, "/predict", row(1, "fail"))
        others = [pool.submit(client.post, "/predict", row(i)) for i in range(5)]
        until(lambda: waiting(client) == 7)
        doubler.go.set()
        assert [price(other.result()) for other in others] == [2.0 * i for i in range(5)]
        assert bad.result().status == 500
        assert b"secret" not in bad.result().body


def test_requests_of_other_levels_are_answered_apart(client: Client, doubler: Doubler) -> None:
    with ThreadPoolExecutor(12) as pool:
        busy(pool, client, doubler)
        asked = [("", "1.25"), ("?level=0.9", 3), ("?level=0.8", 3), ("", 4)]
        others = [pool.submit(client.post, f"/predict{q}", row(size)) for q, size in asked]
        until(lambda: waiting(client) == 5)
        doubler.go.set()
        assert [price(other.result()) for other in others] == [2.5, 6.0, 6.0, 8.0]
    assert sorted(doubler.asked[-3:]) == [1, 1, 2]


def test_no_number_is_null_with_the_reason(client: Client) -> None:
    found = client.post("/predict", row(1, "nan")).json["predictions"][0]
    assert found["price_prediction"] is None
    assert "no finite number" in found["note"]
    tensors = [
        {"name": "size", "datatype": "FP64", "shape": [1], "data": [1]},
        {"name": "review", "datatype": "BYTES", "shape": [1, 1], "data": [["nan"]]},
    ]
    outputs = client.post("/v2/models/twice/infer", {"inputs": tensors}).json["outputs"]
    assert outputs[0]["data"] == [None]
    assert "no finite number" in outputs[1]["data"][0]


def test_a_full_queue_answers_503_and_the_rest_is_answered(
    client: Client, doubler: Doubler
) -> None:
    with ThreadPoolExecutor(40) as pool:
        busy(pool, client, doubler)
        others = [pool.submit(client.post, "/predict", row(i)) for i in range(30)]
        until(lambda: sum(other.done() for other in others) >= 11)
        doubler.go.set()
        answers = [other.result() for other in others]
    refused = [answer for answer in answers if answer.status == 503]
    assert len(refused) == 11
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert sum(answer.status == 200 for answer in answers) == 19


def test_a_deadline_that_passes_is_told(folder: Path, doubler: Doubler) -> None:
    settings = Settings(folder, limits=Limits(deadline=0.2))
    with served(settings, lambda path: doubler) as client:
        assert client.post("/predict", row(1, "wait")).status == 504
        with socket.create_connection(("127.0.0.1", client.port)) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        doubler.go.set()
        until(lambda: client.post("/predict", row(1)).status == 200)


def test_a_connection_without_a_request_is_closed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", client.port)) as idle:
        idle.sendall(b"POST /predict HTTP/1.1\r\nHost:")
        assert idle.recv(100) == b""


def test_bodies_of_all_together_are_bounded(folder: Path, doubler: Doubler) -> None:
    settings = Settings(folder, limits=Limits(body=10_000, bodies=12_000))
    large = b" " * 9_000 + b'{"size": 1, "review": "wait"}'
    with served(settings, lambda path: doubler) as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.post, "/predict", large)
        until(lambda: bool(doubler.asked[3:]))
        assert client.post("/predict", large).status == 503
        doubler.go.set()
        assert first.result().status == 200


def test_what_explains_nothing_says_so(client: Client) -> None:
    answer = client.post("/predict?explain=true", row(1))
    assert (answer.status, "without explaining" in answer.json["error"]) == (501, True)
    assert client.get("/v2/models/twice").json["parameters"]["explains"] is False


def test_units_and_kinds_are_told(client: Client) -> None:
    told = client.get("/v2/models/twice").json
    assert told["inputs"][0]["parameters"] == {"kind": "number", "unit": "# kg"}
    for output in told["outputs"][:3]:  # the prediction, and the ends of its interval
        assert output["parameters"] == {"kind": "number", "unit": "# €"}
    answer = client.post("/predict", {**row(1), "sku": "a-7"}).json
    assert answer["predictions"][0]["id"] == "a-7"


def test_the_token_opens_all_but_health(
    folder: Path, doubler: Doubler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("pass-word\n")
    with served(Settings(folder, token_file=tmp_path / "token"), lambda path: doubler) as client:
        assert client.get("/v2/health/live").status == 200
        basic = base64.b64encode(b"me:pass-word").decode()
        for header in (f"Basic {basic}", "Bearer pass-word", "bearer  pass-word"):
            assert client.post("/predict", row(1), Authorization=header).status == 200
        for header in ("", "pass-word", "Bearer pass-wor", "Bearer", "Basic ###", "Bearer ä"):
            answer = client.ask("GET", "/metrics", headers={"Authorization": header})
            assert (answer.status, "Bearer" in answer.headers["www-authenticate"]) == (401, True)
        for path in ("/", "/predict", "/v2", "/metrics", "/page.js"):
            assert client.get(path).status == 401
    monkeypatch.setenv("MULTIMODAL_TOKEN", "other")
    assert Settings(folder).token() == "other"


def test_cells_that_are_read_by_their_column_are_read_apart() -> None:
    wide = Reading(wide=True)
    reader = RowReader([Input("size", "number", wide), Input("day", "date", wide)])

    def shared(size: Any, day: Any) -> bool:
        return reader.read([{"size": size, "day": day}]).shareable

    assert shared(1.5, None) and shared("1.5", "2016-03-04") and shared("7 kg", "2016-03-04 10:00")
    assert not shared("1,250", None) and not shared("1.250", None) and not shared("12,5", None)
    assert not shared(3, "03/04/2016")


def test_paths_of_photos_below_a_folder_of_the_operator() -> None:
    reader = RowReader([Input("photo", "image")], paths=True)
    assert reader.read([{"photo": "shoes/a.jpg"}]).rows == [{"photo": "shoes/a.jpg"}]
    with pytest.raises(Refusal, match="not opened"):
        reader.read([{"photo": "https://a/b.jpg"}])


def test_texts_are_bounded_one_and_all() -> None:
    reader = RowReader([Input("review", "text")], letters=1000)
    assert reader.read([{"review": "x" * 100}] * 10).rows
    with pytest.raises(Refusal, match="a text of 101 letters"):
        reader.read([{"review": "x" * 101}])
    with pytest.raises(Refusal, match="texts of 1,100 letters"):
        reader.read([{"review": "x" * 100}] * 11)
