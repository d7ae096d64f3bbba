"""Photos named by addresses: what is fetched, what is refused, and what is kept of it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal.core.errors import ConfigError
from multimodal.data.columns.schema import infer_schema
from multimodal.data.photos import download
from multimodal.data.photos.checks import screen_photos
from multimodal.data.photos.download import Refused, fetch, fetch_photos, is_public, public_address
from multimodal.data.photos.locate import PhotoFolder, locate, place_of
from multimodal.data.photos.read import decode
from multimodal.data.read.readers import read_table

FILE = BytesIO()
Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3)).astype(np.uint8)).save(
    FILE, "PNG"
)


class Shop(BaseHTTPRequestHandler):
    """A server of one photo under many names, and of other things."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        moved = {
            "/moved.png": "/a.png",
            "/loop.png": "/loop.png",
            "/file.png": "file:///etc/passwd",
        }
        moved |= {"/inside.png": "http://169.254.169.254/latest/meta-data"}
        if path in moved:
            self.send_response(302)
            self.send_header("Location", moved[path])
            self.end_headers()
            return
        self.send_response(404 if path == "/gone.png" else 200)
        self.end_headers()
        try:
            self.send_content(path)
        except ConnectionError:
            pass

    def send_content(self, path: str) -> None:
        if path == "/large.png":
            for _ in range(40):
                self.wfile.write(bytes(10_000))
        elif path == "/slow.png":
            for _ in range(40):
                self.wfile.write(b"x")
                sleep(0.05)
        else:
            self.wfile.write(b"<html>" if path == "/page.png" else FILE.getvalue())

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server on this machine, which counts as public."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    public = is_public
    monkeypatch.setattr(download, "is_public", lambda ip: ip == "127.0.0.1" or public(ip))
    Shop.asked.clear()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_photos_are_fetched_once_and_checked(shop: str, tmp_path: Path) -> None:
    root = PhotoFolder(tmp_path, downloads=tmp_path / "fetched")
    cells = [f"{shop}/a.png", f"{shop}/moved.png|{shop}/a.png", "b.png", None]
    fetch_photos(cells, root)
    assert sorted(Shop.asked) == ["/a.png", "/a.png", "/moved.png"]
    for name in ("a.png", "moved.png"):
        found = locate(f"{shop}/{name}", root)
        np.testing.assert_array_equal(decode(found, 9), decode(FILE, 9))
    fetch_photos(cells, root)
    assert len(Shop.asked) == 3
    place = place_of(f"{shop}/a.png", tmp_path / "fetched")
    place.write_bytes(b"x")
    fetch_photos(cells, root)
    assert len(Shop.asked) == 4 and place.read_bytes() == FILE.getvalue()
    assert json.loads(place.with_suffix(".json").read_text())["address"] == f"{shop}/a.png"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gone.png", "the server answers 404"),
        ("page.png", "not a readable photo"),
        ("large.png", "more than 100,000 bytes"),
        ("slow.png", "took too long"),
        ("loop.png", "more than 5 redirects"),
        ("file.png", "is no http"),
        ("inside.png", "an address of a private network"),
    ],
)
def test_what_is_not_kept(
    shop: str,
    tmp_path: Path,
    name: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(download, "MOST_BYTES", 100_000)
    monkeypatch.setattr(download, "MOST_SECONDS", 0.5)
    root = PhotoFolder(tmp_path, downloads=tmp_path / "fetched")
    fetch_photos([f"{shop}/{name}", f"{shop}/a.png"], root)
    assert f"1 photos could not be fetched. First: {shop}/{name}: " in caplog.text
    assert why in caplog.text
    assert locate(f"{shop}/{name}", root) == f"{shop}/{name}"
    assert Path(str(locate(f"{shop}/a.png", root))).is_file()


def test_no_more_than_so_many_at_a_time(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(download, "MOST_PHOTOS", 2)
    root = PhotoFolder(tmp_path, downloads=tmp_path / "fetched")
    cells = [f"{shop}/a.png?n={i}" for i in range(3)]
    fetch_photos(cells, root)
    assert len(Shop.asked) == 2 and "1 photos are left to fetch" in caplog.text
    fetch_photos(cells, root)
    assert len(Shop.asked) == 3


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00::1]",
        "[fe80::1]",
    ],
)
def test_private_networks_are_refused(host: str) -> None:
    with pytest.raises(Refused, match="private network|is unknown|is no http"):
        fetch(f"http://{host}/a.png", monotonic() + 5)


def test_a_name_is_resolved_once(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose second answer is another one (DNS rebinding) is connected to by its first."""
    answers = iter(["127.0.0.1"])
    resolve = socket.getaddrinfo

    def rebound(host: str, *rest: object, **more: object) -> object:
        return resolve(next(answers) if host == "rebound.test" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    found = fetch(shop.replace("localhost", "rebound.test") + "/a.png", monotonic() + 5)
    assert found == FILE.getvalue()


def test_a_host_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(2, 1, 6, "", (ip, 80)) for ip in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: both)
    with pytest.raises(Refused, match=r"private network \(10.0.0.1\)"):
        public_address("both.test", 80)


def test_nothing_is_fetched_unasked(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_table(pd.DataFrame({"p": [f"{shop}/{i}.png" for i in range(30)]}))
    assert infer_schema(table, photo_root=tmp_path).column("p").kind == "ignored"
    found = screen_photos(table, {"p": 4}, tmp_path)
    assert found.photos[0].addresses == 30 and not Shop.asked
    root = PhotoFolder(tmp_path, downloads=tmp_path / "fetched")
    assert infer_schema(table, photo_root=root).column("p").kind == "image"
    found = screen_photos(table, {"p": 4}, root)
    assert found.photos[0].absent == 0 and len(Shop.asked) == 30


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        fetch_photos([], PhotoFolder(tmp_path, downloads=tmp_path / "file" / "in"))
