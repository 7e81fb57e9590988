"""A candidate: a model file with its runtime, settings and view, and the keys that its results are stored under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from premodel.backends.registry import REMOTE_RUNTIMES, backend_class
from premodel.domains.base import IMAGE_TASK, Domain
from premodel.domains.registry import domain_of
from premodel.errors import ModelError
from premodel.files import file_sha256, is_regular
from premodel.zoo.call import Call, WholeInput
from premodel.zoo.package import Package

ACTIVATIONS = ("softmax", "none", "sigmoid", "percent")
MAX_DETAIL = 1 << 16
WHOLE = "whole"
"""What keys hold as the input of a candidate that takes the decoded input itself."""
WAITING = ("timeout_s", "patience_s")
"""Settings of a remote runtime that change no answer."""
WEIGHTS = "weights_sha256"
"""The setting of an OpenVINO `.xml` that holds the digest of its `.bin`."""


@dataclass(frozen=True)
class Origin:
    """What a model was made from; see `premodel zoo expand`.

    Attributes
    ----------
    sha256:
        Of the original's file.
    kind:
        What was made of it, such as "int8".
    tool:
        By what, with its version.
    calibration_samples:
        On how many samples; 0 if none were needed.
    """

    sha256: str
    kind: str
    tool: str
    calibration_samples: int = 0


@dataclass(frozen=True)
class Model:
    """One pretrained network file and how to feed and read it.

    Attributes
    ----------
    name:
        Unique in the zoo.
    file:
        Absolute path, or beneath the manifest's folder.
    sha256, git_blob_sha1:
        What the file must hash to, as the manifest states; either or both may be None.
    url, license:
        Where it comes from; empty if not stated. With a remote runtime, `url` is the server that runs it.
    package:
        The package that it comes from; None if it is in none.
    runtime:
        Name of the backend.
    label_offset:
        Output i + label_offset is label i; the outputs before it (a "background" class) are dropped.
    dropped_last:
        Outputs after that of the last label, dropped as well.
    input:
        How a decoded input becomes the model's, as the domain read it.
    task:
        What its inputs are: names the domain.
    files:
        Every further file that it reads, by the manifest: its name beneath the folder of `file`, and its SHA-256.
    origin:
        The model that it was made from; None for an original.
    detail:
        How much of an input is decoded, see `Domain.detail`; 0 for all of it.
    activation:
        What the outputs are: "softmax" for probabilities, "none" for logits, "sigmoid" for a probability of each label
        by itself, "percent" for probabilities from 0 to 100.
    threads:
        Threads of the runtime.
    providers, settings:
        What the runtime is given; the backend defines which are allowed. A callable is given them by name.
    call:
        How a Python callable is called; None of a model file.
    trusted:
        Whether the user lets Python code run; neither written nor compared.
    """

    name: str
    file: Path
    runtime: str
    input: Any
    activation: str
    sha256: str | None = None
    git_blob_sha1: str | None = None
    url: str = ""
    license: str = ""
    label_offset: int = 0
    dropped_last: int = 0
    threads: int = 1
    providers: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    task: str = IMAGE_TASK
    files: Mapping[str, str] = field(default_factory=dict, hash=False)
    origin: Origin | None = None
    detail: int = 0
    call: Call | None = None
    package: Package | None = field(default=None, compare=False)
    trusted: bool = field(default=False, compare=False)

    @property
    def domain(self) -> Domain:
        """What its inputs are, and how they are decoded."""
        return domain_of(self.task).at(self.detail)

    @property
    def source(self) -> str:
        """The URL that the file comes from, also that of its package; empty if not stated."""
        return self.url if self.package is None else self.package.url

    @property
    def is_remote(self) -> bool:
        """Does it run on another machine, so that its file need not be here."""
        return self.runtime in REMOTE_RUNTIMES

    @property
    def is_installed(self) -> bool:
        """Is it a module of an installed package, which goes by its name and not with its file."""
        return self.call is not None and self.call.module is not None

    @property
    def takes_whole(self) -> bool:
        """Does it take the decoded input itself, and no tensor of it."""
        return isinstance(self.input, WholeInput)

    @cached_property
    def file_digest(self) -> str:
        """SHA-256 of `file` alone: the manifest's if it states one, else computed from the file; raises as `digest`."""
        if self.sha256 is not None:
            return self.sha256
        require_file(self)
        return file_sha256(self.file)

    @cached_property
    def further_files(self) -> Mapping[str, str]:
        """SHA-256 of every file that it reads besides `file`, by name; raises as `digest`.

        As the manifest states them; read from the files where it states no digest at all.
        """
        stated = self.files
        if not stated and self.sha256 is None and not self.is_remote:
            require_file(self)
            beside = {name: file_sha256(self.file.parent / name) for name in self.domain.spec_files(self.input)}
            stated = {**digests_of_further_files(self.runtime, self.file), **beside}
        return {**stated, **self.weights()}

    @cached_property
    def digest(self) -> str:
        """What distinguishes the model from every other: a digest of all its files.

        The SHA-256 of its one file; where it reads further ones, of their names and digests too. The weights of an
        OpenVINO `.xml` are in the settings, which every key holds.

        Raises
        ------
        ModelError
            The manifest states no digest, and a file is missing or cannot be read.
        """
        further = self.files_to_state
        return all_files_digest(self.file_digest, further) if further else self.file_digest

    @property
    def files_to_state(self) -> dict[str, str]:
        """What a manifest entry of this model has in `files`: its further files without those that a setting holds."""
        weights = self.weights()
        return {name: digest for name, digest in self.further_files.items() if name not in weights}

    def with_file(self, file: Path) -> Model:
        """The same model with its files elsewhere."""
        return replace(self, file=file)

    def weights(self) -> dict[str, str]:
        """The weights of an OpenVINO `.xml`, which lie in a file beside it."""
        weights = self.settings.get(WEIGHTS)
        return {} if weights is None else {self.file.with_suffix(".bin").name: str(weights)}

    def all_files(self) -> dict[Path, str]:
        """Every file that it reads and its SHA-256, `file` first; none for a model on a server; raises as `digest`."""
        if self.is_remote:
            return {}
        further = {self.file.parent / name: digest for name, digest in self.further_files.items()}
        return {self.file: self.file_digest, **further}


