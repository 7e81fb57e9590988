"""What tests of serving send, read and start; requests are written from the protocol, apart from the server's code."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

INFER = "/v2/models/small/infer"
DTYPES = {"INT32": "<i4", "FP32": "<f4"}


def binary_request(
    images: Sequence[bytes], shape: Sequence[int] | None = None, more: Mapping[str, Any] | None = None
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request with BYTES as binary data."""
    data = b"".join(struct.pack("<I", len(image)) + image for image in images)
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": list(shape or [len(images)]),
        "parameters": {"binary_data_size": len(data)},
    }
    text = json.dumps({"inputs": [tensor], **(more or {})}).encode()
    return text + data, {"inference-header-content-length": str(len(text))}


def outputs_of(response: Any) -> dict[str, Any]:
    """Name -> flat list, from either form of response."""
    length = int(response.headers.get("inference-header-content-length", len(response.content)))
    header, rest = json.loads(response.content[:length]), response.content[length:]
    found = {}
    for tensor in header["outputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[tensor["name"]] = tensor["data"]
            continue
        data, rest = rest[:size], rest[size:]
        found[tensor["name"]] = _texts(data) if tensor["datatype"] == "BYTES" else _numbers(data, tensor)
    assert not rest
    return found


def explained(client: Any, image: bytes) -> dict[str, Any]:
    """The explanation of one image."""
    body, headers = binary_request([image], more={"outputs": [{"name": "explanation"}]})
    data: dict[str, Any] = json.loads(outputs_of(client.post(INFER, content=body, headers=headers))["explanation"][0])
    return data


def samples(client: Any) -> dict[tuple[str, ...], float]:
    """(name, label values...) -> value of /metrics; the text is read by Prometheus' own parser."""
    from prometheus_client.parser import text_string_to_metric_families

    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def png(width: int, height: int) -> bytes:
    """A black image."""
    return cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes()


@contextmanager
def running(
    *words: object, command: str = "serve", port: int = 0, log: Path | None = None
) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """`premodel serve`, or another that listens, in a process of its own, on a free port; stopped at the end.

    `log` is a file for what it writes on stderr.
    """
    given = [command, *map(str, words), "--port", str(port), "--json"]
    stderr = subprocess.PIPE if log is None else log.open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "premodel.cli.main", *given], stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1])
        yield json.loads(line)["url"], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        if not isinstance(stderr, int):
            stderr.close()


def _numbers(data: bytes, tensor: Mapping[str, Any]) -> list[float]:
    values: list[float] = np.frombuffer(data, DTYPES[tensor["datatype"]]).tolist()
    return values


def _texts(data: bytes) -> list[str]:
    texts = []
    while data:
        (size,) = struct.unpack_from("<I", data)
        texts.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return texts
