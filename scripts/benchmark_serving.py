"""Measure `multimodal serve`, beside LitServe, and under requests that mean it harm.

    python scripts/benchmark_serving.py RUN rows.csv [--images DIR] [--requests 2000]
        [--clients 1 32] [--litserve PYTHON] [--soak 100000]

Rows are sent one a request, photos as base64, by clients that each wait for their answer before
they ask again. Printed for each number of clients: requests a second, the median, 95th and 99th
percentile of the time to an answer, and processor time of the server, all its processes together, a
request. The clients share the machine with it. PYTHON is that of an environment with `litserve` and
this package; without it, only `multimodal serve` is measured.

The soak sends requests of which 5 % are hostile, says how much memory the server holds meanwhile,
and fails where a good one is not answered as `run.predict` answers its row alone (relative 1e-5),
or a hostile one as if it were good.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import math
import os
import random
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import multimodal

TICK = os.sysconf("SC_CLK_TCK")
TOLERANCE = 1e-5
BODY_MIB = 1  # the server's limit during the soak
HOSTILE = 0.05
Answer = tuple[int, bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 32])
    parser.add_argument("--litserve", help="Python with litserve")
    parser.add_argument("--soak", type=int, default=0)
    asked = parser.parse_args()
    rows, column, expected = read_rows(asked.run, asked.rows, asked.images or asked.rows.parent)
    servers = {"multimodal serve": serve_command(asked.run)}
    if asked.litserve:
        script = Path(__file__).parent / "peers" / "serve_litserve.py"
        servers["LitServe"] = [asked.litserve, str(script), str(asked.run)]
    bodies = [json.dumps(row).encode() for row in rows]
    for name, command in servers.items():
        with Server(command) as server:
            measure(server, bodies, 200, 8)  # warm
            for clients in asked.clients:
                print(
                    f"{name}, {clients} clients: {measure(server, bodies, asked.requests, clients)}"
                )
    if asked.soak:
        with Server([*servers["multimodal serve"], "--max-body", str(BODY_MIB)]) as server:
            soak(server, rows, column, expected, asked.soak)


def read_rows(run: Path, file: Path, images: Path) -> tuple[list[dict[str, Any]], str, list[float]]:
    """Return rows as requests hold them, the column of a prediction, and what each must be."""
    loaded = multimodal.load(run)
    table = pd.read_csv(file)
    inputs = [(name, group.modality) for group in loaded.spec.groups for name in group.columns]
    rows = table[[name for name, _ in inputs]].astype(object).where(table.notna(), None)
    found = rows.to_dict("records")
    for row in found:
        for name, modality in inputs:
            if modality == "image" and row[name]:
                row[name] = base64.b64encode((images / row[name]).read_bytes()).decode()
    alone = [loaded.predict([row]).frame for row in found]
    column = next(name for name in alone[0] if name.endswith("_prediction"))
    return found, column, [frame[column].iloc[0] for frame in alone]


def serve_command(run: Path) -> list[str]:
    return [sys.executable, "-m", "multimodal", "serve", str(run), "--port"]


class Server:
    """A server in a process of its own, on a free port."""

    def __init__(self, command: Sequence[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        at = command.index("--port") + 1 if "--port" in command else len(command)
        self.command = [*command[:at], str(self.port), *command[at:]]

    def __enter__(self) -> Server:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self.command, **quiet)
        while asyncio.run(ask(self.port, b"{}"))[0] in (0, 503):
            if self.process.poll() is not None:
                raise SystemExit(f"{self.command} ended with {self.process.returncode}")
            time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def processes(self) -> list[int]:
        """Return the process and all below it."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found

    def cpu_seconds(self) -> float:
        fields = [
            Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split() for p in self.processes()
        ]
        return sum(int(each[11]) + int(each[12]) for each in fields) / TICK

    def resident_mib(self) -> float:
        pages = [int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in self.processes()]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def ask(port: int, body: bytes, path: str = "/predict", *, keep: Any = None) -> Answer:
    """Return status and body of an answer, 0 where the connection ended without one.

    A connection that was kept for too long is closed by the server: then a new one is opened.
    """
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    found = await send(port, request, keep=keep) if keep else (0, b"")
    return found if found[0] else await send(port, request, keep=keep)


async def send(port: int, request: bytes, *, keep: list[Any] | None = None) -> Answer:
    """Send bytes and return what is answered; with `keep`, over the connection that it holds."""
    try:
        reader, writer = keep or await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split()[0])
        content = await reader.readexactly(length)
    except (OSError, EOFError, IndexError, ValueError):
        if keep:
            keep.clear()
        return 0, b""
    if keep is not None and "connection: close" not in head:
        keep[:] = [reader, writer]
    else:
        writer.close()
        if keep:
            keep.clear()
    return int(head.split()[1]), content


