"""A run behind LitServe, for scripts/benchmark_serving.py: `serve_litserve.py RUN PORT`.

The same rows as JSON, batches (64 rows, 3 ms) and `run.predict`; no limits, no checks.
"""

from __future__ import annotations

import sys
from typing import Any

import litserve

import multimodal


class Price(litserve.LitAPI):
    """Rows as JSON to the columns of their predictions."""

    def setup(self, device: str) -> None:
        self.run = multimodal.load(sys.argv[1])

    def decode_request(self, request, **_):  # an annotation would be taken for its schema
        return request

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, batch: list[Any], **_: Any) -> list[Any]:
        rows = self.run.predict(batch, images="/").frame.to_dict("records")
        return [{**row, "unusual": str(row.get("unusual", ""))} for row in rows]

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, output: Any, **_: Any) -> Any:
        return {"predictions": [output]}


if __name__ == "__main__":
    server = litserve.LitServer(
        Price(max_batch_size=64, batch_timeout=0.003, api_path="/predict"), accelerator="cpu"
    )
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
