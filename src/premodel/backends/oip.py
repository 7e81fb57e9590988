"""A model on another machine, behind the Open Inference Protocol: a board's `premodel agent`, Triton, KServe."""

from __future__ import annotations

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
from premodel.fields import is_number, is_text, shown
from premodel.protocol.agent import AgentTable, read_agent, read_times
from premodel.protocol.client import PATIENCE_S, TIMEOUT_S, OipClient, Reply
from premodel.protocol.oip import BINARY_TYPE, HEADER_LENGTH, dtype_of, read_body, read_outputs, shape_of, write_body

SETTINGS = ("model", "version", "output", "timeout_s", "patience_s", "remote_runtime", "remote_settings")
MAX_NAME, MAX_SIDE = 64, 2**31 - 1
NO_AGENT = AgentTable("", {}, None, None, "")
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
    The token, if the server requires one, is in the environment (`oip_client.py`), never in the manifest.
    Requests of several threads wait for one another.

    Attributes
    ----------
    agent:
        What `premodel agent` states of the model; None for any other server.
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
        """Send an encoded image to an agent, which decodes, prepares and runs it, as the view states.

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
        return self._infer(path, {self.agent.image_input: image})

    def about(self, view: str = "") -> AgentTable | None:
        """What an agent states of a view of the model; None if the server is none; raises as `open`."""
        if self.agent is None or not view:
            return self.agent
        metadata = self._client.table(f"{self._path}@{quote(view, safe='')}{self._version}")
        return read_agent(metadata, self._client.url)

    def ask(self, model: str, image: bytes) -> Mapping[str, float]:
        """Times that another model of the same agent states for an encoded sample, by name without "_ms"."""
        given = "image" if self.agent is None else self.agent.image_input
        return self._infer(f"/v2/models/{quote(model, safe='@')}", {given: image}).times_ms

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
            reply = self._client.request("POST", path + "/infer", body, headers, self._check_unchanged, _parsed)
        if reply.status == 404:
            raise ModelError(reply.message, where=self._client.url + path)
        if reply.status != 200:
            raise RunError(f"server failed ({reply.message})", where=self._client.url + path)
        return self._read(reply)

    def _read(self, reply: Reply) -> RemoteRun:
        try:
            data, outputs = _parsed(reply)
        except InputError as error:
            raise RunError(f"server's response cannot be read ({error})", where=self._where) from error
        output = outputs.get(self._output_name)
        if output is None:
            output = np.zeros(0, np.float32)
        # Their own memory, in this machine's byte order: what came is read-only and may be unaligned.
        return RemoteRun(
            output.astype(output.dtype.newbyteorder("=")),
            read_times(data.get("parameters")),
            reply.round_trip_ms,
        )

    def _agent(self) -> AgentTable | None:
        """The agent's own table, checked; None if the server is none."""
        agent = read_agent(self._metadata, self._client.url)
        expected = self._settings.get("sha256")
        if agent is not None and expected is not None and agent.sha256 != expected:
            raise ModelError("server runs another model file", where=self._where, given=agent.sha256, allowed=expected)
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
            and is_text(entry["name"])
            and isinstance(entry.get("shape"), list)
            and all(isinstance(side, int | str) for side in entry["shape"])
            for entry in entries
        )  # fmt: skip
        if not usable:
            raise ModelError(f"URL must be that of an inference server, got metadata without {key}", where=self._where)
        return list(entries or ())

    def _spec(self, entry: Mapping[str, Any], side: str) -> TensorSpec:
        try:
            shape = shape_of([int(length) for length in entry["shape"]])
        except ValueError as error:
            raise ModelError(f"model has no such {side}", where=self._where, given=shown(entry["shape"])) from error
        if any(length is not None and length > MAX_SIDE for length in shape):
            raise ModelError(f"model has no such {side}", where=self._where, given=f"shape {shown(entry['shape'])}")
        datatype = entry.get("datatype")
        if not isinstance(datatype, str) or not datatype.isprintable() or len(datatype) > MAX_NAME:
            raise ModelError(f"model has no such {side}", where=self._where, given=f"datatype {shown(datatype)}")
        agent = self.agent or NO_AGENT
        quantised = agent.input if side == "input" else agent.output
        return TensorSpec(shape, dtype_of(datatype), quantised.scale, quantised.zero_point)


def _parsed(reply: Reply) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
    """The table and the outputs of an answer; InputError if it is none, or cut."""
    length = reply.headers.get(HEADER_LENGTH.lower(), "")
    stated = int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else None
    data, binary = read_body(reply.body, stated)
    return data, read_outputs(data.get("outputs"), binary)


def _sides(shape: Sequence[int | str]) -> list[int | None]:
    """As stated, for messages."""
    return [int(side) if str(side).isdecimal() and len(str(side)) < MAX_NAME else None for side in shape]


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
