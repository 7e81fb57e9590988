"""The same `predict` behind LitServe, which `load.py` starts with the Python that has it: BUNDLE PORT [ZOO]."""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve

import premodel


class Api(litserve.LitAPI):
    """JSON in, JSON out, LitServe's own form."""

    def setup(self, device: str) -> None:
        """Load, and open every candidate."""
        del device
        self.clf = premodel.load(sys.argv[1], threads=1, zoo=sys.argv[3] if len(sys.argv) > 3 else None)
        self.clf.warm()

    def decode_request(self, request: dict[str, str]) -> bytes:
        """The encoded image."""
        return base64.b64decode(request["image"])

    def predict(self, image: bytes) -> premodel.Answer:
        """As `premodel serve` does it."""
        return self.clf.predict(image)

    def encode_response(self, answer: premodel.Answer) -> dict[str, Any]:
        """The content of `premodel serve`'s default outputs."""
        return {
            "label": answer.label,
            "class": answer.class_name,
            "candidate": answer.candidate,
            "top_labels": answer.top_labels,
            "probabilities": answer.top_probabilities,
            "latency_ms": dict(answer.latency_ms),
        }


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", devices=1, workers_per_device=1, timeout=60)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False, log_level="error"
    )
