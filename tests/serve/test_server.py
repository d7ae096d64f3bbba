"""The command in a process of its own: not ready, ready, ended under load with code 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from runs import FRESH, Command
from servers import GUARD, Answered, Client, until

from multimodal.runs.run import load

ROW = {"size": 3.5, "shop": "west", "cost": 20.0, "weight": 1.0}


def test_a_signal_under_load_lets_accepted_requests_finish(plain_run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "multimodal", "serve", str(plain_run), "--port", "0"]
    said = tmp_path / "log"  # a pipe that nobody reads would fill up, and the server wait
    with said.open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=FRESH
        )
    try:
        assert process.stdout is not None
        client = Client(int(process.stdout.readline().rpartition(":")[2]))
        until(lambda: _live(client), every=0.3)
        if not client.ready():  # it loads in the background; nobody is answered wrongly meanwhile
            assert client.post("/predict", ROW).status == 503
        until(client.ready, every=0.3)
        alone = client.post("/predict", ROW).json["predictions"][0]["price_prediction"]

        def ask(number: int) -> Answered | None:
            if number == 30:
                process.send_signal(signal.SIGTERM)
            try:
                return client.post("/predict", ROW)
            except OSError:  # no longer listened to
                return None

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(60)))
        assert process.wait(GUARD) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
    lines = [json.loads(line) for line in said.read_text().splitlines()]
    good = [answer for answer in answers if answer is not None]
    assert len(good) >= 30 - 8
    for answer in good:
        assert answer.status == 200
        found = answer.json["predictions"][0]["price_prediction"]
        assert found == pytest.approx(alone, rel=1e-5)
    accepted = [line for line in lines if line.get("route") == "/predict"]
    assert len([line for line in accepted if line["status"] == 200]) == len(good) + 1
    assert lines[-1]["event"] == "stopped"


@pytest.mark.large
def test_several_processes_share_a_port_and_one_that_dies_is_replaced(
    plain_run: Path, tmp_path: Path
) -> None:
    load(plain_run).export(tmp_path / "price")
    command = ["serve", str(tmp_path / "price"), "--port", "0", "--workers", "2"]
    said = tmp_path / "log"
    with said.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "multimodal", *command],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=FRESH,
        )

    def loaded() -> int:
        return said.read_text().count('"loaded"')

    try:
        assert process.stdout is not None
        client = Client(int(process.stdout.readline().rpartition(":")[2]))
        until(lambda: loaded() == 2, every=0.2)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: client.post("/predict", ROW), range(40)))
        assert {answer.status for answer in answers} == {200}
        page = client.get("/metrics").body.decode()
        assert 'multimodal_rows_total{model="price"} 40.0' in page  # of both together
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
        workers = [int(pid) for pid, name in names.items() if b"spawn_main" in name]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: loaded() == 3, every=0.2)
        assert client.post("/predict", ROW).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD) == 0
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def _live(client: Client) -> bool:
    try:
        return client.get("/v2/health/live").status == 200
    except OSError:
        return False


def test_what_cannot_be_served_is_said_at_once(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = command("serve", tmp_path / "absent")
    assert (absent.code, "no such folder" in absent.err) == (2, True)
    empty = command("serve", tmp_path)
    assert (empty.code, "holds no run" in empty.err) == (2, True)
    images = command("serve", tmp_path, "--images", tmp_path / "none")
    assert (images.code, "no such folder" in images.err) == (2, True)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "token").write_text("\n")
    token = command("serve", tmp_path, "--token-file", tmp_path / "token")
    assert (token.code, "expected a token" in token.err) == (2, True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    libraries = command("serve", tmp_path)
    assert (libraries.code, "multimodal-keras[serve]" in libraries.err) == (2, True)
