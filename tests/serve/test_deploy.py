"""The Dockerfile, step by step in a plain directory: there may be no Docker where tests run.

What this leaves out: the base image, its Python, and the user, which only a container has.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from servers import GUARD, Client, until

from multimodal.runs.run import load

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
ROW = {"size": 3.5, "shop": "west", "cost": 20.0}


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each with what stands behind it."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_image_is_slim_and_not_root() -> None:
    found = instructions()
    users = [rest for name, rest in found if name == "USER"]
    assert users == ["10001:10001"]
    assert all("slim" in rest for name, rest in found if name == "FROM" and " AS model" not in rest)
    entry = json.loads(dict(found)["ENTRYPOINT"])
    assert entry[1:3] == ["serve", "/models"]
    listed = (ROOT / "deploy" / "requirements.txt").read_text("utf-8").lower()
    assert "tensorflow" not in listed and "keras>" not in listed


def test_compose_keeps_the_container_closed() -> None:
    service = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text("utf-8"))["services"]
    known = service["multimodal"]
    assert known["build"]["dockerfile"] == "deploy/Dockerfile"
    assert (known["read_only"], known["cap_drop"]) == (True, ["ALL"])
    assert all(volume.endswith(":ro") for volume in known["volumes"])


@pytest.mark.large
def test_the_steps_build_a_server_that_answers(plain_run: Path, tmp_path: Path) -> None:
    root, exported = tmp_path / "root", tmp_path / "context" / "price-onnx"
    exported.parent.mkdir()
    load(plain_run).export(exported)
    here = root
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for name, rest in instructions():
        if name == "WORKDIR":
            here = root / rest.lstrip("/")
            here.mkdir(parents=True)
        elif name == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.replace("${RUN}", str(exported)).split()
            place = root / target.lstrip("/") if target.startswith("/") else here / target
            for source in sources:
                copy(ROOT / source, place)
        elif name == "RUN":
            line = rest.replace("/opt/", f"{root}/opt/").replace("/models", f"{root}/models")
            line = re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", line)
            subprocess.run(line, shell=True, cwd=here, env=plain, check=True)
    entry = json.loads(dict(instructions())["ENTRYPOINT"])
    entry = [str(root) + part if part.startswith(("/opt", "/models")) else part for part in entry]
    entry[entry.index("0.0.0.0")], entry[entry.index("8080")] = "127.0.0.1", "0"
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            entry, stdout=subprocess.PIPE, stderr=file, text=True, env=plain, cwd=tmp_path
        )
    try:
        assert process.stdout is not None
        client = Client(int(process.stdout.readline().rpartition(":")[2]))
        until(client.ready, every=0.2)
        assert client.post("/predict?level=0.9", ROW).json["version"] == "1"
        assert client.get("/").status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
    assert not list(root.rglob("opt/venv/lib/*/site-packages/tensorflow"))


def copy(source: Path, place: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    elif place.is_dir():
        shutil.copy(source, place / source.name)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
