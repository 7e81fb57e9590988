"""A model on another machine, behind the Open Inference Protocol: a board's `premodel agent`, Triton, KServe."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np

from premodel.backends.base import Backend, Tensor, TensorSpec, check_tensor, choose_output
from premodel.errors import InputError, ModelError, OptionError, RunError
from premodel.fields import is_number
from premodel.protocol.client import PATIENCE_S, TIMEOUT_S, OipClient, Reply, finite_ms
from premodel.protocol.oip import BINARY_TYPE, HEADER_LENGTH, dtype_of, read_body, read_outputs, shape_of, write_body

AGENT = "premodel"
"""Table of a model's metadata in which `premodel agent` says more than the protocol asks for."""
AGENT_VERSION = 1
"""Raised whenever an older client would misread the agent, or the other way round."""
SETTINGS = ("model", "version", "output", "timeout_s", "patience_s", "remote_runtime", "remote_settings")
GIVEN = ("url", "name", "sha256")
"""Settings that `candidate.open_network` adds from the manifest entry."""


@dataclass(frozen=True, eq=False)
class RemoteRun:
    """One answer of a server.

    Attributes
    ----------
    output:
        Raw output of the network.
    times_ms:
        What the server measured itself, by stage: "decode", "preprocess", "inference"; empty if it states no times.
    round_trip_ms:
        From the request to the whole response, network included, by the clock here.
    """

    output: Tensor
    times_ms: Mapping[str, float]
    round_trip_ms: float