def measure(server: Server, bodies: Sequence[bytes], requests: int, clients: int) -> str:
    """Return requests a second, percentiles of their times, and processor time of each."""
    seconds: list[float] = []
    left = iter(range(requests))

    async def client() -> None:
        keep: list[Any] = []
        for number in left:
            start = time.perf_counter()
            status, _ = await ask(server.port, bodies[number % len(bodies)], keep=keep)
            assert status == 200, status
            seconds.append(time.perf_counter() - start)

    async def all_clients() -> None:
        await asyncio.gather(*(client() for _ in range(clients)))

    start, before = time.perf_counter(), server.cpu_seconds()
    asyncio.run(all_clients())
    wall, cpu = time.perf_counter() - start, server.cpu_seconds() - before
    half, most, nearly = np.percentile(seconds, [50, 95, 99]) * 1000
    return (
        f"{requests / wall:.0f} requests/s, p50 {half:.1f} ms, p95 {most:.1f} ms, "
        f"p99 {nearly:.1f} ms, {1000 * cpu / requests:.1f} CPU ms a request, "
        f"{server.resident_mib():.0f} MiB"
    )


def soak(
    server: Server, rows: list[dict[str, Any]], column: str, expected: list[float], requests: int
) -> None:
    """Send good requests and hostile ones; print statuses and memory, exit where one is wrong."""
    statuses: Counter[str] = Counter()
    wrong: list[str] = []
    draw, left = random.Random(0), iter(range(requests))
    told = max(requests // 10, 1)

    async def client() -> None:
        keep: list[Any] = []
        for number in left:
            if number % told == 0:
                print(f"{number:,} requests: {server.resident_mib():.0f} MiB", flush=True)
            if draw.random() < HOSTILE:
                kind, status = await harm(server.port, rows, draw)
                statuses[f"hostile {kind}: {status}"] += 1
                if status == 200 or status >= 500:
                    wrong.append(f"{kind}: {status}")
                continue
            at = number % len(rows)
            status, content = await ask(server.port, json.dumps(rows[at]).encode(), keep=keep)
            statuses[f"good: {status}"] += 1
            found = json.loads(content)["predictions"][0][column] if status == 200 else None
            if found is None or not math.isclose(found, expected[at], rel_tol=TOLERANCE):
                wrong.append(f"row {at}: {status} {found}, expected {expected[at]}")

    async def all_clients() -> None:
        await asyncio.gather(*(client() for _ in range(16)))

    asyncio.run(all_clients())
    print(f"{requests:,} requests: {server.resident_mib():.0f} MiB")
    for told_status, count in sorted(statuses.items()):
        print(f"{count:>7,} {told_status}")
    if wrong:
        raise SystemExit(f"{len(wrong)} wrong answers, such as {wrong[:5]}")


async def harm(port: int, rows: list[dict[str, Any]], draw: random.Random) -> tuple[str, int]:
    """Send a hostile request; return its kind and the status of the answer, 0 without one."""
    row = draw.choice(rows)
    name = next(iter(row))
    kinds: dict[str, bytes | str] = {
        "no JSON": b'{"a":',
        "NaN": b'[{"%s": NaN}]' % name.encode(),
        "deep": b"[" * 100_000,
        "digits": b'{"a": ' + b"9" * 6000 + b"}",
        "bytes": b"\xff\xfe\x00" * 100,
        "key twice": b'{"a": 1, "a": 2}',
        "columns": b'[{"z": 1}]',
        "rows": json.dumps([dict.fromkeys(row)] * 5000).encode(),
        "object": json.dumps({**row, name: {"a": [1]}}).encode(),
        "huge": json.dumps({**row, name: 10**400}).encode(),
        "too large": b" " * (BODY_MIB * 2**20 + draw.randrange(10**6)),
        "level": "?level=7",
        "model": "?model=../../etc/passwd",
        "chunks": "chunks",
        "half": "half",
        "bomb": "bomb",
    }
    kind = draw.choice(list(kinds))
    sent = kinds[kind]
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    if isinstance(sent, bytes):
        return kind, (await ask(port, sent))[0]
    if kind == "chunks":
        chunks = (b"%x\r\n%s\r\n" % (60_000, b"x" * 60_000)) * 30
        return kind, (await send(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks))[0]
    if kind == "half":
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"Content-Length: 5000\r\n\r\n{")
        await writer.drain()
        writer.close()
        return kind, 0
    if kind == "bomb":
        # read, found too large, and counted as absent: the answer says so in its note
        photos = [key for key, cell in row.items() if isinstance(cell, str) and len(cell) > 1000]
        content = base64.b64encode(bomb()).decode()
        status, text = await ask(
            port, json.dumps({**row, **dict.fromkeys(photos, content)}).encode()
        )
        told = status == 200 and (not photos or b"photo" in text)
        return kind, 422 if told else status or 599
    return kind, (await ask(port, json.dumps(row).encode(), f"/predict{sent}"))[0]


@cache
def bomb(side: int = 14_000) -> bytes:
    """Return a PNG of some kilobytes that unpacks to `side` squared pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (1 + side // 8) * side, 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


if __name__ == "__main__":
    main()
