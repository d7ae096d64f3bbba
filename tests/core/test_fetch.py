"""Fetching weights: from where the table says, checked, whole or not at all, and recorded."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from multimodal.core import pretrained
from multimodal.core.errors import ConfigError, DataError
from multimodal.core.fetch import fetch_weights
from multimodal.core.pretrained import PRETRAINED, Published, find_weights

CONTENT = {"/model": b"weights " * 1000, "/tokenizer": b"{}"}
REQUESTS: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        REQUESTS.append(self.path)
        content = CONTENT.get(self.path.removeprefix("/cut"))
        if content is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:100] if self.path.startswith("/cut") else content)

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MULTIMODAL_WEIGHTS", raising=False)
    monkeypatch.setenv("MULTIMODAL_CACHE", str(tmp_path / "cache"))
    REQUESTS.clear()
    return tmp_path


def publish(monkeypatch: pytest.MonkeyPatch, *files: Published) -> None:
    model = PRETRAINED["minilm"]._replace(files=files, package=None, megabytes=1)
    monkeypatch.setitem(pretrained.PRETRAINED, "minilm", model)


def digests() -> list[str]:
    md5 = hashlib.md5(CONTENT["/model"], usedforsecurity=False).hexdigest()
    return [hashlib.sha256(CONTENT["/model"]).hexdigest(), md5, ""]


@pytest.mark.parametrize("digest", digests())
def test_files_are_fetched_once(
    digest: str,
    server: str,
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    files = (Published("model", f"{server}/model", digest), Published("t", f"{server}/tokenizer"))
    publish(monkeypatch, *files)
    folder = fetch_weights("minilm")
    assert folder == folders / "cache/weights/minilm" == find_weights("minilm")
    assert (folder / "model").read_bytes() == CONTENT["/model"]
    record = json.loads((folder / "source.json").read_text())
    assert record["licence"] == "Apache-2.0" and "sentence-transformers" in record["source"]
    expected = {"url": f"{server}/model", "sha256": digests()[0], "bytes": 8000}
    assert record["files"]["model"] == expected
    assert "licence Apache-2.0" in caplog.text
    assert ("model: no digest is published" in caplog.text) == (not digest)
    assert sorted(path.name for path in folder.iterdir()) == ["model", "source.json", "t"]
    (folder / "t").write_bytes(b"spoiled")
    fetch_weights("minilm")
    assert REQUESTS == ["/model", "/tokenizer", "/tokenizer"]
    assert (folder / "t").read_bytes() == b"{}"


def test_it_is_fetched_to_where_it_is_asked_for(
    server: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, Published("model", f"{server}/model"))
    assert fetch_weights("minilm", folders / "mine") == folders / "mine/minilm"
    monkeypatch.setenv("MULTIMODAL_WEIGHTS", str(folders / "all"))
    assert fetch_weights("minilm") == folders / "all/minilm" == find_weights("minilm")


@pytest.mark.parametrize(
    ("path", "digest", "reason"),
    [
        ("/model", "0" * 64, "expected a file of sha256 0000"),
        ("/model", "0" * 32, "expected a file of md5 0000"),
        ("/absent", "", "cannot be fetched .HTTP Error 404"),
        ("/cut/model", "", "ended after 100 of 8,000 bytes"),
        ("/tokenizer", digests()[0], "expected a file of sha256"),
    ],
)
def test_what_is_not_the_file_is_not_kept(
    path: str, digest: str, reason: str, server: str, monkeypatch: pytest.MonkeyPatch, folders: Path
) -> None:
    publish(monkeypatch, Published("model", server + path, digest))
    with pytest.raises(DataError, match=reason):
        fetch_weights("minilm", folders)
    assert not list((folders / "minilm").iterdir())


def test_more_than_the_table_says(
    server: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTENT, "/large", bytes(1_600_000))
    publish(monkeypatch, Published("model", f"{server}/large"))
    with pytest.raises(DataError, match=r"more than 1,500,000 bytes"):
        fetch_weights("minilm", folders)


def test_nothing_to_fetch_or_no_place(
    server: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="static_vectors: nothing to fetch, any file will do"):
        fetch_weights("static_vectors")
    publish(monkeypatch, Published("model", f"{server}/model"))
    (folders / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        fetch_weights("minilm", folders / "file")
    with pytest.raises(DataError, match="cannot be fetched"):
        publish(monkeypatch, Published("model", "https://127.0.0.1:1/model"))
        fetch_weights("minilm", folders)