class OipBackend(Backend):
    """A model of an inference server.

    Settings: `model` is its name there (the entry's own by default), `version` one of its versions, `output` names the
    output of a model that has several, `timeout_s` bounds one request, `patience_s` the wait for a server that went
    away; `remote_runtime` and `remote_settings` say what the server runs the file with (see `Candidate.home`).
    The token, if the server wants one, is in the environment (`oip_client.py`), never in the manifest.
    Requests of several threads wait for one another.

    Attributes
    ----------
    agent:
        What `premodel agent` says of the model; None for any other server.
    """

    name: ClassVar[str] = "oip"
    extra: ClassVar[str] = ""

    def __init__(self, client: OipClient, settings: Mapping[str, Any]) -> None:
        self._client = client
        self._settings = settings
        self._path = f"/v2/models/{quote(str(settings.get('model', settings['name'])), safe='@')}"
        self._version = f"/versions/{quote(str(settings['version']), safe='')}" if "version" in settings else ""
        self._lock = Lock()
        self._closed = False
        self._metadata = client.table(self._path + self._version)
        self._where = client.url + self._path + self._version
        self.agent = self._agent()
        inputs, outputs = self._tensors("inputs"), self._tensors("outputs")
        if len(inputs) != 1:
            given = ", ".join(str(entry["name"]) for entry in inputs)
            raise ModelError("model has several inputs", where=self._where, given=given, allowed="one input")
        names = [str(entry["name"]) for entry in outputs]
        shapes = {name: _sides(entry["shape"]) for name, entry in zip(names, outputs, strict=True)}
        chosen = choose_output(Path(self._where), shapes, settings.get("output"))
        self._input_name, self._output_name = str(inputs[0]["name"]), names[chosen]
        self.input = self._spec(inputs[0], "input")
        self.output = self._spec(outputs[chosen], "output")
        weakref.finalize(self, client.close)

    @classmethod
    def open(
        cls,
        file: Path,
        *,
        threads: int,  # noqa: ARG003 - the server's own
        providers: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> OipBackend:
        """Ask the server about the model; `file` only names the entry in messages.

        Raises
        ------
        RemoteError
            The server cannot be reached.
        ModelError, OptionError
            As every backend; also an unknown model or version, another file than the manifest's digest names, another
            version of the agent, a refused token, TLS that failed.
        """
        settings = settings or {}
        _check_options(file, providers, settings)
        client = OipClient(
            settings.get("url", ""),
            timeout_s=settings.get("timeout_s", TIMEOUT_S),
            patience_s=settings.get("patience_s", PATIENCE_S),
        )
        try:
            return cls(client, {"name": file.stem, **settings})
        except BaseException:
            client.close()
            raise

    def predict(self, tensor: Tensor) -> Tensor:
        """Send a tensor, give the raw output; raises RemoteError too, if the server went away for good."""
        return self.run(tensor).output

    def run(self, tensor: Tensor) -> RemoteRun:
        """Send a tensor; as `predict`, with the times."""
        check_tensor(tensor, self.input)
        return self._infer(self._path + self._version, {self._input_name: tensor})

    def run_image(self, image: bytes, view: str = "") -> RemoteRun:
        """Send an encoded image to an agent, which decodes, prepares and runs it, as the view says.

        Raises
        ------
        RunError
            The server failed on the image, or is no agent.
        RemoteError
            It went away for good.
        """
        if self.agent is None:
            raise RunError("only premodel agent takes images", where=self._client.url)
        path = self._path + (f"@{quote(view, safe='')}" if view else "") + self._version
        return self._infer(path, {str(self.agent.get("image_input", "image")): image})

    def about(self, view: str = "") -> Mapping[str, Any] | None:
        """What an agent says of a view of the model; None if the server is none; raises as `open`."""
        if self.agent is None or not view:
            return self.agent
        agent = self._client.table(f"{self._path}@{quote(view, safe='')}{self._version}").get(AGENT)
        return agent if isinstance(agent, dict) else None

    def ask(self, model: str, image: bytes) -> Mapping[str, float]:
        """Times that another model of the same agent states for an encoded image, by name without "_ms"."""
        return self._infer(f"/v2/models/{quote(model, safe='@')}", {"image": image}).times_ms

    def hurry(self) -> None:
        """From now on a server that is away is a failure at once."""
        self._client.patience_s = 0.0

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._closed = True
            self._client.close()

    def _infer(self, path: str, tensors: Mapping[str, Tensor | bytes]) -> RemoteRun:
        head = {"parameters": {"binary_data_output": True}}
        body, length = write_body(head, "inputs", tensors)
        headers = {"Content-Type": BINARY_TYPE, HEADER_LENGTH: str(length)}
        with self._lock:
            if self._closed:
                raise RunError("the model is closed")
            reply = self._client.request("POST", path + "/infer", body, headers, self._check_unchanged)
        if reply.status == 404:
            raise ModelError(reply.message, where=self._client.url + path)
        if reply.status != 200:
            raise RunError(f"server failed ({reply.message})", where=self._client.url + path)
        return self._read(reply)

    def _read(self, reply: Reply) -> RemoteRun:
        text = reply.headers.get(HEADER_LENGTH.lower(), "")
        try:
            data, binary = read_body(reply.body, int(text) if text.isdecimal() else None)
            outputs = read_outputs(data.get("outputs"), binary)
        except InputError as error:
            raise RunError(f"server's response cannot be read ({error})", where=self._where) from error
        parameters = data.get("parameters")
        stated = parameters if isinstance(parameters, dict) else {}
        times_ms = {
            name.removesuffix("_ms"): finite_ms(value) for name, value in stated.items() if name.endswith("_ms")
        }
        output = outputs.get(self._output_name)
        if output is None:
            output = np.zeros(0, np.float32)
        # Their own memory, in this machine's byte order: what came is read-only and may be unaligned.
        return RemoteRun(
            output.astype(output.dtype.newbyteorder("=")),
            {name: value for name, value in times_ms.items() if not math.isnan(value)},
            reply.round_trip_ms,
        )

    def _agent(self) -> Mapping[str, Any] | None:
        """The agent's own table, checked; None if the server is none."""
        agent = self._metadata.get(AGENT)
        if agent is None:
            return None
        version = agent.get("agent") if isinstance(agent, dict) else None
        if not isinstance(agent, dict) or version != AGENT_VERSION:
            raise ModelError(
                "agent is of another version", where=self._client.url, given=version, allowed=AGENT_VERSION,
                do="install the same premodel here and on the board",
            )  # fmt: skip
        expected, found = self._settings.get("sha256"), agent.get("sha256")
        if expected is not None and found != expected:
            raise ModelError("server runs another model file", where=self._where, given=found, allowed=expected)
        return agent

    def _check_unchanged(self) -> None:
        """What came back must be what went away."""
        if self._client.table(self._path + self._version) != self._metadata:
            raise ModelError(
                "model on the server changed while it was away", where=self._where, do="run the same command again"
            )

    def _tensors(self, key: str) -> list[Mapping[str, Any]]:
        entries = self._metadata.get(key)
        usable = isinstance(entries, list) and entries and all(
            isinstance(entry, dict)
            and isinstance(entry.get("name"), str)
            and isinstance(entry.get("shape"), list)
            and all(isinstance(side, int | str) for side in entry["shape"])
            for entry in entries
        )  # fmt: skip
        if not usable:
            raise ModelError(f"what is there is no inference server (its metadata has no {key})", where=self._where)
        return list(entries or ())

    def _spec(self, entry: Mapping[str, Any], side: str) -> TensorSpec:
        try:
            shape = shape_of([int(length) for length in entry["shape"]])
        except ValueError as error:
            raise ModelError(f"model has no such {side}", where=self._where, given=entry["shape"]) from error
        quantised = self.agent.get(side) if self.agent is not None else None
        scale, zero_point = (quantised.get("scale"), quantised.get("zero_point")) if quantised else (0.0, 0)
        return TensorSpec(shape, dtype_of(str(entry.get("datatype"))), float(scale or 0.0), int(zero_point or 0))


def _sides(shape: Sequence[int | str]) -> list[int | None]:
    """As stated, for messages."""
    return [int(side) if str(side).isdecimal() else None for side in shape]


def _check_options(file: Path, providers: Sequence[str], settings: Mapping[str, Any]) -> None:
    if providers and "remote_runtime" not in settings:
        raise OptionError(
            "providers are the server's own", where=file, given=", ".join(providers), allowed="none",
            do="say settings.remote_runtime if they are what the server runs the model with",
        )  # fmt: skip
    for name, value in settings.items():
        if name not in (*SETTINGS, *GIVEN):
            raise OptionError("unknown setting for oip", where=file, given=name, allowed=", ".join(SETTINGS))
        if name in ("timeout_s", "patience_s") and not (is_number(value) and 0 <= value <= 86_400):
            raise OptionError(f"wrong settings.{name}", where=file, given=value, allowed="seconds, 0 to 86400")
        if name in ("model", "version") and not (isinstance(value, str) and value):
            raise OptionError(f"wrong settings.{name}", where=file, given=value, allowed="text")