@dataclass(frozen=True)
class Candidate:
    """A model with its settings and view: what is chosen among, and timed.

    Attributes
    ----------
    model, view:
        What it is made of.
    n_labels:
        Labels of the zoo; 0 where answers are no labels.
    """

    model: Model
    view: Any
    n_labels: int

    @property
    def name(self) -> str:
        """The model's name, followed by @ and the view's if it has one."""
        return f"{self.model.name}@{self.view.name}" if self.view.name else self.model.name

    @cached_property
    def input(self) -> Any:
        """The model's input with what the view changes."""
        return self.model.input if self.model.takes_whole else self.domain.view_spec(self.model.input, self.view)

    @property
    def domain(self) -> Domain:
        """What its inputs are."""
        return self.model.domain

    @property
    def threads(self) -> int:
        """Threads of the runtime."""
        return self.model.threads

    @property
    def input_summary(self) -> str:
        """Its input in short, for a table."""
        return "the decoded input" if self.model.takes_whole else self.domain.summary(self.input)

    @property
    def home(self) -> Candidate:
        """What a remote candidate is on the machine that runs it, where the manifest states with what; else itself.

        Answers and times of both are kept under the same keys: what a board measured belongs to the very candidate
        that a workstation opens from the same file, and that a bundle for the board holds.
        """
        model = self.model
        if not model.is_remote or "remote_runtime" not in model.settings:
            return self
        runtime, settings = model.settings["remote_runtime"], model.settings.get("remote_settings", {})
        return replace(self, model=replace(model, runtime=runtime, settings=settings, url=""))

    @property
    def network_key(self) -> str:
        """Candidates with equal keys can share one opened network."""
        parts = self._network()
        if self.model.is_remote:
            parts["url"] = self.model.url
        return _digest({**parts, **self.domain.network_key(self.view)})

    @cached_property
    def prediction_key(self) -> str:
        """SHA-256 over everything that decides the answer; two candidates with one key give the same answers."""
        return _digest(self.home._answer())

    @cached_property
    def timing_key(self) -> str:
        """SHA-256 over everything that decides the answer or the time it takes, but for the device."""
        home = self.home
        return _digest({**home._answer(), **home._network()})

    def with_threads(self, threads: int) -> Candidate:
        """The same candidate on another number of threads."""
        return replace(self, model=replace(self.model, threads=threads))

    def with_trust(self, trusted: bool) -> Candidate:
        """The same candidate, with the user's word on whether its Python code may run."""
        if self.model.call is None or self.model.trusted == trusted:
            return self
        return replace(self, model=replace(self.model, trusted=trusted))

    def with_detail(self, detail: int) -> Candidate:
        """The same candidate of inputs that are decoded otherwise."""
        return replace(self, model=replace(self.model, detail=detail))

    def with_file(self, file: Path) -> Candidate:
        """The same candidate with its model file elsewhere."""
        return replace(self, model=self.model.with_file(file))

    def _network(self) -> dict[str, Any]:
        model = self.model
        return {
            "digest": model.digest,
            "runtime": model.runtime,
            "threads": model.threads,
            "providers": model.providers,
            "settings": _lasting(model),
            **_called(model),
        }

    def _answer(self) -> dict[str, Any]:
        model = self.model
        return {
            "digest": model.digest,
            "runtime": model.runtime,
            "input": WHOLE if model.takes_whole else self.domain.input_key(self.input),
            "label_offset": model.label_offset,
            "activation": model.activation,
            "labels": self.n_labels,
            "providers": model.providers,
            "settings": _lasting(model),
            **({"dropped_last": model.dropped_last} if model.dropped_last else {}),
            **_called(model),
            **self.domain.answer_key(self.view),
        }


