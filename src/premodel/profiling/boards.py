"""Profiling a board from a workstation: answers are computed here, times are taken there.

The manifest's entries say `runtime = "oip"`, the server, and what it runs the file with (`settings.remote_runtime`).
Answers and times are kept under the keys of the candidate that the board runs (`Candidate.home`), so the two meet in
the store by the digest of the model file. All times are durations by one clock: how far two clocks are apart does not
matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from premodel.backends.oip import OipBackend
from premodel.errors import ModelError, OptionError, RunError, ZooError
from premodel.profiling.passes.interleaved import DECODE, PREPROCESS, RUN, CandidateWork, FeatureWork
from premodel.runtime.candidate import OpenedCandidate, open_backend
from premodel.zoo.candidate_json import candidate_to_json
from premodel.zoo.manifest import Candidate

UNCOMPARED = ("name", "file", "url", "license")
"""Fields of an entry that may differ between the board's manifest and the workstation's."""
DECODE_MODEL, FEATURES_MODEL = "@decode", "@features"
"""Models that an agent offers beside its candidates (`serving/board.py`)."""


@dataclass(frozen=True)
class Board:
    """A machine whose models are profiled from here.

    Attributes
    ----------
    url:
        Of its server.
    device:
        Name under which its timings are kept.
    has_clock:
        Does its server state what took how long; else times are round trips, by the clock here.
    conditions:
        Of the machine, as it tells; empty if it does not.
    """

    url: str
    device: str
    has_clock: bool
    conditions: Mapping[str, Any] = field(default_factory=dict)


def find_board(candidates: Sequence[Candidate], device: str | None) -> Board | None:
    """The board that runs these candidates, every one compared with what it offers; None if they run here.

    Raises
    ------
    ZooError
        Only some are on a board, they are on several, or the board runs another entry than the manifest says.
    OptionError
        The server does not say which device it is, and none is named.
    RemoteError, ModelError
        The server cannot be reached, or does not offer a candidate.
    """
    remote = [candidate for candidate in candidates if candidate.home is not candidate]
    if not remote:
        return None
    urls = sorted({candidate.model.url for candidate in remote})
    if len(remote) < len(candidates) or len(urls) > 1:
        here = [candidate.name for candidate in candidates if candidate.home is candidate]
        raise ZooError(
            "the candidates of one profile run on different machines",
            given=", ".join([*urls, *([f"here: {here[0]}"] if here else [])]), allowed="all behind one url",
            do="one manifest per board; several boards may share one store",
        )  # fmt: skip
    agents = [_compared(candidate) for candidate in remote]
    agent = agents[0]
    if agent is None:
        if device is None:
            raise OptionError("the server does not say which device it is", where=urls[0], do="name it with --device")
        return Board(urls[0], device, has_clock=False)
    conditions = agent.get("conditions")
    told = dict(conditions) if isinstance(conditions, Mapping) else {}
    return Board(urls[0], device or str(agent.get("device", "unknown")), has_clock=True, conditions=told)


def answering(candidate: Candidate) -> Candidate:
    """Who computes a candidate's answers: this machine, if it has the file of a model that a board runs."""
    home = candidate.home
    return home if home is not candidate and home.model.file.is_file() else candidate


def latency_notes(candidates: Sequence[Candidate], board: Board | None) -> dict[str, str]:
    """What the latency of each remote candidate holds, by name."""
    notes = {}
    for candidate in candidates:
        if not candidate.model.is_remote:
            continue
        if board is not None and board.has_clock:
            notes[candidate.name] = f"measured on the board behind {board.url}; the network is not counted"
        else:
            notes[candidate.name] = (
                f"round trip to {candidate.model.url}, network included, by the clock of this machine; decoding and "
                "preprocessing here"
            )
    return notes


class BoardCandidateWork(CandidateWork):
    """A candidate on a board: sends an encoded image, drawn at random, and takes the board's own times."""

    def __init__(self, opened: OpenedCandidate, images: Sequence[bytes], seed: int) -> None:
        super().__init__(opened)
        self._backend = _backend_of(opened)
        self._view = opened.candidate.view.name
        self._images = images
        self._rng = np.random.default_rng(seed)

    def __call__(self, sample: Any) -> dict[str, float]:
        """Do it once; the round's own image was decoded here and is not sent."""
        del sample
        times_ms = self._backend.run_image(_draw(self._images, self._rng), self._view).times_ms
        return {PREPROCESS: _stated(times_ms, PREPROCESS), RUN: _stated(times_ms, "inference")}


class BoardFeatureWork(FeatureWork):
    """All features of one image on a board, part by part."""

    def __init__(self, opened: OpenedCandidate, images: Sequence[bytes], seed: int) -> None:
        super().__init__(opened.candidate.domain)
        self._backend = _backend_of(opened)
        self._images = images
        self._rng = np.random.default_rng(seed)

    def __call__(self, sample: Any) -> dict[str, float]:
        """Do it once."""
        del sample
        times_ms = self._backend.ask(FEATURES_MODEL, _draw(self._images, self._rng))
        return {part: _stated(times_ms, part) for part in self._extractor.parts()}


class BoardDecodeWork:
    """Decoding on a board."""

    def __init__(self, opened: OpenedCandidate, images: Sequence[bytes], seed: int) -> None:
        self._backend = _backend_of(opened)
        self._images = images
        self._rng = np.random.default_rng(seed)

    def __call__(self, sample: Any) -> dict[str, float]:
        """Do it once."""
        del sample
        return {DECODE: _stated(self._backend.ask(DECODE_MODEL, _draw(self._images, self._rng)), DECODE)}


def _compared(candidate: Candidate) -> Mapping[str, Any] | None:
    """What the agent says of a candidate, found to be the manifest's; None if the server is no agent."""
    backend = open_backend(candidate)
    assert isinstance(backend, OipBackend)
    try:
        agent = backend.about(candidate.view.name)
    finally:
        backend.close()
    if agent is None:
        return None
    url = candidate.model.url
    domain = candidate.domain
    for name, own in (("preprocessing", domain.version), ("extractor", domain.features_version)):
        if agent.get(name) != own:
            raise ModelError(
                f"the board's {name} is of another version", where=url, given=agent.get(name), allowed=own,
                do="install the same premodel here and on the board",
            )  # fmt: skip
    told = agent.get("candidate")
    board: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    for name, value in candidate_to_json(candidate.home).items():
        if name not in UNCOMPARED and board.get(name) != value:
            raise ZooError(
                f"{name} of {candidate.name} is not what the board runs", where=url, given=value,
                allowed=board.get(name), do="take the entry over from the board's manifest",
            )  # fmt: skip
    return agent


def _backend_of(opened: OpenedCandidate) -> OipBackend:
    backend = opened.network.backend
    assert isinstance(backend, OipBackend)
    return backend


def _draw(images: Sequence[bytes], rng: np.random.Generator) -> bytes:
    return images[int(rng.integers(len(images)))]


def _stated(times_ms: Mapping[str, float], stage: str) -> float:
    if stage not in times_ms:
        raise RunError("the board states no time", given=", ".join(times_ms) or "none", allowed=stage)
    return times_ms[stage]
