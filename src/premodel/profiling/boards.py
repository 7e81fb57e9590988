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

from premodel.backends.base import Backend
from premodel.backends.oip import OipBackend
from premodel.domains.base import Domain
from premodel.errors import ModelError, OptionError, ZooError
from premodel.fields import shown
from premodel.profiling.passes.interleaved import DECODE, PREPROCESS, RUN, CandidateWork, FeatureWork
from premodel.protocol import agent
from premodel.protocol.agent import DECODE_MODEL, FEATURES_MODEL, AgentTable, stage_ms
from premodel.runtime.candidate import OpenedCandidate, open_backend
from premodel.zoo.candidate import Candidate
from premodel.zoo.candidate_json import candidate_to_json
from premodel.zoo.manifest import FULL


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
        Of the machine, as it reports; empty if it does not.
    """

    url: str
    device: str
    has_clock: bool
    conditions: Mapping[str, Any] = field(default_factory=dict)


def find_board(candidates: Sequence[Candidate], device: str | None, features: str = "") -> Board | None:
    """The board that runs these candidates, every one compared with what it offers; None if they run here.

    Parameters
    ----------
    features:
        Version of the features that are wanted of it; empty for the usual ones.

    Raises
    ------
    ZooError
        Only some are on a board, they are on several, or the board runs another entry than the manifest states.
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
            given="at " + ", ".join([*urls, *([f"here: {here[0]}"] if here else [])]), allowed="all behind one url",
            do="one manifest per board; several boards may share one store",
        )  # fmt: skip
    tables = [_compared(candidate, features) for candidate in remote]
    table = tables[0]
    if table is None:
        if device is None:
            raise OptionError("the server does not say which device it is", where=urls[0], do="name it with --device")
        return Board(urls[0], device, has_clock=False)
    return Board(urls[0], device or table.device, has_clock=True, conditions=table.conditions)


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
        self._backend = _oip(opened.network.backend, opened.candidate)
        self._view = opened.candidate.view.name
        self._images = images
        self._rng = np.random.default_rng(seed)

    def __call__(self, sample: Any) -> dict[str, float]:
        """Do it once; the round's own image was decoded here and is not sent."""
        del sample
        times_ms = self._backend.run_image(_draw(self._images, self._rng), self._view).times_ms
        return {PREPROCESS: stage_ms(times_ms, agent.PREPROCESS), RUN: stage_ms(times_ms, agent.INFERENCE)}


class BoardFeatureWork(FeatureWork):
    """All features of one image on a board, part by part."""

    def __init__(self, domain: Domain, opened: OpenedCandidate, images: Sequence[bytes], seed: int) -> None:
        super().__init__(domain)
        self._backend = _oip(opened.network.backend, opened.candidate)
        self._images = images
        self._rng = np.random.default_rng(seed)

    def __call__(self, sample: Any) -> dict[str, float]:
        """Do it once."""
        del sample
        times_ms = self._backend.ask(FEATURES_MODEL, _draw(self._images, self._rng))
        return {part: stage_ms(times_ms, part) for part in self._extractor.cost_items()}


class BoardDecodeWork:
    """Decoding on a board."""

    def __init__(self, opened: OpenedCandidate, images: Sequence[bytes], seed: int) -> None:
        self._backend = _oip(opened.network.backend, opened.candidate)
        self._images = images
        self._rng = np.random.default_rng(seed)

    def __call__(self, sample: Any) -> dict[str, float]:
        """Do it once."""
        del sample
        return {DECODE: stage_ms(self._backend.ask(DECODE_MODEL, _draw(self._images, self._rng)), agent.DECODE)}


def _compared(candidate: Candidate, features: str) -> AgentTable | None:
    """What the agent states of a candidate, found to be the manifest's; None if the server is no agent."""
    backend = _oip(open_backend(candidate), candidate)
    try:
        table = backend.about(candidate.view.name)
    finally:
        backend.close()
    if table is None:
        return None
    url = candidate.model.url
    domain = candidate.domain.with_features(features)
    for name, value in candidate_to_json(candidate.home).items():
        if name not in (*agent.UNCOMPARED, "detail") and table.candidate.get(name) != value:
            raise ZooError(
                f"{name} of {candidate.name} is not what the board runs", where=url, given=value,
                allowed=shown(table.candidate.get(name)), do="take the entry over from the board's manifest",
            )  # fmt: skip
    detail = table.candidate.get("detail", 0)
    if detail != candidate.model.detail:
        say = f'"{FULL}"' if detail == 0 else shown(detail)
        raise ZooError(
            "the board decodes inputs otherwise", where=url, given=candidate.model.detail, allowed=shown(detail),
            do=f"say decode = {say} at the top of the manifest here",
        )  # fmt: skip
    for name, given, own in (
        ("preprocessing", table.preprocessing, domain.version),
        ("extractor", table.extractor, domain.features_version),
    ):
        if given != own:
            chosen = str(given).partition("@")[0] == str(own).partition("@")[0]
            raise ModelError(
                f"the board's {name} is of another version", where=url, given=shown(given), allowed=own,
                do="give --embedding to profile and to the board's agent or to neither, with the same package on both"
                if chosen
                else "install the same premodel here and on the board",
            )  # fmt: skip
    return table


def _oip(backend: Backend, candidate: Candidate) -> OipBackend:
    if not isinstance(backend, OipBackend):
        backend.close()
        raise ZooError(
            f"{candidate.name} runs on no board", given=f"runtime {candidate.model.runtime}",
            allowed=f"runtime {OipBackend.name}",
        )  # fmt: skip
    return backend


def _draw(images: Sequence[bytes], rng: np.random.Generator) -> bytes:
    return images[int(rng.integers(len(images)))]