def require_file(model: Model) -> None:
    """Raise ModelError, saying how to get it, if the model file is not there; a remote model needs none here."""
    if not model.is_remote and not is_regular(model.file):
        if model.is_installed and model.call is not None:
            module = str(model.call.module)
            raise ModelError(
                f"module {module} of {model.name} is not installed", given=model.call.target,
                do=f"install it with: pip install {module.partition('.')[0]} (or the package that brings it)",
            )  # fmt: skip
        do = "put it there, or correct the manifest"
        if model.source:
            do = "fetch it with: premodel zoo pull ZOO --dest FOLDER, the folder of ZOO"
        raise ModelError(f"model file of {model.name} is missing", where=model.file, do=do)


def digests_of_further_files(runtime: str, file: Path) -> dict[str, str]:
    """SHA-256 of every file that a model file reads besides itself, by name.

    Raises
    ------
    ModelError
        One is missing, cannot be read, or lies outside the model's folder.
    """
    return {name: file_sha256(file.parent / name) for name in backend_class(runtime).further_files(file)}


def all_files_digest(file_digest: str, further: Mapping[str, str]) -> str:
    """The digest of a model that reads further files."""
    return _digest({"file": file_digest, "files": dict(further)})


def _lasting(model: Model) -> Mapping[str, Any]:
    """Settings that may change an answer or its time: not how long a server is waited for."""
    return {name: value for name, value in model.settings.items() if not (model.is_remote and name in WAITING)}


def _called(model: Model) -> dict[str, Any]:
    """What of a callable decides its answers, besides its source."""
    return {} if model.call is None else {"call": model.call.to_json()}


def _digest(parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
